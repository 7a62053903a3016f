package egress

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/core"
)

// RoundTripper returns the door of the gateway in the shape that libraries ask for,
// such as that of OCI registries: one request a call, no redirect followed, every
// address guarded. Bodies are whole in memory, up to limit bytes; timeout bounds one
// exchange. name stands in errors and metrics.
//
// At most 16 origins are kept open beside those in use; Close lets go of them.
func RoundTripper(out core.Egress, name string, limit int64, timeout time.Duration) *Transport {
	return &Transport{out: out, name: name, limit: limit, timeout: timeout, origins: map[string]*origin{}}
}

// Transport is an http.RoundTripper over a core.Egress. It is safe for concurrent use.
type Transport struct {
	out     core.Egress
	name    string
	limit   int64
	timeout time.Duration

	mu      sync.Mutex
	origins map[string]*origin
}

// origin is an upstream, and how many exchanges use it now.
type origin struct {
	core.Upstream
	users int
}

var _ http.RoundTripper = (*Transport)(nil)

// maxOrigins bounds what a Transport keeps open: at one more, those that nobody uses
// are let go.
const maxOrigins = 16

// RoundTrip sends one request.
func (t *Transport) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.Body != nil {
		defer request.Body.Close()
	}
	body, err := t.bodyOf(request)
	if err != nil {
		return nil, err
	}
	upstream, err := t.enter(request.URL)
	if err != nil {
		return nil, err
	}
	defer t.leave(upstream)
	door := upstream.Upstream
	if credential := request.Header.Values("Authorization"); len(credential) == 1 {
		// Package egress takes credentials from the connection only, so it gets one of its
		// own, over the pool of the origin.
		own, err := t.open(request.URL, core.Secret(credential[0]))
		if err != nil {
			return nil, err
		}
		defer own.Close() //nolint:errcheck // gives up a use of the pool
		door = own
	}
	out := core.Request{Method: request.Method, Path: request.URL.EscapedPath(), Query: request.URL.RawQuery, Body: body, MaxBytes: t.limit}
	if out.Path == "" {
		out.Path = "/"
	}
	for name, values := range request.Header {
		switch name {
		case "Host", "Content-Length", "Transfer-Encoding", "Connection", "Accept-Encoding":
			continue // of the connection, and so ours
		case "Authorization":
			if len(values) == 1 {
				continue // two are refused
			}
		}
		for _, value := range values {
			out.Header = append(out.Header, core.Field{Name: name, Value: value})
		}
	}
	answer, err := door.Do(request.Context(), &out)
	if err != nil {
		return nil, err
	}
	response := &http.Response{
		Status: strconv.Itoa(answer.Status) + " " + http.StatusText(answer.Status), StatusCode: answer.Status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(answer.Body)), ContentLength: int64(len(answer.Body)), Request: request,
	}
	for _, field := range answer.Header {
		switch {
		case strings.EqualFold(field.Name, "Content-Length"):
			if n, err := strconv.ParseInt(field.Value, 10, 64); err == nil && request.Method == http.MethodHead {
				response.ContentLength = n
				response.Header.Add(field.Name, field.Value)
			}
		case strings.EqualFold(field.Name, "Content-Encoding") && request.Method != http.MethodHead: // it was decoded
		default:
			response.Header.Add(field.Name, field.Value)
		}
	}
	return response, nil
}

// bodyOf reads what is to be sent.
func (t *Transport) bodyOf(request *http.Request) ([]byte, error) {
	if request.Body == nil || request.Body == http.NoBody {
		return nil, nil
	}
	body, err := io.ReadAll(io.LimitReader(request.Body, t.limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(body)) > t.limit {
		return nil, &core.Error{Code: core.CodeTooLarge, Message: t.name + ": a request body holds more than " + strconv.FormatInt(t.limit, 10) + " bytes"}
	}
	return body, nil
}

// enter returns the upstream of a URL's origin, in use until leave.
func (t *Transport) enter(to *url.URL) (*origin, error) {
	key := to.Scheme + "://" + to.Host
	t.mu.Lock()
	defer t.mu.Unlock()
	one := t.origins[key]
	if one == nil {
		if len(t.origins) >= maxOrigins {
			t.letGo()
		}
		opened, err := t.open(to, "")
		if err != nil {
			return nil, err
		}
		one = &origin{Upstream: opened}
		t.origins[key] = one
	}
	one.users++
	return one, nil
}

// open opens an origin, with a credential or without.
func (t *Transport) open(to *url.URL, credential core.Secret) (core.Upstream, error) {
	c := &core.Connection{
		Name: t.name, BaseURL: &url.URL{Scheme: to.Scheme, Host: to.Host}, Timeout: t.timeout, FirstByte: t.timeout, MaxBytes: t.limit,
	}
	if credential != "" {
		c.Secret = map[string]core.Secret{"Authorization": credential}
	}
	return t.out.Open(c)
}

func (t *Transport) leave(one *origin) {
	t.mu.Lock()
	defer t.mu.Unlock()
	one.users--
}

// letGo closes what nobody uses.
func (t *Transport) letGo() {
	for key, one := range t.origins {
		if one.users == 0 {
			_ = one.Close() // it holds nothing that could be lost
			delete(t.origins, key)
		}
	}
}

// Close lets go of every origin that nobody uses. The Transport can be used again.
func (t *Transport) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.letGo()
	return nil
}
