package gateway

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

// prompts builds the prompts of a server; its resources are built already.
func (b *build) prompts(s *core.ServerConfig, built *server) []*core.Prompt {
	var list []*core.Prompt
	for i := range s.Prompts {
		if b.ctx.Err() != nil {
			return list
		}
		c := s.Prompts[i]
		c.At = place(c.At, fmt.Sprintf("%s/prompts/%d", s.Path, i))
		if c.Source == nil {
			c.Source = s.Source
		}
		p := b.prompt(s, &c, built)
		if b.name(c.At, "prompt", c.Name) {
			if built.promptOf[c.Name] != nil {
				b.report(c.At, "/name", "there is another prompt "+quoted(c.Name)+" in this server", "give each prompt its own name")
				continue
			}
			built.promptOf[c.Name] = p
			list = append(list, p.wire)
		}
	}
	return list
}

func (b *build) prompt(s *core.ServerConfig, c *core.PromptConfig, built *server) *prompt {
	p := &prompt{
		wire: &core.Prompt{
			Name: c.Name, Title: c.Title, Description: c.Description,
			Icons: b.icons(c.At, c.Icons), Meta: b.meta(c.At, c.Meta),
		},
		completions: map[string]choices{}, timeout: b.timeout(c.At, c.Timeout),
	}
	declared := map[string]bool{}
	for i, a := range c.Arguments {
		rel := fmt.Sprintf("/arguments/%d", i)
		switch {
		case a.Name == "":
			b.report(c.At, rel+"/name", "name is required", "give the argument a name")
			continue
		case !isName(a.Name, 128):
			b.report(c.At, rel+"/name", quoted(a.Name)+" is not the name of an argument", "use 1 to 128 letters, digits, _, . and -")
		case declared[a.Name]:
			b.report(c.At, rel+"/name", "there is another argument "+quoted(a.Name), "give each argument its own name")
		}
		declared[a.Name] = true
		p.wire.Arguments = append(p.wire.Arguments, core.PromptArgument{Name: a.Name, Title: a.Title, Description: a.Description, Required: a.Required})
		if b.values(c.At, rel+"/values", a.Values) {
			p.completions[a.Name] = choicesOf(a.Values)
		}
	}
	switch {
	case c.Invoker != nil && len(c.Messages) > 0:
		b.report(c.At, "/invoker", "a prompt has messages or an invoker, not both", "remove one of them")
	case c.Invoker != nil:
		p.chain = b.chain(&part{
			at: c.At, server: s.Name, name: c.Name, timeout: p.timeout,
			declares: core.Declares{InputSchema: argumentsSchema(c.Arguments), ReadOnly: true, Idempotent: true},
		}, *c.Invoker)
	case len(c.Messages) == 0:
		b.report(c.At, "/messages", "a prompt needs messages or an invoker", `for example messages: [{role: user, text: "Summarize {{text}}"}]`)
	default:
		if c.Timeout != "" {
			b.warn(c.At, "/timeout", "timeout has no effect on a prompt without an invoker", "remove it")
		}
		used := map[string]bool{}
		for i := range c.Messages {
			b.message(c, i, p, declared, used, built)
		}
		for i, a := range c.Arguments {
			if a.Name != "" && !used[a.Name] {
				b.warn(c.At, fmt.Sprintf("/arguments/%d/name", i), "argument "+quoted(a.Name)+" is used in no message", "remove it, or write {{"+a.Name+"}} where it belongs")
			}
		}
	}
	return p
}

// values checks the values that completion offers.
func (b *build) values(at core.At, rel string, list []string) bool {
	seen := map[string]bool{}
	for i, v := range list {
		if seen[v] {
			b.report(at, fmt.Sprintf("%s/%d", rel, i), quoted(v)+" is there twice", "remove one")
		}
		seen[v] = true
	}
	return len(list) > 0
}

