//! Turns XML and SOAP answers into JSON.
//!
//! ```text
//! text block ─► xml (strict reader) ─► soap (body, or fault) ─► map ─► text and structuredContent
//!     no XML in it: UNCHANGED                 fault: isError
//! ```

mod config;
mod map;
#[path = "../../shared/pointer.rs"]
#[allow(dead_code)]
mod pointer;
mod result;
#[path = "../../shared/scan.rs"]
#[allow(dead_code)]
mod scan;
mod soap;
#[cfg(test)]
mod tests;
mod xml;

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
