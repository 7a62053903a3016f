import { Answer, Status } from "./answer";
import { Bytes, copied, room } from "./bytes";
import * as host from "./host";
import { Json } from "./json";
import { parseJson } from "./parse";
import { Result } from "./result";
import { MAX_FRAME, Writer } from "./writer";

/** Why a host function did not do what it was asked: ABI.md, section 7. */
export enum Code {
  OK = 0,
  Denied = -1, // not granted, or against policy
  NotFound = -2, // no such key, secret, setting, tool
  Invalid = -3, // an argument makes no sense
  TooLarge = -4, // past a limit on size
  Timeout = -5, // took too long
  Unavailable = -6, // cannot be reached now
  Quota = -7, // past a limit on number
  Conflict = -8, // the key has another version
}

function codeName(code: Code): string {
  switch (code) {
    case Code.Denied: return "denied";
    case Code.NotFound: return "not found";
    case Code.Invalid: return "invalid argument";
    case Code.TooLarge: return "too large";
    case Code.Timeout: return "timed out";
    case Code.Quota: return "quota used up";
    case Code.Conflict: return "version conflict";
  }
  return "unavailable";
}

/** How a host function ended. AssemblyScript has no exceptions to catch: look at `failed`. */
export class Outcome {
  /** Code.OK, or why it failed. */
  code: Code = Code.OK;

  /** "kv get cart: not found" */
  message: string = "";

  get failed(): bool {
    return this.code != Code.OK;
  }

  /** What `answer` answers with: another tool's refusal keeps its status. */
  refusal: Status = Status.ToolError;

  /** When to try again, 0 = not known. */
  retryAfterMs: i64 = 0;

  /** The failure as an answer: a tool error, INTERNAL outside of tools. */
  answer(): Answer {
    return new Answer(this.refusal, this.message, null, null, "", false, this.retryAfterMs);
  }

  /** For the SDK. */
  fail(doing: string, what: string, code: i64): void {
    const known = code >= Code.Conflict && code < 0;
    this.code = known ? <Code>(<i32>code) : Code.Unavailable;
    this.message = (what.length == 0 ? doing : doing + " " + what) + ": " + codeName(this.code);
  }
}

/** A setting, a secret, or a value of the store with its version. */
@final
export class Value extends Outcome {
  bytes: Bytes = new Bytes(null, 0, 0);
  version: u64 = 0;

  get text(): string {
    return this.bytes.toString();
  }

  /** The value as JSON, null when it is none: see `Json.problem`. */
  get json(): Json | null {
    return parseJson(this.bytes.ptr, this.bytes.length);
  }
}

/** The version that a value was stored with. */
@final
export class Stored extends Outcome {
  version: u64 = 0;
}

/** Keys of the store, sorted, and their versions. */
@final
export class Keys extends Outcome {
  names: Array<string> = [];
  versions: Array<u64> = [];
}

/** What a server answered, whatever its status: 404 is no failure. */
@final
export class Response extends Outcome {
  status: i32 = 0;
  body: Bytes = new Bytes(null, 0, 0);

  /** Names and values of the headers one after the other, in order; a name may be there twice. */
  headers: Array<string> = [];

  /** The first header of that name, in whatever case, "" when there is none. */
  header(name: string): string {
    const wanted = name.toLowerCase();
    for (let i = 0; i < this.headers.length; i += 2) {
      if (this.headers[i].toLowerCase() == wanted) return this.headers[i + 1];
    }
    return "";
  }

  get text(): string {
    return this.body.toString();
  }

  /** The body as JSON, null when it is none: see `Json.problem`. */
  get json(): Json | null {
    return parseJson(this.body.ptr, this.body.length);
  }
}

/** What another tool answered. A tool that failed is a result with `isError`; a call that did not reach it has failed. */
@final
export class Called extends Outcome {
  result: Result = new Result();
}

/** A request of `Context.http`. */
@final
export class Request {
  body: Bytes = new Bytes(null, 0, 0);
  private fields: Array<string> = [];

  constructor(readonly method: string, readonly url: string) {}

  static get(url: string): Request {
    return new Request("GET", url);
  }

  /** A POST of JSON. */
  static post(url: string, json: Json): Request {
    const r = new Request("POST", url).header("content-type", "application/json");
    r.body = json.toBytes();
    return r;
  }

  /** Adds a header; at most 62. */
  header(name: string, value: string): Request {
    this.fields.push(name);
    this.fields.push(value);
    return this;
  }

  /** For the SDK: writes the frame in, false when it makes none. */
  frame(w: Writer): bool {
    const n = this.fields.length / 2;
    if (n > 62) return false;
    w.u32(2 + n);
    w.text(":method");
    w.text(this.method);
    w.text(":url");
    w.text(this.url);
    for (let i = 0; i < 2 * n; i++) {
      if ((i & 1) == 0 && this.fields[i].startsWith(":")) return false;
      w.text(this.fields[i]);
    }
    w.bytes(this.body.ptr, this.body.length);
    return true;
  }
}

/** How much of a result is taken without asking twice, in bytes. */
export const DIRECT: u32 = 512;

/** What a host function with (dst, cap) gave: n is its return, dst is where `out` had room for DIRECT bytes. Null when it cannot be had. */
export function given(n: i64, dst: usize): Bytes | null {
  return n <= <i64>DIRECT ? copied(dst, <i32>n) : waiting(n);
}

/** n bytes from the slot, null when they are not there. */
export function waiting(n: i64): Bytes | null {
  if (n > <i64>MAX_FRAME) return null;
  const owner = room(<u32>n);
  const dst = changetype<usize>(owner);
  for (let off: u32 = 0; off < <u32>n; ) {
    const got = host.read(dst + off, off, <u32>n - off);
    if (got <= 0 || <u32>got > <u32>n - off) return null;
    off += got;
  }
  return new Bytes(owner, dst, <i32>n);
}
