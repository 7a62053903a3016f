package selftest

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/plugins/abi"
	"github.com/sallyport/sallyport/plugins/guests"
	"github.com/sallyport/sallyport/plugins/manifest"
)

// about reads a manifest with everything granted.
func about(t *testing.T, kinds string) *manifest.Manifest {
	t.Helper()
	m, err := manifest.Parse("plugin.yaml", []byte(`
apiVersion: sallyport/v1
name: acme/test
version: 1.0.0
abi: sallyport/1
kinds: [`+kinds+`]
context: [tool, principal.sub]
capabilities:
  http: [{host: api.example, methods: [GET, POST], inject: {header: X-Api-Key, secret: key}}]
  kv: {namespace: test}
  secrets: [word]
  progress: true
  call_tool: [other.*]
limits: {timeout: 1s, cpu: 500ms}
`))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func run(t *testing.T, wasm []byte, kinds, text string) *Report {
	t.Helper()
	s, err := Parse("fixtures/test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	r, err := Run(t.Context(), wasm, about(t, kinds), []*Suite{s}, Options{InProcess: true})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Cases) != len(s.Cases) {
		t.Fatalf("%d results of %d cases", len(r.Cases), len(s.Cases))
	}
	return r
}

// wants runs the cases and compares their differences, a list for each.
func wants(t *testing.T, wasm []byte, kinds, text string, want ...[]string) *Report {
	t.Helper()
	r := run(t, wasm, kinds, text)
	for i := range r.Cases {
		c := &r.Cases[i]
		if !slices.Equal(c.Differences, want[i]) || c.Passed != (len(want[i]) == 0) {
			t.Errorf("%s (passed %v)\n got  %s\n want %s", c.Name, c.Passed, strings.Join(c.Differences, "\n      "), strings.Join(want[i], "\n      "))
		}
	}
	return r
}

func TestPayloads(t *testing.T) {
	r := wants(t, guests.Echo(), "invoker, response_transformer", `
cases:
  - {name: equal as JSON, call: tool_call, meta: {tool: echo}, payload: {b: [1, 2.50], a: x}, expect: {payload: {a: x, b: [1.0, 25e-1]}}}
  - {name: not equal, call: tool_call, payload: {a: {b/c: 3, d: [1, 2]}, e: null}, expect: {payload: {a: {b/c: 4, d: [1]}, f: 1}}}
  - {name: exact bytes, call: tool_call, json: '{"a": 1.0}', expect: {text: '{"a": 1.0}', contains: ["1.0"], lacks: ["2.0"]}}
  - {name: parts, call: response_transform, text: "no JSON", expect: {payload: {a: 1}, contains: [yes], lacks: [JSON]}}
  - {name: other bytes, call: tool_call, base64: /wA=, expect: {base64: /wE=}}
  - {name: another status, call: tool_call, text: said, expect: {status: DENIED}}
  - {name: a null, call: tool_call, payload: null, expect: {payload: null}}
  - {name: nothing, call: tool_call, expect: {text: "", mime: text/plain, meta: {log: x}}}
`,
		nil,
		[]string{"/expect/payload/a/b~1c: expected 4, got 3", "/expect/payload/a/d/1: expected nothing, got 2", "/expect/payload/f: expected 1, got nothing", "/expect/payload/e: expected nothing, got null"},
		nil,
		[]string{`/expect/payload: expected JSON, got "no JSON" (JSON: invalid character 'o' in literal null (expecting 'u') (byte 1))`, `/expect/contains/0: expected "yes" somewhere, got "no JSON"`, `/expect/lacks/0: expected "JSON" nowhere, got "no JSON"`},
		[]string{`/expect/payload: expected "\xff\x01", got "\xff\x00"`},
		[]string{`/expect/status: expected DENIED, got OK ("said")`},
		nil,
		[]string{`/expect/meta/log: expected "x", got nothing`, `/expect/mime: expected "text/plain", got ""`},
	)
	if r.OK() || r.Failed() != 5 || !strings.HasSuffix(r.String(), "3 of 8 cases passed\n") || !strings.Contains(r.String(), "fixtures/test.yaml:4: not equal\n  /expect/payload/a/b~1c: expected 4, got 3\n") {
		t.Errorf("%s", r)
	}
	if c := &r.Cases[0]; c.Fuel <= 0 || c.Duration <= 0 || c.Memory < 64<<10 {
		t.Errorf("not measured: %+v", c)
	}
}

// Each case has an instance of its own: none sees what another left.
func TestCasesAreAlone(t *testing.T) {
	text := "cases:\n"
	var want [][]string
	for _, name := range []string{"a", "b", "c", "d"} {
		text += "  - {name: " + name + ", call: tool_call, expect: {text: \"1\"}}\n"
		want = append(want, nil)
	}
	wants(t, guests.Counter(false), "invoker", text, want...)
	wants(t, guests.Counter(true), "invoker", text, want...)
}

func TestBrokenInstances(t *testing.T) {
	// More than the breaker of a plugin bears.
	text := "cases:\n"
	var want [][]string
	for _, name := range strings.Split("abcdefgh", "") {
		text += "  - {name: " + name + ", call: tool_call, expect: {status: TRAP}}\n"
		want = append(want, nil)
	}
	wants(t, guests.Trap(), "invoker", text, want...)
	wants(t, guests.Trap(), "invoker", "cases: [{name: a, call: tool_call}]",
		[]string{"/expect/status: expected OK, got TRAP (plugin acme/test: its code failed in sallyport_tool_call)"})
	wants(t, guests.Start(guests.Op(guests.Unreachable)), "invoker", "cases: [{name: a, call: tool_call, expect: {status: TRAP}}, {name: b, call: configure, expect: {status: TRAP}}]", nil, nil)
}

func TestConfigurations(t *testing.T) {
	wants(t, guests.Configured(), "invoker", `
cases:
  - {name: taken, call: configure}
  - {name: refused, call: configure, config: {a: 1}, expect: {status: REFUSED, contains: ['{"a":1}']}}
  - {name: not refused, call: configure, expect: {status: REFUSED}}
  - {name: refused unexpectedly, call: tool_call, config: {a: 1}}
  - {name: works afterwards, call: tool_call}
`,
		nil, nil,
		[]string{"/expect/status: expected REFUSED, got OK"},
		[]string{`/expect/status: expected OK, got REFUSED (plugin acme/test refuses its configuration: {"a":1})`},
		nil)
}

// asks is a guest that hands a frame to a host function and answers with what `read`
// then gives, at most 256 bytes.
func asks(name, frame string) []byte {
	var function, read uint32
	m := guests.New(func(m *guests.Module) {
		function = m.Import(abi.Module, name, "ii", "l")
		read = m.Import(abi.Module, abi.Read, "iii", "i")
	})
	m.Data(64, frame)
	cat := func(code ...[]byte) []byte { return slices.Concat(code...) }
	return m.Export(abi.ToolCall, m.Func("ii", "l", "i",
		guests.GlobalGet(guests.Out), guests.Const64(0), guests.Store64(0),
		guests.Const(64), guests.Const(int32(len(frame))), guests.Call(function), guests.Op(guests.Drop),
		cat(guests.GlobalGet(guests.Out), guests.Const(8), guests.Op(guests.Add)), guests.Const(0), guests.Const(256), guests.Call(read),
		guests.Const(8), guests.Op(guests.Add), guests.Answer(2))).Bytes()
}

func TestRequests(t *testing.T) {
	frame := abi.AppendIn(nil, []abi.Pair{{Key: ":method", Value: "POST"}, {Key: ":url", Value: "https://api.example/a%20b?x=1&y=2"}, {Key: "Accept", Value: "text/plain"}}, []byte(`{"a":1}`))
	wants(t, asks(abi.HTTP, string(frame)), "invoker", `
secrets: {key: abc}
cases:
  - name: as expected
    call: tool_call
    http:
      - request: {method: POST, url: "https://API.example:443/a%20b?y=2&x=1", headers: {x-api-key: abc, accept: text/plain}, json: {a: 1.0}}
        response: {status: 404, headers: {content-type: text/plain}, body: gone}
    expect: {contains: [gone, content-type]}
  - name: all of it wrong
    call: tool_call
    http:
      - request: {method: GET, url: "https://api.example/b", headers: {x-api-key: abd, x-other: "1"}, body: x}
        response: {json: {a: 1}}
      - request: {url: "https://api.example/never"}
        error: timeout
    expect: {contains: ['{"a":1}']}
  - name: nothing expected
    call: tool_call
  - name: it fails
    call: tool_call
    http: [{request: {}, error: denied}]
    expect: {text: ""}
`,
		nil,
		[]string{
			"/http/0/request/method: expected GET, got POST", "/http/0/request/url: expected https://api.example/b, got https://api.example/a%20b?x=1&y=2",
			`/http/0/request/headers/x-api-key: expected "abd", got "abc"`, `/http/0/request/headers/x-other: expected "1", got nothing`,
			`/http/0/request/body: expected "x", got {"a":1}`, "/http/1: expected a request (https://api.example/never), got none",
		},
		[]string{"/http/0: expected no further request, got POST https://api.example/a%20b?x=1&y=2"},
		nil)
	wants(t, asks(abi.HTTP, string(frame)), "invoker", `
cases:
  - name: a secret that the fixture does not give
    call: tool_call
    http: [{request: {headers: {x-api-key: secret-key}}, response: {}}]
`, nil)
}

func TestToolCalls(t *testing.T) {
	frame := abi.AppendIn(nil, []abi.Pair{{Key: "tool", Value: "other.tool"}}, []byte(`{"a":1}`))
	wants(t, asks(abi.CallTool, string(frame)), "invoker", `
cases:
  - name: as expected
    call: tool_call
    tools: [{tool: other.tool, arguments: {a: 1}, result: {content: [{type: text, text: hi}]}}]
    expect: {contains: ['"text":"hi"']}
  - name: another tool
    call: tool_call
    tools: [{tool: other.one, arguments: {a: 2}, status: DENIED, text: not you}, {tool: more, status: TOOL_ERROR, text: x}]
    expect: {contains: [not you]}
  - name: unexpected
    call: tool_call
`,
		nil,
		[]string{"/tools/0/tool: expected other.one, got other.tool", "/tools/0/arguments/a: expected 2, got 1", "/tools/1: expected a call of more, got none"},
		[]string{"/tools/0: expected no further call, got one of other.tool"})
}

func TestStore(t *testing.T) {
	wants(t, guests.KVOnce(), "invoker", `
cases:
  - {name: stays, call: tool_call, kv: {hello: world, json: {a: 1}}, expect: {kv: {hello: world, json: {a: 1.0}}}}
  - {name: differs, call: tool_call, kv: {hello: world, json: {a: 1}, more: x}, expect: {kv: {hello: you, json: {a: 2}, gone: y, more: null, none: null}}}
  - {name: too much, call: tool_call, kv: {hello: world}, expect: {kv: {}}}
`,
		nil,
		[]string{"/expect/kv/gone: expected \"y\", got nothing", "/expect/kv/hello: expected \"you\", got \"world\"", "/expect/kv/json/a: expected 2, got 1", "/expect/kv/more: expected nothing, got \"x\""},
		[]string{`/expect/kv/hello: expected nothing, got "world"`})
}

// The fixture's clock is the plugin's, and chance is the same each time.
func TestWorldIsMadeUp(t *testing.T) {
	var now, random uint32
	m := guests.New(func(m *guests.Module) {
		now = m.Import("wasi_snapshot_preview1", "clock_time_get", "ili", "i")
		random = m.Import("wasi_snapshot_preview1", "random_get", "ii", "i")
	})
	// The upper half of the nanoseconds, which turns over every 4.3 s, and 8 random bytes.
	wasm := m.Export(abi.ToolCall, m.Func("ii", "l", "i",
		guests.GlobalGet(guests.Out), guests.Const64(0), guests.Store64(0),
		guests.Const(0), guests.Const64(1), guests.Const(64), guests.Call(now), guests.Op(guests.Drop),
		guests.Const(72), guests.Const(8), guests.Call(random), guests.Op(guests.Drop),
		guests.GlobalGet(guests.Out), guests.Const(8), guests.Op(guests.Add), guests.Const(68), guests.Const(12), guests.MemoryCopy(),
		guests.Const(20), guests.Answer(2))).Bytes()
	upper := func(at time.Time) []byte {
		return binary.LittleEndian.AppendUint32(nil, uint32(uint64(at.UnixNano())>>32))
	}
	chance := []byte("\x00\x00\x00\x00\x00\x00\x00\x00")
	text := func() string {
		expect := func(at time.Time) string { return base64.StdEncoding.EncodeToString(slices.Concat(upper(at), chance)) }
		later := time.Date(2031, 5, 6, 7, 8, 9, 0, time.UTC)
		return `
cases:
  - {name: by itself, call: tool_call, expect: {base64: ` + expect(Beginning) + `}}
  - {name: later, call: tool_call, now: "2031-05-06T07:08:09Z", expect: {base64: ` + expect(later) + `}}
  - {name: by itself again, call: tool_call, expect: {base64: ` + expect(Beginning) + `}}
`
	}
	r := run(t, wasm, "invoker", text())
	// The first run tells which random bytes come; the second must give the same.
	got := r.Cases[0].Differences
	if len(got) != 1 || !strings.Contains(got[0], "/expect/payload") {
		t.Fatalf("%v", got)
	}
	first := run(t, wasm, "invoker", text())
	if a, b := r.Cases, first.Cases; a[0].Differences[0] != b[0].Differences[0] || a[1].Differences[0] != b[1].Differences[0] {
		t.Errorf("two runs differ:\n%v\n%v", a, b)
	}
	wants(t, clockOnly(), "invoker", `
now: "2026-01-01T00:00:00Z"
cases:
  - {name: by itself, call: tool_call, expect: {base64: `+base64.StdEncoding.EncodeToString(upper(Beginning))+`}}
  - {name: later, call: tool_call, now: "2031-05-06T07:08:09Z", expect: {base64: `+base64.StdEncoding.EncodeToString(upper(time.Date(2031, 5, 6, 7, 8, 9, 0, time.UTC)))+`}}
  - {name: by itself again, call: tool_call, expect: {base64: `+base64.StdEncoding.EncodeToString(upper(Beginning))+`}}
`, nil, nil, nil)
}

func clockOnly() []byte {
	var now uint32
	m := guests.New(func(m *guests.Module) { now = m.Import("wasi_snapshot_preview1", "clock_time_get", "ili", "i") })
	return m.Export(abi.ToolCall, m.Func("ii", "l", "i",
		guests.GlobalGet(guests.Out), guests.Const64(0), guests.Store64(0),
		guests.Const(0), guests.Const64(1), guests.Const(64), guests.Call(now), guests.Op(guests.Drop),
		guests.GlobalGet(guests.Out), guests.Const(8), guests.Op(guests.Add), guests.Const(68), guests.Const(4), guests.MemoryCopy(),
		guests.Const(12), guests.Answer(2))).Bytes()
}

func TestLogs(t *testing.T) {
	r := wants(t, guests.Stdout("asked for Oslo\n", 1), "invoker", `
cases:
  - {name: said, call: tool_call, expect: {logs: [for Oslo], progress: 0}}
  - {name: not said, call: tool_call, expect: {logs: [for Rome], progress: 1}}
`, nil, []string{"/expect/progress: expected 1, got 0", `/expect/logs/0: expected a line with "for Rome", got "asked for Oslo"`})
	if !slices.Equal(r.Cases[0].Logs, []string{"asked for Oslo"}) {
		t.Errorf("%q", r.Cases[0].Logs)
	}
}

// What the manifest does not name the gateway does not do: a fixture that counts on it
// would prove nothing.
func TestManifestCounts(t *testing.T) {
	wants(t, guests.Echo(), "invoker", `
cases:
  - {name: a, call: authorize, meta: {tenant: acme}}
`, []string{
		"/call: the manifest does not list the kind authorizer, so the gateway never makes this call",
		"/meta/tenant: the manifest does not list it under context, so the gateway never sends it",
	})
}

func TestModuleThatCannotBeLoaded(t *testing.T) {
	m := about(t, "invoker")
	m.Capabilities.KV = nil
	s, err := Parse("a.yaml", []byte("cases: [{name: a, call: tool_call}]"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Run(t.Context(), guests.KVOnce(), m, []*Suite{s}, Options{InProcess: true}); err == nil || !strings.Contains(err.Error(), "kv") {
		t.Errorf("got %v, want the capability that is missing", err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := Run(ended, guests.Echo(), m, []*Suite{s}, Options{InProcess: true}); err == nil {
		t.Error("a run goes on after its context ended")
	}
}

// Suites run in a child-compiled sandbox with a cache of its own, as in the gateway.
func TestAsInTheGateway(t *testing.T) {
	s, err := Parse("a.yaml", []byte("cases: [{name: a, call: tool_call, text: x, expect: {text: x}}]"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := Run(t.Context(), guests.Echo(), about(t, "invoker"), []*Suite{s}, Options{})
	if err != nil || !r.OK() {
		t.Fatalf("%v %v", r, err)
	}
}

// starts is a guest whose configure runs the code, and whose tool call answers OK.
func starts(name, params, results string, code func(function uint32) []byte) []byte {
	var function uint32
	m := guests.New(func(m *guests.Module) { function = m.Import(abi.Module, name, params, results) })
	m.Data(64, "hello")
	m.Export(abi.Configure, m.Func("ii", "l", "", code(function), guests.Fine()))
	return m.Export(abi.ToolCall, m.Func("ii", "l", "", guests.Fine())).Bytes()
}

// The instance of the next case is made while the last one is compared: what it says as
// it starts belongs to the next, once.
func TestStartsBelongToTheirCase(t *testing.T) {
	wasm := starts(abi.Log, "iii", "", func(log uint32) []byte {
		return slices.Concat(guests.Const(1), guests.Const(64), guests.Const(5), guests.Call(log))
	})
	text := "cases:\n"
	var want [][]string
	for _, name := range strings.Split("abcdefghijklmnopqrst", "") {
		text += "  - {name: " + name + ", call: tool_call, expect: {logs: [hello]}}\n"
		want = append(want, nil)
	}
	r := wants(t, wasm, "invoker", text, want...)
	for _, c := range r.Cases {
		if len(c.Logs) != 1 {
			t.Errorf("%s: its log has %q", c.Name, c.Logs)
		}
	}
}

// A start that asks for the outside gets that of its own case, whichever comes first.
func TestStartsThatAsk(t *testing.T) {
	frame := string(abi.AppendIn(nil, []abi.Pair{{Key: ":method", Value: "GET"}, {Key: ":url", Value: "https://api.example/start"}}, nil))
	var http uint32
	m := guests.New(func(m *guests.Module) { http = m.Import(abi.Module, abi.HTTP, "ii", "l") })
	m.Data(64, frame)
	m.Export(abi.Configure, m.Func("ii", "l", "", guests.Const(64), guests.Const(int32(len(frame))), guests.Call(http), guests.Op(guests.Drop), guests.Fine()))
	wasm := m.Export(abi.ToolCall, m.Func("ii", "l", "", guests.Fine())).Bytes()
	one := "call: tool_call, http: [{request: {url: \"https://api.example/start\"}, response: {}}]}\n"
	wants(t, wasm, "invoker", "cases:\n  - {name: a, "+one+"  - {name: b, "+one+"  - {name: c, call: tool_call}\n  - {name: d, "+one,
		nil, nil, []string{"/http/0: expected no further request, got GET https://api.example/start"}, nil)
}

// A module cannot keep the gateway busy with its fixtures.
func TestRunEnds(t *testing.T) {
	s, err := Parse("a.yaml", []byte("cases: [{name: a, call: tool_call}, {name: b, call: tool_call}, {name: c, call: tool_call}]"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := Run(t.Context(), guests.Spin(), about(t, "invoker"), []*Suite{s}, Options{InProcess: true, Time: 600 * time.Millisecond})
	if err == nil || !strings.Contains(err.Error(), "the fixtures take longer than 600ms") {
		t.Fatalf("got %v", err)
	}
	if n := len(r.Cases); n == 0 || n == 3 {
		t.Errorf("%d cases ran", n)
	}
}
