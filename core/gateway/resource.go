package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"path"
	"strings"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

// resource is a resource or a resource template of a Catalog.
type resource struct {
	wire        *core.Resource
	template    *uriTemplate // nil = a plain resource
	body        *body        // nil when an invoker stands behind it
	pieces      []piece      // template that reads files: the path, cut at its places
	chain       chain
	timeout     time.Duration
	completions map[string]choices
	mount       *mount     // whose upstream has it; nil = it stands in the document
	own         string     // what the upstream calls it: its URI, or template
	loose       *core.Glob // template of an upstream that is of a higher level: what it may expand to
}

// ReadResource returns what a URI holds.
func (h *handler) ReadResource(ctx context.Context, call *core.Call) (*core.Result, error) {
	began := h.gateway.options.Now()
	r, variables := h.find(ctx, call.Who, call.Tool)
	if r == nil {
		return h.settle(ctx, call, "resource", "", began, nil, noResource(call.Tool))
	}
	leave, err := h.enter(ctx, call, "resource", r.wire.URI, nil)
	if err != nil {
		return h.settle(ctx, call, "resource", r.wire.URI, began, nil, err)
	}
	result, err := h.readResource(ctx, call, r, variables, began)
	leave()
	return h.settle(ctx, call, "resource", r.wire.URI, began, result, err)
}

// find returns the resource that a URI names, and the variables of its template.
// Plain resources come first, then templates in document order, then what an upstream may
// have without listing it.
func (h *handler) find(ctx context.Context, who core.Identity, uri string) (*resource, map[string]string) {
	if r := h.server.resourceOf[uri]; r != nil {
		if !h.may(ctx, who, core.ActionRead, "resource", r.wire.URI) {
			return nil, nil
		}
		return r, nil
	}
	refused := false
	for _, r := range h.server.inOrder {
		variables, ok := r.expandsTo(uri)
		if !ok {
			continue
		}
		if h.may(ctx, who, core.ActionRead, "resource", r.wire.URI) {
			return r, variables
		}
		refused = true
	}
	if refused {
		return nil, nil // and not by another name
	}
	return h.unlisted(ctx, who, uri), nil
}

// expandsTo tells whether a URI is one of a template.
func (r *resource) expandsTo(uri string) (variables map[string]string, ok bool) {
	if r.template != nil {
		variables, ok = r.template.variables(uri)
	} else {
		ok = len(uri) <= uriLimit && r.loose.Match([]byte(uri))
	}
	if ok && r.mount != nil {
		own, of := r.mount.inward(uri)
		ok = of && r.mount.mayRead(own)
	}
	return variables, ok
}

// unlisted is a URI that an upstream may have without listing it, for example because a
// tool linked to it; nil = it is of none.
func (h *handler) unlisted(ctx context.Context, who core.Identity, uri string) *resource {
	m, own := h.server.claims(uri)
	if m == nil || len(uri) > uriLimit || !m.mayRead(own) || !h.may(ctx, who, core.ActionRead, "resource", uri) {
		return nil
	}
	return &resource{wire: &core.Resource{URI: uri}, timeout: m.timeout, mount: m, own: own, chain: chain{invoker: remoteResource{m}}}
}

// claims returns the upstream that a URI can only be of, and the URI that it knows: that
// of its prefix, or the only one without a prefix.
func (s *server) claims(uri string) (of *mount, own string) {
	several := false
	for _, m := range s.mounts {
		inner, ok := m.inward(uri)
		switch {
		case !ok || !m.offer.Offers.Resources:
		case m.prefix != "":
			return m, inner
		case of == nil:
			of, own = m, inner
		default:
			several = true
		}
	}
	if several {
		return nil, "" // asking one would tell it of what is of another
	}
	return of, own
}

func (h *handler) readResource(ctx context.Context, call *core.Call, r *resource, variables map[string]string, began time.Time) (*core.Result, error) {
	uri := call.Tool
	call.Values, call.Arguments = resourceValues(r, uri, variables)
	h.prepare(call, "resource", r.wire.URI)
	if r.chain.invoker == nil {
		return h.readBody(call, r, variables)
	}
	result, err := h.invoke(ctx, call, &r.chain, r.timeout, began)
	if r.mount != nil {
		return result, err
	}
	if err != nil {
		if e := core.AsError(err); e.Code == core.CodeNotFound || e.Code == core.CodeResource {
			err = noResource(uri)
		}
		return nil, err
	}
	if len(result.InputRequests) > 0 {
		return result, nil
	}
	if result.IsError {
		return nil, failed(result)
	}
	fillContents(result, r, uri)
	if len(result.Contents) == 0 {
		return nil, noResource(uri)
	}
	return result, nil
}

