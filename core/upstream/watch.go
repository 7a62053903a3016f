package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

// watch is the goroutine behind changes.
type watch struct {
	s    *changes
	c    *Client
	kick chan struct{}

	begun bool // a stream was open before
	vain  int  // failures in a row
}

func (w *watch) run(ctx context.Context) {
	for {
		if w.s.idle() {
			return
		}
		p, err := w.c.peer(ctx)
		if err == nil {
			if p.rev.Envelope {
				err = w.listen(ctx, p)
			} else {
				err = w.follow(ctx, p)
			}
		}
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			continue
		}
		w.c.noted(err)
		uris, _ := w.s.wanted()
		w.s.settled(w.unsettled(uris), err)
		if !pause(ctx, backoff(w.vain)) {
			return
		}
		w.vain++
	}
}

// unsettled are those that somebody waits for.
func (w *watch) unsettled(uris map[string]*followed) map[string]*followed {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	open := map[string]*followed{}
	for uri, f := range uris {
		if !f.over {
			open[uri] = f
		}
	}
	return open
}

// opened notes that a stream is there.
func (w *watch) opened() {
	if w.begun {
		w.s.missed()
	}
	w.begun, w.vain = true, 0
}

// concludes is how long the upstream has to end a stream that it was told to end.
const concludes = 2 * time.Second

// conclude ends a stream and waits until the upstream did. Where one connection carries
// all streams, some upstreams know but one on it, and the end of the first would end the
// second with it.
func (w *watch) conclude(ctx context.Context, r *request) {
	r.tellCancelled("another stream takes its place")
	step, cancel := context.WithTimeout(ctx, concludes)
	defer cancel()
	select {
	case <-r.done:
	case <-step.Done():
		r.abandon("another stream takes its place")
	}
}

