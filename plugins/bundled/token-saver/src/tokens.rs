//! Estimates how many tokens a language model reads.
//!
//! The rule, in quarters of a token for each character: ASCII 1, so four make a token;
//! Latin with accents, Greek, Cyrillic, Hebrew and Arabic (two bytes of UTF-8) 2; what
//! takes three bytes, Chinese, Japanese and Korean among them, 4; what takes four
//! bytes, such as emoji, 8. No tokenizer is asked: those of different models differ by
//! more than this rule errs on ordinary text.

/// Quarters of a token.
pub type Quarters = usize;

pub fn of(text: &str) -> Quarters {
    // The bytes behind the first one of a character count nothing.
    text.bytes()
        .map(|b| match b {
            0..=0x7f => 1,
            0x80..=0xbf => 0,
            0xc0..=0xdf => 2,
            0xe0..=0xef => 4,
            _ => 8,
        })
        .sum()
}

pub fn of_char(c: char) -> Quarters {
    [1, 2, 4, 8][c.len_utf8() - 1]
}

/// Whole tokens, rounded up.
pub fn whole(quarters: Quarters) -> usize {
    (quarters + 3) / 4
}
