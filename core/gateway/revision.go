package gateway

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"github.com/sallyport/sallyport/core"
)

// sizeOf adds up the text and JSON of a Config, roughly and without copying it.
func sizeOf(config *core.Config) int {
	n := 0
	add := func(parts ...string) {
		for _, p := range parts {
			n += len(p)
		}
	}
	raw := func(parts ...json.RawMessage) {
		for _, p := range parts {
			n += len(p)
		}
	}
	for i := range config.Connections {
		c := &config.Connections[i]
		add(c.Name, c.BaseURL)
		for name, value := range c.Headers {
			add(name, value)
		}
		if c.TLS != nil {
			add(c.TLS.CA, c.TLS.Certificate)
		}
	}
	for i := range config.Upstreams {
		u := &config.Upstreams[i]
		add(u.Name, u.URL, u.Connection, u.Path, u.Directory)
		add(u.Command...)
		for name, value := range u.Headers {
			add(name, value)
		}
		for name, value := range u.Env {
			add(name, value)
		}
		for name, value := range u.Secrets {
			add(name, string(value))
		}
	}
	kinds := func(list []core.KindConfig) {
		for i := range list {
			raw(list[i].Config)
		}
	}
	for i := range config.Plugins {
		p := &config.Plugins[i]
		add(p.Name, p.Source, p.Manifest, p.Digest)
		raw(p.Config)
		for name, value := range p.Secrets {
			add(name, string(value))
		}
		if p.Grants != nil {
			add(p.Grants.Secrets...)
			add(p.Grants.CallTool...)
			for j := range p.Grants.HTTP {
				add(p.Grants.HTTP[j].Host)
				add(p.Grants.HTTP[j].Methods...)
			}
		}
		if p.Match != nil {
			add(p.Match.Servers...)
			add(p.Match.Tools...)
		}
	}
	resources := func(list []core.ResourceConfig) {
		for i := range list {
			r := &list[i]
			add(r.URI, r.URITemplate, r.Name, r.Title, r.Description, r.Base64, r.File)
			raw(r.Annotations, r.Icons, r.Meta)
			if r.Text != nil {
				add(*r.Text)
			}
			if r.Invoker != nil {
				raw(r.Invoker.Config)
			}
			for _, values := range r.Completions {
				add(values...)
			}
		}
	}
	for i := range config.Servers {
		s := &config.Servers[i]
		add(s.Name, s.Title, s.Description, s.Instructions)
		raw(s.Icons)
		for j := range s.Tools {
			t := &s.Tools[j]
			add(t.Name, t.Title, t.Description)
			raw(t.InputSchema, t.OutputSchema, t.Annotations, t.Icons, t.Execution, t.Meta, t.Invoker.Config)
			kinds(t.Authorizers)
			kinds(t.Requests)
			kinds(t.Transformers)
		}
		for j := range s.Catalogues {
			add(s.Catalogues[j].Prefix)
			raw(s.Catalogues[j].Config)
		}
		for j := range s.Prompts {
			p := &s.Prompts[j]
			add(p.Name, p.Title, p.Description)
			raw(p.Icons, p.Meta)
			for k := range p.Messages {
				m := &p.Messages[k]
				add(m.Text)
				for _, binary := range []*core.BinaryConfig{m.Image, m.Audio} {
					if binary != nil {
						add(binary.Base64)
					}
				}
				if m.Resource != nil {
					add(m.Resource.URI, m.Resource.Text)
				}
			}
			if p.Invoker != nil {
				raw(p.Invoker.Config)
			}
			for k := range p.Arguments {
				add(p.Arguments[k].Values...)
			}
		}
		for j := range s.Upstreams {
			m := &s.Upstreams[j]
			for name, o := range m.Overrides {
				add(name, o.Title, o.Description)
				raw(o.Annotations)
				for name, a := range o.Arguments {
					add(name, a.Description)
					raw(a.Default, a.Fixed)
				}
			}
			for _, one := range []*core.SelectConfig{m.Tools, m.Prompts, m.Resources} {
				if one != nil {
					add(one.Allow...)
					add(one.Deny...)
				}
			}
		}
		resources(s.Resources)
		resources(s.Templates)
	}
	return n
}

// revisionOf hashes what was written, and which plugins and definitions of upstreams were loaded for it. Secrets
// marshal as ***: a hash that many can see must not help to guess one.
func revisionOf(config *core.Config, plugins core.PluginSet, remotes core.RemoteSet) string {
	text, err := json.Marshal(config)
	if err != nil {
		text = []byte(err.Error())
	}
	if plugins != nil {
		text = append(text, plugins.Revision()...)
	}
	if remotes != nil {
		text = append(text, remotes.Revision()...)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}
