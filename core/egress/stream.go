package egress

import (
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sallyport/sallyport/core"
)

// streamShare is how many streams may be open for each place that the bulkhead has for
// exchanges: 64 make 1,024.
const streamShare = 16

// Stream makes one exchange as Do does, up to the head of the answer. Its place in the
// bulkhead is free again from then on, since a stream may stay for hours: open streams
// are bounded for themselves, and one too many is refused before anything is sent. The
// breaker goes by the head, and by a body that breaks while the head is still in its
// window. Every error is a *core.Error, also those of the body.
func (u *upstream) Stream(ctx context.Context, r *core.Request) (*core.Stream, error) {
	if problem := u.check(r); problem != "" {
		return nil, &core.Error{Code: core.CodeInvalid, Message: "connection " + u.name + ": " + problem}
	}
	m := u.message(ctx, r, u.plain)
	defer u.free(m)
	m.live = true
	if m.limit <= 0 {
		m.limit = math.MaxInt64
	}
	if !u.lane.streams.enter() {
		f := crowded(m)
		u.sent(m, m.start, 1, nil, f)
		return nil, f.fail()
	}
	t := &tap{upstream: u, limit: m.limit, left: m.limit, ended: ctx.Err}
	s, f := t.begin(ctx, m)
	if f != nil {
		m.drop()
		u.lane.streams.leave()
		return nil, f.fail()
	}
	return s, nil
}

// streams counts the open streams of a lane.
type streams struct {
	most int64
	open atomic.Int64
}

// enter takes a place, or returns false at once.
func (s *streams) enter() bool {
	if s.open.Add(1) > s.most {
		s.open.Add(-1)
		return false
	}
	return true
}

func (s *streams) leave() { s.open.Add(-1) }

// tap is the body of a Stream as its reader sees it: decoded, bounded, with our errors.
// No goroutine watches it: the end of its context and Close close the source, which ends
// a Read that waits.
type tap struct {
	upstream *upstream
	source   io.Closer
	from     io.Reader // the source, or what decodes it
	limit    int64
	left     int64 // of the limit
	headAt   time.Time
	ended    func() error // of the context
	waiter   core.Waiter
	stop     func() bool // watching the context
	err      error       // of the last Read
	over     atomic.Bool
	closed   atomic.Bool // by its reader
}

// begin sends m, and makes the stream of its answer.
func (t *tap) begin(ctx context.Context, m *message) (*core.Stream, *fault) {
	u := t.upstream
	answer, f := u.ask(ctx, m)
	if f != nil {
		return nil, f
	}
	s := &core.Stream{Status: answer.Status, Header: answer.Header, Body: http.NoBody}
	if m.source == nil {
		u.lane.streams.leave()
		return s, nil
	}
	t.source, t.from, t.headAt = m.source, m.source, m.ended
	if m.encoding != "" {
		d, err := newDecoded(m.encoding, m.source)
		if err != nil {
			return nil, explain(nil, m, t.headAt, err)
		}
		t.from = d
	}
	t.watch(ctx)
	s.Body = t
	return s, nil
}

// watch ends the stream with ctx.
func (t *tap) watch(ctx context.Context) {
	end := func() { t.end() }
	if life, ok := ctx.(*core.Lifetime); ok { // costs less
		if _, timed := life.Deadline(); !timed {
			life.OnCancel(&t.waiter, end)
			t.stop = t.waiter.Stop
			return
		}
	}
	t.stop = context.AfterFunc(ctx, end)
}

// Read returns what is there, at least one byte, or waits for it.
func (t *tap) Read(p []byte) (int, error) {
	if t.err != nil || len(p) == 0 {
		return 0, t.err
	}
	n, err := t.from.Read(p)
	if int64(n) > t.left {
		n, err = int(t.left), errTooLarge
	}
	t.left -= int64(n)
	if err != nil {
		t.err = t.explain(err)
	}
	return n, t.err
}

// explain ends the stream, and says why it did: io.EOF or a *core.Error.
func (t *tap) explain(err error) error {
	u := t.upstream
	first, whole := t.finish(), errors.Is(err, io.EOF)
	switch {
	case first && whole:
		return io.EOF
	case first:
		u.egress.broken.Add(1)
	case whole: // an upstream that saw the end coming may end its answer in good order
		err = errAborted
	}
	switch {
	case t.closed.Load():
		return &core.Error{Code: core.CodeCancelled, Message: "connection " + u.name + ": the body of the answer was closed before its end", Err: err}
	case errors.Is(err, syscall.ETIMEDOUT):
		// Of the probes of TCP: no deadline of ours. As text it is not taken for one.
		err = errors.New(err.Error())
	}
	now := u.egress.o.Now()
	m := message{name: u.name, limit: t.limit, deadline: now.Add(time.Hour)} // there is none
	f := explain(t.ended(), &m, now, err)
	if f.verdict == bad {
		u.lane.breaker.recant(now, t.headAt)
	}
	return f.fail()
}

// Close ends the stream. Before the end of the body that closes the connection.
func (t *tap) Close() error {
	if !t.over.Load() {
		t.closed.Store(true)
	}
	t.finish()
	return nil
}

// Leave implements core.Leaver for answers in chunks that nothing decodes, on connections
// without TLS.
func (t *tap) Leave() bool {
	f, ok := t.source.(*flow)
	if !ok || t.from != io.Reader(f) || t.err != nil || !f.leave() {
		return false
	}
	t.err = &core.Error{Code: core.CodeCancelled, Message: "connection " + t.upstream.name + ": the body of the answer was left before its end"}
	t.finish()
	return true
}

// finish ends the stream and its watch over the context. It returns false when something
// else had ended it.
func (t *tap) finish() bool {
	t.stop()
	return t.end()
}

// end lets go of what the stream holds, once.
func (t *tap) end() bool {
	if t.over.Swap(true) {
		return false
	}
	t.upstream.lane.streams.leave()
	_ = t.source.Close()
	return true
}
