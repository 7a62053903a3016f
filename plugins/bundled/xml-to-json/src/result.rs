//! Finds the texts of a result, and puts others in their place.

use crate::config::Config;
use crate::map;
use crate::scan::{self, Broken, Places, Span, Visit};
use crate::soap::{self, Envelope};
use crate::xml;

/// The result with JSON in the place of XML, or None when there is no XML.
pub fn transform(config: &Config, text: &str) -> Result<Option<Vec<u8>>, Broken> {
    let mut outline = Outline { text, depth: 0, member: Member::Other, inside: false, ..Outline::default() };
    scan::read(text, &mut outline)?;
    let mut edits: Vec<(usize, usize, String)> = Vec::new();
    let mut values = Vec::new();
    let mut failed = false;
    let (mut plain, mut places) = (String::new(), Places::new());
    for span in outline.texts {
        let raw = span.of(text);
        let source = if span.escaped {
            scan::unescape(raw, &mut plain, &mut places);
            plain.as_str()
        } else {
            raw
        };
        if !looks_like_xml(source) {
            continue;
        }
        let words = match convert(config, source) {
            Outcome::Json(value) => {
                values.push(value.clone());
                value
            }
            Outcome::Fault(words, value) => {
                failed = true;
                values.push(value);
                words
            }
            Outcome::Broken(_) if config.keep_invalid => continue,
            Outcome::Broken(words) => {
                failed = true;
                words
            }
        };
        let mut new = String::with_capacity(words.len() + words.len() / 8);
        scan::escape_into(&mut new, &words);
        edits.push((span.start, span.end, new));
        if !config.all {
            break;
        }
    }
    if edits.is_empty() {
        return Ok(None);
    }
    let mut tail = String::new();
    if !outline.structured && !values.is_empty() {
        tail.push_str(",\"structuredContent\":");
        if values.len() == 1 {
            tail.push_str(&values[0]);
        } else {
            tail.push_str(&format!("{{\"documents\":[{}]}}", values.join(",")));
        }
    }
    if failed {
        match outline.error {
            Some((start, end)) => edits.push((start, end, "true".into())),
            None => tail.push_str(",\"isError\":true"),
        }
    }
    edits.push((outline.end - 1, outline.end - 1, tail));
    edits.sort_by_key(|e| e.0);
    let mut out = String::with_capacity(text.len() + edits.iter().map(|e| e.2.len()).sum::<usize>());
    let mut from = 0;
    for (start, end, new) in edits {
        out.push_str(&text[from..start]);
        out.push_str(&new);
        from = end;
    }
    out.push_str(&text[from..]);
    Ok(Some(out.into_bytes()))
}

/// Whether a text begins as XML does: with a tag, an instruction or a declaration.
pub fn looks_like_xml(text: &str) -> bool {
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let mut chars = text.chars();
    chars.next() == Some('<') && chars.next().map_or(false, |c| matches!(c, '?' | '!' | '_') || c.is_alphabetic())
}

enum Outcome {
    Json(String),
    Fault(String, String),
    Broken(String),
}

fn convert(config: &Config, source: &str) -> Outcome {
    // Some services send an empty line before the declaration, which must come first.
    let source = source.trim_start_matches('\u{feff}').trim_start();
    let doc = match xml::read(source) {
        Ok(doc) => doc,
        Err(e) => {
            let html = source.get(..14).map_or(false, |s| s.eq_ignore_ascii_case("<!doctype html"))
                || source.get(..5).map_or(false, |s| s.eq_ignore_ascii_case("<html"));
            let what = if html { "an HTML page, not XML" } else { "not XML that can be read" };
            return Outcome::Broken(format!(
                "The answer is {}: line {}, column {}: {}.",
                what, e.line, e.column, e.message
            ));
        }
    };
    let mut json = String::with_capacity(source.len());
    let envelope = if config.unwrap { soap::open(&doc) } else { Envelope::Plain };
    let done = match envelope {
        Envelope::Plain => map::write(config, &doc, &[0], &mut json).map(|_| Outcome::Json(json)),
        Envelope::Body(elements) => map::write(config, &doc, &elements, &mut json).map(|_| Outcome::Json(json)),
        Envelope::Fault(fault) => fault.write(config, &doc).map(|(words, value)| Outcome::Fault(words, value)),
        Envelope::Empty => Ok(Outcome::Broken("The answer is a SOAP envelope without a body.".into())),
    };
    done.unwrap_or_else(|_| {
        Outcome::Broken(format!("The answer is XML whose JSON would be nested deeper than {}.", map::DEPTH))
    })
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Member {
    Content,
    Structured,
    Error,
    Type,
    Text,
    #[default]
    Other,
}

/// What there is in a result, and where.
#[derive(Default)]
struct Outline<'a> {
    text: &'a str,
    depth: usize,
    member: Member,
    /// In the array of content.
    inside: bool,
    block: Option<Span>,
    is_text: bool,

    texts: Vec<Span>,
    structured: bool,
    error: Option<(usize, usize)>,
    end: usize,
}

impl Visit for Outline<'_> {
    fn open(&mut self, _: usize, object: bool) {
        self.depth += 1;
        match self.depth {
            2 => self.inside = self.member == Member::Content && !object,
            3 => {
                self.block = None;
                self.is_text = false;
            }
            _ => {}
        }
        self.member = Member::Other;
    }

    fn close(&mut self, end: usize) {
        if self.depth == 3 && self.inside && self.is_text {
            self.texts.extend(self.block);
        }
        if self.depth == 2 {
            self.inside = false;
        }
        self.depth -= 1;
        self.end = end;
    }

    fn name(&mut self, name: Span) {
        self.member = match (self.depth, name.of(self.text)) {
            (1, "content") => Member::Content,
            (1, "structuredContent") => {
                self.structured = true;
                Member::Structured
            }
            (1, "isError") => Member::Error,
            (3, "type") if self.inside => Member::Type,
            (3, "text") if self.inside => Member::Text,
            _ => Member::Other,
        };
    }

    fn string(&mut self, value: Span) {
        match self.member {
            Member::Type => self.is_text = value.of(self.text) == "text",
            Member::Text => self.block = Some(value),
            _ => {}
        }
    }

    fn other(&mut self, start: usize, end: usize) {
        if self.member == Member::Error {
            self.error = Some((start, end));
        }
    }
}
