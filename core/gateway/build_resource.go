package gateway

import (
	"encoding/base64"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/core"
)

// resources builds the resources and the templates of a server.
func (b *build) resources(s *core.ServerConfig, built *server) (plain, templates []*core.Resource) {
	build := func(list []core.ResourceConfig, member string, template bool) (wires []*core.Resource) {
		for i := range list {
			if b.ctx.Err() != nil {
				return wires
			}
			c := list[i]
			c.At = place(c.At, fmt.Sprintf("%s/%s/%d", s.Path, member, i))
			if c.Source == nil {
				c.Source = s.Source
			}
			r := b.resource(s, &c, template)
			if r.wire.URI == "" || template && r.template == nil {
				continue
			}
			of, rel := built.resourceOf, "/uri"
			if template {
				of, rel = built.templateOf, "/uriTemplate"
			}
			if of[r.wire.URI] != nil {
				b.report(c.At, rel, "there is another one "+quoted(r.wire.URI)+" in this server", "give each resource its own URI")
				continue
			}
			of[r.wire.URI] = r
			if template {
				built.inOrder = append(built.inOrder, r)
			}
			wires = append(wires, r.wire)
		}
		return wires
	}
	return build(s.Resources, "resources", false), build(s.Templates, "resourceTemplates", true)
}

func (b *build) resource(s *core.ServerConfig, c *core.ResourceConfig, template bool) *resource {
	r := &resource{
		wire: &core.Resource{
			URI: c.URI, Template: template, Name: c.Name, Title: c.Title, Description: c.Description, MIMEType: c.MIMEType, Size: c.Size,
			Icons: b.icons(c.At, c.Icons), Meta: b.meta(c.At, c.Meta),
		},
		timeout: b.timeout(c.At, c.Timeout), completions: map[string]choices{},
	}
	r.wire.Annotations, _ = b.object(c.At, "/annotations", c.Annotations, resourceAnnotations)
	switch {
	case c.Name == "":
		b.report(c.At, "/name", "name is required", "give the resource a name that people can read")
	case len(c.Name) > 256 || hasControl(c.Name):
		b.report(c.At, "/name", quoted(c.Name)+" is not the name of a resource", "at most 256 bytes, without control characters")
	}
	if c.MIMEType != "" {
		b.fault(c.At, "/mimeType", checkMIME(c.MIMEType))
	}
	if template {
		b.asTemplate(c, r)
	} else {
		if c.URITemplate != "" {
			b.report(c.At, "/uriTemplate", "a resource has no uriTemplate", "move it to resourceTemplates, or give uri")
		}
		if f := checkURI(c.URI); f != nil {
			b.fault(c.At, "/uri", f)
			r.wire.URI = ""
		}
		if len(c.Completions) > 0 {
			b.report(c.At, "/completions", "a resource without places has nothing to complete", "remove it, or move the resource to resourceTemplates")
		}
	}
	if c.Size != nil && (*c.Size < 0 || template) {
		b.report(c.At, "/size", "size has no meaning here", "leave it out: it is worked out")
	}
	b.holds(s, c, r)
	if c.Timeout != "" && c.Invoker == nil {
		b.warn(c.At, "/timeout", "timeout has no effect without an invoker", "remove it")
	}
	return r
}

// asTemplate checks what only a template has.
func (b *build) asTemplate(c *core.ResourceConfig, r *resource) {
	if c.URI != "" {
		b.report(c.At, "/uri", "a resource template has no uri", "give uriTemplate, or move it to resources")
	}
	r.wire.URI = c.URITemplate
	t, f := parseURITemplate(c.URITemplate)
	if f != nil {
		b.fault(c.At, "/uriTemplate", f)
		return
	}
	r.template = t
	for _, name := range sortedKeys(c.Completions) {
		rel := "/completions/" + escape(name)
		known := false
		for _, one := range t.names {
			known = known || one == name
		}
		if !known {
			b.report(c.At, rel, "there is no place {"+clip(name)+"} in the template", suggest(name, t.names))
			continue
		}
		if b.values(c.At, rel, c.Completions[name]) {
			r.completions[name] = choicesOf(c.Completions[name])
		}
	}
}

