package manifest_test

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/plugins/abi"
	"github.com/sallyport/sallyport/plugins/manifest"
)

// weather is the manifest of the design.
const weather = `apiVersion: sallyport/v1
name: acme/weather
version: 1.4.0
abi: sallyport/1
kinds: [invoker, response_transformer]
tools:
  - name: weather.lookup
    description: Weather of a city
    inputSchema: {type: object, properties: {zip: {type: string}, city: {type: string}}, required: [city]}
    annotations: {readOnlyHint: true}
context: [tool, call_id, principal.sub]
capabilities:
  http: [{host: api.weather.example, methods: [GET], ports: [443], inject: {header: X-Api-Key, secret: weather_key}}]
  kv: {namespace: weather, max_bytes: 1MiB}
  secrets: [weather_key]
config_schema: {type: object, properties: {units: {enum: [metric, imperial]}}}
limits: {memory: 32MiB, timeout: 5s, cpu: 500ms, max_input: 1MiB, max_output: 1MiB}
isolation: shared
on_error: closed
`

const least = "apiVersion: sallyport/v1\nname: a/b\nversion: 1.0.0\nabi: sallyport/1\nkinds: [invoker]\n"

func parse(t *testing.T, text string) *manifest.Manifest {
	t.Helper()
	m, err := manifest.Parse("plugin.yaml", []byte(text))
	if err != nil {
		t.Fatalf("parse:\n%v", err)
	}
	return m
}

func TestParseTheDesign(t *testing.T) {
	m := parse(t, weather)
	if m.Name != "acme/weather" || m.Version != "1.4.0" || !m.Is(manifest.Invoker) || m.Is(manifest.Authorizer) {
		t.Errorf("head = %+v", m)
	}
	want := manifest.Capabilities{
		HTTP: []manifest.HTTP{{
			Host: "api.weather.example", Scheme: "https", Methods: []string{"GET"}, Ports: []int{443},
			Inject: &manifest.Inject{Header: "X-Api-Key", Secret: "weather_key"},
		}},
		KV: &manifest.KV{Namespace: "weather", MaxBytes: 1 << 20}, Secrets: []string{"weather_key"},
	}
	if !reflect.DeepEqual(m.Capabilities, want) {
		t.Errorf("capabilities = %+v, want %+v", m.Capabilities, want)
	}
	if m.Limits != (manifest.Limits{32 << 20, manifest.Duration(5 * time.Second), manifest.Duration(500 * time.Millisecond), 1 << 20, 1 << 20}) {
		t.Errorf("limits = %+v", m.Limits)
	}
	// The order of properties is what people and models see: it is kept.
	if got := string(m.Tools[0].InputSchema); got != `{"type":"object","properties":{"zip":{"type":"string"},"city":{"type":"string"}},"required":["city"]}` {
		t.Errorf("inputSchema = %s", got)
	}
}

