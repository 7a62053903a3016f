package selftest

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/plugins/abi"
	"github.com/sallyport/sallyport/plugins/guests"
	"github.com/sallyport/sallyport/plugins/manifest"
	"github.com/sallyport/sallyport/plugins/rewrite"
)

const whole = `selftest: true
now: "2026-11-23T12:00:00Z"
config: {units: metric}
secrets: {weather_key: abc}
cases:
  - name: looks up a city
    call: tool_call
    meta: {tool: weather.lookup, deadline_ms: 500}
    payload: {city: Oslo, n: 1.50, list: [null, true, "no"]}
    config: {units: imperial}
    http:
      - request: {method: GET, url: "https://api.weather.example/v1?q=Oslo", headers: {x-api-key: abc, accept: [a, b]}, body: "…"}
        response: {status: 200, headers: {content-type: application/json}, json: {temp: 3}}
      - request: {}
        error: timeout
    kv: {greeting: hello, object: {a: 1}}
    tools: [{tool: other.tool, arguments: {a: 1}, result: {content: []}}, {tool: t, status: DENIED, text: "no"}]
    expect:
      status: TOOL_ERROR
      mime: text/plain
      payload: {temp: 3}
      contains: ["3 °C"]
      lacks: ["secret"]
      meta: {retry_after_ms: "1500"}
      kv: {greeting: bye, gone: null}
      logs: ["asked for Oslo"]
      progress: 2
`

func TestParse(t *testing.T) {
	s, err := Parse("a.yaml", []byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	c := &s.Cases[0]
	if !s.SelfTest || string(s.Config) != `{"units":"metric"}` || s.Secrets["weather_key"].Reveal() != "abc" || !s.Now.Equal(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)) || string(s.Text) != whole {
		t.Errorf("%+v", s)
	}
	if c.Line != 6 || c.Call != abi.ToolCall || string(c.Payload) != `{"city":"Oslo","n":1.50,"list":[null,true,"no"]}` || string(c.Config) != `{"units":"imperial"}` ||
		!slices.Equal(c.Meta, []abi.Pair{{Key: "tool", Value: "weather.lookup"}, {Key: "deadline_ms", Value: "500"}}) ||
		string(c.KV["greeting"]) != "hello" || string(c.KV["object"]) != `{"a":1}` {
		t.Errorf("%+v", c)
	}
	if h := c.HTTP; len(h) != 2 || h[0].Method != "GET" || len(h[0].Headers) != 3 || string(h[0].Body.Exact) != "…" || h[0].Status != 200 || string(h[0].Response) != `{"temp":3}` || h[1].Fails != "timeout" {
		t.Errorf("%+v", h)
	}
	if l := c.Tools; len(l) != 2 || l[0].Status != abi.OK || l[1].Status != abi.Denied || l[1].Text != "no" || string(l[0].Result) != `{"content":[]}` {
		t.Errorf("%+v", l)
	}
	e := &c.Expect
	if gone, there := e.KV["gone"]; e.Status != "TOOL_ERROR" || *e.Mime != "text/plain" || string(e.Payload.JSON) != `{"temp":3}` || !there || gone != nil || *e.Progress != 2 || len(e.Meta) != 1 {
		t.Errorf("%+v", e)
	}
	if got := s.Secrets["weather_key"].String(); got == "abc" {
		t.Error("a secret shows")
	}
}

