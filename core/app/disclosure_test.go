package app

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// manyTools is a server with a thousand tools that are found instead of listed.
func manyTools() string {
	var b strings.Builder
	b.WriteString("servers:\n  - name: desk\n    disclosure: progressive\n    tools:\n")
	for i := range 998 {
		fmt.Fprintf(&b, "      - {name: report_%03d, description: Prints report number %d of the archive., invoker: {kind: echo}}\n", i, i)
	}
	b.WriteString(`      - {name: create_invoice, title: Create an invoice, description: Makes an invoice for an order of a customer., inputSchema: {type: object, properties: {order: {type: integer}}, required: [order], additionalProperties: false}, invoker: {kind: echo}}
      - {name: delete_invoice, description: Deletes an invoice., invoker: {kind: echo}}
`)
	return b.String()
}

// A client of a server with a thousand tools reads one page of three, and finds, looks at
// and calls the others with the rights that it has without that.
func TestAdminDisclosure(t *testing.T) {
	r := serve(t, manyTools())
	r.admin("POST", "/roles", map[string]any{"name": "clerk"})
	for _, policy := range []map[string]any{
		{"role": "clerk", "kind": "tool", "action": "*", "match": "desk/*"},
		{"role": "clerk", "kind": "server", "action": "list", "match": "*"},
		{"role": "clerk", "kind": "tool", "action": "*", "match": "desk/delete_*", "deny": true},
	} {
		r.admin("POST", "/policies", policy)
	}
	member, clerk := r.program("default", "all", []string{"member"}), r.program("default", "some", []string{"clerk"})
	r.admin("POST", "/roles", map[string]any{"name": "guest"})
	r.admin("POST", "/policies", map[string]any{"role": "guest", "kind": "server", "action": "list", "match": "*"})
	guest := r.program("default", "none", []string{"guest"})

	list := r.rpc("/desk/mcp", member, "tools/list", "", nil)
	var page struct {
		Result struct {
			Tools []struct{ Name string }
			Next  *string `json:"nextCursor"`
		}
	}
	if err := json.Unmarshal([]byte(list.body), &page); err != nil || len(page.Result.Tools) != 3 || page.Result.Next != nil || len(list.body) > 4096 {
		t.Fatalf("%d bytes: %.500s", len(list.body), list.body)
	}

	for _, tt := range []struct {
		name, who, tool string
		arguments       map[string]any
		holds, lacks    []string
	}{
		{"finds", member, "find_tools", map[string]any{"query": "make an invoice"}, []string{`create_invoice`}, []string{"report_001"}},
		{"finds what is denied elsewhere", member, "find_tools", map[string]any{"query": "remove invoice"}, []string{`delete_invoice`}, nil},
		{"not what it may not see", clerk, "find_tools", map[string]any{"query": "remove invoice"}, []string{`create_invoice`}, []string{"delete_invoice"}},
		{"describes", clerk, "describe_tool", map[string]any{"name": "create_invoice"}, []string{`\"required\":[\"order\"]`}, nil},
		{"not what it may not see", clerk, "describe_tool", map[string]any{"name": "delete_invoice"}, []string{`"isError":true`, `no tool`}, []string{"Deletes"}},
		{"calls", clerk, "call_tool", map[string]any{"name": "create_invoice", "arguments": map[string]any{"order": 7}}, []string{`7`}, []string{`"isError":true`}},
		{"with wrong arguments", clerk, "call_tool", map[string]any{"name": "create_invoice", "arguments": map[string]any{"order": "x"}}, []string{`"isError":true`, "/order must be an integer"}, nil},
		{"not what it may not see", clerk, "call_tool", map[string]any{"name": "delete_invoice"}, []string{`"isError":true`, "no tool"}, nil},
		{"not itself", clerk, "call_tool", map[string]any{"name": "call_tool", "arguments": map[string]any{"name": "create_invoice"}}, []string{`"isError":true`}, nil},
		{"by its own name", clerk, "create_invoice", map[string]any{"order": 8}, []string{`8`}, []string{`"isError":true`}},
		{"who sees no tool", guest, "find_tools", map[string]any{"query": "invoice"}, []string{`"code":-32602`}, []string{"create_invoice"}},
		{"nor calls any", guest, "call_tool", map[string]any{"name": "create_invoice", "arguments": map[string]any{"order": 7}}, []string{`"code":-32602`}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := r.tool("/desk/mcp", tt.who, tt.tool, tt.arguments)
			for _, want := range tt.holds {
				if !strings.Contains(got.body, want) {
					t.Errorf("%q is not in %s", want, got.body)
				}
			}
			for _, never := range tt.lacks {
				if strings.Contains(got.body, never) {
					t.Errorf("%q is in %s", never, got.body)
				}
			}
		})
	}

	if got := r.rpc("/desk/mcp", guest, "tools/list", "", nil); !strings.Contains(got.body, `"tools":[]`) {
		t.Errorf("who sees no tool is listed %s", got.body)
	}
	// The admin API shows what is behind.
	if got := r.admin("GET", "/servers/desk", nil); len(got["tools"].([]any)) != 1000 {
		t.Errorf("%d tools", len(got["tools"].([]any)))
	}
	// One record a call: of the tool that ran, or of the one that found it.
	eventually(t, "records", func() bool {
		records := fmt.Sprint(r.admin("GET", "/calls?limit=100", nil))
		return strings.Count(records, "name:create_invoice") == 3 && strings.Count(records, "name:find_tools") == 3 && strings.Count(records, "name:call_tool") == 2
	})
}
