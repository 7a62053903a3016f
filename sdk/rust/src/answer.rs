use crate::error::{Error, Status};
use crate::frame;
use crate::json::{self, Args, Value};

/// What a tool answers with.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer(Kind);

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    Plain(Vec<u8>),
    Text { mime: String, text: Vec<u8> },
    Raw(Vec<u8>),
}

impl Answer {
    /// One block of text.
    pub fn text(text: impl Into<String>) -> Answer {
        Answer(Kind::Plain(text.into().into_bytes()))
    }

    /// One block of text of some other type that begins with `text/`; what does not
    /// is taken as `text/plain`.
    pub fn with_mime(mime: impl Into<String>, text: impl Into<String>) -> Answer {
        let mime = mime.into();
        if mime == "text/plain" || !mime.starts_with("text/") {
            return Answer::text(text);
        }
        Answer(Kind::Text { mime, text: text.into().into_bytes() })
    }

    /// A CallToolResult that is JSON already.
    pub fn raw(call_tool_result: impl Into<Vec<u8>>) -> Answer {
        Answer(Kind::Raw(call_tool_result.into()))
    }

    /// Structured content, which old clients read as text. What is no JSON object
    /// becomes text only.
    pub fn structured(value: &Value<'_>) -> Answer {
        let text = value.to_string();
        let structured = value.as_object().map(|_| text.as_bytes());
        Answer::of(&[Block::text(&text)], structured, false)
    }

    /// Several blocks.
    pub fn blocks(blocks: &[Block]) -> Answer {
        Answer::of(blocks, None, false)
    }

    /// Several blocks of a tool that failed.
    pub fn failed(blocks: &[Block]) -> Answer {
        Answer::of(blocks, None, true)
    }

