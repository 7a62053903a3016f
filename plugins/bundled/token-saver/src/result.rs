//! Goes through a result: shares the budget among its texts, and says what was left out.

use crate::config::{Config, Structured};
use crate::left::{Left, WORDS};
use crate::plain;
use crate::prune;
use crate::scan::{self, Broken, Places, Span, Visit};
use crate::tokens::{self, Quarters};
use crate::tree::{self, Node};

/// The member of `_meta` that says what was left out.
const META: &str = "sallyport/token-saver";

/// One text of the result.
struct Work {
    span: Span,
    source: String,
    nodes: Option<Vec<Node>>,
    new: String,
    left: Left,
    cost: Quarters,
}

impl Work {
    fn new(config: &Config, span: Span, source: String) -> Work {
        let json = matches!(source.trim_start().as_bytes().first(), Some(b'{' | b'['));
        let nodes = if json { tree::read(config, &source) } else { None };
        let mut work = Work { span, source, nodes, new: String::new(), left: Left::default(), cost: 0 };
        work.shrink(config, None);
        work
    }

    fn shrink(&mut self, config: &Config, budget: Option<Quarters>) {
        if let Some(nodes) = &self.nodes {
            let pruned = prune::prune(config, &self.source, nodes, true, budget);
            self.new = pruned.json;
            self.left = pruned.left;
            self.cost = pruned.cost;
            return;
        }
        self.left = Left::default();
        let tidy = plain::tidy(config, &self.source, &mut self.left);
        self.new = match budget {
            None => tidy.into_owned(),
            Some(budget) => {
                let (new, bytes) = plain::cut(&tidy, budget);
                self.left.bytes = bytes;
                new
            }
        };
        self.cost = tokens::of(&self.new);
    }
}

/// The result within its budget, or None when it needs no change.
pub fn transform(config: &Config, text: &str) -> Result<Option<Vec<u8>>, Broken> {
    let mut outline = Outline { text, ..Outline::default() };
    scan::read(text, &mut outline)?;
    let mut edits: Vec<(usize, usize, String)> = Vec::new();
    let mut left = Left::default();
    let (mut before, mut after) = (0, 0);

    let (mut plain, mut places) = (String::new(), Places::new());
    let mut works: Vec<Work> = Vec::with_capacity(outline.texts.len());
    for &span in &outline.texts {
        scan::unescape(span.of(text), &mut plain, &mut places);
        before += tokens::of(&plain);
        works.push(Work::new(config, span, std::mem::take(&mut plain)));
    }
    if let Some((name, start, end)) = outline.structured.filter(|_| config.structured != Structured::Keep) {
        let value = &text[start..end];
        before += tokens::of(value);
        if config.structured == Structured::Drop {
            if !works.is_empty() {
                left.structured = true;
                edits.push(without(text, name, end));
            } else {
                after += tokens::of(value);
            }
        } else if let Some(nodes) = tree::read(config, value) {
            let pruned = prune::prune(config, value, &nodes, false, budget(config));
            left.add(&pruned.left);
            after += pruned.cost;
            if pruned.json != value {
                edits.push((start, end, pruned.json));
            }
        } else {
            after += tokens::of(value);
        }
    }
    share(config, &mut works, !left.nothing());
    for work in &works {
        left.add(&work.left);
        after += work.cost;
        if work.new != work.source {
            let mut new = String::with_capacity(work.new.len() + work.new.len() / 8);
            scan::escape_into(&mut new, &work.new);
            edits.push((work.span.start, work.span.end, new));
        }
    }

    if edits.is_empty() {
        return Ok(None);
    }
    if !left.nothing() {
        if let Some((end, empty)) = outline.content.filter(|_| config.note) {
            let words = left.words();
            after += tokens::of(&words);
            edits.push((
                end,
                end,
                format!("{}{{\"type\":\"text\",\"text\":\"{}\"}}", if empty { "" } else { "," }, words),
            ));
        }
        let said = left.json(tokens::whole(before), tokens::whole(after));
        edits.push(match (outline.said, outline.meta) {
            (Some((start, end)), _) => (start, end, said),
            (None, Some((end, empty))) => (end, end, format!("{}\"{}\":{}", if empty { "" } else { "," }, META, said)),
            (None, None) => (outline.end - 1, outline.end - 1, format!(",\"_meta\":{{\"{}\":{}}}", META, said)),
        });
    }
    edits.sort_by_key(|e| e.0);
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    for (start, end, new) in edits {
        out.push_str(&text[from..start]);
        out.push_str(&new);
        from = end;
    }
    out.push_str(&text[from..]);
    Ok(Some(out.into_bytes()))
}

fn budget(config: &Config) -> Option<Quarters> {
    Some(config.max_tokens * 4).filter(|&b| b > 0)
}

