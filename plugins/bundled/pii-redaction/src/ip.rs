//! Addresses of the internet protocol. Those of the machine itself are nobody's.

use crate::edge;
use crate::run::{value, Run};
use std::net::Ipv6Addr;

/// Where an IPv4 address in dotted form ends.
pub fn v4(text: &str, run: &Run) -> Option<usize> {
    if run.groups < 4 || run.separator(4) != Some(b'.') {
        return None;
    }
    let digits = run.digits(4);
    let mut from = 0;
    for g in 0..4 {
        let octet = &digits[from..from + run.len(g)];
        from += run.len(g);
        if octet.len() > 3 || value(octet) > 255 || octet.len() > 1 && octet[0] == 0 {
            return None;
        }
    }
    let own = value(&digits[..run.len(0)]) == 127 || digits == [0; 4];
    if own || !edge::tail(text, run.end(4), false) {
        return None;
    }
    Some(run.end(4))
}

/// Whether an IPv6 address may begin here: not in the middle of one, and not behind a
/// mask and a colon.
pub fn head(text: &str, start: usize) -> bool {
    let b = text.as_bytes();
    let inside = |at: usize| matches!(b[at], b':' | b']' | b'*') || b[at].is_ascii_hexdigit();
    !edge::word_before(text, start) && !(start > 0 && b[start - 1] == b':' && (start < 2 || inside(start - 2)))
}

/// Where an IPv6 address (RFC 4291, with or without a zone) that begins at `start` ends.
pub fn v6(text: &str, start: usize) -> Option<usize> {
    let b = text.as_bytes();
    let len = b[start..].iter().take(46).take_while(|c| c.is_ascii_hexdigit() || matches!(c, b':' | b'.')).count();
    let part = text[start..start + len].trim_end_matches('.');
    // A colon behind the address is one of the sentence.
    let part = if part.ends_with(':') && !part.ends_with("::") { &part[..part.len() - 1] } else { part };
    let end = start + part.len();
    let address: Ipv6Addr = part.parse().ok()?;
    let named = part.bytes().any(|c| c.is_ascii_digit()) && part.len() > 3;
    if !named || address.is_loopback() || address.is_unspecified() || edge::word_at(text, end) {
        return None;
    }
    Some(end)
}
