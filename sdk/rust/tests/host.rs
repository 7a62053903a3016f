//! Every host function through `testing::Host`, and the statuses of every kind.

use std::time::Duration;

use sallyport::testing::Host;
use sallyport::{json::Value, Answer, Code, Context, Error, Request, Response, Status};

sallyport::plugin! {
    authorize: gate,
    configure: configure,
    response_transform: response,
    request_transform: request,
    tools: [("kv", kv), ("http", http), ("rest", rest), ("call", call), ("panic", panics)],
    any_tool: any,
    tools_list: list,
}

fn gate(ctx: &Context, _: Value) -> Result<(), Error> {
    if ctx.roles().any(|r| r == "admin") {
        return Ok(());
    }
    Err(Error::denied("only admins may"))
}

fn configure(ctx: &Context, config: Value) -> Result<(), Error> {
    let all = ctx.config("")?.unwrap();
    assert_eq!(sallyport::json::parse(&all)?, config);
    assert_eq!(ctx.config("none")?, None);
    Err(Error::Other("no".to_owned()))
}

fn response(_: &Context, _: Value) -> Result<Option<Value<'static>>, Error> {
    Ok(None)
}

fn request(_: &Context, payload: &[u8]) -> Result<Option<Vec<u8>>, Error> {
    Ok(Some(payload.to_vec()))
}

fn kv(ctx: &Context, _: &[u8]) -> Result<String, Error> {
    assert_eq!(ctx.kv_get("a")?, None);
    let first = ctx.kv_swap("a", "1", None, 0)?;
    assert_eq!(ctx.kv_swap("a", "2", None, 0).unwrap_err().code, Code::Conflict);
    let second = ctx.kv_swap("a", "2", None, first)?;
    assert!(second > first);
    assert_eq!(ctx.kv_delete_version("a", first).unwrap_err().code, Code::Conflict);
    let long = "x".repeat(5000);
    ctx.kv_set("a/long", &long, Some(Duration::from_secs(5)))?;
    assert_eq!(ctx.kv_get("a/long")?.unwrap().value, long.as_bytes());
    let mut tries = 0;
    let value = ctx.kv_update("a", None, |old| {
        tries += 1;
        if tries == 1 {
            ctx.kv_set("a", "7", None)?; // another call was faster
        }
        let n: u32 = std::str::from_utf8(old.unwrap())?.parse().unwrap();
        Ok((n + 1).to_string().into_bytes())
    })?;
    assert_eq!((tries, value), (2, b"8".to_vec()));
    for n in 0..100 {
        ctx.kv_set(&format!("p{n:02}"), "", None)?;
    }
    let page = ctx.kv_list("p", "")?;
    assert_eq!((page.len(), page[0].0.as_str()), (64, "p00"));
    assert_eq!(ctx.kv_list("p", &page[63].0)?.len(), 36);
    for n in 0..100 {
        ctx.kv_delete(&format!("p{n:02}"))?;
    }
    assert_eq!(ctx.kv_delete("p00").unwrap_err().to_string(), "kv delete p00: not found");
    Ok("done".to_owned())
}

fn http(ctx: &Context, _: &[u8]) -> Result<Answer, Error> {
    let r = ctx.http(&Request::post("https://api.example/", "body").header("X-A", "1"))?;
    assert!(r.is_success());
    assert_eq!((r.get("X-B"), r.json()?.get("ok").and_then(Value::as_bool)), (Some("2"), Some(true)));
    let bad = Request::get("https://api.example/").header(":url", "https://evil.example/");
    assert_eq!(ctx.http(&bad).unwrap_err().code, Code::Invalid);
    let many = (0..63).fold(Request::get("https://api.example/"), |r, n| r.header(format!("x-{n}"), ""));
    assert_eq!(ctx.http(&many).unwrap_err().code, Code::Invalid);
    Ok(Answer::with_mime("text/html", "<p>"))
}

fn rest(ctx: &Context, _: &[u8]) -> Result<&'static str, Error> {
    ctx.count("a", 1.0);
    ctx.observe("b", 2.5);
    ctx.progress(1.0, Some(4.0), "half of a half");
    ctx.progress(2.0, None, "");
    assert_eq!(ctx.secret("key")?, "value");
    assert_eq!(ctx.deadline(), Some(Duration::from_millis(250)));
    assert_eq!(ctx.now(), Duration::from_secs(1_000_000));
    assert_eq!((ctx.tenant(), ctx.session(), ctx.meta("tenant")), ("acme", "", Some("acme")));
    ctx.secret("other")?;
    Ok("not reached")
}

fn call(ctx: &Context, payload: &[u8]) -> Result<String, Error> {
    let answered = ctx.call_tool("other.greet", payload)?;
    Ok(format!("{} {} {}", answered.is_error(), answered.text(), String::from_utf8(answered.result())?))
}

