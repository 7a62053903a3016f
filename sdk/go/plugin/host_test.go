package plugin_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/sdk/go/plugin"
	"github.com/sallyport/sallyport/sdk/go/plugintest"
)

// in runs f as a tool and fails with what it returns.
func in(t *testing.T, h *plugintest.Host, f func(ctx *plugin.Context) error) {
	t.Helper()
	if a := run(h, func(ctx *plugin.Context) (plugin.Result, error) { return plugin.Text("done"), f(ctx) }); a.Status != plugin.StatusOK {
		t.Error(a)
	}
}

func TestHTTP(t *testing.T) {
	h := plugintest.New(t)
	in(t, h, func(ctx *plugin.Context) error {
		if _, err := ctx.HTTP(plugin.Request{URL: "https://a.example/"}); !errors.Is(err, plugin.ErrDenied) || err.Error() != "http https://a.example/: denied" {
			return fmt.Errorf("not granted: %v", err)
		}
		return nil
	})
	large := strings.Repeat("y", 1<<20)
	h.HTTP = func(r plugin.Request) (*plugin.Response, error) {
		switch r.URL {
		case "https://slow.example/":
			return nil, plugin.ErrTimeout
		case "https://down.example/":
			return nil, errors.New("refused")
		}
		return &plugin.Response{Status: 404, Header: plugin.Header{{Name: "X-A", Value: "1"}, {Name: "X-A", Value: "2"}}, Body: []byte(large)}, nil
	}
	in(t, h, func(ctx *plugin.Context) error {
		r, err := ctx.HTTP(plugin.Request{Method: "POST", URL: "https://b.example/", Header: plugin.Header{{Name: "Accept", Value: "x/y"}}, Body: []byte("body")})
		if err != nil || r.Status != 404 || string(r.Body) != large || r.Header.Get("x-a") != "1" || len(r.Header) != 2 || r.Header.Get("no") != "" {
			return fmt.Errorf("%+v %w", r, err)
		}
		if _, err := ctx.HTTP(plugin.Request{URL: "https://slow.example/"}); !errors.Is(err, plugin.ErrTimeout) {
			return fmt.Errorf("slow: %v", err)
		}
		if _, err := ctx.HTTP(plugin.Request{URL: "https://down.example/"}); !errors.Is(err, plugin.ErrUnavailable) {
			return fmt.Errorf("down: %v", err)
		}
		if _, err := ctx.HTTP(plugin.Request{URL: "x", Header: plugin.Header{{Name: ":url", Value: "https://evil.example/"}}}); !errors.Is(err, plugin.ErrInvalid) {
			return fmt.Errorf("a header that replaces the address: %v", err)
		}
		if _, err := ctx.HTTP(plugin.Request{URL: "x", Header: make(plugin.Header, 63)}); !errors.Is(err, plugin.ErrInvalid) {
			return fmt.Errorf("too many headers: %v", err)
		}
		return nil
	})
	if r := h.Requests[1]; r.Method != "POST" || string(r.Body) != "body" || r.Header.Get("accept") != "x/y" {
		t.Errorf("the host saw %+v", r)
	}
}

func TestKV(t *testing.T) {
	h := plugintest.New(t)
	now := time.Unix(0, 0)
	h.KV.Now = func() time.Time { return now }
	long := strings.Repeat("v", 10_000)
	in(t, h, func(ctx *plugin.Context) error {
		if _, _, err := ctx.KVGet("a"); !errors.Is(err, plugin.ErrNotFound) {
			return fmt.Errorf("empty: %v", err)
		}
		v1, err := ctx.KVSwap("a", []byte("1"), 0, plugin.Absent)
		if err != nil {
			return err
		}
		if _, err := ctx.KVSwap("a", []byte("2"), 0, plugin.Absent); !errors.Is(err, plugin.ErrConflict) {
			return fmt.Errorf("it exists: %v", err)
		}
		v2, err := ctx.KVSwap("a", []byte(long), 0, v1)
		if err != nil || v2 <= v1 {
			return fmt.Errorf("swap: %d %w", v2, err)
		}
		if value, version, err := ctx.KVGet("a"); err != nil || string(value) != long || version != v2 {
			return fmt.Errorf("get: %d bytes, %d, %w", len(value), version, err)
		}
		if err := ctx.KVDeleteVersion("a", v1); !errors.Is(err, plugin.ErrConflict) {
			return fmt.Errorf("delete an old version: %v", err)
		}
		if err := ctx.KVDelete("a"); err != nil {
			return err
		}
		if err := ctx.KVDelete("a"); !errors.Is(err, plugin.ErrNotFound) {
			return fmt.Errorf("delete twice: %v", err)
		}
		if _, err := ctx.KVSet("short", nil, time.Microsecond); err != nil {
			return err
		}
		if _, err := ctx.KVSet("x", nil, -1); !errors.Is(err, plugin.ErrInvalid) {
			return fmt.Errorf("ttl below zero: %v", err)
		}
		if value, _, err := ctx.KVGet("short"); err != nil || len(value) != 0 {
			return fmt.Errorf("empty value: %q %w", value, err)
		}
		now = now.Add(time.Millisecond)
		if _, _, err := ctx.KVGet("short"); !errors.Is(err, plugin.ErrNotFound) {
			return fmt.Errorf("expired: %v", err)
		}
		return nil
	})
	for i := range 70 {
		h.KV.Set(fmt.Sprintf("k%02d", i), "")
	}
	h.KV.Set("other", "")
	in(t, h, func(ctx *plugin.Context) error {
		page, err := ctx.KVList("k", "")
		if err != nil || len(page) != 64 || page[0].Key != "k00" || page[0].Version == 0 {
			return fmt.Errorf("%v %w", page, err)
		}
		rest, err := ctx.KVList("k", page[63].Key)
		if err != nil || len(rest) != 6 || rest[5].Key != "k69" {
			return fmt.Errorf("%v %w", rest, err)
		}
		return nil
	})
	h.KV = nil
	in(t, h, func(ctx *plugin.Context) error {
		if _, _, err := ctx.KVGet("a"); !errors.Is(err, plugin.ErrDenied) {
			return fmt.Errorf("not granted: %v", err)
		}
		return nil
	})
}

