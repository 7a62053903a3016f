// Package selftest reads the fixtures of a plugin and runs them: in the sandbox that the
// gateway uses, against an outside that the fixture makes up.
//
//	fixtures/*.yaml ──────────────┐
//	                              ├─ Parse ─► Suite ─► Run ─► Report
//	section sallyport.selftest ───┘ FromModule           │
//	                                                     └ each case: a new instance, an empty store, a clock
//	                                                       that stands at Suite.Now, and hostcall over fakes
//
// One file is one suite:
//
//	selftest: true                 # embedded by `plugin build`; the gateway runs it when it loads the plugin
//	secrets: {weather_key: abc}
//	cases:
//	  - name: looks up a city
//	    call: tool_call
//	    meta: {tool: weather.lookup}
//	    payload: {city: Oslo}
//	    http:
//	      - request: {method: GET, url: "https://api.weather.example/v1?q=Oslo", headers: {x-api-key: abc}}
//	        response: {status: 200, json: {temp: 3}}
//	    expect: {status: OK, contains: ["3 °C"]}
//
//	suite, err := selftest.Parse("fixtures/weather.yaml", text) // *manifest.InvalidError says where and how to fix it
//	report, err := selftest.Run(ctx, wasm, manifest, []*selftest.Suite{suite}, selftest.Options{})
//	if err == nil && !report.OK() {
//		fmt.Print(report)
//	}
//
// Nothing of the real world comes in: no network, no store, no environment, no clock
// (but for the time that a case may take), and the same random bytes each time.
package selftest

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/plugins/abi"
)

// Section is the custom section of a module that holds its fixtures.
const Section = "sallyport.selftest"

// MaxBytes is the largest fixture file, in bytes.
const MaxBytes = 4 << 20

// Suite is one file of fixtures.
type Suite struct {
	File     string // as it was named to Parse
	Text     []byte // as it was read
	SelfTest bool   // the gateway runs it when it loads the plugin
	Config   json.RawMessage
	Secrets  map[string]core.Secret
	Now      time.Time // what the clock of the plugin shows; zero = 2026-01-01T00:00:00Z
	Cases    []Case
}

// Case is one call and what it must come to.
type Case struct {
	Name    string
	Line    int    // in the file
	Call    string // export: abi.ToolCall, …, or abi.Configure
	Meta    []abi.Pair
	Payload []byte
	Config  json.RawMessage // nil = the suite's
	Now     time.Time       // zero = the suite's
	HTTP    []Exchange
	KV      map[string][]byte
	Tools   []ToolCall
	Expect  Expect
}

// Exchange is a request that is expected, and its answer.
type Exchange struct {
	Method  string // "" = any
	URL     string // "" = any
	Headers []abi.Pair
	Body    *Content // nil = any

	Status   int // of the answer
	Answer   []abi.Pair
	Response []byte
	Fails    string // denied, timeout, unavailable or too_large, instead of an answer
}

// ToolCall is a call of another tool that is expected, and its answer.
type ToolCall struct {
	Tool      string
	Arguments json.RawMessage // nil = any
	Status    abi.Status
	Result    json.RawMessage // a CallToolResult, with OK
	Text      string          // with the other statuses
}

// Content is what some bytes must be: JSON of the same value, or exactly these.
type Content struct {
	JSON  json.RawMessage // nil = Exact
	Exact []byte
}

// Outcomes that are no status of a guest.
const (
	Trap    = "TRAP"    // the call broke the instance
	Refused = "REFUSED" // configure refused the instance
)

// Expect is what a case must come to. What is nil is not compared.
type Expect struct {
	Status   string // a name of sdk/ABI.md section 6, Trap or Refused
	Mime     *string
	Payload  *Content
	Contains []string
	Lacks    []string
	Meta     []abi.Pair
	KV       map[string]*Content // the whole store; a nil Content = must not be there
	Logs     []string
	Progress *int
}

// Options of Run. The zero value works.
type Options struct {
	CacheDir  string // for native code; "" = a temporary one for this run
	Log       *slog.Logger
	InProcess bool // as sandbox.Options: for modules that the program brings itself
	Plain     bool // without instrumentation: for the comparison of the two
	// Time bounds the whole run: a module brings its own fixtures, and must not keep the
	// gateway busy with them. 0 = 2 minutes.
	Time time.Duration
	// Real is the clock that durations are measured with; nil = time.Now.
	Real func() time.Time
}

const defaultTime = 2 * time.Minute

// Report says how the cases came out, in the order of the suites.
type Report struct{ Cases []CaseResult }

// CaseResult is the result of one case.
type CaseResult struct {
	Suite       string // its file
	Name        string
	Line        int
	Passed      bool
	Differences []string // "/payload/temp: expected 3, got 4"; empty when it passed
	Duration    time.Duration
	CPU         time.Duration // of guest code
	Fuel        int64
	Memory      int64 // bytes of the instance afterwards
	Logs        []string
}

// OK reports that every case passed.
func (r *Report) OK() bool { return r.Failed() == 0 }

// Failed counts the cases that did not pass.
func (r *Report) Failed() int {
	n := 0
	for i := range r.Cases {
		if !r.Cases[i].Passed {
			n++
		}
	}
	return n
}

// String says in words what failed, and how many passed.
func (r *Report) String() string {
	var b strings.Builder
	for i := range r.Cases {
		c := &r.Cases[i]
		if c.Passed {
			continue
		}
		fmt.Fprintf(&b, "%s:%d: %s\n", c.Suite, c.Line, c.Name)
		for _, d := range c.Differences {
			fmt.Fprintf(&b, "  %s\n", d)
		}
	}
	fmt.Fprintf(&b, "%d of %d cases passed\n", len(r.Cases)-r.Failed(), len(r.Cases))
	return b.String()
}
