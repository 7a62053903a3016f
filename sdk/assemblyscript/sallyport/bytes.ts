import { scratch, special8 } from "./writer";

/**
 * A piece of memory that is not copied. What a call came with is valid until the
 * handler returns: `copy()` keeps it. What the host functions gave stays.
 */
@final
export class Bytes {
  /** For the SDK: the owner keeps the bytes alive, null if they are the call's input. */
  constructor(private owner: ArrayBuffer | null, readonly ptr: usize, readonly length: i32) {}

  /** The UTF-8 of a text. */
  static of(text: string): Bytes {
    scratch.reset();
    scratch.utf8(text);
    return copied(scratch.ptr, scratch.len);
  }

  /** The bytes of an array, not copied. */
  static from(array: Uint8Array): Bytes {
    return new Bytes(array.buffer, array.dataStart, array.length);
  }

  /** A copy that stays. */
  copy(): Bytes {
    return copied(this.ptr, this.length);
  }

  /** The bytes from `start` up to `end`, not copied. */
  slice(start: i32, end: i32 = i32.MAX_VALUE): Bytes {
    start = min(max(start, 0), this.length);
    end = min(max(end, start), this.length);
    return new Bytes(this.owner, this.ptr + start, end - start);
  }

  // @ts-ignore: decorator
  @operator("[]")
  private at(i: i32): u8 {
    if (<u32>i >= <u32>this.length) throw new RangeError("index out of range");
    return load<u8>(this.ptr + i);
  }

  /** A copy as an array. */
  toArray(): Uint8Array {
    const array = new Uint8Array(this.length);
    memory.copy(array.dataStart, this.ptr, this.length);
    return array;
  }

  /** The bytes as text. What is no UTF-8 becomes U+FFFD. */
  toString(): string {
    return decode(this.ptr, this.length);
  }
}

/** Copies to memory that the collector looks after. */
export function copied(ptr: usize, len: i32): Bytes {
  const owner = room(len);
  memory.copy(changetype<usize>(owner), ptr, len);
  return new Bytes(owner, changetype<usize>(owner), len);
}

/** Memory that the collector looks after and that is written right away: a `new ArrayBuffer` is filled with zeros first. */
export function room(len: u32): ArrayBuffer {
  return changetype<ArrayBuffer>(__new(len, idof<ArrayBuffer>()));
}

/** Whether the text in UTF-8 is these bytes. */
export function equal(ptr: usize, len: u32, text: string): bool {
  const end = ptr + len;
  let unit = changetype<usize>(text);
  if (<u32>text.length > len) return false;
  for (let at = ptr; at < end; at++, unit += 2) {
    const b = load<u8>(at);
    if (b >= 0x80) return decode(ptr, len) == text;
    if (at - ptr >= <usize>text.length || <u32>load<u16>(unit) != b) return false;
  }
  return len == <u32>text.length;
}

/** UTF-8 as text. What is no UTF-8 becomes U+FFFD, one for each byte. */
export function decode(ptr: usize, len: u32): string {
  if (len == 0) return "";
  const end = ptr + len;
  let at = ptr;
  while (at + 8 <= end && !(load<u64>(at) & 0x8080_8080_8080_8080)) at += 8;
  while (at < end && load<u8>(at) < 0x80) at++;
  if (at == end) return ascii(ptr, len);
  const start = textRoom(len);
  const plain = <u32>(at - ptr);
  widen(start, ptr, plain);
  return textUpTo(start, decodeUnits(start + (plain << 1), at, end));
}

/** Bytes below 0x80 as text. */
export function ascii(ptr: usize, len: u32): string {
  const s = changetype<string>(__new(<usize>len << 1, idof<string>()));
  widen(changetype<usize>(s), ptr, len);
  return s;
}

/** Room for the text of so many bytes of UTF-8: none of them makes more than one UTF-16 unit. */
export function textRoom(bytes: u32): usize {
  return __new(<usize>bytes << 1, idof<string>());
}

/** The text that was written to such room, up to `end`. */
export function textUpTo(start: usize, end: usize): string {
  return changetype<string>(__renew(start, end - start));
}

// Bytes below 0x80 as UTF-16.
function widen(to: usize, from: usize, len: u32): void {
  const end = from + len;
  while (from + 4 <= end) {
    let x = <u64>load<u32>(from);
    x = (x | (x << 16)) & 0x0000_ffff_0000_ffff;
    store<u64>(to, (x | (x << 8)) & 0x00ff_00ff_00ff_00ff);
    from += 4;
    to += 8;
  }
  for (; from < end; from++, to += 2) store<u16>(to, load<u8>(from));
}

/** Writes UTF-8 as UTF-16 units and returns where they end. */
export function decodeUnits(to: usize, at: usize, end: usize): usize {
  while (at < end) {
    const c = <u32>load<u8>(at);
    if (c < 0x80) {
      store<u16>(to, c);
      at++;
      to += 2;
      continue;
    }
    const size = utf8Step(at, end);
    if (size == 4) {
      const point = ((c & 7) << 18 | (<u32>load<u8>(at, 1) & 0x3f) << 12 | (<u32>load<u8>(at, 2) & 0x3f) << 6 | (<u32>load<u8>(at, 3) & 0x3f)) - 0x10000;
      store<u16>(to, 0xd800 | (point >> 10));
      store<u16>(to, 0xdc00 | (point & 0x3ff), 2);
      at += 4;
      to += 4;
      continue;
    }
    let point: u32 = 0xfffd;
    if (size == 2) point = (c & 0x1f) << 6 | (<u32>load<u8>(at, 1) & 0x3f);
    if (size == 3) point = (c & 0x0f) << 12 | (<u32>load<u8>(at, 1) & 0x3f) << 6 | (<u32>load<u8>(at, 2) & 0x3f);
    store<u16>(to, point);
    at += max(size, 1);
    to += 2;
  }
  return to;
}

/** How many bytes the character at `at`, which is not ASCII, takes; 0 = it is no UTF-8 (RFC 3629). */
export function utf8Step(at: usize, end: usize): u32 {
  const c = <u32>load<u8>(at);
  const left = end - at;
  if (c < 0xc2 || c > 0xf4 || left < 2) return 0;
  const second = <u32>load<u8>(at, 1);
  if ((second & 0xc0) != 0x80) return 0;
  if (c < 0xe0) return 2;
  if (left < 3 || (load<u8>(at, 2) & 0xc0) != 0x80) return 0;
  if (c < 0xf0) return c == 0xe0 && second < 0xa0 || c == 0xed && second > 0x9f ? 0 : 3;
  if (left < 4 || (load<u8>(at, 3) & 0xc0) != 0x80) return 0;
  return c == 0xf0 && second < 0x90 || c == 0xf4 && second > 0x8f ? 0 : 4;
}

/** How many bytes from `at` on stand for themselves in a JSON string and are ASCII. */
export function clean(at: usize, end: usize): usize {
  const start = at;
  while (at + 8 <= end && !special8(load<u64>(at))) at += 8;
  for (; at < end; at++) {
    const c = load<u8>(at);
    if (c < 0x20 || c >= 0x80 || c == 0x22 || c == 0x5c) break;
  }
  return at - start;
}
