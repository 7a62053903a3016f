use std::fmt;
use std::time::Duration;

use crate::error::{Code, Error, HostError, Status};
use crate::frame::{self, Meta};
use crate::{host, json};

/// One call: what the host tells about it, and the host functions.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    pub(crate) meta: Meta<'a>,
}

/// How much a line of the log matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For those who look for a fault.
    Debug = 0,
    /// What happens.
    Info = 1,
    /// What somebody should look at some time.
    Warn = 2,
    /// What somebody should look at now.
    Error = 3,
}

impl<'a> Context<'a> {
    /// What the host tells about the call: only what the manifest lists under `context`
    /// is sent. `None` too when it is no UTF-8.
    pub fn meta(&self, key: &str) -> Option<&'a str> {
        std::str::from_utf8(self.meta.get(key)?).ok()
    }

    /// Everything that the host tells about the call, in order.
    pub fn pairs(&self) -> frame::Pairs<'a> {
        self.meta.iter()
    }

    /// The name of the tool that is called; like the others empty when it is not told.
    pub fn tool(&self) -> &'a str {
        self.meta("tool").unwrap_or("")
    }

    /// The name of the server that the client called.
    pub fn server(&self) -> &'a str {
        self.meta("server").unwrap_or("")
    }

    /// The id of the call, as the gateway logs it.
    pub fn call_id(&self) -> &'a str {
        self.meta("call_id").unwrap_or("")
    }

    /// The session of the client; empty when it has none.
    pub fn session(&self) -> &'a str {
        self.meta("session").unwrap_or("")
    }

    /// Whose call it is.
    pub fn tenant(&self) -> &'a str {
        self.meta("tenant").unwrap_or("")
    }

    /// Who calls.
    pub fn subject(&self) -> &'a str {
        self.meta("principal.sub").unwrap_or("")
    }

    /// The roles of who calls.
    pub fn roles(&self) -> impl Iterator<Item = &'a str> {
        self.meta("principal.roles").unwrap_or("").split(',').filter(|r| !r.is_empty())
    }

    /// The W3C trace context of the call.
    pub fn traceparent(&self) -> &'a str {
        self.meta("traceparent").unwrap_or("")
    }

    /// How much time was left when the call began.
    pub fn deadline(&self) -> Option<Duration> {
        self.meta("deadline_ms")?.parse().ok().map(Duration::from_millis)
    }

    /// Time since 1970, in UTC.
    pub fn now(&self) -> Duration {
        Duration::from_nanos(host::now())
    }

    /// Writes one line to the plugin's log. Operators read it: no secrets, no
    /// arguments. The host drops lines past 100 a call.
    pub fn log(&self, level: Level, line: impl AsRef<str>) {
        host::log(level as u32, line.as_ref());
    }

    /// [`Context::log`] at level debug.
    pub fn debug(&self, line: impl AsRef<str>) {
        self.log(Level::Debug, line);
    }

    /// [`Context::log`] at level info.
    pub fn info(&self, line: impl AsRef<str>) {
        self.log(Level::Info, line);
    }

    /// [`Context::log`] at level warn.
    pub fn warn(&self, line: impl AsRef<str>) {
        self.log(Level::Warn, line);
    }

    /// [`Context::log`] at level error.
    pub fn error(&self, line: impl AsRef<str>) {
        self.log(Level::Error, line);
    }

    /// One member of the plugin's configuration as JSON, all of it for an empty key;
    /// `None` when it is not there. Most plugins take their configuration once, with
    /// `configure:`.
    pub fn config(&self, key: &str) -> Result<Option<Vec<u8>>, HostError> {
        match host::result(|dst| host::config(key, dst)) {
            Ok(value) => Ok(Some(value)),
            Err(code) => none(Code::of(code), "config", key),
        }
    }

    /// A secret that the manifest names and the operator granted. Better is to let the
    /// host put it into a header (`inject` in the manifest): what a plugin has not, it
    /// cannot leak. `Code::Invalid` when it is no UTF-8: see [`Context::secret_bytes`].
    pub fn secret(&self, name: &str) -> Result<String, HostError> {
        String::from_utf8(self.secret_bytes(name)?).map_err(|_| HostError::new("secret", name, Code::Invalid))
    }

    /// [`Context::secret`] as bytes.
    pub fn secret_bytes(&self, name: &str) -> Result<Vec<u8>, HostError> {
        host::result(|dst| host::secret(name, dst)).map_err(|code| HostError::new("secret", name, Code::of(code)))
    }

    /// Adds to a counter of the plugin. A plugin has at most 16 metrics.
    pub fn count(&self, name: &str, add: f64) {
        host::metric(name, 0, add);
    }

    /// Sets a gauge of the plugin.
    pub fn gauge(&self, name: &str, value: f64) {
        host::metric(name, 1, value);
    }

    /// Adds a value to a histogram of the plugin.
    pub fn observe(&self, name: &str, value: f64) {
        host::metric(name, 2, value);
    }

    /// Tells the client how far the call is, if it asked for that. The message may be
    /// empty.
    pub fn progress(&self, done: f64, total: Option<f64>, message: &str) {
        let mut pairs = vec![("progress", done.to_string())];
        if let Some(total) = total {
            pairs.push(("total", total.to_string()));
        }
        let mut f = Vec::new();
        frame::write_in(&mut f, &pairs, message.as_bytes());
        host::progress(&f);
    }

    /// Calls another tool, with the rights of the caller; `arguments` is a JSON object
    /// or empty. A tool that failed is an [`Answered`] that says so; a call that did not
    /// reach it is an error with the status that the gateway gave.
    pub fn call_tool(&self, name: &str, arguments: impl AsRef<[u8]>) -> Result<Answered, Error> {
        let mut f = Vec::new();
        frame::write_in(&mut f, &[("tool", name)], arguments.as_ref());
        let failed = |code| Error::from(HostError::new("call tool", name, Code::of(code)));
        let answer = host::pending(host::call_tool(&f)).map_err(failed)?;
        let (number, meta, body) = frame::split_out(&answer).ok_or_else(|| failed(-3))?;
        let status = Status::of(number);
        let text = || {
            let said = String::from_utf8_lossy(body);
            if said.is_empty() {
                format!("call tool {name}: {status}")
            } else {
                format!("call tool {name}: {said}")
            }
        };
        match status {
            Status::Ok => Ok(Answered { failed: false, body: body.to_vec() }),
            Status::ToolError => Ok(Answered { failed: true, body: body.to_vec() }),
            Status::InvalidArgs => Err(Error::InvalidArgs(text())),
            Status::UnknownTool => Err(Error::UnknownTool(text())),
            Status::Denied => Err(Error::Denied(text())),
            Status::Unavailable => {
                let ms = meta.get("retry_after_ms").and_then(|v| std::str::from_utf8(v).ok()?.parse().ok());
                Err(Error::Unavailable { message: text(), retry_after: ms.map(Duration::from_millis) })
            }
            Status::Unchanged | Status::Internal => Err(Error::Internal(text())),
        }
    }
}

