//! A tool that turns an amount of money into another currency. Rates come from an HTTP
//! API and are kept in the store for as long as the operator says, for all instances.

use std::cell::RefCell;
use std::time::Duration;

use sallyport::json::{self, Args, Value};
use sallyport::{object, Context, Error, Request};

sallyport::plugin! {
    tools: [("convert", convert)],
    configure: configure,
}

/// What the operator set. It is no caller's, so it may stay.
struct Settings {
    url: String,
    keep: Duration,
}

thread_local! {
    static SETTINGS: RefCell<Settings> = RefCell::new(Settings {
        url: "https://rates.example/v1".to_owned(),
        keep: Duration::from_secs(3600),
    });
}

fn configure(_: &Context, config: Args) -> Result<(), Error> {
    config.only(&["url", "keep_minutes"])?;
    SETTINGS.with(|s| {
        let mut s = s.borrow_mut();
        if let Some(url) = config.opt_str("url")? {
            if !url.starts_with("https://") {
                return Err(Error::invalid_args("url must begin with https://"));
            }
            s.url = url.trim_end_matches('/').to_owned();
        }
        if let Some(minutes) = config.opt_u64("keep_minutes")? {
            s.keep = Duration::from_secs(60 * minutes.clamp(1, 7 * 24 * 60));
        }
        Ok(())
    })
}

fn convert(ctx: &Context, args: Args) -> Result<Value<'static>, Error> {
    let amount = args.f64("amount")?;
    let (from, to) = (currency(&args, "from")?, currency(&args, "to")?);
    let rate = rate(ctx, from, to)?;
    Ok(object! {
        "amount": (amount * rate * 100.0).round() / 100.0,
        "currency": to.to_owned(),
        "rate": rate,
    })
}

/// Three capital letters; they go into an address, so nothing else will do.
fn currency<'a>(args: &'a Args, name: &str) -> Result<&'a str, Error> {
    let code = args.str(name)?;
    if code.len() != 3 || !code.bytes().all(|b| b.is_ascii_uppercase()) {
        return Err(Error::invalid_args(format!("{name} must be a code of three capital letters, as NOK")));
    }
    Ok(code)
}

/// The rate from the store, or from the API.
fn rate(ctx: &Context, from: &str, to: &str) -> Result<f64, Error> {
    if from == to {
        return Ok(1.0);
    }
    let key = format!("rate/{from}/{to}");
    if let Some(kept) = ctx.kv_get(&key)? {
        if let Some(rate) = json::parse(&kept.value)?.as_f64() {
            ctx.count("rates_from_store", 1.0);
            return Ok(rate);
        }
    }
    let (url, keep) = SETTINGS.with(|s| (s.borrow().url.clone(), s.borrow().keep));
    let answer = ctx.http(&Request::get(format!("{url}/{from}?to={to}")).header("accept", "application/json"))?;
    match answer.status {
        200 => {}
        404 => return Err(Error::invalid_args(format!("there is no rate from {from} to {to}"))),
        429 | 503 => {
            let after = answer.get("retry-after").and_then(|v| v.parse().ok()).map(Duration::from_secs);
            return Err(Error::unavailable("the rates cannot be asked for now", after));
        }
        status => return Err(Error::tool(format!("the rates were answered with status {status}"))),
    }
    let body = answer.json()?;
    let rate = body.get("rate").ok_or_else(|| Error::tool("the rates were answered without one"))?;
    let number = rate.as_f64().filter(|r| *r > 0.0).ok_or_else(|| Error::tool("the rate is no number"))?;
    // The next call asks again when the store is full: no reason to fail this one.
    if let Err(e) = ctx.kv_set(&key, rate.to_vec(), Some(keep)) {
        ctx.warn(e.to_string());
    }
    Ok(number)
}

#[cfg(test)]
mod tests {
    use super::PLUGIN;
    use sallyport::testing::Host;
    use sallyport::{Code, Response, Status};
    use std::cell::Cell;
    use std::rc::Rc;
    use std::time::Duration;

    const ASK: &str = r#"{"amount": 10, "from": "EUR", "to": "NOK"}"#;

    #[test]
    fn asks_once_an_hour() {
        let asked = Rc::new(Cell::new(0));
        let count = asked.clone();
        let host = Host::new().http(move |r| {
            assert_eq!((r.method.as_str(), r.url.as_str()), ("GET", "https://rates.example/v1/EUR?to=NOK"));
            count.set(count.get() + 1);
            Ok(Response::new(200).body(r#"{"rate": 11.455}"#))
        });
        for _ in 0..3 {
            let said = host.tool(&PLUGIN, "convert", ASK).ok();
            let content = said.json().get("structuredContent").unwrap().to_string();
            assert_eq!(content, r#"{"amount":114.55,"currency":"NOK","rate":11.455}"#);
        }
        assert_eq!(asked.get(), 1);
        assert_eq!(host.store()["rate/EUR/NOK"], b"11.455");
        host.advance(Duration::from_secs(3601));
        host.tool(&PLUGIN, "convert", ASK).ok();
        assert_eq!(asked.get(), 2);
    }

    #[test]
    fn says_what_is_wrong() {
        let host = Host::new().http(|r| match r.url.as_str() {
            "https://rates.example/v1/EUR?to=XXX" => Ok(Response::new(404)),
            "https://rates.example/v1/EUR?to=SEK" => Ok(Response::new(503).header("Retry-After", "7")),
            _ => Err(Code::Timeout),
        });
        for (arguments, status, text) in [
            (r#"{"from":"EUR","to":"NOK"}"#, Status::InvalidArgs, "amount is missing"),
            (r#"{"amount":"1","from":"EUR","to":"NOK"}"#, Status::InvalidArgs, "amount must be a number, not a string"),
            (
                r#"{"amount":1,"from":"eur","to":"NOK"}"#,
                Status::InvalidArgs,
                "from must be a code of three capital letters, as NOK",
            ),
            (r#"{"amount":1,"from":"EUR","to":"XXX"}"#, Status::InvalidArgs, "there is no rate from EUR to XXX"),
            (r#"{"amount":1,"from":"EUR","to":"SEK"}"#, Status::Unavailable, "the rates cannot be asked for now"),
            (ASK, Status::ToolError, "http https://rates.example/v1/EUR?to=NOK: timed out"),
        ] {
            let said = host.tool(&PLUGIN, "convert", arguments);
            assert_eq!((said.status, said.text()), (status, text));
        }
        let said = host.tool(&PLUGIN, "convert", r#"{"amount":1,"from":"EUR","to":"SEK"}"#);
        assert_eq!(said.meta, [("retry_after_ms".to_owned(), "7000".to_owned())]);
    }

    #[test]
    fn takes_its_configuration() {
        for (config, status) in [
            (r#"{"url":"https://other.example/","keep_minutes":5}"#, Status::Ok),
            (r#"{"url":"http://other.example"}"#, Status::InvalidArgs),
            (r#"{"URL":"https://other.example"}"#, Status::InvalidArgs),
            (r#"{"keep_minutes":-1}"#, Status::InvalidArgs),
        ] {
            assert_eq!(Host::new().config(config).configure(&PLUGIN).status, status, "{config}");
        }
    }
}
