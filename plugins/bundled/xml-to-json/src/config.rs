//! The configuration: which blocks are turned, and how.

use crate::pointer::Patterns;
use sallyport::json::Value;

pub struct Config {
    /// All blocks of XML instead of the first.
    pub all: bool,
    /// Takes the contents of a SOAP envelope out of it.
    pub unwrap: bool,
    pub strip: bool,
    pub prefix: String,
    pub arrays: Patterns,
    pub numbers: bool,
    pub booleans: bool,
    pub trim: bool,
    /// Leaves a block alone that begins like XML and is none.
    pub keep_invalid: bool,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            all: false,
            unwrap: true,
            strip: true,
            prefix: "@".into(),
            arrays: Patterns::default(),
            numbers: false,
            booleans: false,
            trim: true,
            keep_invalid: false,
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
            let choice = |no: &str, yes: &str| match value.as_str() {
                Some(v) if v == no => Ok(false),
                Some(v) if v == yes => Ok(true),
                _ => Err(format!("{} must be {} or {}", name, no, yes)),
            };
            match name {
                "blocks" => config.all = choice("first", "all")?,
                "soap" => config.unwrap = choice("keep", "unwrap")?,
                "numbers" => config.numbers = choice("keep", "convert")?,
                "booleans" => config.booleans = choice("keep", "convert")?,
                "invalid" => config.keep_invalid = choice("error", "keep")?,
                "stripNamespaces" => config.strip = flag()?,
                "trim" => config.trim = flag()?,
                "attributePrefix" => {
                    let prefix = value.as_str().filter(|p| p.len() <= 8 && !p.contains('#'));
                    config.prefix = prefix.ok_or("attributePrefix must be a text of at most 8 bytes without #")?.into();
                }
                "arrays" => {
                    let wrong = "arrays must be a list of paths";
                    for path in value.as_array().ok_or(wrong)? {
                        config.arrays.add(path.as_str().ok_or(wrong)?).map_err(|e| format!("arrays: {}", e))?;
                    }
                }
                _ => return Err(format!("{:?} is unknown", name)),
            }
        }
        Ok(config)
    }
}
