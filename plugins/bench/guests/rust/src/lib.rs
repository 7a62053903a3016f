//! The guest of the measurements in Rust, on sdk/rust: echo gives back what it gets,
//! text as a block of text, json decodes, puts a text into capitals and encodes.

use sallyport::json::Args;
use sallyport::{object, Answer, Context, Error};

sallyport::plugin! {
    tools: [("echo", echo), ("text", text), ("json", json)],
}

fn echo(_: &Context, arguments: &[u8]) -> Result<Answer, Error> {
    Ok(Answer::raw(arguments))
}

fn text(_: &Context, arguments: &[u8]) -> Result<Answer, Error> {
    Ok(Answer::text(std::str::from_utf8(arguments)?))
}

fn json(_: &Context, request: Args) -> Result<Answer, Error> {
    let arguments = request.object("arguments")?;
    let headers = request.object("headers")?;
    let result = object! {
        "content": vec![object! { "type": "text", "text": arguments.str("text")?.to_uppercase() }],
        "structuredContent": object! {
            "tool": request.str("tool")?,
            "id": request.str("id")?,
            "city": arguments.str("city")?,
            "n": arguments.i64("n")?,
            "flag": arguments.bool("flag")?,
            "agent": headers.str("user-agent")?,
            "request": headers.str("x-request-id")?,
        },
    };
    Ok(Answer::raw(result.to_vec()))
}
