package roster

import (
	"context"
	"encoding/json"
	"slices"
	"sync"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/pins"
	"github.com/sallyport/sallyport/core/upstream"
	"github.com/sallyport/sallyport/core/wire"
)

// pinned holds what upstreams offer to what was approved of them.
type pinned struct {
	r *Roster

	mu     sync.Mutex
	memory []core.Pin // where there is no store, and what a store that is away was not told
}

// firstUse is who approved what an upstream offered when it was first met.
const firstUse = "first use"

// stateApproved is the state of a core.Pin.
const stateApproved = "approved"

// judge makes what clients get of what an upstream offers.
func (p *pinned) judge(ctx context.Context, c *core.UpstreamConfig, offered *upstream.Offer) *core.Offer {
	var all []pins.Definition
	for _, list := range []struct {
		of    string
		items []json.RawMessage
	}{{pins.Tool, offered.Tools}, {pins.Prompt, offered.Prompts}, {pins.Resource, offered.Resources}, {pins.Template, offered.Templates}} {
		for _, raw := range list.items {
			d, err := pins.Read(list.of, raw)
			if err != nil {
				p.r.o.Log.Warn("a definition of an upstream cannot be used", "upstream", c.Name, "kind", list.of, "error", err)
				d = pins.Definition{Of: list.of, Name: d.Name, Raw: raw} // judged as refused
			}
			all = append(all, d)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	judged := p.hear(ctx, c, all)
	out := &core.Offer{
		Revision: offered.Revision, Capabilities: offered.Capabilities, Offers: offered.Offers,
		Server: cleanObject(offered.Server), Instructions: cleanText(offered.Instructions),
	}
	for i := range judged.Outcomes {
		o := &judged.Outcomes[i]
		p.tell(c, o)
		switch {
		case o.State == pins.Gone:
		case o.Show == nil:
			out.Held = append(out.Held, core.HeldDefinition{Of: o.Of, Name: o.Name})
		case o.Of == pins.Tool:
			out.Tools = append(out.Tools, o.Show)
		case o.Of == pins.Prompt:
			out.Prompts = append(out.Prompts, o.Show)
		case o.Of == pins.Resource:
			out.Resources = append(out.Resources, o.Show)
		default:
			out.Templates = append(out.Templates, o.Show)
		}
	}
	return out
}

// hear judges, and writes what is new. A store that is away holds up nobody: what was
// decided is kept in memory, and written with the next judgement. p.mu is held.
func (p *pinned) hear(ctx context.Context, c *core.UpstreamConfig, all []pins.Definition) *pins.Judgement {
	for try := 1; ; try++ {
		known, unsaved, sure := p.known(ctx)
		judged := p.decide(c, known, sure, all)
		if sure && p.r.o.Change != nil {
			save(judged, unsaved, c.Name)
		}
		if len(judged.Put)+len(judged.Delete) == 0 {
			return judged
		}
		if p.r.o.Change == nil {
			p.memory = applied(p.memory, judged)
			return judged
		}
		err := p.r.o.Change(ctx, c.Name, judged.Write)
		switch code := core.AsError(err).Code; {
		case err == nil:
			p.memory = slices.DeleteFunc(p.memory, func(pin core.Pin) bool { return pin.Server == c.Name })
			return judged
		case (code == core.CodeChanged || code == core.CodeConflict || code == core.CodeNotFound) && try < 4 && ctx.Err() == nil:
			continue // another replica was faster
		}
		if ctx.Err() == nil {
			p.r.o.Log.Warn("what an upstream offers could not be written down; it is tried again", "upstream", c.Name, "error", err)
			if sure { // else it may be a first use, which is decided when that can be known
				p.memory = applied(p.memory, judged)
			}
		}
		return judged
	}
}

// save adds what the store was not told yet to what is written.
func save(judged *pins.Judgement, unsaved []core.Pin, server string) {
	judged.Delete = slices.DeleteFunc(judged.Delete, func(pin core.Pin) bool { // it was never there
		return slices.ContainsFunc(unsaved, func(one core.Pin) bool { return one.Key() == pin.Key() })
	})
	settled := map[core.Key]bool{}
	for _, list := range [][]core.Pin{judged.Put, judged.Delete} {
		for i := range list {
			settled[list[i].Key()] = true
		}
	}
	for i := range unsaved {
		if one := unsaved[i]; one.Server == server && !settled[one.Key()] {
			one.Stamp = core.Stamp{}
			judged.Put = append(judged.Put, one)
		}
	}
}

// known returns the pins: those of the store, and what it was not told yet; and whether
// these are all of them.
func (p *pinned) known(ctx context.Context) (all, unsaved []core.Pin, sure bool) {
	if p.r.o.Pins == nil {
		return p.memory, nil, true
	}
	stored, err := p.r.o.Pins(ctx)
	if err != nil {
		p.r.o.Log.Warn("what was approved of upstreams cannot be read", "error", err)
		return p.memory, nil, false
	}
	have := map[core.Key]bool{}
	for i := range stored {
		have[stored[i].Key()] = true
	}
	for i := range p.memory {
		if !have[p.memory[i].Key()] {
			unsaved = append(unsaved, p.memory[i])
		}
	}
	return slices.Concat(stored, unsaved), unsaved, true
}

// decide judges by the policy of an upstream. What one with the policy pin offers when it
// is first met is approved; sure is whether that can be known.
func (p *pinned) decide(c *core.UpstreamConfig, known []core.Pin, sure bool, all []pins.Definition) *pins.Judgement {
	tenant := p.r.o.Tenant
	switch c.Definitions {
	case core.DefinitionsOff:
		return pins.Judge(known, tenant, c.Name, all, pins.Off)
	case core.DefinitionsAlert:
		return pins.Judge(known, tenant, c.Name, all, pins.Alert)
	case core.DefinitionsQuarantine:
		return pins.Judge(known, tenant, c.Name, all, pins.Quarantine)
	}
	met := slices.ContainsFunc(known, func(pin core.Pin) bool { return pin.Tenant == tenant && pin.Server == c.Name })
	judged := pins.Judge(known, tenant, c.Name, all, pins.Quarantine)
	if met || !sure {
		return judged
	}
	first := judged.Put
	for i := range first {
		first[i].State, first[i].Approved = stateApproved, firstUse
	}
	judged = pins.Judge(append(slices.Clip(known), first...), tenant, c.Name, all, pins.Quarantine)
	judged.Put = append(judged.Put, first...)
	return judged
}

// applied is a list of pins after a judgement.
func applied(list []core.Pin, judged *pins.Judgement) []core.Pin {
	gone := map[core.Key]bool{}
	for i := range judged.Delete {
		gone[judged.Delete[i].Key()] = true
	}
	for i := range judged.Put {
		gone[judged.Put[i].Key()] = true
	}
	list = slices.DeleteFunc(slices.Clone(list), func(pin core.Pin) bool { return gone[pin.Key()] })
	return append(list, judged.Put...)
}

// tell logs what somebody has to look at.
func (p *pinned) tell(c *core.UpstreamConfig, o *pins.Outcome) {
	if !o.News || o.State == pins.Unchanged {
		return
	}
	how := "held back until it is approved"
	if o.Show != nil {
		how = "shown"
	}
	args := []any{"upstream", c.Name, "kind", o.Of, "name", o.Name, "state", string(o.State), "it is", how}
	if o.Diff != nil {
		args = append(args, "diff", o.Diff.String())
	}
	if len(o.Findings) > 0 {
		args = append(args, "hidden characters", len(o.Findings))
	}
	p.r.o.Log.Warn("an upstream offers what nobody approved", args...)
}

// cleanText takes the characters out of a text that nobody sees (security.md T24).
func cleanText(text string) string {
	if text == "" {
		return ""
	}
	raw := append(wire.AppendString([]byte(`{"name":"x","description":`), text), '}')
	clean, _, err := pins.Clean(pins.Prompt, raw)
	if err != nil {
		return "" // what cannot be cleaned is not shown
	}
	var out []byte
	if err := wire.Fields(clean, func(name string, v json.RawMessage) error {
		if name == "description" {
			out = wire.AppendUnquoted(nil, v)
		}
		return nil
	}); err != nil {
		return ""
	}
	return string(out)
}

// cleanObject does so with an object that has a name, a title and a description.
func cleanObject(raw json.RawMessage) json.RawMessage {
	if object(raw) == nil {
		return nil
	}
	clean, _, err := pins.Clean(pins.Prompt, raw)
	if err != nil {
		return nil
	}
	return clean
}
