// A plugin that shows what the SDK does, for the tests beside it: one tool for each
// thing, and one handler of every other kind.
import { Answer, Args, Bytes, Code, Context, Json, Kind, Level, Outcome, Request, Result, anyTool, authorize, configure, now, random, requestTransform, responseTransform, tool } from "../../sallyport";
export {
  sallyport_abi_v1, sallyport_alloc, sallyport_authorize, sallyport_configure, sallyport_request_transform,
  sallyport_response_transform, sallyport_tool_call, sallyport_tools_list,
} from "../../sallyport/exports";

// What it is configured with: the operator's, so a global may hold it.
let greeting = "";

configure((ctx, config) => {
  greeting = config.get("greeting").stringOr("");
  if (greeting == "rude") return Answer.invalidArgs("greeting must be polite");
  return Answer.ok();
});

function code(o: Outcome): Answer {
  return Answer.text((<i32>o.code).toString() + " " + o.message);
}

// JSON in, JSON out: what is read and written again.
tool("json", (ctx, args) => {
  const text = args.get("text").string();
  const v = Json.parseText(text);
  return v ? Answer.text(v.toString()) : Answer.invalidArgs(Json.problem);
});

// The same of bytes that are no text.
tool("bytes", (ctx, args) => {
  const v = Json.parse(args.bytes);
  return v ? Answer.raw(v.toBytes()) : Answer.invalidArgs(Json.problem);
});

// Every value of an object, as the SDK reads it.
tool("values", (ctx, args) => {
  const v = args.json;
  const list = Json.array();
  if (v) {
    for (let i = 0; i < v.length; i++) {
      const m = v.at(i);
      let s = v.name(i) + ": ";
      if (m.kind == Kind.String) s += m.text;
      else if (m.kind == Kind.Number) s += m.numberText + " " + m.float.toString() + " " + (m.isInteger ? m.integer.toString() : "-");
      else if (m.kind == Kind.Bool) s += m.isTrue ? "yes" : "no";
      else s += m.isNull ? "null" : m.length.toString();
      list.push(Json.string(s));
    }
  }
  return Answer.json(list);
});

// What was made here.
tool("made", (ctx, args) => {
  const o = Json.object()
    .set("int", Json.integer(i64.MIN_VALUE))
    .set("float", Json.number(3.0))
    .set("half", Json.number(0.5))
    .set("big", Json.number(1e21))
    .set("nan", Json.number(NaN))
    .set("text", Json.string("a\"\\\u0001\n\t\b\f\rä\u20ac😀\ud800"))
    .set("yes", Json.bool(true))
    .set("nil", Json.nil())
    .set("gone", Json.nil())
    .set("list", Json.array().push(Json.integer(1)).push(Json.array()));
  o.remove("gone");
  o.set("int", Json.integer(i64.MAX_VALUE));
  return Answer.structured(o);
});

// More members than are looked through one by one.
tool("many", (ctx, args) => {
  const o = Json.object();
  for (let i = 0; i < 40; i++) o.set("m" + i.toString(), Json.integer(i));
  for (let i = 0; i < 40; i += 2) o.remove("m" + i.toString());
  for (let i = 1; i < 40; i += 4) o.set("m" + i.toString(), Json.integer(-i));
  o.set("last", Json.bool(o.has("m39") && !o.has("m38")));
  return Answer.json(o);
});

// The arguments as a schema would have them.
tool("args", (ctx, args) => {
  let s = args.get("name").string() + " " + args.get("n").integer().toString() + " " + args.get("x").numberOr(0.5).toString() + " " + args.get("b").boolOr(true).toString();
  const list = args.get("list");
  for (let i = 0; i < list.length; i++) s += " " + list.at(i).get("name").string();
  const n = args.get("n");
  if (n.integerOr(0) > 100) n.refuse("must be at most 100");
  return Answer.text(s);
});

tool("statuses", (ctx, args) => {
  const which = args.get("which").string();
  if (which == "ok") return Answer.ok();
  if (which == "error") return Answer.error("could not");
  if (which == "invalid") return Answer.invalidArgs("which is wrong");
  if (which == "unknown") return Answer.unknownTool("x");
  if (which == "denied") return Answer.denied("no");
  if (which == "unavailable") return Answer.unavailable("down", 1500);
  if (which == "unavailable0") return Answer.unavailable("down");
  if (which == "internal") return Answer.internal("a secret of the plugin");
  if (which == "throw") throw new Error("it broke: ä");
  if (which == "index") return Answer.text([1, 2][<i32>args.get("i").integer()].toString());
  if (which == "plain") return Answer.plain(Bytes.of("plain ä"));
  if (which == "image") return Answer.result(new Result().add("look").addImage("image/png", Bytes.of("\u0001\u0002\u0003\u0004")));
  return Answer.text("");
});

tool("meta", (ctx, args) => Answer.text([
  ctx.tool, ctx.server, ctx.callId, ctx.session, ctx.tenant, ctx.subject, ctx.roles.join("|"), ctx.traceparent,
  ctx.deadlineMs.toString(), ctx.told("session").toString(), ctx.meta("käse"),
].join(";")));

