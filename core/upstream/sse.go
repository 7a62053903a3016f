package upstream

import (
	"context"
	"errors"
	"net/url"
	"strings"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/mcp"
)

// events is the transport of 2024-11-05: a GET opens the stream that everything arrives
// on, and its first event says where messages are posted to.
type events struct {
	k    *conn
	to   place
	end  context.CancelFunc
	over chan struct{}
}

// dialEvents opens the stream and waits for the event that names the endpoint.
func (c *Client) dialEvents(ctx context.Context) (*conn, error) {
	l := &events{over: make(chan struct{})}
	k := c.newConn(func(k *conn) link { l.k = k; return l }, &rev20241105)
	life, end := context.WithCancel(k.life)
	l.end = end
	opened := make(chan error, 1)
	if !c.spawn(func() {
		defer close(l.over)
		l.run(life, opened)
	}) {
		end()
		return nil, c.wasClosed()
	}
	select {
	case err := <-opened:
		if err == nil {
			return k, nil
		}
		k.shut()
		return nil, err
	case <-ctx.Done():
		k.shut()
		return nil, c.ended(ctx)
	}
}

// run reads the stream to its end, which is the end of the session.
func (l *events) run(ctx context.Context, opened chan<- error) {
	c := l.k.c
	from := placeOf(c.o.URL)
	stream, err := c.stream(ctx, &core.Request{
		Method: "GET", Path: from.path, Query: from.query,
		Header: []core.Field{{Name: "Accept", Value: typeEvents}},
	})
	if err != nil {
		opened <- c.transport(ctx, err)
		return
	}
	defer stream.Body.Close()
	switch {
	case stream.Status != 200:
		opened <- c.statusFault(stream.Status)
		return
	case contentType(stream) != typeEvents:
		opened <- c.lying("a GET on its URL is not answered with events", nil)
		return
	}
	decoder := mcp.NewDecoder(stream.Body, int(c.limits.MessageBytes))
	first, err := decoder.Next()
	for err == nil && first.Data == nil {
		first, err = decoder.Next()
	}
	if err == nil && first.Name != "endpoint" {
		err = errors.New("the first event is not endpoint")
	}
	if err == nil {
		l.to, err = c.endpointOf(string(first.Data))
	}
	if err != nil {
		opened <- c.lying("its stream does not begin with a usable endpoint", err)
		return
	}
	opened <- nil
	for {
		e, err := decoder.Next()
		if err != nil {
			l.k.fail(c.unavailable("its stream ended", err))
			return
		}
		if len(e.Data) > 0 && (e.Name == "" || e.Name == "message") {
			_ = l.k.receive(e.Data, nil) // counted there
		}
	}
}

// endpointOf reads where messages go: on the same origin, so that no stream can send our
// credential elsewhere.
func (c *Client) endpointOf(text string) (place, error) {
	base := c.o.URL
	const most = 4 << 10
	text = strings.TrimSpace(text)
	if text == "" || len(text) > most {
		return place{}, errors.New("the endpoint is empty or too long")
	}
	to, err := base.Parse(text)
	switch {
	case err != nil:
		return place{}, errors.New("the endpoint is no URL")
	case !c.lax.origin && (!strings.EqualFold(to.Scheme, base.Scheme) || !strings.EqualFold(authority(to), authority(base))):
		return place{}, errors.New("the endpoint is on another origin")
	}
	return placeOf(to), nil
}

// authority is host and port, the port spelled out.
func authority(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[strings.ToLower(u.Scheme)]
	}
	return u.Hostname() + ":" + port
}

func (l *events) cancels(*revision) bool { return false }

func (l *events) send(_ context.Context, r *request, message []byte) {
	if !l.k.c.spawn(func() {
		defer r.cancel()
		err := l.post(&r.life, message)
		if err == nil {
			return // the answer comes on the stream
		}
		r.finish(reply{err: err})
	}) {
		r.finish(reply{err: l.k.c.wasClosed()})
		r.cancel()
	}
}

func (l *events) post(ctx context.Context, message []byte) error {
	header := []core.Field{{Name: "Content-Type", Value: typeJSON}, {Name: "Accept", Value: typeJSON + ", " + typeEvents}}
	if rev := l.k.rev.Load(); rev != nil && rev.VersionHeader {
		header = append(header, core.Field{Name: headerRevision, Value: rev.Name})
	}
	return l.k.c.post(ctx, l.to, header, message, func(status int) {
		if status == 404 {
			l.k.broken(l.k.c.sessionGone())
		}
	})
}

func (l *events) tell(ctx context.Context, message []byte) error { return l.post(ctx, message) }

// close ends the stream, which ends the session.
func (l *events) close(ctx context.Context) {
	l.end()
	select {
	case <-l.over:
	case <-ctx.Done():
	}
}

var _ link = (*events)(nil)