// Every mistake is named with its place and what would be right.
func TestMistakes(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"unknown key", least + "limit: {}\n", `plugin.yaml:6:1: /limit: unknown key "limit"; did you mean limits?`},
		{"unknown key within", least + "capabilities: {htpp: []}\n", `plugin.yaml:6:16: /capabilities/htpp: unknown key "htpp"; did you mean http?`},
		{"twice", least + "name: a/c\n", `plugin.yaml:6:1: "name" stands twice; remove one; the first is in line 2`},
		{"missing", "apiVersion: sallyport/v1\n", `plugin.yaml:1:1: name is missing; add name`},
		{"empty", "", "plugin.yaml:1:1: the manifest is empty"},
		{"no value", least + "limits:\n", "/limits: limits has no value"},
		{"list", "- a\n", "plugin.yaml:1:1: a list where an object belongs"},
		{"two documents", least + "---\na: b\n", "a second document after ---"},
		{"alias", least + "context: &a [tool]\n", "an anchor or an alias"},
		{"tag", least + "description: !!str x\n", "a YAML tag"},
		{"merge", least + "<<: {a: b}\n", "a merge key"},
		{"directive", "%YAML 1.2\n---\n" + least, "a YAML directive"},
		{"tab", least + "limits:\n\tmemory: 1MiB\n", "plugin.yaml:7:"},
		{"apiVersion", strings.Replace(least, "sallyport/v1", "sallyport/v2", 1), `"sallyport/v2" does not fit here; write sallyport/v1`},
		{"abi", strings.Replace(least, "sallyport/1", "extism/1", 1), `write sallyport/1`},
		{"name", strings.Replace(least, "a/b", "A/b", 1), "/name:"},
		{"name escapes", strings.Replace(least, "a/b", "../b", 1), "/name:"},
		{"version is a number", strings.Replace(least, "1.0.0", "1.0", 1), `/version: a number where text belongs; put it in quotes: "1.0"`},
		{"version with v", strings.Replace(least, "1.0.0", "v1.0.0", 1), "without v"},
		{"kind", strings.Replace(least, "invoker", "invokers", 1), "write one of invoker, tool_catalogue"},
		{"no kind", strings.Replace(least, "[invoker]", "[]", 1), "/kinds: no kind"},
		{"kind twice", strings.Replace(least, "[invoker]", "[invoker, invoker]", 1), `"invoker" stands twice`},
		{"context", least + "context: [arguments]\n", "/context/0:"},
		{"size without unit", least + "limits: {memory: 33554432}\n", "write 33554432B"},
		{"decimal unit", least + "limits: {memory: 32MB}\n", `"32MB" is no size`},
		{"too much memory", least + "limits: {memory: 257MiB}\n", "/limits/memory: more than any operator may give; at most 256MiB"},
		{"too little memory", least + "limits: {memory: 1B}\n", "at least 64KiB"},
		{"too much time", least + "limits: {timeout: 61s}\n", "at most 1m"},
		{"a transformer's time", strings.Replace(least, "invoker", "authorizer", 1) + "limits: {timeout: 3s}\n", "at most 2s"},
		{"cpu", least + "limits: {cpu: 11s}\n", "at most 10s"},
		{"negative", least + "limits: {timeout: -1s}\n", "is no duration"},
		{"tools without invoker", strings.Replace(least, "invoker", "authorizer", 1) + "tools: [{name: a}]\n", "tools without kind invoker"},
		{"tool twice", least + "tools: [{name: a}, {name: a}]\n", "/tools/1: tool a stands twice"},
		{"tool schema", least + "tools: [{name: a, inputSchema: {type: string}}]\n", "/tools/0/inputSchema/type:"},
		{"annotation", least + "tools: [{name: a, annotations: {readOnlyHint: yes}}]\n", "text where true or false belongs"},
		{"True", least + "tools: [{name: a, annotations: {readOnlyHint: True}}]\n", "true or false to some YAML readers"},
		{"on_error", least + "on_error: skip\n", "without kind response_transformer"},
		{"catalogue alone", strings.Replace(least, "invoker", "tool_catalogue", 1), "tool_catalogue without invoker"},
		{"scheme in host", least + "capabilities: {http: [{host: \"https://a.b\"}]}\n", "/capabilities/http/0/host:"},
		{"wildcard too wide", least + "capabilities: {http: [{host: \"*.com\"}]}\n", "/capabilities/http/0/host:"},
		{"short address", least + "capabilities: {http: [{host: \"127.1\"}]}\n", "/capabilities/http/0/host:"},
		{"host missing", least + "capabilities: {http: [{methods: [GET]}]}\n", "host is missing"},
		{"no methods", least + "capabilities: {http: [{host: a.b, methods: []}]}\n", "methods is empty"},
		{"port", least + "capabilities: {http: [{host: a.b, ports: [70000]}]}\n", "/capabilities/http/0/ports/0: no port"},
		{"method", least + "capabilities: {http: [{host: a.b, methods: [get]}]}\n", "in capitals"},
		{"inject host", least + "capabilities: {http: [{host: a.b, inject: {header: Host, secret: k}}]}\n", "steers the exchange"},
		{"wild secret", least + "capabilities: {secrets: [\"*\"]}\n", "/capabilities/secrets/0:"},
		{"hidden character", least + "description: \"a\u202eb\"\n", "a character that does not show (U+202E)"},
		{"octal", least + "config_schema: {minimum: 010}\n", `"010" is a number to some YAML readers`},
		{"infinity", least + "config_schema: {minimum: .inf}\n", "JSON cannot hold"},
		{"not UTF-8", least + "description: \"\xff\"\n", "not UTF-8"},
		{"deep", least + "config_schema: " + strings.Repeat("{a: ", 40) + "1" + strings.Repeat("}", 40) + "\n", "deep"},
		{"very deep", least + "config_schema: " + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + "\n", "plugin.yaml:"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m, err := manifest.Parse("plugin.yaml", []byte(test.text))
			var invalid *manifest.InvalidError
			if m != nil || !errors.As(err, &invalid) {
				t.Fatalf("got %+v, %v; want *InvalidError", m, err)
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("got  %s\nwant %s", err, test.want)
			}
			for _, p := range invalid.Problems {
				if p.Fix == "" {
					t.Errorf("no fix: %+v", p)
				}
			}
		})
	}
}

