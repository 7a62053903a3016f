//! A strict JSON of its own: there are no crates below this one.
//!
//! One value, UTF-8, no name twice in an object, at most [`MAX_DEPTH`] deep. Numbers
//! keep their text and objects the order of their members, so that what is read and
//! written again says the same. Names differ by case.
//!
//! ```
//! use sallyport::json::{self, Value};
//! let mut v = json::parse(br#"{"a": [1, 2.50], "b": "x"}"#).unwrap();
//! assert_eq!(v.get("a").and_then(|a| a.at(1)).and_then(Value::as_f64), Some(2.5));
//! v.as_object_mut().unwrap().insert("b", "y");
//! assert_eq!(v.to_string(), r#"{"a":[1,2.50],"b":"y"}"#);
//! ```

mod args;
mod parse;
mod strings;
#[cfg(test)]
mod tests;
mod value;
mod write;

pub use args::Args;
pub use parse::{parse, Error, MAX_DEPTH};
pub use strings::map_strings;
pub use value::{Number, Object, Value};
pub use write::quote;
