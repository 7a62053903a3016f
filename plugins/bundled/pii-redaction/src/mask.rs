//! What stands in the place of personal data.

use crate::config::Style;
use crate::find::Hit;
use crate::kind::Kind;

/// Appends the mask of a hit in the text.
pub fn write(out: &mut String, style: Style, text: &str, hit: &Hit) {
    if style == Style::Tag {
        out.push_str(hit.kind.tag());
        return;
    }
    let value = &text[hit.start..hit.end];
    let count = value.chars().filter(|c| c.is_alphanumeric()).count();
    // The last four stay, but not of an address, not of what is short, and not where
    // they could be read as the beginning of what follows.
    let behind = text.as_bytes()[hit.end..].iter().take(4);
    let keep = hit.kind != Kind::Email && count >= 8 && !behind.into_iter().any(u8::is_ascii_digit);
    let stars = if keep { count - 4 } else { count };
    let mut seen = 0;
    for c in value.chars() {
        let hide = c.is_alphanumeric() && seen < stars;
        seen += usize::from(c.is_alphanumeric());
        out.push(if hide { '*' } else { c });
    }
}