    fn of(blocks: &[Block], structured: Option<&[u8]>, is_error: bool) -> Answer {
        let mut out = br#"{"content":["#.to_vec();
        for (n, block) in blocks.iter().enumerate() {
            if n > 0 {
                out.push(b',');
            }
            out.extend_from_slice(&block.0);
        }
        out.push(b']');
        if let Some(structured) = structured {
            out.extend_from_slice(br#","structuredContent":"#);
            out.extend_from_slice(structured);
        }
        if is_error {
            out.extend_from_slice(br#","isError":true"#);
        }
        out.push(b'}');
        Answer(Kind::Raw(out))
    }

    #[doc(hidden)]
    pub fn write(self, out: &mut Vec<u8>) -> Result<(), Error> {
        match self.0 {
            Kind::Plain(text) => {
                out.extend_from_slice(PLAIN);
                out.extend_from_slice(&text);
            }
            Kind::Text { mime, text } => frame::write_out(out, Status::Ok as u16, &[("mime", mime)], &text),
            Kind::Raw(json) => ok(out, json),
        }
        Ok(())
    }
}

/// What stands before plain text in a frame: OK, and one pair. Most answers begin so.
const PLAIN: &[u8] = b"\0\0\0\0\x01\0\0\0\x04\0\0\0mime\x0a\0\0\0text/plain";

/// One content block of an [`Answer`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block(Vec<u8>);

impl Block {
    /// A block of text.
    pub fn text(text: &str) -> Block {
        let mut out = br#"{"type":"text","text":"#.to_vec();
        json::quote(&mut out, text);
        out.push(b'}');
        Block(out)
    }

    /// An image; `bytes` is the file.
    pub fn image(mime: &str, bytes: &[u8]) -> Block {
        Block::binary("image", mime, bytes)
    }

    /// A sound; `bytes` is the file.
    pub fn audio(mime: &str, bytes: &[u8]) -> Block {
        Block::binary("audio", mime, bytes)
    }

    /// Any other block, in JSON.
    pub fn raw(json: impl Into<Vec<u8>>) -> Block {
        Block(json.into())
    }

    fn binary(sort: &str, mime: &str, bytes: &[u8]) -> Block {
        let mut out = Vec::with_capacity(64 + bytes.len() / 3 * 4);
        out.extend_from_slice(br#"{"type":"#);
        json::quote(&mut out, sort);
        out.extend_from_slice(br#","data":""#);
        base64(&mut out, bytes);
        out.extend_from_slice(br#"","mimeType":"#);
        json::quote(&mut out, mime);
        out.push(b'}');
        Block(out)
    }
}

/// Appends base64 with padding, RFC 4648 section 4.
fn base64(out: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for chunk in bytes.chunks(3) {
        let at = |n: usize| u32::from(chunk.get(n).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for digit in 0..4 {
            out.push(if digit > chunk.len() { b'=' } else { DIGITS[(bits >> (18 - 6 * digit) & 63) as usize] });
        }
    }
}

/// One tool as `tools_list` answers it.
///
/// ```
/// use sallyport::Tool;
/// let tool = Tool::new("greet")
///     .description("Greets somebody.")
///     .input_schema(r#"{"type":"object","properties":{"name":{"type":"string"}}}"#);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tool {
    name: String,
    schema: String,
    rest: Vec<u8>,
}

impl Tool {
    /// A tool that takes any object.
    pub fn new(name: impl Into<String>) -> Tool {
        Tool { name: name.into(), schema: r#"{"type":"object"}"#.to_owned(), rest: Vec::new() }
    }

    /// The name for people.
    #[must_use]
    pub fn title(self, title: &str) -> Tool {
        self.text("title", title)
    }

    /// Tells the model what the tool does.
    #[must_use]
    pub fn description(self, description: &str) -> Tool {
        self.text("description", description)
    }

    /// The JSON Schema of the arguments.
    #[must_use]
    pub fn input_schema(mut self, schema: impl Into<String>) -> Tool {
        self.schema = schema.into();
        self
    }

    /// The JSON Schema of structured content.
    #[must_use]
    pub fn output_schema(self, schema: &str) -> Tool {
        self.json("outputSchema", schema.as_bytes())
    }

    /// MCP's tool annotations, a JSON object.
    #[must_use]
    pub fn annotations(self, object: &str) -> Tool {
        self.json("annotations", object.as_bytes())
    }

    fn text(self, name: &str, text: &str) -> Tool {
        let mut quoted = Vec::new();
        json::quote(&mut quoted, text);
        self.json(name, &quoted)
    }

    fn json(mut self, name: &str, json: &[u8]) -> Tool {
        self.rest.push(b',');
        json::quote(&mut self.rest, name);
        self.rest.push(b':');
        self.rest.extend_from_slice(json);
        self
    }
}

/// What comes in: what handlers may take as their second parameter.
pub trait FromPayload<'a>: Sized {
    #[doc(hidden)]
    fn from_payload(payload: &'a [u8]) -> Result<Self, json::Error>;

    /// Reads the arguments of a call, or the configuration. No payload is an empty object.
    #[doc(hidden)]
    fn arguments(payload: &'a [u8]) -> Result<Self, Error> {
        Self::from_payload(payload).map_err(|e| Error::InvalidArgs(format!("the arguments: {e}")))
    }

    /// Reads a CallToolResult.
    #[doc(hidden)]
    fn result(payload: &'a [u8]) -> Result<Self, Error> {
        Self::from_payload(payload).map_err(|e| Error::Internal(format!("the result: {e}")))
    }
}

impl<'a> FromPayload<'a> for &'a [u8] {
    fn from_payload(payload: &'a [u8]) -> Result<Self, json::Error> {
        Ok(payload)
    }
}

impl<'a> FromPayload<'a> for Value<'a> {
    fn from_payload(payload: &'a [u8]) -> Result<Self, json::Error> {
        json::parse(if payload.is_empty() { b"{}" } else { payload })
    }
}

impl<'a> FromPayload<'a> for Args<'a> {
    fn from_payload(payload: &'a [u8]) -> Result<Self, json::Error> {
        match Value::from_payload(payload)? {
            Value::Object(object) => Ok(Args::from(object)),
            _ => Err(json::Error::new(0, "an object is wanted")),
        }
    }
}

/// What a tool may return.
pub trait IntoAnswer {
    #[doc(hidden)]
    fn into_answer(self) -> Answer;
}

impl IntoAnswer for Answer {
    fn into_answer(self) -> Answer {
        self
    }
}

impl IntoAnswer for String {
    fn into_answer(self) -> Answer {
        Answer::text(self)
    }
}

impl IntoAnswer for &str {
    fn into_answer(self) -> Answer {
        Answer::text(self)
    }
}

impl IntoAnswer for Value<'_> {
    fn into_answer(self) -> Answer {
        Answer::structured(&self)
    }
}

/// What a transformer may return: `None` leaves everything as it is.
pub trait IntoChange {
    #[doc(hidden)]
    fn write(self, out: &mut Vec<u8>);
}

const UNCHANGED: [u8; 8] = [Status::Unchanged as u8, 0, 0, 0, 0, 0, 0, 0];

impl IntoChange for Option<Vec<u8>> {
    fn write(self, out: &mut Vec<u8>) {
        match self {
            Some(json) => ok(out, json),
            None => out.extend_from_slice(&UNCHANGED),
        }
    }
}

impl IntoChange for Option<String> {
    fn write(self, out: &mut Vec<u8>) {
        self.map(String::into_bytes).write(out);
    }
}

impl IntoChange for Option<Value<'_>> {
    fn write(self, out: &mut Vec<u8>) {
        match self {
            Some(value) => {
                out.extend_from_slice(&[0; 8]);
                value.write(out);
            }
            None => out.extend_from_slice(&UNCHANGED),
        }
    }
}

/// What `tools_list` may return: the tools, or the whole answer in JSON.
pub trait IntoTools {
    #[doc(hidden)]
    fn write(self, out: &mut Vec<u8>);
}

impl IntoTools for Vec<Tool> {
    fn write(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[0; 8]);
        out.extend_from_slice(br#"{"tools":["#);
        for (n, tool) in self.iter().enumerate() {
            if n > 0 {
                out.push(b',');
            }
            out.extend_from_slice(br#"{"name":"#);
            json::quote(out, &tool.name);
            out.extend_from_slice(br#","inputSchema":"#);
            out.extend_from_slice(tool.schema.as_bytes());
            out.extend_from_slice(&tool.rest);
            out.push(b'}');
        }
        out.extend_from_slice(b"]}");
    }
}

impl IntoTools for String {
    fn write(self, out: &mut Vec<u8>) {
        ok(out, self.into_bytes());
    }
}

impl IntoTools for &str {
    fn write(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[0; 8]);
        out.extend_from_slice(self.as_bytes());
    }
}

/// Puts the head of the answer OK in front of a payload.
fn ok(out: &mut Vec<u8>, payload: Vec<u8>) {
    out.reserve(8 + payload.len());
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(&payload);
}

/// Appends the frame that says what went wrong.
pub(crate) fn write_error(out: &mut Vec<u8>, e: &Error, other: Status) {
    let status = e.status(other) as u16;
    match e {
        Error::Unavailable { message, retry_after: Some(after) } => {
            let ms = after.as_millis().max(1).to_string();
            frame::write_out(out, status, &[("retry_after_ms", ms)], message.as_bytes());
        }
        e => frame::write_out::<&str, &str>(out, status, &[], e.message().as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_of_the_rfc() {
        for (text, want) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            let mut out = Vec::new();
            base64(&mut out, text.as_bytes());
            assert_eq!(String::from_utf8(out).unwrap(), want);
        }
    }

    #[test]
    fn answers() {
        let written = |a: Answer| {
            let mut out = Vec::new();
            a.write(&mut out).unwrap();
            let (status, meta, payload) = frame::split_out(&out).unwrap();
            assert_eq!(status, 0);
            let mime = meta.get("mime").map(|m| String::from_utf8(m.to_vec()).unwrap());
            (mime, String::from_utf8(payload.to_vec()).unwrap())
        };
        assert_eq!(written(Answer::text("a\"b")), (Some("text/plain".into()), "a\"b".into()));
        assert_eq!(written(Answer::with_mime("text/csv", "a,b")).0.as_deref(), Some("text/csv"));
        assert_eq!(written(Answer::with_mime("image/png", "a")).0.as_deref(), Some("text/plain"));
        assert_eq!(
            written(crate::object! { "a": 1 }.into_answer()),
            (None, r#"{"content":[{"type":"text","text":"{\"a\":1}"}],"structuredContent":{"a":1}}"#.into())
        );
        assert_eq!(written(Value::from(1).into_answer()).1, r#"{"content":[{"type":"text","text":"1"}]}"#);
        assert_eq!(
            written(Answer::failed(&[Block::image("image/png", b"foo"), Block::raw("{}")])).1,
            r#"{"content":[{"type":"image","data":"Zm9v","mimeType":"image/png"},{}],"isError":true}"#
        );
    }

    #[test]
    fn tools() {
        let mut out = Vec::new();
        vec![Tool::new("a").title("A \"a\"").annotations(r#"{"readOnlyHint":true}"#), Tool::new("b")].write(&mut out);
        assert_eq!(
            std::str::from_utf8(&out[8..]).unwrap(),
            r#"{"tools":[{"name":"a","inputSchema":{"type":"object"},"title":"A \"a\"","annotations":{"readOnlyHint":true}},{"name":"b","inputSchema":{"type":"object"}}]}"#
        );
    }
}