// follow stays on the session of everybody until it is lost.
func (w *watch) follow(ctx context.Context, p *peer) error {
	k, err := p.open(ctx)
	if err != nil {
		if errors.Is(err, errContradiction) || errors.Is(err, errSession) {
			return nil
		}
		return err
	}
	if l, ok := k.link.(*streamable); ok {
		k.standing.Do(func() { w.c.spawn(func() { l.stand(nil) }) })
	}
	have := map[string]bool{}
	for first := true; ; first = false {
		uris, wanted := w.s.wanted()
		if !wanted {
			return nil
		}
		if err := w.subscribe(ctx, k, uris, have); err != nil {
			return err
		}
		if first {
			w.opened()
		}
		select {
		case <-w.kick:
		case <-k.gone:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

// subscribe makes the session follow what is wanted, and nothing else.
func (w *watch) subscribe(ctx context.Context, k *conn, uris map[string]*followed, have map[string]bool) error {
	for _, uri := range slices.Sorted(maps.Keys(uris)) {
		one := map[string]*followed{uri: uris[uri]}
		if have[uri] {
			w.s.settled(one, nil)
			continue
		}
		a := w.do(ctx, k, "resources/subscribe", uri)
		if a.err != nil {
			return a.err
		}
		if a.fail != nil {
			w.s.settled(one, w.c.errorOf(a.fail, "resources/subscribe", uri))
			continue
		}
		have[uri] = true
		w.s.settled(one, nil)
	}
	for uri := range have {
		if _, wanted := uris[uri]; !wanted {
			delete(have, uri)
			if a := w.do(ctx, k, "resources/unsubscribe", uri); a.err != nil {
				return a.err
			}
		}
	}
	return nil
}

func (w *watch) do(ctx context.Context, k *conn, method, uri string) reply {
	step, cancel := context.WithTimeout(ctx, w.c.limits.Request)
	defer cancel()
	return k.do(step, method, append(putString([]byte{'{'}, "uri", uri), '}'))
}

// listen keeps a listen stream open (2026-07-28) until it is lost.
func (w *watch) listen(ctx context.Context, p *peer) error {
	var current *request
	var have []string
	defer func() {
		if current != nil {
			current.abandon("nobody listens any more")
		}
	}()
	for {
		uris, wanted := w.s.wanted()
		if !wanted {
			return nil
		}
		names := slices.Sorted(maps.Keys(uris))
		alone := current != nil && !current.k.link.cancels(p.rev)
		switch {
		case alone && covers(have, names): // what is told beside that is heard by nobody
			w.s.settled(uris, nil)
		case current == nil || !slices.Equal(names, have):
			if alone {
				w.conclude(ctx, current)
				current, w.begun = nil, false
			}
			next, err := w.open(ctx, p, uris, names)
			if err != nil {
				return err
			}
			switch {
			case current != nil:
				current.abandon("another stream took its place")
			case next != nil:
				w.opened()
			}
			if alone {
				w.s.missedOf(have) // between the streams
			}
			current, have = next, names
			w.s.settled(uris, nil)
		}
		var over chan struct{}
		if current != nil {
			over = current.done
		}
		select {
		case <-w.kick:
			if w.gone(p) {
				return nil
			}
		case <-over:
			a := current.answer
			current = nil
			if a.fail != nil {
				return w.c.errorOf(a.fail, "subscriptions/listen", "")
			}
			if a.err != nil {
				return a.err
			}
			if !pause(ctx, firstRetry) { // ended on purpose
				return nil
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// covers tells that all names are in a sorted list.
func covers(list, names []string) bool {
	for _, name := range names {
		if _, found := slices.BinarySearch(list, name); !found {
			return false
		}
	}
	return true
}

// gone tells that the upstream is not p any more.
func (w *watch) gone(p *peer) bool {
	w.c.mu.Lock()
	defer w.c.mu.Unlock()
	return w.c.current != p
}

// open opens a listen stream and waits until it is acknowledged; nil where there is
// nothing that the upstream could tell.
func (w *watch) open(ctx context.Context, p *peer, uris map[string]*followed, names []string) (*request, error) {
	filter := p.filter(names)
	if filter == nil {
		if len(names) > 0 {
			w.s.settled(uris, &core.Error{Code: core.CodeNotSupported, Message: "upstream " + w.c.o.Name + " does not tell of changes of resources"})
		}
		return nil, nil
	}
	k, err := p.open(ctx)
	if err != nil {
		return nil, err
	}
	acknowledged := make(chan struct{})
	known := false
	r, err := k.open(ctx, "subscriptions/listen", func(m *message) bool { // one goroutine reads the stream
		if m.method == "notifications/subscriptions/acknowledged" {
			if !known {
				known = true
				close(acknowledged)
			}
			return true
		}
		if !known {
			return false
		}
		w.s.heard(m)
		return true
	})
	if err != nil {
		return nil, err
	}
	r.start(ctx, k.ask(r, append([]byte(`"notifications":`), filter...)))
	step, cancel := context.WithTimeout(ctx, w.c.limits.Request)
	defer cancel()
	select {
	case <-acknowledged:
		return r, nil
	case <-r.done:
		if r.answer.fail != nil {
			return nil, w.c.errorOf(r.answer.fail, "subscriptions/listen", "")
		}
		if r.answer.err != nil {
			return nil, r.answer.err
		}
		return nil, w.c.lying("it ended a stream of changes before it began", nil)
	case <-step.Done():
		r.abandon("the acknowledgement did not come")
		return nil, w.c.ended(step)
	}
}

// filter is what to listen to, of what the upstream can tell; nil for nothing.
func (p *peer) filter(uris []string) json.RawMessage {
	dst := []byte{'{'}
	can := func(capability, what string) bool {
		return string(member(member(p.about.capabilities, capability), what)) == "true"
	}
	for _, capability := range []string{"tools", "prompts", "resources"} {
		if can(capability, "listChanged") {
			dst = append(put(dst, capability+"ListChanged"), "true"...)
		}
	}
	if len(uris) > 0 && can("resources", "subscribe") {
		dst = append(put(dst, "resourceSubscriptions"), '[')
		for i, uri := range uris {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = wire.AppendString(dst, uri)
		}
		dst = append(dst, ']')
	}
	if len(dst) == 1 {
		return nil
	}
	return append(dst, '}')
}
