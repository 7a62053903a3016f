//! Goes through a result, or the arguments of a call, and collects what to replace.
//!
//! ```text
//! /content/*/text, /title, /description     texts; JSON in a text is gone through too
//! /content/*/resource/text
//! /structuredContent/**                     strings, names, and numbers if configured
//! everything else                           copied as it stands
//! ```

use crate::card;
use crate::config::Config;
use crate::find::{Finder, Hit};
use crate::kind::{Kind, KINDS};
use crate::mask;
use crate::pointer::State;
use crate::scan::{self, Places, Span, Visit};
use crate::words;
use std::collections::BTreeMap;

/// How many finds there were of each kind.
pub type Counts = [u32; KINDS.len()];

/// What a payload is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Payload {
    Result,
    Arguments,
}

/// The payload with masks, or None when there is nothing to mask.
pub fn redact(config: &Config, text: &str, payload: Payload) -> Result<Option<(Vec<u8>, Counts)>, scan::Broken> {
    let place = if payload == Payload::Result { Place::Root } else { Place::All };
    let mut walk = Walk::new(config, text, place, config.leave.start(), 0);
    scan::read(text, &mut walk)?;
    if walk.edits.list.is_empty() {
        return Ok(None);
    }
    Ok(Some((walk.edits.apply(text).into_bytes(), walk.counts)))
}

/// Replacements in a text, in order.
#[derive(Default)]
struct Edits {
    list: Vec<(usize, usize, usize)>, // from, to, and the end of what stands instead in `new`
    new: String,
}

impl Edits {
    fn push(&mut self, start: usize, end: usize) {
        self.list.push((start, end, self.new.len()));
    }

    fn clear(&mut self) {
        self.list.clear();
        self.new.clear();
    }

    fn each<'a>(&'a self) -> impl Iterator<Item = (usize, usize, &'a str)> + 'a {
        let mut from = 0;
        self.list.iter().map(move |&(start, end, to)| (start, end, &self.new[std::mem::replace(&mut from, to)..to]))
    }

    fn apply(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len() + self.new.len());
        let mut from = 0;
        for (start, end, new) in self.each() {
            out.push_str(&text[from..start]);
            out.push_str(new);
            from = end;
        }
        out.push_str(&text[from..]);
        out
    }
}

/// Where in a result we are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Root,
    Content,
    Block,
    Resource,
    /// A text that a person or a model reads; it may be JSON.
    Text,
    /// Everything from here on.
    All,
    Nothing,
}

impl Place {
    fn member(self, name: &str) -> Place {
        match (self, name) {
            (Place::Root, "content") => Place::Content,
            (Place::Root, "structuredContent") => Place::All,
            (Place::Block, "text" | "title" | "description") => Place::Text,
            (Place::Block, "resource") => Place::Resource,
            (Place::Resource, "text") => Place::Text,
            (Place::All, _) => Place::All,
            _ => Place::Nothing,
        }
    }

    fn element(self) -> Place {
        match self {
            Place::Content => Place::Block,
            Place::All => Place::All,
            _ => Place::Nothing,
        }
    }
}

/// One object or array that is open.
struct Level {
    object: bool,
    index: usize,
    place: Place,
    state: State,
    hint: u8,
    names: BTreeMap<String, u32>,
}

struct Walk<'a> {
    config: &'a Config,
    text: &'a str,
    levels: Vec<Level>,
    // of the value that comes next
    place: Place,
    state: State,
    hint: u8,

    edits: Edits,
    counts: Counts,
    finder: Finder,
    plain: String,
    places: Places,
    inner: Edits,
    nested: bool,
}

