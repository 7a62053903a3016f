package conformance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/plugins/abi"
	"github.com/sallyport/sallyport/plugins/rewrite"
	"github.com/sallyport/sallyport/plugins/sandbox"
	"github.com/sallyport/sallyport/plugins/selftest"
)

var all = sandbox.Grant{HTTP: true, KV: true, Secrets: true, Progress: true, CallTool: true}

// open loads a guest; what o leaves open is set.
func open(t *testing.T, g *guest, o sandbox.Options) *sandbox.Plugin {
	t.Helper()
	p, err := tryOpen(t, g, o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func tryOpen(t *testing.T, g *guest, o sandbox.Options) (*sandbox.Plugin, error) {
	t.Helper()
	o.Name, o.Grant, o.CacheDir = "conformance", all, cache
	o.Limits.Instances = 1
	p, err := sandbox.Load(t.Context(), g.wasm, o)
	if err == nil {
		t.Cleanup(func() {
			if err := p.Close(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	return p, err
}

var patient = sandbox.Budget{Wall: sandbox.InvokerBudget.Wall, CPU: sandbox.InvokerBudget.CPU, Raw: true}

// ask calls a tool and insists on an answer.
func ask(t *testing.T, p *sandbox.Plugin, tool, payload string) sandbox.Answer {
	t.Helper()
	a, err := p.Call(t.Context(), abi.ToolCall, []abi.Pair{{Key: abi.MetaTool, Value: tool}}, []byte(payload), patient)
	if err != nil {
		t.Fatalf("%s: %v", tool, err)
	}
	return a
}

// stage is the world that is on.
type stage struct{ *world }

// played is all that each case did to its world. Cases of the same configuration meet
// the same instance, one after the other.
func played(t *testing.T, g *guest, plain bool) (names, did []string) {
	t.Helper()
	plugins, stages := map[string]*sandbox.Plugin{}, map[string]*stage{}
	for _, s := range g.suites(t) {
		for i := range s.Cases {
			c := &s.Cases[i]
			w := newWorld(s, c)
			key := string(w.config)
			if plugins[key] == nil || c.Call == abi.Configure {
				stages[key] = &stage{w}
				p, err := tryOpen(t, g, sandbox.Options{Host: stages[key], Config: w.config, Plain: plain})
				if err != nil {
					names, did = append(names, c.Name), append(did, core.AsError(err).Public())
					continue
				}
				plugins[key] = p
			}
			stages[key].world = w
			w.seen = nil
			names = append(names, c.Name)
			if c.Call == abi.Configure {
				did = append(did, "configured")
				continue
			}
			a, err := plugins[key].Call(t.Context(), c.Call, c.Meta, c.Payload, patient)
			if err != nil {
				did = append(did, "broken "+string(core.AsError(err).Code))
				continue
			}
			did = append(did, fmt.Sprintf("%v %q %q\n%q\n%v", a.Status, a.Meta, a.Payload, w.seen, w.store))
		}
	}
	return names, did
}

// The rewriter changes nothing that a guest does: every case comes out the same, to the
// byte, on the instrumented guest and on the guest as its compiler made it.
func TestInstrumentedIsPlain(t *testing.T) {
	each(t, func(t *testing.T, g *guest) {
		names, instrumented := played(t, g, false)
		_, plain := played(t, g, true)
		broken := 0
		for n, name := range names {
			if g.language == "go" { // a panic's stack has addresses of the module
				instrumented[n], plain[n] = withoutStack(instrumented[n]), withoutStack(plain[n])
			}
			if instrumented[n] != plain[n] {
				t.Errorf("%s\ninstrumented: %.500s\nplain:        %.500s", name, instrumented[n], plain[n])
			}
			if strings.HasPrefix(plain[n], "broken") {
				broken++
			}
		}
		if want := map[string]int{"caught": 0, "trapped": 1}[g.thrown]; len(names) < 100 || len(plain) != len(names) || broken != want {
			t.Errorf("%d of %d cases broke the instance, want %d", broken, len(names), want)
		}
	})
}

func withoutStack(s string) string {
	head, _, _ := strings.Cut(s, "goroutine ")
	return head
}

// 64 pairs come in, whatever they are; of two with the same key the first counts.
func TestPairs(t *testing.T) {
	each(t, func(t *testing.T, g *guest) {
		p := open(t, g, sandbox.Options{})
		pairs := []abi.Pair{{Key: abi.MetaTool, Value: "pair"}, {Key: abi.MetaTool, Value: "echo"}, {Key: "", Value: "of the empty key"}}
		for n := len(pairs); n < abi.MaxPairs; n++ {
			pairs = append(pairs, abi.Pair{Key: fmt.Sprint("k", n%50), Value: fmt.Sprint("välue ", n)})
		}
		for key, want := range map[string]string{"": "of the empty key", "k3": "välue 3", "k10": "välue 10", "k49": "välue 49", "k0": "välue 50", "k50": "", "K3": ""} {
			a, err := p.Call(t.Context(), abi.ToolCall, pairs, []byte(key), patient)
			if err != nil || string(a.Payload) != want {
				t.Errorf("%q: %q %v, want %q", key, a.Payload, err, want)
			}
		}
	})
}

// Answers of every length come through, at once or by read, and so do large inputs and
// outputs.
func TestSizes(t *testing.T) {
	each(t, func(t *testing.T, g *guest) {
		w := newWorld(&selftest.Suite{}, &selftest.Case{})
		p := open(t, g, sandbox.Options{Host: w})
		letters := bytes.Repeat([]byte("abcdefghijklmnopqrstuvwxyz"), 3<<20/26+1)
		for _, n := range []int{0, 1, 118, 119, 120, 121, 127, 128, 129, 503, 504, 505, 511, 512, 513, 1023, 1024, 1025, 4095, 4096, 4097, 65535, 65536, 65537, 1 << 20} {
			want := string(letters[:n])
			w.mu.Lock()
			w.put("k", letters[:n])
			w.config = fmt.Appendf(nil, `{"k":"%s"}`, want)
			w.secrets = map[string]core.Secret{"k": core.Secret(want)}
			w.serve = func([]byte) []byte { return abi.AppendOut(nil, 299, nil, letters[:n]) }
			w.mu.Unlock()
			for tool, in := range map[string][2]string{
				"kv": {"get\nk", want}, "secret": {"k", want}, "config": {"k", `"` + want + `"`},
				"http": {"GET\nhttps://api.example/", "299\n\n" + want}, "echo": {want, want}, "big": {strconv.Itoa(n), want},
				"upper": {want, strings.ToUpper(want)},
			} {
				if a := ask(t, p, tool, in[0]); a.Status != abi.OK || string(a.Payload) != in[1] {
					t.Errorf("%s with %d bytes: %v, %d bytes, want %d", tool, n, a.Status, len(a.Payload), len(in[1]))
				}
			}
		}
		const large = 3 << 20
		if a := ask(t, p, "length", string(letters[:large])); string(a.Payload) != strconv.Itoa(large) {
			t.Errorf("length of %d: %q", large, a.Payload)
		}
		if a := ask(t, p, "big", strconv.Itoa(large)); !bytes.Equal(a.Payload, letters[:large]) {
			t.Errorf("big %d: %d bytes", large, len(a.Payload))
		}
		// Many headers, in order; repeated ones too.
		w.mu.Lock()
		var headers []abi.Pair
		for n := range abi.MaxPairs - 1 {
			headers = append(headers, abi.Pair{Key: fmt.Sprint("x-", n), Value: "v"})
		}
		headers = append(headers, abi.Pair{Key: "content-type", Value: "last"})
		w.serve = func([]byte) []byte { return abi.AppendOut(nil, 200, headers, nil) }
		w.mu.Unlock()
		if a := ask(t, p, "http", "GET\nhttps://api.example/"); string(a.Payload) != "200\nlast\n" {
			t.Errorf("64 headers: %q", a.Payload)
		}
	})
}

// Every negative number of a host function is an error that can be told from the others.
func TestErrors(t *testing.T) {
	names := map[int64]string{
		abi.ErrDenied: "denied", abi.ErrNotFound: "not found", abi.ErrInvalid: "invalid", abi.ErrTooLarge: "too large", abi.ErrTimeout: "timed out",
		abi.ErrUnavailable: "unavailable", abi.ErrQuota: "quota", abi.ErrConflict: "conflict",
	}
	each(t, func(t *testing.T, g *guest) {
		f := &failing{}
		p := open(t, g, sandbox.Options{Host: f})
		for code, name := range names {
			f.code = code
			for tool, payload := range map[string]string{
				"secret": "a", "config": "a", "http": "GET\nhttps://api.example/", "call_tool": "other.a\n{}", "kv": "get\na",
			} {
				if a := ask(t, p, tool, payload); a.Status != abi.ToolError || !strings.Contains(string(a.Payload), name) {
					t.Errorf("%s, %d: %v %q, want %q", tool, code, a.Status, a.Payload, name)
				}
			}
			for _, payload := range []string{"set\na\nb", "new\na\nb", "delete\na", "list\na"} {
				if a := ask(t, p, "kv", payload); a.Status != abi.ToolError || !strings.Contains(string(a.Payload), name) {
					t.Errorf("kv %q, %d: %v %q, want %q", payload, code, a.Status, a.Payload, name)
				}
			}
		}
		f.code = -99 // of a later version of the ABI
		if a := ask(t, p, "secret", "a"); a.Status != abi.ToolError {
			t.Errorf("an unknown error: %v %q", a.Status, a.Payload)
		}
	})
}

// failing answers everything with one code.
type failing struct {
	sandbox.NoHost
	code int64
}

func (f *failing) Config(context.Context, *sandbox.Scope, []byte) ([]byte, int64) { return nil, f.code }

func (f *failing) Secret(context.Context, *sandbox.Scope, []byte) ([]byte, int64) { return nil, f.code }

func (f *failing) HTTP(context.Context, *sandbox.Scope, []byte) ([]byte, int64) { return nil, f.code }

func (f *failing) CallTool(context.Context, *sandbox.Scope, []byte) ([]byte, int64) {
	return nil, f.code
}

func (f *failing) KVSet(context.Context, *sandbox.Scope, []byte, []byte, time.Duration, int64) int64 {
	return f.code
}

func (f *failing) KVDelete(context.Context, *sandbox.Scope, []byte, int64) int64 { return f.code }

func (f *failing) KVList(context.Context, *sandbox.Scope, []byte, []byte) ([]byte, int64) {
	return nil, f.code
}

func (f *failing) KVGet(context.Context, *sandbox.Scope, []byte) ([]byte, uint64, int64) {
	return nil, 0, f.code
}

// An instance keeps what is global, and with isolation per call it does not.
func TestIsolation(t *testing.T) {
	each(t, func(t *testing.T, g *guest) {
		for isolation, want := range map[string]string{sandbox.Shared: "1 2 3 4 5", sandbox.PerCall: "1 1 1 1 1"} {
			p := open(t, g, sandbox.Options{Isolation: isolation})
			var got []string
			for range 5 {
				got = append(got, string(ask(t, p, "count", "").Payload))
			}
			if strings.Join(got, " ") != want {
				t.Errorf("%s: %v, want %s", isolation, got, want)
			}
		}
	})
}

// An input that does not fit into the memory is refused, and the next call works.
func TestTooLargeAnInput(t *testing.T) {
	each(t, func(t *testing.T, g *guest) {
		p := open(t, g, sandbox.Options{Limits: sandbox.Limits{Memory: 16 << 20, Input: 64 << 20}})
		meta := []abi.Pair{{Key: abi.MetaTool, Value: "length"}}
		for range 2 {
			_, err := p.Call(t.Context(), abi.ToolCall, meta, make([]byte, 40<<20), patient)
			var e *core.Error
			if !errors.As(err, &e) || (e.Code != core.CodeTooLarge && g.language != "go") || (g.language == "go" && e.Code != core.CodeTooLarge && e.Code != core.CodeInternal) {
				t.Errorf("%v, want %s: sallyport_alloc returns 0 when there is no memory", err, core.CodeTooLarge)
			}
			if a := ask(t, p, "length", "abc"); string(a.Payload) != "3" {
				t.Errorf("afterwards: %q", a.Payload)
			}
		}
	})
}

// A module shows by its imports what it may need, so nothing is imported that nobody
// calls; and it has the exports of the ABI with their types, which the sandbox checks.
func TestImports(t *testing.T) {
	each(t, func(t *testing.T, g *guest) {
		m, err := rewrite.Inspect(g.wasm, rewrite.Default)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, i := range m.Imports {
			if i.Module == abi.Module {
				names = append(names, i.Name)
			}
		}
		slices.Sort(names)
		want := make([]string, 0, len(abi.Imports))
		for _, i := range abi.Imports {
			want = append(want, i.Name)
		}
		slices.Sort(want)
		if !slices.Equal(names, want) {
			t.Errorf("it imports %v, want %v", names, want)
		}
	})
}

// 50,000 calls leave the memory as it was: what a call takes it gives back. Go's
// collector finds the size of its heap slowly: it adds 256 KiB between the 50,000th and
// the 100,000th call and nothing more up to the 1,000,000th, so Go may add a little.
func TestMemoryIsFlat(t *testing.T) {
	const warm, calls = 20_000, 50_000
	each(t, func(t *testing.T, g *guest) {
		var memory, more int64
		if g.language == "go" {
			more = 512 << 10
		}
		w := newWorld(&selftest.Suite{}, &selftest.Case{})
		w.serve = func([]byte) []byte {
			w.seen = w.seen[:0]
			return abi.AppendOut(nil, 200, []abi.Pair{{Key: "content-type", Value: "text/plain"}}, make([]byte, 1500))
		}
		p := open(t, g, sandbox.Options{
			Host: w, Limits: sandbox.Limits{Calls: 1 << 29, Memory: 64 << 20},
			Observe: func(e sandbox.Event) { memory = e.Memory },
		})
		tools := []struct{ tool, payload string }{
			{"upper", strings.Repeat("x", 1024)},
			{"typed", `{"city":"Osl\u00f8","days":3,"more":[1,2,{"a":"b"}]}`},
			{"http", "GET\nhttps://api.example/\nx-a: b\n\nbody"},
			{"kv", "set\na\nvalue"},
			{"kv", "get\na"},
			{"fail", "denied"},
			{"meta", ""},
			{"config", ""},
			{"big", "3000"},
			{"nothing", ""},
		}
		call := func(n int) {
			for i := range n {
				tt := tools[i%len(tools)]
				ask(t, p, tt.tool, tt.payload)
			}
		}
		call(warm)
		before := memory
		call(calls)
		if s := p.Stats(); memory > before+more || s.Discards != 0 || s.Recycled != 0 {
			t.Errorf("%d KiB after %d calls, %d KiB after %d more; %d discarded, %d replaced", before>>10, warm, memory>>10, calls, s.Discards, s.Recycled)
		}
		t.Logf("%d KiB", memory>>10)
	})
}
