// Reads JSON (RFC 8259), strictly.

import { ascii, clean, decode, decodeUnits, room, textRoom, textUpTo, utf8Step } from "./bytes";
import { Json, Kind } from "./json";

/** How deep arrays and objects may lie in each other, as in the gateway. */
const MAX_DEPTH = 64;

// The parser's state is global because one parse runs at a time.
let owner = changetype<ArrayBuffer>(0); // of the text that is parsed
let start: usize = 0;
let at: usize = 0;
let end: usize = 0;
/** Why the last text was none, see `Json.problem`. */
export let problem = "";

/** `Json.parse` of bytes anywhere; they are copied. */
export function parseJson(ptr: usize, len: u32): Json | null {
  const text = room(len);
  memory.copy(changetype<usize>(text), ptr, len);
  owner = text;
  start = at = changetype<usize>(text);
  end = at + len;
  problem = "";
  let v = value(0);
  if (v) {
    space();
    if (at < end) v = bad("something follows the value");
  }
  owner = changetype<ArrayBuffer>(0);
  return v;
}

function bad(what: string): Json | null {
  if (problem.length == 0) problem = "is no JSON at byte " + (at - start).toString() + ": " + what;
  return null;
}

function space(): void {
  while (at < end) {
    const c = load<u8>(at);
    if (c != 0x20 && c != 0x0a && c != 0x0d && c != 0x09) return;
    at++;
  }
}

function value(depth: i32): Json | null {
  space();
  if (at >= end) return bad("a value is missing");
  const from = at;
  switch (load<u8>(at)) {
    case 0x22: // "
      return quoted() ? Json.scalar(Kind.String, owner, from, at - from) : null;
    case 0x7b: // {
      return depth < MAX_DEPTH ? object(depth + 1) : bad("it is more than 64 deep");
    case 0x5b: // [
      return depth < MAX_DEPTH ? array(depth + 1) : bad("it is more than 64 deep");
    case 0x74: // t
      if (end - at >= 4 && load<u32>(at) == 0x65757274) return word(Kind.Bool, 4);
      break;
    case 0x66: // f
      if (end - at >= 5 && load<u32>(at, 1) == 0x65736c61) return word(Kind.Bool, 5);
      break;
    case 0x6e: // n
      if (end - at >= 4 && load<u32>(at) == 0x6c6c756e) return word(Kind.Null, 4);
      break;
    default:
      if (number()) return Json.scalar(Kind.Number, owner, from, at - from);
  }
  return bad("a value is missing");
}

function word(kind: Kind, size: u32): Json {
  at += size;
  return Json.scalar(kind, owner, at - size, size);
}

function object(depth: i32): Json | null {
  const o = Json.object();
  at++;
  space();
  if (at < end && load<u8>(at) == 0x7d) {
    at++;
    return o;
  }
  while (true) {
    space();
    if (at >= end || load<u8>(at) != 0x22) return bad("the name of a member is missing");
    const from = at;
    if (!quoted()) return null;
    const name = unquote(from + 1, <u32>(at - from - 2));
    space();
    if (at >= end || load<u8>(at) != 0x3a) return bad("a colon is missing");
    at++;
    const v = value(depth);
    if (!v) return null;
    if (!o.add(name, v)) {
      at = from;
      return bad("this name was there before");
    }
    space();
    const c = at < end ? load<u8>(at) : 0;
    if (c != 0x2c && c != 0x7d) return bad("a comma or the end of the object is missing");
    at++;
    if (c == 0x7d) return o;
  }
}

function array(depth: i32): Json | null {
  const a = Json.array();
  at++;
  space();
  if (at < end && load<u8>(at) == 0x5d) {
    at++;
    return a;
  }
  while (true) {
    const v = value(depth);
    if (!v) return null;
    a.push(v);
    space();
    const c = at < end ? load<u8>(at) : 0;
    if (c != 0x2c && c != 0x5d) return bad("a comma or the end of the array is missing");
    at++;
    if (c == 0x5d) return a;
  }
}

