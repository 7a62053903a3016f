//! The smallest useful plugin: three tools that give back what they get, each with a
//! different amount of work, for trying things out and for measuring.

use sallyport::json::Args;
use sallyport::{json::Value, object, Answer, Context, Error, Tool};

sallyport::plugin! {
    tools: [("echo", echo), ("raw", raw), ("shout", shout)],
    tools_list: tools,
}

fn tools(_: &Context) -> Result<Vec<Tool>, Error> {
    let read_only = |name| Tool::new(name).annotations(r#"{"readOnlyHint":true}"#);
    Ok(vec![
        read_only("echo").description("Says the text back.").input_schema(
            r#"{"type":"object","properties":{"text":{"type":"string","description":"what to say back"},"times":{"type":"integer","minimum":1,"maximum":100,"description":"how often; 1 if it is left out"}},"required":["text"]}"#,
        ),
        read_only("raw").description("Gives back the arguments as they came."),
        read_only("shout").description("Parses, puts the text into capitals and writes."),
    ])
}

/// How most tools look: arguments with types in, text out.
fn echo(_: &Context, args: Args) -> Result<String, Error> {
    let times = args.opt_u64("times")?.unwrap_or(1);
    if !(1..=100).contains(&times) {
        return Err(Error::invalid_args(format!("times must be from 1 to 100, not {times}")));
    }
    Ok(args.str("text")?.repeat(times as usize))
}

/// Looks at nothing but whether it is text: the least that a call can cost.
fn raw(_: &Context, args: &[u8]) -> Result<Answer, Error> {
    Ok(Answer::text(std::str::from_utf8(args)?))
}

/// Has structured content, which old clients read as text.
fn shout(_: &Context, args: Args) -> Result<Value<'static>, Error> {
    let inner = args.object("arguments")?;
    Ok(object! {
        "id": args.opt_i64("id")?.unwrap_or(0),
        "text": inner.str("text")?.to_uppercase(),
        "city": inner.opt_str("city")?.unwrap_or("").to_owned(),
        "n": inner.opt_f64("n")?.unwrap_or(0.0),
    })
}

#[cfg(test)]
mod tests {
    use super::PLUGIN;
    use sallyport::{testing::Host, Status};

    #[test]
    fn echoes() {
        let host = Host::new();
        assert_eq!(host.tool(&PLUGIN, "echo", r#"{"text":"ä","times":3}"#).text(), "äää");
        let said = host.tool(&PLUGIN, "echo", r#"{"text":"a","times":0}"#);
        assert_eq!((said.status, said.text()), (Status::InvalidArgs, "times must be from 1 to 100, not 0"));
        let said = host.tool(&PLUGIN, "echo", "{}");
        assert_eq!((said.status, said.text()), (Status::InvalidArgs, "text is missing"));
        assert_eq!(host.tool(&PLUGIN, "raw", r#"{"a": 1.0}"#).text(), r#"{"a": 1.0}"#);
        assert_eq!(host.tool(&PLUGIN, "whisper", "{}").status, Status::UnknownTool);
    }

    #[test]
    fn shouts() {
        let said = Host::new().tool(&PLUGIN, "shout", r#"{"id":7,"arguments":{"text":"hello","n":1.5}}"#);
        let content = said.json();
        let content = content.get("structuredContent").unwrap();
        assert_eq!(content.to_string(), r#"{"id":7,"text":"HELLO","city":"","n":1.5}"#);
    }

    #[test]
    fn lists() {
        let said = Host::new().tools_list(&PLUGIN).ok();
        assert_eq!(said.json().get("tools").unwrap().as_array().unwrap().len(), 3);
    }
}
