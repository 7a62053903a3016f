//! Runs handlers natively, under `cargo test`: [`Host`] plays the gateway.
//!
//! ```
//! use sallyport::{testing::Host, Context, Error, Request, Response};
//!
//! sallyport::plugin! { tools: [("temperature", temperature)] }
//!
//! fn temperature(ctx: &Context, _: &[u8]) -> Result<String, Error> {
//!     let answer = ctx.http(&Request::get("https://api.weather.example/v1"))?;
//!     ctx.info("asked");
//!     Ok(answer.text().into_owned())
//! }
//!
//! # fn main() {
//! let host = Host::new().http(|request| {
//!     assert_eq!(request.url, "https://api.weather.example/v1");
//!     Ok(Response::new(200).body("3 °C"))
//! });
//! assert_eq!(host.tool(&PLUGIN, "temperature", "{}").text(), "3 °C");
//! assert_eq!(host.logs(), ["asked"]);
//! # }
//! ```

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use crate::error::{Code, Error, Status};
use crate::frame::{self, MAX_PAIRS};
use crate::http::{Request, Response};
use crate::plugin::{Handler, Plugin};
use crate::{answer, guest, json};

type Http = Box<dyn FnMut(&Request) -> Result<Response, Code>>;
type Tools = Box<dyn FnMut(&str, &str) -> Result<String, Error>>;

/// A gateway for tests. What it was not given is answered as the gateway would: HTTP
/// and other tools are DENIED, secrets and settings NOT_FOUND. It keeps its store and
/// its log from call to call.
pub struct Host(Rc<RefCell<State>>);

#[derive(Default)]
struct State {
    meta: Vec<(String, String)>,
    config: Option<String>,
    secrets: BTreeMap<String, String>,
    store: BTreeMap<String, Kept>,
    versions: u64,
    now: Duration,
    http: Option<Http>,
    tools: Option<Tools>,
    slot: Vec<u8>,
    logs: Vec<String>,
    metrics: Vec<(String, f64)>,
    progress: Vec<String>,
}

struct Kept {
    value: Vec<u8>,
    version: u64,
    until: Option<Duration>,
}

thread_local! {
    static CURRENT: RefCell<Option<Rc<RefCell<State>>>> = const { RefCell::new(None) };
}

/// Puts the former host back, also when a handler panics.
struct Former(Option<Rc<RefCell<State>>>);

impl Drop for Former {
    fn drop(&mut self) {
        CURRENT.with(|c| *c.borrow_mut() = self.0.take());
    }
}

impl Default for Host {
    fn default() -> Host {
        Host::new()
    }
}

impl Host {
    /// A gateway that has nothing; its clock stands at 1,000,000 seconds after 1970.
    pub fn new() -> Host {
        Host(Rc::new(RefCell::new(State { now: Duration::from_secs(1_000_000), ..State::default() })))
    }

    fn with(self, f: impl FnOnce(&mut State)) -> Host {
        f(&mut self.0.borrow_mut());
        self
    }

    /// Tells something about every call: `tenant`, `principal.sub` …
    #[must_use]
    pub fn meta(self, key: &str, value: &str) -> Host {
        self.with(|s| s.meta.push((key.to_owned(), value.to_owned())))
    }

    /// Sets the configuration, a JSON object.
    ///
    /// # Panics
    ///
    /// When it is none.
    #[must_use]
    pub fn config(self, object: &str) -> Host {
        assert!(json::parse(object.as_bytes()).expect("config").as_object().is_some(), "config: no object");
        self.with(|s| s.config = Some(object.to_owned()))
    }

    /// Grants a secret.
    #[must_use]
    pub fn secret(self, name: &str, value: &str) -> Host {
        self.with(|s| drop(s.secrets.insert(name.to_owned(), value.to_owned())))
    }

    /// Puts a value into the store.
    #[must_use]
    pub fn kv(self, key: &str, value: impl AsRef<[u8]>) -> Host {
        self.with(|s| {
            s.versions += 1;
            let kept = Kept { value: value.as_ref().to_vec(), version: s.versions, until: None };
            s.store.insert(key.to_owned(), kept);
        })
    }