/// Makes all texts together hold the budget: each may have the same share, and what the
/// short ones do not need the long ones get. `noted` says that there will be a note even if
/// the texts stay as they are.
fn share(config: &Config, works: &mut [Work], noted: bool) {
    let budget = match budget(config) {
        Some(budget) => budget,
        None => return,
    };
    let total: Quarters = works.iter().map(|w| w.cost).sum();
    let words = if config.note { WORDS } else { 0 };
    let noted = noted || works.iter().any(|w| !w.left.nothing());
    if total + if noted { words } else { 0 } <= budget {
        return;
    }
    let mut order: Vec<usize> = (0..works.len()).collect();
    order.sort_by_key(|&i| (works[i].cost, i));
    let mut rest = budget.saturating_sub(words);
    for (done, &i) in order.iter().enumerate() {
        let share = rest / (order.len() - done);
        if works[i].cost > share {
            works[i].shrink(config, Some(share));
        }
        rest = rest.saturating_sub(works[i].cost);
    }
}

/// Takes a member out, with the comma before or behind it.
fn without(text: &str, name: usize, end: usize) -> (usize, usize, String) {
    let before = text[..name].trim_end();
    let start = match before.strip_suffix(',') {
        Some(rest) => rest.len(),
        None => {
            let behind = text[end..].trim_start();
            let end = if behind.starts_with(',') { text.len() - behind.len() + 1 } else { end };
            return (name, end, String::new());
        }
    };
    (start, end, String::new())
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Member {
    Content,
    Structured(usize), // where the name begins
    Meta,
    Said,
    Type,
    Text,
    Resource,
    #[default]
    Other,
}

/// What there is in a result, and where.
#[derive(Default)]
struct Outline<'a> {
    text: &'a str,
    depth: usize,
    member: Member,
    within: Member, // the member of the result that we are in
    resource: bool,
    block: Option<Span>,
    is_text: bool,
    opened: usize,

    texts: Vec<Span>,
    structured: Option<(usize, usize, usize)>, // name, value
    content: Option<(usize, bool)>,            // before its bracket; whether it is empty
    meta: Option<(usize, bool)>,
    said: Option<(usize, usize)>,
    end: usize,
    filled: bool,
}

impl Outline<'_> {
    fn value(&mut self, start: usize, end: usize) {
        match self.member {
            Member::Structured(name) if self.depth == 1 => self.structured = Some((name, start, end)),
            Member::Said if self.depth == 2 => self.said = Some((start, end)),
            _ => {}
        }
        self.filled = true;
    }
}

impl Visit for Outline<'_> {
    fn open(&mut self, at: usize, object: bool) {
        self.depth += 1;
        match self.depth {
            2 => {
                let fits = match self.member {
                    Member::Content => !object,
                    Member::Meta => object,
                    Member::Structured(_) => true,
                    _ => false,
                };
                self.within = if fits { self.member } else { Member::Other };
                self.opened = at;
                self.filled = false;
            }
            3 => {
                if self.within == Member::Meta && self.member == Member::Said {
                    self.said = Some((at, at));
                }
                self.block = None;
                self.is_text = false;
            }
            4 => self.resource = self.member == Member::Resource && object,
            _ => {}
        }
        self.member = Member::Other;
    }

    fn close(&mut self, end: usize) {
        match (self.depth, self.within) {
            (2, Member::Content) => self.content = Some((end - 1, !self.filled)),
            (2, Member::Meta) => self.meta = Some((end - 1, !self.filled)),
            (2, Member::Structured(name)) => self.structured = Some((name, self.opened, end)),
            (3, Member::Content) => {
                if self.is_text {
                    self.texts.extend(self.block);
                }
                self.filled = true;
            }
            (3, _) => {
                if let Some(said) = self.said.as_mut().filter(|s| self.within == Member::Meta && s.0 == s.1) {
                    said.1 = end;
                }
                self.filled = true;
            }
            (4, _) => self.resource = false,
            _ => {}
        }
        self.depth -= 1;
        self.end = end;
    }

    fn name(&mut self, name: Span) {
        self.member = match (self.depth, self.within, name.of(self.text)) {
            (1, _, "content") => Member::Content,
            (1, _, "structuredContent") => Member::Structured(name.start - 1),
            (1, _, "_meta") => Member::Meta,
            (2, Member::Meta, META) => Member::Said,
            (3, Member::Content, "type") => Member::Type,
            (3, Member::Content, "text") => Member::Text,
            (3, Member::Content, "resource") => Member::Resource,
            (4, Member::Content, "text") if self.resource => Member::Text,
            _ => Member::Other,
        };
    }

    fn string(&mut self, value: Span) {
        match self.member {
            Member::Type => self.is_text = value.of(self.text) == "text",
            Member::Text if self.depth == 3 => self.block = Some(value),
            Member::Text => self.texts.push(value),
            _ => {}
        }
        self.value(value.start - 1, value.end + 1);
    }

    fn other(&mut self, start: usize, end: usize) {
        self.value(start, end);
    }
}
