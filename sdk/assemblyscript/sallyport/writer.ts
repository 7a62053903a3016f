import { utf8Step } from "./bytes";

/** The largest frame, the host's hard limit, in bytes. */
export const MAX_FRAME: u32 = 64 << 20;

/** How much of a buffer stays for the next call, in bytes. */
const KEEP: u32 = 1 << 20;

/** How much of a text is written before the next room is made for it: the most that it may need is six times as much. */
const STEP: usize = 4096;

const HEX = memory.data<u8>([48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 97, 98, 99, 100, 101, 102]);

/**
 * Bytes that grow at the end. They lie outside of what the collector looks after, so
 * that they stay where they are when an export has returned.
 */
@final
export class Writer {
  ptr: usize = 0;
  len: u32 = 0;
  private cap: u32 = 0;

  /** Forgets what was written; a large buffer is given back. */
  reset(): void {
    this.len = 0;
    if (this.cap > KEEP) this.free();
  }

  /** Gives the buffer back: the collector does not. */
  free(): void {
    if (this.ptr != 0) heap.free(this.ptr);
    this.ptr = 0;
    this.len = this.cap = 0;
  }

  /** Makes room for n more bytes and returns where they go. They do not count until `len` says so. */
  reserve(n: u32): usize {
    const need = <u64>this.len + n;
    if (need > this.cap) this.grow(need);
    return this.ptr + this.len;
  }

  private grow(need: u64): void {
    // A frame may be 64 MiB; what is made of it on the way, twice that.
    if (need > 2 * MAX_FRAME + 1024) throw new Error("what the plugin writes is past 64 MiB");
    let cap = max<u64>(need, <u64>this.cap * 2);
    cap = max<u64>(cap, 4096);
    this.ptr = this.ptr == 0 ? heap.alloc(<usize>cap) : heap.realloc(this.ptr, <usize>cap);
    this.cap = <u32>cap;
  }

  byte(b: u32): void {
    store<u8>(this.reserve(1), b);
    this.len += 1;
  }

  u32(v: u32): void {
    store<u32>(this.reserve(4), v);
    this.len += 4;
  }

  bytes(ptr: usize, len: u32): void {
    memory.copy(this.reserve(len), ptr, len);
    this.len += len;
  }

  /** Appends a text as UTF-8. Halves of surrogate pairs become U+FFFD. */
  utf8(s: string): void {
    let at = changetype<usize>(s);
    const end = at + (<usize>s.length << 1);
    while (at < end) {
      const stop = min(at + 2 * STEP, end);
      let to = this.reserve(<u32>(stop - at) / 2 * 3 + 4);
      while (at < stop) {
        while (at + 8 <= stop) {
          const four = load<u64>(at);
          if (four & 0xff80_ff80_ff80_ff80) break;
          store<u32>(to, narrow(four));
          at += 8;
          to += 4;
        }
        if (at >= stop) break;
        const c = <u32>load<u16>(at);
        at += 2;
        if (c < 0x80) {
          store<u8>(to++, c);
        } else {
          const point = codePoint(c, at, end);
          if (point > 0xffff) at += 2;
          to = encodePoint(to, point);
        }
      }
      this.len = <u32>(to - this.ptr);
    }
  }

  /** Appends a text of a frame: its length and its bytes. */
  text(s: string): void {
    const at = this.len;
    this.u32(0);
    this.utf8(s);
    store<u32>(this.ptr + at, this.len - at - 4);
  }

  /** Appends a text as a JSON string, with its quotes. */
  quote(s: string): void {
    let at = changetype<usize>(s);
    const end = at + (<usize>s.length << 1);
    this.byte(0x22);
    while (at < end) {
      const stop = min(at + 2 * STEP, end);
      let to = this.reserve(<u32>(stop - at) * 3 + 4);
      while (at < stop) {
        while (at + 8 <= stop) {
          const four = load<u64>(at);
          if (four & 0xff80_ff80_ff80_ff80 || special16(four)) break;
          store<u32>(to, narrow(four));
          at += 8;
          to += 4;
        }
        if (at >= stop) break;
        const c = <u32>load<u16>(at);
        at += 2;
        if (c < 0x80) {
          to = escape(to, c);
        } else {
          const point = codePoint(c, at, end);
          if (point > 0xffff) at += 2;
          to = encodePoint(to, point);
        }
      }
      this.len = <u32>(to - this.ptr);
    }
    this.byte(0x22);
  }