    /// Sets the clock.
    #[must_use]
    pub fn at(self, since_1970: Duration) -> Host {
        self.with(|s| s.now = since_1970)
    }

    /// Moves the clock: values of the store run out.
    pub fn advance(&self, by: Duration) {
        self.0.borrow_mut().now += by;
    }

    /// Answers HTTP requests.
    #[must_use]
    pub fn http(self, f: impl FnMut(&Request) -> Result<Response, Code> + 'static) -> Host {
        self.with(|s| s.http = Some(Box::new(f)))
    }

    /// Answers `call_tool`: name and arguments in, a CallToolResult out.
    #[must_use]
    pub fn tools(self, f: impl FnMut(&str, &str) -> Result<String, Error> + 'static) -> Host {
        self.with(|s| s.tools = Some(Box::new(f)))
    }

    /// Calls a tool.
    pub fn tool(&self, plugin: &Plugin, name: &str, arguments: &str) -> Said {
        self.call(plugin.tool_call, Status::ToolError, Some(name), arguments.as_bytes())
    }

    /// Asks for the list of tools.
    pub fn tools_list(&self, plugin: &Plugin) -> Said {
        self.call(plugin.tools_list, Status::Internal, None, b"")
    }

    /// Sends a CallToolResult through the transformer.
    pub fn response_transform(&self, plugin: &Plugin, result: &str) -> Said {
        self.call(plugin.response_transform, Status::Internal, None, result.as_bytes())
    }

    /// Sends arguments through the transformer.
    pub fn request_transform(&self, plugin: &Plugin, arguments: &str) -> Said {
        self.call(plugin.request_transform, Status::Internal, None, arguments.as_bytes())
    }

    /// Asks whether a call may pass: `status` is `Ok` if so.
    pub fn authorize(&self, plugin: &Plugin, arguments: &str) -> Said {
        self.call(plugin.authorize, Status::Internal, None, arguments.as_bytes())
    }

    /// Configures the plugin, as every instance is before its first call.
    pub fn configure(&self, plugin: &Plugin) -> Said {
        let config = self.0.borrow().config.clone().unwrap_or_else(|| "{}".to_owned());
        self.call(plugin.configure, Status::Internal, None, config.as_bytes())
    }

    fn call(&self, handler: Option<Handler>, other: Status, tool: Option<&str>, payload: &[u8]) -> Said {
        let handler = handler.expect("the plugin has no such part: name it in plugin!");
        let mut pairs = Vec::new();
        if let Some(tool) = tool {
            pairs.push(("tool".to_owned(), tool.to_owned()));
        }
        pairs.extend(self.0.borrow().meta.iter().cloned());
        let mut frame_in = Vec::new();
        frame::write_in(&mut frame_in, &pairs, payload);
        let _former = Former(CURRENT.with(|c| c.borrow_mut().replace(self.0.clone())));
        let mut out = Vec::new();
        guest::answer(handler, other, &frame_in, &mut out);
        self.0.borrow_mut().slot.clear();
        let (status, meta, payload) = frame::split_out(&out).expect("a handler wrote a broken frame");
        let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
        Said {
            status: Status::of(status),
            meta: meta.iter().map(|(k, v)| (text(k), text(v))).collect(),
            payload: payload.to_vec(),
        }
    }

    /// The lines of the log so far.
    pub fn logs(&self) -> Vec<String> {
        self.0.borrow().logs.clone()
    }

    /// What the store holds now.
    pub fn store(&self) -> BTreeMap<String, Vec<u8>> {
        let s = self.0.borrow();
        s.store.iter().filter(|(_, v)| v.fresh(s.now)).map(|(k, v)| (k.clone(), v.value.clone())).collect()
    }

    /// What was counted, set and observed, in order.
    pub fn metrics(&self) -> Vec<(String, f64)> {
        self.0.borrow().metrics.clone()
    }

    /// The progress notifications: "1/4 half of a half".
    pub fn progress(&self) -> Vec<String> {
        self.0.borrow().progress.clone()
    }
}

