//! What stands around a find: a number inside a word, a hash or a UUID is none.

/// The letters that join a word; Chinese, Japanese and Korean ones do not, as they are
/// written without spaces.
pub fn joins(c: char) -> bool {
    c == '_' || c.is_ascii_alphanumeric() || ('\u{aa}'..'\u{590}').contains(&c) && c.is_alphanumeric()
}

/// Whether the character that ends at `at` belongs to a word.
pub fn word_before(text: &str, at: usize) -> bool {
    match text.as_bytes()[..at].last() {
        None => false,
        Some(b) if b.is_ascii() => *b == b'_' || b.is_ascii_alphanumeric(),
        Some(_) => text.get(..at).and_then(|t| t.chars().next_back()).map_or(false, joins),
    }
}

/// Whether the character at `at` belongs to a word.
pub fn word_at(text: &str, at: usize) -> bool {
    match text.as_bytes().get(at) {
        None => false,
        Some(b) if b.is_ascii() => *b == b'_' || b.is_ascii_alphanumeric(),
        Some(_) => text.get(at..).and_then(|t| t.chars().next()).map_or(false, joins),
    }
}

/// Whether a find may begin here: not inside a word, not behind the decimals of a
/// number, and not behind the hyphen of a word with digits, as in a UUID.
pub fn head(text: &str, start: usize) -> bool {
    if word_before(text, start) {
        return false;
    }
    let b = text.as_bytes();
    match start.checked_sub(1).map(|i| b[i]) {
        Some(b'.' | b',') => start < 2 || !b[start - 2].is_ascii_digit() || b[start - 1] == b',',
        Some(b'-') => {
            let word = b[..start - 1].iter().rev().take(40).take_while(|c| c.is_ascii_alphanumeric());
            !word.into_iter().any(|c| c.is_ascii_digit())
        }
        _ => true,
    }
}

/// Whether a find may end here. A comma with digits behind it is refused only where it
/// may be a decimal comma: `strict`.
pub fn tail(text: &str, end: usize, strict: bool) -> bool {
    if word_at(text, end) {
        return false;
    }
    let b = text.as_bytes();
    let digit = b.get(end + 1).map_or(false, u8::is_ascii_digit);
    match b.get(end) {
        Some(b'.') => !digit,
        Some(b',') => !(digit && strict),
        Some(b'-') => !b.get(end + 1).map_or(false, u8::is_ascii_alphanumeric),
        Some(b'%') => !strict,
        _ => true,
    }
}

/// The separator at `at`: what it is, and its length; white space that does not break,
/// and hyphens of all lengths, count as their plain ones.
pub fn separator(b: &[u8], at: usize) -> Option<(u8, usize)> {
    match *b.get(at)? {
        c @ (b' ' | b'-' | b'.' | b'/') => Some((c, 1)),
        0xc2 if b.get(at + 1) == Some(&0xa0) => Some((b' ', 2)),
        0xe2 if b.get(at + 1) == Some(&0x80) => match *b.get(at + 2)? {
            0xaf | 0x89 => Some((b' ', 3)),
            0x90..=0x93 => Some((b'-', 3)),
            _ => None,
        },
        _ => None,
    }
}
