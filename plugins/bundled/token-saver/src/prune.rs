//! Writes a JSON text again, compact and without what goes, within a budget.
//!
//! Each step of `STEPS` is tried in order until the text holds the budget. A step that
//! does not is broken off as soon as it is over, so that all of them together cost
//! little more than the one that holds.

use crate::blob;
use crate::config::{Config, MIN_ARRAY, MIN_STRING};
use crate::left::Left;
use crate::tokens::{self, Quarters};
use crate::tree::{Gone, Node, Sort};

/// Bounds of arrays, of strings in characters, of depth and of objects.
#[derive(Clone, Copy)]
struct Limits {
    array: usize,
    string: usize,
    depth: usize,
    members: usize,
}

const ANY: usize = usize::MAX;

/// What is tried, in this order.
const STEPS: &[Limits] = &[
    Limits { array: ANY, string: ANY, depth: ANY, members: ANY },
    Limits { array: 100, string: ANY, depth: ANY, members: ANY },
    Limits { array: 100, string: 1000, depth: ANY, members: ANY },
    Limits { array: 50, string: 1000, depth: ANY, members: ANY },
    Limits { array: 50, string: 500, depth: ANY, members: ANY },
    Limits { array: 20, string: 500, depth: ANY, members: ANY },
    Limits { array: 20, string: 200, depth: ANY, members: ANY },
    Limits { array: 10, string: 200, depth: ANY, members: ANY },
    Limits { array: 10, string: 100, depth: ANY, members: 50 },
    Limits { array: 5, string: 100, depth: ANY, members: 50 },
    Limits { array: 5, string: 100, depth: 6, members: 50 },
    Limits { array: MIN_ARRAY, string: MIN_STRING, depth: 4, members: 20 },
    Limits { array: MIN_ARRAY, string: MIN_STRING, depth: 3, members: 10 },
    Limits { array: MIN_ARRAY, string: MIN_STRING, depth: 2, members: 10 },
    Limits { array: MIN_ARRAY, string: MIN_STRING, depth: 1, members: 5 },
];

/// A text that was written again.
pub struct Pruned {
    pub json: String,
    pub left: Left,
    pub cost: Quarters,
}

/// Writes the value within a budget, if there is one. `inline` puts notes where
/// something is missing, which may change the types of values: good for a text, not for
/// structured content. What is kept is kept even over the budget.
pub fn prune(config: &Config, text: &str, nodes: &[Node], inline: bool, budget: Option<Quarters>) -> Pruned {
    let root = match nodes.first() {
        Some(root) => root,
        None => return Pruned { json: String::new(), left: Left::default(), cost: 0 },
    };
    let mut w = Writer {
        config,
        text,
        nodes,
        inline,
        limits: STEPS[0],
        budget: ANY,
        out: String::new(),
        left: Left::default(),
        spent: 0,
        over: false,
    };
    for step in &STEPS[..if budget.is_some() { STEPS.len() } else { 1 }] {
        w.again(step, budget.unwrap_or(ANY));
        if !w.over {
            return w.done();
        }
    }
    if root.keep || root.keeps {
        w.again(&STEPS[STEPS.len() - 1], ANY);
        return w.done();
    }
    w.again(&STEPS[0], 0);
    w.left = Left { bytes: text.len(), ..Left::default() };
    w.out.clear();
    match (inline, root.sort) {
        (true, _) => {
            let note = format!("\"[{} bytes of JSON left out]\"", text.len());
            if note.len() <= budget.unwrap_or(ANY) {
                w.out = note;
            }
        }
        (_, Sort::Object) => w.out.push_str("{}"),
        (_, Sort::Array) => w.out.push_str("[]"),
        _ => w.out.push_str("\"\""),
    }
    w.spent = tokens::of(&w.out);
    w.done()
}

struct Writer<'a> {
    config: &'a Config,
    text: &'a str,
    nodes: &'a [Node],
    inline: bool,
    limits: Limits,
    budget: Quarters,
    out: String,
    left: Left,
    spent: Quarters,
    over: bool,
}

impl<'a> Writer<'a> {
    fn again(&mut self, step: &Limits, budget: Quarters) {
        self.limits = Limits {
            array: step.array.min(self.config.max_array),
            string: step.string.min(self.config.max_string),
            ..*step
        };
        self.budget = budget;
        self.out.clear();
        self.left = Left::default();
        self.spent = 0;
        self.over = false;
        self.value(0, 0, false);
    }

    fn done(self) -> Pruned {
        Pruned { json: self.out, left: self.left, cost: self.spent }
    }

    fn push(&mut self, text: &str) {
        self.spent += tokens::of(text);
        self.over |= self.spent > self.budget;
        if !self.over {
            self.out.push_str(text);
        }
    }

