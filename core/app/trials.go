package app

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/config"
	"github.com/sallyport/sallyport/core/gateway"
	"github.com/sallyport/sallyport/core/web"
)

// trials runs tools of documents that are not published.
type trials struct{ house *gatehouse }

// Try reads everything of a tenant with these documents, and runs one tool of it. What
// references stand for is remembered meanwhile, so that no step shows it.
func (r trials) Try(ctx context.Context, id string, documents []core.Document, call core.Call) (*web.Trial, []core.Problem) {
	h := r.house
	t := h.estate.get(id)
	if t == nil {
		return nil, notServed(id)
	}
	seen := &revealed{}
	o := seen.watch(h.reading(id))
	var cfg core.Config
	var problems []core.Problem
	if t.files != nil {
		cfg, problems = config.Read(t.files.paths, o)
	}
	o.Stored = true
	for i := range documents {
		one, wrong := config.ReadText(documents[i].Name+".yaml", []byte(documents[i].Text), o)
		cfg, problems = join(cfg, one), append(problems, wrong...)
	}
	if config.Refused(problems) {
		return nil, problems
	}
	seen.of(&cfg)
	tried, wrong := t.gateway.Try(ctx, gateway.Trial{Config: cfg, Call: call, Hide: seen.list})
	if tried == nil {
		return nil, config.Merge(problems, wrong)
	}
	return &web.Trial{Result: tried.Result, Err: tried.Err, Steps: tried.Steps, Took: tried.Took}, nil
}

// revealed gathers the values that references and secrets stand for.
type revealed struct {
	mu   sync.Mutex
	list []string
}

func (r *revealed) add(values ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, values...)
}

// watch returns options that remember what they look up.
func (r *revealed) watch(o config.Options) config.Options {
	if env := o.Env; env != nil {
		o.Env = func(name string) (string, bool) {
			value, set := env(name)
			r.add(value)
			return value, set
		}
	}
	if secret := o.Secret; secret != nil {
		o.Secret = func(name string) (core.Secret, error) {
			value, err := secret(name)
			r.add(value.Reveal())
			return value, err
		}
	}
	return o
}

// of adds the secrets of a Config, wherever they came from.
func (r *revealed) of(cfg *core.Config) {
	for i := range cfg.Connections {
		c := &cfg.Connections[i]
		if c.Credential != nil {
			r.add(c.Credential.Token.Reveal(), c.Credential.Password.Reveal(), c.Credential.Value.Reveal())
		}
		if c.TLS != nil {
			r.add(c.TLS.Key.Reveal())
		}
	}
	for i := range cfg.Upstreams {
		u := &cfg.Upstreams[i]
		if c := u.Credential; c != nil {
			r.add(c.Token.Reveal(), c.Password.Reveal(), c.Value.Reveal())
		}
		for _, value := range u.Secrets {
			r.add(value.Reveal())
		}
	}
	for i := range cfg.Plugins {
		for _, value := range cfg.Plugins[i].Secrets {
			r.add(value.Reveal())
		}
	}
}

// servedIn returns a handler for each server of a tenant, sorted by name. Each is released
// by whoever asked.
func (h *gatehouse) servedIn(id string) []core.Handler {
	t := h.estate.get(id)
	if t == nil {
		return nil
	}
	var list []core.Handler
	for _, one := range t.state.list() {
		if handler := t.gateway.Find(one.prefix); handler != nil {
			list = append(list, handler)
		}
	}
	slices.SortFunc(list, func(a, b core.Handler) int { return cmp.Compare(a.Server().Name, b.Server().Name) })
	return list
}

// list returns the servers that were published last.
func (s *state) list() []served {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.servers)
}