// message builds message i of a prompt.
func (b *build) message(c *core.PromptConfig, i int, p *prompt, declared, used map[string]bool, built *server) {
	m, rel := &c.Messages[i], fmt.Sprintf("/messages/%d", i)
	out := message{role: m.Role}
	if message, fix := isOneOf(m.Role, "user", "assistant"); message != "" {
		if m.Role == "" {
			message, fix = "role is required", "user or assistant"
		}
		b.report(c.At, rel+"/role", message, fix)
	}
	places := func(rel, text string) *placed {
		cut, f := cutPlaces(text)
		if f != nil {
			b.fault(c.At, rel, f)
			return nil
		}
		for _, name := range cut.names() {
			used[name] = true
			if !declared[name] {
				b.report(c.At, rel, "there is no argument "+quoted(name), suggestArgument(name, sortedKeys(declared)))
			}
		}
		return cut
	}
	var bodies []string
	if m.Text != "" {
		bodies = append(bodies, "text")
		out.text = places(rel+"/text", m.Text)
	}
	for _, one := range []struct {
		kind   string
		config *core.BinaryConfig
	}{{"image", m.Image}, {"audio", m.Audio}} {
		if one.config != nil {
			bodies = append(bodies, one.kind)
			out.kind = one.kind
			out.binary, out.mimeType = b.binary(c.At, rel+"/"+one.kind, one.kind, one.config)
		}
	}
	if m.Resource != nil {
		bodies = append(bodies, "resource")
		out.uri = places(rel+"/resource/uri", m.Resource.URI)
		out.mimeType = m.Resource.MIMEType
		if m.Resource.MIMEType != "" {
			b.fault(c.At, rel+"/resource/mimeType", checkMIME(m.Resource.MIMEType))
		}
		if m.Resource.Text != "" {
			out.embedded = places(rel+"/resource/text", m.Resource.Text)
			if out.mimeType == "" {
				out.mimeType = "text/plain"
			}
		}
		b.embedded(c.At, rel+"/resource", m.Resource, out.uri, built)
	}
	switch len(bodies) {
	case 1:
		p.messages = append(p.messages, out)
	case 0:
		b.report(c.At, rel, "a message needs something to say", "give it text, image, audio or resource")
	default:
		b.report(c.At, rel, "a message has "+strings.Join(bodies, " and "), "give it one of them; write another message for the other")
	}
}

func suggestArgument(name string, declared []string) string {
	if len(declared) == 0 {
		return `declare it under arguments, or write a literal {{ as \{{`
	}
	return suggest(name, declared)
}

// embedded checks that a resource without text of its own can be read. Where its
// URI has places, only the request can tell.
func (b *build) embedded(at core.At, rel string, c *core.EmbeddedConfig, uri *placed, built *server) {
	if uri == nil {
		return
	}
	if !uri.plain() {
		return
	}
	if f := checkURI(uri.render(nil)); f != nil {
		b.fault(at, rel+"/uri", f)
		return
	}
	if c.Text != "" {
		return
	}
	plain := uri.render(nil)
	if built.resourceOf[plain] != nil {
		return
	}
	for _, r := range built.inOrder {
		if _, ok := r.template.variables(plain); ok {
			return
		}
	}
	if built.upstreams {
		return // one of them may have it
	}
	fix := "give it text, or list it under resources"
	if near := nearest(plain, sortedKeys(built.resourceOf)); near != "" {
		fix = "did you mean " + quoted(near) + "?"
	}
	b.report(at, rel+"/uri", "there is no resource "+quoted(plain)+" in this server", fix)
}

// argumentsSchema describes the arguments of a prompt to the kind behind it.
func argumentsSchema(arguments []core.PromptArgumentConfig) json.RawMessage {
	schema := []byte(`{"type":"object","properties":{`)
	var required []byte
	seen := map[string]bool{}
	for _, a := range arguments {
		if seen[a.Name] {
			continue
		}
		seen[a.Name] = true
		if len(seen) > 1 {
			schema = append(schema, ',')
		}
		schema = wire.AppendString(schema, a.Name)
		schema = append(schema, `:{"type":"string"}`...)
		if a.Required {
			if required != nil {
				required = append(required, ',')
			}
			required = wire.AppendString(required, a.Name)
		}
	}
	schema = append(schema, '}')
	if required != nil {
		schema = append(append(append(schema, `,"required":[`...), required...), ']')
	}
	return append(schema, '}')
}

// binary builds an image or audio block.
func (b *build) binary(at core.At, rel, kind string, c *core.BinaryConfig) (*body, string) {
	var held *body
	mimeType := c.MIMEType
	switch {
	case c.File != "" && c.Base64 != "":
		b.report(at, rel, kind+" has file and base64", "give one of them")
		return nil, ""
	case c.File == "" && c.Base64 == "":
		b.report(at, rel, kind+" has neither file nor base64", "give one of them")
		return nil, ""
	case c.File != "":
		var content []byte
		if held, content = b.file(at, rel+"/file", c.File); held == nil {
			return nil, ""
		}
		if mimeType == "" {
			mimeType = typeOf(c.File, content)
		}
	default:
		if held = b.base64(at, rel+"/base64", c.Base64); held == nil {
			return nil, ""
		}
		if mimeType == "" {
			b.report(at, rel+"/mimeType", "base64 needs a mimeType", "for example "+map[string]string{"image": "image/png", "audio": "audio/wav"}[kind])
			return nil, ""
		}
	}
	if f := checkMIME(mimeType); f != nil {
		b.fault(at, rel+"/mimeType", f)
	} else if !strings.HasPrefix(strings.ToLower(mimeType), kind+"/") {
		b.report(at, rel+"/mimeType", strconv.Quote(clip(mimeType))+" is not a type of "+kind, "give mimeType as "+kind+"/…")
	}
	return held, mimeType
}