// All mistakes are told at once, but not without end.
func TestManyMistakes(t *testing.T) {
	var invalid *manifest.InvalidError
	_, err := manifest.Parse("p", []byte(least+"a: 1\nb: 2\nlimits: {c: 1}\n"))
	if !errors.As(err, &invalid) || len(invalid.Problems) != 3 {
		t.Errorf("three mistakes: %v", err)
	}
	_, err = manifest.Parse("p", []byte(least+"context: ["+strings.Repeat("x, ", 8)+"x]\ntools: ["+strings.Repeat("{q: 1}, ", 200)+"]\n"))
	if !errors.As(err, &invalid) || len(invalid.Problems) != 50 {
		t.Errorf("%d mistakes, want 50", len(invalid.Problems))
	}
	if _, err = manifest.Parse("p", bytes.Repeat([]byte("#"), manifest.MaxBytes+1)); err == nil {
		t.Error("a manifest over the limit was read")
	}
}

func TestCanonical(t *testing.T) {
	m := parse(t, weather)
	text, err := m.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	again := parse(t, string(text))
	second, err := again.Canonical()
	if err != nil || !bytes.Equal(text, second) {
		t.Errorf("canonical form changes when read:\n%s\n%s\n%v", text, second, err)
	}
	hash := func(text string) string {
		h, err := parse(t, text).Hash()
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	same := []string{
		strings.Replace(weather, "kinds: [invoker, response_transformer]", "kinds: [response_transformer, invoker] # order", 1),
		strings.Replace(weather, "isolation: shared\n", "", 1),
		strings.Replace(weather, "methods: [GET], ports: [443], ", "", 1),
		strings.Replace(weather, "timeout: 5s", "timeout: 5000ms", 1),
		string(text),
	}
	for _, other := range same {
		if hash(other) != hash(weather) {
			t.Errorf("same meaning, other hash:\n%s", other)
		}
	}
	for _, change := range [][2]string{{"1.4.0", "1.4.1"}, {"[GET]", "[POST]"}, {"[443]", "[8443]"}, {"5s", "6s"}, {"Weather of", "weather of"}, {"metric,", "metrik,"}, {"closed", "skip"}} {
		if hash(strings.Replace(weather, change[0], change[1], 1)) == hash(weather) {
			t.Errorf("%q and %q have one hash", change[0], change[1])
		}
	}
}

func policy(t *testing.T, text string) manifest.Capabilities {
	t.Helper()
	c, err := manifest.ParsePolicy("policy", []byte(text))
	if err != nil {
		t.Fatalf("policy: %v", err)
	}
	return c
}

// A grant is what stands in both, and nothing else.
func TestWithin(t *testing.T) {
	tests := []struct{ name, request, policy, granted, refused string }{
		{"nothing granted", "{secrets: [k], progress: true, kv: {namespace: n}}", "{}", "", "kv: keep up to 1MiB in namespace n|secret: read the value of k|progress: tell the client how far a call is"},
		{"nothing asked", "{}", `{secrets: ["*"], progress: true, http: [{host: "*"}], kv: {}}`, "", ""},
		{"same", "{http: [{host: a.b}]}", "{http: [{host: a.b}]}", "http: GET to a.b over https, port 443", ""},
		{"policy below", "{http: [{host: '*.a.b'}]}", "{http: [{host: x.a.b}]}", "http: GET to x.a.b over https, port 443", "http: GET to *.a.b over https, port 443"},
		{"policy above", "{http: [{host: x.a.b}]}", "{http: [{host: '*.a.b'}]}", "http: GET to x.a.b over https, port 443", ""},
		{"not the domain itself", "{http: [{host: a.b}]}", "{http: [{host: '*.a.b'}]}", "", "http: GET to a.b over https, port 443"},
		{"suffix is no domain", "{http: [{host: evila.b}]}", "{http: [{host: '*.a.b'}]}", "", "http: GET to evila.b over https, port 443"},
		{"any host is what the policy has", "{http: [{host: '*'}]}", "{http: [{host: a.b}, {host: c.d}]}", "http: GET to a.b over https, port 443|http: GET to c.d over https, port 443", "http: GET to any host that the policy allows over https, port 443"},
		{"methods", "{http: [{host: a.b, methods: [GET, POST]}]}", "{http: [{host: a.b, methods: [GET]}]}", "http: GET to a.b over https, port 443", "http: GET, POST to a.b over https, port 443"},
		{"no common method", "{http: [{host: a.b, methods: [POST]}]}", "{http: [{host: a.b, methods: [GET]}]}", "", "http: POST to a.b over https, port 443"},
		{"port", "{http: [{host: a.b, ports: [22]}]}", "{http: [{host: a.b, ports: [443]}]}", "", "http: GET to a.b over https, port 22"},
		{"plain http is asked for", "{http: [{host: a.b, scheme: http}]}", "{http: [{host: a.b}]}", "", "http: GET to a.b over http, port 80"},
		{"two rules make one whole", "{http: [{host: a.b, methods: [GET, POST]}]}", "{http: [{host: a.b, methods: [GET]}, {host: a.b, methods: [POST]}]}", "http: GET to a.b over https, port 443|http: POST to a.b over https, port 443", ""},
		{
			"a secret goes only to the host that the policy names", "{http: [{host: '*', inject: {header: X-Key, secret: k}}]}",
			"{http: [{host: a.b, inject: {header: X-Key, secret: k}}, {host: c.d}]}",
			"http: GET to a.b over https, port 443, with secret k as header X-Key|http: GET to c.d over https, port 443",
			"http: GET to any host that the policy allows over https, port 443, with secret k as header X-Key",
		},
		{
			"a secret under another header", "{http: [{host: a.b, inject: {header: X-Other, secret: k}}]}", "{http: [{host: a.b, inject: {header: X-Key, secret: k}}]}",
			"http: GET to a.b over https, port 443", "http: GET to a.b over https, port 443, with secret k as header X-Other",
		},
		{"kv quota", "{kv: {namespace: n, max_bytes: 2MiB}}", "{kv: {max_bytes: 1MiB}}", "kv: keep up to 1MiB in namespace n", "kv: keep up to 2MiB in namespace n"},
		{"kv namespace", "{kv: {namespace: billing}}", "{kv: {namespace: weather*}}", "", "kv: keep up to 1MiB in namespace billing"},
		{"secrets", "{secrets: [weather_key, db_key]}", "{secrets: [weather_*]}", "secret: read the value of weather_key", "secret: read the value of db_key"},
		{"tools", "{call_tool: ['orders.*', mail.send]}", "{call_tool: ['orders.read*']}", "call_tool: call orders.read* with the caller's rights", "call_tool: call mail.send with the caller's rights|call_tool: call orders.* with the caller's rights"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			request := parse(t, least+"capabilities: "+test.request+"\n").Capabilities
			granted, refused := request.Within(policy(t, test.policy))
			if got := strings.Join(granted.Words(), "|"); got != test.granted {
				t.Errorf("granted %s\nwant    %s", got, test.granted)
			}
			if got := strings.Join(refused, "|"); got != test.refused {
				t.Errorf("refused %s\nwant    %s", got, test.refused)
			}
			// Granting the grant again changes nothing, and the whole request gives itself.
			if again, missing := granted.Within(granted); !reflect.DeepEqual(again, granted) || len(missing) > 0 {
				t.Errorf("grant of grant = %+v, missing %q", again, missing)
			}
			if whole, missing := request.Within(request); !reflect.DeepEqual(whole, request) || len(missing) > 0 {
				t.Errorf("request of itself = %+v, want %+v, missing %q", whole, request, missing)
			}
		})
	}
}