    /// The values in a node, those that go excepted.
    fn staying(&self, node: usize, kept: bool) -> impl Iterator<Item = usize> + 'a {
        let nodes = self.nodes;
        let end = nodes[node].next as usize;
        let mut at = node + 1;
        std::iter::from_fn(move || {
            while at < end {
                let this = at;
                at = nodes[at].next as usize;
                if kept || nodes[this].gone.is_none() {
                    return Some(this);
                }
            }
            None
        })
    }

    fn count_gone(&mut self, node: usize, array: bool) {
        let end = self.nodes[node].next as usize;
        let mut at = node + 1;
        while at < end {
            match self.nodes[at].gone {
                Some(Gone::Null) => self.left.nulls += 1,
                Some(Gone::Empty) => self.left.empties += 1,
                Some(Gone::Dropped) if array => self.left.elements += 1,
                Some(Gone::Dropped) => self.left.members += 1,
                None => {}
            }
            at = self.nodes[at].next as usize;
        }
    }

    fn value(&mut self, at: usize, depth: usize, kept: bool) {
        if self.over {
            return;
        }
        let nodes = self.nodes;
        let node = &nodes[at];
        let kept = kept || node.keep;
        let raw = &self.text[node.start as usize..node.end as usize];
        match node.sort {
            Sort::Null | Sort::Other => self.push(raw),
            Sort::String => self.string(raw, kept),
            Sort::Object | Sort::Array => {
                let object = node.sort == Sort::Object;
                if depth >= self.limits.depth && !kept && !node.keeps && node.count > 0 {
                    self.left.deep += 1;
                    match (self.inline, object) {
                        (true, true) => self.push(&format!("\"{{… {} members left out}}\"", node.count)),
                        (true, false) => self.push(&format!("\"[… {} elements left out]\"", node.count)),
                        (false, true) => self.push("{}"),
                        (false, false) => self.push("[]"),
                    }
                    return;
                }
                if !kept {
                    self.count_gone(at, !object);
                }
                if object {
                    self.object(at, depth, kept);
                } else {
                    self.array(at, depth, kept);
                }
            }
        }
    }

    fn object(&mut self, at: usize, depth: usize, kept: bool) {
        let (nodes, text) = (self.nodes, self.text);
        let name = |n: usize| &text[nodes[n].name.0 as usize..nodes[n].name.1 as usize];
        let count = self.staying(at, kept).count();
        let over = !kept && count > self.limits.members;
        let mut shown = 0;
        let mut omitted = 0;
        self.push("{");
        for member in self.staying(at, kept) {
            if self.over {
                return;
            }
            let must = nodes[member].keep || nodes[member].keeps;
            // The name of a note stands once.
            if over && (shown >= self.limits.members && !must || self.inline && name(member) == "…") {
                omitted += 1;
                continue;
            }
            self.push(if shown > 0 { ",\"" } else { "\"" });
            self.push(name(member));
            self.push("\":");
            self.value(member, depth + 1, kept);
            shown += 1;
        }
        if omitted > 0 {
            self.left.members += omitted;
            if self.inline {
                self.push(if shown > 0 { "," } else { "" });
                self.push(&format!("\"…\":\"{} more members left out\"", omitted));
            }
        }
        self.push("}");
    }

    fn array(&mut self, at: usize, depth: usize, kept: bool) {
        let nodes = self.nodes;
        let count = self.staying(at, kept).count();
        let (mut head, mut tail) = (count, 0);
        if !kept && count > self.limits.array {
            // A quarter of what is shown is the end; the note takes the place of one.
            let places = self.limits.array - usize::from(self.inline);
            tail = (places / 4).max(1);
            head = places - tail;
        }
        let shows = |i: usize, n: usize| i < head || i >= count - tail || nodes[n].keep;
        let omitted =
            if head == count { 0 } else { self.staying(at, kept).enumerate().filter(|&(i, n)| !shows(i, n)).count() };
        self.left.elements += omitted;
        let mut noted = omitted == 0 || !self.inline;
        let mut first = true;
        self.push("[");
        for (i, element) in self.staying(at, kept).enumerate() {
            if self.over {
                return;
            }
            let show = shows(i, element);
            if !show && noted {
                continue;
            }
            self.push(if first { "" } else { "," });
            first = false;
            if show {
                self.value(element, depth + 1, kept);
            } else {
                self.push(&format!("\"… {} elements left out\"", omitted));
                noted = true;
            }
        }
        self.push("]");
    }

    fn string(&mut self, raw: &str, kept: bool) {
        self.push("\"");
        if kept {
            self.push(raw);
        } else {
            let blobs = if self.config.blobs && raw.len() >= blob::LEAST { blob::replace(raw) } else { None };
            let raw = match &blobs {
                Some((text, count)) => {
                    self.left.blobs += count;
                    text.as_str()
                }
                None => raw,
            };
            match cut(raw, self.limits.string) {
                Some(end) => {
                    self.left.strings += 1;
                    self.push(&raw[..end]);
                    self.push(&format!("… ({} bytes left out)", raw.len() - end));
                }
                None => self.push(raw),
            }
        }
        self.push("\"");
    }
}

/// Room for the note behind the part of a string.
const NOTE: usize = 32;

/// Where to cut a string, between its quotes, that has more characters than the limit;
/// an escape is one character, and never cut.
fn cut(raw: &str, limit: usize) -> Option<usize> {
    if raw.len() <= limit {
        return None;
    }
    let b = raw.as_bytes();
    let keep = limit.saturating_sub(NOTE);
    let (mut at, mut count, mut end) = (0, 0, 0);
    while at < b.len() {
        if count == keep {
            end = at;
        }
        if count == limit {
            return Some(end);
        }
        at += match b[at] {
            b'\\' if b.get(at + 1) == Some(&b'u') => {
                let high = matches!(b.get(at + 2), Some(b'd' | b'D'))
                    && matches!(b.get(at + 3), Some(b'8' | b'9' | b'a' | b'b' | b'A' | b'B'));
                if high && b.get(at + 6) == Some(&b'\\') && b.get(at + 7) == Some(&b'u') {
                    12
                } else {
                    6
                }
            }
            b'\\' => 2,
            0..=0x7f => 1,
            0xc0..=0xdf => 2,
            0xe0..=0xef => 3,
            _ => 4,
        };
        count += 1;
    }
    None
}
