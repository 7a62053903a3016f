//! The configuration: what is masked, and how.

use crate::kind::{Kinds, KINDS};
use crate::pointer::Patterns;
use sallyport::json::Value;

/// What stands in the place of personal data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// `[email]`
    Tag,
    /// `**** **** **** 1111`
    Stars,
}

pub struct Config {
    pub kinds: Kinds,
    pub style: Style,
    pub eager: bool,
    pub names: bool,
    pub numbers: bool,
    pub responses: bool,
    pub requests: bool,
    pub leave: Patterns,
    values: Vec<String>,  // plain or lower-case address, sorted
    domains: Vec<String>, // "example.com", or ".example.com" for those below; sorted
}

impl Default for Config {
    fn default() -> Config {
        let mut kinds = Kinds::default();
        KINDS.iter().for_each(|&(kind, _, on)| kinds.set(kind, on));
        Config {
            kinds,
            style: Style::Tag,
            eager: false,
            names: true,
            numbers: false,
            responses: true,
            requests: false,
            leave: Patterns::default(),
            values: Vec::new(),
            domains: Vec::new(),
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
            match name {
                "kinds" => {
                    for (kind, on) in value.as_object().ok_or("kinds must be an object")?.iter() {
                        let row = KINDS
                            .iter()
                            .find(|row| row.1 == kind)
                            .ok_or_else(|| format!("kinds: {:?} is unknown", kind))?;
                        config
                            .kinds
                            .set(row.0, on.as_bool().ok_or_else(|| format!("kinds.{} must be true or false", kind))?);
                    }
                }
                "style" => {
                    config.style = match value.as_str() {
                        Some("tag") => Style::Tag,
                        Some("stars") => Style::Stars,
                        _ => return Err("style must be tag or stars".into()),
                    }
                }
                "allow" => {
                    for text in strings(name, value)? {
                        match text.strip_prefix('@') {
                            Some(domain) => {
                                config.domains.push(domain.strip_prefix('*').unwrap_or(domain).to_lowercase())
                            }
                            None => config.values.push(canonical(text)),
                        }
                    }
                }
                "leave" => {
                    for text in strings(name, value)? {
                        config.leave.add(text).map_err(|e| format!("leave: {}", e))?;
                    }
                }
                "eager" => config.eager = flag()?,
                "names" => config.names = flag()?,
                "numbers" => config.numbers = flag()?,
                "responses" => config.responses = flag()?,
                "requests" => config.requests = flag()?,
                _ => return Err(format!("{:?} is unknown", name)),
            }
        }
        config.values.sort();
        config.domains.sort();
        Ok(config)
    }

    /// Whether this value is in the allow list.
    pub fn allows(&self, value: &str) -> bool {
        !self.values.is_empty() && self.values.binary_search(&canonical(value)).is_ok()
    }

    /// Whether this address or its domain is; `sign` is the place of the @.
    pub fn allows_email(&self, address: &str, sign: usize) -> bool {
        if self.domains.is_empty() {
            return self.allows(address);
        }
        let domain = address[sign..].trim_start_matches("%40").trim_start_matches('@').to_lowercase();
        let has = |name: &str| self.domains.binary_search_by(|d| d.as_str().cmp(name)).is_ok();
        has(&domain) || domain.match_indices('.').any(|(at, _)| has(&domain[at..])) || self.allows(address)
    }
}

fn strings<'a>(name: &str, value: &'a Value) -> Result<Vec<&'a str>, String> {
    let wrong = || format!("{} must be a list of texts", name);
    value.as_array().ok_or_else(wrong)?.iter().map(|v| v.as_str().ok_or_else(wrong)).collect()
}

/// A value as it is compared: an address in small letters, everything else without what
/// only separates.
fn canonical(value: &str) -> String {
    if value.contains('@') || value.contains("%40") {
        return value.to_lowercase().replace("%40", "@");
    }
    value.chars().filter(|c| c.is_alphanumeric() || *c == ':').flat_map(char::to_lowercase).collect()
}
