//! What the exports do. `plugin!` uses it; authors do not.

use crate::answer::write_error;
use crate::plugin::Handler;
use crate::{frame, Context, Error, Status};

/// Runs a handler on a frame in and makes a frame out in `out`, which is emptied
/// before. `other` is the status of [`Error::Other`].
pub fn answer(handler: Handler, other: Status, frame_in: &[u8], out: &mut Vec<u8>) {
    out.clear();
    let result = match frame::split(frame_in) {
        Some((meta, payload)) => handler(&Context { meta }, payload, out),
        None => Err(Error::internal("the host sent a frame that is none of ABI v1")),
    };
    if let Err(e) = result {
        out.clear();
        write_error(out, &e, other);
    }
}

/// The tool that is called. When the host does not tell, a plugin of one tool knows.
pub fn tool<'a>(ctx: &Context<'a>, names: &[&'a str]) -> Result<&'a str, Error> {
    match (ctx.meta("tool"), names) {
        (Some(tool), _) => Ok(tool),
        (None, [only]) => Ok(only),
        _ => Err(Error::internal(
            "the host does not say which tool is called: list `tool` under `context` in the manifest",
        )),
    }
}

/// Appends the answer OK without a payload.
pub fn done(out: &mut Vec<u8>) {
    out.extend_from_slice(&[0; 8]);
}

#[cfg(target_arch = "wasm32")]
pub use exports::{alloc, call, initialize};

#[cfg(target_arch = "wasm32")]
mod exports {
    use super::{answer, Handler, Status};
    use std::alloc::Layout;

    /// The longest input buffer: the most that a gateway lets a frame be, doubled as
    /// hosts do that grow by doubling.
    const MOST: usize = 128 << 20;

    /// How much of the answer's buffer stays for the next call.
    const KEEP: usize = 1 << 20;

    /// The buffer that the host writes frames to. It keeps its place until the next
    /// `alloc`.
    static mut INPUT: (*mut u8, usize) = (std::ptr::null_mut(), 0);

    /// The last answer: the host reads it when the export has returned.
    static mut OUT: Vec<u8> = Vec::new();

    /// Has panics logged: they end in a trap, which carries no text.
    pub fn initialize() {
        std::panic::set_hook(Box::new(|panic| crate::host::log(3, &panic.to_string())));
    }

    /// Makes an input buffer and frees the former one; null when there is no memory,
    /// and then the former one stays.
    ///
    /// # Safety
    ///
    /// Only the host calls it, between two calls.
    pub unsafe fn alloc(size: usize) -> *mut u8 {
        if size == 0 || size > MOST {
            return std::ptr::null_mut();
        }
        let fresh = std::alloc::alloc(Layout::from_size_align_unchecked(size, 1));
        if !fresh.is_null() {
            let (old, capacity) = INPUT;
            if !old.is_null() {
                std::alloc::dealloc(old, Layout::from_size_align_unchecked(capacity, 1));
            }
            INPUT = (fresh, size);
        }
        fresh
    }

    /// Answers one export: where the frame out lies and how long it is, 0 when the
    /// frame in does not lie in the input buffer.
    ///
    /// # Safety
    ///
    /// Only the host calls it, with what it got from `alloc`.
    pub unsafe fn call(handler: Handler, other: Status, ptr: *const u8, len: usize) -> u64 {
        if ptr != INPUT.0 || ptr.is_null() || len > INPUT.1 {
            return 0;
        }
        let mut out = std::mem::take(&mut OUT);
        if out.capacity() > KEEP {
            out = Vec::new();
        }
        answer(handler, other, std::slice::from_raw_parts(ptr, len), &mut out);
        let at = (out.as_ptr() as u64) << 32 | out.len() as u64;
        OUT = out;
        at
    }
}
