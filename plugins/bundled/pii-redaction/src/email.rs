//! Addresses of electronic mail, also with `%40` for the @ as in an URL.

use crate::edge;

/// Ends of file names that stand behind an @ for another reason: icon@2x.png.
const FILES: &[&str] = &[
    "png", "jpg", "jpeg", "gif", "svg", "webp", "avif", "ico", "css", "js", "mjs", "cjs", "ts", "json", "html", "xml",
    "yaml", "yml",
];

/// Calls back with each address in order: its beginning, its @ and its end.
pub fn each(text: &str, mut hit: impl FnMut(usize, usize, usize)) {
    let b = text.as_bytes();
    let (mut from, mut at) = (0, 0); // from: the left end of what may be the local part
    while at < b.len() {
        let len = match b[at] {
            b'@' => 1,
            b'%' if b.get(at + 1) == Some(&b'4') && b.get(at + 2) == Some(&b'0') => 3,
            _ => {
                at += 1;
                continue;
            }
        };
        let end = domain(text, at + len);
        let start = local(text, from, at);
        let scp = len == 1 && end.map_or(false, |e| &text[start..at] == "git" && b.get(e) == Some(&b':'));
        match end {
            Some(end) if start < at && !scp => {
                hit(start, at, end);
                from = end;
                at = end;
            }
            _ => {
                at += len;
                from = at;
            }
        }
    }
}

/// Where the local part that ends at `end` begins. It has letters of Europe's scripts
/// too (RFC 6531), but not those that are written without spaces.
fn local(text: &str, from: usize, end: usize) -> usize {
    let part = &text[from..end];
    let inside = |c: char| edge::joins(c) || matches!(c, '.' | '+' | '-' | '%' | '\'' | '*' | '~');
    let mut start = end;
    for (i, c) in part.char_indices().rev() {
        if !inside(c) {
            break;
        }
        start = from + i;
    }
    // Quotes and stars around the address belong to the text.
    start + text[start..end].len()
        - text[start..end].trim_start_matches(|c| matches!(c, '.' | '\'' | '*' | '-' | '~' | '%')).len()
}

/// Where the domain that begins at `start` ends: labels of 1 to 63 characters, two at
/// least, the last one letters. What follows it may be anything: ada@example.com-1.
fn domain(text: &str, start: usize) -> Option<usize> {
    let rest = &text[start..];
    let len = rest.find(|c: char| !(c == '-' || c == '.' || c != '_' && edge::joins(c))).unwrap_or(rest.len());
    let name = &rest[..len];
    let (mut from, mut end) = (0, None);
    for (i, label) in name.split('.').enumerate().take(127) {
        if i > 0 {
            end = top(label).map(|len| start + from + len).or(end);
        }
        if label.is_empty() || label.len() > 63 || label.starts_with('-') || label.ends_with('-') {
            break;
        }
        from += label.len() + 1;
    }
    end
}

/// How much of a label is the name of a top-level domain.
fn top(label: &str) -> Option<usize> {
    if label.len() > 4 && label.get(..4).map_or(false, |t| t.eq_ignore_ascii_case("xn--")) {
        return Some(label.trim_end_matches('-').len());
    }
    let name = label.split('-').next().unwrap_or("");
    let good = (2..=63).contains(&name.len())
        && name.chars().all(char::is_alphabetic)
        && !FILES.iter().any(|f| name.eq_ignore_ascii_case(f));
    if good {
        Some(name.len())
    } else {
        None
    }
}
