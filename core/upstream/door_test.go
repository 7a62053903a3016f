package upstream_test

import (
	"bytes"
	"context"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/egress"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// door is a core.Upstream with core.Streamer on net/http, for tests.
type door struct {
	base   *url.URL
	client *http.Client
}

// doorTo returns a door to the origin of a URL.
func doorTo(t testing.TB, u *url.URL) *door {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 300}
	t.Cleanup(transport.CloseIdleConnections)
	return &door{base: u, client: &http.Client{Transport: transport}}
}

func (d *door) Stream(ctx context.Context, r *core.Request) (*core.Stream, error) {
	to := d.base.Scheme + "://" + d.base.Host + r.Path
	if r.Query != "" {
		to += "?" + r.Query
	}
	out, err := http.NewRequestWithContext(ctx, r.Method, to, bytes.NewReader(r.Body))
	if err != nil {
		return nil, err
	}
	for _, f := range r.Header {
		out.Header.Add(f.Name, f.Value)
	}
	in, err := d.client.Do(out)
	if err != nil {
		return nil, &core.Error{Code: core.CodeUnavailable, Message: "cannot reach the upstream", Err: err}
	}
	s := &core.Stream{Status: in.StatusCode, Body: in.Body}
	for name, values := range in.Header {
		for _, value := range values {
			s.Header = append(s.Header, core.Field{Name: name, Value: value})
		}
	}
	return s, nil
}

func (d *door) Do(ctx context.Context, r *core.Request) (*core.Response, error) {
	s, err := d.Stream(ctx, r)
	if err != nil {
		return nil, err
	}
	defer s.Body.Close()
	body, err := io.ReadAll(s.Body)
	return &core.Response{Status: s.Status, Header: s.Header, Body: body}, err
}

func (d *door) Close() error { return nil }

// through returns the door that the gateway has, core/egress, to the origin of a URL, with
// what a connection of an upstream says. A server of TLS is trusted; http2 asks for that.
func through(t testing.TB, u *url.URL, secured *httptest.Server, http2 bool) core.Upstream {
	t.Helper()
	c := core.Connection{InFlight: 256, Queue: 256, HTTP2: http2}
	if secured != nil {
		c.TLS.CA = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secured.Certificate().Raw}))
		c.TLS.ServerName = "example.com" // what the certificate of httptest names
	}
	return way(t, u, c)
}

// way is through for any connection.
func way(t testing.TB, u *url.URL, c core.Connection) core.Upstream {
	t.Helper()
	e := egress.New(egress.Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	c.Name, c.BaseURL, c.FirstByte = "up", &url.URL{Scheme: u.Scheme, Host: u.Host}, 5*time.Minute
	open, err := e.Open(&c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		open.Close()
		e.Close()
	})
	return open
}

var (
	_ core.Upstream = (*door)(nil)
	_ core.Streamer = (*door)(nil)
)
