package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

// Offer is everything that an upstream has, its definitions as it sent them.
type Offer struct {
	Revision     string
	Server       json.RawMessage // serverInfo; nil = not said
	Capabilities json.RawMessage // an object
	Instructions string
	Offers       core.Offers // the same as Capabilities, as far as we know them

	Tools, Prompts, Resources, Templates []json.RawMessage
	Dropped                              []Dropped

	TTLMillis  int64  // the shortest that it allows to keep any of it; -1 = it does not say
	CacheScope string // public when all of it is; "" = it does not say
}

// Dropped is a definition that must not be used.
type Dropped struct {
	Name   string // "" = it has none
	Reason string
}

// Offer asks the upstream for everything that it has, all pages of it.
func (c *Client) Offer(ctx context.Context) (*Offer, error) {
	var out *Offer
	err := c.tries(ctx, func(p *peer) (bool, error) {
		var err error
		out, err = p.offer(ctx)
		return errors.Is(err, errSession) || errors.Is(err, errContradiction), err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (p *peer) offer(ctx context.Context) (*Offer, error) {
	o := &Offer{
		Revision: p.rev.Name, Server: p.about.server, Capabilities: p.about.capabilities, Instructions: p.about.instructions,
		TTLMillis: p.about.ttl, CacheScope: p.about.scope, Offers: p.known(),
	}
	if !wire.IsObject(o.Capabilities) {
		o.Capabilities = json.RawMessage("{}")
	}
	var err error
	if o.Offers.Tools {
		if o.Tools, err = p.list(ctx, "tools/list", "tools", o); err != nil {
			return nil, err
		}
		p.readTools(o)
	}
	if o.Offers.Prompts {
		if o.Prompts, err = p.list(ctx, "prompts/list", "prompts", o); err != nil {
			return nil, err
		}
	}
	if o.Offers.Resources {
		if o.Resources, err = p.list(ctx, "resources/list", "resources", o); err != nil {
			return nil, err
		}
		if o.Templates, err = p.list(ctx, "resources/templates/list", "resourceTemplates", o); err != nil {
			return nil, err
		}
	}
	return o, nil
}

func (p *peer) known() core.Offers {
	return core.Offers{
		Tools: p.offers("tools"), Prompts: p.offers("prompts"), Resources: p.offers("resources"),
		Completions: p.offers("completions"), Logging: p.offers("logging"),
		Subscribe: string(member(member(p.about.capabilities, "resources"), "subscribe")) == "true",
	}
}

// readTools takes the headers out of the tools, and drops tools whose headers are wrong:
// over HTTP they must not be used.
func (p *peer) readTools(o *Offer) {
	mirrored := p.rev.Envelope && p.transport == HTTP
	table := map[string][]core.HeaderParam{}
	kept := o.Tools[:0]
	for _, tool := range o.Tools {
		name := stringOf(tool, "name")
		if name == "" {
			o.Dropped = append(o.Dropped, Dropped{Reason: "it has no name"})
			continue
		}
		if mirrored {
			declared, err := headersOf(member(tool, "inputSchema"))
			if err != nil {
				o.Dropped = append(o.Dropped, Dropped{Name: name, Reason: err.Error()})
				continue
			}
			if len(declared) > 0 {
				table[name] = declared
			}
		}
		kept = append(kept, tool)
	}
	o.Tools = kept
	p.headers.Store(&table)
}

// headersFor returns the headers of a tool, listing the tools first where that has not
// been done.
func (p *peer) headersFor(ctx context.Context, tool string) ([]core.HeaderParam, error) {
	table := p.headers.Load()
	if table == nil {
		if err := p.c.relist(ctx, p); err != nil {
			return nil, err
		}
		table = p.headers.Load()
	}
	return (*table)[tool], nil
}

// relist lists the tools for their headers. Where that fails the table stays what it was.
func (c *Client) relist(ctx context.Context, p *peer) error {
	p.listing.Lock()
	defer p.listing.Unlock()
	o := &Offer{}
	var err error
	if p.offers("tools") {
		if o.Tools, err = p.list(ctx, "tools/list", "tools", o); err != nil {
			return err
		}
	}
	p.readTools(o)
	return nil
}

// list fetches all pages of a list.
func (p *peer) list(ctx context.Context, method, name string, o *Offer) ([]json.RawMessage, error) {
	c := p.c
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.limits.Request)
		defer cancel()
	}
	var items []json.RawMessage
	var size int64
	var cursor json.RawMessage // nil = first page; the empty string is a cursor like any other
	seen := map[string]bool{}
	for page := 1; ; page++ {
		if page > c.limits.Pages {
			return nil, c.lying(method+" has more than "+strconv.Itoa(c.limits.Pages)+" pages", nil)
		}
		result, err := p.page(ctx, method, cursor)
		if err != nil {
			return nil, err
		}
		if result == nil {
			return nil, nil // it has no such method
		}
		if size += int64(len(result)); size > c.limits.ListBytes {
			return nil, c.tooLarge()
		}
		array := member(result, name)
		if !wire.IsArray(array) {
			return nil, c.lying(method+" was answered without "+name, nil)
		}
		if err := wire.WalkElements(array, func(v json.RawMessage) error {
			if !wire.IsObject(v) || len(items) >= c.limits.Items {
				return errNoObject
			}
			items = append(items, v)
			return nil
		}); err != nil {
			return nil, c.lying(method+" holds what is no definition, or more than "+strconv.Itoa(c.limits.Items), err)
		}
		o.hint(result)
		cursor = member(result, "nextCursor")
		if !wire.IsString(cursor) {
			return items, nil
		}
		plain, _ := text(cursor)
		if seen[plain] {
			return nil, c.lying(method+" goes round in circles: a cursor came twice", nil)
		}
		seen[plain] = true
	}
}

// page fetches one page; nil where the upstream has no such method.
func (p *peer) page(ctx context.Context, method string, cursor json.RawMessage) (json.RawMessage, error) {
	c := p.c
	k, err := p.open(ctx)
	if err != nil {
		return nil, err
	}
	r, err := k.begin(ctx, method)
	if err != nil {
		if k.isDead() {
			err = &core.Error{Code: core.CodeUnavailable, Message: core.AsError(err).Message, Err: errSession}
		}
		return nil, err
	}
	var params []byte
	if cursor != nil {
		params = append([]byte(`"cursor":`), cursor...)
	}
	a := k.run(ctx, r, k.ask(r, params))
	switch {
	case a.strange():
		if !errors.Is(a.err, errSession) {
			c.contradicted(p, "a list was refused for its form")
		}
		return nil, &core.Error{Code: core.CodeUnavailable, Message: "upstream " + c.o.Name + " does not answer " + method + " as before", Err: errContradiction}
	case a.err != nil:
		return nil, a.err
	case a.fail != nil && a.fail.code == codeNoMethod:
		return nil, nil
	case a.fail != nil:
		return nil, c.asError(&a, method)
	}
	return a.result, nil
}

// hint keeps the strictest of what results say of how long they may be kept.
func (o *Offer) hint(result json.RawMessage) {
	ttl, scope := hint(result)
	if ttl >= 0 && (o.TTLMillis < 0 || ttl < o.TTLMillis) {
		o.TTLMillis = ttl
	}
	if scope != "" && (o.CacheScope == "" || scope != "public") {
		o.CacheScope = scope
	}
}
