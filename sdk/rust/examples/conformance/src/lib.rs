//! The guest that `sdk/conformance` describes, on the SDK of this folder.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use sallyport::json::Args;
use sallyport::{Answer, Code, Context, Error, HostError, Request, Tool};

sallyport::plugin! {
    tools: [
        ("echo", echo), ("upper", upper), ("text", text), ("empty", empty), ("fail", fail), ("panic", panics),
        ("meta", meta), ("pair", pair), ("big", big), ("length", length), ("count", count), ("greeting", greeting),
        ("typed", typed), ("config", config), ("secret", secret), ("log", log), ("metric", metric),
        ("progress", progress), ("http", http), ("call_tool", call_tool), ("kv", kv),
    ],
    tools_list: list,
    response_transform: hide,
    request_transform: respell,
    authorize: authorize,
    configure: configure,
}

thread_local! {
    static COUNT: Cell<u32> = const { Cell::new(0) };
    static GREETING: RefCell<String> = RefCell::new("hello".to_owned());
}

type Said = Result<String, Error>;

fn utf8(payload: &[u8]) -> Result<&str, Error> {
    Ok(std::str::from_utf8(payload)?)
}

/// The payload in at most n lines.
fn lines(payload: &[u8], n: usize) -> Result<Vec<&str>, Error> {
    let mut lines: Vec<&str> = utf8(payload)?.splitn(n, '\n').collect();
    lines.resize(n, "");
    Ok(lines)
}

fn echo(_: &Context, payload: &[u8]) -> Result<Answer, Error> {
    Ok(Answer::raw(payload))
}

fn upper(_: &Context, payload: &[u8]) -> Said {
    Ok(utf8(payload)?.to_ascii_uppercase())
}

fn text(_: &Context, payload: &[u8]) -> Result<Answer, Error> {
    Ok(Answer::with_mime("text/markdown", utf8(payload)?))
}

fn empty(_: &Context, _: &[u8]) -> Result<&'static str, Error> {
    Ok("")
}

fn fail(_: &Context, payload: &[u8]) -> Said {
    let word = utf8(payload)?;
    let message = format!("fail: {word}");
    Err(match word {
        "invalid_args" => Error::InvalidArgs(message),
        "unknown_tool" => Error::UnknownTool(message),
        "denied" => Error::Denied(message),
        "unavailable" => Error::unavailable(message, Some(Duration::from_millis(1500))),
        "internal" => Error::Internal(message),
        _ => Error::Tool(message),
    })
}

fn panics(_: &Context, _: &[u8]) -> Said {
    panic!("boom: the inside of the plugin");
}

fn meta(ctx: &Context, _: &[u8]) -> Said {
    let roles: Vec<&str> = ctx.roles().collect();
    let deadline = ctx.deadline().map_or(String::new(), |d| d.as_millis().to_string());
    let mut said = String::new();
    for (key, value) in [
        ("tool", ctx.tool()),
        ("server", ctx.server()),
        ("call_id", ctx.call_id()),
        ("session", ctx.session()),
        ("tenant", ctx.tenant()),
        ("principal.sub", ctx.subject()),
        ("principal.roles", &roles.join(",")),
        ("traceparent", ctx.traceparent()),
        ("deadline_ms", &deadline),
    ] {
        said += &format!("{key}={value}\n");
    }
    said.pop();
    Ok(said)
}

fn pair(ctx: &Context, payload: &[u8]) -> Said {
    Ok(ctx.meta(utf8(payload)?).unwrap_or("").to_owned())
}

fn big(_: &Context, payload: &[u8]) -> Said {
    let n: usize = utf8(payload)?.parse().map_err(|_| Error::invalid_args("a number is wanted"))?;
    Ok(letters(n))
}

fn letters(n: usize) -> String {
    (b'a'..=b'z').cycle().take(n).map(char::from).collect()
}

fn length(_: &Context, payload: &[u8]) -> Said {
    Ok(payload.len().to_string())
}

fn count(_: &Context, _: &[u8]) -> Said {
    COUNT.with(|c| c.set(c.get() + 1));
    Ok(COUNT.with(Cell::get).to_string())
}

fn greeting(_: &Context, _: &[u8]) -> Said {
    Ok(GREETING.with(|g| g.borrow().clone()))
}

fn typed(_: &Context, args: Args) -> Said {
    let city = args.str("city")?;
    Ok(format!("{city} {}", args.opt_i64("days")?.unwrap_or(1)))
}

fn config(ctx: &Context, payload: &[u8]) -> Said {
    match ctx.config(utf8(payload)?)? {
        Some(value) => Ok(String::from_utf8(value)?),
        None => Err(Error::tool("not found")),
    }
}

fn secret(ctx: &Context, payload: &[u8]) -> Said {
    Ok(ctx.secret(utf8(payload)?)?)
}

