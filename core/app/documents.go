package app

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/config"
	"github.com/sallyport/sallyport/core/documents"
	"github.com/sallyport/sallyport/core/gateway"
	"github.com/sallyport/sallyport/core/web"
)

// documentSet is where the gateway's documents come from.
type documentSet struct {
	read  func() (core.Config, []core.Problem)
	watch func(ctx context.Context, log *slog.Logger, changed func())
	also  func(files ...string) // further files whose change matters
	paths []string              // of the files; nil where they are none that people edit
}

// watchedFiles reads files and directories, and watches them.
func watchedFiles(settings config.Settings, house *gatehouse) *documentSet {
	w := &config.Watcher{Paths: settings.Config, Poll: settings.Reload.Poll}
	options := house.reading(core.DefaultTenant)
	return &documentSet{
		read: func() (core.Config, []core.Problem) { return w.Read(options) },
		watch: func(ctx context.Context, log *slog.Logger, changed func()) {
			w.Log = log
			w.Run(ctx, changed)
		},
		also: w.Also, paths: settings.Config,
	}
}

// reading says what documents of a tenant may hold.
func (h *gatehouse) reading(tenant string) config.Options {
	o := reading(h.kinds, h.console.lookup)
	if v := h.door.vault; v != nil {
		o.Secret = func(name string) (core.Secret, error) { return v.Secret(tenant, name) }
	}
	return o
}

// reading says what documents may hold.
func reading(all gateway.Kinds, lookup func(string) (string, bool)) config.Options {
	return config.Options{
		Invokers: all.Invokers, Transformers: all.Transformers, Requests: all.Requests, Authorizers: all.Authorizers, Catalogues: all.Catalogues, Env: lookup,
	}
}

// fileDocuments lists the documents of files, as they are on disk.
func (h *gatehouse) fileDocuments() []documents.File {
	first := h.estate.first()
	if first == nil || first.files == nil {
		return nil
	}
	// Past the watcher: what it reads counts as loaded.
	texts, _ := config.Texts(first.files.paths) // loading them says what is wrong
	list := make([]documents.File, len(texts))
	for i, one := range texts {
		list[i] = documents.File(one)
	}
	return list
}

// judge says whether documents are refused: for a mistake, and also when no Catalog
// came of them. Build says why; were it ever silent, nothing must look good.
func judge(problems []core.Problem, catalog *gateway.Catalog) ([]core.Problem, bool) {
	if catalog == nil && !config.Refused(problems) {
		problems = append(problems, core.Problem{
			Message: "the documents cannot be served, and nothing says why", Fix: "mend the warnings, and please report this",
		})
	}
	return problems, config.Refused(problems)
}

// tally counts mistakes and warnings.
func tally(problems []core.Problem) (mistakes, warnings int) {
	for _, p := range problems {
		if p.Warning {
			warnings++
		} else {
			mistakes++
		}
	}
	return mistakes, warnings
}

// reloads applies changes of files and plugins as they are told, until ctx ends.
func (h *gatehouse) reloads(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.changed:
			for _, t := range h.estate.all() {
				t.reload(ctx)
			}
		}
	}
}

func logProblems(ctx context.Context, log *slog.Logger, problems []core.Problem) {
	for _, p := range problems {
		level := slog.LevelError
		if p.Warning {
			level = slog.LevelWarn
		}
		log.Log(ctx, level, "document problem", "file", p.File, "line", p.Line, "column", p.Column, "path", p.Path, "problem", p.Message, "fix", p.Fix)
	}
}

// state is what /readyz tells of the documents.
type state struct {
	mu       sync.Mutex
	revision string
	failed   bool
	problems []core.Problem
	servers  []served
}

// served is one server that clients can reach.
type served struct{ name, prefix string }

// serve notes what is served: the servers of the documents, and the upstreams that are
// servers of their own names.
func (s *state) serve(cfg core.Config, names []string) {
	servers := make([]served, len(cfg.Servers), len(names))
	named := map[string]bool{}
	for i := range cfg.Servers {
		one := &cfg.Servers[i]
		named[one.Name] = true
		servers[i] = served{name: one.Name, prefix: one.Name}
		if one.Prefix != nil {
			servers[i].prefix = *one.Prefix
		}
	}
	for _, name := range names {
		if !named[name] {
			servers = append(servers, served{name: name, prefix: name})
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.servers = servers
}

func (s *state) set(revision string, problems []core.Problem, failed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revision, s.problems, s.failed = revision, problems, failed
}

// readiness is yes as long as some documents are served: a mistake in newer ones is
// told, and takes nobody off the air.
func (s *state) readiness() web.Readiness {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := web.Readiness{Ready: s.revision != "", Revision: s.revision}
	if s.failed {
		r.ReloadError = reloadError(s.problems)
	}
	return r
}

// mostTold bounds how many mistakes /readyz tells; the log has all of them.
const mostTold = 10

// reloadError lists the first mistakes as JSON; warnings refuse nothing.
func reloadError(problems []core.Problem) json.RawMessage {
	var first []core.Problem
	for _, p := range problems {
		if !p.Warning && len(first) < mostTold {
			first = append(first, p)
		}
	}
	text, err := json.Marshal(web.Told(first))
	if err != nil { // texts and numbers always marshal
		return json.RawMessage(`[]`)
	}
	return text
}
