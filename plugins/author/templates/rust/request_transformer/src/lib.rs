//! A plugin that takes card numbers out of the arguments of all tools that it stands
//! before: what does not arrive cannot leak.

use sallyport::{json, Context, Error};

sallyport::plugin! {
    request_transform: transform,
}

/// Answers None when nothing changes: then nothing is copied either.
fn transform(_: &Context, args: &[u8]) -> Result<Option<Vec<u8>>, Error> {
    Ok(json::map_strings(args, mask)?)
}

/// Leaves the last four digits of each card number. None when there is nothing.
fn mask(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let (mut out, mut done, mut at) = (String::new(), 0, 0);
    while at < bytes.len() {
        let mut end = at;
        while end < bytes.len() && bytes[end].is_ascii_digit() {
            end += 1;
        }
        if is_card(&bytes[at..end]) {
            out.push_str(&text[done..at]);
            out.push_str("****");
            done = end - 4;
        }
        at = end.max(at + 1);
    }
    if done == 0 {
        return None;
    }
    out.push_str(&text[done..]);
    Some(out)
}

/// Whether digits are a card number: 13 to 19, with the check digit of Luhn.
fn is_card(digits: &[u8]) -> bool {
    if digits.len() < 13 || digits.len() > 19 {
        return false;
    }
    let mut sum = 0;
    for (place, digit) in digits.iter().rev().enumerate() {
        let mut n = u32::from(digit - b'0');
        if place % 2 == 1 {
            n *= 2;
            if n > 9 {
                n -= 9;
            }
        }
        sum += n;
    }
    sum % 10 == 0
}

#[cfg(test)]
mod tests {
    use super::{mask, PLUGIN};
    use sallyport::testing::Host;

    #[test]
    fn masks() {
        assert_eq!(mask("x4111111111111111, 378282246310005").as_deref(), Some("x****1111, ****0005"));
        assert_eq!(mask("4111111111111112 and 42"), None);
    }

    #[test]
    fn leaves_alone() {
        assert!(Host::new().request_transform(&PLUGIN, r#"{"a":4111111111111111}"#).unchanged());
    }
}
