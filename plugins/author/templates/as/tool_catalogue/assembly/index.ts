// A plugin that lists its tools when it runs: one for each conversion in a table. A real
// one asks a service which tools there are.
import { Answer, Json, anyTool, toolsList } from "./sallyport";
export { sallyport_abi_v1, sallyport_alloc, sallyport_tool_call, sallyport_tools_list } from "./sallyport/exports";

class Conversion {
  constructor(readonly name: string, readonly about: string, readonly factor: f64, readonly offset: f64) {}
}

const conversions: Conversion[] = [
  new Conversion("km_to_miles", "Converts kilometres to miles.", 0.621371, 0),
  new Conversion("kg_to_pounds", "Converts kilograms to pounds.", 2.204623, 0),
  new Conversion("celsius_to_fahrenheit", "Converts degrees Celsius to degrees Fahrenheit.", 1.8, 32),
];

toolsList((ctx) => {
  const tools = Json.array();
  for (let i = 0; i < conversions.length; i++) {
    const schema = Json.parseText(`{"type":"object","properties":{"value":{"type":"number"}},"required":["value"]}`);
    tools.push(
      Json.object()
        .set("name", Json.string(conversions[i].name))
        .set("description", Json.string(conversions[i].about))
        .set("inputSchema", schema ? schema : Json.object()),
    );
  }
  return Answer.json(Json.object().set("tools", tools));
});

anyTool((ctx, args) => {
  for (let i = 0; i < conversions.length; i++) {
    const c = conversions[i];
    if (c.name == ctx.tool) return Answer.text(oneDecimal(args.get("value").number() * c.factor + c.offset));
  }
  return Answer.unknownTool(ctx.tool);
});

// Rounds to one decimal: 62.1, -40.9.
function oneDecimal(v: f64): string {
  const tenths = <i64>Math.round(Math.abs(v) * 10);
  return (v < 0 && tenths > 0 ? "-" : "") + (tenths / 10).toString() + "." + (tenths % 10).toString();
}
