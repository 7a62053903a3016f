//! Reads JSON in one pass and builds nothing: a visitor is told where things stand.
//!
//! ```text
//! {"a":["b",1]}  ─►  open { · name a · open [ · string b · other 1 · close ] · close }
//! ```
//!
//! Every bundled transformer works on places in the text that came in and copies the
//! rest as it stands, so numbers, escapes, the order of members and what nobody knows
//! survive byte for byte.

/// The deepest nesting that is read.
pub const DEPTH: usize = 120;

/// A string between its quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub start: usize,
    pub end: usize,
    /// Whether there are escapes in it.
    pub escaped: bool,
}

impl Span {
    /// What stands there, escapes and all.
    pub fn of<'a>(&self, text: &'a str) -> &'a str {
        text.get(self.start..self.end).unwrap_or("")
    }
}

/// Is told what `read` finds, in order. Offsets are bytes from the start of the text.
pub trait Visit {
    /// An object or an array begins at its bracket.
    fn open(&mut self, at: usize, object: bool);
    /// It ends; `end` is past its bracket.
    fn close(&mut self, end: usize);
    /// The name of the member that follows.
    fn name(&mut self, name: Span);
    fn string(&mut self, value: Span);
    /// A number, true, false or null.
    fn other(&mut self, start: usize, end: usize);
}

/// Where the text stops being JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken {
    pub at: usize,
}

/// Reads one JSON value with white space around it (RFC 8259). Names may repeat.
pub fn read<V: Visit>(text: &str, visit: &mut V) -> Result<(), Broken> {
    let mut r = Reader { text: text.as_bytes(), at: 0 };
    let mut objects: u128 = 0; // one bit for each open bracket
    let mut depth = 0;
    'value: loop {
        r.space();
        let at = r.at;
        match r.peek() {
            bracket @ (b'{' | b'[') => {
                if depth == DEPTH {
                    return r.broken();
                }
                let object = bracket == b'{';
                depth += 1;
                objects = objects << 1 | object as u128;
                visit.open(at, object);
                r.at += 1;
                r.space();
                let end = if object { b'}' } else { b']' };
                if r.peek() != end {
                    if object {
                        visit.name(r.name()?);
                    }
                    continue 'value;
                }
            }
            b'"' => {
                let span = r.string()?;
                visit.string(span);
            }
            b't' => r.word(b"true", visit)?,
            b'f' => r.word(b"false", visit)?,
            b'n' => r.word(b"null", visit)?,
            _ => {
                r.number()?;
                visit.other(at, r.at);
            }
        }
        loop {
            r.space();
            if depth == 0 {
                return if r.at == r.text.len() { Ok(()) } else { r.broken() };
            }
            let object = objects & 1 == 1;
            match (r.peek(), object) {
                (b',', _) => {
                    r.at += 1;
                    if object {
                        r.space();
                        visit.name(r.name()?);
                    }
                    continue 'value;
                }
                (b'}', true) | (b']', false) => {
                    r.at += 1;
                    depth -= 1;
                    objects >>= 1;
                    visit.close(r.at);
                }
                _ => return r.broken(),
            }
        }
    }
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

