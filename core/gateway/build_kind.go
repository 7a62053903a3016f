package gateway

import (
	"bytes"
	"encoding/json"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

// part says what a kind is built for.
type part struct {
	at       core.At
	server   string
	name     string
	declares core.Declares
	timeout  time.Duration
}

// chosen is a kind with a config that fits it.
type chosen[T any] struct {
	kind   core.Kind[T]
	rel    string // where it stands in its part
	config json.RawMessage
}

// makeKind builds what one KindConfig describes. It returns false when it cannot, and
// has said why.
func makeKind[T any](b *build, k kinds[T], p *part, rel string, c core.KindConfig) (made T, ok bool) {
	one, ok := choose(b, k, p, rel, c)
	if !ok {
		return made, false
	}
	return makeChosen(b, p, one)
}

// choose finds the kind that a KindConfig names, and checks the config by its schema.
func choose[T any](b *build, k kinds[T], p *part, rel string, c core.KindConfig) (one *chosen[T], ok bool) {
	kind, found := k.of[c.Kind]
	switch {
	case c.Kind == "":
		b.report(p.at, rel+"/kind", "kind is required", "known "+k.sort+" kinds: "+names(sortedKeys(k.of)))
		return nil, false
	case !found:
		fix := "known " + k.sort + " kinds: " + names(sortedKeys(k.of))
		if near := nearest(c.Kind, sortedKeys(k.of)); near != "" {
			fix = "did you mean " + quoted(near) + "?"
		}
		b.report(p.at, rel+"/kind", "there is no "+k.sort+" kind "+quoted(c.Kind), fix)
		return nil, false
	case kind.New == nil:
		b.report(p.at, rel+"/kind", "kind "+quoted(c.Kind)+" cannot be built", "this is a mistake of the kind, not of the document")
		return nil, false
	}
	config := c.Config
	if len(bytes.TrimSpace(config)) == 0 || wire.IsNull(config) {
		config = json.RawMessage("{}")
	}
	value, err := wire.Decode(config)
	if err != nil {
		b.report(p.at, rel+"/config", "config is not JSON: "+err.Error(), "")
		return nil, false
	}
	if len(kind.Schema) > 0 {
		s, faults := b.options.Schemas.compile(kind.Schema)
		if s == nil {
			b.report(p.at, rel+"/kind", fmt.Sprintf("the schema of kind %s does not compile: %s %s", quoted(c.Kind), faults[0].path, faults[0].message),
				"this is a mistake of the kind, not of the document")
			return nil, false
		}
		// Values are not repeated: ${env:…} places may have put a secret there.
		if faults := s.check(value, false); faults != nil {
			b.faults(p.at, rel+"/config", faults)
			return nil, false
		}
	}
	if !b.connectionsIn(p.at, rel+"/config", value) {
		return nil, false
	}
	return &chosen[T]{kind: kind, rel: rel, config: config}, true
}

// makeChosen builds what was chosen.
func makeChosen[T any](b *build, p *part, c *chosen[T]) (made T, ok bool) {
	made, err := newOf(b, c.kind, c.config, b.env(p, c.kind.Name))
	if err == nil && any(made) == nil {
		err = fmt.Errorf("kind %s made nothing", c.kind.Name)
	}
	if closes, holds := any(made).(core.Closer); holds && any(made) != nil {
		b.catalog.closers = append(b.catalog.closers, closer{name: p.server + "/" + p.name + " " + c.kind.Name, close: closes.Close})
	}
	if err != nil && !b.made(p.at, c.rel+"/config", err) {
		return made, false
	}
	return made, any(made) != nil
}

// env is what a kind may use while it builds a part.
func (b *build) env(p *part, kind string) core.Env {
	return core.Env{
		Server: p.server, Tool: p.name, Timeout: p.timeout, Connections: b.working, Dial: b.options.Dial,
		Root: rootOf(p.at), Now: b.options.Now, Declares: p.declares, Changes: b.options.Changes, Plugins: b.plugins, Accounts: b.options.Accounts,
		Log: b.options.Log.With("server", p.server, "name", p.name, "kind", kind),
	}
}

// newOf calls New. A panic in it is a mistake that is said, not the end.
func newOf[T any](b *build, kind core.Kind[T], config json.RawMessage, env core.Env) (made T, err error) {
	defer func() {
		if r := recover(); r != nil {
			b.options.Log.Error("panic while building a kind", "kind", kind.Name, "panic", panicText(r), "stack", string(debug.Stack()))
			var none T
			made, err = none, fmt.Errorf("kind %s stumbled over this config: %s", kind.Name, panicText(r))
		}
	}()
	return kind.New(b.ctx, config, env)
}

// chain builds the invoker behind a prompt or a resource.
func (b *build) chain(p *part, invoker core.KindConfig) (c chain) {
	if made, ok := makeKind(b, b.invokers, p, "/invoker", invoker); ok {
		c.invoker, c.values = made, needsValues(made)
	}
	return c
}

// toolChain builds what a call of a tool passes: its own parts, and the plugins that
// match it. invoker is nil when it was wrong, which is reported.
func (b *build) toolChain(p *part, invoker *chosen[core.Invoker], t *core.ToolConfig) (c chain) {
	for i, one := range t.Authorizers {
		if made, ok := makeKind(b, b.authorizers, p, fmt.Sprintf("/authorizers/%d", i), one); ok {
			c.authorizers = append(c.authorizers, asker{CallAuthorizer: made, name: one.Kind})
			c.values = c.values || needsValues(made)
		}
	}
	for i, one := range t.Requests {
		if made, ok := makeKind(b, b.requests, p, fmt.Sprintf("/requestTransformers/%d", i), one); ok {
			c.requests = append(c.requests, rewriter{RequestTransformer: made, name: one.Kind, values: needsValues(made)})
		}
	}
	if invoker != nil {
		if made, ok := makeChosen(b, p, invoker); ok {
			c.invoker, c.runs, c.after = made, t.Invoker.Kind, needsValues(made)
		}
	}
	for i, one := range t.Transformers {
		if made, ok := makeKind(b, b.transformers, p, fmt.Sprintf("/transformers/%d", i), one); ok {
			c.transformers, c.rewrites = append(c.transformers, made), append(c.rewrites, one.Kind)
			c.after = c.after || needsValues(made)
		}
	}
	b.around(&c, p)
	c.settle()
	return c
}

// needsValues asks an invoker or transformer whether it reads Call.Values.
func needsValues(made any) bool {
	frugal, ok := made.(core.Frugal)
	return !ok || frugal.NeedsValues()
}

// connectionsIn looks at the "connection" of a kind's config: it marks it used, and
// reports a name that is not declared. It returns false when the connection cannot
// be used; the kind would only say so once more. Deeper down, a member of that name
// may be anything: there it only counts as a use.
func (b *build) connectionsIn(at core.At, rel string, value any) bool {
	object, _ := value.(map[string]any)
	name, text := object["connection"].(string)
	b.useIn(value)
	if !text || name == "" {
		return true
	}
	connection, declared := b.connections[name]
	if !declared {
		b.report(at, rel+"/connection", "there is no connection "+quoted(name), suggestConnection(name, sortedKeys(b.connections)))
	}
	return connection != nil
}

func (b *build) useIn(value any) {
	switch v := value.(type) {
	case map[string]any:
		for key, member := range v {
			if name, text := member.(string); text {
				switch key {
				case "connection":
					b.used[name] = true
				case "plugin":
					b.pluginUsed[name] = true
				}
				continue
			}
			b.useIn(member)
		}
	case []any:
		for _, item := range v {
			b.useIn(item)
		}
	}
}

func suggestConnection(name string, known []string) string {
	if len(known) == 0 {
		return "declare it under connections"
	}
	return suggest(name, known)
}

// rootOf is the directory that the files of a part are read under; "" = none.
func rootOf(at core.At) string {
	if at.Source == nil {
		return ""
	}
	return at.Source.Root()
}

func names(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	text := ""
	for i, name := range list {
		if i > 0 {
			text += ", "
		}
		text += name
	}
	return text
}
