package disclosure

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

const (
	maxHits   = 10   // on a page
	maxPage   = 2048 // bytes of what find_tools returns
	maxPages  = 1000
	maxNamed  = 100 // characters of a name that is not there, where it is repeated
	maxNearby = 3
)

// Caller is who uses the facade.
type Caller = core.ToolCaller

// Tools returns new definitions of the tools of the facade.
func (*Index) Tools() []*core.Tool { return Tools() }

var _ core.Discloser = (*Index)(nil)

// Answer runs a tool of the facade with the arguments of its call. Another tool is an
// *core.Error with CodeNotFound; an error of Caller.Call is returned as it is.
func (x *Index) Answer(ctx context.Context, tool string, arguments json.RawMessage, by Caller) (*core.Result, error) {
	switch tool {
	case FindTools:
		return x.findTools(arguments, by), nil
	case DescribeTool:
		return x.describeTool(arguments, by), nil
	case CallTool:
		return x.callTool(ctx, arguments, by)
	}
	return nil, &core.Error{Code: core.CodeNotFound, Message: "no such tool"}
}

// given is what the tools of the facade take.
type given struct {
	query, name string
	limit, page int
	arguments   json.RawMessage
}

// read reads arguments. The Result is for the model: what was wrong with them; nil when
// nothing was.
func read(tool string, raw json.RawMessage) (given, *core.Result) {
	g := given{limit: maxHits, page: 1, arguments: json.RawMessage("{}")}
	wrong := ""
	err := wire.Fields(raw, func(name string, value json.RawMessage) error {
		ok := false
		switch name {
		case "query":
			g.query, ok = text(value)
		case "name":
			g.name, ok = text(value)
		case "limit":
			g.limit, ok = count(value, maxHits)
		case "page":
			g.page, ok = count(value, maxPages)
		case "arguments":
			g.arguments, ok = value, wire.IsObject(value)
		}
		if !ok && wrong == "" {
			wrong = name
		}
		return nil
	})
	switch {
	case err != nil:
		return g, mismatch("The arguments of " + tool + " are not a JSON object.")
	case wrong != "":
		return g, mismatch("The argument " + named(wrong) + " of " + tool + " does not fit its input schema.")
	case tool != FindTools && g.name == "":
		return g, mismatch("The argument name of " + tool + " is missing: the name of a tool, as find_tools gives it.")
	}
	return g, nil
}

func mismatch(text string) *core.Result {
	r := core.ErrorResult(text)
	r.Mismatch = true
	return r
}

func text(value json.RawMessage) (string, bool) {
	if !wire.IsString(value) {
		return "", false
	}
	return string(wire.AppendUnquoted(nil, value)), true
}

func count(value json.RawMessage, limit int) (int, bool) {
	n, err := strconv.ParseFloat(string(value), 64) // 3.0 is an integer in JSON Schema
	return int(n), err == nil && n == float64(int(n)) && 1 <= n && n <= float64(limit)
}

// findTools answers with lines of text: JSON would take a third more.
func (x *Index) findTools(arguments json.RawMessage, by Caller) *core.Result {
	g, bad := read(FindTools, arguments)
	if bad != nil {
		return bad
	}
	matches, visible := x.find(g.query, func(name string) bool { return by.Tool(name) != nil })
	from := min((g.page-1)*g.limit, len(matches))
	to := min(from+g.limit, len(matches))
	if from == to {
		return core.TextResult(nothing(len(matches), visible, g))
	}
	return core.TextResult(page(matches[from:to], from, len(matches), g))
}

func nothing(fit, visible int, g given) string {
	if fit > 0 {
		return fmt.Sprintf("There is no page %d: %s.", g.page, tools(fit, "fits", "fit"))
	}
	return fmt.Sprintf("No tool fits, of %d. Say it in other or fewer words; an empty query lists all by name.", visible)
}

func tools(n int, one, more string) string {
	if n == 1 {
		return "1 tool " + one
	}
	return strconv.Itoa(n) + " tools " + more
}

