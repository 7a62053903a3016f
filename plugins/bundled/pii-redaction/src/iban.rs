//! Bank accounts: IBAN (ISO 13616), with the length of its country and its check digits.

use crate::edge;

/// Country and length, sorted, as SWIFT's IBAN registry lists them.
const LENGTHS: &[(&[u8; 2], usize)] = &[
    (b"AD", 24),
    (b"AE", 23),
    (b"AL", 28),
    (b"AT", 20),
    (b"AZ", 28),
    (b"BA", 20),
    (b"BE", 16),
    (b"BG", 22),
    (b"BH", 22),
    (b"BI", 27),
    (b"BR", 29),
    (b"BY", 28),
    (b"CH", 21),
    (b"CR", 22),
    (b"CY", 28),
    (b"CZ", 24),
    (b"DE", 22),
    (b"DJ", 27),
    (b"DK", 18),
    (b"DO", 28),
    (b"EE", 20),
    (b"EG", 29),
    (b"ES", 24),
    (b"FI", 18),
    (b"FK", 18),
    (b"FO", 18),
    (b"FR", 27),
    (b"GB", 22),
    (b"GE", 22),
    (b"GI", 23),
    (b"GL", 18),
    (b"GR", 27),
    (b"GT", 28),
    (b"HN", 28),
    (b"HR", 21),
    (b"HU", 28),
    (b"IE", 22),
    (b"IL", 23),
    (b"IQ", 23),
    (b"IS", 26),
    (b"IT", 27),
    (b"JO", 30),
    (b"KW", 30),
    (b"KZ", 20),
    (b"LB", 28),
    (b"LC", 32),
    (b"LI", 21),
    (b"LT", 20),
    (b"LU", 20),
    (b"LV", 21),
    (b"LY", 25),
    (b"MC", 27),
    (b"MD", 24),
    (b"ME", 22),
    (b"MK", 19),
    (b"MN", 20),
    (b"MR", 27),
    (b"MT", 31),
    (b"MU", 30),
    (b"NI", 28),
    (b"NL", 18),
    (b"NO", 15),
    (b"OM", 23),
    (b"PK", 24),
    (b"PL", 28),
    (b"PS", 29),
    (b"PT", 25),
    (b"QA", 29),
    (b"RO", 24),
    (b"RS", 22),
    (b"RU", 33),
    (b"SA", 24),
    (b"SC", 31),
    (b"SD", 18),
    (b"SE", 24),
    (b"SI", 19),
    (b"SK", 24),
    (b"SM", 27),
    (b"SO", 23),
    (b"ST", 25),
    (b"SV", 28),
    (b"TL", 23),
    (b"TN", 24),
    (b"TR", 26),
    (b"UA", 29),
    (b"VA", 22),
    (b"VG", 24),
    (b"XK", 20),
    (b"YE", 30),
];

/// Where an IBAN that begins at `start` ends. It may be written in groups, with one
/// space or hyphen between, and in small letters.
pub fn find(text: &str, start: usize) -> Option<usize> {
    let b = text.as_bytes();
    let country = [b.get(start)?.to_ascii_uppercase(), b.get(start + 1)?.to_ascii_uppercase()];
    let row = LENGTHS.binary_search_by(|(c, _)| c[..].cmp(&country[..])).ok()?;
    let (mut at, mut len, mut rest, mut head) = (start, 0, 0, [0; 4]);
    loop {
        let c = b.get(at)?.to_ascii_uppercase();
        if !c.is_ascii_alphanumeric() || (2..4).contains(&len) && !c.is_ascii_digit() {
            return None;
        }
        if len < 4 {
            head[len] = c;
        } else {
            rest = digit(rest, c);
        }
        len += 1;
        at += 1;
        if len == LENGTHS[row].1 {
            break;
        }
        if let Some((b' ' | b'-', skip)) = edge::separator(b, at) {
            at += skip;
        }
    }
    let good = head.iter().fold(rest, |n, &c| digit(n, c)) == 1 && edge::tail(text, at, false);
    if good {
        Some(at)
    } else {
        None
    }
}

/// One more character of a number modulo 97; letters count from 10.
fn digit(n: u32, c: u8) -> u32 {
    match c {
        b'0'..=b'9' => (n * 10 + u32::from(c - b'0')) % 97,
        _ => (n * 100 + u32::from(c - b'A') + 10) % 97,
    }
}
