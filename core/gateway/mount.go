package gateway

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

// mount is what a server has of an upstream. Its names and URIs are told clients behind a
// prefix, and told the upstream without:
//
//	tool, prompt   search            gh_search
//	resource       repo://a/b        gh+repo://a/b
//	               ui://view         ui://gh/view      (hosts look at the scheme)
//	               notes/1           gh:notes/1        (it has no scheme)
//
// A prefix begins with a letter and holds neither + nor : nor the separator, so each of
// them can be taken apart again in one way only.
type mount struct {
	upstream string
	remote   core.Remote
	offer    *core.Offer
	prefix   string // "" = everything as it is
	names    string // prefix and separator
	timeout  time.Duration
	silent   bool // its instructions are left out

	resources picks
	barred    map[string]bool // URIs of resources that clients must not read
	closed    []core.Glob     // what templates that clients must not use may expand to
	open      []core.Glob     // likewise, of those that they may
}

// name is how clients call a tool or prompt.
func (m *mount) name(own string) string { return m.names + own }

const uiScheme = "ui://"

// outward is a URI, or template, of the upstream as clients see it.
func (m *mount) outward(uri string) string {
	if m.prefix == "" || uri == "" {
		return uri
	}
	if rest, ok := strings.CutPrefix(uri, uiScheme); ok {
		return uiScheme + m.prefix + "/" + rest
	}
	if hasScheme(uri) {
		return m.prefix + "+" + uri
	}
	return m.prefix + ":" + uri
}

// inward is a URI of a client as the upstream knows it; false when it is not of this one.
func (m *mount) inward(uri string) (string, bool) {
	if m.prefix == "" {
		return uri, true
	}
	if rest, ok := strings.CutPrefix(uri, uiScheme+m.prefix+"/"); ok {
		return uiScheme + rest, true
	}
	rest, ok := strings.CutPrefix(uri, m.prefix)
	switch {
	case !ok || rest == "":
		return "", false
	case rest[0] == '+' && hasScheme(rest[1:]), rest[0] == ':':
		return rest[1:], true
	}
	return "", false
}

// mayRead tells whether clients may read a URI of the upstream: what no list has may still
// be linked to.
func (m *mount) mayRead(own string) bool {
	if m.barred[own] || m.resources.denies(own) {
		return false
	}
	open := anyMatches(m.open, own)
	if !open && anyMatches(m.closed, own) {
		return false
	}
	return open || m.resources.allow == nil || anyMatches(m.resources.allow, own)
}

func anyMatches(globs []core.Glob, text string) bool {
	for i := range globs {
		if globs[i].Match([]byte(text)) {
			return true
		}
	}
	return false
}

// picks are the names that a selection has.
type picks struct{ allow, deny []core.Glob }

func picksOf(c *core.SelectConfig) (p picks) {
	if c == nil {
		return p
	}
	for _, text := range c.Allow {
		p.allow = append(p.allow, core.NewGlob(text))
	}
	for _, text := range c.Deny {
		p.deny = append(p.deny, core.NewGlob(text))
	}
	return p
}

func (p *picks) denies(name string) bool { return anyMatches(p.deny, name) }

func (p *picks) has(name string) bool {
	return !p.denies(name) && (p.allow == nil || anyMatches(p.allow, name))
}

// looseGlob matches at least what an RFC 6570 template of any level expands to.
func looseGlob(template string) core.Glob {
	var pattern strings.Builder
	for rest := template; rest != ""; {
		open := strings.IndexByte(rest, '{')
		if open < 0 {
			pattern.WriteString(rest)
			break
		}
		pattern.WriteString(rest[:open])
		pattern.WriteByte('*')
		end := strings.IndexByte(rest[open:], '}')
		if end < 0 {
			break
		}
		rest = rest[open+end+1:]
	}
	return core.NewGlob(pattern.String())
}

// remoteTool runs a tool of an upstream.
type remoteTool struct {
	*mount
	own  string
	with *arguments // nil = as the client sends them
}