// -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?
function number(): bool {
  let p = at;
  if (p < end && load<u8>(p) == 0x2d) p++;
  const first = p;
  p = skipDigits(p);
  if (p == first || load<u8>(first) == 0x30 && p - first > 1) return false;
  if (p < end && load<u8>(p) == 0x2e) {
    const fraction = ++p;
    p = skipDigits(p);
    if (p == fraction) return false;
  }
  if (p < end && (load<u8>(p) | 0x20) == 0x65) {
    p++;
    if (p < end && (load<u8>(p) == 0x2b || load<u8>(p) == 0x2d)) p++;
    const exponent = p;
    p = skipDigits(p);
    if (p == exponent) return false;
  }
  at = p;
  return true;
}

function skipDigits(p: usize): usize {
  while (p < end && <u32>load<u8>(p) - 0x30 < 10) p++;
  return p;
}

// Takes a string with its quotes and proves it.
function quoted(): bool {
  at++;
  while (at < end) {
    at += clean(at, end);
    if (at >= end) break;
    const c = <u32>load<u8>(at);
    if (c == 0x22) {
      at++;
      return true;
    }
    if (c == 0x5c) {
      if (!escaped()) return false;
      continue;
    }
    if (c < 0x20) {
      bad("a control character stands in a string");
      return false;
    }
    const size = utf8Step(at, end);
    if (size == 0) {
      bad("a string is no UTF-8");
      return false;
    }
    at += size;
  }
  bad("the end of a string is missing");
  return false;
}

// Takes an escape; both halves of a surrogate pair, which must not be alone.
function escaped(): bool {
  const c = end - at < 2 ? 0 : <u32>load<u8>(at, 1);
  switch (c) {
    case 0x22: case 0x5c: case 0x2f: case 0x62: case 0x66: case 0x6e: case 0x72: case 0x74:
      at += 2;
      return true;
    case 0x75: {
      const unit = hex4(at + 2, end);
      if (unit < 0) break;
      if ((unit & 0xf800) != 0xd800) {
        at += 6;
        return true;
      }
      if (unit < 0xdc00 && end - at >= 12 && load<u16>(at, 6) == 0x755c && (hex4(at + 8, end) & 0xfc00) == 0xdc00) {
        at += 12;
        return true;
      }
    }
  }
  bad("an escape is none of JSON");
  return false;
}

// Four hexadecimal digits, -1 when they are none.
function hex4(p: usize, stop: usize): i32 {
  if (p > stop || stop - p < 4) return -1;
  let v = 0;
  for (let i: usize = 0; i < 4; i++) {
    const c = <i32>load<u8>(p + i);
    let digit = c - 0x30;
    if (digit < 0 || digit > 9) {
      digit = (c | 0x20) - 0x61 + 10;
      if (digit < 10 || digit > 15) return -1;
    }
    v = v << 4 | digit;
  }
  return v;
}

/** What stands between the quotes of a string that was proven. */
export function unquote(p: usize, len: u32): string {
  const stop = p + len;
  let slash = p + clean(p, stop);
  if (slash == stop) return len == 0 ? "" : ascii(p, len);
  while (slash < stop && load<u8>(slash) != 0x5c) slash++;
  if (slash == stop) return decode(p, len);
  const from = textRoom(len);
  let to = from;
  while (p < stop) {
    to = decodeUnits(to, p, slash);
    p = slash;
    if (p >= stop) break;
    const c = <u32>load<u8>(p, 1);
    let unit = c; // quote, backslash, slash
    p += 2;
    switch (c) {
      case 0x62: unit = 0x08; break;
      case 0x66: unit = 0x0c; break;
      case 0x6e: unit = 0x0a; break;
      case 0x72: unit = 0x0d; break;
      case 0x74: unit = 0x09; break;
      case 0x75:
        unit = hex4(p, stop);
        p += 4;
        break;
    }
    store<u16>(to, unit);
    to += 2;
    slash = p;
    while (slash < stop && load<u8>(slash) != 0x5c) slash++;
  }
  return textUpTo(from, to);
}