  /** Appends UTF-8 as a JSON string, with its quotes. What is no UTF-8 becomes U+FFFD. */
  quoteUTF8(ptr: usize, len: u32): void {
    const end = ptr + len;
    this.byte(0x22);
    while (ptr < end) {
      const stop = min(ptr + STEP, end);
      let to = this.reserve(<u32>(stop - ptr) * 6 + 4);
      while (ptr < stop) {
        while (ptr + 8 <= stop) {
          const eight = load<u64>(ptr);
          if (special8(eight)) break;
          store<u64>(to, eight);
          ptr += 8;
          to += 8;
        }
        if (ptr >= stop) break;
        const c = <u32>load<u8>(ptr);
        if (c < 0x80) {
          to = escape(to, c);
          ptr++;
          continue;
        }
        const size = utf8Step(ptr, end);
        if (size == 0) {
          to = encodePoint(to, 0xfffd);
          ptr++;
          continue;
        }
        memory.copy(to, ptr, size);
        ptr += size;
        to += size;
      }
      this.len = <u32>(to - this.ptr);
    }
    this.byte(0x22);
  }
}

// Four UTF-16 units below 0x80 as four bytes.
// @ts-ignore: decorator
@inline
function narrow(four: u64): u32 {
  four = (four | (four >> 8)) & 0x0000_ffff_0000_ffff;
  return <u32>(four | (four >> 16));
}

// Not 0 if one of four units below 0x80 has to be escaped in JSON.
// @ts-ignore: decorator
@inline
function special16(x: u64): u64 {
  const quote = x ^ 0x0022_0022_0022_0022;
  const slash = x ^ 0x005c_005c_005c_005c;
  const ones: u64 = 0x0001_0001_0001_0001;
  return ((x - 0x0020_0020_0020_0020) | (quote - ones) | (slash - ones)) & 0x8000_8000_8000_8000;
}

/** Not 0 if one of eight bytes is no ASCII, or has to be escaped in JSON. */
// @ts-ignore: decorator
@inline
export function special8(x: u64): u64 {
  const quote = x ^ 0x2222_2222_2222_2222;
  const slash = x ^ 0x5c5c_5c5c_5c5c_5c5c;
  const ones: u64 = 0x0101_0101_0101_0101;
  return (x | (x - 0x2020_2020_2020_2020) | ((quote - ones) & ~quote) | ((slash - ones) & ~slash)) & 0x8080_8080_8080_8080;
}

// The code point that begins with unit c, U+FFFD for half a pair; `next` is where
// the following unit lies.
function codePoint(c: u32, next: usize, end: usize): u32 {
  if ((c & 0xf800) != 0xd800) return c;
  if (c < 0xdc00 && next < end) {
    const low = <u32>load<u16>(next);
    if ((low & 0xfc00) == 0xdc00) return 0x10000 + ((c & 0x3ff) << 10 | (low & 0x3ff));
  }
  return 0xfffd;
}

function encodePoint(to: usize, c: u32): usize {
  if (c < 0x800) {
    store<u8>(to, 0xc0 | (c >> 6));
    store<u8>(to, 0x80 | (c & 0x3f), 1);
    return to + 2;
  }
  if (c < 0x10000) {
    store<u8>(to, 0xe0 | (c >> 12));
    store<u8>(to, 0x80 | (c >> 6 & 0x3f), 1);
    store<u8>(to, 0x80 | (c & 0x3f), 2);
    return to + 3;
  }
  store<u8>(to, 0xf0 | (c >> 18));
  store<u8>(to, 0x80 | (c >> 12 & 0x3f), 1);
  store<u8>(to, 0x80 | (c >> 6 & 0x3f), 2);
  store<u8>(to, 0x80 | (c & 0x3f), 3);
  return to + 4;
}

function escape(to: usize, c: u32): usize {
  if (c >= 0x20 && c != 0x22 && c != 0x5c) {
    store<u8>(to, c);
    return to + 1;
  }
  store<u8>(to, 0x5c);
  let short: u32 = 0;
  switch (c) {
    case 0x22: case 0x5c: short = c; break;
    case 0x08: short = 0x62; break; // b
    case 0x0c: short = 0x66; break; // f
    case 0x0a: short = 0x6e; break; // n
    case 0x0d: short = 0x72; break; // r
    case 0x09: short = 0x74; break; // t
  }
  if (short != 0) {
    store<u8>(to, short, 1);
    return to + 2;
  }
  store<u32>(to, 0x30_30_75, 1); // u00
  store<u8>(to, load<u8>(HEX + (c >> 4)), 4);
  store<u8>(to, load<u8>(HEX + (c & 15)), 5);
  return to + 6;
}

/** The answer, and before that what the call's host functions are asked. */
export const out = new Writer();

/** For texts on their way. */
export const scratch = new Writer();
