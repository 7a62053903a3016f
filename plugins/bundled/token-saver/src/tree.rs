//! The values of a JSON text, in their order, with what the configuration says of each.

use crate::config::Config;
use crate::pointer::State;
use crate::scan::{self, Places, Span, Visit};

/// More values than this are not looked at one by one.
pub const NODES: usize = 250_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    Object,
    Array,
    String,
    Null,
    Other,
}

/// One value.
pub struct Node {
    pub sort: Sort,
    /// A pattern of `keep` ends here: it stays, with all that is in it.
    pub keep: bool,
    /// Something below is kept.
    pub keeps: bool,
    /// It goes: a pattern of `drop` ends here, or it is a null or empty.
    pub gone: Option<Gone>,
    pub start: u32,
    pub end: u32,
    /// The name of the member between its quotes; both 0 in an array.
    pub name: (u32, u32),
    /// The number of the node behind it and all that is in it.
    pub next: u32,
    /// How many values are in it.
    pub count: u32,
}

/// Why a value goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    Dropped,
    Null,
    Empty,
}

/// All values of the text, or None when it is no JSON or has too many.
pub fn read(config: &Config, text: &str) -> Option<Vec<Node>> {
    let mut b = Builder {
        config,
        text,
        nodes: Vec::new(),
        levels: Vec::new(),
        name: Span { start: 0, end: 0, escaped: false },
        full: u32::try_from(text.len()).is_err(),
        plain: String::new(),
        places: Places::new(),
    };
    scan::read(text, &mut b).ok()?;
    if b.full {
        return None;
    }
    Some(b.nodes)
}

struct Level {
    node: usize,
    object: bool,
    index: usize,
    stays: usize, // values in it that do not go
    keep: State,
    drop: State,
}

struct Builder<'a> {
    config: &'a Config,
    text: &'a str,
    nodes: Vec<Node>,
    levels: Vec<Level>,
    name: Span,
    full: bool,
    plain: String,
    places: Places,
}

impl Builder<'_> {
    /// Adds a value, and returns how far the patterns have come.
    fn add(&mut self, sort: Sort, start: usize, end: usize) -> (State, State) {
        let config = self.config;
        let (mut keep, mut drop) = (config.keep.start(), config.drop.start());
        let mut name = (0, 0);
        if let Some(level) = self.levels.last_mut() {
            if level.object {
                name = (self.name.start as u32, self.name.end as u32);
                if level.keep | level.drop != 0 {
                    let raw = self.name.of(self.text);
                    let plain = if self.name.escaped {
                        scan::unescape(raw, &mut self.plain, &mut self.places);
                        self.plain.as_str()
                    } else {
                        raw
                    };
                    keep = config.keep.name(level.keep, plain);
                    drop = config.drop.name(level.drop, plain);
                } else {
                    (keep, drop) = (0, 0);
                }
            } else {
                keep = config.keep.index(level.keep, level.index);
                drop = config.drop.index(level.drop, level.index);
            }
            level.index += 1;
        }
        if self.nodes.len() == NODES {
            self.full = true;
            return (keep, drop);
        }
        self.nodes.push(Node {
            sort,
            keep: config.keep.hit(keep),
            keeps: false,
            gone: Some(Gone::Dropped).filter(|_| config.drop.hit(drop) && !self.levels.is_empty()),
            start: start as u32,
            end: end as u32,
            name,
            next: self.nodes.len() as u32 + 1,
            count: 0,
        });
        (keep, drop)
    }

    /// Looks at a value that is whole.
    fn done(&mut self, node: usize, empty: bool) {
        let member = self.levels.last().map_or(false, |l| l.object);
        let config = self.config;
        if let Some(n) = self.nodes.get_mut(node) {
            if n.keep || n.keeps {
                n.gone = None;
            } else if member && n.gone.is_none() {
                n.gone = match n.sort {
                    Sort::Null if config.drop_nulls => Some(Gone::Null),
                    _ if empty && config.drop_empty => Some(Gone::Empty),
                    _ => None,
                };
            }
            let (keeps, stays) = (n.keep || n.keeps, n.gone.is_none());
            if let Some(level) = self.levels.last_mut() {
                level.stays += usize::from(stays);
                if let Some(parent) = self.nodes.get_mut(level.node) {
                    parent.keeps |= keeps;
                    parent.count += 1;
                }
            }
        }
    }
}

impl Visit for Builder<'_> {
    fn open(&mut self, at: usize, object: bool) {
        let node = self.nodes.len();
        let (keep, drop) = self.add(if object { Sort::Object } else { Sort::Array }, at, at);
        self.levels.push(Level { node, object, index: 0, stays: 0, keep, drop });
    }

    fn close(&mut self, end: usize) {
        if self.full {
            return;
        }
        if let Some(level) = self.levels.pop() {
            let next = self.nodes.len() as u32;
            self.nodes[level.node].end = end as u32;
            self.nodes[level.node].next = next;
            self.done(level.node, level.stays == 0);
        }
    }

    fn name(&mut self, name: Span) {
        self.name = name;
    }

    fn string(&mut self, value: Span) {
        if !self.full {
            self.add(Sort::String, value.start, value.end);
            self.done(self.nodes.len() - 1, value.start == value.end);
        }
    }

    fn other(&mut self, start: usize, end: usize) {
        if !self.full {
            let sort = if self.text.as_bytes()[start] == b'n' { Sort::Null } else { Sort::Other };
            self.add(sort, start, end);
            self.done(self.nodes.len() - 1, false);
        }
    }
}
