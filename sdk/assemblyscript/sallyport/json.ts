import { Bytes, copied, decode } from "./bytes";
import { floatOf } from "./number";
import { parseJson, problem, unquote } from "./parse";
import { Writer } from "./writer";

/** What a JSON value is. */
export enum Kind { Null, Bool, Number, String, Array, Object }

/** From how many members on an object has an index of its names. */
const MANY = 12;

/**
 * A JSON value. Objects keep the order of their members, numbers their text, and
 * names are compared in exact case.
 */
@final
export class Json {
  // The text that the value was parsed from, strings with their quotes. 0 = it was made here.
  private owner: ArrayBuffer | null = null;
  private raw: usize = 0;
  private size: u32 = 0;

  private word: string = ""; // the value of a string, the text of a number, "true"
  private keys: Array<string> | null = null;
  private values: Array<Json> | null = null;
  private index: Map<string, i32> | null = null;

  /** For the SDK: use the functions below. */
  constructor(readonly kind: Kind) {}

  /**
   * Reads one value, strictly: valid UTF-8, no name twice in an object, at most 64
   * deep. Null when it is none; `Json.problem` tells why. Bytes are copied once.
   */
  static parse(bytes: Bytes): Json | null {
    return parseJson(bytes.ptr, bytes.length);
  }

  /** `parse` of a text. */
  static parseText(text: string): Json | null {
    const bytes = Bytes.of(text);
    return parseJson(bytes.ptr, bytes.length);
  }

  /** What was wrong with what `parse` got last, as "is no JSON at byte 12: a colon is missing". */
  static get problem(): string {
    return problem;
  }

  static nil(): Json {
    return new Json(Kind.Null);
  }

  static bool(v: bool): Json {
    return Json.made(Kind.Bool, v ? "true" : "false");
  }

  static string(v: string): Json {
    return Json.made(Kind.String, v);
  }

  static integer(v: i64): Json {
    return Json.made(Kind.Number, v.toString());
  }

  /** A number. What JSON has no number for, as NaN, is null. */
  static number(v: f64): Json {
    if (!isFinite(v)) return new Json(Kind.Null);
    return Json.made(Kind.Number, numberText(v));
  }

  /** An empty array. */
  static array(): Json {
    const v = new Json(Kind.Array);
    v.values = [];
    return v;
  }

  /** An empty object. */
  static object(): Json {
    const v = new Json(Kind.Object);
    v.keys = [];
    v.values = [];
    return v;
  }

  private static made(kind: Kind, word: string): Json {
    const v = new Json(kind);
    v.word = word;
    return v;
  }

  /** For the parser. */
  static scalar(kind: Kind, owner: ArrayBuffer, raw: usize, size: usize): Json {
    const v = new Json(kind);
    v.owner = owner;
    v.raw = raw;
    v.size = <u32>size;
    return v;
  }

  /** The value of a string, or "". */
  get text(): string {
    if (this.kind != Kind.String) return "";
    if (this.raw != 0 && this.word.length == 0 && this.size > 2) this.word = unquote(this.raw + 1, this.size - 2);
    return this.word;
  }

  /** The text of a number as it was written, or "". */
  get numberText(): string {
    if (this.kind != Kind.Number) return "";
    if (this.raw != 0 && this.word.length == 0) this.word = decode(this.raw, this.size);
    return this.word;
  }

  /** The value of a number, or NaN. */
  get float(): f64 {
    return this.kind == Kind.Number ? floatOf(this.numberText) : NaN;
  }

  /** Whether it is a whole number that `integer` can give: also 3.0 and 3e2, as JSON Schema has it. */
  get isInteger(): bool {
    if (this.kind != Kind.Number) return false;
    if (digits(this.numberText)) return fits(this.numberText);
    const v = this.float;
    return v == Math.trunc(v) && Math.abs(v) <= 9007199254740991;
  }

  /** The value of a whole number, or 0. */
  get integer(): i64 {
    if (!this.isInteger) return 0;
    return digits(this.numberText) ? I64.parseInt(this.numberText) : <i64>this.float;
  }

  /** Whether it is true. */
  get isTrue(): bool {
    return this.kind == Kind.Bool && (this.raw != 0 ? this.size == 4 : this.word.length == 4);
  }

  get isNull(): bool {
    return this.kind == Kind.Null;
  }

  /** How many elements or members there are. */
  get length(): i32 {
    const values = this.values;
    return values ? values.length : 0;
  }

  /** The element, or the value of the member, at i: below `length`. */
  at(i: i32): Json {
    const values = this.values;
    if (!values) throw new RangeError("a value without elements was asked for one");
    return values[i];
  }

