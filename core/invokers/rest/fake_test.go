package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// door is a core.Egress that exchanges with net/http, or with do when it is set.
type door struct {
	client *http.Client
	do     func(*core.Request) (*core.Response, error)
	closed int
}

func (d *door) Open(connection *core.Connection) (core.Upstream, error) {
	if connection.BaseURL.Scheme == "gopher" {
		return nil, errors.New("the scheme gopher is not allowed")
	}
	return &line{d, connection}, nil
}

type line struct {
	door       *door
	connection *core.Connection
}

func (l *line) Close() error { l.door.closed++; return nil }

func (l *line) Do(ctx context.Context, r *core.Request) (*core.Response, error) {
	if l.door.do != nil {
		return l.door.do(r)
	}
	address := strings.TrimSuffix(l.connection.BaseURL.String(), "/") + r.Path
	if r.Query != "" {
		address += "?" + r.Query
	}
	request, err := http.NewRequestWithContext(ctx, r.Method, address, bytes.NewReader(r.Body))
	if err != nil {
		return nil, err
	}
	for _, field := range r.Header {
		request.Header.Add(field.Name, field.Value)
	}
	response, err := l.door.client.Do(request)
	if err != nil {
		return nil, &core.Error{Code: core.CodeUnavailable, Message: "the upstream cannot be reached", Err: err}
	}
	defer response.Body.Close()
	var body []byte
	piece := make([]byte, 32<<10)
	for {
		n, err := response.Body.Read(piece)
		body = append(body, piece[:n]...)
		if r.Progress != nil {
			r.Progress(int64(len(body)), response.ContentLength)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
	}
	out := &core.Response{Status: response.StatusCode, Body: body}
	for name, values := range response.Header {
		for _, value := range values {
			out.Header = append(out.Header, core.Field{Name: name, Value: value})
		}
	}
	return out, nil
}

// shop is an upstream of one handler.
func shop(t testing.TB, handler http.HandlerFunc) core.Env {
	t.Helper()
	server := httptest.NewServer(handler)
	client := &http.Client{Transport: &http.Transport{DisableCompression: true}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	t.Cleanup(func() {
		client.CloseIdleConnections()
		server.Close()
	})
	base, err := url.Parse(server.URL + "/api")
	if err != nil {
		t.Fatal(err)
	}
	return core.Env{
		Server: "bookshop", Tool: "tool", Dial: &door{client: client},
		Connections: map[string]*core.Connection{"shop": {Name: "shop", BaseURL: base, Query: map[string]core.Secret{"key": "s3cret"}}},
		Now:         func() time.Time { return time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC) },
	}
}

// canned is an Env whose upstream gives what do gives.
func canned(do func(*core.Request) (*core.Response, error)) core.Env {
	base, _ := url.Parse("http://shop.example/api")
	return core.Env{
		Server: "bookshop", Dial: &door{do: do},
		Connections: map[string]*core.Connection{"shop": {Name: "shop", BaseURL: base}},
	}
}

func build(t testing.TB, env core.Env, config string) *Invoker {
	t.Helper()
	v, err := New(context.Background(), json.RawMessage(config), env)
	if v == nil {
		t.Fatalf("%s\n%v", config, err)
	}
	return v
}

func request(t testing.TB, arguments string) *core.Call {
	t.Helper()
	values, err := wire.DecodeObject([]byte(arguments))
	if err != nil {
		t.Fatal(err)
	}
	return &core.Call{
		Server: "bookshop", Tool: "tool", For: core.Object{Kind: "tool"},
		Arguments: json.RawMessage(arguments), Values: values, Notify: func(core.Notification) {},
	}
}

// request writes the request of a call. Where the invoker can do without values, the
// request must be the same without them.
func (v *Invoker) request(call *core.Call) (*core.Request, error) {
	made := &core.Request{}
	err := v.write(made, call)
	if !v.values && call.Values != nil && call.Arguments != nil {
		sparse, again := *call, &core.Request{}
		sparse.Values, sparse.Checked = nil, true
		errAgain := v.write(again, &sparse)
		if (err == nil) != (errAgain == nil) || err != nil && err.Error() != errAgain.Error() || err == nil && !reflect.DeepEqual(made, again) {
			return nil, fmt.Errorf("without values: %+v (%w), with: %+v (%w)", again, errAgain, made, err)
		}
	}
	if err != nil {
		return nil, err
	}
	return made, nil
}

type headers map[string]string

func (h headers) Get(name string) string { return h[strings.ToLower(name)] }

func invoke(t testing.TB, v *Invoker, arguments string) *core.Result {
	t.Helper()
	result, err := v.Invoke(context.Background(), request(t, arguments))
	if err != nil {
		t.Fatal(err)
	}
	return result
}