func TestMistakes(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"empty", "", "f.yaml:1:1: the file is empty; begin with cases:"},
		{"no cases", "selftest: true", "f.yaml:1:1: cases is missing; add cases"},
		{"cases empty", "cases: []", "f.yaml:1:8: /cases: no cases; add one"},
		{"a list", "- a", "f.yaml:1:1: a list where an object belongs; write an object"},
		{"two documents", "cases: []\n---\ncases: []", "a second document after ---"},
		{"syntax", "cases: [", "check the YAML syntax"},
		{"unknown key", "case: []", "f.yaml:1:1: /case: unknown key \"case\"; did you mean cases?"},
		{"unknown key of a case", "cases: [{name: a, call: configure, expected: {}}]", "/cases/0/expected: unknown key \"expected\"; known here: base64, call, config, expect, http, json, kv, meta, name, now, payload, text, tools"},
		{"twice", "cases: [{name: a, name: b, call: configure}]", `"name" stands twice; remove one; the first is in line 1`},
		{"anchor", "cases: &a []", "an anchor or an alias"},
		{"tag", "cases: !!seq []", "a YAML tag"},
		{"no name", "cases: [{call: configure}]", "/cases/0: name is missing; add name"},
		{"same name", "cases:\n  - {name: a, call: configure}\n  - {name: a, call: configure}", "f.yaml:3:5: /cases/1: another case has the name \"a\"; give it a name of its own; the first is in line 2"},
		{"call", "cases: [{name: a, call: tools_call}]", `/cases/0/call: "tools_call" is unknown; one of tool_call, tools_list, response_transform, request_transform, authorize, configure`},
		{"two payloads", "cases: [{name: a, call: tool_call, payload: 1, text: b}]", "/cases/0/text: text beside payload; write one of payload, text, base64 and json"},
		{"broken json", "cases: [{name: a, call: tool_call, json: '{'}]", "/cases/0/json: no JSON"},
		{"base64", "cases: [{name: a, call: tool_call, base64: '*'}]", "write standard base64, with padding"},
		{"text", "cases: [{name: 1, call: tool_call}]", `/cases/0/name: a number where text belongs; put it in quotes: "1"`},
		{"number", "cases: [{name: a, call: tool_call, payload: 0x10}]", `"0x10" is a number to some YAML readers`},
		{"infinity", "cases: [{name: a, call: tool_call, payload: .inf}]", `".inf" is a number to some YAML readers`},
		{"no value", "cases: [{name: a, call: tool_call, text: }]", "/cases/0/text: text has no value"},
		{"moment", "now: yesterday\ncases: [{name: a, call: tool_call}]", `f.yaml:1:6: /now: "yesterday" is no moment`},
		{"status", "cases: [{name: a, call: tool_call, expect: {status: ok}}]", `/cases/0/expect/status: "ok" is unknown; one of OK, UNCHANGED`},
		{"response and error", "cases: [{name: a, call: tool_call, http: [{request: {}, response: {}, error: denied}]}]", "/cases/0/http/0: either a response or an error answers a request"},
		{"no answer", "cases: [{name: a, call: tool_call, http: [{request: {}}]}]", "either a response or an error answers a request"},
		{"method", "cases: [{name: a, call: tool_call, http: [{request: {method: get}, error: denied}]}]", "write GET"},
		{"url", "cases: [{name: a, call: tool_call, http: [{request: {url: /v1}, error: denied}]}]", `"/v1" is no absolute URL`},
		{"http status", "cases: [{name: a, call: tool_call, http: [{request: {}, response: {status: 42}}]}]", "an integer from 100 to 599"},
		{"tool result", "cases: [{name: a, call: tool_call, tools: [{tool: t}]}]", "/cases/0/tools/0: the tool has no answer"},
		{"tool text", "cases: [{name: a, call: tool_call, tools: [{tool: t, status: DENIED, result: {}}]}]", "a result belongs to OK"},
		{"tool unchanged", "cases: [{name: a, call: tool_call, tools: [{tool: t, status: UNCHANGED}]}]", "a tool cannot answer UNCHANGED"},
		{"payload of configure", "cases: [{name: a, call: configure, payload: {}}]", "write config: instead of payload:"},
		{"status of configure", "cases: [{name: a, call: configure, expect: {status: DENIED}}]", "configure comes to OK, REFUSED or TRAP"},
		{"kv null", "cases: [{name: a, call: tool_call, kv: {a: null}}]", "leave it out"},
		{"not UTF-8", "cases: \xff", "the file is not UTF-8"},
		{"deep", "cases: [{name: a, call: tool_call, payload: " + strings.Repeat("[", 70) + strings.Repeat("]", 70) + "}]", "deep"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := Parse("f.yaml", []byte(tt.text))
			var invalid *manifest.InvalidError
			if !errors.As(err, &invalid) || s != nil {
				t.Fatalf("got %v %v", s, err)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got  %s\nwant %s", err, tt.want)
			}
		})
	}
	_, err := Parse("f.yaml", []byte("a: 1\nb: 2\ncases: [{}]"))
	if got := strings.Count(err.Error(), "\n") + 1; got != 4 {
		t.Errorf("%d mistakes are told, want all 4: %v", got, err)
	}
}

