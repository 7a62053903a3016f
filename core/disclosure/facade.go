package disclosure

import (
	"encoding/json"

	"github.com/sallyport/sallyport/core"
)

// The names of the tools of the facade.
const (
	FindTools    = "find_tools"
	DescribeTool = "describe_tool"
	CallTool     = "call_tool"
)

// Facade tells whether a name is that of a tool of the facade.
func Facade(name string) bool {
	return name == FindTools || name == DescribeTool || name == CallTool
}

// Tools returns new definitions of the three tools that stand for all others, in the order
// in which they are used.
func Tools() []*core.Tool {
	return []*core.Tool{
		{
			Name: FindTools, Title: "Find tools",
			Description: "Finds the tools of this server that can do something. There are many, and only these three are listed: " +
				"find one here, see its arguments with describe_tool, and call it with call_tool.",
			InputSchema: json.RawMessage(`{"type":"object","properties":{` +
				`"query":{"type":"string","description":"What the tool should do, in a few words, such as: create an issue. Names of tools work too. Empty lists all of them by name."},` +
				`"limit":{"type":"integer","minimum":1,"maximum":10,"default":10,"description":"How many to return."},` +
				`"page":{"type":"integer","minimum":1,"maximum":1000,"default":1,"description":"Which page of them."}},` +
				`"required":["query"],"additionalProperties":false}`),
			Annotations: json.RawMessage(`{"readOnlyHint":true,"idempotentHint":true,"openWorldHint":false}`),
		},
		{
			Name: DescribeTool, Title: "Describe a tool",
			Description: "Returns the definition of one tool: what it does, and the JSON Schema of its arguments.",
			InputSchema: json.RawMessage(`{"type":"object","properties":{` +
				`"name":{"type":"string","description":"The name as find_tools gave it."}},` +
				`"required":["name"],"additionalProperties":false}`),
			Annotations: json.RawMessage(`{"readOnlyHint":true,"idempotentHint":true,"openWorldHint":false}`),
		},
		{
			Name: CallTool, Title: "Call a tool",
			Description: "Calls one tool, and returns its result. describe_tool tells what arguments it takes.",
			InputSchema: json.RawMessage(`{"type":"object","properties":{` +
				`"name":{"type":"string","description":"The name as find_tools gave it."},` +
				`"arguments":{"type":"object","description":"Its arguments, by the inputSchema of describe_tool."}},` +
				`"required":["name"],"additionalProperties":false}`),
			// What it does is what the other tool does: the most that one may do.
			Annotations: json.RawMessage(`{"readOnlyHint":false,"destructiveHint":true,"idempotentHint":false,"openWorldHint":true}`),
		},
	}
}