fn log(ctx: &Context, _: &[u8]) -> Said {
    ctx.debug("a debug line");
    ctx.info("an info line");
    ctx.warn("a warn line");
    ctx.error("an error line");
    Ok("ok".to_owned())
}

fn metric(ctx: &Context, _: &[u8]) -> Said {
    ctx.count("calls", 1.0);
    ctx.gauge("level", 0.5);
    ctx.observe("size", 12.0);
    Ok("ok".to_owned())
}

fn progress(ctx: &Context, _: &[u8]) -> Said {
    ctx.progress(1.0, Some(4.0), "a quarter");
    ctx.progress(2.0, None, "");
    Ok("ok".to_owned())
}

fn http(ctx: &Context, payload: &[u8]) -> Said {
    let (head, body) = utf8(payload)?.split_once("\n\n").unwrap_or((utf8(payload)?, ""));
    let mut head = head.split('\n');
    let (method, url) = (head.next().unwrap_or(""), head.next().unwrap_or(""));
    let mut request = Request::new(method, url).body(body);
    for line in head {
        let (name, value) = line.split_once(": ").unwrap_or((line, ""));
        request = request.header(name, value);
    }
    let answer = ctx.http(&request)?;
    Ok(format!("{}\n{}\n{}", answer.status, answer.get("content-type").unwrap_or(""), answer.text()))
}

fn call_tool(ctx: &Context, payload: &[u8]) -> Result<Answer, Error> {
    let lines = lines(payload, 2)?;
    Ok(Answer::raw(ctx.call_tool(lines[0], lines[1])?.result()))
}

fn kv(ctx: &Context, payload: &[u8]) -> Said {
    let lines = lines(payload, 3)?;
    let (key, value) = (lines[1], lines[2]);
    let absent = || HostError { doing: "kv get", what: key.to_owned(), code: Code::NotFound };
    match lines[0] {
        "get" => return Ok(String::from_utf8(ctx.kv_get(key)?.ok_or_else(absent)?.value)?),
        "set" => drop(ctx.kv_set(key, value, None)?),
        "ttl" => drop(ctx.kv_set(key, value, Some(Duration::from_secs(1)))?),
        "new" => drop(ctx.kv_swap(key, value, None, 0)?),
        "delete" => ctx.kv_delete(key)?,
        "stale" => {
            let version = ctx.kv_get(key)?.ok_or_else(absent)?.version;
            ctx.kv_set(key, "other", None)?;
            ctx.kv_swap(key, value, None, version)?;
        }
        "swap" => {
            let version = ctx.kv_get(key)?.ok_or_else(absent)?.version;
            ctx.kv_swap(key, value, None, version)?;
        }
        "list" => {
            let (mut said, mut after) = (String::new(), String::new());
            loop {
                let page = ctx.kv_list(key, &after)?;
                match page.last() {
                    None => return Ok(said),
                    Some((last, _)) => after = last.clone(),
                }
                for (name, _) in page {
                    said = said + &name + "\n";
                }
            }
        }
        other => return Err(Error::invalid_args(format!("there is no {other}"))),
    }
    Ok("ok".to_owned())
}

fn list(_: &Context) -> Result<Vec<Tool>, Error> {
    Ok(vec![
        Tool::new("echo").description("Gives back what it gets."),
        Tool::new("typed").input_schema(
            r#"{"type":"object","properties":{"city":{"type":"string"},"days":{"type":"integer"}},"required":["city"]}"#,
        ),
    ])
}

fn hide(_: &Context, result: &[u8]) -> Result<Option<String>, Error> {
    let result = utf8(result)?;
    if result.contains("explode") {
        return Err(Error::internal("it exploded"));
    }
    Ok(result.contains("hunter2").then(|| result.replace("hunter2", "*******")))
}

fn respell(_: &Context, arguments: &[u8]) -> Result<Option<String>, Error> {
    let arguments = utf8(arguments)?;
    if arguments.contains("forbidden") {
        return Err(Error::denied("a forbidden word"));
    }
    if arguments.contains("nonsense") {
        return Err(Error::invalid_args("a word without sense"));
    }
    Ok(arguments.contains("colour").then(|| arguments.replace("colour", "color")))
}

fn authorize(ctx: &Context, _: &[u8]) -> Result<(), Error> {
    match ctx.subject() {
        "ada" => Ok(()),
        "mallory" => Err(Error::denied("mallory may not")),
        _ => Err(Error::denied("who are you?")),
    }
}

fn configure(ctx: &Context, config: Args) -> Result<(), Error> {
    if config.opt_bool("refuse")? == Some(true) {
        return Err(Error::invalid_args("refuse must not be set"));
    }
    if let Some(greeting) = config.opt_str("greeting")? {
        GREETING.with(|g| *g.borrow_mut() = greeting.to_owned());
    }
    ctx.debug("configured");
    Ok(())
}