func TestAllows(t *testing.T) {
	h := manifest.HTTP{Host: "*.a.b", Methods: []string{"GET"}, Ports: []int{443}}
	for _, test := range []struct {
		scheme, host string
		port         int
		method       string
		want         bool
	}{
		{"https", "x.a.b", 443, "GET", true},
		{"https", "y.x.a.b", 443, "GET", true},
		{"https", "a.b", 443, "GET", false},
		{"https", "x.a.b.evil", 443, "GET", false},
		{"http", "x.a.b", 443, "GET", false},
		{"https", "x.a.b", 80, "GET", false},
		{"https", "x.a.b", 443, "POST", false},
	} {
		if got := h.Allows(test.scheme, test.host, test.port, test.method); got != test.want {
			t.Errorf("%+v = %v", test, got)
		}
	}
}

func TestLimitsOnlyLower(t *testing.T) {
	second := manifest.Duration(time.Second)
	tests := []struct {
		name            string
		asked, operator manifest.Limits
		kind            manifest.Kind
		want            manifest.Limits
	}{
		{"defaults", manifest.Limits{}, manifest.Limits{}, manifest.Invoker, manifest.Limits{32 << 20, 10 * second, 2 * second, 4 << 20, 4 << 20}},
		{"defaults of a transformer", manifest.Limits{}, manifest.Limits{}, manifest.ResponseTransformer, manifest.Limits{32 << 20, second / 4, second / 10, 4 << 20, 4 << 20}},
		{"lower", manifest.Limits{Memory: 16 << 20, Timeout: second}, manifest.Limits{}, manifest.Invoker, manifest.Limits{16 << 20, second, 2 * second, 4 << 20, 4 << 20}},
		{"higher is not given", manifest.Limits{Memory: 64 << 20, Timeout: 30 * second, CPU: 5 * second, MaxInput: 8 << 20, MaxOutput: 8 << 20}, manifest.Limits{}, manifest.Invoker, manifest.Limits{32 << 20, 10 * second, 2 * second, 4 << 20, 4 << 20}},
		{"the operator gives more", manifest.Limits{Memory: 64 << 20}, manifest.Limits{Memory: 128 << 20, CPU: 3 * second}, manifest.Invoker, manifest.Limits{64 << 20, 10 * second, 3 * second, 4 << 20, 4 << 20}},
		{"never above the cap", manifest.Limits{}, manifest.Limits{1 << 40, 1000 * second, 1000 * second, 1 << 40, 1 << 40}, manifest.Authorizer, manifest.Limits{256 << 20, 2 * second, second, 64 << 20, 64 << 20}},
	}
	for _, test := range tests {
		if got := test.asked.Within(test.operator, test.kind); got != test.want {
			t.Errorf("%s: got %+v, want %+v", test.name, got, test.want)
		}
	}
}