func TestEmbed(t *testing.T) {
	texts := []string{whole, "---\ncases:\n  - {name: b, call: configure}\n...\n", "# first\n--- # second\ncases:\n  - {name: c, call: tools_list, text: '--- # no heading'}"}
	var suites []*Suite
	for n, text := range texts {
		s, err := Parse("fixtures/"+string(rune('a'+n))+".yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		suites = append(suites, s)
	}
	wasm, err := Embed(guests.Echo(), suites)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rewrite.Inspect(wasm, rewrite.Default); err != nil {
		t.Fatal(err)
	}
	back, err := FromModule(wasm)
	if err != nil || len(back) != len(suites) {
		t.Fatalf("%v %v", back, err)
	}
	for n, s := range back {
		if s.File != suites[n].File || s.Cases[0].Name != suites[n].Cases[0].Name || s.Cases[0].Line != suites[n].Cases[0].Line {
			t.Errorf("%s line %d %s became %s line %d %s", suites[n].File, suites[n].Cases[0].Line, suites[n].Cases[0].Name, s.File, s.Cases[0].Line, s.Cases[0].Name)
		}
	}
	again, err := Embed(wasm, back)
	if err != nil {
		t.Fatal(err)
	}
	if twice, err := Embed(again, back); err != nil || string(again) != string(twice) {
		t.Errorf("embedding twice is not embedding once: %v", err)
	}
	if none, err := FromModule(guests.Echo()); none != nil || err != nil {
		t.Errorf("%v %v", none, err)
	}
	wrong := rewrite.WithCustomSection(guests.Echo(), Section, []byte("--- # fixtures/x.yaml\ncases: 1\n"))
	if _, err := FromModule(wrong); err == nil || !strings.Contains(err.Error(), "fixtures/x.yaml:1:8: /cases") {
		t.Errorf("got %v", err)
	}
	tight, err := Parse("t.yaml", []byte("--- {cases: [{name: a, call: configure}]}"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Embed(guests.Echo(), []*Suite{tight}); err == nil || !strings.Contains(err.Error(), "line of its own") {
		t.Errorf("got %v", err)
	}
}

func TestNumbers(t *testing.T) {
	same := [][2]string{{"1", "1.0"}, {"0", "-0"}, {"100", "1e2"}, {"0.5", "5e-1"}, {"1e999999", "10e999998"}, {"12345678901234567890", "12345678901234567890.0"}}
	for _, p := range same {
		if !sameNumber(p[0], p[1]) {
			t.Errorf("%s and %s are not the same", p[0], p[1])
		}
	}
	for _, p := range [][2]string{{"1", "-1"}, {"1", "2"}, {"1e3", "1e4"}, {"12345678901234567890", "12345678901234567891"}, {"0", "1e-9"}} {
		if sameNumber(p[0], p[1]) {
			t.Errorf("%s and %s are the same", p[0], p[1])
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(whole)
	f.Add("cases: [{name: a, call: tool_call, base64: AAAA, expect: {kv: {a: null}}}]")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Parse("f.yaml", []byte(text))
		if (s == nil) == (err == nil) {
			t.Fatalf("%v %v", s, err)
		}
		if err != nil {
			return
		}
		wasm, err := Embed([]byte("\x00asm\x01\x00\x00\x00"), []*Suite{s})
		if err != nil {
			return
		}
		back, err := FromModule(wasm)
		if err != nil || len(back) != 1 || len(back[0].Cases) != len(s.Cases) {
			t.Fatalf("%q does not come back: %v", text, err)
		}
		for i := range s.Cases {
			if back[0].Cases[i].Name != s.Cases[i].Name || string(back[0].Cases[i].Payload) != string(s.Cases[i].Payload) {
				t.Fatalf("case %d became another", i)
			}
		}
	})
}
