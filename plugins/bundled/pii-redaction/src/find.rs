//! Finds personal data in one text.
//!
//! ```text
//! text ─► emails ─► numbers with a form or check digits ─► telephone numbers
//!           each looks only at what those before it left
//! ```
//!
//! A gap between two finds is looked at as if nothing stood beside it, until nothing is
//! new: so the text with its masks, looked at again, gives nothing. Every step reads
//! each place a bounded number of times, whatever the text.

use crate::config::Config;
use crate::edge;
use crate::kind::Kind;
use crate::national::Beside;
use crate::run::Run;
use crate::words::Near;
use crate::{card, email, iban, ip, national, phone};

/// How often a text is gone through at most; two times are the rule where something is
/// found, and once where nothing is.
const ROUNDS: usize = 4;

/// How far before its first digit something may begin, at most: a codice fiscale, an
/// IPv6 address.
const REACH: usize = 12;
const V6_REACH: usize = 40;

/// How far before a digit words are read.
const FAR: usize = 160;

/// Something to mask, as places in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit {
    pub start: usize,
    pub end: usize,
    pub kind: Kind,
    /// Stands in the allow list: left as it is.
    pub allowed: bool,
}

/// Room for the finds of one text after the other.
#[derive(Default)]
pub struct Finder {
    hits: Vec<Hit>,
    next: Vec<Hit>,
}

impl Finder {
    /// What is in the text, in order. `hint` is what the name of the member says, see
    /// `words::meanings`.
    pub fn find(&mut self, config: &Config, text: &str, hint: u8) -> &[Hit] {
        self.hits.clear();
        let (mut digits, mut at, mut colons) = (0, false, 0);
        for b in text.bytes() {
            digits += usize::from(b.is_ascii_digit());
            at |= b == b'@' || b == b'%';
            colons += usize::from(b == b':');
        }
        if at && config.kinds.has(Kind::Email) {
            let hits = &mut self.hits;
            email::each(text, |start, sign, end| {
                hits.push(Hit {
                    start,
                    end,
                    kind: Kind::Email,
                    allowed: config.allows_email(&text[start..end], sign - start),
                });
            });
        }
        // What is found changes what its neighbours stand beside, so once more until
        // nothing is new.
        for _ in 0..ROUNDS {
            let before = self.hits.len();
            if digits >= 4 || colons > 1 && config.kinds.has(Kind::Ipv6) {
                self.sweep(text, hint, config, numbers);
            }
            if digits >= 7 && config.kinds.has(Kind::Phone) {
                self.sweep(text, hint, config, phones);
            }
            if self.hits.len() == before {
                break;
            }
        }
        self.hits.retain(|h| !h.allowed);
        &self.hits
    }

    /// Goes through what no hit covers yet, word by word. `look` is asked at each place
    /// where something may begin.
    fn sweep(&mut self, text: &str, hint: u8, config: &Config, look: Look) {
        self.next.clear();
        let mut near = Near::new(hint);
        let mut from = 0;
        for i in 0..=self.hits.len() {
            let hit = self.hits.get(i);
            let to = hit.map_or(text.len(), |h| h.start);
            while let Some((start, kind, end)) = first(&text[from..to], &mut near, config, look) {
                let (start, end) = (from + start, from + end);
                self.next.push(Hit { start, end, kind, allowed: config.allows(&text[start..end]) });
                from = end;
            }
            if let Some(hit) = hit {
                self.next.push(*hit);
                from = hit.end;
            }
        }
        std::mem::swap(&mut self.hits, &mut self.next);
    }
}

type Look = fn(&Config, &str, usize, &Near) -> Option<(Kind, usize)>;

