package mcp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"

	"github.com/sallyport/sallyport/core/wire"
)

// batchAtOnce bounds the requests of one batch that run beside each other.
const batchAtOnce = 8

// batch answers a JSON array. Only one revision has them, and only within a
// session: an envelope in any element makes the whole wrong.
func (e *Endpoint) batch(ctx context.Context, r *Request, sink Sink, rev *revision, named string) {
	if rev != nil && rev.Envelope {
		e.refuse(r, sink, rev, nil, invalidRequest("this revision has no batches: send one message"))
		return
	}
	if rev == nil && named != "" {
		e.refuse(r, sink, rev, nil, revisionFault(named))
		return
	}
	list, f := e.parseBatch(r.Body)
	if f != nil {
		e.refuse(r, sink, rev, nil, f)
		return
	}
	r.Seen.RPC = "batch"
	if slices.ContainsFunc(list, func(p part) bool { return p.m.claim() }) {
		e.refuse(r, sink, latestEnvelope, nil, invalidRequest("a message with an envelope must not stand in a batch"))
		return
	}
	s, f := e.session(ctx, r)
	if f != nil {
		e.refuse(r, sink, nil, nil, f)
		return
	}
	if !s.revision().Batch {
		e.refuse(r, sink, s.revision(), nil, invalidRequest("revision "+s.revision().Name+" has no batches: send one message"))
		return
	}
	e.serveBatch(ctx, r, s, list, new(outlets).pick(e, s, sink))
}

// part is one element of a batch: a message, or what is wrong with it.
type part struct {
	m *message
	f *fault
}

func (e *Endpoint) parseBatch(body []byte) ([]part, *fault) {
	var list []part
	tooMany := errors.New("too many")
	err := wire.Elements(body, func(v json.RawMessage) error {
		if len(list) == e.limits.Batch {
			return tooMany
		}
		m, f := parseElement(v)
		list = append(list, part{m, f})
		return nil
	})
	switch {
	case errors.Is(err, tooMany):
		return nil, invalidRequest("a batch may hold " + strconv.Itoa(e.limits.Batch) + " messages")
	case err != nil:
		return nil, syntaxFault(err)
	case len(list) == 0:
		return nil, invalidRequest("a batch holds at least one message")
	}
	if slices.ContainsFunc(list, func(p part) bool { return p.m.method == "initialize" }) {
		return nil, invalidRequest("initialize must not stand in a batch")
	}
	return list, nil
}

// serveBatch runs the requests of a batch and answers them in one array, in the
// order they came, or one by one on a stream once something streams.
func (e *Endpoint) serveBatch(ctx context.Context, r *Request, s *Session, list []part, whole outlet) {
	bodies := make([][]byte, len(list))
	var serving sync.WaitGroup
	slots := make(chan struct{}, batchAtOnce)
	requests := 0
	for i, p := range list {
		switch {
		case p.f != nil:
			bodies[i] = appendError(nil, s.revision(), p.m.id, p.f)
			requests++
		case !p.m.request():
			e.tell(s, p.m)
		default:
			requests++
			slots <- struct{}{}
			serving.Go(func() {
				defer func() { <-slots }()
				defer e.contain(ctx, r)
				out := share{whole: whole, keep: func(body []byte) {
					if streams(whole) {
						whole.push(body)
					} else {
						bodies[i] = body
					}
				}}
				e.serve(ctx, s, &exchange{r: r, m: p.m, out: out}, &running{})
			})
		}
	}
	serving.Wait()
	switch {
	case requests == 0:
		whole.finish(202, nil)
	case streams(whole):
		for _, body := range bodies {
			if body != nil {
				whole.push(body)
			}
		}
		whole.finish(200, nil)
	default:
		if body := joinArray(bodies); body != nil {
			whole.finish(200, body)
		} else {
			whole.finish(202, nil) // every request was cancelled
		}
	}
}

// streams tells whether an outlet answers message by message.
func streams(o outlet) bool {
	switch o := o.(type) {
	case *single:
		o.mu.Lock()
		defer o.mu.Unlock()
		return o.opened
	case *trailed:
		o.mu.Lock()
		defer o.mu.Unlock()
		return o.trail != nil
	case piped:
		return true
	}
	return false
}

// contain keeps a panic from ending the process.
func (e *Endpoint) contain(ctx context.Context, r *Request) {
	if p := recover(); p != nil {
		e.log.ErrorContext(ctx, "panic in a message", "request", r.ID, "panic", p, "stack", string(debug.Stack()))
	}
}

func joinArray(bodies [][]byte) []byte {
	var parts [][]byte
	for _, body := range bodies {
		if body != nil {
			parts = append(parts, body)
		}
	}
	if parts == nil {
		return nil
	}
	return append(append([]byte{'['}, bytes.Join(parts, []byte{','})...), ']')
}