// holds builds what a resource holds: exactly one of text, base64, file and invoker.
func (b *build) holds(s *core.ServerConfig, c *core.ResourceConfig, r *resource) {
	var given []string
	if c.Text != nil {
		given = append(given, "text")
	}
	if c.Base64 != "" {
		given = append(given, "base64")
	}
	if c.File != "" {
		given = append(given, "file")
	}
	if c.Invoker != nil {
		given = append(given, "invoker")
	}
	if len(given) == 0 {
		b.report(c.At, "", "nothing says what the resource holds", "give it text, base64, file or invoker")
		return
	}
	if len(given) > 1 {
		b.report(c.At, "", "a resource has "+strings.Join(given, " and "), "give it one of them")
		return
	}
	switch given[0] {
	case "text":
		if len(*c.Text) > b.options.Limits.FileBytes {
			b.report(c.At, "/text", "text is too large", fmt.Sprintf("at most %d bytes", b.options.Limits.FileBytes))
			return
		}
		if r.wire.MIMEType == "" {
			r.wire.MIMEType = "text/plain"
		}
		r.body = &body{text: *c.Text}
		b.size(c, r, len(*c.Text))
	case "base64":
		if r.body = b.base64(c.At, "/base64", c.Base64); r.body == nil {
			return
		}
		if r.wire.MIMEType == "" {
			r.wire.MIMEType = "application/octet-stream"
		}
		if isTextType(r.wire.MIMEType) && isText(r.body.fixed) {
			r.body.text, r.body.binary = string(r.body.fixed), false
		}
		b.size(c, r, len(r.body.fixed))
	case "file":
		if r.wire.Template {
			b.filePattern(c, r)
			return
		}
		held, content := b.file(c.At, "/file", c.File)
		if held == nil {
			return
		}
		r.body = held
		if r.wire.MIMEType == "" {
			r.wire.MIMEType = typeOf(c.File, content)
		}
		b.watch(s, c, r.wire.URI, c.File)
	case "invoker":
		p := &part{
			at: c.At, server: s.Name, name: r.wire.URI, timeout: r.timeout,
			declares: core.Declares{ReadOnly: true, Idempotent: true},
		}
		arguments := []core.PromptArgumentConfig{{Name: "uri", Required: true}}
		if r.template != nil {
			for _, name := range r.template.names {
				arguments = append(arguments, core.PromptArgumentConfig{Name: name, Required: true})
			}
		}
		p.declares.InputSchema = argumentsSchema(arguments)
		r.chain = b.chain(p, *c.Invoker)
	}
}

// size fills in the size of what is kept in memory.
func (b *build) size(c *core.ResourceConfig, r *resource, n int) {
	if r.wire.Template {
		return
	}
	size := int64(n)
	if c.Size != nil && *c.Size != size {
		b.report(c.At, "/size", fmt.Sprintf("size says %d, and there are %d bytes", *c.Size, size), "leave it out: it is worked out")
	}
	r.wire.Size = &size
}

// base64 decodes a body of a document.
func (b *build) base64(at core.At, rel, text string) *body {
	text = strings.Join(strings.Fields(text), "")
	if base64.StdEncoding.DecodedLen(len(text)) > b.options.Limits.FileBytes+2 {
		b.report(at, rel, "base64 is too large", fmt.Sprintf("at most %d bytes", b.options.Limits.FileBytes))
		return nil
	}
	content, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		b.report(at, rel, "is not base64", "use the standard alphabet with padding (RFC 4648 section 4)")
		return nil
	}
	return &body{fixed: content, binary: true}
}

// file opens the directory of the document and reads a file once, to see that it
// is there. It is read again for each request.
func (b *build) file(at core.At, rel, name string) (*body, []byte) {
	if f := checkPath(name); f != nil {
		b.fault(at, rel, f)
		return nil, nil
	}
	held := b.under(at, rel)
	if held == nil {
		return nil, nil
	}
	held.file = path.Clean(name)
	content, err := readUnder(held.root, held.file, held.limit)
	if err != nil {
		f := fileFault(name, err, held.limit)
		b.fault(at, rel, &f)
		return nil, nil
	}
	return held, content
}

