use std::time::Duration;

use crate::context::none;
use crate::error::{Code, Error, HostError};
use crate::{frame, host, Context};

/// A value of the store and its version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The bytes as they were set.
    pub value: Vec<u8>,
    /// Above 0; it grows with every change of the key.
    pub version: u64,
}

/// The version of a key that must not exist yet.
const ABSENT: u64 = 0;

/// How often [`Context::kv_update`] tries.
const TRIES: usize = 8;

/// The plugin's store is shared by all its instances and all its callers: put the
/// tenant into the key where that matters. A `ttl` of `None` keeps a value for ever.
impl Context<'_> {
    /// A value of the store; `None` when there is none.
    pub fn kv_get(&self, key: &str) -> Result<Option<Entry>, HostError> {
        let mut bytes = match host::result(|dst| host::kv_get(key, dst)) {
            Ok(bytes) => bytes,
            Err(code) => return none(Code::of(code), "kv get", key),
        };
        match bytes.get(..8).and_then(|b| <[u8; 8]>::try_from(b).ok()) {
            Some(version) => {
                bytes.drain(..8);
                Ok(Some(Entry { value: bytes, version: u64::from_le_bytes(version) }))
            }
            None => Err(HostError::new("kv get", key, Code::Invalid)),
        }
    }

    /// Stores a value, whatever was there, and returns its version.
    pub fn kv_set(&self, key: &str, value: impl AsRef<[u8]>, ttl: Option<Duration>) -> Result<u64, HostError> {
        kv_set(key, value.as_ref(), ttl, -1)
    }

    /// Stores a value if the key still has that version, 0 = if there is none, and
    /// fails with `Code::Conflict` otherwise: compare and set.
    pub fn kv_swap(
        &self,
        key: &str,
        value: impl AsRef<[u8]>,
        ttl: Option<Duration>,
        version: u64,
    ) -> Result<u64, HostError> {
        kv_set(key, value.as_ref(), ttl, wanted(version, "kv set", key)?)
    }

    /// Replaces a value by what `change` makes of it, again when another call was
    /// faster, at most 8 times. `change` gets `None` when there is no value; its error
    /// ends it and is returned.
    pub fn kv_update<F>(&self, key: &str, ttl: Option<Duration>, mut change: F) -> Result<Vec<u8>, Error>
    where
        F: FnMut(Option<&[u8]>) -> Result<Vec<u8>, Error>,
    {
        for _ in 0..TRIES {
            let old = self.kv_get(key)?;
            let version = old.as_ref().map_or(ABSENT, |e| e.version);
            let value = change(old.as_ref().map(|e| e.value.as_slice()))?;
            match self.kv_swap(key, &value, ttl, version) {
                Ok(_) => return Ok(value),
                Err(e) if e.code == Code::Conflict => {}
                Err(e) => return Err(e.into()),
            }
        }
        Err(HostError::new("kv set", key, Code::Conflict).into())
    }

    /// Removes a key, whatever its version.
    pub fn kv_delete(&self, key: &str) -> Result<(), HostError> {
        kv_delete(key, -1)
    }

    /// Removes a key if it still has that version.
    pub fn kv_delete_version(&self, key: &str, version: u64) -> Result<(), HostError> {
        kv_delete(key, wanted(version, "kv delete", key)?)
    }

    /// The keys that begin with `prefix` and come after the key `after`, with their
    /// versions, in the order of their bytes, at most 64: ask again with the last one
    /// until there are none.
    pub fn kv_list(&self, prefix: &str, after: &str) -> Result<Vec<(String, u64)>, HostError> {
        let failed = |code| HostError::new("kv list", prefix, code);
        let list = host::pending(host::kv_list(prefix, after)).map_err(|code| failed(Code::of(code)))?;
        let (meta, _) = frame::split(&list).ok_or_else(|| failed(Code::Invalid))?;
        meta.iter()
            .map(|(key, version)| {
                let key = String::from_utf8(key.to_vec()).ok()?;
                Some((key, std::str::from_utf8(version).ok()?.parse().ok()?))
            })
            .collect::<Option<_>>()
            .ok_or_else(|| failed(Code::Invalid))
    }
}

fn wanted(version: u64, doing: &'static str, key: &str) -> Result<i64, HostError> {
    i64::try_from(version).map_err(|_| HostError::new(doing, key, Code::Invalid))
}

fn kv_set(key: &str, value: &[u8], ttl: Option<Duration>, version: i64) -> Result<u64, HostError> {
    let ms = match ttl {
        None => 0,
        Some(t) => i64::try_from(t.as_millis()).unwrap_or(i64::MAX).max(1), // 0 would keep it for ever
    };
    match host::kv_set(key, value, ms, version) {
        code if code < 0 => Err(HostError::new("kv set", key, Code::of(code))),
        version => Ok(version as u64),
    }
}

fn kv_delete(key: &str, version: i64) -> Result<(), HostError> {
    match host::kv_delete(key, version) {
        code if code < 0 => Err(HostError::new("kv delete", key, Code::of(code))),
        _ => Ok(()),
    }
}
