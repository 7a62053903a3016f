//! Reads XML 1.0 with namespaces into a flat tree.
//!
//! Strict, and safe: no document type, hence no entities but the five that XML has, and
//! nothing is ever fetched; depth, elements and attributes are bounded. What is not
//! well-formed is refused with line and column.

use std::collections::BTreeMap;

/// The deepest nesting of elements.
pub const DEPTH: usize = 50;
/// The most elements, and the most attributes of one.
pub const ELEMENTS: usize = 200_000;
pub const ATTRIBUTES: usize = 100;
/// The most declarations of namespaces that hold at one place.
const PREFIXES: usize = 200;

pub const XML: &str = "http://www.w3.org/XML/1998/namespace";
const XMLNS: &str = "http://www.w3.org/2000/xmlns/";

/// Where the text stops being XML that is read, and why.
#[derive(Debug, PartialEq, Eq)]
pub struct Broken {
    pub line: usize,
    pub column: usize,
    pub message: String,
}

/// A name with its prefix, and the number of its namespace (0 = none).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name<'a> {
    /// With its prefix, as it is written.
    pub full: &'a str,
    pub local: &'a str,
    pub space: u32,
}

pub struct Attribute<'a> {
    pub name: Name<'a>,
    pub value: String,
    /// xmlns, or xmlns:…
    pub declares: bool,
}

pub struct Element<'a> {
    pub name: Name<'a>,
    /// Its attributes are `attributes.0..attributes.1` of the document.
    pub attributes: (u32, u32),
    /// First child element and next sibling; 0 = none, as 0 is the root.
    pub child: u32,
    pub next: u32,
    /// Its pieces of text are linked in the same way, from 1.
    pub text: u32,
    last_child: u32,
    last_text: u32,
}

struct Piece {
    value: String,
    next: u32,
    behind: u32, // the child element before it; 0 = none
}

/// A document: elements in their order, the root first.
pub struct Document<'a> {
    pub elements: Vec<Element<'a>>,
    pub attributes: Vec<Attribute<'a>>,
    pub spaces: Vec<String>,
    pieces: Vec<Piece>,
}

impl<'a> Document<'a> {
    pub fn children(&self, element: usize) -> impl Iterator<Item = usize> + '_ {
        let mut at = self.elements[element].child as usize;
        std::iter::from_fn(move || {
            let child = at;
            at = self.elements[at].next as usize;
            Some(child).filter(|&c| c != 0)
        })
    }

    /// The pieces of text between the children of an element.
    pub fn texts(&self, element: usize) -> impl Iterator<Item = &str> + '_ {
        let mut at = self.elements[element].text as usize;
        std::iter::from_fn(move || {
            let piece = self.pieces.get(at.checked_sub(1)?)?;
            at = piece.next as usize;
            Some(piece.value.as_str())
        })
    }

    pub fn attributes_of(&self, element: usize) -> &[Attribute<'a>] {
        let (from, to) = self.elements[element].attributes;
        &self.attributes[from as usize..to as usize]
    }

    pub fn space(&self, name: &Name) -> &str {
        &self.spaces[name.space as usize]
    }

    pub fn is(&self, element: usize, space: &str, local: &str) -> bool {
        let name = &self.elements[element].name;
        name.local == local && self.space(name) == space
    }
}

/// Reads a whole document.
pub fn read(text: &str) -> Result<Document<'_>, Broken> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut r = Reader {
        text,
        at: 0,
        doc: Document { elements: Vec::new(), attributes: Vec::new(), spaces: vec![String::new()], pieces: Vec::new() },
        known: BTreeMap::new(),
        bound: Vec::new(),
        open: Vec::new(),
    };
    r.known.insert(String::new(), 0);
    match r.document() {
        Ok(()) => Ok(r.doc),
        Err((at, message)) => {
            let before = text.get(..at).unwrap_or(text);
            let line_start = before.rfind('\n').map_or(0, |i| i + 1);
            let line = before.bytes().filter(|&b| b == b'\n').count() + 1;
            Err(Broken { line, column: before[line_start..].chars().count() + 1, message })
        }
    }
}

type Done<T> = Result<T, (usize, String)>;