// under opens the directory of the document that a part came from.
func (b *build) under(at core.At, rel string) *body {
	dir := rootOf(at)
	if dir == "" {
		b.report(at, rel, "there is no directory to read files from", "give text or base64: this document did not come from a file")
		return nil
	}
	root, err := b.catalog.roots.under(dir)
	if err != nil {
		b.report(at, rel, "the directory of the document cannot be opened: "+err.Error(), "let the user that the gateway runs as read it")
		return nil
	}
	return &body{root: root, limit: b.options.Limits.FileBytes}
}

// filePattern builds the path of a template that reads files. Its first part is
// fixed: a client must not choose among the documents themselves.
func (b *build) filePattern(c *core.ResourceConfig, r *resource) {
	const rel = "/file"
	pieces, f := cutFile(c.File)
	if f != nil {
		b.fault(c.At, rel, f)
		return
	}
	variable := false
	for _, one := range pieces {
		if one.name == "" {
			continue
		}
		variable = true
		if r.template != nil && !slices.Contains(r.template.names, one.name) {
			b.report(c.At, rel, "there is no place {"+clip(one.name)+"} in uriTemplate", suggest(one.name, r.template.names))
			return
		}
	}
	if !variable {
		held, _ := b.file(c.At, rel, c.File)
		r.body = held
		return
	}
	dir := path.Dir(pieces[0].text + "x")
	if pieces[0].name != "" || dir == "." {
		b.report(c.At, rel, quoted(c.File)+" lets a client choose any file of the directory of the document", "put the files into a directory of their own, for example files/"+clip(c.File))
		return
	}
	held := b.under(c.At, rel)
	if held == nil {
		return
	}
	if found, err := held.root.Stat(dir); err != nil || !found.IsDir() {
		b.report(c.At, rel, "there is no directory "+quoted(dir), "make it, below the directory of the document")
		return
	}
	r.body, r.pieces = held, pieces
}

// cutFile cuts a path at its {name} places.
func cutFile(text string) ([]piece, *fault) {
	var pieces []piece
	plain := ""
	for rest := text; rest != ""; {
		open := strings.IndexAny(rest, "{}")
		if open < 0 {
			plain += rest
			pieces = append(pieces, piece{text: rest})
			break
		}
		end := strings.IndexByte(rest[open:], '}')
		if rest[open] == '}' || end < 0 {
			return nil, &fault{message: "has a { or } without the other", fix: "write a place as {name}"}
		}
		name := strings.TrimPrefix(rest[open+1:open+end], "+")
		if !isVariable(name) {
			return nil, &fault{message: "has the place " + quoted(rest[open:open+end+1]) + ", which is not the name of one", fix: "write a place as {name}"}
		}
		if open > 0 {
			plain += rest[:open]
			pieces = append(pieces, piece{text: rest[:open]})
		}
		plain += "x"
		pieces = append(pieces, piece{name: name})
		rest = rest[open+end+1:]
	}
	if f := checkPath(plain); f != nil {
		f.message = strings.Replace(f.message, quoted(plain), quoted(text), 1)
		return nil, f
	}
	if path.Clean(plain) != plain {
		return nil, &fault{message: quoted(text) + " is not a clean path", fix: "leave out . and double slashes"}
	}
	return pieces, nil
}

// watch notes a file for whoever watches files.
func (b *build) watch(s *core.ServerConfig, c *core.ResourceConfig, uri, name string) {
	full, err := filepath.Abs(filepath.Join(rootOf(c.At), filepath.FromSlash(name)))
	if err != nil {
		full = filepath.Join(rootOf(c.At), filepath.FromSlash(name))
	}
	b.catalog.files = append(b.catalog.files, WatchedFile{Server: s.Name, URI: uri, Path: full})
}
