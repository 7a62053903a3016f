package plugins

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
	"github.com/sallyport/sallyport/plugins/abi"
	"github.com/sallyport/sallyport/plugins/manifest"
)

// catalogue lists the tools of a plugin: those that its guest names when it is asked, or
// those of the manifest.
type catalogue struct{ plugin *Plugin }

// Tools returns the list, asked for anew when the last one is older than the plugin's
// refresh. A list that cannot be had keeps the last good one; without one it is an error.
func (c *catalogue) Tools(ctx context.Context) ([]core.ToolConfig, error) {
	p := c.plugin
	switch {
	case p.version == nil:
		return nil, nil
	case !p.version.about.Is(manifest.ToolCatalogue):
		return p.Tools(), nil
	}
	return p.version.listed.given(ctx, p)
}

// Invoker returns what runs one of the tools.
func (c *catalogue) Invoker(tool string) (core.Invoker, error) { return c.plugin.Invoker(tool) }

// listing is the last good list of a version.
type listing struct {
	mu    sync.Mutex // one asks at a time
	tools []core.ToolConfig
	sum   [sha256.Size]byte // of tools
	asked time.Time         // zero = never
	good  bool              // tools is a list
	bad   bool              // the last answer was none, and that was said

	told [sha256.Size]byte // sum of what was given to a Catalog
	used bool              // a Catalog asked
}

// given returns the list for a Catalog.
func (l *listing) given(ctx context.Context, p *Plugin) ([]core.ToolConfig, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.used = true
	if !l.good || p.host.o.Now().Sub(l.asked) >= p.refresh {
		if err := l.ask(ctx, p); err != nil && !l.good {
			return nil, fmt.Errorf("list the tools of plugin %s: %w", p.name, err)
		}
	}
	l.told = l.sum
	return slices.Clone(l.tools), nil
}

// again asks once more, and reports whether a Catalog was given another list.
func (l *listing) again(ctx context.Context, p *Plugin) (changed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.used {
		return false
	}
	_ = l.ask(ctx, p) // it says so itself
	return l.good && l.sum != l.told
}

func (l *listing) ask(ctx context.Context, p *Plugin) error {
	l.asked = p.host.o.Now()
	tools, err := p.list(ctx)
	switch {
	case err != nil && ctx.Err() != nil:
		return err // nobody waits any more: that says nothing of the plugin
	case err != nil:
		if !l.bad {
			p.version.log.Warn("plugin does not list its tools: the last list stays", "plugin", p.name, "error", err)
		}
		l.bad = true
		return err
	case l.bad:
		p.host.log.Info("plugin lists its tools again", "plugin", p.name, "tools", len(tools))
	}
	b, err := json.Marshal(tools)
	if err != nil {
		return fmt.Errorf("keep the tools of plugin %s: %w", p.name, err)
	}
	l.tools, l.sum, l.good, l.bad = tools, sha256.Sum256(b), true, false
	return nil
}

// Bounds of a list.
const (
	maxListed = 2000
	maxText   = 16 << 10 // of a description
)

// listLimits are for a list of that many tools.
var listLimits = wire.Limits{Depth: 64, Keys: 100_000, String: 1 << 20, Number: 64}

var toolName = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,128}$`)

// list asks the guest. It is nobody's call: host functions that need a caller refuse.
func (p *Plugin) list(ctx context.Context) ([]core.ToolConfig, error) {
	budget := p.version.budgets[lists]
	budget.CallID = p.host.callID()
	a, err := p.version.code.Call(ctx, abi.ToolsList, nil, nil, budget)
	if err != nil {
		said := *core.AsError(err) // becomes a problem of the documents, which many read
		said.Message = p.version.outside.Hide(said.Message)
		return nil, &said
	}
	if a.Status != abi.OK {
		return nil, p.unexpected(lists, "answered "+a.Status.String())
	}
	if err := wire.Check(a.Payload, listLimits); err != nil {
		return nil, p.unexpected(lists, "answered with what is no list: "+err.Error())
	}
	var entries []json.RawMessage
	found := false
	err = wire.Walk(a.Payload, func(name string, value json.RawMessage) error {
		if name != "tools" {
			return nil
		}
		found = wire.IsArray(value)
		return json.Unmarshal(value, &entries)
	})
	switch {
	case err != nil || !found:
		return nil, p.unexpected(lists, `answered without {"tools":[…]}`)
	case len(entries) > maxListed:
		return nil, p.unexpected(lists, fmt.Sprintf("listed %d tools, at most %d are taken", len(entries), maxListed))
	case patternsWithin(a.Payload, listLimits, maxPatterns) > maxPatterns:
		return nil, p.unexpected(lists, "listed tools whose regular expressions are too large together: repeat less in them")
	}
	tools := make([]core.ToolConfig, 0, len(entries))
	seen := make(map[string]bool, len(entries))
	for i, entry := range entries {
		t, why := listedTool(entry)
		if why == "" && seen[t.Name] {
			why = "stands twice"
		}
		if why != "" {
			p.version.log.Warn("tool of a plugin left out", "plugin", p.name, "place", i, "tool", quote(t.Name), "why", why)
			continue
		}
		seen[t.Name] = true
		visible(&t)
		tools = append(tools, t)
	}
	return tools, nil
}

// listedTool reads one entry of a list, which was checked to be strict JSON. why is not
// empty when a client could not use the tool.
func listedTool(entry json.RawMessage) (t core.ToolConfig, why string) {
	if !wire.IsObject(entry) {
		return t, "is no object"
	}
	t.InputSchema = json.RawMessage(`{"type":"object"}`)
	text := func(name string, value json.RawMessage, into *string) {
		if err := wire.Unmarshal(value, into); err != nil && why == "" {
			why = name + " is no text"
		} else if len(*into) > maxText && why == "" {
			why = name + " is too long"
		}
	}
	err := wire.Walk(entry, func(name string, value json.RawMessage) error {
		switch name {
		case "name":
			text(name, value, &t.Name)
		case "title":
			text(name, value, &t.Title)
		case "description":
			text(name, value, &t.Description)
		case "inputSchema":
			t.InputSchema = clone(value)
		case "outputSchema":
			t.OutputSchema = clone(value)
		case "annotations":
			t.Annotations = clone(value)
		}
		return nil
	})
	switch {
	case err != nil:
		why = err.Error()
	case why != "":
	case !toolName.MatchString(t.Name):
		why = "has no name of letters, digits, _, - and ., at most 128"
	case t.Annotations != nil && !wire.IsObject(t.Annotations):
		why = "annotations is no object"
	default:
		if why = badSchema("inputSchema", t.InputSchema); why == "" && t.OutputSchema != nil {
			why = badSchema("outputSchema", t.OutputSchema)
		}
	}
	return t, why
}

// badSchema says why a schema of a tool cannot be used; "" means that it can.
func badSchema(name string, raw json.RawMessage) string {
	var root struct {
		Type any `json:"type"`
	}
	if !wire.IsObject(raw) || wire.Unmarshal(raw, &root) != nil || root.Type != "object" {
		return name + " is no JSON Schema of type object"
	}
	if _, err := compileSchema(raw); err != nil {
		return name + " does not compile: " + err.Error()
	}
	return ""
}

var _ core.Catalogue = (*catalogue)(nil)
