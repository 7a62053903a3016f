//! Plugins for the Sallyport MCP gateway: tools, transformers and authorizers as
//! plain functions, built to WebAssembly.
//!
//! ```text
//! gateway                        this crate
//!   │ arguments, who calls ────►  your handler(ctx, args)
//!   │ ◄──── log, http, kv …        ctx.info, ctx.http, ctx.kv_get …
//!   │ result, or a status  ◄────  Ok(answer), Err(error)
//! ```
//!
//! A whole plugin:
//!
//! ```
//! use sallyport::{json::Args, Context, Error};
//!
//! sallyport::plugin! {
//!     tools: [("greet", greet)],
//! }
//!
//! fn greet(_ctx: &Context, args: Args) -> Result<String, Error> {
//!     Ok(format!("Hello, {}!", args.str("name")?))
//! }
//!
//! # fn main() {
//! let host = sallyport::testing::Host::new();
//! assert_eq!(host.tool(&PLUGIN, "greet", r#"{"name":"Ada"}"#).text(), "Hello, Ada!");
//! # }
//! ```
//!
//! One instance of a plugin answers one call at a time, and many calls one after the
//! other, of different callers: a `static` is a cache, not a place for what belongs to
//! a caller. The module imports only those host functions that the plugin calls, so
//! what it may need can be read off the file. `sdk/ABI.md` is the contract below.
//!
//! The crate uses `std` and its allocator: on wasm32-unknown-unknown `std` is `core`,
//! `alloc` and a port of dlmalloc, which gives back what is freed, and a `cdylib` that
//! allocates without `std` needs a newer compiler than 1.63.

#![warn(missing_docs)]

mod answer;
mod context;
mod error;
pub mod frame;
#[doc(hidden)]
pub mod guest;
mod host;
mod http;
pub mod json;
mod kv;
mod plugin;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;

pub use answer::{Answer, Block, FromPayload, IntoAnswer, IntoChange, IntoTools, Tool};
pub use context::{Answered, Context, Level};
pub use error::{Code, Error, HostError, Status};
pub use http::{Request, Response};
pub use kv::Entry;
pub use plugin::{Handler, Plugin};
