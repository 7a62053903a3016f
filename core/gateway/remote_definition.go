package gateway

import (
	"encoding/json"
	"slices"
	"strconv"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

// What follows reads definitions of upstreams. A member that is not what the
// specification says goes to Extra like one that nobody knows: it passes through.

// alwaysWritten are the members that a definition has in any case, so Extra must not have
// them a second time.
var alwaysWritten = []string{"name", "uri", "uriTemplate", "inputSchema", "required"}

// fields takes known members out of a definition.
type fields struct {
	texts map[string]*string
	raws  map[string]*json.RawMessage // objects and arrays
	extra []byte
}

func (f *fields) read(raw json.RawMessage) json.RawMessage {
	f.extra = []byte{'{'}
	_ = wire.Walk(raw, func(name string, v json.RawMessage) error { // accepted
		if into := f.texts[name]; into != nil {
			if text, ok := jsonText(v); ok {
				*into = text
				return nil
			}
		} else if into := f.raws[name]; into != nil && (wire.IsObject(v) || wire.IsArray(v)) {
			*into = v
			return nil
		}
		if !slices.Contains(alwaysWritten, name) {
			f.extra = putMember(f.extra, name, v)
		}
		return nil
	})
	if len(f.extra) == 1 {
		return nil
	}
	return append(f.extra, '}')
}

// toolFrom reads a tool.
func toolFrom(raw json.RawMessage) *core.Tool {
	t := &core.Tool{}
	f := fields{
		texts: map[string]*string{"name": &t.Name, "title": &t.Title, "description": &t.Description},
		raws: map[string]*json.RawMessage{
			"inputSchema": &t.InputSchema, "outputSchema": &t.OutputSchema, "annotations": &t.Annotations,
			"icons": &t.Icons, "execution": &t.Execution, "_meta": &t.Meta,
		},
	}
	t.Extra = f.read(raw)
	if t.InputSchema == nil {
		t.InputSchema = anyObject
	}
	return t
}

// promptFrom reads a prompt.
func promptFrom(raw json.RawMessage) *core.Prompt {
	p := &core.Prompt{}
	var arguments json.RawMessage
	f := fields{
		texts: map[string]*string{"name": &p.Name, "title": &p.Title, "description": &p.Description},
		raws:  map[string]*json.RawMessage{"arguments": &arguments, "icons": &p.Icons, "_meta": &p.Meta},
	}
	p.Extra = f.read(raw)
	if !wire.IsArray(arguments) {
		return p
	}
	_ = wire.WalkElements(arguments, func(v json.RawMessage) error { // accepted
		if !wire.IsObject(v) {
			return nil
		}
		a := core.PromptArgument{Required: string(memberOf(v, "required")) == "true"}
		f := fields{texts: map[string]*string{"name": &a.Name, "title": &a.Title, "description": &a.Description}}
		a.Extra = f.read(v)
		p.Arguments = append(p.Arguments, a)
		return nil
	})
	return p
}

// resourceFrom reads a resource, or a template.
func resourceFrom(raw json.RawMessage, template bool) *core.Resource {
	r := &core.Resource{Template: template}
	uri := "uri"
	if template {
		uri = "uriTemplate"
	}
	f := fields{
		texts: map[string]*string{uri: &r.URI, "name": &r.Name, "title": &r.Title, "description": &r.Description, "mimeType": &r.MIMEType},
		raws:  map[string]*json.RawMessage{"annotations": &r.Annotations, "icons": &r.Icons, "_meta": &r.Meta},
	}
	if n, err := strconv.ParseInt(string(memberOf(raw, "size")), 10, 64); err == nil && n >= 0 && !template {
		r.Size = &n
		raw = rewritten(raw, func(name string, v json.RawMessage) json.RawMessage {
			if name == "size" {
				return nil
			}
			return v
		})
	}
	r.Extra = f.read(raw)
	return r
}

// withView writes the references of a tool to its user interface as clients see them
// (MCP Apps: _meta.ui.resourceUri, and the older _meta["ui/resourceUri"]).
func (m *mount) withView(meta json.RawMessage) json.RawMessage {
	if m.prefix == "" || meta == nil {
		return meta
	}
	return rewritten(meta, func(name string, v json.RawMessage) json.RawMessage {
		switch name {
		case "ui":
			return replaced(v, "resourceUri", m.outwardText)
		case "ui/resourceUri":
			return m.outwardText(v)
		}
		return v
	})
}

// introduce tells clients of a route what the upstream says of itself.
func introduce(w *core.Server, about json.RawMessage) {
	if !wire.IsObject(about) {
		return
	}
	set := func(into *string, name string) {
		if text, ok := jsonText(memberOf(about, name)); ok && text != "" {
			*into = text
		}
	}
	set(&w.Title, "title")
	set(&w.Version, "version")
	set(&w.Description, "description")
	set(&w.WebsiteURL, "websiteUrl")
	if icons := memberOf(about, "icons"); wire.IsArray(icons) {
		w.Icons = icons
	}
	if w.Title == "" {
		set(&w.Title, "name")
	}
}
