//! The configuration: the budget, and what may go first.

use crate::pointer::Patterns;
use sallyport::json::Value;

/// What becomes of structured content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Structured {
    Keep,
    Prune,
    Drop,
}

/// What becomes of white space in texts that are not JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whitespace {
    Keep,
    /// No white space at the end of a line, no more than one empty line.
    Tidy,
    /// Also one space for many inside of a line.
    Collapse,
}

/// The smallest budget and the smallest string that can be kept: a note must fit.
pub const MIN_TOKENS: usize = 200;
pub const MIN_STRING: usize = 60;
pub const MIN_ARRAY: usize = 3;

pub struct Config {
    pub max_tokens: usize, // 0 = no budget
    pub keep: Patterns,
    pub drop: Patterns,
    pub drop_nulls: bool,
    pub drop_empty: bool,
    pub max_string: usize, // usize::MAX = any
    pub max_array: usize,
    pub blobs: bool,
    pub whitespace: Whitespace,
    pub structured: Structured,
    pub note: bool,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            max_tokens: 4000,
            keep: Patterns::default(),
            drop: Patterns::default(),
            drop_nulls: false,
            drop_empty: false,
            max_string: usize::MAX,
            max_array: usize::MAX,
            blobs: true,
            whitespace: Whitespace::Tidy,
            structured: Structured::Keep,
            note: true,
        }
    }
}

impl Config {
    /// Reads the configuration. The error says which member is wrong.
    pub fn read(object: &Value) -> Result<Config, String> {
        let mut config = Config::default();
        let members = object.as_object().ok_or("the configuration must be an object")?;
        for (name, value) in members.iter() {
            let flag = || value.as_bool().ok_or_else(|| format!("{} must be true or false", name));
            let number = |min: usize| {
                let n = value.as_f64().filter(|n| *n == 0.0 || *n >= min as f64 && *n <= 1e7 && n.fract() == 0.0);
                n.map(|n| n as usize)
                    .ok_or_else(|| format!("{} must be 0 or a whole number from {} to 10000000", name, min))
            };
            let any = |n: usize| if n == 0 { usize::MAX } else { n };
            match name {
                "maxTokens" => config.max_tokens = number(MIN_TOKENS)?,
                "maxString" => config.max_string = any(number(MIN_STRING)?),
                "maxArray" => config.max_array = any(number(MIN_ARRAY)?),
                "dropNulls" => config.drop_nulls = flag()?,
                "dropEmpty" => config.drop_empty = flag()?,
                "blobs" => {
                    config.blobs = match value.as_str() {
                        Some("note") => true,
                        Some("keep") => false,
                        _ => return Err("blobs must be note or keep".into()),
                    }
                }
                "note" => config.note = flag()?,
                "whitespace" => {
                    config.whitespace = match value.as_str() {
                        Some("keep") => Whitespace::Keep,
                        Some("tidy") => Whitespace::Tidy,
                        Some("collapse") => Whitespace::Collapse,
                        _ => return Err("whitespace must be keep, tidy or collapse".into()),
                    }
                }
                "structured" => {
                    config.structured = match value.as_str() {
                        Some("keep") => Structured::Keep,
                        Some("prune") => Structured::Prune,
                        Some("drop") => Structured::Drop,
                        _ => return Err("structured must be keep, prune or drop".into()),
                    }
                }
                "keep" => patterns(name, value, &mut config.keep)?,
                "drop" => patterns(name, value, &mut config.drop)?,
                _ => return Err(format!("{:?} is unknown", name)),
            }
        }
        Ok(config)
    }
}

fn patterns(name: &str, value: &Value, all: &mut Patterns) -> Result<(), String> {
    let wrong = || format!("{} must be a list of patterns", name);
    for pattern in value.as_array().ok_or_else(wrong)? {
        all.add(pattern.as_str().ok_or_else(wrong)?).map_err(|e| format!("{}: {}", name, e))?;
    }
    Ok(())
}
