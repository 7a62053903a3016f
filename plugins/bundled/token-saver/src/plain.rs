//! Texts that are not JSON.

use crate::blob;
use crate::config::{Config, Whitespace};
use crate::left::Left;
use crate::tokens::{self, Quarters};
use std::borrow::Cow;

/// The text without what no model needs.
pub fn tidy<'a>(config: &Config, text: &'a str, left: &mut Left) -> Cow<'a, str> {
    let mut text = Cow::Borrowed(text);
    if config.blobs && text.len() >= blob::LEAST {
        if let Some((new, count)) = blob::replace(&text) {
            left.blobs += count;
            text = Cow::Owned(new);
        }
    }
    if config.whitespace == Whitespace::Keep {
        return text;
    }
    let mut out = String::with_capacity(text.len());
    let mut empty = 0;
    for (i, line) in text.split('\n').enumerate() {
        let line = line.trim_end_matches(|c| matches!(c, ' ' | '\t' | '\r'));
        empty = if line.is_empty() { empty + 1 } else { 0 };
        if empty > 1 {
            continue;
        }
        if i > 0 {
            out.push('\n');
        }
        if config.whitespace == Whitespace::Collapse {
            collapse(line, &mut out);
        } else {
            out.push_str(line);
        }
    }
    if out == *text {
        text
    } else {
        Cow::Owned(out)
    }
}

/// One space for many, but for those that a line begins with.
fn collapse(line: &str, out: &mut String) {
    let indent = line.len() - line.trim_start_matches(|c| c == ' ' || c == '\t').len();
    out.push_str(&line[..indent]);
    let mut space = false;
    for c in line[indent..].chars() {
        let is = c == ' ' || c == '\t';
        if !(is && space) {
            out.push(if is { ' ' } else { c });
        }
        space = is;
    }
}

/// What the note may take.
const NOTE: Quarters = 60;

/// The beginning and the end of a text within a budget, with a note between, and how
/// many bytes are missing. It is cut at ends of lines where they are near.
pub fn cut(text: &str, budget: Quarters) -> (String, usize) {
    if tokens::of(text) <= budget {
        return (text.to_owned(), 0);
    }
    if budget < NOTE {
        return (String::new(), text.len());
    }
    let room = budget - NOTE;
    let mut spent = 0;
    let mut head = 0;
    for (i, c) in text.char_indices() {
        spent += tokens::of_char(c);
        if spent > room / 4 * 3 {
            break;
        }
        head = i + c.len_utf8();
    }
    if let Some(line) = text[..head].rfind('\n').filter(|&line| line + 1 >= head / 5 * 4) {
        head = line + 1;
    }
    spent = 0;
    let mut tail = text.len();
    for (i, c) in text[head..].char_indices().rev() {
        spent += tokens::of_char(c);
        if spent > room / 4 {
            break;
        }
        tail = head + i;
    }
    if let Some(line) = text[tail..].find('\n').filter(|&line| line <= (text.len() - tail) / 5) {
        tail += line + 1;
    }
    let (begin, end) = (text[..head].trim_end(), text[tail..].trim());
    let missing = text.len() - begin.len() - end.len();
    let mut out = format!("{}\n[… {} bytes left out …]\n{}", begin, missing, end);
    if end.is_empty() {
        out.pop();
    }
    (out, missing)
}
