use std::borrow::Cow;
use std::fmt;

use super::value::{Number, Object, Value};
use super::write::plain;

/// How deep objects and arrays may lie in each other, as the gateway has it.
pub const MAX_DEPTH: usize = 64;

/// What is wrong with a text that should be JSON, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    at: usize,
    what: Cow<'static, str>,
}

impl Error {
    pub(crate) fn new(at: usize, what: impl Into<Cow<'static, str>>) -> Error {
        Error { at, what: what.into() }
    }

    /// The byte where it was seen, from 0.
    pub fn at(&self) -> usize {
        self.at
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no JSON at byte {}: {}", self.at, self.what)
    }
}

impl std::error::Error for Error {}

/// Parses one value. Strings without escapes alias `bytes`. Half of a surrogate pair
/// is read as U+FFFD.
pub fn parse(bytes: &[u8]) -> Result<Value<'_>, Error> {
    let text = std::str::from_utf8(bytes).map_err(|e| Error::new(e.valid_up_to(), "this is not UTF-8"))?;
    let mut p = Parser { text, at: 0, depth: 0 };
    let value = p.value()?;
    p.end()?;
    Ok(value)
}

/// A place in a text. [`super::map_strings`] walks with it too.
pub(crate) struct Parser<'a> {
    pub text: &'a str,
    pub at: usize,
    pub depth: usize,
}

impl<'a> Parser<'a> {
    pub fn bad<T>(&self, what: &'static str) -> Result<T, Error> {
        Err(Error::new(self.at, what))
    }

    /// Skips blanks and returns the next byte, 0 at the end.
    pub fn peek(&mut self) -> u8 {
        let bytes = self.text.as_bytes();
        while let Some(&b) = bytes.get(self.at) {
            if !matches!(b, b' ' | b'\t' | b'\n' | b'\r') {
                return b;
            }
            self.at += 1;
        }
        0
    }

    pub fn end(&mut self) -> Result<(), Error> {
        self.peek();
        if self.at < self.text.len() {
            return self.bad("something follows the value");
        }
        Ok(())
    }

