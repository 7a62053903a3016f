//! Frames of ABI v1, the way the guest needs them: pairs are looked up where they
//! lie, and nothing is allocated to read one. `sdk/ABI.md` has the layout.
//!
//! ```
//! use sallyport::frame;
//! let mut f = Vec::new();
//! frame::write_in(&mut f, &[("tool", "greet")], b"{}");
//! let (meta, payload) = frame::split(&f).unwrap();
//! assert_eq!(meta.get("tool"), Some(&b"greet"[..]));
//! assert_eq!(payload, b"{}");
//! ```

/// The largest number of pairs in one frame.
pub const MAX_PAIRS: usize = 64;

/// The pairs of a frame as they lie in it, with all lengths proven.
#[derive(Clone, Copy, Debug, Default)]
pub struct Meta<'a> {
    n: usize,
    bytes: &'a [u8],
}

impl<'a> Meta<'a> {
    /// The number of pairs.
    pub fn len(&self) -> usize {
        self.n
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.n == 0
    }

    /// The value of the first pair with that key.
    pub fn get(&self, key: &str) -> Option<&'a [u8]> {
        self.iter().find(|(k, _)| *k == key.as_bytes()).map(|(_, v)| v)
    }

    /// All pairs, in order.
    pub fn iter(&self) -> Pairs<'a> {
        Pairs { left: self.n, bytes: self.bytes }
    }
}

impl<'a> IntoIterator for Meta<'a> {
    type Item = (&'a [u8], &'a [u8]);
    type IntoIter = Pairs<'a>;
    fn into_iter(self) -> Pairs<'a> {
        self.iter()
    }
}

/// Iterates over the pairs of a frame.
#[derive(Clone, Debug)]
pub struct Pairs<'a> {
    left: usize,
    bytes: &'a [u8],
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        let (key, rest) = text(self.bytes)?;
        let (value, rest) = text(rest)?;
        self.bytes = rest;
        Some((key, value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

/// Cuts a frame in into its pairs and its payload. `None` when a length runs past the
/// end or there are more than [`MAX_PAIRS`] pairs.
pub fn split(frame: &[u8]) -> Option<(Meta<'_>, &[u8])> {
    let n = number(frame)? as usize;
    if n > MAX_PAIRS {
        return None;
    }
    let pairs = &frame[4..];
    let mut rest = pairs;
    for _ in 0..2 * n {
        rest = text(rest)?.1;
    }
    Some((Meta { n, bytes: &pairs[..pairs.len() - rest.len()] }, rest))
}

/// [`split`] for a frame out: the answers of `http` and `call_tool`.
pub fn split_out(frame: &[u8]) -> Option<(u16, Meta<'_>, &[u8])> {
    match frame {
        [a, b, 0, 0, rest @ ..] => {
            let (meta, payload) = split(rest)?;
            Some((u16::from_le_bytes([*a, *b]), meta, payload))
        }
        _ => None,
    }
}

/// Appends a frame in. Pairs past [`MAX_PAIRS`] are left out.
pub fn write_in<K: AsRef<[u8]>, V: AsRef<[u8]>>(out: &mut Vec<u8>, pairs: &[(K, V)], payload: &[u8]) {
    let pairs = &pairs[..pairs.len().min(MAX_PAIRS)];
    let size: usize = pairs.iter().map(|(k, v)| 8 + k.as_ref().len() + v.as_ref().len()).sum();
    out.reserve(4 + size + payload.len());
    out.extend_from_slice(&(pairs.len() as u32).to_le_bytes());
    for (key, value) in pairs {
        write_text(out, key.as_ref());
        write_text(out, value.as_ref());
    }
    out.extend_from_slice(payload);
}

/// Appends a frame out.
pub fn write_out<K: AsRef<[u8]>, V: AsRef<[u8]>>(out: &mut Vec<u8>, status: u16, pairs: &[(K, V)], payload: &[u8]) {
    out.extend_from_slice(&u32::from(status).to_le_bytes()); // u16 status, u16 0
    write_in(out, pairs, payload);
}

fn write_text(out: &mut Vec<u8>, text: &[u8]) {
    out.extend_from_slice(&(text.len() as u32).to_le_bytes());
    out.extend_from_slice(text);
}

fn number(bytes: &[u8]) -> Option<u32> {
    match bytes {
        [a, b, c, d, ..] => Some(u32::from_le_bytes([*a, *b, *c, *d])),
        _ => None,
    }
}

/// Cuts the first text off.
fn text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let size = number(bytes)? as usize;
    let rest = &bytes[4..];
    if size > rest.len() {
        return None;
    }
    Some(rest.split_at(size))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The two frames that `sdk/ABI.md` spells out.
    #[test]
    fn frames_of_the_page() {
        let mut f = Vec::new();
        write_in(&mut f, &[("tool", "greet")], br#"{"name":"Ada"}"#);
        assert_eq!(f.len(), 35);
        assert_eq!(&f[..12], b"\x01\0\0\0\x04\0\0\0tool");
        let mut f = Vec::new();
        write_out(&mut f, 0, &[("mime", "text/plain")], b"Hello, Ada!");
        assert_eq!(f.len(), 41);
        assert_eq!(&f[..16], b"\0\0\0\0\x01\0\0\0\x04\0\0\0mime");
        let mut f = Vec::new();
        write_out::<&str, &str>(&mut f, 1, &[], b"");
        assert_eq!(f, [1, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn what_is_no_frame() {
        let long = u32::MAX.to_le_bytes();
        let cases: [&[u8]; 9] = [
            b"",
            b"\0\0\0",
            b"\x01\0\0\0",
            b"\x01\0\0\0\x04\0\0\0too",
            b"\x01\0\0\0\x04\0\0\0tool",
            b"\x01\0\0\0\x04\0\0\0tool\x01\0\0\0",
            b"\x41\0\0\0",
            &[&[1, 0, 0, 0][..], &long, b"abcd"].concat(),
            &[&long[..], b"abcd"].concat(),
        ];
        for case in cases {
            assert!(split(case).is_none(), "{case:?}");
        }
        for case in [&b"\0\0"[..], b"\0\0\x01\0\0\0\0\0", b"\0\0\0\x01\0\0\0\0", b"\0\0\0\0\0\0\0"] {
            assert!(split_out(case).is_none(), "{case:?}");
        }
    }

    #[test]
    fn pairs_keep_their_order_and_repeat() {
        let pairs: Vec<(String, String)> =
            (0..MAX_PAIRS + 3).map(|n| (format!("k{}", n % 60), n.to_string())).collect();
        let mut f = Vec::new();
        write_out(&mut f, 418, &pairs, "ä \0".as_bytes());
        let (status, meta, payload) = split_out(&f).unwrap();
        assert_eq!((status, meta.len(), payload), (418, MAX_PAIRS, "ä \0".as_bytes()));
        assert_eq!(meta.get("k1"), Some(&b"1"[..]));
        assert_eq!(meta.get("k"), None);
        for (n, (key, value)) in meta.iter().enumerate() {
            assert_eq!((key, value), (pairs[n].0.as_bytes(), pairs[n].1.as_bytes()));
        }
    }

    /// No cut of a frame is read past its end.
    #[test]
    fn every_prefix() {
        let mut f = Vec::new();
        write_out(&mut f, 0, &[("a", "bc"), ("", "")], b"");
        for n in 0..f.len() {
            assert!(split_out(&f[..n]).is_none(), "{n} bytes");
        }
        assert!(split_out(&f).is_some());
    }
}
