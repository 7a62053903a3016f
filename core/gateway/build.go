package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

// Durations of a call.
const (
	defaultTimeout = 30 * time.Second
	longestTimeout = 5 * time.Minute
)

// Build makes a Catalog of a Config, or says every mistake in it. The Catalog is
// nil when one of the problems is more than a warning. What kinds opened for a
// Catalog that did not come to be is closed again.
//
// No Config makes it panic: a kind or a source that does is reported as a problem
// (security.md R2).
func Build(ctx context.Context, config core.Config, o Options) (catalog *Catalog, problems []core.Problem) {
	b := &build{ctx: ctx, options: o.filled()}
	b.catalog = &Catalog{
		byPrefix: map[string]*server{}, byName: map[string]*server{}, roots: &roots{},
		log: b.options.Log, closed: make(chan struct{}),
	}
	b.catalog.uses.Store(1)
	defer func() {
		if r := recover(); r != nil {
			b.options.Log.Error("panic while building", "panic", panicText(r), "stack", string(debug.Stack()))
			b.report(core.At{}, "", "the document made the gateway stumble: "+panicText(r), "the log has the stack; please report it")
		}
		b.finish()
		catalog, problems = b.catalog, b.problems
		if b.bad() {
			catalog.Close()
			catalog = nil
		}
	}()
	b.config(&config)
	return nil, nil // the deferred function returns
}

// build is one Build under way.
type build struct {
	ctx      context.Context //nolint:containedctx // lives as long as one Build
	options  Options
	catalog  *Catalog
	problems []core.Problem // the mistakes; finish adds the warnings
	warnings []core.Problem
	fatal    int // mistakes, also those past the limit
	cautions int // warnings, also those past the limit

	invokers       kinds[core.Invoker]
	transformers   kinds[core.Transformer]
	requests       kinds[core.RequestTransformer]
	authorizers    kinds[core.CallAuthorizer]
	catalogueKinds kinds[core.Catalogue]
	connections    map[string]*core.Connection // nil value = declared, but wrong
	working        map[string]*core.Connection // those that are not; kinds only read it
	used           map[string]bool             // connections that something names

	upstreams map[string]*core.UpstreamConfig // nil value = declared, but wrong
	remotes   core.RemoteSet                  // nil = none was opened
	mountedIn map[string]bool                 // upstreams that a server has

	plugins    core.PluginSet     // nil = documents cannot have any
	pluginAt   map[string]core.At // where each stands
	pluginUsed map[string]bool    // those that something names, or that match a tool
	matched    map[string]bool    // those that match a tool
	unusable   map[unusable]error
}

// kinds are the kinds of one sort, their config schemas compiled at first use.
type kinds[T any] struct {
	sort string
	of   map[string]core.Kind[T]
}

func kindsOf[T any](sort string, list []core.Kind[T]) kinds[T] {
	k := kinds[T]{sort: sort, of: make(map[string]core.Kind[T], len(list))}
	for _, one := range list {
		k.of[one.Name] = one
	}
	return k
}

func (b *build) config(config *core.Config) {
	b.invokers = kindsOf("invoker", b.options.Kinds.Invokers)
	b.transformers = kindsOf("transformer", b.options.Kinds.Transformers)
	b.requests = kindsOf("request transformer", b.options.Kinds.Requests)
	b.authorizers = kindsOf("authorizer", b.options.Kinds.Authorizers)
	b.catalogueKinds = kindsOf("catalogue", b.options.Kinds.Catalogues)
	if n := sizeOf(config); n > b.options.Limits.Bytes {
		b.report(core.At{}, "", fmt.Sprintf("the documents have %d bytes together", n), fmt.Sprintf("at most %d", b.options.Limits.Bytes))
		return
	}
	if n := len(config.Servers); n > b.options.Limits.Servers {
		b.report(core.At{Path: "/servers"}, "", fmt.Sprintf("there are %d servers", n), fmt.Sprintf("at most %d", b.options.Limits.Servers))
		return
	}
	if n := len(config.Connections); n > b.options.Limits.Connections {
		b.report(core.At{Path: "/connections"}, "", fmt.Sprintf("there are %d connections", n), fmt.Sprintf("at most %d", b.options.Limits.Connections))
		return
	}
	if n := len(config.Plugins); n > b.options.Limits.Plugins {
		b.report(core.At{Path: "/plugins"}, "", fmt.Sprintf("there are %d plugins", n), fmt.Sprintf("at most %d", b.options.Limits.Plugins))
		return
	}
	if n := len(config.Upstreams); n > b.options.Limits.Upstreams {
		b.report(core.At{Path: "/upstreams"}, "", fmt.Sprintf("there are %d upstreams", n), fmt.Sprintf("at most %d", b.options.Limits.Upstreams))
		return
	}
	b.buildConnections(config.Connections)
	b.buildUpstreams(config.Upstreams)
	b.buildPlugins(config.Plugins)
	b.options.Schemas.warm(b.ctx, schemasOf(config, b.options.Limits.Items))
	prefixes, names := map[string]core.At{}, map[string]core.At{}
	for i := range config.Servers {
		if err := b.ctx.Err(); err != nil {
			b.report(core.At{}, "", "the build was stopped: "+err.Error(), "try again")
			return
		}
		s := config.Servers[i] // a copy: the Config is not ours
		s.At = place(s.At, fmt.Sprintf("/servers/%d", i))
		b.server(&s, prefixes, names)
	}
	b.routes(prefixes, names)
	for i := range config.Connections {
		c := &config.Connections[i]
		if c.Name != "" && !b.used[c.Name] && b.connections[c.Name] != nil {
			b.warn(place(c.At, fmt.Sprintf("/connections/%d", i)), "/name", "connection "+quoted(c.Name)+" is not used", "remove it, or name it in a tool")
		}
	}
	b.finishPlugins(config.Plugins)
	if !b.bad() {
		b.catalog.revision = revisionOf(config, b.plugins, b.remotes)
	}
}

