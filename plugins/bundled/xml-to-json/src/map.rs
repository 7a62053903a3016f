//! Writes elements as JSON.
//!
//! ```text
//! <a>x</a>                    "x"
//! <a/>                        ""
//! <a xsi:nil="true"/>         null
//! <a id="1">x</a>             {"@id":"1","#text":"x"}
//! <a><b>1</b><c/><b>2</b></a> {"b":["1","2"],"c":""}
//! ```

use crate::config::Config;
use crate::pointer::State;
use crate::scan::escape_into;
use crate::xml::Document;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// How deep the JSON may be, so that there is room for what stands around it below the
/// gateway's 64.
pub const DEPTH: usize = 58;

const XSI: &str = "http://www.w3.org/2001/XMLSchema-instance";

/// The JSON would be deeper than DEPTH.
pub struct TooDeep;

/// Appends `{"name":…}` of elements that stand beside each other.
pub fn write(config: &Config, doc: &Document, elements: &[usize], out: &mut String) -> Result<(), TooDeep> {
    let mut writer = Writer { config, doc, out };
    let entries = writer.group(elements.iter().copied(), Vec::new());
    writer.object(&entries, config.arrays.start(), 1)
}

/// One value of a member.
enum Item<'a> {
    Text(Cow<'a, str>),
    Element(usize),
}

/// A member: its name, its values, and the element's name that `arrays` may mention.
struct Entry<'a> {
    name: Cow<'a, str>,
    items: Vec<Item<'a>>,
}

struct Writer<'a, 'd> {
    config: &'a Config,
    doc: &'a Document<'d>,
    out: &'a mut String,
}

impl<'a> Writer<'a, '_> {
    fn name(&self, full: &'a str, local: &'a str) -> &'a str {
        if self.config.strip {
            local
        } else {
            full
        }
    }

    /// Adds elements to members: those of one name are one member, where the first stood.
    fn group(&self, elements: impl Iterator<Item = usize>, mut entries: Vec<Entry<'a>>) -> Vec<Entry<'a>> {
        let mut known: BTreeMap<Cow<'a, str>, usize> =
            entries.iter().enumerate().map(|(i, e)| (e.name.clone(), i)).collect();
        for element in elements {
            let doc = self.doc;
            let name = &doc.elements[element].name;
            let name = Cow::Borrowed(self.name(name.full, name.local));
            let next = entries.len();
            let at = *known.entry(name.clone()).or_insert(next);
            if at == next {
                entries.push(Entry { name, items: Vec::new() });
            }
            entries[at].items.push(Item::Element(element));
        }
        entries
    }

    fn object(&mut self, entries: &[Entry], state: State, depth: usize) -> Result<(), TooDeep> {
        if depth > DEPTH {
            return Err(TooDeep);
        }
        self.out.push('{');
        for (i, entry) in entries.iter().enumerate() {
            if i > 0 {
                self.out.push(',');
            }
            self.string(&entry.name);
            self.out.push(':');
            let state = self.config.arrays.name(state, &entry.name);
            let array = entry.items.len() > 1 || self.config.arrays.hit(state);
            if array {
                if depth == DEPTH {
                    return Err(TooDeep);
                }
                self.out.push('[');
            }
            for (i, item) in entry.items.iter().enumerate() {
                if i > 0 {
                    self.out.push(',');
                }
                match item {
                    Item::Text(text) => self.scalar(text),
                    Item::Element(element) => self.element(*element, state, depth + 1 + usize::from(array))?,
                }
            }
            if array {
                self.out.push(']');
            }
        }
        self.out.push('}');
        Ok(())
    }

    fn element(&mut self, element: usize, state: State, depth: usize) -> Result<(), TooDeep> {
        let doc = self.doc;
        let mut entries: Vec<Entry> = Vec::new();
        let mut nil = false;
        for attribute in doc.attributes_of(element) {
            let xsi = doc.space(&attribute.name) == XSI;
            if xsi && attribute.name.local == "nil" && matches!(attribute.value.trim(), "true" | "1") {
                nil = true;
            }
            if self.config.strip && (attribute.declares || xsi) {
                continue;
            }
            let mut name = format!("{}{}", self.config.prefix, self.name(attribute.name.full, attribute.name.local));
            if entries.iter().any(|e| e.name == name) {
                name = format!("{}{}", self.config.prefix, attribute.name.full);
            }
            let item = Item::Text(Cow::Borrowed(attribute.value.as_str()));
            match entries.iter_mut().find(|e| e.name == name) {
                Some(entry) => entry.items.push(item),
                None => entries.push(Entry { name: Cow::Owned(name), items: vec![item] }),
            }
        }
        let parent = doc.elements[element].child != 0;
        let text = self.text(element, parent);
        if entries.is_empty() && !parent {
            if nil && text.is_empty() {
                self.out.push_str("null");
            } else {
                self.scalar(&text);
            }
            return Ok(());
        }
        if !text.is_empty() {
            match entries.iter_mut().find(|e| e.name == "#text") {
                Some(entry) => entry.items.push(Item::Text(text)),
                None => entries.push(Entry { name: Cow::Borrowed("#text"), items: vec![Item::Text(text)] }),
            }
        }
        let entries = self.group(doc.children(element), entries);
        self.object(&entries, state, depth)
    }

    /// The text of an element. Between child elements white space is only layout: the
    /// pieces are trimmed and joined with a space.
    fn text(&self, element: usize, parent: bool) -> Cow<'a, str> {
        let doc = self.doc;
        let mut pieces = doc.texts(element);
        if !parent {
            let text = pieces.next().unwrap_or("");
            return Cow::Borrowed(if self.config.trim { trim(text) } else { text });
        }
        let mut all = Cow::Borrowed("");
        for piece in pieces.map(trim).filter(|p| !p.is_empty()) {
            if all.is_empty() {
                all = Cow::Borrowed(piece);
            } else {
                let all = all.to_mut();
                all.push(' ');
                all.push_str(piece);
            }
        }
        all
    }

    fn scalar(&mut self, text: &str) {
        let bare = self.config.numbers && is_number(text) || self.config.booleans && matches!(text, "true" | "false");
        if bare {
            self.out.push_str(text);
        } else {
            self.string(text);
        }
    }

    fn string(&mut self, text: &str) {
        self.out.push('"');
        escape_into(self.out, text);
        self.out.push('"');
    }
}

fn trim(text: &str) -> &str {
    text.trim_matches(|c| matches!(c, ' ' | '\t' | '\r' | '\n'))
}

/// Whether a text is a number that JSON writes in the same way, and that any reader
/// takes without loss: no leading zero, no plus, no exponent, at most 15 digits.
pub fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').map_or((digits, None), |(w, f)| (w, Some(f)));
    let all = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    all(whole)
        && fraction.map_or(true, all)
        && (whole == "0" || !whole.starts_with('0'))
        && whole.len() + fraction.map_or(0, str::len) <= 15
        && !(text.starts_with('-') && digits.bytes().all(|b| matches!(b, b'0' | b'.')))
}