/// The first find of `look` in the text.
fn first(text: &str, near: &mut Near, config: &Config, look: Look) -> Option<(usize, Kind, usize)> {
    let b = text.as_bytes();
    let reach = if config.kinds.has(Kind::Ipv6) { V6_REACH } else { REACH };
    let (mut at, mut digit) = (0, 0); // digit: where the next one is
    while at < b.len() {
        if digit <= at {
            digit = at + b[at..].iter().position(u8::is_ascii_digit).unwrap_or(b.len() - at);
            // What is far before it says nothing.
            if digit - at > FAR {
                if let Some(space) = b[digit - FAR..digit].iter().position(u8::is_ascii_whitespace) {
                    at = digit - FAR + space;
                    near.line();
                }
            }
        }
        match b[at] {
            b'\n' => near.line(),
            b'+' | b'(' | b':' => {
                if let Some((kind, end)) = look(config, text, at, near) {
                    return Some((at, kind, end));
                }
            }
            c if c == b'_' || c.is_ascii_alphanumeric() || c >= 0x80 => {
                let end = word_end(text, at);
                if end == at {
                    at += text[at..].chars().next().map_or(1, char::len_utf8);
                    continue;
                }
                if c < 0x80 && digit < b.len() && digit - at < reach {
                    if let Some((kind, end)) = look(config, text, at, near) {
                        return Some((at, kind, end));
                    }
                }
                // The word of a mask says nothing.
                let mask = at > 0 && b[at - 1] == b'[' && b.get(end) == Some(&b']');
                if !c.is_ascii_digit() && !mask {
                    near.word(&text[at..end]);
                }
                at = end;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    None
}

fn word_end(text: &str, start: usize) -> usize {
    let b = text.as_bytes();
    let mut at = start;
    while let Some(&c) = b.get(at) {
        if c == b'_' || c.is_ascii_alphanumeric() {
            at += 1;
        } else if c < 0x80 {
            break;
        } else {
            match text[at..].chars().next() {
                Some(c) if edge::joins(c) => at += c.len_utf8(),
                _ => break,
            }
        }
    }
    at
}

fn numbers(config: &Config, text: &str, at: usize, near: &Near) -> Option<(Kind, usize)> {
    let on = |kind| config.kinds.has(kind);
    let c = text.as_bytes()[at];
    let found = |kind: Kind, end: Option<usize>| end.map(|end| (kind, end));
    if on(Kind::Ipv6) && (c == b':' || c.is_ascii_hexdigit()) && ip::head(text, at) {
        if let Some(end) = ip::v6(text, at) {
            return Some((Kind::Ipv6, end));
        }
    }
    let beside = Beside { near, eager: config.eager };
    if c.is_ascii_digit() {
        if !edge::head(text, at) {
            return None;
        }
        let b = text.as_bytes();
        let len = b[at..].iter().take(21).take_while(|c| c.is_ascii_digit()).count();
        let behind = b.get(at + len).copied().unwrap_or(0);
        // Groups of one or two digits are an IPv4 address, or a Steuer-ID: 12 345 678 903.
        let more = match len {
            1 => behind == b'.',
            2 => behind == b'.' || behind >= 0x80 || (3..6).all(|i| b.get(at + i).map_or(false, u8::is_ascii_digit)),
            _ => len <= 20,
        };
        let run = if more { Run::read(text, at) } else { Run::EMPTY };
        let mut hit = None;
        if run.groups > 0 {
            let mut look = |kind: Kind, find: &dyn Fn() -> Option<usize>| {
                if hit.is_none() && on(kind) {
                    hit = found(kind, find());
                }
            };
            look(Kind::Card, &|| card::find(text, &run));
            look(Kind::UsSsn, &|| national::us_ssn(text, &run, &beside));
            look(Kind::DeSteuerId, &|| national::de_steuer_id(text, &run));
            look(Kind::PlPesel, &|| national::pl_pesel(text, &run));
            look(Kind::SePersonnummer, &|| national::se_personnummer(text, at, &run, &beside));
            look(Kind::NlBsn, &|| national::nl_bsn(text, &run, &beside));
            look(Kind::Ipv4, &|| ip::v4(text, &run));
        }
        if hit.is_none() && on(Kind::FrNir) && matches!(len, 1 | 6 | 13 | 15) {
            hit = found(Kind::FrNir, national::fr_nir(text, at));
        }
        if hit.is_none() && on(Kind::EsDni) && matches!(len, 2 | 8) {
            hit = found(Kind::EsDni, national::es_dni(text, at));
        }
        return hit;
    }
    // Words are not looked at any closer: there must be a digit where a form has one.
    let b = text.as_bytes();
    let digit = |i: usize| b.get(at + i).map_or(false, u8::is_ascii_digit);
    let early = (1..4).any(digit);
    let fiscal = b.get(at + 15).is_some() && ((6..12).any(digit) || (12..15).any(digit));
    if !c.is_ascii_alphabetic() || !(early || fiscal) || !edge::head(text, at) {
        return None;
    }
    let mut hit = None;
    if on(Kind::Iban) && digit(2) {
        hit = found(Kind::Iban, iban::find(text, at));
    }
    if hit.is_none() && on(Kind::UkNino) && (digit(2) || digit(3)) {
        hit = found(Kind::UkNino, national::uk_nino(text, at));
    }
    if hit.is_none() && on(Kind::EsDni) && matches!(c | 0x20, b'x'..=b'z') {
        hit = found(Kind::EsDni, national::es_dni(text, at));
    }
    if hit.is_none() && on(Kind::ItCodiceFiscale) && fiscal {
        hit = found(Kind::ItCodiceFiscale, national::it_codice_fiscale(text, at));
    }
    hit
}

fn phones(_: &Config, text: &str, at: usize, near: &Near) -> Option<(Kind, usize)> {
    let b = text.as_bytes();
    let next = || b.get(at + 1).copied().unwrap_or(0);
    let may = match b[at] {
        b'+' => (next().is_ascii_digit() && next() != b'0' || next() == b'(') && !edge::word_before(text, at),
        b'(' => next().is_ascii_digit() && !edge::word_before(text, at),
        b'0'..=b'9' => edge::head(text, at) && !(at > 0 && matches!(b[at - 1], b'$' | b'#')),
        _ => false,
    };
    if !may || b[at].is_ascii_digit() && !phone::may_begin(b, at, near) {
        return None;
    }
    phone::find(text, at, near).map(|end| (Kind::Phone, end))
}
