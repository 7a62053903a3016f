// Three tools that give back what they get, each with a different amount of work: for
// trying things out and for measuring.
import { Answer, Json, tool } from "../../../sallyport";
export { sallyport_abi_v1, sallyport_alloc, sallyport_tool_call, sallyport_tools_list } from "../../../sallyport/exports";

// How most tools look: typed arguments in, text out.
tool("echo", (ctx, args) => {
  const text = args.get("text").string();
  const times = args.get("times").integerOr(1);
  if (times < 1 || times > 100) return Answer.invalidArgs("times must be from 1 to 100, not " + times.toString());
  return Answer.text(times == 1 ? text : text.repeat(<i32>times));
})
  .description("Says the text back.")
  .inputSchema(`{"type":"object","properties":{"text":{"type":"string","description":"what to say back"},"times":{"type":"integer","description":"how often; 1 if it is left out"}},"required":["text"]}`)
  .readOnly();

// It looks at nothing: the least that a call can cost.
tool("raw", (ctx, args) => Answer.plain(args.bytes))
  .description("Gives back the arguments as they came.")
  .readOnly();

// Structured content, which old clients read as text.
tool("shout", (ctx, args) => {
  const inner = args.get("arguments");
  const shouted = Json.object()
    .set("id", Json.integer(args.get("id").integerOr(0)))
    .set("text", Json.string(inner.get("text").string().toUpperCase()))
    .set("city", Json.string(inner.get("city").stringOr("")))
    .set("n", Json.number(inner.get("n").numberOr(0)));
  return Answer.structured(shouted);
})
  .description("Decodes, puts the text into capitals and encodes.")
  .readOnly();
