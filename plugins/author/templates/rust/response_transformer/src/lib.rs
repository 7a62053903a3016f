//! A plugin that masks e-mail addresses in the results of all tools that it stands
//! behind.

use sallyport::{json, Context, Error};

sallyport::plugin! {
    response_transform: transform,
}

/// Answers None when nothing changes: then nothing is copied either.
fn transform(_: &Context, result: &[u8]) -> Result<Option<Vec<u8>>, Error> {
    Ok(json::map_strings(result, mask)?)
}

/// Replaces what looks like an e-mail address: a@b.c. None when there is nothing.
fn mask(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let (mut out, mut done, mut at) = (String::new(), 0, 0);
    while at < bytes.len() {
        if bytes[at] == b'@' {
            let mut from = at;
            while from > done && (bytes[from - 1].is_ascii_alphanumeric() || b"._%+-".contains(&bytes[from - 1])) {
                from -= 1;
            }
            let mut to = at + 1;
            while to < bytes.len() && (bytes[to].is_ascii_alphanumeric() || b"-.".contains(&bytes[to])) {
                to += 1;
            }
            let domain = text[at + 1..to].trim_end_matches(&['.', '-'][..]);
            if from < at && domain.trim_start_matches('.').contains('.') {
                out.push_str(&text[done..from]);
                out.push_str("[e-mail]");
                done = at + 1 + domain.len();
                at = done;
                continue;
            }
        }
        at += 1;
    }
    if done == 0 {
        return None;
    }
    out.push_str(&text[done..]);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::{mask, PLUGIN};
    use sallyport::testing::Host;

    #[test]
    fn masks() {
        for (text, want) in [
            ("ada@example.org", Some("[e-mail]")),
            ("<a.b+c@d-e.example>.", Some("<[e-mail]>.")),
            ("ä a@b.c@d.e", Some("ä [e-mail]@d.e")),
            ("@b.c a@ a@b a@.b a@b.", None),
        ] {
            assert_eq!(mask(text).as_deref(), want, "{}", text);
        }
    }

    #[test]
    fn leaves_alone() {
        assert!(Host::new().response_transform(&PLUGIN, r#"{"content":[{"type":"text","text":"none"}]}"#).unchanged());
    }
}
