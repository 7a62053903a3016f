use std::borrow::Cow;
use std::ops::Deref;

use super::value::{Object, Value};
use crate::error::Error;

/// The arguments of a call, or a configuration: an object whose members are asked for
/// with their type. What does not fit is an `InvalidArgs` that says so: "city is
/// missing", "times must be a whole number, not a string". The `opt_` methods take a
/// member that is not there, and null, as `None`.
///
/// It is an [`Object`] too.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Args<'a> {
    object: Object<'a>,
    path: String, // with a point at its end
}

impl<'a> From<Object<'a>> for Args<'a> {
    fn from(object: Object<'a>) -> Args<'a> {
        Args { object, path: String::new() }
    }
}

impl<'a> Deref for Args<'a> {
    type Target = Object<'a>;
    fn deref(&self) -> &Object<'a> {
        &self.object
    }
}

macro_rules! member {
    ($name:ident, $opt:ident, $t:ty, $want:literal, $f:expr, $doc:literal) => {
        #[doc = $doc]
        pub fn $name(&self, name: &str) -> Result<$t, Error> {
            self.need(name, self.$opt(name)?)
        }

        #[doc = concat!($doc, " `None` when it is not there.")]
        pub fn $opt(&self, name: &str) -> Result<Option<$t>, Error> {
            self.opt(name, $want, $f)
        }
    };
}

impl<'a> Args<'a> {
    member!(str, opt_str, &str, "a string", |v| v.as_str(), "A string.");
    member!(bool, opt_bool, bool, "a boolean", |v| v.as_bool(), "A boolean.");
    member!(i64, opt_i64, i64, "a whole number", |v| v.as_i64(), "A whole number.");
    member!(u64, opt_u64, u64, "a whole number of at least 0", |v| v.as_u64(), "A whole number that is not negative.");
    member!(f64, opt_f64, f64, "a number", |v| v.as_f64(), "A number.");
    member!(array, opt_array, &[Value<'a>], "an array", |v| v.as_array(), "The elements of an array.");

    /// An array of strings.
    pub fn strings(&self, name: &str) -> Result<Vec<&str>, Error> {
        self.need(name, self.opt_strings(name)?)
    }

    /// An array of strings. `None` when it is not there.
    pub fn opt_strings(&self, name: &str) -> Result<Option<Vec<&str>>, Error> {
        let elements = match self.opt_array(name)? {
            Some(elements) => elements,
            None => return Ok(None),
        };
        let one = |(n, v): (usize, &'_ Value<'a>)| match v {
            Value::String(_) => Ok(()),
            v => Err(self.wrong(&format!("{name}[{n}]"), "a string", v)),
        };
        elements.iter().enumerate().try_for_each(one)?;
        Ok(Some(elements.iter().filter_map(Value::as_str).collect()))
    }

    /// An object, whose errors name the whole path: "address.city is missing".
    pub fn object(&self, name: &str) -> Result<Args<'a>, Error> {
        self.need(name, self.opt_object(name)?)
    }

    /// An object. `None` when it is not there.
    pub fn opt_object(&self, name: &str) -> Result<Option<Args<'a>>, Error> {
        let object = self.opt(name, "an object", |v| v.as_object())?;
        Ok(object.map(|o| Args { object: o.clone(), path: format!("{}{name}.", self.path) }))
    }

    /// Refuses members that are not in the list, for configurations in which a slip of
    /// the pen should not go unseen.
    pub fn only(&self, names: &[&str]) -> Result<(), Error> {
        match self.object.iter().find(|(n, _)| !names.contains(n)) {
            Some((n, _)) => {
                Err(Error::InvalidArgs(format!("{}{n} is not known: there are {}", self.path, names.join(", "))))
            }
            None => Ok(()),
        }
    }

    /// The object.
    pub fn into_object(self) -> Object<'a> {
        self.object
    }

    fn opt<'s, T>(
        &'s self,
        name: &str,
        want: &str,
        f: impl FnOnce(&'s Value<'a>) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        match self.object.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(v) => match f(v) {
                Some(t) => Ok(Some(t)),
                None => Err(self.wrong(name, want, v)),
            },
        }
    }

    fn need<T>(&self, name: &str, value: Option<T>) -> Result<T, Error> {
        value.ok_or_else(|| Error::InvalidArgs(format!("{}{name} is missing", self.path)))
    }

    fn wrong(&self, name: &str, want: &str, have: &Value<'_>) -> Error {
        let have: Cow<'_, str> = match have {
            Value::Number(n) if n.as_str().len() <= 32 => n.as_str().to_owned().into(),
            v => v.sort().into(),
        };
        Error::InvalidArgs(format!("{}{name} must be {want}, not {have}", self.path))
    }
}
