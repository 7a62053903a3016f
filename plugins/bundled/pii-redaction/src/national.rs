//! Numbers that states give to people. Each is known by its form and, where it has
//! them, its check digits; where a bare number says too little (one in eleven numbers
//! of nine digits is a good BSN), a word beside it must help, unless `eager`.

use crate::edge;
use crate::run::{luhn, value, Run};
use crate::words::{Near, BSN, PERSONNUMMER, SSN};

/// What stands beside a number, and whether it matters.
pub struct Beside<'a> {
    pub near: &'a Near,
    pub eager: bool,
}

impl Beside<'_> {
    fn says(&self, sort: u8) -> bool {
        self.eager || self.near.says(sort)
    }
}

fn ends(text: &str, run: &Run, groups: usize) -> Option<usize> {
    if edge::tail(text, run.end(groups), false) {
        Some(run.end(groups))
    } else {
        None
    }
}

/// USA, social security number: area not 000, 666 or 9xx, group not 00, serial not 0000.
pub fn us_ssn(text: &str, run: &Run, beside: &Beside) -> Option<usize> {
    let (groups, needs_word) = match run.separator(3) {
        Some(b'-') if run.is(&[3, 2, 4]) => (3, false),
        Some(b' ' | b'.') if run.is(&[3, 2, 4]) => (3, true),
        _ if run.is(&[9]) => (1, true),
        _ => return None,
    };
    let n = value(run.digits(groups));
    let (area, group, serial) = (n / 1_000_000, n / 10_000 % 100, n % 10_000);
    if area == 0 || area == 666 || area >= 900 || group == 0 || serial == 0 || needs_word && !beside.says(SSN) {
        return None;
    }
    ends(text, run, groups)
}

/// Germany, steuerliche Identifikationsnummer: eleven digits, of the first ten one
/// stands twice or three times and the others once; check digit ISO 7064 MOD 11,10.
pub fn de_steuer_id(text: &str, run: &Run) -> Option<usize> {
    let groups = if run.is(&[11]) {
        1
    } else if run.is(&[2, 3, 3, 3]) && run.separator(4) == Some(b' ') {
        4
    } else {
        return None;
    };
    let digits = run.digits(groups);
    let mut counts = [0; 10];
    digits[..10].iter().for_each(|&d| counts[usize::from(d)] += 1);
    let (twice, thrice) = (counts.iter().filter(|&&c| c == 2).count(), counts.iter().filter(|&&c| c == 3).count());
    if digits[0] == 0 || twice + thrice != 1 || counts.iter().any(|&c| c > 3) {
        return None;
    }
    let product = digits[..10].iter().fold(10, |p, &d| {
        let sum = (u32::from(d) + p) % 10;
        (if sum == 0 { 10 } else { sum }) * 2 % 11
    });
    if (11 - product) % 10 != u32::from(digits[10]) {
        return None;
    }
    ends(text, run, groups)
}

/// Poland, PESEL: date of birth with the century in the month, weighted check digit.
pub fn pl_pesel(text: &str, run: &Run) -> Option<usize> {
    if !run.is(&[11]) {
        return None;
    }
    let d = run.digits(1);
    let (month, day) = (value(&d[2..4]) % 20, value(&d[4..6]));
    let sum: u32 = d.iter().zip([1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1]).map(|(&d, w)| u32::from(d) * w).sum();
    if !date(month, day) || sum % 10 != 0 {
        return None;
    }
    ends(text, run, 1)
}

/// Sweden, personnummer and samordningsnummer (day + 60): date, - or +, Luhn over the
/// last ten digits. Without the sign it takes a word.
pub fn se_personnummer(text: &str, start: usize, run: &Run, beside: &Beside) -> Option<usize> {
    let b = text.as_bytes();
    let mut digits = [0; 12];
    let (len, end) = if (run.is(&[10]) || run.is(&[12])) && beside.says(PERSONNUMMER) {
        (run.len(0), run.end(1))
    } else if run.is(&[6, 4]) && run.separator(2) == Some(b'-') || run.is(&[8, 4]) && run.separator(2) == Some(b'-') {
        (run.len(0) + 4, run.end(2))
    } else if (run.is(&[6]) || run.is(&[8])) && b.get(run.end(1)) == Some(&b'+') {
        let serial = b.get(run.end(1) + 1..run.end(1) + 5)?;
        if !serial.iter().all(u8::is_ascii_digit) {
            return None;
        }
        (run.len(0) + 4, run.end(1) + 5)
    } else {
        return None;
    };
    let all = b[start..end].iter().filter(|c| c.is_ascii_digit());
    digits.iter_mut().zip(all).for_each(|(d, c)| *d = c - b'0');
    let digits = &digits[..len];
    if len == 12 && !(18..=20).contains(&value(&digits[..2])) {
        return None;
    }
    let last = &digits[len - 10..];
    let day = value(&last[4..6]);
    if !date(value(&last[2..4]), if day > 60 { day - 60 } else { day }) || !luhn(last) || !edge::tail(text, end, false)
    {
        return None;
    }
    Some(end)
}

fn date(month: u64, day: u64) -> bool {
    let days = match month {
        2 => 29,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return false,
    };
    (1..=days).contains(&day)
}

/// The Netherlands, burgerservicenummer: the eleven test. Written 1234.56.782 it stands
/// for itself, bare or in threes it takes a word.
pub fn nl_bsn(text: &str, run: &Run, beside: &Beside) -> Option<usize> {
    let groups = if run.is(&[4, 2, 3]) && run.separator(3) == Some(b'.') {
        3
    } else if beside.says(BSN) && run.is(&[9]) {
        1
    } else if beside.says(BSN) && run.is(&[3, 3, 3]) && run.separator(3).is_some() {
        3
    } else {
        return None;
    };
    let d = run.digits(groups);
    let sum: i32 = d.iter().zip([9, 8, 7, 6, 5, 4, 3, 2, -1]).map(|(&d, w)| i32::from(d) * w).sum();
    if value(d) == 0 || sum % 11 != 0 {
        return None;
    }
    ends(text, run, groups)
}

