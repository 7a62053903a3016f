//! Telephone numbers: E.164 with its plus sign, and the usual national writings.
//!
//! A plus with a country's code stands for itself. A national number must be grouped as
//! people group it and must not be a date or an address; a word like "order" beside it
//! says that it is none. Bare digits take a word like "phone" beside them.

use crate::edge;
use crate::words::{Near, NOT_PHONE, PHONE};

const PARTS: usize = 9;
const DIGITS: usize = 17;

/// One group of digits.
#[derive(Clone, Copy, Default)]
struct Part {
    len: u8,
    paren: bool,
    sep: u8,  // before it; 0 = none
    end: u32, // behind the number's beginning, its closing parenthesis included
}

struct Dial {
    digits: [u8; DIGITS],
    total: usize,
    parts: [Part; PARTS],
    count: usize,
}

/// Whether a national number may begin with this digit, by its first group alone.
pub fn may_begin(b: &[u8], at: usize, near: &Near) -> bool {
    if near.says(PHONE) {
        return true;
    }
    let len = b[at..].iter().take(6).take_while(|c| c.is_ascii_digit()).count();
    match (b[at], len) {
        // 0 (30) …, 1-212-…, 8 (495) …
        (b'0' | b'1' | b'7' | b'8', 1) => {
            let behind = &b[at + 1..b.len().min(at + 8)];
            behind.contains(&b'(') || behind.windows(3).any(|w| w.iter().all(u8::is_ascii_digit))
        }
        (b'0', _) => true,
        (c, 2) => c >= b'6',
        (_, len) => len == 3,
    }
}

/// Where a number that begins at `start` ends; there stands a digit, a plus sign or an
/// opening parenthesis.
pub fn find(text: &str, start: usize, near: &Near) -> Option<usize> {
    let plus = text.as_bytes()[start] == b'+';
    let dial = read(text, start + usize::from(plus), plus);
    if dial.total < 7 {
        return None;
    }
    let mut total = dial.total;
    for count in (1..=dial.count).rev() {
        let parts = &dial.parts[..count];
        let digits = &dial.digits[..total];
        total -= usize::from(parts[count - 1].len);
        if good(plus, digits, parts, near) && edge::tail(text, start + parts[count - 1].end as usize, true) {
            return Some(start + parts[count - 1].end as usize);
        }
    }
    None
}

fn read(text: &str, start: usize, plus: bool) -> Dial {
    let b = text.as_bytes();
    let mut dial = Dial { digits: [0; DIGITS], total: 0, parts: [Part::default(); PARTS], count: 0 };
    let begin = start - usize::from(plus);
    let (mut at, mut sep) = (start, 0);
    while dial.count < PARTS {
        let paren = b.get(at) == Some(&b'(');
        let from = at + usize::from(paren);
        let mut end = from;
        while let Some(c) = b.get(end).filter(|c| c.is_ascii_digit()) {
            if dial.total + end - from == DIGITS {
                return dial;
            }
            dial.digits[dial.total + end - from] = c - b'0';
            end += 1;
        }
        let len = end - from;
        let closed = !paren || b.get(end) == Some(&b')');
        // One digit alone is the code of a country, an area behind it, or (0).
        if len == 0
            || !closed
            || len == 1 && dial.count > usize::from(plus) && !paren
            || len > if paren { 5 } else { 15 }
        {
            return dial;
        }
        end += usize::from(paren);
        dial.parts[dial.count] = Part { len: len as u8, paren, sep, end: (end - begin) as u32 };
        dial.count += 1;
        dial.total += len;
        at = end;
        sep = if paren { b')' } else { 0 };
        // One separator, or one with a space on one side or on both.
        let mut spaces = 0;
        for _ in 0..3 {
            match edge::separator(b, at) {
                Some((b' ', len)) if spaces < 2 => {
                    spaces += 1;
                    sep = if sep == 0 { b' ' } else { sep };
                    at += len;
                }
                Some((s, len)) if s != b' ' && matches!(sep, 0 | b' ' | b')') => {
                    sep = s;
                    at += len;
                }
                _ => break,
            }
        }
        if sep == 0 && b.get(at) != Some(&b'(') {
            return dial;
        }
    }
    dial
}

