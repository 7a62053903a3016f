import { Status } from "./answer";
import { Bytes, decode } from "./bytes";
import { Frame } from "./frame";
import * as host from "./host";
import { Json, Kind, numberText } from "./json";
import { Called, Code, DIRECT, Keys, Outcome, Request, Response, Stored, Value, given, waiting } from "./outcome";
import { parseJson } from "./parse";
import { Result } from "./result";
import { out } from "./writer";

/** How much a line of the log matters. */
export enum Level { Debug, Info, Warn, Error }

/**
 * One call: what the host tells about it, and the host functions. It is over when the
 * handler returns. Only what the manifest lists under `context` is told.
 */
@final
export class Context {
  /** For the SDK. */
  frame: Frame = new Frame();

  /** One entry of what the host tells, "" when it does not. */
  meta(key: string): string {
    return this.frame.get(key);
  }

  /** Whether the host tells it. */
  told(key: string): bool {
    return this.frame.find(key) != 0;
  }

  /** The name of the tool that is called. */
  get tool(): string { return this.meta("tool"); }

  /** The name of the server that the client called. */
  get server(): string { return this.meta("server"); }

  /** The id of the call, as the gateway logs it. */
  get callId(): string { return this.meta("call_id"); }

  /** The session of the client, "" when it has none. */
  get session(): string { return this.meta("session"); }

  /** Whose call it is. */
  get tenant(): string { return this.meta("tenant"); }

  /** Who calls. */
  get subject(): string { return this.meta("principal.sub"); }

  /** The roles of who calls. */
  get roles(): Array<string> {
    const v = this.meta("principal.roles");
    return v.length == 0 ? [] : v.split(",");
  }

  /** The W3C trace context of the call. */
  get traceparent(): string { return this.meta("traceparent"); }

  /** How many milliseconds were left when the call began, -1 when it is not told. */
  get deadlineMs(): i64 {
    const v = this.meta("deadline_ms");
    return v.length == 0 ? -1 : I64.parseInt(v);
  }

  /** Writes one line to the plugin's log. Operators read it: no secrets, no arguments. At most 100 a call. */
  log(level: Level, line: string): void {
    out.reset();
    out.utf8(line);
    host.log(level, out.ptr, out.len);
  }

  debug(line: string): void { this.log(Level.Debug, line); }
  info(line: string): void { this.log(Level.Info, line); }
  warn(line: string): void { this.log(Level.Warn, line); }
  error(line: string): void { this.log(Level.Error, line); }

  /** One member of the plugin's configuration, all of it when the key is "". Most plugins take it once, with `configure`. */
  config(key: string = ""): Value {
    out.reset();
    out.utf8(key);
    const size = out.len, dst = out.reserve(DIRECT);
    return taken("config", key, host.config(out.ptr, size, dst, DIRECT), dst);
  }

  /** A secret that the manifest names and the operator granted. Better is to have the host put it into a header (`inject`). */
  secret(name: string): Value {
    out.reset();
    out.utf8(name);
    const size = out.len, dst = out.reserve(DIRECT);
    return taken("secret", name, host.secret(out.ptr, size, dst, DIRECT), dst);
  }

  /** Adds to a counter. A plugin has at most 16 metrics. */
  count(name: string, add: f64 = 1): void { this.metric(name, 0, add); }

  /** Sets a gauge. */
  gauge(name: string, value: f64): void { this.metric(name, 1, value); }

  /** Adds a value to a histogram. */
  observe(name: string, value: f64): void { this.metric(name, 2, value); }

  private metric(name: string, kind: u32, value: f64): void {
    out.reset();
    out.utf8(name);
    host.metric(out.ptr, out.len, kind, value);
  }

  /** Tells the client how far the call is; total 0 = not known. */
  progress(done: f64, total: f64 = 0, message: string = ""): void {
    if (!isFinite(done) || !isFinite(total)) return;
    out.reset();
    out.u32(total > 0 ? 2 : 1);
    out.text("progress");
    out.text(numberText(done));
    if (total > 0) {
      out.text("total");
      out.text(numberText(total));
    }
    out.utf8(message);
    host.progress(out.ptr, out.len);
  }

  /** Sends a request and waits for the answer. Where it may go is the operator's grant. */
  http(request: Request): Response {
    const r = new Response();
    out.reset();
    if (!request.frame(out)) {
      r.fail("http", request.url, Code.Invalid);
      return r;
    }
    const n = host.http(out.ptr, out.len);
    const b = slot(r, "http", request.url, n);
    if (!b) return r;
    const frame = new Frame();
    if (!openOut(frame, b)) {
      r.fail("http", request.url, Code.Invalid);
      return r;
    }
    r.status = load<u16>(b.ptr);
    r.headers = frame.texts();
    r.body = b.slice(<i32>(frame.payload - b.ptr));
    return r;
  }

  /**
   * A value of the plugin's own store. All instances and all callers share it: put the
   * tenant into the key where that matters. Without a value the code is NotFound and
   * the version 0, which `kvSwap` takes for "must not exist".
   */
  kvGet(key: string): Value {
    out.reset();
    out.utf8(key);
    const size = out.len, dst = out.reserve(DIRECT);
    const v = taken("kv get", key, host.kvGet(out.ptr, size, dst, DIRECT), dst);
    if (v.failed) return v;
    if (v.bytes.length < 8) {
      v.fail("kv get", key, Code.Invalid);
      return v;
    }
    v.version = load<u64>(v.bytes.ptr);
    v.bytes = v.bytes.slice(8);
    return v;
  }