struct Open<'a> {
    element: u32,
    name: &'a str,
    bound: usize, // bindings before it
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    doc: Document<'a>,
    known: BTreeMap<String, u32>,
    bound: Vec<(&'a str, u32)>, // prefix and namespace
    open: Vec<Open<'a>>,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn peek(&self) -> u8 {
        self.text.as_bytes().get(self.at).copied().unwrap_or(0)
    }

    fn fail<T>(&self, message: impl Into<String>) -> Done<T> {
        Err((self.at, message.into()))
    }

    fn skip(&mut self, what: &str) -> bool {
        let there = self.text.as_bytes()[self.at..].starts_with(what.as_bytes());
        if there {
            self.at += what.len();
        }
        there
    }

    fn blank(&mut self) -> bool {
        let from = self.at;
        while matches!(self.peek(), b' ' | b'\t' | b'\r' | b'\n') {
            self.at += 1;
        }
        self.at > from
    }

    /// The text up to a mark, which is skipped.
    fn until(&mut self, mark: &str, what: &str) -> Done<&'a str> {
        match self.rest().find(mark) {
            Some(len) => {
                let inner = &self.rest()[..len];
                self.characters(inner)?;
                self.at += len + mark.len();
                Ok(inner)
            }
            None => self.fail(format!("{} does not end: {} is missing", what, mark)),
        }
    }

    /// Refuses characters that no XML may have; `part` begins at `at`.
    fn characters(&self, part: &str) -> Done<()> {
        match part.char_indices().find(|&(_, c)| !is_char(c)) {
            None => Ok(()),
            Some((i, c)) => Err((self.at + i, format!("the character U+{:04X} may not stand in XML", c as u32))),
        }
    }

    fn document(&mut self) -> Done<()> {
        if self.rest().starts_with("<?xml") && self.rest()[5..].starts_with(|c| matches!(c, ' ' | '\t' | '\r' | '\n')) {
            self.declaration()?;
        }
        loop {
            if self.open.is_empty() {
                self.blank();
                if self.at == self.text.len() {
                    return if self.doc.elements.is_empty() { self.fail("there is no element") } else { Ok(()) };
                }
                if self.peek() != b'<' {
                    return self.fail("text stands outside of the root element");
                }
            } else if self.peek() != b'<' {
                self.text()?;
                continue;
            }
            self.markup()?;
        }
    }

    fn markup(&mut self) -> Done<()> {
        if self.skip("<!--") {
            let from = self.at;
            let comment = self.until("-->", "a comment")?;
            if comment.contains("--") || comment.ends_with('-') {
                return Err((from, "-- stands in a comment".into()));
            }
            return Ok(());
        }
        if self.rest().starts_with("<![CDATA[") {
            if self.open.is_empty() {
                return self.fail("CDATA stands outside of the root element");
            }
            self.at += 9;
            let data = self.until("]]>", "CDATA")?;
            self.keep(lines(data));
            return Ok(());
        }
        if self.rest().starts_with("<!") {
            let what = if self.rest().starts_with("<!DOCTYPE") {
                "a document type (DOCTYPE) is refused: it can define entities"
            } else {
                "a declaration stands where none may"
            };
            return self.fail(what);
        }
        if self.skip("<?") {
            let from = self.at;
            let target = self.name("the target of an instruction")?;
            if target.eq_ignore_ascii_case("xml") || target.contains(':') {
                return Err((from, "an instruction may not be named so".into()));
            }
            if !self.rest().starts_with("?>") && !self.blank() {
                return self.fail("white space is missing behind the target of an instruction");
            }
            self.until("?>", "an instruction")?;
            return Ok(());
        }
        if self.skip("</") {
            return self.end();
        }
        if self.open.is_empty() && !self.doc.elements.is_empty() {
            return self.fail("there is a second root element");
        }
        self.element()
    }

    /// `<?xml version="1.0" encoding="UTF-8" standalone="yes"?>`
    fn declaration(&mut self) -> Done<()> {
        let begin = self.at;
        self.at += 5;
        for (i, want) in ["version", "encoding", "standalone"].iter().enumerate() {
            let before = self.at;
            let gap = self.blank();
            if !self.skip(want) {
                if i == 0 {
                    return self.fail("the XML declaration must begin with version");
                }
                self.at = before;
                continue;
            }
            if !gap {
                return self.fail("white space is missing in the XML declaration");
            }
            self.equals()?;
            let from = self.at;
            let value = self.quoted()?;
            let good = match *want {
                "version" => value == "1.0",
                "encoding" => {
                    value.eq_ignore_ascii_case("utf-8")
                        || value.eq_ignore_ascii_case("utf8")
                        || value.eq_ignore_ascii_case("us-ascii")
                }
                _ => value == "yes" || value == "no",
            };
            if !good {
                let only = [
                    "only version 1.0 is read",
                    "only UTF-8 is read: declare it, or leave the encoding out",
                    "standalone is yes or no",
                ][i];
                return Err((from, format!("{} {:?}: {}", want, shorten(value), only)));
            }
        }
        self.blank();
        if !self.skip("?>") {
            self.at = self.at.max(begin);
            return self.fail("the XML declaration does not end with ?>");
        }
        Ok(())
    }

    fn equals(&mut self) -> Done<()> {
        self.blank();
        if !self.skip("=") {
            return self.fail("= is missing");
        }
        self.blank();
        Ok(())
    }

    fn quoted(&mut self) -> Done<&'a str> {
        let quote = self.peek();
        if quote != b'"' && quote != b'\'' {
            return self.fail("a quote is missing");
        }
        self.at += 1;
        self.until(if quote == b'"' { "\"" } else { "'" }, "a value")
    }

    fn name(&mut self, what: &str) -> Done<&'a str> {
        let rest = self.rest();
        let mut chars = rest.char_indices();
        if !chars.next().map_or(false, |(_, c)| starts_name(c)) {
            return self.fail(format!("{} is missing", what));
        }
        let len = chars.find(|&(_, c)| !in_name(c)).map_or(rest.len(), |(i, _)| i);
        if len > 300 {
            return self.fail("a name is longer than 300 bytes");
        }
        self.at += len;
        Ok(&rest[..len])
    }

    /// A name in its two parts.
    fn parts(&self, at: usize, name: &'a str) -> Done<(&'a str, &'a str)> {
        match name.split_once(':') {
            None => Ok(("", name)),
            Some((prefix, local)) if !prefix.is_empty() && local.starts_with(starts_name) && !local.contains(':') => {
                Ok((prefix, local))
            }
            Some(_) => Err((at, format!("{:?} is no name with a prefix", name))),
        }
    }

    fn space(&mut self, uri: &str) -> u32 {
        if let Some(&known) = self.known.get(uri) {
            return known;
        }
        let new = self.doc.spaces.len() as u32;
        self.doc.spaces.push(uri.to_owned());
        self.known.insert(uri.to_owned(), new);
        new
    }

    fn resolve(&mut self, at: usize, prefix: &'a str, attribute: bool) -> Done<u32> {
        if prefix == "xml" {
            return Ok(self.space(XML));
        }
        if attribute && prefix.is_empty() {
            return Ok(0);
        }
        match self.bound.iter().rev().find(|(p, _)| *p == prefix) {
            Some(&(_, space)) => Ok(space),
            None if prefix.is_empty() => Ok(0),
            None => Err((at, format!("the prefix {:?} is not declared", prefix))),
        }
    }

    fn element(&mut self) -> Done<()> {
        let begin = self.at;
        self.at += 1;
        let from = self.at;
        let name = self.name("the name of an element")?;
        if self.open.len() == DEPTH {
            return Err((begin, format!("elements are nested deeper than {}", DEPTH)));
        }
        if self.doc.elements.len() == ELEMENTS {
            return Err((begin, format!("there are more than {} elements", ELEMENTS)));
        }
        let bound = self.bound.len();
        let first = self.doc.attributes.len();
        let mut places = Vec::new();
        let closed = loop {
            let gap = self.blank();
            if self.skip("/>") {
                break true;
            }
            if self.skip(">") {
                break false;
            }
            if self.at == self.text.len() {
                return Err((begin, format!("the tag <{}> does not end", name)));
            }
            if !gap {
                return self.fail("white space is missing before an attribute");
            }
            if places.len() == ATTRIBUTES {
                return self.fail(format!("an element has more than {} attributes", ATTRIBUTES));
            }
            places.push(self.at);
            self.attribute()?;
        };
        for (i, at) in places.iter().enumerate() {
            let Name { full, local, .. } = self.doc.attributes[first + i].name;
            let prefix = full.strip_suffix(local).map_or("", |p| p.trim_end_matches(':'));
            let space = if self.doc.attributes[first + i].declares {
                self.space(XMLNS)
            } else {
                self.resolve(*at, prefix, true)?
            };
            let twice =
                self.doc.attributes[first..first + i].iter().any(|a| a.name.local == local && a.name.space == space);
            if twice {
                return Err((*at, format!("the attribute {:?} stands twice", local)));
            }
            self.doc.attributes[first + i].name.space = space;
        }
        let (prefix, local) = self.parts(from, name)?;
        let space = self.resolve(from, prefix, false)?;
        let this = self.doc.elements.len() as u32;
        self.doc.elements.push(Element {
            name: Name { full: name, local, space },
            attributes: (first as u32, self.doc.attributes.len() as u32),
            child: 0,
            next: 0,
            text: 0,
            last_child: 0,
            last_text: 0,
        });
        if let Some(open) = self.open.last() {
            let parent = &mut self.doc.elements[open.element as usize];
            let last = std::mem::replace(&mut parent.last_child, this);
            if last == 0 {
                parent.child = this;
            } else {
                self.doc.elements[last as usize].next = this;
            }
        }
        if closed {
            self.bound.truncate(bound);
        } else {
            self.open.push(Open { element: this, name, bound });
        }
        Ok(())
    }

    fn attribute(&mut self) -> Done<()> {
        let from = self.at;
        let name = self.name("the name of an attribute")?;
        let (prefix, local) = self.parts(from, name)?;
        self.equals()?;
        let quote = self.peek();
        if quote != b'"' && quote != b'\'' {
            return self.fail(format!("the value of {} must stand in quotes", name));
        }
        self.at += 1;
        let mut value = String::new();
        loop {
            let rest = self.rest();
            let len = match rest.find(|c| c == quote as char || matches!(c, '<' | '&' | '\t' | '\r' | '\n')) {
                Some(len) => len,
                None => return Err((from, format!("the value of {} does not end", name))),
            };
            self.characters(&rest[..len])?;
            value.push_str(&rest[..len]);
            self.at += len;
            match self.peek() {
                b'<' => return self.fail("< stands in the value of an attribute: write &lt;"),
                b'&' => value.push(self.reference()?),
                b'\r' if self.rest().starts_with("\r\n") => {
                    self.at += 2;
                    value.push(' ');
                }
                c if c == quote => {
                    self.at += 1;
                    break;
                }
                _ => {
                    self.at += 1;
                    value.push(' ');
                }
            }
        }
        let declares = prefix == "xmlns" || prefix.is_empty() && local == "xmlns";
        if declares {
            let binds = if prefix.is_empty() { "" } else { local };
            let bad = binds == "xmlns"
                || value == XMLNS
                || (binds == "xml") != (value == XML)
                || !binds.is_empty() && value.is_empty();
            if bad {
                return Err((from, format!("{} may not be declared so", name)));
            }
            if self.bound.len() == PREFIXES {
                return Err((from, format!("more than {} namespaces are declared at once", PREFIXES)));
            }
            let space = self.space(&value);
            self.bound.push((binds, space));
        }
        self.doc.attributes.push(Attribute { name: Name { full: name, local, space: 0 }, value, declares });
        Ok(())
    }

    fn end(&mut self) -> Done<()> {
        let from = self.at;
        let name = self.name("the name of an element")?;
        self.blank();
        if !self.skip(">") {
            return self.fail("> is missing");
        }
        match self.open.pop() {
            Some(open) if open.name == name => {
                self.bound.truncate(open.bound);
                Ok(())
            }
            Some(open) => Err((from, format!("</{}> stands where </{}> must", shorten(name), shorten(open.name)))),
            None => Err((from, format!("</{}> ends nothing", shorten(name)))),
        }
    }

    fn text(&mut self) -> Done<()> {
        let mut value = String::new();
        loop {
            let rest = self.rest();
            let len = match rest.find(|c| c == '<' || c == '&') {
                Some(len) => len,
                None => {
                    return Err((
                        self.text.len(),
                        format!("<{}> does not end", shorten(self.open.last().map_or("", |o| o.name))),
                    ))
                }
            };
            let part = &rest[..len];
            self.characters(part)?;
            if let Some(i) = part.find("]]>") {
                return Err((self.at + i, "]]> stands in a text: write ]]&gt;".into()));
            }
            value.push_str(&lines(part));
            self.at += len;
            if self.peek() == b'<' {
                break;
            }
            value.push(self.reference()?);
        }
        self.keep(value.into());
        Ok(())
    }

    /// `&lt;` and the like, `&#233;`, `&#xe9;`
    fn reference(&mut self) -> Done<char> {
        let rest = self.rest();
        let name = match rest.as_bytes().iter().take(12).position(|&b| b == b';') {
            Some(end) => &rest[1..end],
            None => return self.fail("& begins no reference: write &amp;"),
        };
        let c = match name {
            "lt" => Some('<'),
            "gt" => Some('>'),
            "amp" => Some('&'),
            "apos" => Some('\''),
            "quot" => Some('"'),
            _ => {
                let number = match name.strip_prefix("#x") {
                    Some(hex) if hex.bytes().all(|b| b.is_ascii_hexdigit()) => u32::from_str_radix(hex, 16).ok(),
                    Some(_) => None,
                    None => name
                        .strip_prefix('#')
                        .filter(|n| n.bytes().all(|b| b.is_ascii_digit()))
                        .and_then(|n| n.parse().ok()),
                };
                number.and_then(char::from_u32).filter(|&c| is_char(c))
            }
        };
        match c {
            Some(c) => {
                self.at += name.len() + 2;
                Ok(c)
            }
            None => self.fail(format!("&{}; is no character, nor lt, gt, amp, apos or quot", name)),
        }
    }

    fn keep(&mut self, value: std::borrow::Cow<'_, str>) {
        let open = match self.open.last() {
            Some(open) if !value.is_empty() => open.element as usize,
            _ => return,
        };
        let element = &mut self.doc.elements[open];
        // CDATA and text beside each other are one text, unless an element is between.
        let last = element.last_text;
        let behind = element.last_child;
        if last != 0 && self.doc.pieces[last as usize - 1].behind == behind {
            self.doc.pieces[last as usize - 1].value.push_str(&value);
            return;
        }
        self.doc.pieces.push(Piece { value: value.into_owned(), next: 0, behind });
        let this = self.doc.pieces.len() as u32;
        element.last_text = this;
        if last == 0 {
            element.text = this;
        } else {
            self.doc.pieces[last as usize - 1].next = this;
        }
    }
}