impl Kept {
    fn fresh(&self, now: Duration) -> bool {
        self.until.map_or(true, |until| now < until)
    }
}

/// What a plugin answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// `Status::Ok` …
    pub status: Status,
    /// `mime`, `retry_after_ms` …
    pub meta: Vec<(String, String)>,
    /// As the plugin wrote it.
    pub payload: Vec<u8>,
}

impl Said {
    /// The payload as text.
    ///
    /// # Panics
    ///
    /// When it is no UTF-8.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.payload).expect("the answer is no UTF-8")
    }

    /// The payload as JSON.
    ///
    /// # Panics
    ///
    /// When it is none.
    pub fn json(&self) -> json::Value<'_> {
        json::parse(&self.payload).unwrap_or_else(|e| panic!("{e}: {:?}", self.text()))
    }

    /// Whether a transformer leaves everything as it is.
    pub fn unchanged(&self) -> bool {
        self.status == Status::Unchanged
    }

    /// Insists that the answer is OK, and goes on with it.
    ///
    /// # Panics
    ///
    /// When it is not.
    pub fn ok(self) -> Said {
        assert_eq!(self.status, Status::Ok, "{:?}", self.text());
        self
    }
}

/// The host functions, as `host` has them on WebAssembly.
pub(crate) mod calls {
    use super::*;

    /// Runs `f` on the state of the host that makes the call; without one, as when a
    /// handler is called directly, there is nothing.
    fn state<T>(none: T, f: impl FnOnce(&mut State) -> T) -> T {
        match CURRENT.with(|c| c.borrow().clone()) {
            Some(s) => f(&mut s.borrow_mut()),
            None => none,
        }
    }

    /// Answers a function of the `(dst, cap)` kind.
    fn give(s: &mut State, value: Vec<u8>, dst: &mut [u8]) -> i64 {
        let n = value.len();
        match dst.get_mut(..n) {
            Some(dst) => {
                dst.copy_from_slice(&value);
                s.slot.clear();
            }
            None => s.slot = value,
        }
        n as i64
    }

    /// Leaves a result in the slot.
    fn leave(s: &mut State, value: Vec<u8>) -> i64 {
        s.slot = value;
        s.slot.len() as i64
    }

    pub fn log(_level: u32, line: &str) {
        state((), |s| s.logs.push(line.to_owned()));
    }

    pub fn read(dst: &mut [u8], off: usize) -> i32 {
        state(0, |s| {
            let rest = s.slot.get(off..).unwrap_or(&[]);
            let n = rest.len().min(dst.len());
            dst[..n].copy_from_slice(&rest[..n]);
            n as i32
        })
    }

    pub fn config(key: &str, dst: &mut [u8]) -> i64 {
        state(Code::NotFound.number(), |s| {
            let config = s.config.clone().unwrap_or_else(|| "{}".to_owned());
            if key.is_empty() {
                return give(s, config.into_bytes(), dst);
            }
            match json::parse(config.as_bytes()).ok().and_then(|v| v.get(key).map(json::Value::to_vec)) {
                Some(value) => give(s, value, dst),
                None => Code::NotFound.number(),
            }
        })
    }

    pub fn metric(name: &str, _kind: u32, value: f64) {
        state((), |s| s.metrics.push((name.to_owned(), value)));
    }

    pub fn http(request: &[u8]) -> i64 {
        let mut f = match state(None, |s| s.http.take()) {
            Some(f) => f,
            None => return Code::Denied.number(),
        };
        let (meta, body) = frame::split(request).expect("http: a broken frame");
        let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
        let mut pairs = meta.iter().map(|(k, v)| (text(k), text(v)));
        let method = pairs.next().expect("http: no :method").1;
        let url = pairs.next().expect("http: no :url").1;
        let answer = f(&Request { method, url, headers: pairs.collect(), body: body.to_vec() });
        state(0, |s| {
            s.http = Some(f);
            match answer {
                Ok(r) => {
                    let headers: Vec<_> = r.headers.iter().map(|(n, v)| (n.to_ascii_lowercase(), v)).collect();
                    let mut out = Vec::new();
                    frame::write_out(&mut out, r.status, &headers, &r.body);
                    leave(s, out)
                }
                Err(code) => code.number(),
            }
        })
    }

