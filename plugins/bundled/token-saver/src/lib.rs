//! Makes results smaller for language models, within a budget.
//!
//! ```text
//! text block ─► JSON? ─► tree ─► prune, step by step until the budget holds ─┐
//!                 └ no ─► plain: white space, blobs, beginning and end ──────┤
//! structured content ─► keep | prune | drop ─────────────────────────────────┴► notes, _meta
//! ```

mod blob;
mod config;
mod left;
mod plain;
#[path = "../../shared/pointer.rs"]
mod pointer;
mod prune;
mod result;
#[path = "../../shared/scan.rs"]
#[allow(dead_code)]
mod scan;
#[cfg(test)]
mod tests;
mod tokens;
mod tree;

use config::Config;
use sallyport::{json, Context, Error};
use std::cell::RefCell;

thread_local! {
    static CONFIG: RefCell<Config> = RefCell::new(Config::default());
}

sallyport::plugin! {
    response_transform: transform,
    configure: configure,
}

fn configure(_: &Context, config: json::Value) -> Result<(), Error> {
    let config = Config::read(&config).map_err(Error::internal)?;
    CONFIG.with(|c| *c.borrow_mut() = config);
    Ok(())
}

fn transform(_: &Context, payload: &[u8]) -> Result<Option<Vec<u8>>, Error> {
    let text = std::str::from_utf8(payload).map_err(|_| Error::internal("the payload is not UTF-8"))?;
    let done = CONFIG.with(|config| result::transform(&config.borrow(), text));
    done.map_err(|e| Error::internal(format!("the payload is not JSON at byte {}", e.at)))
}
