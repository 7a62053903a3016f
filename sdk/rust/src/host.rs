//! The host functions, one to one. On WebAssembly they are imports, of which the
//! linker keeps those that are called; elsewhere `testing` plays them.

#[cfg(target_arch = "wasm32")]
mod sys {
    #[link(wasm_import_module = "sallyport_v1")]
    extern "C" {
        pub fn log(level: u32, ptr: *const u8, len: usize);
        pub fn read(dst: *mut u8, off: usize, cap: usize) -> i32;
        pub fn config(kptr: *const u8, klen: usize, dst: *mut u8, cap: usize) -> i64;
        pub fn metric(nptr: *const u8, nlen: usize, kind: u32, value: f64);
        pub fn http(ptr: *const u8, len: usize) -> i64;
        pub fn kv_get(kptr: *const u8, klen: usize, dst: *mut u8, cap: usize) -> i64;
        pub fn kv_set(kptr: *const u8, klen: usize, vptr: *const u8, vlen: usize, ttl: i64, version: i64) -> i64;
        pub fn kv_delete(kptr: *const u8, klen: usize, version: i64) -> i64;
        pub fn kv_list(pptr: *const u8, plen: usize, aptr: *const u8, alen: usize) -> i64;
        pub fn secret(nptr: *const u8, nlen: usize, dst: *mut u8, cap: usize) -> i64;
        pub fn progress(ptr: *const u8, len: usize);
        pub fn call_tool(ptr: *const u8, len: usize) -> i64;
    }

    #[link(wasm_import_module = "wasi_snapshot_preview1")]
    extern "C" {
        pub fn clock_time_get(clock: u32, precision: u64, time: *mut u64) -> u32;
    }
}

#[cfg(target_arch = "wasm32")]
mod calls {
    use super::sys;

    pub fn log(level: u32, line: &str) {
        unsafe { sys::log(level, line.as_ptr(), line.len()) }
    }

    pub fn read(dst: &mut [u8], off: usize) -> i32 {
        unsafe { sys::read(dst.as_mut_ptr(), off, dst.len()) }
    }

    pub fn config(key: &str, dst: &mut [u8]) -> i64 {
        unsafe { sys::config(key.as_ptr(), key.len(), dst.as_mut_ptr(), dst.len()) }
    }

    pub fn metric(name: &str, kind: u32, value: f64) {
        unsafe { sys::metric(name.as_ptr(), name.len(), kind, value) }
    }

    pub fn http(frame: &[u8]) -> i64 {
        unsafe { sys::http(frame.as_ptr(), frame.len()) }
    }

    pub fn kv_get(key: &str, dst: &mut [u8]) -> i64 {
        unsafe { sys::kv_get(key.as_ptr(), key.len(), dst.as_mut_ptr(), dst.len()) }
    }

    pub fn kv_set(key: &str, value: &[u8], ttl: i64, version: i64) -> i64 {
        unsafe { sys::kv_set(key.as_ptr(), key.len(), value.as_ptr(), value.len(), ttl, version) }
    }

    pub fn kv_delete(key: &str, version: i64) -> i64 {
        unsafe { sys::kv_delete(key.as_ptr(), key.len(), version) }
    }

    pub fn kv_list(prefix: &str, after: &str) -> i64 {
        unsafe { sys::kv_list(prefix.as_ptr(), prefix.len(), after.as_ptr(), after.len()) }
    }

    pub fn secret(name: &str, dst: &mut [u8]) -> i64 {
        unsafe { sys::secret(name.as_ptr(), name.len(), dst.as_mut_ptr(), dst.len()) }
    }

    pub fn progress(frame: &[u8]) {
        unsafe { sys::progress(frame.as_ptr(), frame.len()) }
    }

    pub fn call_tool(frame: &[u8]) -> i64 {
        unsafe { sys::call_tool(frame.as_ptr(), frame.len()) }
    }

    /// Nanoseconds since 1970.
    pub fn now() -> u64 {
        let mut time = 0;
        unsafe { sys::clock_time_get(0, 1, &mut time) };
        time
    }
}

#[cfg(not(target_arch = "wasm32"))]
pub use crate::testing::calls::*;
#[cfg(target_arch = "wasm32")]
pub use calls::*;

/// The longest answer that is read: the most that a gateway lets a frame be.
const MOST: i64 = 64 << 20;

/// Asks a function of the `(dst, cap)` kind: what fits in a small buffer is copied at
/// once, the rest is read from the slot. An error is the negative code.
pub fn result(ask: impl FnOnce(&mut [u8]) -> i64) -> Result<Vec<u8>, i64> {
    let mut small = [0; 512];
    match ask(&mut small) {
        code if code < 0 => Err(code),
        n if n as usize <= small.len() => Ok(small[..n as usize].to_vec()),
        n => pending(n),
    }
}

/// Reads the n bytes that wait in the slot; a negative n is handed on.
pub fn pending(n: i64) -> Result<Vec<u8>, i64> {
    if n < 0 {
        return Err(n);
    }
    if n > MOST {
        return Err(-4);
    }
    let mut bytes = Vec::new();
    if bytes.try_reserve_exact(n as usize).is_err() {
        return Err(-4);
    }
    bytes.resize(n as usize, 0);
    let mut off = 0;
    while off < bytes.len() {
        match read(&mut bytes[off..], off) {
            got if got > 0 => off += got as usize,
            _ => return Err(-3),
        }
    }
    Ok(bytes)
}
