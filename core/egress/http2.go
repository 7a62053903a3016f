package egress

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/core"
)

// http2 speaks HTTP/2 through net/http: over TLS by ALPN (with HTTP/1.1 where the
// upstream has no HTTP/2), in clear text with prior knowledge. net/http keeps the
// connections; dialling, limits and decoding are ours.
type http2 struct {
	transport *http.Transport
	now       func() time.Time
	closed    atomic.Bool
}

func newHTTP2(d *dialer, first, keep time.Duration, now func() time.Time) *http2 {
	plain := *d
	plain.tls = nil // net/http shakes hands itself
	t := &http.Transport{
		Proxy:                  nil, // never from the environment
		DialContext:            plain.dialFor,
		TLSClientConfig:        d.tls,
		TLSHandshakeTimeout:    d.connect,
		DisableCompression:     true,
		MaxIdleConns:           512,
		MaxIdleConnsPerHost:    512,
		IdleConnTimeout:        keep,
		ResponseHeaderTimeout:  first,
		MaxResponseHeaderBytes: maxHead,
		Protocols:              new(http.Protocols),
	}
	if d.tls == nil {
		t.Protocols.SetUnencryptedHTTP2(true)
	} else {
		t.Protocols.SetHTTP1(true)
		t.Protocols.SetHTTP2(true)
	}
	return &http2{transport: t, now: now}
}

func (h *http2) roundTrip(ctx context.Context, m *message) (*core.Response, error) {
	if m.live {
		return h.open(ctx, m)
	}
	ctx, cancel := context.WithDeadline(ctx, m.deadline)
	defer cancel()
	answer, err := h.transport.RoundTrip(m.request(ctx))
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	encoding := strings.ToLower(answer.Header.Get("Content-Encoding"))
	body, err := h.read(m, answer)
	if err == nil && len(body) > 0 && encoding != "" && encoding != "identity" {
		body, err = decode(encoding, body, m.limit)
	}
	if err != nil {
		return nil, err
	}
	return &core.Response{Status: answer.StatusCode, Header: fieldsOf(answer.Header, m.method), Body: body}, nil
}

// open makes an exchange up to the head of the answer; the body becomes m.source.
func (h *http2) open(ctx context.Context, m *message) (*core.Response, error) {
	ctx, cancel := context.WithCancel(ctx)
	timer := time.AfterFunc(m.deadline.Sub(h.now()), cancel)
	answer, err := h.transport.RoundTrip(m.request(ctx))
	if !timer.Stop() && err == nil {
		_ = answer.Body.Close()
		err = context.DeadlineExceeded
	}
	if err != nil {
		cancel()
		return nil, err
	}
	body := &remote{answer.Body, cancel, h}
	encoding := strings.ToLower(answer.Header.Get("Content-Encoding"))
	header := fieldsOf(answer.Header, m.method)
	switch {
	case answer.Body == http.NoBody || answer.ContentLength == 0 || m.method == http.MethodHead:
		_ = body.Close()
		return &core.Response{Status: answer.StatusCode, Header: header}, nil
	case answer.ContentLength > m.limit:
		_ = body.Close()
		return nil, errTooLarge
	case encoding != "" && encoding != "identity":
		m.encoding = encoding
	case answer.ContentLength > 0:
		header = append(header, core.Field{Name: "Content-Length", Value: strconv.FormatInt(answer.ContentLength, 10)})
	}
	m.source = body
	return &core.Response{Status: answer.StatusCode, Header: header}, nil
}

// remote is a body that net/http reads for us.
type remote struct {
	io.ReadCloser
	cancel context.CancelFunc
	http2  *http2
}

// Close ends the exchange at once. It may be called beside Read, which then fails.
func (r *remote) Close() error {
	r.cancel()
	err := r.ReadCloser.Close()
	if r.http2.closed.Load() {
		r.http2.transport.CloseIdleConnections()
	}
	return err
}

