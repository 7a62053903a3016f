use std::fmt;
use std::time::Duration;

/// What a call is answered with, as `sdk/ABI.md` numbers it. Handlers do not name
/// statuses: they return a value or an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum Status {
    /// Done.
    Ok = 0,
    /// Transformers: what came in stands.
    Unchanged = 1,
    /// The tool could not do it; the model reads the text.
    ToolError = 2,
    /// The arguments are wrong.
    InvalidArgs = 3,
    /// No tool of that name.
    UnknownTool = 4,
    /// Refused.
    Denied = 5,
    /// The caller may try again.
    Unavailable = 6,
    /// A fault of the plugin; the text goes to the log only.
    Internal = 7,
}

impl Status {
    /// The status of a number; what this version does not know is `Internal`.
    pub fn of(number: u16) -> Status {
        match number {
            0 => Status::Ok,
            1 => Status::Unchanged,
            2 => Status::ToolError,
            3 => Status::InvalidArgs,
            4 => Status::UnknownTool,
            5 => Status::Denied,
            6 => Status::Unavailable,
            _ => Status::Internal,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Status::Ok => "ok",
            Status::Unchanged => "unchanged",
            Status::ToolError => "tool_error",
            Status::InvalidArgs => "invalid_args",
            Status::UnknownTool => "unknown_tool",
            Status::Denied => "denied",
            Status::Unavailable => "unavailable",
            Status::Internal => "internal",
        })
    }
}

/// What a handler answers instead of a value: a status and a text.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The tool could not do it; the model reads the text.
    Tool(String),
    /// The arguments are wrong; say which, and what would be right.
    InvalidArgs(String),
    /// There is no tool of that name.
    UnknownTool(String),
    /// Refused.
    Denied(String),
    /// Something is down.
    Unavailable {
        /// What the caller reads.
        message: String,
        /// When to try again, if that is known.
        retry_after: Option<Duration>,
    },
    /// A fault of the plugin; the text goes to its log and nowhere else.
    Internal(String),
    /// Any other error, as `?` makes it of a [`HostError`]: `Tool` in a tool and
    /// `Internal` everywhere else.
    Other(String),
}

impl Error {
    /// Says why the tool could not do it; the model reads the text.
    pub fn tool(message: impl Into<String>) -> Error {
        Error::Tool(message.into())
    }

    /// Says what is wrong with the arguments, so that the model can mend them.
    pub fn invalid_args(message: impl Into<String>) -> Error {
        Error::InvalidArgs(message.into())
    }

    /// Says that there is no tool of that name.
    pub fn unknown_tool(name: &str) -> Error {
        Error::UnknownTool(format!("there is no tool {name:?}"))
    }

    /// Refuses the call.
    pub fn denied(message: impl Into<String>) -> Error {
        Error::Denied(message.into())
    }

    /// Says that something is down, and when to try again if that is known.
    pub fn unavailable(message: impl Into<String>, retry_after: Option<Duration>) -> Error {
        Error::Unavailable { message: message.into(), retry_after }
    }

    /// Keeps the text from the caller: it goes to the plugin's log.
    pub fn internal(message: impl Into<String>) -> Error {
        Error::Internal(message.into())
    }

    /// The text.
    pub fn message(&self) -> &str {
        match self {
            Error::Tool(m)
            | Error::InvalidArgs(m)
            | Error::UnknownTool(m)
            | Error::Denied(m)
            | Error::Internal(m)
            | Error::Other(m) => m,
            Error::Unavailable { message, .. } => message,
        }
    }

    /// The status; `other` is that of [`Error::Other`].
    pub(crate) fn status(&self, other: Status) -> Status {
        match self {
            Error::Tool(_) => Status::ToolError,
            Error::InvalidArgs(_) => Status::InvalidArgs,
            Error::UnknownTool(_) => Status::UnknownTool,
            Error::Denied(_) => Status::Denied,
            Error::Unavailable { .. } => Status::Unavailable,
            Error::Internal(_) => Status::Internal,
            Error::Other(_) => other,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for Error {}

impl From<HostError> for Error {
    fn from(e: HostError) -> Error {
        Error::Other(e.to_string())
    }
}

impl From<crate::json::Error> for Error {
    fn from(e: crate::json::Error) -> Error {
        Error::Other(e.to_string())
    }
}

impl From<std::str::Utf8Error> for Error {
    fn from(e: std::str::Utf8Error) -> Error {
        Error::Other(e.to_string())
    }
}

impl From<std::string::FromUtf8Error> for Error {
    fn from(e: std::string::FromUtf8Error) -> Error {
        Error::Other(e.to_string())
    }
}

impl From<fmt::Error> for Error {
    fn from(e: fmt::Error) -> Error {
        Error::Other(e.to_string())
    }
}

/// Why a host function did not do what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Code {
    /// Not granted, or against policy.
    Denied,
    /// No such key, secret, setting, tool.
    NotFound,
    /// An argument makes no sense.
    Invalid,
    /// Past a limit on size.
    TooLarge,
    /// Took too long.
    Timeout,
    /// Cannot be reached now.
    Unavailable,
    /// Past a limit on number.
    Quota,
    /// The key has another version.
    Conflict,
}

impl Code {
    /// The code of a negative return; what this version does not know is `Unavailable`.
    pub(crate) fn of(number: i64) -> Code {
        match number {
            -1 => Code::Denied,
            -2 => Code::NotFound,
            -3 => Code::Invalid,
            -4 => Code::TooLarge,
            -5 => Code::Timeout,
            -7 => Code::Quota,
            -8 => Code::Conflict,
            _ => Code::Unavailable,
        }
    }

    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn number(self) -> i64 {
        match self {
            Code::Denied => -1,
            Code::NotFound => -2,
            Code::Invalid => -3,
            Code::TooLarge => -4,
            Code::Timeout => -5,
            Code::Unavailable => -6,
            Code::Quota => -7,
            Code::Conflict => -8,
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Code::Denied => "denied",
            Code::NotFound => "not found",
            Code::Invalid => "invalid argument",
            Code::TooLarge => "too large",
            Code::Timeout => "timed out",
            Code::Unavailable => "unavailable",
            Code::Quota => "quota used up",
            Code::Conflict => "version conflict",
        })
    }
}

/// The error of a host function: "kv get cart: not found".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostError {
    /// What was asked for: "kv get".
    pub doing: &'static str,
    /// The key, name or address; may be empty.
    pub what: String,
    /// Why it was not done.
    pub code: Code,
}

impl HostError {
    pub(crate) fn new(doing: &'static str, what: &str, code: Code) -> HostError {
        HostError { doing, what: what.to_owned(), code }
    }
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.doing)?;
        if !self.what.is_empty() {
            write!(f, " {}", self.what)?;
        }
        write!(f, ": {}", self.code)
    }
}

impl std::error::Error for HostError {}
