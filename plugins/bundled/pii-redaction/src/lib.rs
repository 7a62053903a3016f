//! Masks personal data in the results of tools, and in their arguments if configured.
//!
//! ```text
//! CallToolResult ─► scan (where each string stands) ─► find (what is in it) ─► mask
//!        everything that is not masked is copied byte for byte; nothing found: UNCHANGED
//! ```

mod card;
mod config;
mod edge;
mod email;
mod find;
mod iban;
mod ip;
mod kind;
mod mask;
mod national;
mod phone;
#[path = "../../shared/pointer.rs"]
mod pointer;
mod run;
#[path = "../../shared/scan.rs"]
mod scan;
#[cfg(test)]
mod tests;
mod walk;
mod words;

use config::Config;
use kind::KINDS;
use sallyport::{json, Context, Error};
use std::cell::RefCell;
use walk::Payload;

thread_local! {
    static CONFIG: RefCell<Config> = RefCell::new(Config::default());
}

sallyport::plugin! {
    response_transform: response,
    request_transform: request,
    configure: configure,
}

fn configure(_: &Context, config: json::Value) -> Result<(), Error> {
    let config = Config::read(&config).map_err(Error::internal)?;
    CONFIG.with(|c| *c.borrow_mut() = config);
    Ok(())
}

fn response(ctx: &Context, payload: &[u8]) -> Result<Option<Vec<u8>>, Error> {
    redact(ctx, payload, Payload::Result, |c| c.responses)
}

fn request(ctx: &Context, payload: &[u8]) -> Result<Option<Vec<u8>>, Error> {
    redact(ctx, payload, Payload::Arguments, |c| c.requests)
}

fn redact(ctx: &Context, payload: &[u8], sort: Payload, on: fn(&Config) -> bool) -> Result<Option<Vec<u8>>, Error> {
    CONFIG.with(|config| {
        let config = config.borrow();
        if !on(&config) || payload.is_empty() {
            return Ok(None);
        }
        let text = std::str::from_utf8(payload).map_err(|_| Error::internal("the payload is not UTF-8"))?;
        let done = walk::redact(&config, text, sort);
        let masked = done.map_err(|e| Error::internal(format!("the payload is not JSON at byte {}", e.at)))?;
        Ok(masked.map(|(payload, counts)| {
            for (count, (kind, ..)) in counts.iter().zip(KINDS).filter(|(&count, _)| count > 0) {
                ctx.count(kind.metric(), f64::from(*count));
            }
            payload
        }))
    })
}