/// `Ok(None)` when there is none, else the error.
pub(crate) fn none<T>(code: Code, doing: &'static str, what: &str) -> Result<Option<T>, HostError> {
    match code {
        Code::NotFound => Ok(None),
        code => Err(HostError::new(doing, what, code)),
    }
}

/// What another tool answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    failed: bool,
    body: Vec<u8>,
}

impl Answered {
    /// The CallToolResult in JSON. Of a tool that failed with a mere text it is made
    /// here.
    pub fn result(&self) -> Vec<u8> {
        if !self.failed || self.body.first() == Some(&b'{') {
            return self.body.clone();
        }
        let mut out = br#"{"content":[{"type":"text","text":"#.to_vec();
        json::quote(&mut out, &String::from_utf8_lossy(&self.body));
        out.extend_from_slice(br#"}],"isError":true}"#);
        out
    }

    /// Whether the tool says that it failed.
    pub fn is_error(&self) -> bool {
        self.failed
            || json::parse(&self.body).map_or(false, |v| v.get("isError").and_then(json::Value::as_bool) == Some(true))
    }

    /// The text blocks, with a line feed between them.
    pub fn text(&self) -> String {
        if self.failed && self.body.first() != Some(&b'{') {
            return String::from_utf8_lossy(&self.body).into_owned();
        }
        let mut text = String::new();
        if let Ok(v) = json::parse(&self.body) {
            for block in v.get("content").and_then(json::Value::as_array).unwrap_or(&[]) {
                if block.get("type").and_then(json::Value::as_str) != Some("text") {
                    continue;
                }
                if !text.is_empty() {
                    text.push('\n');
                }
                text.push_str(block.get("text").and_then(json::Value::as_str).unwrap_or(""));
            }
        }
        text
    }
}

impl fmt::Display for Answered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}
