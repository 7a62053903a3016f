use std::borrow::Cow;

use super::parse::{twice, Error, Parser};
use super::write::quote;

/// Rewrites the string values of a document, wherever they lie, and copies everything
/// else as it stands. Names are not touched. `None` when `f` changed nothing.
///
/// ```
/// use sallyport::json;
/// let out = json::map_strings(br#"{"a": ["x", 1.0], "x": "y"}"#, |s| (s == "x").then(|| "z".to_owned())).unwrap();
/// assert_eq!(out.unwrap(), br#"{"a": ["z", 1.0], "x": "y"}"#);
/// ```
pub fn map_strings(bytes: &[u8], f: impl FnMut(&str) -> Option<String>) -> Result<Option<Vec<u8>>, Error> {
    let text = std::str::from_utf8(bytes).map_err(|e| Error::new(e.valid_up_to(), "this is not UTF-8"))?;
    let mut w = Walk { p: Parser { text, at: 0, depth: 0 }, f, out: Vec::new(), done: 0 };
    w.value()?;
    w.p.end()?;
    if w.out.is_empty() {
        return Ok(None);
    }
    w.out.extend_from_slice(&bytes[w.done..]);
    Ok(Some(w.out))
}

struct Walk<'a, F> {
    p: Parser<'a>,
    f: F,
    out: Vec<u8>,
    done: usize, // bytes of the text that are in out
}

impl<F: FnMut(&str) -> Option<String>> Walk<'_, F> {
    fn value(&mut self) -> Result<(), Error> {
        match self.p.peek() {
            b'"' => {
                let begin = self.p.at;
                let s = self.p.string()?;
                if let Some(changed) = (self.f)(&s) {
                    self.out.extend_from_slice(&self.p.text.as_bytes()[self.done..begin]);
                    quote(&mut self.out, &changed);
                    self.done = self.p.at;
                }
                Ok(())
            }
            b'{' => self.object(),
            b'[' => self.array(),
            b't' => self.p.word("true"),
            b'f' => self.p.word("false"),
            b'n' => self.p.word("null"),
            b'-' | b'0'..=b'9' => self.p.number().map(|_| ()),
            _ => self.p.bad("a value is missing"),
        }
    }

    fn array(&mut self) -> Result<(), Error> {
        self.p.deeper()?;
        if self.p.peek() == b']' {
            self.p.at += 1;
        } else {
            loop {
                self.value()?;
                if !self.p.comma(b']')? {
                    break;
                }
            }
        }
        self.p.depth -= 1;
        Ok(())
    }

    fn object(&mut self) -> Result<(), Error> {
        let begin = self.p.at;
        self.p.deeper()?;
        let mut names: Vec<(Cow<'_, str>, ())> = Vec::new();
        if self.p.peek() == b'}' {
            self.p.at += 1;
        } else {
            loop {
                names.push((self.p.name()?, ()));
                self.value()?;
                if !self.p.comma(b'}')? {
                    break;
                }
            }
        }
        self.p.depth -= 1;
        match twice(&names) {
            Some(name) => Err(Error::new(begin, format!("the name {name:?} is there twice in this object"))),
            None => Ok(()),
        }
    }
}
