//! A plugin that lists its tools when it runs: one for each conversion in a table. A real
//! one asks a service which tools there are.

use sallyport::{json::Args, Context, Error, Tool};

sallyport::plugin! {
    any_tool: convert,
    tools_list: list,
}

/// Name, description, factor and offset of each tool.
const CONVERSIONS: [(&str, &str, f64, f64); 3] = [
    ("km_to_miles", "Converts kilometres to miles.", 0.621371, 0.0),
    ("kg_to_pounds", "Converts kilograms to pounds.", 2.204623, 0.0),
    ("celsius_to_fahrenheit", "Converts degrees Celsius to degrees Fahrenheit.", 1.8, 32.0),
];

fn list(_: &Context) -> Result<Vec<Tool>, Error> {
    let schema = r#"{"type":"object","properties":{"value":{"type":"number"}},"required":["value"]}"#;
    Ok(CONVERSIONS.iter().map(|c| Tool::new(c.0).description(c.1).input_schema(schema)).collect())
}

fn convert(ctx: &Context, args: Args) -> Result<String, Error> {
    let (_, _, factor, offset) =
        CONVERSIONS.iter().find(|c| c.0 == ctx.tool()).ok_or_else(|| Error::unknown_tool(ctx.tool()))?;
    Ok(format!("{:.1}", args.f64("value")? * factor + offset))
}

#[cfg(test)]
mod tests {
    use super::PLUGIN;
    use sallyport::testing::Host;

    #[test]
    fn converts() {
        let host = Host::new();
        assert_eq!(host.tool(&PLUGIN, "celsius_to_fahrenheit", r#"{"value":100}"#).text(), "212.0");
        let listed = host.tools_list(&PLUGIN).ok();
        assert_eq!(listed.json().get("tools").unwrap().as_array().unwrap().len(), 3);
    }
}