// request makes the request of net/http.
func (m *message) request(ctx context.Context) *http.Request {
	target := string(m.appendTarget(nil))
	to := &url.URL{Scheme: "http", Host: m.authority}
	if m.secure {
		to.Scheme = "https"
	}
	path, query, _ := strings.Cut(target, "?")
	to.RawPath, to.RawQuery = path, query
	if to.Path, _ = url.PathUnescape(path); to.Path == "" {
		to.Path, to.RawPath = path, ""
	}
	r := &http.Request{Method: m.method, URL: to, Host: m.authority, Header: http.Header{}, ProtoMajor: 1, ProtoMinor: 1}
	for _, f := range m.own {
		if !m.names(f.Name) {
			r.Header.Add(f.Name, f.Value)
		}
	}
	for _, f := range m.fields {
		r.Header.Add(f.Name, f.Value)
	}
	if len(m.body) > 0 {
		r.Body = io.NopCloser(bytes.NewReader(m.body))
		r.ContentLength = int64(len(m.body))
	}
	var before tries
	return r.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(got httptrace.GotConnInfo) {
			m.reused = got.Reused
			if before.reached(got.Conn) && !m.idempotent {
				_ = got.Conn.Close() // the exchange fails for want of it
			}
		},
	}))
}

// tries is the connection that net/http uses for a request, and how many bytes were sent
// on it before.
type tries struct {
	last *tally
	sent int64
	hit  bool // bytes were sent on an earlier one
}

// reached tells whether bytes of the request may have reached the upstream on an earlier
// connection, now that it gets this one. In HTTP/1.1 net/http repeats a GET by itself, and
// whatever has an Idempotency-Key; whether that is right is not for it to say. In HTTP/2
// it repeats only what the upstream says it has not looked at.
func (t *tries) reached(c net.Conn) bool {
	secured, ok := c.(*tls.Conn)
	if !ok || secured.ConnectionState().NegotiatedProtocol == "h2" {
		return false
	}
	t.hit = t.hit || t.last != nil && t.last.sent.Load() > t.sent
	if t.last, ok = secured.NetConn().(*tally); ok {
		t.sent = t.last.sent.Load()
	}
	return t.hit
}

// tally is a connection that counts what was sent.
type tally struct {
	net.Conn
	sent atomic.Int64 // bytes
}

func (t *tally) Write(b []byte) (int, error) {
	n, err := t.Conn.Write(b)
	t.sent.Add(int64(n))
	return n, err
}

// dialFor is dial as net/http wants it; it goes to our host whatever net/http says.
func (d *dialer) dialFor(ctx context.Context, _, _ string) (net.Conn, error) {
	c, err := d.dial(ctx)
	if err != nil {
		return nil, &dialError{err}
	}
	return &tally{Conn: c}, nil
}

// read reads a body within its limit.
func (h *http2) read(m *message, answer *http.Response) ([]byte, error) {
	if answer.ContentLength > m.limit {
		return nil, errTooLarge
	}
	var body []byte
	if n := answer.ContentLength; n > 0 {
		body = make([]byte, 0, min(n+1, chunkStep))
	}
	told := intake{c: &conn{now: h.now}, total: answer.ContentLength, progress: m.progress}
	for {
		if len(body) == cap(body) {
			body = append(body, 0)[:len(body)]
		}
		n, err := answer.Body.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		if int64(len(body)) > m.limit {
			return nil, errTooLarge
		}
		if errors.Is(err, io.EOF) {
			return body, nil
		}
		if err != nil {
			return nil, err
		}
		told.report(len(body))
	}
}

// fieldsOf returns the headers of an answer as one list, sorted by name.
func fieldsOf(h http.Header, method string) []core.Field {
	fields := make([]core.Field, 0, len(h))
	for name, values := range h {
		if hopByHop(name) || name == "Content-Encoding" || name == "Content-Length" && method != "HEAD" {
			continue
		}
		for _, v := range values {
			fields = append(fields, core.Field{Name: name, Value: v})
		}
	}
	slices.SortStableFunc(fields, func(a, b core.Field) int { return strings.Compare(a.Name, b.Name) })
	return fields
}

func (h *http2) sweep(time.Time) {} // IdleConnTimeout does it
func (h *http2) idle() int       { return 0 }

func (h *http2) close() {
	h.closed.Store(true)
	h.transport.CloseIdleConnections()
}

var _ transport = (*http2)(nil)
