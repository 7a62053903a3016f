package web

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/mcp"
	"github.com/sallyport/sallyport/core/wire"
)

// feed is rows that are told as they come, of all replicas: it looks into the store for
// what is new, as often as APIOptions.Poll says.
type feed[R any] struct {
	name string // of the events
	// when returns a row's time, and what tells it from others of the same time.
	when func(*R) (time.Time, string)
	show func(*R) any

	c      *apiCall
	stream mcp.Stream
	floor  mark                 // nothing up to here is told
	newest time.Time            // that was seen
	told   map[string]time.Time // what was told lately
}

// mark is a place in a feed; as a text it is the id of an event.
type mark struct {
	at time.Time
	id string
}

// after tells whether a row stands behind the mark.
func (m mark) after(at time.Time, id string) bool {
	return at.After(m.at) || at.Equal(m.at) && id > m.id
}

func (m mark) String() string { return strconv.FormatInt(m.at.UnixMicro(), 10) + "-" + m.id }

// markOf reads the id of an event.
func markOf(text string) (m mark, ok bool) {
	micros, id, found := strings.Cut(text, "-")
	n, err := strconv.ParseInt(micros, 10, 64)
	if !found || err != nil || n < 0 || len(id) > 200 {
		return mark{}, false
	}
	return mark{time.UnixMicro(n).UTC(), id}, true
}

const (
	// feedOverlap is how late a row may arrive: others write theirs in batches, and clocks
	// differ.
	feedOverlap = 15 * time.Second
	// feedBack is how far back a client may resume.
	feedBack = time.Hour
	// feedCheck is how often it is asked again whether the caller may still read.
	feedCheck = 10 * time.Second
	// feedBatch is how many rows are read at once.
	feedBatch = 500
)

// follow answers SSE: first what came after Last-Event-ID, then what comes. Every event has
// an id to come back with. It ends when the client leaves, when the caller may no longer
// read it, and when the gateway stops.
func follow[R any](c *apiCall, f feed[R]) error {
	a := c.api
	f.c, f.told = c, make(map[string]time.Time)
	f.floor = mark{at: a.o.Now().UTC()}
	if last := c.request.header.Get("Last-Event-ID"); last != "" {
		m, ok := markOf(last)
		if !ok {
			return &core.Error{Code: core.CodeInvalid, Message: "Last-Event-ID is none of ours", Fix: "send the id of an event, or none"}
		}
		if oldest := f.floor.at.Add(-feedBack); m.at.Before(oldest) {
			m = mark{at: oldest}
		}
		f.floor = m
	}
	f.newest = f.floor.at
	if a.feeds.Add(1) > int64(a.o.Feeds) {
		a.feeds.Add(-1)
		return &core.Error{Code: core.CodeUnavailable, Message: "too many feeds are open", Fix: "close feeds that are not needed, or try again later", RetryAfter: 5}
	}
	defer a.feeds.Add(-1)
	if err := f.look(c.ctx, false); err != nil { // what is asked for, before an answer begins
		return err
	}
	stream, err := c.sink.Stream(secured(c.request))
	if err != nil {
		return err
	}
	f.stream, c.streamed = stream, true
	a.busy.Add(-1)
	if stream.Send([]byte("retry: 2000\n\n")) == nil {
		f.run()
	}
	return nil
}

func (f *feed[R]) run() {
	a := f.c.api
	tick := time.NewTicker(a.o.Poll)
	defer tick.Stop()
	checked := a.o.Now()
	for {
		if now := a.o.Now(); now.Sub(checked) >= feedCheck {
			checked = now
			if !f.c.still() {
				return
			}
		}
		ctx, cancel := context.WithTimeout(f.c.ctx, a.o.Timeout)
		err := f.look(ctx, true)
		cancel()
		if err != nil && core.AsError(err).Code != core.CodeUnavailable && core.AsError(err).Code != core.CodeTimeout {
			a.log.Warn("feed", "request", f.c.request.id, "error", err)
			return
		}
		select {
		case <-f.c.ctx.Done():
			return
		case <-a.ended:
			return
		case <-tick.C:
		}
	}
}

// still tells whether the caller is still known and may still read.
func (c *apiCall) still() bool {
	again := *c
	again.who, again.login = core.Identity{}, nil
	ctx, cancel := context.WithTimeout(c.ctx, c.api.o.Timeout)
	defer cancel()
	again.ctx = ctx
	if err := again.identify(); err != nil {
		return core.AsError(err).Code == core.CodeUnavailable // it is not known that it may not
	}
	return again.permit() == nil
}

// look reads what is new and tells it.
func (f *feed[R]) look(ctx context.Context, tell bool) error {
	since := f.newest.Add(-feedOverlap)
	if since.Before(f.floor.at) {
		since = f.floor.at
	}
	q := core.Query{Tenant: f.c.tenant, Equal: f.c.filters(), Since: since, Limit: feedBatch}
	if !tell {
		q.Limit = 1
	}
	for {
		var rows []R
		next, err := f.c.api.o.Store.List(ctx, &rows, q)
		if err != nil || !tell {
			return err
		}
		for i := range rows {
			if err := f.tell(&rows[i]); err != nil {
				return err
			}
		}
		if next == "" {
			break
		}
		q.After = next
	}
	for id, at := range f.told {
		if at.Before(f.newest.Add(-feedOverlap)) {
			delete(f.told, id)
		}
	}
	return nil
}

func (f *feed[R]) tell(row *R) error {
	at, id := f.when(row)
	at = at.Truncate(time.Microsecond) // as ids have it
	if _, again := f.told[id]; again || !f.floor.after(at, id) {
		return nil
	}
	body, err := wire.Marshal(f.show(row))
	if err != nil {
		return err
	}
	f.told[id] = at
	if at.After(f.newest) {
		f.newest = at
	}
	frame := make([]byte, 0, len(body)+100)
	frame = append(frame, "event: "+f.name+"\nid: "+mark{at, id}.String()+"\ndata: "...)
	frame = append(append(frame, body...), "\n\n"...)
	return f.stream.Send(frame)
}