    pub fn kv_get(key: &str, dst: &mut [u8]) -> i64 {
        state(Code::NotFound.number(), |s| {
            let now = s.now;
            match s.store.get(key).filter(|v| v.fresh(now)) {
                Some(v) => {
                    let value = [&v.version.to_le_bytes(), v.value.as_slice()].concat();
                    give(s, value, dst)
                }
                None => Code::NotFound.number(),
            }
        })
    }

    pub fn kv_set(key: &str, value: &[u8], ttl: i64, version: i64) -> i64 {
        state(Code::Denied.number(), |s| {
            let now = s.now;
            let there = s.store.get(key).filter(|v| v.fresh(now)).map_or(0, |v| v.version as i64);
            if ttl < 0 || version < -1 {
                return Code::Invalid.number();
            }
            if version >= 0 && version != there {
                return Code::Conflict.number();
            }
            s.versions += 1;
            let until = (ttl > 0).then(|| now + Duration::from_millis(ttl as u64));
            s.store.insert(key.to_owned(), Kept { value: value.to_vec(), version: s.versions, until });
            s.versions as i64
        })
    }

    pub fn kv_delete(key: &str, version: i64) -> i64 {
        state(Code::Denied.number(), |s| {
            let now = s.now;
            match s.store.get(key).filter(|v| v.fresh(now)).map(|v| v.version as i64) {
                None => Code::NotFound.number(),
                Some(there) if version != -1 && version != there => Code::Conflict.number(),
                Some(_) => {
                    s.store.remove(key);
                    0
                }
            }
        })
    }

    pub fn kv_list(prefix: &str, after: &str) -> i64 {
        state(Code::Denied.number(), |s| {
            let pairs: Vec<(String, String)> = s
                .store
                .iter()
                .filter(|(k, v)| k.starts_with(prefix) && k.as_str() > after && v.fresh(s.now))
                .take(MAX_PAIRS)
                .map(|(k, v)| (k.clone(), v.version.to_string()))
                .collect();
            let mut out = Vec::new();
            frame::write_in(&mut out, &pairs, b"");
            leave(s, out)
        })
    }

    pub fn secret(name: &str, dst: &mut [u8]) -> i64 {
        state(Code::NotFound.number(), |s| match s.secrets.get(name).cloned() {
            Some(value) => give(s, value.into_bytes(), dst),
            None => Code::NotFound.number(),
        })
    }

    pub fn progress(f: &[u8]) {
        let (meta, message) = frame::split(f).expect("progress: a broken frame");
        let text = |key| meta.get(key).map(|v| String::from_utf8_lossy(v).into_owned());
        let mut line = text("progress").expect("progress: no progress");
        if let Some(total) = text("total") {
            line = format!("{line}/{total}");
        }
        if !message.is_empty() {
            line = format!("{line} {}", String::from_utf8_lossy(message));
        }
        state((), |s| s.progress.push(line));
    }

    pub fn call_tool(f: &[u8]) -> i64 {
        let mut tools = match state(None, |s| s.tools.take()) {
            Some(tools) => tools,
            None => return Code::Denied.number(),
        };
        let (meta, arguments) = frame::split(f).expect("call_tool: a broken frame");
        let tool = String::from_utf8_lossy(meta.get("tool").expect("call_tool: no tool")).into_owned();
        let answered = tools(&tool, &String::from_utf8_lossy(arguments));
        state(0, |s| {
            s.tools = Some(tools);
            let mut out = Vec::new();
            match answered {
                Ok(result) => frame::write_out::<&str, &str>(&mut out, 0, &[], result.as_bytes()),
                Err(e) => answer::write_error(&mut out, &e, Status::ToolError),
            }
            leave(s, out)
        })
    }

    pub fn now() -> u64 {
        state(0, |s| s.now.as_nanos() as u64)
    }
}