/// Line ends as XML 1.0 section 2.11 has them.
fn lines(text: &str) -> std::borrow::Cow<'_, str> {
    if text.contains('\r') {
        text.replace("\r\n", "\n").replace('\r', "\n").into()
    } else {
        text.into()
    }
}

/// So much of a name as an error may show.
pub fn shorten(text: &str) -> &str {
    match text.char_indices().nth(60) {
        Some((at, _)) => &text[..at],
        None => text,
    }
}

fn is_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..='\u{10ffff}')
}

fn starts_name(c: char) -> bool {
    matches!(c, ':' | '_' | 'A'..='Z' | 'a'..='z' | '\u{c0}'..='\u{d6}' | '\u{d8}'..='\u{f6}' | '\u{f8}'..='\u{2ff}' | '\u{370}'..='\u{37d}'
        | '\u{37f}'..='\u{1fff}' | '\u{200c}'..='\u{200d}' | '\u{2070}'..='\u{218f}' | '\u{2c00}'..='\u{2fef}' | '\u{3001}'..='\u{d7ff}'
        | '\u{f900}'..='\u{fdcf}' | '\u{fdf0}'..='\u{fffd}' | '\u{10000}'..='\u{effff}')
}

fn in_name(c: char) -> bool {
    starts_name(c) || matches!(c, '-' | '.' | '0'..='9' | '\u{b7}' | '\u{300}'..='\u{36f}' | '\u{203f}'..='\u{2040}')
}