fn panics(_: &Context, _: &[u8]) -> Result<Value<'static>, Error> {
    panic!("boom")
}

fn any(ctx: &Context, _: &[u8]) -> Result<String, Error> {
    Ok(ctx.tool().to_owned())
}

fn list(_: &Context) -> Result<&'static str, Error> {
    Ok(r#"{"tools":[]}"#)
}

#[test]
fn kinds() {
    let host = Host::new().config(r#"{"a":[1]}"#).meta("principal.roles", "user,admin");
    assert_eq!(host.authorize(&PLUGIN, "{}").status, Status::Ok);
    let said = Host::new().authorize(&PLUGIN, "");
    assert_eq!((said.status, said.text()), (Status::Denied, "only admins may"));
    assert_eq!(host.authorize(&PLUGIN, "[").status, Status::InvalidArgs);
    assert_eq!(host.configure(&PLUGIN).status, Status::Internal);
    assert!(host.response_transform(&PLUGIN, "{}").unchanged());
    assert_eq!(host.response_transform(&PLUGIN, "{").status, Status::Internal);
    assert_eq!(host.request_transform(&PLUGIN, "{ }").ok().text(), "{ }");
    assert_eq!(host.tool(&PLUGIN, "whatever", "").text(), "whatever");
    assert_eq!(host.tools_list(&PLUGIN).text(), r#"{"tools":[]}"#);
}

#[test]
fn the_store() {
    let host = Host::new();
    host.tool(&PLUGIN, "kv", "").ok();
    assert_eq!(host.store().keys().collect::<Vec<_>>(), ["a", "a/long"]);
    host.advance(Duration::from_secs(6));
    assert_eq!(host.store().keys().collect::<Vec<_>>(), ["a"]);
}

#[test]
fn requests() {
    let host = Host::new().http(|r| {
        assert_eq!((r.method.as_str(), r.body.as_slice()), ("POST", &b"body"[..]));
        assert_eq!(r.headers, [("X-A".to_owned(), "1".to_owned())]);
        Ok(Response::new(201).header("X-b", "2").body(r#"{"ok":true}"#))
    });
    let said = host.tool(&PLUGIN, "http", "").ok();
    assert_eq!((said.text(), said.meta[0].1.as_str()), ("<p>", "text/html"));
    let said = Host::new().tool(&PLUGIN, "http", "");
    assert_eq!((said.status, said.text()), (Status::ToolError, "http https://api.example/: denied"));
}

#[test]
fn the_rest() {
    let host = Host::new().secret("key", "value").meta("tenant", "acme").meta("deadline_ms", "250");
    let said = host.tool(&PLUGIN, "rest", "");
    assert_eq!((said.status, said.text()), (Status::ToolError, "secret other: not found"));
    assert_eq!(host.metrics(), [("a".to_owned(), 1.0), ("b".to_owned(), 2.5)]);
    assert_eq!(host.progress(), ["1/4 half of a half", "2"]);
}

#[test]
fn other_tools() {
    let ok = r#"{"content":[{"type":"text","text":"a"},{"type":"image"},{"type":"text","text":"b"}]}"#;
    let cases: [(Result<&str, Error>, Status, String); 5] = [
        (Ok(ok), Status::Ok, format!("false a\nb {ok}")),
        (Ok(r#"{"isError":true}"#), Status::Ok, r#"true  {"isError":true}"#.to_owned()),
        (
            Err(Error::tool("it \"broke\"")),
            Status::Ok,
            r#"true it "broke" {"content":[{"type":"text","text":"it \"broke\""}],"isError":true}"#.to_owned(),
        ),
        (Err(Error::denied("no")), Status::Denied, "call tool other.greet: no".to_owned()),
        (
            Err(Error::unavailable("down", Some(Duration::from_millis(9)))),
            Status::Unavailable,
            "call tool other.greet: down".to_owned(),
        ),
    ];
    for (answer, status, text) in cases {
        let answer = answer.map(str::to_owned);
        let host = Host::new().tools(move |name, arguments| {
            assert_eq!((name, arguments), ("other.greet", "{}"));
            answer.clone()
        });
        let said = host.tool(&PLUGIN, "call", "{}");
        assert_eq!((said.status, said.text()), (status, text.as_str()));
        if status == Status::Unavailable {
            assert_eq!(said.meta, [("retry_after_ms".to_owned(), "9".to_owned())]);
        }
    }
    assert_eq!(Host::new().tool(&PLUGIN, "call", "{}").text(), "call tool other.greet: denied");
}

/// A panic goes through to the test, and the host of the thread is as it was.
#[test]
fn panics_reach_the_test() {
    let host = Host::new();
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| host.tool(&PLUGIN, "panic", "")));
    assert!(caught.is_err());
    assert_eq!(host.tool(&PLUGIN, "x", "").text(), "x");
}
