//! Payment cards: the number ranges of the brands with their lengths, and Luhn.

use crate::edge;
use crate::run::{luhn, value, Run};

/// Where a card number that begins at `start` ends; the longest counts.
pub fn find(text: &str, run: &Run) -> Option<usize> {
    (1..=run.groups.min(5)).rev().map(|g| (g, run.digits(g))).find_map(|(g, digits)| {
        let good = (13..=19).contains(&digits.len())
            && grouped(run, g)
            && is_card(digits)
            && edge::tail(text, run.end(g), false);
        if good {
            Some(run.end(g))
        } else {
            None
        }
    })
}

/// Groups as on a card: four digits first and at least three in each but the last, with
/// the same separator between.
fn grouped(run: &Run, groups: usize) -> bool {
    groups == 1
        || matches!(run.separator(groups), Some(b' ' | b'-' | b'.'))
            && run.len(0) >= 4
            && (1..groups - 1).all(|g| run.len(g) >= 3)
}

/// Whether the digits are those of a card. All the same digit is nobody's.
pub fn is_card(digits: &[u8]) -> bool {
    digits.len() >= 13 && brand(digits) && luhn(digits) && digits.iter().any(|d| *d != digits[0])
}

fn brand(digits: &[u8]) -> bool {
    let len = digits.len();
    let six = value(&digits[..6]);
    let (two, three, four) = (six / 10_000, six / 1000, six / 100);
    match four {
        4000..=4999 => matches!(len, 13 | 16 | 19),                    // Visa
        5100..=5599 | 2221..=2720 => len == 16,                        // Mastercard
        2200..=2204 => (16..=19).contains(&len),                       // Mir
        3528..=3589 => (16..=19).contains(&len),                       // JCB
        5018 | 5020 | 5038 | 5893 | 6304 | 6759 | 6761..=6763 => true, // Maestro
        5019 => len == 16,                                             // Dankort
        6011 => (16..=19).contains(&len),                              // Discover
        9792 => len == 16,                                             // Troy
        _ => match (two, three) {
            (34 | 37, _) => len == 15,                                              // American Express
            (36 | 38 | 39, _) | (_, 300..=305 | 309) => (14..=19).contains(&len),   // Diners Club
            (65, _) | (_, 644..=649) => (16..=19).contains(&len),                   // Discover, RuPay, Elo
            (62 | 81, _) => (16..=19).contains(&len),                               // UnionPay
            (60 | 82, _) | (_, 508 | 353 | 356) => len == 16,                       // RuPay
            _ => (506_099..=506_198).contains(&six) && matches!(len, 16 | 18 | 19), // Verve
        },
    }
}