impl<'a> Walk<'a> {
    fn new(config: &'a Config, text: &'a str, place: Place, state: State, hint: u8) -> Walk<'a> {
        Walk {
            config,
            text,
            levels: Vec::new(),
            place,
            state,
            hint,
            edits: Edits::default(),
            counts: [0; KINDS.len()],
            finder: Finder::default(),
            plain: String::new(),
            places: Places::new(),
            inner: Edits::default(),
            nested: false,
        }
    }

    /// Sets what is known of the value that comes next: in an array its index says it,
    /// in an object `name` has.
    fn begin(&mut self) {
        if let Some(level) = self.levels.last_mut().filter(|l| !l.object) {
            self.place = level.place.element();
            self.state = self.config.leave.index(level.state, level.index);
            self.hint = level.hint;
            level.index += 1;
        }
        if self.config.leave.hit(self.state) {
            self.place = Place::Nothing;
        }
    }

    /// Collects the masks of a string in `inner`, as places of `plain`.
    fn look(&mut self, json: bool) {
        self.inner.clear();
        let begins = self.plain.trim_start().as_bytes().first();
        if json && matches!(begins, Some(b'{' | b'[')) {
            let plain = std::mem::take(&mut self.plain);
            let mut walk = Walk::new(self.config, &plain, Place::All, self.state, self.hint);
            walk.nested = true;
            let done = scan::read(&plain, &mut walk).is_ok();
            let (edits, counts) = (walk.edits, walk.counts);
            self.plain = plain;
            if done {
                self.inner = edits;
                self.counts.iter_mut().zip(counts).for_each(|(n, more)| *n += more);
                return;
            }
        }
        for hit in self.finder.find(self.config, &self.plain, self.hint) {
            mask::write(&mut self.inner.new, self.config.style, &self.plain, hit);
            self.inner.push(hit.start, hit.end);
            self.counts[hit.kind as usize] += 1;
        }
    }

    fn unescape(&mut self, span: Span) {
        let raw = span.of(self.text);
        if span.escaped {
            scan::unescape(raw, &mut self.plain, &mut self.places);
        } else {
            self.places.clear();
            self.plain.clear();
            self.plain.push_str(raw);
        }
    }

    /// Moves `inner` to where the string stands.
    fn keep(&mut self, span: Span) {
        let mut hint = 0;
        for (start, end, new) in self.inner.each() {
            let start = span.start + scan::place(&self.places, &mut hint, start);
            let end = span.start + scan::place(&self.places, &mut hint, end);
            scan::escape_into(&mut self.edits.new, new);
            self.edits.push(start, end);
        }
    }
}

impl Visit for Walk<'_> {
    fn open(&mut self, _: usize, object: bool) {
        self.begin();
        let (place, state, hint) = (self.place, self.state, self.hint);
        // A hint holds for the elements of an array, but not for the members of an object.
        let hint = if object { 0 } else { hint };
        // An object where an array stands in a result, or the other way round, is nothing.
        let place = match place {
            Place::Content if object => Place::Nothing,
            Place::Root | Place::Block | Place::Resource if !object => Place::Nothing,
            Place::Text => Place::Nothing,
            place => place,
        };
        self.levels.push(Level { object, index: 0, place, state, hint, names: BTreeMap::new() });
    }

    fn close(&mut self, _: usize) {
        self.levels.pop();
    }

    fn name(&mut self, span: Span) {
        let (place, state) = match self.levels.last() {
            Some(level) => (level.place, level.state),
            None => return,
        };
        if place == Place::Nothing && state == 0 {
            self.place = Place::Nothing;
            self.state = 0;
            return;
        }
        self.unescape(span);
        self.hint = if place == Place::All { words::meanings(&self.plain) } else { 0 };
        self.place = place.member(&self.plain);
        self.state = self.config.leave.name(state, &self.plain);
        if place == Place::All && self.config.names {
            let hint = std::mem::replace(&mut self.hint, 0);
            self.look(false);
            self.hint = hint;
            let mut name = self.inner.apply(&self.plain);
            // A mask must not make two names equal.
            if !self.inner.list.is_empty() || name.contains(|c| c == '[' || c == '*') {
                let names = match self.levels.last_mut() {
                    Some(level) => &mut level.names,
                    None => return,
                };
                let mut count = names.get(&name).copied().unwrap_or(0);
                if count > 0 {
                    let masked = name.clone();
                    while names.contains_key(&name) {
                        count += 1;
                        name = format!("{} {}", masked, count);
                    }
                    let at = self.plain.len();
                    self.inner.new.push_str(&name[masked.len()..]);
                    self.inner.push(at, at);
                    names.insert(masked, count);
                }
                names.insert(name, 1);
            }
            self.keep(span);
        }
    }

    fn string(&mut self, span: Span) {
        self.begin();
        if self.place != Place::Text && self.place != Place::All {
            return;
        }
        // What is short, and has neither a digit nor an @, is nothing: most strings.
        let raw = span.of(self.text).as_bytes();
        if raw.len() < 6 {
            return;
        }
        self.unescape(span);
        self.look(self.place == Place::Text && !self.nested);
        if !self.inner.list.is_empty() {
            self.keep(span);
        }
    }

    fn other(&mut self, start: usize, end: usize) {
        self.begin();
        let number = &self.text.as_bytes()[start..end];
        if !self.config.numbers
            || self.place != Place::All
            || !(13..=19).contains(&number.len())
            || !self.config.kinds.has(Kind::Card)
        {
            return;
        }
        let mut digits = [0; 19];
        for (d, c) in digits.iter_mut().zip(number) {
            if !c.is_ascii_digit() {
                return;
            }
            *d = c - b'0';
        }
        if !card::is_card(&digits[..number.len()]) || self.config.allows(&self.text[start..end]) {
            return;
        }
        let hit = Hit { start, end, kind: Kind::Card, allowed: false };
        self.edits.new.push('"');
        mask::write(&mut self.edits.new, self.config.style, self.text, &hit);
        self.edits.new.push('"');
        self.edits.push(start, end);
        self.counts[Kind::Card as usize] += 1;
    }
}
