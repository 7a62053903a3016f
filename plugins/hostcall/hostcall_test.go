package hostcall

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/plugins/abi"
	"github.com/sallyport/sallyport/plugins/manifest"
	"github.com/sallyport/sallyport/plugins/sandbox"
)

func TestMain(m *testing.M) {
	if code, ran := sandbox.CompileChild(os.Getenv, os.Stdin, os.Stdout); ran {
		os.Exit(code)
	}
	goleak.VerifyTestMain(m)
}

// newHost returns a Host that is closed with the test.
func newHost(t testing.TB, o Options) *Host {
	t.Helper()
	if o.Plugin == "" {
		o.Plugin = "test"
	}
	h, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

// scope returns that of a fresh call.
func scope(call *core.Call, log *slog.Logger) *sandbox.Scope {
	return sandbox.NewScope("test", call, sandbox.Grant{}, log, time.Now, time.Now().Add(time.Minute))
}

// named returns the name of a code, "" when it is none.
func named(code int64) string {
	if code >= 0 {
		return ""
	}
	return abi.ErrorName(code)
}

// diary is a log that a test reads.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) Enabled(context.Context, slog.Level) bool { return true }
func (d *diary) WithAttrs([]slog.Attr) slog.Handler       { return d }
func (d *diary) WithGroup(string) slog.Handler            { return d }

func (d *diary) Handle(_ context.Context, r slog.Record) error {
	line := r.Level.String() + " " + r.Message
	r.Attrs(func(a slog.Attr) bool { line += " " + a.String(); return true })
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, line)
	return nil
}

func (d *diary) text() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return strings.Join(d.lines, "\n")
}

func TestNewRefuses(t *testing.T) {
	inject := func(header, secret string) manifest.Capabilities {
		return manifest.Capabilities{HTTP: []manifest.HTTP{{Host: "a.example", Inject: &manifest.Inject{Header: header, Secret: secret}}}}
	}
	tests := map[string]struct {
		o    Options
		want string
	}{
		"configuration is a list":    {Options{Config: json.RawMessage(`[]`)}, "configuration"},
		"configuration twice":        {Options{Config: json.RawMessage(`{"a":1,"a":2}`)}, "configuration"},
		"no egress":                  {Options{Granted: manifest.Capabilities{HTTP: []manifest.HTTP{{Host: "a.example"}}}}, "no egress"},
		"secret without a value":     {Options{Granted: inject("X-Key", "k"), Dial: &dial{}}, "the secret k, which goes to a.example as the header X-Key, has no value"},
		"secret with a line end":     {Options{Granted: inject("X-Key", "k"), Dial: &dial{}, Secrets: map[string]core.Secret{"k": "abc\r\nHost: evil"}}, "line end"},
		"secret with a blank":        {Options{Granted: inject("X-Key", "k"), Dial: &dial{}, Secrets: map[string]core.Secret{"k": " abc"}}, "blank"},
		"secret as Host":             {Options{Granted: inject("Host", "k"), Dial: &dial{}, Secrets: map[string]core.Secret{"k": "abc"}}, "name a header of the API"},
		"secret as a broken header":  {Options{Granted: inject("X Key", "k"), Dial: &dial{}, Secrets: map[string]core.Secret{"k": "abc"}}, "name a header of the API"},
		"secret as a header of ours": {Options{Granted: inject("Transfer-Encoding", "k"), Dial: &dial{}, Secrets: map[string]core.Secret{"k": "abc"}}, "name a header of the API"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tt.o.Plugin = "weather"
			h, err := New(tt.o)
			if h != nil || err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "plugin weather") {
				t.Errorf("%v, want %q", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "abc") {
				t.Errorf("the error shows the secret: %v", err)
			}
		})
	}
}

func TestGrant(t *testing.T) {
	if got := newHost(t, Options{}).Grant(); got != (sandbox.Grant{}) {
		t.Errorf("nothing granted gives %+v", got)
	}
	all := manifest.Capabilities{
		HTTP: []manifest.HTTP{{Host: "a.example"}}, KV: &manifest.KV{Namespace: "n"}, Secrets: []string{"s"}, Progress: true, CallTool: []string{"t"},
	}
	want := sandbox.Grant{HTTP: true, KV: true, Secrets: true, Progress: true, CallTool: true}
	if got := newHost(t, Options{Granted: all, Dial: &dial{}}).Grant(); got != want {
		t.Errorf("all granted gives %+v", got)
	}
}

func TestConfig(t *testing.T) {
	h := newHost(t, Options{Config: json.RawMessage(`{"units":"metric","deep":{"a":[1]},"none":null}`)})
	tests := []struct{ key, want, code string }{
		{"", `{"units":"metric","deep":{"a":[1]},"none":null}`, ""},
		{"units", `"metric"`, ""},
		{"deep", `{"a":[1]}`, ""},
		{"none", `null`, ""},
		{"Units", "", "not_found"},
		{"deep.a", "", "not_found"},
	}
	for _, tt := range tests {
		value, code := h.Config(t.Context(), scope(nil, nil), []byte(tt.key))
		if named(code) != tt.code || code >= 0 && string(value) != tt.want {
			t.Errorf("%q: %s %q", tt.key, value, named(code))
		}
	}
	if value, code := newHost(t, Options{}).Config(t.Context(), scope(nil, nil), nil); code != 0 || string(value) != "{}" {
		t.Errorf("no configuration is %s %d", value, code)
	}
}

func secrets() Options {
	return Options{
		Granted: manifest.Capabilities{
			HTTP:    []manifest.HTTP{{Host: "a.example", Inject: &manifest.Inject{Header: "X-Key", Secret: "hidden"}}},
			Secrets: []string{"mine", "empty"},
		},
		Secrets: map[string]core.Secret{"mine": "abc", "hidden": "def", "other": "ghi"},
		Dial:    &dial{},
	}
}

func TestSecret(t *testing.T) {
	h := newHost(t, secrets())
	tests := []struct{ name, want, code string }{
		{"mine", "abc", ""},
		{"empty", "", "not_found"}, // granted, and nobody gave a value
		{"hidden", "", "denied"},   // granted for a header only
		{"other", "", "denied"},    // another plugin's
		{"Mine", "", "denied"},
		{"", "", "denied"},
	}
	for _, tt := range tests {
		value, code := h.Secret(t.Context(), scope(nil, nil), []byte(tt.name))
		if named(code) != tt.code || string(value) != tt.want {
			t.Errorf("%q: %q %q", tt.name, value, named(code))
		}
	}
}

// Without the defence a guest reads what was granted for a header only: the test
// above can fail.
func TestSecretUndefended(t *testing.T) {
	h := newHost(t, secrets())
	h.off.scope = true
	if value, code := h.Secret(t.Context(), scope(nil, nil), []byte("hidden")); code < 0 || string(value) != "def" {
		t.Errorf("%q %d: the attack does not work where nothing stops it", value, code)
	}
}
