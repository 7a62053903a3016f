// The exports of ABI v1. A plugin names those of its kinds in its entry file; what
// stands behind the others is not compiled:
//
//   export { sallyport_abi_v1, sallyport_alloc, sallyport_tool_call } from "./sallyport/exports";

import { Answer, Status } from "./answer";
import { Args } from "./args";
import { equal } from "./bytes";
import { Context } from "./context";
import { Json } from "./json";
import * as plugin from "./plugin";
import { Result } from "./result";
import { MAX_FRAME, out } from "./writer";

// The buffers that the host writes frames to. The first one is a piece of static
// memory; larger ones are pages of their own, which the collector does not know.
const FIRST: u32 = 65536;
const first = memory.data(65536, 16);
let region: usize = 0;
let regionSize: u32 = 0;

/** Marks the version; it is never called. */
export function sallyport_abi_v1(): void {}

/** Gives the host a buffer for frames; 0 when there is no memory. The former one is free then. */
export function sallyport_alloc(size: u32): usize {
  if (ASC_RUNTIME == 0) ERROR("this runtime never frees memory: build with --runtime minimal or incremental");
  if (size == 0 || size > MAX_FRAME + 1024) return 0;
  if (size <= FIRST) return first;
  if (size <= regionSize) return region;
  const pages = <i32>((size + 0xffff) >>> 16);
  const had = <i32>(regionSize >>> 16);
  const end = <usize>memory.size() << 16;
  if (region != 0 && region + regionSize == end) { // nobody asked for memory since: it grows where it is
    if (memory.grow(pages - had) < 0) return 0;
  } else {
    // The former pages stay unused: at least twice as many bound what is lost.
    if (memory.grow(max(pages, 2 * had)) < 0 && memory.grow(pages) < 0) return 0;
    region = end;
  }
  regionSize = <u32>((<usize>memory.size() << 16) - region);
  return region;
}

export function sallyport_tool_call(ptr: usize, len: u32): u64 {
  if (!lies(ptr, len)) return 0;
  if (!begin(ptr, len)) return finish(broken(), true);
  const t = toolFor();
  const any = plugin.anyToolHandler;
  if (t) return finish(handled(t.run), true);
  if (any) return finish(handled(any), true);
  if (context.told("tool")) return finish(Answer.unknownTool(context.tool), true);
  return finish(Answer.internal("the host does not say which tool is called: list `tool` under `context` in the manifest"), true);
}

export function sallyport_tools_list(ptr: usize, len: u32): u64 {
  if (!lies(ptr, len)) return 0;
  if (!begin(ptr, len)) return finish(broken(), false);
  const list = plugin.listHandler;
  if (list) return finish(list(context), false);
  const all = Json.array();
  for (let i = 0; i < plugin.tools.length; i++) all.push(plugin.tools[i].json);
  return finish(Answer.json(Json.object().set("tools", all)), false);
}

export function sallyport_configure(ptr: usize, len: u32): u64 {
  return ask(ptr, len, plugin.configureHandler, "configure");
}

export function sallyport_request_transform(ptr: usize, len: u32): u64 {
  return ask(ptr, len, plugin.requestHandler, "requestTransform");
}

export function sallyport_authorize(ptr: usize, len: u32): u64 {
  return ask(ptr, len, plugin.authorizeHandler, "authorize");
}

export function sallyport_response_transform(ptr: usize, len: u32): u64 {
  if (!lies(ptr, len)) return 0;
  if (!begin(ptr, len)) return finish(broken(), false);
  const handler = plugin.responseHandler;
  if (!handler) return finish(unregistered("responseTransform"), false);
  const result = Result.lazy(context.frame.payload, context.frame.size);
  const answer = handler(context, result);
  if (result.problem.length > 0 && !answer.isError) return finish(Answer.invalidArgs(result.problem), false);
  return finish(answer, false);
}

const context = new Context();

function ask(ptr: usize, len: u32, handler: plugin.Handler | null, name: string): u64 {
  if (!lies(ptr, len)) return 0;
  if (!begin(ptr, len)) return finish(broken(), false);
  return finish(handler ? handled(handler) : unregistered(name), false);
}

function handled(run: plugin.Handler): Answer {
  const args = Args.root(context.frame.payload, context.frame.size);
  const answer = run(context, args);
  // What was noted is answered, even if the handler did not look.
  if (args.problem.length > 0 && !answer.isError) return Answer.invalidArgs(args.problem);
  return answer;
}

function broken(): Answer {
  return Answer.internal("the host sent a frame that is none of ABI v1");
}

function unregistered(name: string): Answer {
  return Answer.internal("the plugin exports a kind for which it has registered nothing: call " + name + " in its entry file");
}

function toolFor(): plugin.Tool | null {
  const tools = plugin.tools;
  const name = context.frame.find("tool");
  if (name == 0) return tools.length == 1 && !plugin.anyToolHandler ? tools[0] : null; // which other could be meant?
  for (let i = 0; i < tools.length; i++) {
    const t = tools[i];
    if (equal(name + 4, load<u32>(name), t.name)) return t;
  }
  return null;
}

// Whether a frame lies in a buffer that the host was given.
function lies(ptr: usize, len: u32): bool {
  return ptr == first && len <= FIRST || ptr != 0 && ptr == region && len <= regionSize;
}

// The collector runs between calls, where nothing managed is on the stack: after so
// many calls, so many bytes, or when the heap had to grow. It costs as much as what
// is alive, so not each time.
const CALLS = 64;
const BYTES: u32 = 128 << 10;
let calls = 0;
let bytes: u32 = 0;
let pages: i32 = 0;

function begin(ptr: usize, len: u32): bool {
  calls++;
  bytes += len + min(out.len, BYTES);
  if (ASC_RUNTIME != 2 && (calls >= CALLS || bytes >= BYTES || memory.size() != pages)) {
    __collect();
    calls = 0;
    bytes = 0;
    pages = memory.size();
  }
  out.reset();
  return context.frame.open(ptr, len);
}

function finish(answer: Answer, inTool: bool): u64 {
  out.reset();
  answer.frame(inTool);
  context.frame.close();
  if (out.len > MAX_FRAME) {
    out.reset();
    new Answer(Status.Internal, "the answer is past 64 MiB").frame(inTool);
  }
  return <u64>out.ptr << 32 | out.len;
}
