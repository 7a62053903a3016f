package gateway

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/sallyport/sallyport/core"
)

// tools builds the tools of a server.
func (b *build) tools(s *core.ServerConfig, built *server) []*core.Tool {
	var list []*core.Tool
	for i := range s.Tools {
		if b.ctx.Err() != nil {
			return list
		}
		c := s.Tools[i]
		c.At = place(c.At, fmt.Sprintf("%s/tools/%d", s.Path, i))
		if c.Source == nil {
			c.Source = s.Source
		}
		t := b.tool(s, &c)
		if b.name(c.At, "tool", c.Name) {
			if built.toolOf[c.Name] != nil {
				b.report(c.At, "/name", "there is another tool "+quoted(c.Name)+" in this server", "give each tool its own name")
				continue
			}
			built.toolOf[c.Name] = t
			list = append(list, t.wire)
		}
	}
	return list
}

// name checks the name of a tool or a prompt (2025-11-25, tools: tool names).
func (b *build) name(at core.At, what, name string) bool {
	switch {
	case name == "":
		b.report(at, "/name", "name is required", "give the "+what+" a name")
	case !isName(name, 128):
		b.report(at, "/name", quoted(name)+" is not the name of a "+what, "use 1 to 128 letters, digits, _, . and -")
	default:
		return true
	}
	return false
}

var anyObject = json.RawMessage(`{"type":"object"}`)

// tool builds a tool of the document. It fills in what c leaves out, where the kind of
// its invoker knows it.
func (b *build) tool(s *core.ServerConfig, c *core.ToolConfig) *tool {
	t := &tool{timeout: b.timeout(c.At, c.Timeout)}
	p := &part{at: c.At, server: s.Name, name: c.Name, timeout: t.timeout}
	invoker, found := choose(b, b.invokers, p, "/invoker", c.Invoker)
	if found {
		fill(c, knownOf(b, p, invoker))
	}
	b.describe(t, c, p)
	t.chain = b.toolChain(p, invoker, c)
	if t.scopes = b.scopes(c.At, c.Scopes); len(t.scopes) > 0 && s.Access != nil {
		// One challenge names all that the operation takes (protocol, step-up).
		t.scopes = slices.Compact(slices.Sorted(slices.Values(slices.Concat(s.Access.Scopes, t.scopes))))
	}
	return t
}

// describe makes what clients see of a tool, and what its invoker is told of it.
func (b *build) describe(t *tool, c *core.ToolConfig, p *part) {
	w := &core.Tool{
		Name: c.Name, Title: c.Title, Description: c.Description,
		InputSchema: compact(c.InputSchema), OutputSchema: compact(c.OutputSchema),
		Icons: b.icons(c.At, c.Icons), Meta: b.meta(c.At, c.Meta),
	}
	t.wire = w
	if len(w.InputSchema) == 0 {
		w.InputSchema = anyObject
	}
	t.input, w.Headers = b.inputSchema(c.At, w.InputSchema)
	if len(w.OutputSchema) > 0 {
		t.output = b.schema(c.At, "/outputSchema", w.OutputSchema)
	}
	p.declares = core.Declares{InputSchema: w.InputSchema, OutputSchema: w.OutputSchema}
	var hints map[string]any
	w.Annotations, hints = b.object(c.At, "/annotations", c.Annotations, toolAnnotations)
	p.declares.ReadOnly, _ = hints["readOnlyHint"].(bool)
	p.declares.Idempotent, _ = hints["idempotentHint"].(bool)
	if destructive, _ := hints["destructiveHint"].(bool); destructive && p.declares.ReadOnly {
		b.warn(c.At, "/annotations/destructiveHint", "a tool that only reads cannot destroy", "remove destructiveHint or readOnlyHint")
	}
	w.Execution, _ = b.object(c.At, "/execution", c.Execution, executionMembers)
}

// schema compiles a JSON Schema of the document.
func (b *build) schema(at core.At, rel string, raw json.RawMessage) *schema {
	s, faults := b.options.Schemas.compile(raw)
	b.faults(at, rel, faults)
	return s
}

// inputSchema compiles the schema of a tool's arguments: its root is an object
// (all revisions), and it may name headers (2026-07-28).
func (b *build) inputSchema(at core.At, raw json.RawMessage) (*schema, []core.HeaderParam) {
	const rel = "/inputSchema"
	s := b.schema(at, rel, raw)
	if s == nil {
		return nil, nil
	}
	if !s.object {
		b.report(at, rel+"/type", "an input schema describes an object", `write "type": "object"`)
		return nil, nil
	}
	return s, s.headers
}
