use std::borrow::Cow;

use crate::error::{Code, HostError};
use crate::{frame, host, Context};

/// One HTTP request. Where it may go, and with which methods and ports, the operator's
/// grant says; the host adds the headers that carry secrets.
///
/// ```
/// use sallyport::Request;
/// let r = Request::get("https://api.example/v1").header("accept", "application/json");
/// assert_eq!(r.method, "GET");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// GET, POST …
    pub method: String,
    /// Absolute.
    pub url: String,
    /// At most 62; names may repeat.
    pub headers: Vec<(String, String)>,
    /// May be empty.
    pub body: Vec<u8>,
}

impl Request {
    /// A request with any method.
    pub fn new(method: impl Into<String>, url: impl Into<String>) -> Request {
        Request { method: method.into(), url: url.into(), headers: Vec::new(), body: Vec::new() }
    }

    /// A GET.
    pub fn get(url: impl Into<String>) -> Request {
        Request::new("GET", url)
    }

    /// A POST.
    pub fn post(url: impl Into<String>, body: impl Into<Vec<u8>>) -> Request {
        Request::new("POST", url).body(body)
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Request {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Request {
        self.body = body.into();
        self
    }
}

/// The answer, whatever its status: 404 is no error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// 200, 404 …
    pub status: u16,
    /// Names in lower case; they may repeat.
    pub headers: Vec<(String, String)>,
    /// May be empty.
    pub body: Vec<u8>,
}

impl Response {
    /// An answer without headers and body, for tests.
    pub fn new(status: u16) -> Response {
        Response { status, ..Response::default() }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Response {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Response {
        self.body = body.into();
        self
    }

    /// The value of the first header with that name, in whatever case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// Whether the status is 200 to 299.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body as text; what is no UTF-8 is replaced.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }

    /// The body as JSON.
    pub fn json(&self) -> Result<crate::json::Value<'_>, crate::json::Error> {
        crate::json::parse(&self.body)
    }
}

impl Context<'_> {
    /// Sends a request and waits for the answer. Redirects are followed only where the
    /// grant allows. The wait does not burn the CPU budget of the call.
    pub fn http(&self, request: &Request) -> Result<Response, HostError> {
        let failed = |code| HostError::new("http", &request.url, code);
        if request.headers.len() > frame::MAX_PAIRS - 2 || request.headers.iter().any(|(n, _)| n.starts_with(':')) {
            return Err(failed(Code::Invalid));
        }
        let mut pairs = Vec::with_capacity(2 + request.headers.len());
        pairs.push((":method", request.method.as_str()));
        pairs.push((":url", request.url.as_str()));
        pairs.extend(request.headers.iter().map(|(n, v)| (n.as_str(), v.as_str())));
        let mut f = Vec::new();
        frame::write_in(&mut f, &pairs, &request.body);
        let mut answer = host::pending(host::http(&f)).map_err(|code| failed(Code::of(code)))?;
        let (status, meta, body) = frame::split_out(&answer).ok_or_else(|| failed(Code::Invalid))?;
        let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
        let headers = meta.iter().map(|(n, v)| (text(n), text(v))).collect();
        let head = answer.len() - body.len();
        answer.drain(..head); // the body stays where it was read to
        Ok(Response { status, headers, body: answer })
    }
}
