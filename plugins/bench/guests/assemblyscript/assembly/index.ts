// The guest of the measurements in AssemblyScript. The SDK is copied beside this file
// when it is built, as `sallyport plugin new` does.
import { Answer, Json, Result, tool } from "./sallyport";
export { sallyport_abi_v1, sallyport_alloc, sallyport_tool_call } from "./sallyport/exports";

tool("echo", (ctx, args) => Answer.raw(args.bytes));

tool("text", (ctx, args) => Answer.plain(args.bytes));

tool("json", (ctx, args) => {
  const inner = args.get("arguments");
  const headers = args.get("headers");
  const result = new Result().add(inner.get("text").string().toUpperCase());
  result.structured = Json.object()
    .set("tool", Json.string(args.get("tool").string()))
    .set("id", Json.string(args.get("id").string()))
    .set("city", Json.string(inner.get("city").string()))
    .set("n", Json.integer(inner.get("n").integer()))
    .set("flag", Json.bool(inner.get("flag").bool()))
    .set("agent", Json.string(headers.get("user-agent").string()))
    .set("request", Json.string(headers.get("x-request-id").string()));
  return Answer.result(result);
});