fn good(plus: bool, digits: &[u8], parts: &[Part], near: &Near) -> bool {
    if digits.len() < 7 {
        return false;
    }
    if plus {
        return international(digits, parts);
    }
    let total = digits.len();
    let said = near.says(PHONE);
    if near.says(NOT_PHONE) || dated(digits, parts) || addressed(parts) {
        return false;
    }
    let grouped = parts.len() > 1;
    let shape = |lens: &[u8]| parts.iter().map(|p| p.len).eq(lens.iter().copied()) && uniform(parts);
    // 00 and the code of a country
    if digits.starts_with(&[0, 0]) {
        return (grouped || said) && international(&digits[2..], &[]);
    }
    // North America: 212-555-0123, (212) 555-0123, 1-212-555-0123
    let american = |d: &[u8]| d[0] >= 2 && d[3] >= 2;
    if total == 10
        && grouped
        && american(digits)
        && (shape(&[3, 3, 4]) || parts[0].paren && parts[0].len == 3 && parts.len() == 3)
    {
        return true;
    }
    if total == 11
        && digits[0] == 1
        && parts.len() == 4
        && parts[1].len == 3
        && parts[2].len == 3
        && american(&digits[1..])
    {
        return true;
    }
    // A code in parentheses, behind the trunk's digit or not: (030) 123456, 8 (495) 123-45-67
    let code = usize::from(parts[0].len == 1 && matches!(digits[0], 0 | 1 | 7 | 8) && grouped);
    if parts[code].paren && parts.len() > code + 1 && (2..=5).contains(&parts[code].len) && (8..=12).contains(&total) {
        let first = &digits[code..code + 2];
        let year = parts[code].len == 4 && (first == [1, 9] || first == [2, 0]);
        return !year || said;
    }
    // A trunk's zero: 030 1234567, 01 23 45 67 89, 0171/1234567
    let trunk = digits[0] == 0 && digits[1] != 0 && (9..=12).contains(&total);
    if trunk
        && grouped
        && (2..=5).contains(&parts[0].len)
        && parts[1..].iter().all(|p| !p.paren && p.len >= 2)
        && tidy(parts)
    {
        return true;
    }
    // Mobile numbers of Great Britain, France and Germany are written without groups.
    let mobile = match (digits[0], digits[1], digits[2]) {
        (0, 7, 1..=9) if total == 11 => true,
        (0, 6 | 7, _) if total == 10 => true,
        (0, 1, 5..=7) if total == 11 || total == 12 => true,
        _ => false,
    };
    if mobile && !grouped {
        return true;
    }
    // China's mobiles, Spain's landlines and mobiles
    if shape(&[3, 4, 4]) && digits[0] == 1 && digits[1] >= 3
        || (shape(&[3, 2, 2, 2]) || shape(&[2, 3, 2, 2])) && digits[0] >= 6
    {
        return true;
    }
    said && (7..=13).contains(&total) && (total >= 9 || grouped || total == 8)
}

/// The code of a country and what follows it, within E.164's 15 digits.
fn international(digits: &[u8], parts: &[Part]) -> bool {
    let total = digits.len();
    // +49 (0)30 …: the zero is not dialled, and the number may be one longer.
    let trunk = parts.len() > 1 && parts[1].paren && parts[1].len == 1;
    if total < 8 || total > 15 + usize::from(trunk) {
        return false;
    }
    match (digits[0], digits[1], digits[2]) {
        (1, area, _) => total == 11 && area >= 2 && digits[4] >= 2,
        (7, next, _) => total == 11 && next >= 3,
        (2, 0 | 7, _) => true,
        (2, 1, c) => matches!(c, 1..=3 | 6 | 8),
        (2, 2..=6, _) => true,
        (2, 9, c) => matches!(c, 0 | 1 | 7..=9),
        (3, 5 | 7 | 8, c) => c != 4 || digits[1] == 5,
        (3, _, _) => true,
        (4, 2, c) => matches!(c, 0 | 1 | 3),
        (4, _, _) => true,
        (5, 0 | 9, _) => true,
        (5, _, _) => true,
        (6, 7..=9, c) => digits[1] != 9 || c <= 2,
        (6, _, _) => true,
        (8, 0, c) => c == 0 || c == 8,
        (8, 1 | 2 | 4 | 6, _) => true,
        (8, 5, c) => matches!(c, 0 | 2 | 3 | 5 | 6),
        (8, 7 | 8, c) => matches!(c, 0 | 1 | 2 | 3 | 6 | 8),
        (9, 0..=5 | 8, _) => true,
        (9, 6, c) => c != 9,
        (9, 7, c) => matches!(c, 0..=7 | 9),
        (9, 9, c) => matches!(c, 2..=6 | 8),
        _ => false,
    }
}

fn uniform(parts: &[Part]) -> bool {
    parts.iter().all(|p| !p.paren) && parts[1..].iter().all(|p| p.sep == parts[1].sep)
}

/// At most two sorts of separators, and dots only where they are no decimal point.
fn tidy(parts: &[Part]) -> bool {
    let seps = || parts[1..].iter().map(|p| p.sep);
    let first = parts[1].sep;
    let second = seps().find(|&s| s != first).unwrap_or(first);
    seps().all(|s| s == first || s == second) && !(parts.len() == 2 && first == b'.')
}

/// 01.02.2024, 2024-01-02 and 09/11/01 with what may follow them.
fn dated(digits: &[u8], parts: &[Part]) -> bool {
    if parts.len() < 3 || parts[1].sep != parts[2].sep || !matches!(parts[1].sep, b'.' | b'-' | b'/') {
        return false;
    }
    let two = |at: usize| digits[at] * 10 + digits[at + 1];
    let day = |at: usize| (1..=31).contains(&two(at));
    match (parts[0].len, parts[1].len, parts[2].len) {
        (2, 2, 4) => day(0) && day(2) && matches!(digits[4], 1 | 2),
        (4, 2, 2) => matches!(digits[0], 1 | 2) && day(4) && day(6),
        (2, 2, 2) => parts.len() == 3 && day(2),
        _ => false,
    }
}

/// 192.168.001.001, in whatever way it goes on.
fn addressed(parts: &[Part]) -> bool {
    parts.len() == 4 && parts.iter().all(|p| p.len <= 3) && parts[1..].iter().all(|p| p.sep == b'.')
}
