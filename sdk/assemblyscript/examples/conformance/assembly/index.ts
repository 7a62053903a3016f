// The conformance guest: what it has to do, ../../../../conformance/README.md says.
import { Answer, Bytes, Context, Json, Request, Status, authorize, configure, requestTransform, responseTransform, tool, toolsList } from "../../../sallyport";
export {
  sallyport_abi_v1, sallyport_alloc, sallyport_authorize, sallyport_configure, sallyport_request_transform,
  sallyport_response_transform, sallyport_tool_call, sallyport_tools_list,
} from "../../../sallyport/exports";

let greeting = "hello";
let asked = 0;

configure((ctx, config) => {
  ctx.debug("configured");
  if (config.get("refuse").boolOr(false)) return Answer.invalidArgs("refuse must not be set");
  greeting = config.get("greeting").stringOr("hello");
  return Answer.ok();
});

toolsList((ctx) => {
  const list = Json.parseText(`{"tools":[
    {"name":"echo","description":"Gives back what it gets.","inputSchema":{"type":"object"}},
    {"name":"typed","inputSchema":{"type":"object","properties":{"city":{"type":"string"},"days":{"type":"integer"}},"required":["city"]}}
  ]}`);
  return list ? Answer.json(list) : Answer.internal(Json.problem);
});

tool("echo", (ctx, args) => Answer.raw(args.bytes));
tool("text", (ctx, args) => Answer.plain(args.bytes, "text/markdown"));
tool("empty", (ctx, args) => Answer.text(""));
tool("length", (ctx, args) => Answer.text(args.bytes.length.toString()));
tool("count", (ctx, args) => Answer.text((++asked).toString()));
tool("greeting", (ctx, args) => Answer.text(greeting));
tool("pair", (ctx, args) => Answer.text(ctx.meta(args.bytes.toString())));

tool("upper", (ctx, args) => {
  const text = args.bytes.toArray();
  for (let i = 0; i < text.length; i++) {
    if (text[i] >= 0x61 && text[i] <= 0x7a) text[i] -= 0x20;
  }
  return Answer.plain(Bytes.from(text));
});

tool("big", (ctx, args) => {
  const text = new Uint8Array(I32.parseInt(args.bytes.toString()));
  for (let i = 0; i < text.length; i++) text[i] = <u8>(0x61 + i % 26);
  return Answer.plain(Bytes.from(text));
});

tool("typed", (ctx, args) => Answer.text(args.get("city").string() + " " + args.get("days").integerOr(1).toString()));

tool("fail", (ctx, args) => {
  const word = args.bytes.toString();
  const text = "fail: " + word;
  if (word == "tool_error") return Answer.error(text);
  if (word == "invalid_args") return Answer.invalidArgs(text);
  if (word == "unknown_tool") return new Answer(Status.UnknownTool, text);
  if (word == "denied") return Answer.denied(text);
  if (word == "unavailable") return Answer.unavailable(text, 1500);
  return Answer.internal(text);
});

tool("panic", (ctx, args) => {
  throw new Error("boom: the inside of the plugin");
});

tool("meta", (ctx, args) => {
  const keys = ["tool", "server", "call_id", "session", "tenant", "principal.sub", "principal.roles", "traceparent", "deadline_ms"];
  for (let i = 0; i < keys.length; i++) keys[i] += "=" + ctx.meta(keys[i]);
  return Answer.text(keys.join("\n"));
});

tool("config", (ctx, args) => {
  const v = ctx.config(args.bytes.toString());
  return v.failed ? v.answer() : Answer.plain(v.bytes);
});

tool("secret", (ctx, args) => {
  const v = ctx.secret(args.bytes.toString());
  return v.failed ? v.answer() : Answer.plain(v.bytes);
});

tool("log", (ctx, args) => {
  ctx.debug("a debug line");
  ctx.info("an info line");
  ctx.warn("a warn line");
  ctx.error("an error line");
  return Answer.text("ok");
});

