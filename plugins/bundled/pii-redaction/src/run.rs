//! Groups of digits with one separator between each, as numbers are written.

use crate::edge;

pub const DIGITS: usize = 20;
pub const GROUPS: usize = 8;

/// The groups from some place on, as far as they go.
pub struct Run {
    digits: [u8; DIGITS],
    pub groups: usize,
    len: [u8; GROUPS],
    sum: [u8; GROUPS],  // digits up to the end of each
    sep: [u8; GROUPS],  // before each; 0 before the first
    end: [u32; GROUPS], // behind the beginning
    start: usize,
}

impl Run {
    /// No groups.
    pub const EMPTY: Run = Run {
        digits: [0; DIGITS],
        groups: 0,
        len: [0; GROUPS],
        sum: [0; GROUPS],
        sep: [0; GROUPS],
        end: [0; GROUPS],
        start: 0,
    };

    /// Reads groups from a digit on. A group that goes on as a word is none.
    pub fn read(text: &str, start: usize) -> Run {
        let b = text.as_bytes();
        let mut run = Run { start, ..Run::EMPTY };
        let (mut at, mut sep, mut total) = (start, 0, 0);
        while run.groups < GROUPS {
            let from = at;
            while let Some(c) = b.get(at).filter(|c| c.is_ascii_digit()) {
                if total == DIGITS {
                    return run;
                }
                run.digits[total] = c - b'0';
                total += 1;
                at += 1;
            }
            if at == from || edge::word_at(text, at) {
                return run;
            }
            let g = run.groups;
            run.len[g] = (at - from) as u8;
            run.sum[g] = total as u8;
            run.sep[g] = sep;
            run.end[g] = (at - start) as u32;
            run.groups += 1;
            match edge::separator(b, at) {
                Some((s, len)) => {
                    sep = s;
                    at += len;
                }
                None => return run,
            }
        }
        run
    }

    /// The digits of the first `groups` groups.
    pub fn digits(&self, groups: usize) -> &[u8] {
        &self.digits[..usize::from(self.sum[groups - 1])]
    }

    /// Where that many groups end.
    pub fn end(&self, groups: usize) -> usize {
        self.start + self.end[groups - 1] as usize
    }

    pub fn len(&self, group: usize) -> usize {
        usize::from(self.len[group])
    }

    /// Whether the run begins with groups of these lengths.
    pub fn is(&self, shape: &[u8]) -> bool {
        self.groups >= shape.len() && self.len[..shape.len()] == *shape
    }

    /// The separator between all of that many groups; 0 for a single one, None when it
    /// changes.
    pub fn separator(&self, groups: usize) -> Option<u8> {
        let all = &self.sep[1..groups.max(1)];
        let first = all.first().copied().unwrap_or(0);
        if all.iter().all(|&s| s == first) {
            Some(first)
        } else {
            None
        }
    }
}

/// A number of the digits.
pub fn value(digits: &[u8]) -> u64 {
    digits.iter().fold(0, |n, &d| n * 10 + u64::from(d))
}

/// The check of Luhn (ISO/IEC 7812-1).
pub fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(i, &d)| match (i % 2, u32::from(d)) {
            (0, d) => d,
            (_, d) if d > 4 => 2 * d - 9,
            (_, d) => 2 * d,
        })
        .sum();
    sum % 10 == 0
}