func schemasOf(config *core.Config, limit int) (texts []json.RawMessage) {
	for i := range config.Servers {
		if len(config.Servers[i].Tools) > limit {
			continue // refused later
		}
		for j := range config.Servers[i].Tools {
			t := &config.Servers[i].Tools[j]
			for _, text := range []json.RawMessage{t.InputSchema, t.OutputSchema} {
				if len(text) > 0 {
					texts = append(texts, text)
				}
			}
		}
	}
	return texts
}

// place fills in the path of a part that does not know its own.
func place(at core.At, path string) core.At {
	if at.Path == "" {
		at.Path = path
	}
	return at
}

func (b *build) report(at core.At, rel, message, fix string) {
	b.add(at.Problem(rel, message, fix))
}

func (b *build) warn(at core.At, rel, message, fix string) {
	p := at.Problem(rel, message, fix)
	p.Warning = true
	b.add(p)
}

func (b *build) fault(at core.At, rel string, f *fault) {
	if f != nil {
		b.report(at, rel+f.path, f.message, f.fix)
	}
}

func (b *build) faults(at core.At, rel string, list []fault) {
	for i := range list {
		b.fault(at, rel, &list[i])
	}
}

// add keeps a problem, up to the limit. Warnings have a limit of their own, so that
// they never hide a mistake.
func (b *build) add(p core.Problem) {
	list, count := &b.problems, &b.fatal
	if p.Warning {
		list, count = &b.warnings, &b.cautions
	}
	*count++
	if len(*list) < b.options.Limits.Problems {
		*list = append(*list, p)
	}
}

// finish adds the warnings for which the mistakes leave room, and says how many
// problems were left out.
func (b *build) finish() {
	out := max(0, b.fatal-b.options.Limits.Problems)
	room := max(0, b.options.Limits.Problems-len(b.problems))
	kept := b.warnings[:min(room, len(b.warnings))]
	b.problems = append(b.problems, kept...)
	switch quiet := b.cautions - len(kept); {
	case out > 0:
		b.problems = append(b.problems, core.Problem{Message: fmt.Sprintf("and %d more problems", out+quiet), Fix: "mend these first"})
	case quiet > 0:
		b.problems = append(b.problems, core.Problem{Message: fmt.Sprintf("and %d more warnings", quiet), Fix: "mend these first", Warning: true})
	}
}

// bad tells whether there is a problem that is more than a warning.
func (b *build) bad() bool {
	return b.fatal > 0
}

// duration reads a Go duration between least and most; absent is 0.
func (b *build) duration(at core.At, rel, text string, least, most time.Duration) time.Duration {
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		b.report(at, rel, quoted(text)+" is not a duration", `write a number and a unit, for example 3s, 500ms or 2m`)
		return 0
	}
	if d < least || d > most {
		b.report(at, rel, text+" is out of range", fmt.Sprintf("between %s and %s", least, most))
		return 0
	}
	return d
}

// timeout is the time that a call may take.
func (b *build) timeout(at core.At, text string) time.Duration {
	if d := b.duration(at, "/timeout", text, time.Millisecond, longestTimeout); d > 0 {
		return d
	}
	return defaultTimeout
}

// ranged reports a whole number that is not between least and most.
func (b *build) ranged(at core.At, rel string, n, least, most int64) {
	if n < least || n > most {
		b.report(at, rel, fmt.Sprintf("%d is out of range", n), fmt.Sprintf("between %d and %d", least, most))
	}
}

// compact returns a JSON text without blanks, for the wire; as it is when it is no
// JSON, which is reported elsewhere.
func compact(raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 {
		return nil
	}
	if c, err := wire.Compact(raw); err == nil {
		return c
	}
	return raw
}

// made wraps an error of a kind's New into problems at its config.
func (b *build) made(at core.At, rel string, err error) (usable bool) {
	if errors.Is(err, core.ErrReported) {
		if !b.bad() { // there must not be a part without what runs it
			b.report(at, rel, "what this names cannot be used", "see the warnings")
		}
		return false
	}
	var list core.Problems
	if errors.As(err, &list) && len(list) > 0 {
		usable = true
		for _, p := range list {
			if p.Path != "" && !strings.HasPrefix(p.Path, "/") {
				p.Path = "/" + p.Path
			}
			if p.Warning {
				b.warn(at, rel+p.Path, p.Message, p.Fix)
			} else {
				usable = false
				b.report(at, rel+p.Path, p.Message, p.Fix)
			}
		}
		return usable
	}
	var e *core.Error
	if errors.As(err, &e) && e.Message != "" {
		b.report(at, rel, e.Message, e.Fix)
		return false
	}
	b.report(at, rel, err.Error(), "")
	return false
}