/// Takes characters of a number from the text, over single separators out of `between`.
fn take<const N: usize>(text: &str, start: usize, between: &[u8]) -> Option<([u8; N], usize)> {
    let b = text.as_bytes();
    let (mut out, mut at) = ([0; N], start);
    for (i, c) in out.iter_mut().enumerate() {
        if i > 0 {
            if let Some((s, len)) = edge::separator(b, at) {
                if !between.contains(&s) {
                    return None;
                }
                at += len;
            }
        }
        *c = b.get(at).filter(|c| c.is_ascii_alphanumeric())?.to_ascii_uppercase();
        at += 1;
    }
    if edge::tail(text, at, false) {
        Some((out, at))
    } else {
        None
    }
}

fn number(chars: &[u8]) -> Option<u64> {
    chars.iter().try_fold(0, |n, c| if c.is_ascii_digit() { Some(n * 10 + u64::from(c - b'0')) } else { None })
}

/// France, numéro de sécurité sociale (NIR): thirteen characters and a key of two, 97
/// less the number modulo 97. Corsica writes 2A and 2B.
pub fn fr_nir(text: &str, start: usize) -> Option<usize> {
    let (mut n, end) = take::<15>(text, start, b" ")?;
    let shift = match (n[5], n[6]) {
        (b'2', b'A') => 1_000_000,
        (b'2', b'B') => 2_000_000,
        _ => 0,
    };
    if shift != 0 {
        n[6] = b'0';
    }
    let (body, key) = (number(&n[..13])?, number(&n[13..])?);
    let month = number(&n[3..5])?;
    let body = if shift != 0 { body.checked_sub(shift)? } else { body };
    let good = matches!(n[0], b'1'..=b'4' | b'7' | b'8')
        && (matches!(month, 1..=12 | 20..=42 | 50..=99))
        && (1..=97).contains(&key)
        && 97 - body % 97 == key;
    if good {
        Some(end)
    } else {
        None
    }
}

/// Spain, DNI and NIE: the letter is the number modulo 23.
pub fn es_dni(text: &str, start: usize) -> Option<usize> {
    let b = text.as_bytes();
    let (mut n, end) = if b.get(start).map_or(false, u8::is_ascii_digit) {
        // 12345678Z, 12345678-Z, 12.345.678-Z
        let (n, end) = take::<9>(text, start, b"-. ")?;
        (n, end)
    } else {
        take::<9>(text, start, b"-. ")?
    };
    n[0] = match n[0] {
        b'X' => b'0',
        b'Y' => b'1',
        b'Z' => b'2',
        c @ b'0'..=b'9' => c,
        _ => return None,
    };
    let letter = b"TRWAGMYFPDXBNJZSQVHLCKE"[(number(&n[..8])? % 23) as usize];
    if n[8] == letter {
        Some(end)
    } else {
        None
    }
}

/// Italy, codice fiscale: form, month letter, day and check letter; digits may be
/// replaced by letters where two people had the same (omocodia).
pub fn it_codice_fiscale(text: &str, start: usize) -> Option<usize> {
    let (n, end) = take::<16>(text, start, b" ")?;
    const ODD: [u32; 26] =
        [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23];
    let plain = |i: usize| match n[i] {
        c @ b'0'..=b'9' => Some(u64::from(c - b'0')),
        c => b"LMNPQRSTUV".iter().position(|&l| l == c).map(|d| d as u64),
    };
    let letters = [0, 1, 2, 3, 4, 5, 8, 11, 15].iter().all(|&i| n[i].is_ascii_uppercase());
    let month = b"ABCDEHLMPRST".contains(&n[8]);
    let day = plain(9)? * 10 + plain(10)?;
    let digits = [6, 7, 12, 13, 14].iter().all(|&i| plain(i).is_some());
    if !letters || !month || !digits || !matches!(day, 1..=31 | 41..=71) {
        return None;
    }
    let sum: u32 = (0..15)
        .map(|i| {
            let c = u32::from(if n[i].is_ascii_digit() { n[i] - b'0' } else { n[i] - b'A' });
            if i % 2 == 0 {
                ODD[c as usize]
            } else {
                c
            }
        })
        .sum();
    if sum % 26 == u32::from(n[15] - b'A') {
        Some(end)
    } else {
        None
    }
}

/// United Kingdom, national insurance number: two letters that are given out, six
/// digits, A to D. It has no check digit.
pub fn uk_nino(text: &str, start: usize) -> Option<usize> {
    let (n, end) = take::<9>(text, start, b" ")?;
    number(&n[2..8])?;
    let (first, second) = (n[0], n[1]);
    let letters = first.is_ascii_uppercase() && second.is_ascii_uppercase() && matches!(n[8], b'A'..=b'D');
    let given = !b"DFIQUV".contains(&first)
        && !b"DFIOQUV".contains(&second)
        && ![b"BG", b"GB", b"KN", b"NK", b"NT", b"TN", b"ZZ"].contains(&&[first, second]);
    // Small letters are used as well, but not both.
    let raw = text[start..end].as_bytes();
    let one_case = !(raw.iter().any(u8::is_ascii_lowercase) && raw.iter().any(u8::is_ascii_uppercase));
    if letters && given && one_case {
        Some(end)
    } else {
        None
    }
}
