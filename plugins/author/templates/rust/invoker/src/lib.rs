//! A plugin with one tool, which counts what is in a text.

use sallyport::{json::Args, Context, Error};

sallyport::plugin! {
    tools: [("@BASE@.count", count)],
}

fn count(_: &Context, args: Args) -> Result<String, Error> {
    let text = args.str("text")?; // or INVALID_ARGS: "text is missing"
    Ok(format!(
        "{} characters, {} words, {} lines",
        text.chars().count(),
        text.split_whitespace().count(),
        text.lines().count()
    ))
}

#[cfg(test)]
mod tests {
    use super::PLUGIN;
    use sallyport::{testing::Host, Status};

    #[test]
    fn counts() {
        let host = Host::new();
        let said = host.tool(&PLUGIN, "@BASE@.count", r#"{"text":"to be or\nnot to be\n"}"#);
        assert_eq!(said.text(), "19 characters, 6 words, 2 lines");
        assert_eq!(host.tool(&PLUGIN, "@BASE@.count", r#"{"text":5}"#).status, Status::InvalidArgs);
    }
}