impl Reader<'_> {
    /// The next byte; 0, which stands nowhere in JSON, at the end.
    fn peek(&self) -> u8 {
        self.text.get(self.at).copied().unwrap_or(0)
    }

    fn space(&mut self) {
        while matches!(self.peek(), b' ' | b'\n' | b'\r' | b'\t') {
            self.at += 1;
        }
    }

    fn broken<T>(&self) -> Result<T, Broken> {
        Err(Broken { at: self.at })
    }

    fn name(&mut self) -> Result<Span, Broken> {
        if self.peek() != b'"' {
            return self.broken();
        }
        let span = self.string()?;
        self.space();
        if self.peek() != b':' {
            return self.broken();
        }
        self.at += 1;
        Ok(span)
    }

    fn word<V: Visit>(&mut self, word: &[u8], visit: &mut V) -> Result<(), Broken> {
        if !self.text[self.at..].starts_with(word) {
            return self.broken();
        }
        self.at += word.len();
        visit.other(self.at - word.len(), self.at);
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Broken> {
        let from = self.at;
        while self.peek().is_ascii_digit() {
            self.at += 1;
        }
        if self.at == from {
            return self.broken();
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), Broken> {
        if self.peek() == b'-' {
            self.at += 1;
        }
        if self.peek() == b'0' {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == b'.' {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), b'e' | b'E') {
            self.at += 1;
            if matches!(self.peek(), b'+' | b'-') {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn string(&mut self) -> Result<Span, Broken> {
        self.at += 1;
        let start = self.at;
        let mut escaped = false;
        loop {
            // Eight bytes at a time, as long as they are nothing but text.
            while let Some(eight) = self.text.get(self.at..self.at + 8) {
                let w = u64::from_le_bytes([
                    eight[0], eight[1], eight[2], eight[3], eight[4], eight[5], eight[6], eight[7],
                ]);
                let quote = w ^ (ONES * b'"' as u64);
                let slash = w ^ (ONES * b'\\' as u64);
                let stop = (quote.wrapping_sub(ONES) & !quote)
                    | (slash.wrapping_sub(ONES) & !slash)
                    | (w.wrapping_sub(ONES * 0x20) & !w);
                if stop & HIGH != 0 {
                    break;
                }
                self.at += 8;
            }
            match self.peek() {
                b'"' => {
                    let span = Span { start, end: self.at, escaped };
                    self.at += 1;
                    return Ok(span);
                }
                b'\\' => {
                    escaped = true;
                    self.at += 1;
                    match self.peek() {
                        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.at += 1,
                        b'u' => {
                            self.at += 1;
                            for _ in 0..4 {
                                if !self.peek().is_ascii_hexdigit() {
                                    return self.broken();
                                }
                                self.at += 1;
                            }
                        }
                        _ => return self.broken(),
                    }
                }
                0..=0x1f => return self.broken(),
                _ => self.at += 1,
            }
        }
    }
}

/// Pairs of a place in the text behind an escape, and the same place among the escapes.
/// They grow.
pub type Places = Vec<(usize, usize)>;

/// Undoes the escapes of a string that `read` accepted, and notes where each ended.
/// Half of a surrogate pair becomes U+FFFD. Both are emptied first.
pub fn unescape(raw: &str, out: &mut String, places: &mut Places) {
    out.clear();
    places.clear();
    let b = raw.as_bytes();
    let mut from = 0; // of what is not copied yet
    let mut at = 0;
    while at < b.len() {
        if b[at] != b'\\' {
            at += 1;
            continue;
        }
        out.push_str(raw.get(from..at).unwrap_or(""));
        let (c, len) = escape(&b[at..]);
        out.push(c);
        at += len;
        from = at;
        places.push((out.len(), at));
    }
    out.push_str(raw.get(from..).unwrap_or(""));
}

/// The character of the escape that b begins with, and its length.
fn escape(b: &[u8]) -> (char, usize) {
    match b.get(1) {
        Some(b'b') => ('\u{8}', 2),
        Some(b'f') => ('\u{c}', 2),
        Some(b'n') => ('\n', 2),
        Some(b'r') => ('\r', 2),
        Some(b't') => ('\t', 2),
        Some(b'u') => {
            let first = hex(b, 2);
            if (0xd800..0xdc00).contains(&first) && b.get(6) == Some(&b'\\') && b.get(7) == Some(&b'u') {
                let second = hex(b, 8);
                if (0xdc00..0xe000).contains(&second) {
                    let c = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                    return (char::from_u32(c).unwrap_or('\u{fffd}'), 12);
                }
            }
            (char::from_u32(first).unwrap_or('\u{fffd}'), 6)
        }
        Some(&c) => (c as char, 2),
        None => ('\u{fffd}', 1),
    }
}

fn hex(b: &[u8], at: usize) -> u32 {
    (at..at + 4).fold(0, |n, i| n << 4 | b.get(i).and_then(|&c| (c as char).to_digit(16)).unwrap_or(0))
}

/// Where a place of the unescaped text stands among the escapes. `hint` is the index
/// to begin at: call it with growing places and keep the hint for the next one.
pub fn place(places: &[(usize, usize)], hint: &mut usize, at: usize) -> usize {
    while *hint < places.len() && places[*hint].0 <= at {
        *hint += 1;
    }
    match hint.checked_sub(1) {
        Some(last) => places[last].1 + (at - places[last].0),
        None => at,
    }
}

/// Appends text as the inside of a JSON string.
pub fn escape_into(out: &mut String, text: &str) {
    let mut from = 0;
    for (at, b) in text.bytes().enumerate() {
        let short = match b {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0..=0x1f => "",
            _ => continue,
        };
        out.push_str(&text[from..at]);
        from = at + 1;
        if short.is_empty() {
            out.push_str("\\u00");
            out.push(if b < 16 { '0' } else { '1' });
            out.push(char::from_digit(u32::from(b & 15), 16).unwrap_or('0'));
        } else {
            out.push_str(short);
        }
    }
    out.push_str(&text[from..]);
}