    pub fn word(&mut self, word: &str) -> Result<(), Error> {
        if !self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            return self.bad("a value is missing");
        }
        self.at += word.len();
        Ok(())
    }

    pub fn deeper(&mut self) -> Result<(), Error> {
        self.depth += 1;
        self.at += 1; // the bracket
        if self.depth > MAX_DEPTH {
            return self.bad("it is more than 64 deep");
        }
        Ok(())
    }

    fn value(&mut self) -> Result<Value<'a>, Error> {
        match self.peek() {
            b'"' => Ok(Value::String(self.string()?)),
            b'{' => self.object(),
            b'[' => self.array(),
            b't' => self.word("true").map(|()| Value::Bool(true)),
            b'f' => self.word("false").map(|()| Value::Bool(false)),
            b'n' => self.word("null").map(|()| Value::Null),
            b'-' | b'0'..=b'9' => Ok(Value::Number(Number(Cow::Borrowed(self.number()?)))),
            _ => self.bad("a value is missing"),
        }
    }

    fn array(&mut self) -> Result<Value<'a>, Error> {
        self.deeper()?;
        let mut elements = Vec::new();
        if self.peek() == b']' {
            self.at += 1;
        } else {
            loop {
                elements.push(self.value()?);
                if !self.comma(b']')? {
                    break;
                }
            }
        }
        self.depth -= 1;
        Ok(Value::Array(elements))
    }

    fn object(&mut self) -> Result<Value<'a>, Error> {
        let begin = self.at;
        self.deeper()?;
        let mut members = Vec::new();
        if self.peek() == b'}' {
            self.at += 1;
        } else {
            loop {
                let name = self.name()?;
                members.push((name, self.value()?));
                if !self.comma(b'}')? {
                    break;
                }
            }
        }
        self.depth -= 1;
        if let Some(name) = twice(&members) {
            return Err(Error::new(begin, format!("the name {name:?} is there twice in this object")));
        }
        Ok(Value::Object(Object(members)))
    }

    /// Takes a name and the colon after it.
    pub fn name(&mut self) -> Result<Cow<'a, str>, Error> {
        if self.peek() != b'"' {
            return self.bad("a name is missing");
        }
        let name = self.string()?;
        if self.peek() != b':' {
            return self.bad("a colon is missing");
        }
        self.at += 1;
        Ok(name)
    }

    /// Takes the comma after an element (true) or the bracket after the last (false).
    pub fn comma(&mut self, close: u8) -> Result<bool, Error> {
        match self.peek() {
            b',' => {
                self.at += 1;
                Ok(true)
            }
            b if b == close => {
                self.at += 1;
                Ok(false)
            }
            _ => self.bad("a comma or a closing bracket is missing"),
        }
    }

    pub fn number(&mut self) -> Result<&'a str, Error> {
        let begin = self.at;
        let bytes = self.text.as_bytes();
        let digits = |at: &mut usize| {
            let from = *at;
            while bytes.get(*at).map_or(false, u8::is_ascii_digit) {
                *at += 1;
            }
            *at > from
        };
        let mut at = begin;
        if bytes[at] == b'-' {
            at += 1;
        }
        let mut fine = match bytes.get(at) {
            Some(b'0') => {
                at += 1;
                !bytes.get(at).map_or(false, u8::is_ascii_digit)
            }
            _ => digits(&mut at),
        };
        if fine && bytes.get(at) == Some(&b'.') {
            at += 1;
            fine = digits(&mut at);
        }
        if fine && matches!(bytes.get(at), Some(b'e' | b'E')) {
            at += 1;
            if matches!(bytes.get(at), Some(b'+' | b'-')) {
                at += 1;
            }
            fine = digits(&mut at);
        }
        self.at = at;
        if !fine {
            return self.bad("this is no number");
        }
        Ok(&self.text[begin..at])
    }

    /// Takes a string; `at` is on its first quotation mark.
    pub fn string(&mut self) -> Result<Cow<'a, str>, Error> {
        self.at += 1;
        let begin = self.at;
        if self.plain()? == b'"' {
            let s = &self.text[begin..self.at];
            self.at += 1;
            return Ok(Cow::Borrowed(s));
        }
        let mut s = String::from(&self.text[begin..self.at]);
        loop {
            self.escape(&mut s)?;
            let begin = self.at;
            let stopped = self.plain()?;
            s.push_str(&self.text[begin..self.at]);
            if stopped == b'"' {
                self.at += 1;
                return Ok(Cow::Owned(s));
            }
        }
    }

    /// Goes on to the next quotation mark or backslash and returns it.
    fn plain(&mut self) -> Result<u8, Error> {
        let rest = &self.text.as_bytes()[self.at..];
        let n = plain(rest);
        self.at += n;
        match rest.get(n) {
            Some(&b @ (b'"' | b'\\')) => Ok(b),
            Some(_) => self.bad("a control character in a string"),
            None => self.bad("a string does not end"),
        }
    }

    fn escape(&mut self, s: &mut String) -> Result<(), Error> {
        let c = match self.text.as_bytes().get(self.at + 1) {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\x08',
            Some(b'f') => '\x0c',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                let high = self.unit()?;
                s.push(match high {
                    0xd800..=0xdbff if self.text[self.at..].starts_with("\\u") => {
                        let back = self.at;
                        let low = self.unit()?;
                        if (0xdc00..=0xdfff).contains(&low) {
                            char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)).unwrap_or('\u{fffd}')
                        } else {
                            self.at = back;
                            '\u{fffd}'
                        }
                    }
                    unit => char::from_u32(unit).unwrap_or('\u{fffd}'),
                });
                return Ok(());
            }
            _ => return self.bad("an escape that JSON does not have"),
        };
        s.push(c);
        self.at += 2;
        Ok(())
    }

    /// Takes `\uXXXX`.
    fn unit(&mut self) -> Result<u32, Error> {
        let digits = self.text.as_bytes().get(self.at + 2..self.at + 6).unwrap_or(b"");
        let mut unit = 0;
        for &d in digits {
            match (d as char).to_digit(16) {
                Some(v) => unit = unit << 4 | v,
                None => return self.bad("four hexadecimal digits are missing"),
            }
        }
        if digits.len() < 4 {
            return self.bad("four hexadecimal digits are missing");
        }
        self.at += 6;
        Ok(unit)
    }
}

/// A name that is there twice.
pub(crate) fn twice<'m, T>(members: &'m [(Cow<'_, str>, T)]) -> Option<&'m str> {
    if members.len() <= 8 {
        return members
            .iter()
            .enumerate()
            .find(|(n, (name, _))| members[..*n].iter().any(|(other, _)| other == name))
            .map(|(_, (name, _))| name.as_ref());
    }
    let mut names: Vec<&str> = members.iter().map(|(name, _)| name.as_ref()).collect();
    names.sort_unstable();
    names.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
}