  /** Stores a value, whatever was there. After ttlMs it is gone; 0 = never. */
  kvSet(key: string, value: Bytes, ttlMs: i64 = 0): Stored {
    return put(key, value, ttlMs, -1);
  }

  /** Stores a value if the key still has that version, 0 = if it does not exist; else the code is Conflict. */
  kvSwap(key: string, value: Bytes, version: u64, ttlMs: i64 = 0): Stored {
    if (<i64>version >= 0) return put(key, value, ttlMs, <i64>version);
    const s = new Stored(); // -1 would mean "whatever is there"
    s.fail("kv set", key, Code.Invalid);
    return s;
  }

  /** Removes a key. */
  kvDelete(key: string): Outcome {
    return drop(key, -1);
  }

  /** Removes a key if it still has that version. */
  kvDeleteVersion(key: string, version: u64): Outcome {
    if (<i64>version > 0) return drop(key, <i64>version);
    const o = new Outcome();
    o.fail("kv delete", key, Code.Invalid);
    return o;
  }

  /** The keys that begin with a prefix and come after a key, sorted, at most 64: ask again with the last one for more. */
  kvList(prefix: string = "", after: string = ""): Keys {
    const keys = new Keys();
    out.reset();
    out.utf8(prefix);
    const size = out.len;
    out.utf8(after);
    const n = host.kvList(out.ptr, size, out.ptr + size, out.len - size);
    const b = slot(keys, "kv list", prefix, n);
    if (!b) return keys;
    const frame = new Frame();
    if (!frame.open(b.ptr, b.length)) {
      keys.fail("kv list", prefix, Code.Invalid);
      return keys;
    }
    const texts = frame.texts();
    for (let i = 0; i < texts.length; i += 2) {
      keys.names.push(texts[i]);
      keys.versions.push(U64.parseInt(texts[i + 1]));
    }
    return keys;
  }

  /** Calls another tool with the rights of the caller, as its name stands in the server's list. */
  callTool(name: string, args: Json): Called {
    const c = new Called();
    out.reset();
    out.u32(1);
    out.text("tool");
    out.text(name);
    args.write(out);
    const b = slot(c, "call tool", name, host.callTool(out.ptr, out.len));
    if (!b) return c;
    const frame = new Frame();
    if (!openOut(frame, b)) {
      c.fail("call tool", name, Code.Invalid);
      return c;
    }
    const status: u32 = min<u32>(load<u16>(b.ptr), Status.Internal);
    const braced = frame.size > 0 && load<u8>(frame.payload) == 0x7b;
    if (status == Status.OK || status == Status.ToolError && braced) {
      const v = parseJson(frame.payload, frame.size);
      if (!v || v.kind != Kind.Object) {
        c.fail("call tool", name, Code.Invalid);
        return c;
      }
      c.result = Result.of(v);
      if (status == Status.ToolError) c.result.isError = true;
      return c;
    }
    const text = decode(frame.payload, frame.size);
    if (status == Status.ToolError) {
      c.result = new Result().add(text);
      c.result.isError = true;
      return c;
    }
    c.fail("call tool", name, codeOf(status));
    c.refusal = <Status>status;
    if (text.length > 0) c.message = "call tool " + name + ": " + text;
    const after = frame.get("retry_after_ms");
    if (after.length > 0) c.retryAfterMs = I64.parseInt(after);
    return c;
  }
}

/** Milliseconds since 1970. */
export function now(): i64 {
  out.reset();
  const dst = out.reserve(8);
  return host.clockTimeGet(0, 1000000, dst) == 0 ? <i64>(load<u64>(dst) / 1000000) : 0;
}

/** Random bytes, fit for keys. */
export function random(n: i32): Bytes {
  const array = new Uint8Array(n);
  if (host.randomGet(array.dataStart, n) != 0) throw new Error("the host has no randomness");
  return Bytes.from(array);
}

// What a call that did not reach its tool is, among the codes of host functions.
function codeOf(status: u32): Code {
  switch (status) {
    case Status.InvalidArgs: return Code.Invalid;
    case Status.UnknownTool: return Code.NotFound;
    case Status.Denied: return Code.Denied;
  }
  return Code.Unavailable;
}

// Proves a frame out.
function openOut(frame: Frame, b: Bytes): bool {
  return b.length >= 8 && load<u16>(b.ptr, 2) == 0 && frame.open(b.ptr + 4, b.length - 4);
}

// The result that waits in the slot; null when the call failed, as is noted then.
function slot(o: Outcome, doing: string, what: string, n: i64): Bytes | null {
  if (n < 0) {
    o.fail(doing, what, n);
    return null;
  }
  const b = waiting(n);
  if (!b) o.fail(doing, what, Code.TooLarge);
  return b;
}

function taken(doing: string, what: string, n: i64, dst: usize): Value {
  const v = new Value();
  if (n < 0) {
    v.fail(doing, what, n);
    return v;
  }
  const b = given(n, dst);
  if (b) v.bytes = b;
  else v.fail(doing, what, Code.TooLarge);
  return v;
}

function put(key: string, value: Bytes, ttlMs: i64, version: i64): Stored {
  const s = new Stored();
  if (ttlMs < 0) {
    s.fail("kv set", key, Code.Invalid);
    return s;
  }
  out.reset();
  out.utf8(key);
  const n = host.kvSet(out.ptr, out.len, value.ptr, value.length, ttlMs, version);
  if (n < 0) s.fail("kv set", key, n);
  else s.version = n;
  return s;
}

function drop(key: string, version: i64): Outcome {
  const o = new Outcome();
  out.reset();
  out.utf8(key);
  const n = host.kvDelete(out.ptr, out.len, version);
  if (n < 0) o.fail("kv delete", key, n);
  return o;
}