// page writes hits, at most maxPage bytes of them: names are whole, or calls could not name
// them; summaries share what is left. Hits that do not fit with their names alone are left
// out, but for the first.
func page(hits []Match, from, fit int, g given) string {
	const room = 300 // for the line above
	left, asked := maxPage-room, len(hits)
	for i := range hits {
		size := len(hits[i].Name) + 1
		if size > left && i > 0 {
			hits = hits[:i]
			break
		}
		left = max(0, left-size)
	}
	var b strings.Builder
	b.WriteString(tools(fit, "fits", "fit"))
	if len(hits) < fit {
		fmt.Fprintf(&b, "; here are %d to %d, best first", from+1, from+len(hits))
		if from+len(hits) < fit {
			fmt.Fprintf(&b, ", page %d has more", g.page+1)
		}
	}
	if len(hits) < asked {
		fmt.Fprintf(&b, "; their names are long, so ask with limit %d to miss none", len(hits))
	}
	b.WriteString(". describe_tool tells the arguments of one, call_tool calls it.\n")
	for i := range hits {
		b.WriteByte('\n')
		b.WriteString(hits[i].Name)
		about := about(&hits[i])
		if share := left / (len(hits) - i); len(about) > share {
			about = cut(about, share)
		}
		left -= len(about)
		b.WriteString(about)
	}
	return b.String()
}

// about is what a line says after the name.
func about(m *Match) string {
	switch {
	case m.Title == "" || exactKey(m.Title) == exactKey(m.Name):
		if m.Summary == "" {
			return ""
		}
		return ": " + m.Summary
	case m.Summary == "":
		return " (" + m.Title + ")"
	}
	return " (" + m.Title + "): " + m.Summary
}

// cut shortens a text to a number of bytes.
func cut(s string, size int) string {
	const mark = "…"
	if size < len(mark) {
		return ""
	}
	return strings.ToValidUTF8(s[:size-len(mark)], "") + mark
}

// describeTool answers with the definition as JSON.
func (x *Index) describeTool(arguments json.RawMessage, by Caller) *core.Result {
	g, bad := read(DescribeTool, arguments)
	if bad != nil {
		return bad
	}
	t := tool(g.name, by)
	if t == nil {
		return x.missing(g.name, by)
	}
	b := append(make([]byte, 0, len(t.Description)+len(t.InputSchema)+len(t.OutputSchema)+256), `{"name":`...)
	b = wire.AppendString(b, t.Name)
	if t.Title != "" {
		b = wire.AppendString(append(b, `,"title":`...), t.Title)
	}
	if t.Description != "" {
		b = wire.AppendString(append(b, `,"description":`...), t.Description)
	}
	b = append(append(b, `,"inputSchema":`...), t.InputSchema...)
	if t.OutputSchema != nil {
		b = append(append(b, `,"outputSchema":`...), t.OutputSchema...)
	}
	if t.Annotations != nil {
		b = append(append(b, `,"annotations":`...), t.Annotations...)
	}
	return core.TextResult(string(append(b, '}')))
}

func (x *Index) callTool(ctx context.Context, arguments json.RawMessage, by Caller) (*core.Result, error) {
	g, bad := read(CallTool, arguments)
	if bad != nil {
		return bad, nil
	}
	if tool(g.name, by) == nil {
		return x.missing(g.name, by), nil
	}
	result, err := by.Call(ctx, g.name, g.arguments)
	if err != nil && core.AsError(err).Code == core.CodeNotFound {
		return x.missing(g.name, by), nil // gone, or hidden, since it was looked for
	}
	return result, err
}

// tool returns a tool that the caller may see. The facade does not call itself.
func tool(name string, by Caller) *core.Tool {
	if Facade(name) {
		return nil
	}
	return by.Tool(name)
}

// missing answers for a tool that is not there, or not for this caller: nothing in it tells
// which.
func (x *Index) missing(name string, by Caller) *core.Result {
	var b strings.Builder
	b.WriteString("There is no tool " + named(name) + ".")
	near := x.Find(name, maxNearby, func(other string) bool { return other != name && by.Tool(other) != nil })
	for i := range near {
		if i == 0 {
			b.WriteString(" Near to it:")
		} else {
			b.WriteByte(',')
		}
		b.WriteString(" " + near[i].Name)
	}
	if len(near) > 0 {
		b.WriteByte('.')
	}
	b.WriteString(" find_tools finds tools by what they do.")
	return core.ErrorResult(b.String())
}

// named repeats a name that a stranger wrote.
func named(name string) string { return strconv.Quote(clip(oneLine(name), maxNamed)) }