// NeedsValues is false: arguments go on as they are written.
func (*remoteTool) NeedsValues() bool { return false }

// Invoke calls the tool.
func (t *remoteTool) Invoke(ctx context.Context, call *core.Call) (*core.Result, error) {
	inner := *call
	inner.Tool = t.own
	if t.with != nil {
		inner.Arguments, inner.Values, inner.Checked = t.with.of(call.Arguments), nil, true
	}
	result, err := t.remote.CallTool(ctx, &inner)
	return t.told(result), err
}

// remotePrompt stands behind a prompt of an upstream.
type remotePrompt struct {
	*mount
	own string
}

// NeedsValues is false: arguments go on as they are written.
func (*remotePrompt) NeedsValues() bool { return false }

// Invoke gets the prompt.
func (p *remotePrompt) Invoke(ctx context.Context, call *core.Call) (*core.Result, error) {
	inner := *call
	inner.Tool = p.own
	result, err := p.remote.GetPrompt(ctx, &inner)
	return p.told(result), err
}

// remoteResource stands behind whatever an upstream lets read.
type remoteResource struct{ *mount }

// NeedsValues is false: the URI is all that counts.
func (remoteResource) NeedsValues() bool { return false }

// Invoke reads the resource whose URI was asked for.
func (r remoteResource) Invoke(ctx context.Context, call *core.Call) (*core.Result, error) {
	own, ok := r.inward(call.Tool)
	if !ok {
		return nil, noResource(call.Tool)
	}
	inner := *call
	inner.Tool = own
	result, err := r.remote.ReadResource(ctx, &inner)
	if e := core.AsError(err); err != nil && (e.Code == core.CodeResource || e.Code == core.CodeNotFound) {
		return nil, noResource(call.Tool)
	}
	return r.told(result), err
}

// told is a result of the upstream as clients may have it: its URIs are theirs.
func (m *mount) told(result *core.Result) *core.Result {
	if result == nil || m.prefix == "" {
		return result
	}
	for i := range result.Content {
		m.tellBlock(&result.Content[i])
	}
	for i := range result.Messages {
		m.tellBlock(&result.Messages[i].Content)
	}
	for i := range result.Contents {
		m.tellContents(&result.Contents[i])
	}
	return result
}

func (m *mount) tellBlock(c *core.Content) {
	switch c.Type {
	case "resource_link":
		c.URI = m.outward(c.URI)
		if c.Raw != nil {
			c.Raw = replaced(c.Raw, "uri", m.outwardText)
		}
	case "resource":
		if c.Resource != nil {
			m.tellContents(c.Resource)
		}
		if c.Raw != nil {
			c.Raw = replaced(c.Raw, "resource", func(v json.RawMessage) json.RawMessage { return replaced(v, "uri", m.outwardText) })
		}
	}
}

func (m *mount) tellContents(c *core.ResourceContents) {
	c.URI = m.outward(c.URI)
	if c.Raw != nil {
		c.Raw = replaced(c.Raw, "uri", m.outwardText)
	}
}

// outwardText is outward for JSON; what is no text stays.
func (m *mount) outwardText(v json.RawMessage) json.RawMessage {
	uri, ok := jsonText(v)
	if !ok {
		return v
	}
	return wire.AppendString(nil, m.outward(uri))
}

// complete asks the upstream for values of an argument.
func (m *mount) complete(ctx context.Context, server string, who core.Identity, ask *core.CompleteRequest, own string) (*core.Completion, error) {
	inner := *ask
	inner.Ref = own
	return m.remote.Complete(ctx, &core.Call{
		Server: server, Tool: own, Who: who, Arguments: json.RawMessage("{}"), Checked: true,
		Client: core.Client{Capabilities: json.RawMessage("{}")},
		Notify: func(core.Notification) {}, Detach: func(time.Duration) bool { return false },
	}, &inner)
}
