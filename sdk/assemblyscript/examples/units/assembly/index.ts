// Units of measure, twice: a tool that converts a value, and a response transformer
// that turns the metric measures in the texts of other tools into imperial ones, if the
// operator asks for it.
import { Answer, Json, configure, responseTransform, tool } from "../../../sallyport";
import { UNITS, convert, unitOf } from "./unit";
import { toImperial } from "./measure";
export { sallyport_abi_v1, sallyport_alloc, sallyport_configure, sallyport_response_transform, sallyport_tool_call } from "../../../sallyport/exports";

// The operator's choice, not a caller's: a global may hold it.
let imperial = false;

configure((ctx, config) => {
  const units = config.get("units").stringOr("metric");
  if (units != "metric" && units != "imperial") return Answer.invalidArgs("units must be metric or imperial, not " + units);
  imperial = units == "imperial";
  return Answer.ok();
});

tool("convert", (ctx, args) => {
  const value = args.get("value").number();
  const from = unitOf(args.get("from").string());
  const to = unitOf(args.get("to").string());
  if (args.problem.length > 0) return Answer.invalidArgs(args.problem);
  if (!from || !to) {
    const unknown = args.get(from ? "to" : "from");
    return Answer.invalidArgs(unknown.path + " must be one of " + UNITS.map<string>((unit) => unit.symbol).join(", ") + ", not " + unknown.string());
  }
  if (from.quantity != to.quantity) return Answer.error(from.symbol + " is a " + from.quantity + " and " + to.symbol + " a " + to.quantity);
  const converted = convert(value, from, to);
  ctx.count("conversions");
  return Answer.structured(Json.object().set("value", Json.number(converted)).set("unit", Json.string(to.symbol)));
});

responseTransform((ctx, result) => {
  if (!imperial || result.isError) return Answer.unchanged();
  let changed = false;
  for (let i = 0; i < result.length; i++) {
    const text = result.textAt(i);
    if (text === null) continue;
    const other = toImperial(text);
    if (other == text) continue;
    result.setText(i, other);
    changed = true;
  }
  return changed ? Answer.result(result) : Answer.unchanged();
});
