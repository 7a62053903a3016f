package upstream_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"testing"

	"go.uber.org/goleak"

	"github.com/sallyport/sallyport/core"
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

var (
	_ core.Upstream = (*door)(nil)
	_ core.Streamer = (*door)(nil)
)
