import { Bytes } from "./bytes";
import { Json, Kind, kindName } from "./json";
import { parseJson } from "./parse";

/**
 * The arguments of a call, or a value in them. What is asked of it and does not fit is
 * noted, with its path, and answered for the plugin with INVALID_ARGS: "list[1].name
 * must be a string, not a number". A handler that does something that lasts looks at
 * `problem` before.
 */
@final
export class Args {
  private input: Bytes | null = null; // of the root
  private parsed: bool = false;
  private noted: string = "";

  /** For the SDK. */
  constructor(private parent: Args | null, private step: string, private index: i32, private value: Json | null) {}

  /** For the SDK: the payload of a call. */
  static root(ptr: usize, len: u32): Args {
    const a = new Args(null, "", -1, null);
    a.input = new Bytes(null, ptr, len);
    return a;
  }

  /** The arguments as they came, not parsed and not copied: valid until the handler returns. Empty below the root. */
  get bytes(): Bytes {
    const b = this.input;
    return b ? b : new Bytes(null, 0, 0);
  }

  /** The value as it stands there; null when it is missing. At the root it is an object. */
  get json(): Json | null {
    const input = this.input;
    if (!input || this.parsed) return this.value;
    this.parsed = true;
    let v: Json | null = Json.object(); // MCP lets a client leave arguments out
    if (input.length > 0) v = parseJson(input.ptr, input.length);
    if (!v) {
      this.note("the payload " + Json.problem);
    } else if (v.kind != Kind.Object) {
      this.note("the payload must be an object, not " + kindName(v.kind));
      v = null;
    }
    this.value = v ? v : Json.object();
    return this.value;
  }

  /** The first thing that was wrong, "" when nothing was. */
  get problem(): string {
    let a: Args = this;
    for (let up = a.parent; up; up = a.parent) a = up;
    return a.noted;
  }

  /** Notes what is wrong with this value: `args.get("times").refuse("must be from 1 to 100")`. */
  refuse(what: string): void {
    const path = this.path;
    this.note(path.length == 0 ? what : path + " " + what);
  }

  private note(text: string): void {
    let a: Args = this;
    for (let up = a.parent; up; up = a.parent) a = up;
    if (a.noted.length == 0) a.noted = text;
  }

  /** Where the value stands, as `list[1].name`. */
  get path(): string {
    const up = this.parent;
    if (!up) return "";
    const before = up.path;
    if (this.index >= 0) return before + "[" + this.index.toString() + "]";
    return before.length == 0 ? this.step : before + "." + this.step;
  }

  /** Whether there is a value. A null is one. */
  get present(): bool {
    return this.json !== null;
  }

  private get absent(): bool {
    const v = this.json;
    return !v || v.kind == Kind.Null;
  }

  /** The value if it is of that kind, else it is noted. */
  private want(kind: Kind): Json | null {
    const v = this.json;
    if (!v) this.refuse("is missing");
    else if (v.kind == kind) return v;
    else this.refuse("must be " + kindName(kind) + ", not " + kindName(v.kind));
    return null;
  }

  /** A member of an object. */
  get(name: string): Args {
    const v = this.json;
    if (!v || v.kind == Kind.Null) return new Args(this, name, -1, null);
    if (!this.want(Kind.Object)) return new Args(this, name, -1, null);
    return new Args(this, name, -1, v.get(name));
  }

  /** How many elements an array has; 0 when it is missing. */
  get length(): i32 {
    if (this.absent) return 0;
    const v = this.want(Kind.Array);
    return v ? v.length : 0;
  }

  /** An element of an array. */
  at(i: i32): Args {
    let element: Json | null = null;
    if (!this.absent) {
      const v = this.want(Kind.Array);
      if (v && <u32>i < <u32>v.length) element = v.at(i);
    }
    return new Args(this, "", i, element);
  }

  string(): string {
    const v = this.want(Kind.String);
    return v ? v.text : "";
  }

  number(): f64 {
    const v = this.want(Kind.Number);
    if (!v) return 0;
    const n = v.float;
    if (isFinite(n)) return n;
    this.refuse("must be a number that 64 bits can hold");
    return 0;
  }

  /** A whole number, also if it is written as 3.0. */
  integer(): i64 {
    const v = this.want(Kind.Number);
    if (!v) return 0;
    if (!v.isInteger) this.refuse("must be a whole number that 64 bits can hold, not " + v.numberText);
    return v.integer;
  }

  bool(): bool {
    const v = this.want(Kind.Bool);
    return v ? v.isTrue : false;
  }

  // What may be left out, or be null.

  stringOr(fallback: string): string {
    return this.absent ? fallback : this.string();
  }

  numberOr(fallback: f64): f64 {
    return this.absent ? fallback : this.number();
  }

  integerOr(fallback: i64): i64 {
    return this.absent ? fallback : this.integer();
  }

  boolOr(fallback: bool): bool {
    return this.absent ? fallback : this.bool();
  }
}
