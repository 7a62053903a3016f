package hostcall

import (
	"fmt"
	"sync"
	"testing"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/plugins/abi"
	"github.com/sallyport/sallyport/plugins/manifest"
)

func anywhere(d core.Egress) Options {
	return Options{Granted: manifest.Capabilities{HTTP: []manifest.HTTP{{Host: "*"}}}, Dial: d}
}

// A plugin that goes everywhere keeps connections to the latest 64 origins.
func TestUpstreamsAreBounded(t *testing.T) {
	d := &dial{}
	h := newHost(t, anywhere(d))
	visit := func(n int) {
		t.Helper()
		if _, code := h.HTTP(t.Context(), scope(nil, nil), ask("GET", fmt.Sprintf("https://h%d.example/", n), "")); code < 0 {
			t.Fatal(named(code))
		}
	}
	for n := range 3 * maxUpstreams {
		visit(n)
		visit(0) // always in use lately
	}
	if len(d.opened) != 3*maxUpstreams || d.closed != 2*maxUpstreams || len(h.upstream.open) != maxUpstreams {
		t.Errorf("%d opened, %d closed, %d open", len(d.opened), d.closed, len(h.upstream.open))
	}
	names := map[string]bool{}
	for _, c := range d.opened {
		names[c.Name] = true
	}
	if len(names) != 1 || !names["plugin:test *"] {
		t.Errorf("connections are named %v", names)
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	if d.closed != len(d.opened) {
		t.Errorf("%d of %d were closed", d.closed, len(d.opened))
	}
	if _, code := h.HTTP(t.Context(), scope(nil, nil), ask("GET", "https://h0.example/", "")); code != abi.ErrUnavailable {
		t.Errorf("after Close: %s", named(code))
	}
}

// What a request uses is closed only after it.
func TestUpstreamsInUseStayOpen(t *testing.T) {
	begun, end := make(chan struct{}), make(chan struct{})
	d := &dial{}
	d.answer = func(string) (*core.Response, error) {
		begun <- struct{}{}
		<-end
		return &core.Response{Status: 200}, nil
	}
	h := newHost(t, anywhere(d))
	var wg sync.WaitGroup
	for n := range maxUpstreams + 3 {
		wg.Go(func() {
			if _, code := h.HTTP(t.Context(), scope(nil, nil), ask("GET", fmt.Sprintf("https://h%d.example/", n), "")); code < 0 {
				t.Errorf("request %d: %s", n, named(code))
			}
		})
	}
	for range maxUpstreams + 3 {
		<-begun
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	d.mu.Lock()
	if d.closed != 0 {
		t.Errorf("%d were closed in the middle of their requests", d.closed)
	}
	d.mu.Unlock()
	close(end)
	wg.Wait()
	if d.closed != len(d.opened) {
		t.Errorf("%d of %d were closed", d.closed, len(d.opened))
	}
}

// The upstream that carries a credential of the guest's own is given up at once.
func TestOwnAuthorizationIsNotKept(t *testing.T) {
	d := &dial{}
	h := newHost(t, anywhere(d))
	for n := range 5 {
		if _, code := h.HTTP(t.Context(), scope(nil, nil), ask("GET", "https://a.example/", "", "Authorization", fmt.Sprint("s", n))); code < 0 {
			t.Fatal(named(code))
		}
	}
	if len(d.opened) != 6 || d.closed != 5 || len(h.upstream.open) != 1 {
		t.Errorf("%d opened, %d closed, %d open", len(d.opened), d.closed, len(h.upstream.open))
	}
}