func TestGrown(t *testing.T) {
	tests := []struct{ name, from, to, want string }{
		{"nothing", "1.4.0", "1.5.0", ""},
		{"new host", "api.weather.example,", "api.weather.example.evil,", "http: GET to api.weather.example.evil over https, port 443, with secret weather_key as header X-Api-Key"},
		{"wider host", "api.weather.example,", "'*.weather.example',", "http: GET to *.weather.example over https, port 443, with secret weather_key as header X-Api-Key"},
		{"method", "[GET]", "[GET, DELETE]", "http: DELETE, GET to api.weather.example over https, port 443, with secret weather_key as header X-Api-Key"},
		{"port", "[443]", "[443, 8443]", "http: GET to api.weather.example over https, port 443, 8443, with secret weather_key as header X-Api-Key"},
		{"quota", "max_bytes: 1MiB", "max_bytes: 2MiB", "kv: keep up to 2MiB in namespace weather"},
		{"namespace", "namespace: weather", "namespace: billing", "kv: keep up to 1MiB in namespace billing"},
		{"secret", "secrets: [weather_key]", "secrets: [weather_key, admin_key]", "secret: read the value of admin_key"},
		{"progress", "secrets: [weather_key]", "secrets: [weather_key]\n  progress: true", "progress: tell the client how far a call is"},
		{"call_tool", "secrets: [weather_key]", "secrets: [weather_key]\n  call_tool: ['*']", "call_tool: call * with the caller's rights"},
		{"context", "[tool, call_id,", "[tool, session, call_id,", "context: see session of every call"},
		{"kind", "[invoker,", "[invoker, authorizer,", "kind: be used as authorizer"},
		{"on_error", "closed", "skip", "on_error: let a result through untouched when it fails"},
		{"less", "  secrets: [weather_key]\n", "", ""},
		{"more memory is the operator's to give", "32MiB", "64MiB", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			changed := strings.Replace(weather, test.from, test.to, 1)
			if changed == weather {
				t.Fatal("the row changes nothing")
			}
			if got := strings.Join(manifest.Grown(parse(t, weather), parse(t, changed)), "|"); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
	call := parse(t, strings.Replace(weather, "shared", "call", 1))
	if got := manifest.Grown(call, parse(t, weather)); !slices.Equal(got, []string{"isolation: keep memory from one call to the next"}) {
		t.Errorf("isolation: %q", got)
	}
	if got := manifest.Grown(nil, parse(t, weather)); len(got) != 2+3+3 {
		t.Errorf("first version: %q", got)
	}
}

func TestQuantities(t *testing.T) {
	for text, want := range map[string]manifest.Size{"1B": 1, "64KiB": 64 << 10, "32MiB": 32 << 20, "1GiB": 1 << 30} {
		got, err := manifest.ParseSize(text)
		if err != nil || got != want || got.String() != text {
			t.Errorf("%s = %d (%s), %v", text, got, got, err)
		}
	}
	for text, want := range map[string]time.Duration{"250us": 250 * time.Microsecond, "500ms": 500 * time.Millisecond, "5s": 5 * time.Second, "2m": 2 * time.Minute} {
		got, err := manifest.ParseDuration(text)
		if err != nil || time.Duration(got) != want || got.String() != text {
			t.Errorf("%s = %d (%s), %v", text, got, got, err)
		}
	}
	for _, text := range []string{"", "0B", "01B", "1", "1 MiB", "1mb", "MiB", "-1B", "+1B", "1.5MiB", "9223372036854775807GiB", "99999999999999999999B", "1KB"} {
		if got, err := manifest.ParseSize(text); err == nil {
			t.Errorf("size %q = %d", text, got)
		}
	}
	for _, text := range []string{"", "0s", "5", "1h", "-5s", "1m30s", "5 s", "1.5s", "9223372036854775807m"} {
		if got, err := manifest.ParseDuration(text); err == nil {
			t.Errorf("duration %q = %d", text, got)
		}
	}
}

func TestCompareVersions(t *testing.T) {
	order := []string{"no version", "0.9.0", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0", "1.0.10", "1.2.0", "1.10.0", "2.0.0"}
	for i, a := range order {
		for j, b := range order {
			want := 0
			switch {
			case i < j:
				want = -1
			case i > j:
				want = 1
			}
			if got := manifest.CompareVersions(a, b); got != want {
				t.Errorf("%s, %s = %d, want %d", a, b, got, want)
			}
		}
	}
	if manifest.CompareVersions("1.0.0+a", "1.0.0+b") != 0 {
		t.Error("build metadata has a rank")
	}
}

// Every kind has an export, and they are those of the ABI.
func TestExports(t *testing.T) {
	kinds := []manifest.Kind{manifest.Invoker, manifest.ToolCatalogue, manifest.ResponseTransformer, manifest.RequestTransformer, manifest.Authorizer}
	for i, k := range kinds {
		if k.Export() != abi.Kinds[i] {
			t.Errorf("%s exports %q, want %q", k, k.Export(), abi.Kinds[i])
		}
	}
	if len(kinds) != len(abi.Kinds) || manifest.Kind("x").Export() != "" {
		t.Error("a kind too many or too few")
	}
}

func TestModule(t *testing.T) {
	empty := []byte("\x00asm\x01\x00\x00\x00")
	if _, err := manifest.FromModule("a.wasm", empty); err == nil || !strings.Contains(err.Error(), "has no manifest") {
		t.Errorf("no manifest: %v", err)
	}
	wasm, err := manifest.Embed(empty, []byte(weather))
	if err != nil {
		t.Fatal(err)
	}
	m, err := manifest.Load("a.wasm", nil, wasm)
	if err != nil || m.Name != "acme/weather" {
		t.Fatalf("from the module: %+v, %v", m, err)
	}
	if _, err := manifest.Load("plugin.yaml", []byte("# the same\n"+weather), wasm); err != nil {
		t.Errorf("the same beside it: %v", err)
	}
	if _, err := manifest.Load("plugin.yaml", []byte(weather), empty); err != nil {
		t.Errorf("only beside it: %v", err)
	}
	// Who reviews plugin.yaml must have reviewed what runs.
	if _, err := manifest.Load("plugin.yaml", []byte(strings.Replace(weather, "[GET]", "[POST]", 1)), wasm); err == nil || !strings.Contains(err.Error(), "differ") {
		t.Errorf("two manifests: %v", err)
	}
	if _, err := manifest.Embed(empty, []byte("name: x")); err == nil {
		t.Error("a wrong manifest was embedded")
	}
}

// Whatever is read has one canonical form, which reads as itself, asks for no more
// than itself and has grown by nothing.
func FuzzParse(f *testing.F) {
	f.Add([]byte(weather))
	f.Add([]byte(least))
	f.Add([]byte(least + "capabilities: {http: [{host: '*'}, {host: 10.0.0.1, scheme: http}], kv: {namespace: n}, call_tool: ['a*']}\n"))
	f.Add([]byte(least + "config_schema: {\"\\u00e9\": [1e3, -0.5, null, 'x', ~], y: \"\\t\\n\"}\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := manifest.Parse("f", b)
		if err != nil {
			var invalid *manifest.InvalidError
			if !errors.As(err, &invalid) || len(invalid.Problems) == 0 {
				t.Fatalf("error of another kind: %v", err)
			}
			return
		}
		text, err := m.Canonical()
		if err != nil {
			t.Fatalf("canonical: %v", err)
		}
		again, err := manifest.Parse("f", text)
		if err != nil {
			t.Fatalf("canonical form is refused: %v\n%s", err, text)
		}
		second, err := again.Canonical()
		if err != nil || !bytes.Equal(text, second) {
			t.Fatalf("canonical form changes:\n%s\n%s\n%v", text, second, err)
		}
		if grown := manifest.Grown(m, again); len(grown) > 0 {
			t.Fatalf("grown beyond itself: %q", grown)
		}
	})
}
