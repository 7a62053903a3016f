package app

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// hint is what a newcomer needs to reach one server.
type hint struct {
	name string
	url  string
	tool string // a tool to try; "" = list the tools
	args string
}

// printHints says what to do next: a curl that works as printed, and the
// configuration of the usual clients. try names the tool call to show for a server.
func printHints(w io.Writer, origin string, servers []served, try map[string]string) {
	for _, server := range servers {
		h := hint{name: server.name, url: origin + endpointPath(server.prefix)}
		if call, found := try[server.name]; found {
			h.tool, h.args, _ = strings.Cut(call, " ")
		}
		h.print(w)
	}
}

func endpointPath(prefix string) string {
	if prefix == "" {
		return "/mcp"
	}
	return "/" + prefix + "/mcp"
}

// curl returns a command that a shell takes as it is. It speaks 2026-07-28, which
// needs no session: one request is a whole conversation.
func (h hint) curl() string {
	const meta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}`
	method, name, params := "tools/list", "", meta
	if h.tool != "" {
		method, name = "tools/call", h.tool
		params = fmt.Sprintf(`"name":%q,"arguments":%s,%s`, h.tool, h.args, meta)
	}
	lines := []string{
		"curl -s " + h.url,
		"-H 'Content-Type: application/json' -H 'Accept: application/json, text/event-stream'",
		"-H 'MCP-Protocol-Version: 2026-07-28' -H 'Mcp-Method: " + method + "'",
	}
	if name != "" {
		lines[2] += " -H 'Mcp-Name: " + name + "'"
	}
	lines = append(lines, fmt.Sprintf(`-d '{"jsonrpc":"2.0","id":1,"method":%q,"params":{%s}}'`, method, params))
	return strings.Join(lines, " \\\n    ")
}

func (h hint) print(w io.Writer) {
	name := h.name
	entry := func(value any) string {
		text, _ := json.Marshal(value) // plain maps of strings: cannot fail
		return string(text)
	}
	type object = map[string]any
	cursor := entry(object{"mcpServers": object{name: object{"url": h.url}}})
	vscode := entry(object{"servers": object{name: object{"type": "http", "url": h.url}}})
	fmt.Fprintf(w, "\nserver %s is at %s\n\n  try it:\n    %s\n\n  Claude Code:\n    claude mcp add --transport http %s %s\n"+
		"  VS Code (.vscode/mcp.json):\n    %s\n  Cursor (.cursor/mcp.json):\n    %s\n",
		name, h.url, h.curl(), name, h.url, vscode, cursor)
}