// resourceValues are the arguments of a read: the URI and the variables.
func resourceValues(r *resource, uri string, variables map[string]string) (map[string]any, json.RawMessage) {
	values := make(map[string]any, len(variables)+1)
	values["uri"] = uri
	arguments := wire.AppendString([]byte(`{"uri":`), uri)
	if r.template != nil && r.mount == nil {
		for _, name := range r.template.names {
			values[name] = variables[name]
			arguments = append(arguments, ',')
			arguments = wire.AppendString(arguments, name)
			arguments = append(arguments, ':')
			arguments = wire.AppendString(arguments, variables[name])
		}
	}
	return values, append(arguments, '}')
}

// readBody answers from memory or from a file.
func (h *handler) readBody(call *core.Call, r *resource, variables map[string]string) (*core.Result, error) {
	b := r.body
	if b.root == nil {
		return contentsOf(call.Tool, r.wire.MIMEType, b.fixed, b.text, b.binary), nil
	}
	name := b.file
	if r.pieces != nil {
		var ok bool
		if name, ok = r.fileOf(variables); !ok {
			return nil, noResource(call.Tool)
		}
	}
	content, err := readUnder(b.root, name, b.limit)
	if err != nil {
		if r.pieces != nil && !errors.Is(err, errTooLarge) && !errors.Is(err, fs.ErrPermission) {
			return nil, noResource(call.Tool)
		}
		return nil, h.unreadable(call, err)
	}
	mimeType := r.wire.MIMEType
	if mimeType == "" {
		mimeType = typeOf(name, content)
	}
	if isTextType(mimeType) && isText(content) {
		return contentsOf(call.Tool, mimeType, nil, string(content), false), nil
	}
	return contentsOf(call.Tool, mimeType, content, "", true), nil
}

func contentsOf(uri, mimeType string, content []byte, text string, binary bool) *core.Result {
	c := core.ResourceContents{URI: uri, MIMEType: mimeType, Text: text, Binary: binary}
	if binary {
		c.Blob = content
	}
	return &core.Result{Contents: []core.ResourceContents{c}}
}

// fileOf puts the variables into the path of the file. A variable stands for one
// name, or for several with slashes when it was declared with +; never for a
// hidden one, and never for a way up or out.
func (r *resource) fileOf(variables map[string]string) (string, bool) {
	var b strings.Builder
	for _, one := range r.pieces {
		if one.name == "" {
			b.WriteString(one.text)
			continue
		}
		value := variables[one.name]
		if strings.ContainsAny(value, "\\:") || strings.Contains(value, "/") && !r.template.wide[one.name] {
			return "", false
		}
		b.WriteString(value)
	}
	name := b.String()
	if !fs.ValidPath(name) || name != path.Clean(name) {
		return "", false
	}
	for part := range strings.SplitSeq(name, "/") {
		if strings.HasPrefix(part, ".") {
			return "", false
		}
	}
	return name, true
}

// fillContents makes resource contents of what an invoker returned.
func fillContents(result *core.Result, r *resource, uri string) {
	if len(result.Contents) == 0 {
		for _, block := range result.Content {
			switch block.Type {
			case "text":
				result.Contents = append(result.Contents, core.ResourceContents{Text: block.Text, MIMEType: block.MIMEType, Meta: block.Meta})
			case "image", "audio":
				result.Contents = append(result.Contents, core.ResourceContents{Blob: block.Data, Binary: true, MIMEType: block.MIMEType, Meta: block.Meta})
			case "resource":
				if block.Resource != nil {
					result.Contents = append(result.Contents, *block.Resource)
				}
			}
		}
	}
	if len(result.Contents) == 0 && len(result.Structured) > 0 {
		result.Contents = []core.ResourceContents{{Text: string(result.Structured), MIMEType: "application/json"}}
	}
	for i := range result.Contents {
		c := &result.Contents[i]
		if c.URI == "" {
			c.URI = uri
		}
		if c.MIMEType == "" {
			c.MIMEType = r.wire.MIMEType
		}
	}
}

// noResource is the answer for a URI that is not there, or not for this caller.
func noResource(uri string) error {
	return &core.Error{
		Code: core.CodeResource, Message: "there is no resource " + quoted(uri), Fix: "list the resources",
		Details: append(wire.AppendString([]byte(`{"uri":`), uri), '}'),
	}
}

// unreadable is the answer for a file that was there when the Catalog was built.
func (h *handler) unreadable(call *core.Call, err error) error {
	h.gateway.options.Log.Error("read a file of the document", "server", call.Server, "kind", call.For.Kind, "name", call.For.Name, "error", err)
	switch {
	case errors.Is(err, errTooLarge):
		return &core.Error{Code: core.CodeTooLarge, Message: "the file behind it is too large", Err: err}
	case errors.Is(err, fs.ErrNotExist) && call.For.Kind == "resource":
		return noResource(call.Tool)
	}
	return &core.Error{Code: core.CodeInternal, Message: "the file behind it cannot be read", Err: err}
}