func TestKVUpdate(t *testing.T) {
	h := plugintest.New(t)
	in(t, h, func(ctx *plugin.Context) error {
		others := 3 // calls that are faster
		if err := ctx.KVUpdate("n", 0, func(old []byte) ([]byte, error) {
			if others--; others >= 0 {
				h.KV.Set("n", string(old)+"o")
			}
			return append(old, 'x'), nil
		}); err != nil {
			return err
		}
		if got, _ := h.KV.Get("n"); got != "ooox" {
			return fmt.Errorf("n is %q", got)
		}
		if err := ctx.KVUpdate("n", 0, func(old []byte) ([]byte, error) {
			h.KV.Set("n", "busy")
			return old, nil
		}); !errors.Is(err, plugin.ErrConflict) {
			return fmt.Errorf("always slower: %v", err)
		}
		stop := errors.New("stop")
		if err := ctx.KVUpdate("n", 0, func([]byte) ([]byte, error) { return nil, stop }); err != stop {
			return fmt.Errorf("stop: %v", err)
		}
		return nil
	})
}

func TestSecrets(t *testing.T) {
	h := plugintest.New(t)
	in(t, h, func(ctx *plugin.Context) error {
		if _, err := ctx.Secret("key"); !errors.Is(err, plugin.ErrDenied) {
			return fmt.Errorf("not granted: %v", err)
		}
		return nil
	})
	h.Secrets = map[string]string{"key": strings.Repeat("s", 300), "empty": ""}
	in(t, h, func(ctx *plugin.Context) error {
		for name, want := range h.Secrets {
			if got, err := ctx.Secret(name); err != nil || got != want {
				return fmt.Errorf("%s: %q %w", name, got, err)
			}
		}
		if _, err := ctx.Secret("no"); !errors.Is(err, plugin.ErrNotFound) {
			return fmt.Errorf("no: %v", err)
		}
		return nil
	})
}

func TestLogMetricProgress(t *testing.T) {
	h := plugintest.New(t)
	in(t, h, func(ctx *plugin.Context) error {
		ctx.Logf(plugin.LevelWarn, "%d left", 3)
		ctx.Count("seen", 2)
		ctx.Count("seen", 1)
		ctx.Gauge("level", 5)
		ctx.Observe("size", 7)
		ctx.Progress(1, 3, "one of three")
		ctx.Progress(0.5, 0, "")
		return nil
	})
	if len(h.Logs) != 1 || h.Logs[0] != (plugintest.Line{Level: plugin.LevelWarn, Text: "3 left"}) {
		t.Errorf("%v", h.Logs)
	}
	if h.Metrics["seen"] != 3 || h.Metrics["level"] != 5 || h.Metrics["size"] != 7 {
		t.Errorf("%v", h.Metrics)
	}
	if len(h.Progress) != 2 || h.Progress[0] != (plugintest.Progress{Done: "1", Total: "3", Message: "one of three"}) || h.Progress[1] != (plugintest.Progress{Done: "0.5"}) {
		t.Errorf("%+v", h.Progress)
	}
}

func TestCallTool(t *testing.T) {
	h := plugintest.New(t)
	h.CallTool = func(name string, args json.RawMessage) (*plugin.Result, error) {
		switch name {
		case "fails":
			r := plugin.Text("no")
			r.IsError = true
			return &r, nil
		case "denied":
			return nil, plugin.Denied("not you")
		case "deep":
			return nil, plugin.ErrQuota
		}
		r := plugin.Text(string(args))
		return &r, nil
	}
	in(t, h, func(ctx *plugin.Context) error {
		r, err := ctx.CallTool("echo", map[string]string{"a": "<b>"})
		if err != nil || r.Content[0].Text != `{"a":"<b>"}` {
			return fmt.Errorf("%+v %w", r, err)
		}
		if r, err = ctx.CallTool("fails", nil); err != nil || !r.IsError {
			return fmt.Errorf("fails: %+v %w", r, err)
		}
		var e *plugin.Error
		if _, err = ctx.CallTool("denied", json.RawMessage("{}")); !errors.As(err, &e) || e.Status != plugin.StatusDenied || e.Message != "call tool denied: not you" {
			return fmt.Errorf("denied: %v", err)
		}
		if _, err = ctx.CallTool("deep", nil); !errors.Is(err, plugin.ErrQuota) {
			return fmt.Errorf("deep: %v", err)
		}
		if _, err = ctx.CallTool("echo", func() {}); err == nil {
			return errors.New("a function was encoded")
		}
		return nil
	})
}