  /** The name of the member at i. */
  name(i: i32): string {
    const keys = this.keys;
    if (!keys) throw new RangeError("what is no object was asked for a name");
    return keys[i];
  }

  /** The value of a member, null when there is none (a JSON null is a value). */
  get(name: string): Json | null {
    const i = this.find(name);
    return i < 0 ? null : this.at(i);
  }

  has(name: string): bool {
    return this.find(name) >= 0;
  }

  /** Sets a member of an object, at its place if it is there, else at the end. Returns the object. */
  set(name: string, value: Json): Json {
    const keys = this.keys, values = this.values;
    if (!keys || !values) throw new Error("what is no object cannot have members");
    const i = this.find(name);
    if (i >= 0) {
      values[i] = value;
      return this;
    }
    const index = this.index;
    if (index) index.set(name, keys.length);
    keys.push(name);
    values.push(value);
    return this;
  }

  /** Takes a member out; false when it was not there. */
  remove(name: string): bool {
    const i = this.find(name);
    const keys = this.keys, values = this.values;
    if (i < 0 || !keys || !values) return false;
    keys.splice(i, 1);
    values.splice(i, 1);
    this.index = null;
    return true;
  }

  /** Adds an element to an array. Returns the array. */
  push(value: Json): Json {
    const values = this.values;
    if (this.kind != Kind.Array || !values) throw new Error("what is no array cannot have elements");
    values.push(value);
    return this;
  }

  /** Replaces the element, or the value of the member, at i. */
  replace(i: i32, value: Json): void {
    const values = this.values;
    if (!values || <u32>i >= <u32>values.length) throw new RangeError("index out of range");
    values[i] = value;
  }

  private find(name: string): i32 {
    const keys = this.keys;
    if (!keys) return -1;
    const n = keys.length;
    if (n < MANY) {
      for (let i = 0; i < n; i++) if (keys[i] == name) return i;
      return -1;
    }
    let index = this.index;
    if (!index) {
      index = new Map<string, i32>();
      for (let i = 0; i < n; i++) index.set(keys[i], i);
      this.index = index;
    }
    return index.has(name) ? index.get(name) : -1;
  }

  /** For the parser: adds a member, false when the name is taken. */
  add(name: string, value: Json): bool {
    if (this.find(name) >= 0) return false;
    this.set(name, value);
    return true;
  }

  /** The JSON text, without blanks. */
  toString(): string {
    const w = new Writer();
    this.write(w);
    const s = decode(w.ptr, w.len);
    w.free();
    return s;
  }

  /** The JSON text in UTF-8. */
  toBytes(): Bytes {
    const w = new Writer();
    this.write(w);
    const b = copied(w.ptr, w.len);
    w.free();
    return b;
  }

  /** Appends the JSON text. */
  write(w: Writer): void {
    if (this.raw != 0) {
      w.bytes(this.raw, this.size);
      return;
    }
    switch (this.kind) {
      case Kind.Null:
        w.utf8("null");
        return;
      case Kind.String:
        w.quote(this.word);
        return;
      case Kind.Array:
      case Kind.Object: {
        const n = this.length;
        const isObject = this.kind == Kind.Object;
        w.byte(isObject ? 0x7b : 0x5b);
        for (let i = 0; i < n; i++) {
          if (i > 0) w.byte(0x2c);
          if (isObject) {
            w.quote(this.name(i));
            w.byte(0x3a);
          }
          this.at(i).write(w);
        }
        w.byte(isObject ? 0x7d : 0x5d);
        return;
      }
    }
    w.utf8(this.word);
  }
}

/** What a kind is called in messages. */
export function kindName(kind: Kind): string {
  switch (kind) {
    case Kind.Null: return "null";
    case Kind.Bool: return "a boolean";
    case Kind.Number: return "a number";
    case Kind.String: return "a string";
    case Kind.Array: return "an array";
  }
  return "an object";
}

/** A finite number as JSON has it: the shortest text that reads back as the same, 3 and not 3.0. */
export function numberText(v: f64): string {
  const s = v.toString();
  return s.endsWith(".0") ? s.substring(0, s.length - 2) : s;
}

// Whether a number's text has digits only, after a sign.
function digits(s: string): bool {
  for (let i = 0; i < s.length; i++) {
    const c = s.charCodeAt(i);
    if ((c < 0x30 || c > 0x39) && c != 0x2d) return false;
  }
  return true;
}

// Whether such a number is one of 64 bits.
function fits(s: string): bool {
  const negative = s.charCodeAt(0) == 0x2d;
  const text = negative ? s.substring(1) : s;
  if (text.length != 19) return text.length < 19;
  return text <= (negative ? "9223372036854775808" : "9223372036854775807");
}
