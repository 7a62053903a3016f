//! Long runs of base64, alone or behind `data:…;base64,`: no model reads them.

/// The shortest run that is taken for a blob, in bytes.
pub const LEAST: usize = 256;

/// The text with a note in the place of each blob, and how many there were; None when
/// there is none. It may have JSON's escape of a slash in it, and keeps to escapes.
pub fn replace(text: &str) -> Option<(String, usize)> {
    let mut out = String::new();
    let (mut from, mut count) = (0, 0);
    let b = text.as_bytes();
    let mut at = 0;
    while at < b.len() {
        // What stands behind a backslash belongs to an escape.
        if b[at] == b'\\' {
            at += if b.get(at + 1) == Some(&b'u') { 6 } else { 2 };
            continue;
        }
        let (end, blob) = run(b, at);
        if blob {
            out.push_str(&text[from..at]);
            out.push_str(&format!("[{} bytes of base64 left out]", end - at));
            from = end;
            count += 1;
        }
        at = if end > at { end } else { end + 1 };
    }
    if count == 0 {
        return None;
    }
    out.push_str(&text[from..]);
    Some((out, count))
}

/// Where the run of base64's characters from `at` on ends, and whether it is a blob:
/// long, with digits, large and small letters.
fn run(b: &[u8], mut at: usize) -> (usize, bool) {
    let from = at;
    let (mut digit, mut large, mut small) = (false, false, false);
    while at < b.len() {
        match b[at] {
            b'0'..=b'9' => digit = true,
            b'A'..=b'Z' => large = true,
            b'a'..=b'z' => small = true,
            b'+' | b'/' | b'=' | b'_' | b'-' => {}
            b'\\' if b.get(at + 1) == Some(&b'/') => at += 1,
            _ => break,
        }
        at += 1;
    }
    (at, at - from >= LEAST && digit && large && small)
}
