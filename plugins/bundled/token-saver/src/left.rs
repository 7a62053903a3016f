//! What was left out, for the model and for `_meta`.

/// Counts of what was left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Left {
    pub elements: usize,
    pub members: usize,
    pub nulls: usize,
    pub empties: usize,
    pub strings: usize,
    pub blobs: usize,
    pub deep: usize,
    pub bytes: usize,
    pub structured: bool,
}

/// The most that `words` takes, in quarters of a token.
pub const WORDS: usize = 4 * 90;

impl Left {
    pub fn nothing(&self) -> bool {
        *self == Left::default()
    }

    pub fn add(&mut self, more: &Left) {
        self.elements += more.elements;
        self.members += more.members;
        self.nulls += more.nulls;
        self.empties += more.empties;
        self.strings += more.strings;
        self.blobs += more.blobs;
        self.deep += more.deep;
        self.bytes += more.bytes;
        self.structured |= more.structured;
    }

    fn rows(&self) -> [(&'static str, usize, &'static str); 8] {
        [
            ("elements", self.elements, "elements of arrays"),
            ("members", self.members, "members of objects"),
            ("nulls", self.nulls, "nulls"),
            ("empties", self.empties, "empty members"),
            ("strings", self.strings, "ends of strings"),
            ("blobs", self.blobs, "blobs"),
            ("nested", self.deep, "nested values"),
            ("textBytes", self.bytes, "bytes of text"),
        ]
    }

    /// One line for the model.
    pub fn words(&self) -> String {
        let parts: Vec<String> = self.rows().iter().filter(|r| r.1 > 0).map(|r| format!("{} {}", r.1, r.2)).collect();
        let structured = if self.structured { "the structured content" } else { "" };
        let comma = if self.structured && !parts.is_empty() { ", " } else { "" };
        format!(
            "[token-saver left out: {}{}{}. Ask for less or for a part to see it.]",
            structured,
            comma,
            parts.join(", ")
        )
    }

    /// The value of the member in `_meta`.
    pub fn json(&self, before: usize, after: usize) -> String {
        let mut out = format!("{{\"tokens\":{{\"before\":{},\"after\":{}}},\"leftOut\":{{", before, after);
        let parts: Vec<String> =
            self.rows().iter().filter(|r| r.1 > 0).map(|r| format!("\"{}\":{}", r.0, r.1)).collect();
        out.push_str(&parts.join(","));
        if self.structured {
            out.push_str(if parts.is_empty() { "\"structuredContent\":true" } else { ",\"structuredContent\":true" });
        }
        out.push_str("}}");
        out
    }
}