tool("log", (ctx, args) => {
  ctx.debug("fine ä");
  ctx.info("");
  ctx.warn("careful");
  ctx.error("bad");
  ctx.log(Level.Info, "x".repeat(3000));
  ctx.count("calls");
  ctx.gauge("depth", -1.5);
  ctx.observe("size", 42);
  ctx.progress(1);
  ctx.progress(2.5, 10, "half ä");
  return Answer.ok();
});

tool("config", (ctx, args) => {
  const v = ctx.config(args.get("key").string());
  if (v.failed) return code(v);
  const json = v.json;
  return Answer.text(greeting + "|" + v.text + "|" + (json ? json.toString() : Json.problem));
});

tool("secret", (ctx, args) => {
  const v = ctx.secret(args.get("name").string());
  return v.failed ? v.answer() : Answer.text(v.text);
});

tool("http", (ctx, args) => {
  const request = args.get("post").boolOr(false) ? Request.post(args.get("url").string(), Json.object().set("a", Json.integer(1))) : Request.get(args.get("url").string());
  const headers = args.get("headers").integerOr(1);
  for (let i = 0; i < <i32>headers; i++) request.header("x-n", i.toString());
  if (args.get("colon").boolOr(false)) request.header(":method", "PUT");
  const r = ctx.http(request);
  if (r.failed) return code(r);
  const json = r.json;
  return Answer.text([r.status.toString(), r.header("Content-Type"), r.header("none"), r.headers.join("|"), r.text.length.toString(), json ? json.toString() : Json.problem].join(";"));
});

// Adds to a number in the store, again when another call was faster.
tool("kv.add", (ctx, args) => {
  const key = args.get("key").string();
  for (let i = 0; i < 8; i++) {
    const had = ctx.kvGet(key);
    if (had.failed && had.code != Code.NotFound) return had.answer();
    const n = had.failed ? 0 : I64.parseInt(had.text);
    const stored = ctx.kvSwap(key, Bytes.of((n + args.get("n").integer()).toString()), had.version);
    if (!stored.failed) return Answer.text(had.version.toString() + " " + stored.version.toString());
    if (stored.code != Code.Conflict) return stored.answer();
  }
  return Answer.unavailable("the key is busy", 100);
});

tool("kv", (ctx, args) => {
  const what = args.get("what").string(), key = args.get("key").stringOr("k");
  if (what == "get") {
    const v = ctx.kvGet(key);
    return v.failed ? code(v) : Answer.text(v.version.toString() + " " + v.bytes.length.toString() + " " + v.bytes[v.bytes.length - 1].toString());
  }
  if (what == "set") return code(ctx.kvSet(key, Bytes.of(args.get("value").string()), args.get("ttl").integerOr(0)));
  if (what == "swap") return code(ctx.kvSwap(key, Bytes.of("x"), <u64>args.get("version").integer()));
  if (what == "delete") return code(ctx.kvDelete(key));
  if (what == "deleteVersion") return code(ctx.kvDeleteVersion(key, <u64>args.get("version").integer()));
  const all = ctx.kvList(key, args.get("after").stringOr(""));
  return all.failed ? code(all) : Answer.text(all.names.join(",") + " " + all.versions.join(","));
});

tool("call", (ctx, args) => {
  const inner = args.get("args").json;
  const c = ctx.callTool(args.get("tool").string(), inner ? inner : Json.object());
  if (c.failed) return c.answer();
  return Answer.text(c.result.isError.toString() + " " + c.result.toString());
});

tool("clock", (ctx, args) => Answer.text(now().toString() + " " + random(3).toArray().toString()));

// What it makes of itself: as many bytes as were asked for.
tool("large", (ctx, args) => {
  const n = <i32>args.get("n").integer();
  const list = Json.array();
  while (list.length < n) list.push(Json.string("0123456789abcdef"));
  return Answer.json(Json.object().set("content", Json.array()).set("list", list));
});

// Keeps what it must not keep, to show that copies stay.
let kept: Bytes = new Bytes(null, 0, 0);
let keptJson: Json = Json.nil();

tool("keep", (ctx, args) => {
  const before = kept.toString() + " " + keptJson.toString();
  kept = args.bytes.copy();
  const v = args.json;
  if (v) keptJson = v;
  return Answer.text(before);
});

anyTool((ctx, args) => ctx.tool.startsWith("any.") ? Answer.text("any " + ctx.tool) : Answer.unknownTool(ctx.tool));

requestTransform((ctx, args) => {
  const json = args.json;
  if (args.get("secret").present) return Answer.denied("no secrets");
  if (!json || !args.get("city").present) return Answer.unchanged();
  return Answer.json(json.set("city", Json.string(args.get("city").string().toUpperCase())));
});

responseTransform((ctx: Context, result: Result) => {
  if (result.length == 0) return Answer.unchanged();
  for (let i = 0; i < result.length; i++) {
    const text = result.textAt(i);
    if (text !== null) result.setText(i, text.replaceAll("secret", "***"));
  }
  const structured = result.structured;
  if (structured) result.structured = structured.get("drop") ? null : structured.set("seen", Json.bool(true));
  if (ctx.tool == "bad") result.isError = true;
  return Answer.result(result);
});

authorize((ctx: Context, args: Args) => {
  if (ctx.subject == "mallory") return Answer.denied("mallory may not");
  if (args.get("amount").numberOr(0) > 100) return Answer.error("too much");
  return Answer.ok();
});
