package app

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/config"
	"github.com/sallyport/sallyport/core/gateway"
	"github.com/sallyport/sallyport/core/web"
)

// documentSet is where the gateway's documents come from.
type documentSet struct {
	read  func() (core.Config, []core.Problem)
	watch func(ctx context.Context, log *slog.Logger, changed func())
	also  func(files ...string) // further files whose change matters
}

// documents reads files and directories, and watches them.
func documents(settings config.Settings, all gateway.Kinds, lookup func(string) (string, bool)) *documentSet {
	w := &config.Watcher{Paths: settings.Config, Poll: settings.Reload.Poll}
	options := reading(all, lookup)
	return &documentSet{
		read: func() (core.Config, []core.Problem) { return w.Read(options) },
		watch: func(ctx context.Context, log *slog.Logger, changed func()) {
			w.Log = log
			w.Run(ctx, changed)
		},
		also: w.Also,
	}
}

// reading says what documents may hold.
func reading(all gateway.Kinds, lookup func(string) (string, bool)) config.Options {
	return config.Options{
		Invokers: all.Invokers, Transformers: all.Transformers, Requests: all.Requests, Authorizers: all.Authorizers, Catalogues: all.Catalogues, Env: lookup,
	}
}

// load reads, builds and publishes. When something is wrong, nothing changes. One load
// runs at a time.
func (h *gatehouse) load(ctx context.Context, docs *documentSet) (problems []core.Problem, refused bool) {
	h.loading.Lock()
	defer h.loading.Unlock()
	began := time.Now()
	cfg, problems := docs.read()
	catalog, more := h.gateway.Build(ctx, cfg)
	problems, refused = judge(config.Merge(problems, more), catalog)
	switch {
	case catalog == nil:
	case refused:
		catalog.Close()
	default:
		files := catalog.Files()
		names := make([]string, len(files))
		for i, file := range files {
			names[i] = file.Path
		}
		h.resources = names
		h.gateway.Publish(catalog)
		h.plugins.Remember()
		h.tellOfFiles(files)
		h.state.serve(cfg)
	}
	// Also those of a refused plugin: mending its file is a reason to look again.
	docs.also(slices.Concat(h.resources, h.gateway.PluginFiles())...)
	h.state.set(h.gateway.Revision(), problems, refused)
	mistakes, warnings := tally(problems)
	h.telemetry.Reloaded(core.ReloadEvent{
		OK: !refused, Mistakes: mistakes, Warnings: warnings, Revision: h.gateway.Revision(), Duration: time.Since(began),
	})
	return problems, refused
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

// tellOfFiles tells the clients of each resource whose file has other content than
// at the load before.
func (h *gatehouse) tellOfFiles(files []gateway.WatchedFile) {
	sums := make(map[gateway.WatchedFile][sha256.Size]byte, len(files))
	for _, file := range files {
		content, err := os.ReadFile(file.Path)
		if err != nil {
			continue // reading the resource says so
		}
		sums[file] = sha256.Sum256(content)
		if before, known := h.fileSums[file]; known && before != sums[file] {
			h.gateway.Changed(file.Server, core.Change{Kind: core.ResourceUpdated, URI: file.URI})
		}
	}
	h.fileSums = sums
}

// reloads applies changes as they are told, until ctx ends.
func (h *gatehouse) reloads(ctx context.Context, docs *documentSet) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.changed:
			h.reload(ctx, docs)
		}
	}
}

// reload applies changed documents; what is wrong goes to the log.
func (h *gatehouse) reload(ctx context.Context, docs *documentSet) (problems []core.Problem, refused bool) {
	problems, refused = h.load(ctx, docs)
	h.logProblems(ctx, problems)
	mistakes, warnings := tally(problems)
	if refused {
		h.log.Error("reload refused; the documents before it are still served", "mistakes", mistakes, "warnings", warnings, "revision", h.gateway.Revision())
		return problems, refused
	}
	h.log.Info("reloaded", "warnings", warnings, "revision", h.gateway.Revision())
	return problems, refused
}

func (h *gatehouse) logProblems(ctx context.Context, problems []core.Problem) {
	for _, p := range problems {
		level := slog.LevelError
		if p.Warning {
			level = slog.LevelWarn
		}
		h.log.Log(ctx, level, "document problem", "file", p.File, "line", p.Line, "column", p.Column, "path", p.Path, "problem", p.Message, "fix", p.Fix)
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

func (s *state) serve(cfg core.Config) {
	servers := make([]served, len(cfg.Servers))
	for i := range cfg.Servers {
		one := &cfg.Servers[i]
		servers[i] = served{name: one.Name, prefix: one.Name}
		if one.Prefix != nil {
			servers[i].prefix = *one.Prefix
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