tool("metric", (ctx, args) => {
  ctx.count("calls");
  ctx.gauge("level", 0.5);
  ctx.observe("size", 12);
  return Answer.text("ok");
});

tool("progress", (ctx, args) => {
  ctx.progress(1, 4, "a quarter");
  ctx.progress(2);
  return Answer.text("ok");
});

tool("http", (ctx, args) => {
  const lines = args.bytes.toString().split("\n");
  const request = new Request(lines[0], lines[1]);
  let i = 2;
  for (; i < lines.length && lines[i].length > 0; i++) {
    const colon = lines[i].indexOf(":");
    request.header(lines[i].substring(0, colon), lines[i].substring(colon + 1).trimStart());
  }
  request.body = Bytes.of(lines.slice(i + 1).join("\n"));
  const response = ctx.http(request);
  if (response.failed) return response.answer();
  return Answer.text(response.status.toString() + "\n" + response.header("content-type") + "\n" + response.text);
});

tool("call_tool", (ctx, args) => {
  const text = args.bytes.toString();
  const end = text.indexOf("\n");
  const inner = end < 0 ? Json.object() : Json.parseText(text.substring(end + 1));
  if (!inner) return Answer.invalidArgs(Json.problem);
  const called = ctx.callTool(end < 0 ? text : text.substring(0, end), inner);
  return called.failed ? called.answer() : Answer.result(called.result);
});

tool("kv", (ctx, args) => {
  const text = args.bytes.toString();
  const first = text.indexOf("\n");
  const what = first < 0 ? text : text.substring(0, first);
  const rest = first < 0 ? "" : text.substring(first + 1);
  if (what == "list") return list(ctx, rest);
  if (what == "get") {
    const v = ctx.kvGet(rest);
    return v.failed ? v.answer() : Answer.plain(v.bytes);
  }
  if (what == "delete") {
    const o = ctx.kvDelete(rest);
    return o.failed ? o.answer() : Answer.text("ok");
  }
  const second = rest.indexOf("\n");
  const key = second < 0 ? rest : rest.substring(0, second);
  const value = Bytes.of(second < 0 ? "" : rest.substring(second + 1));
  if (what == "set" || what == "ttl") {
    const s = ctx.kvSet(key, value, what == "ttl" ? 1000 : 0);
    return s.failed ? s.answer() : Answer.text("ok");
  }
  let version: u64 = 0; // new: it must not exist
  if (what == "stale" || what == "swap") {
    const had = ctx.kvGet(key);
    if (had.failed) return had.answer();
    version = had.version;
  }
  if (what == "stale") {
    const other = ctx.kvSet(key, Bytes.of("other"));
    if (other.failed) return other.answer();
  }
  const s = ctx.kvSwap(key, value, version);
  return s.failed ? s.answer() : Answer.text("ok");
});

function list(ctx: Context, prefix: string): Answer {
  let all = "", after = "";
  while (true) {
    const keys = ctx.kvList(prefix, after);
    if (keys.failed) return keys.answer();
    const n = keys.names.length;
    if (n == 0) return Answer.text(all);
    all += keys.names.join("\n") + "\n";
    after = keys.names[n - 1];
  }
}

responseTransform((ctx, result) => {
  const text = result.bytes.toString();
  if (text.includes("explode")) return Answer.internal("the result exploded");
  if (!text.includes("hunter2")) return Answer.unchanged();
  return Answer.raw(Bytes.of(text.replaceAll("hunter2", "*******")));
});

requestTransform((ctx, args) => {
  const text = args.bytes.toString();
  if (text.includes("forbidden")) return Answer.denied("a forbidden word");
  if (text.includes("nonsense")) return Answer.invalidArgs("a word without sense");
  if (!text.includes("colour")) return Answer.unchanged();
  return Answer.raw(Bytes.of(text.replaceAll("colour", "color")));
});

authorize((ctx, args) => {
  if (ctx.subject == "ada") return Answer.ok();
  return Answer.denied(ctx.subject == "mallory" ? "mallory may not" : "who are you?");
});
