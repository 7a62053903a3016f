package gateway

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/sallyport/sallyport/core"
)

// listingTime is how long a catalogue may take to list its tools.
const listingTime = 10 * time.Second

// catalogues adds the tools of the catalogues of a server. A wrong catalogue is a
// mistake of the document; what goes wrong when it is asked is a warning, because it
// comes and goes with what stands behind it.
func (b *build) catalogues(s *core.ServerConfig, built *server, list []*core.Tool) []*core.Tool {
	for i := range s.Catalogues {
		c := s.Catalogues[i]
		c.At = place(c.At, fmt.Sprintf("%s/catalogues/%d", s.Path, i))
		if c.Source == nil {
			c.Source = s.Source
		}
		p := &part{at: c.At, server: s.Name, timeout: b.timeout(c.At, c.Timeout)}
		catalogue, ok := makeKind(b, b.catalogueKinds, p, "", core.KindConfig{Kind: c.Kind, Config: c.Config})
		if !ok || b.ctx.Err() != nil {
			continue
		}
		tools, err := toolsOf(b, catalogue, p)
		if err != nil {
			b.warn(c.At, "", "the catalogue does not list its tools"+because(err), "none of them is there until it does")
			continue
		}
		list = b.listed(s, built, list, &listing{Catalogue: catalogue, config: &c, place: i + 1}, p, tools)
	}
	for name, t := range built.toolOf {
		if t.contested {
			delete(built.toolOf, name)
			list = slices.DeleteFunc(list, func(w *core.Tool) bool { return w == t.wire })
		}
	}
	return list
}

// listing is a catalogue of a server, and which one.
type listing struct {
	core.Catalogue
	config *core.CatalogueConfig
	place  int // from 1
}

// toolsOf asks a catalogue, within its time. A panic in it is an error.
func toolsOf(b *build, catalogue core.Catalogue, p *part) (tools []core.ToolConfig, err error) {
	ctx, stop := context.WithTimeout(b.ctx, listingTime)
	defer stop()
	defer func() {
		if r := recover(); r != nil {
			b.options.Log.Error("panic while a catalogue lists its tools", "server", p.server, "panic", panicText(r), "stack", string(debug.Stack()))
			tools, err = nil, errPanic
		}
	}()
	return catalogue.Tools(ctx)
}

// listed adds the tools that a catalogue listed. What is no good is left out.
func (b *build) listed(s *core.ServerConfig, built *server, list []*core.Tool, from *listing, p *part, tools []core.ToolConfig) []*core.Tool {
	c := from.config
	for i := range tools {
		if b.ctx.Err() != nil {
			return list
		}
		if len(list) >= b.options.Limits.Items {
			b.warn(c.At, "", fmt.Sprintf("%d tools of the catalogue are left out", len(tools)-i), fmt.Sprintf("a server has at most %d tools", b.options.Limits.Items))
			return list
		}
		known := &tools[i]
		if earlier := built.toolOf[c.Prefix+known.Name]; earlier != nil {
			whose := "of the document"
			switch earlier.listed {
			case 0:
			case from.place:
				whose = "of the same name before it"
			default:
				// Whichever was meant, the other one would get its calls as soon as it lists
				// the name too.
				whose = "of another catalogue, which is left out too"
				earlier.contested = true
			}
			b.warn(c.At, "", "tool "+quoted(c.Prefix+known.Name)+" of the catalogue is left out: there is one "+whose, "give the catalogue a prefix")
			continue
		}
		// Only what a catalogue may say.
		own := core.ToolConfig{At: c.At, Name: c.Prefix + known.Name}
		fill(&own, known)
		var t *tool
		wrong := b.trial(func() { t = b.listedTool(s.Name, &own, from.Catalogue, known.Name, p.timeout) })
		if len(wrong) > 0 {
			b.warn(c.At, "", "tool "+quoted(own.Name)+" of the catalogue is left out: "+inCatalogue(wrong[0], c.At.Path), wrong[0].Fix)
			continue
		}
		t.listed = from.place
		built.toolOf[own.Name] = t
		list = append(list, t.wire)
	}
	return list
}

// inCatalogue says where in a tool something is wrong, and what.
func inCatalogue(p core.Problem, at string) string {
	if len(p.Path) > len(at)+1 {
		return p.Path[len(at)+1:] + ": " + p.Message
	}
	return p.Message
}

// listedTool builds one tool of a catalogue.
func (b *build) listedTool(server string, c *core.ToolConfig, from core.Catalogue, name string, timeout time.Duration) *tool {
	b.name(c.At, "tool", c.Name)
	if name == "" {
		b.report(c.At, "/name", "name is required", "the catalogue gives it none")
	}
	t := &tool{timeout: timeout}
	p := &part{at: c.At, server: server, name: c.Name, timeout: timeout}
	b.describe(t, c, p)
	invoker, err := invokerOf(b, from, name, p)
	if err != nil || invoker == nil {
		b.report(c.At, "", "it cannot be run"+because(err), "")
		return t
	}
	t.chain.invoker, t.chain.runs, t.chain.after = invoker, "catalogue", needsValues(invoker)
	b.around(&t.chain, p)
	t.chain.settle()
	return t
}

// invokerOf takes the invoker of a tool from its catalogue. A panic is an error.
func invokerOf(b *build, from core.Catalogue, name string, p *part) (invoker core.Invoker, err error) {
	defer func() {
		if r := recover(); r != nil {
			b.options.Log.Error("panic while a catalogue makes an invoker", "server", p.server, "tool", p.name, "panic", panicText(r), "stack", string(debug.Stack()))
			invoker, err = nil, errPanic
		}
	}()
	return from.Invoker(name)
}

// trial runs f and returns the mistakes that it found, instead of keeping them. What
// f only warns of is dropped.
func (b *build) trial(f func()) []core.Problem {
	problems, warnings, fatal, cautions := b.problems, b.warnings, b.fatal, b.cautions
	b.problems, b.warnings, b.fatal, b.cautions = nil, nil, 0, 0
	defer func() { b.problems, b.warnings, b.fatal, b.cautions = problems, warnings, fatal, cautions }()
	f()
	return b.problems
}
