package main_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

const module = "github.com/sallyport/sallyport"

// room is one line of the dependency rule: a folder, what else of this module it may
// import beside core and core/wire, and why. Sub-folders belong to it.
type room struct {
	folder string
	may    []string
	why    string
}

// rooms is the dependency rule. Arrows go in one direction: nothing lower calls
// anything higher, and only core/app knows everyone.
var rooms = []room{
	{"", []string{"core/app"}, "main.go calls app.Main and does nothing else"},
	{".ci", nil, "programs of CI stand alone"},
	{"core", nil, "nouns and contracts: everyone depends on them, so they depend on nothing"},
	{"core/wire", nil, "strict JSON is below everything"},
	{"core/session", nil, "keeps sessions of any kind, so it knows none"},
	{"core/mcp", nil, "the wire is neutral of transport and of what answers"},
	{"core/gateway", nil, "finds, checks and calls through the contracts of core; kinds are handed in"},
	{"core/web", []string{"core/mcp", "core/session", "core/cluster", "core/documents"}, "the edge carries the wire and its sessions; the admin plane shows drafts, versions and diffs as their room says them"},
	{"core/invokers", []string{"core/mcp", "core/egress", "core/expression"}, "invokers call upstreams: over HTTP, and MCP servers"},
	{"core/transformers", []string{"core/expression"}, "a transformer sees a result and nothing else"},
	{"core/expression", nil, "computes values from values, bounded, and touches nothing else"},
	{"core/vault", nil, "keys, and what they seal, in rows of core and on disk"},
	{"core/audit", nil, "the trail and the records of calls, kept through core.Store"},
	{"core/authn", nil, "says who calls; it reads a core.State and changes a core.Store"},
	{"core/authz", nil, "says who may; it reads a core.State"},
	{"core/accounts", nil, "accounts that callers connect at upstreams' authorization servers, kept through core.Store"},
	{"core/limits", nil, "counts calls against the limits of a core.State"},
	{"core/pins", nil, "holds definitions to what was approved; who keeps the pins, and shows the definitions, is not its affair"},
	{"core/disclosure", nil, "finds tools among those that a caller may see, and knows no caller"},
	{"core/upstream", []string{"core/mcp"}, "a client of other MCP servers: it shares the frames of server-sent events with the wire, and is handed its HTTP and its processes"},
	{"core/roster", []string{"core/upstream", "core/child", "core/pins"}, "keeps the upstreams of documents: connected, listed and held to what was approved; who mounts them is not its affair"},
	{"core/child", nil, "runs programs that speak lines of JSON; what the lines mean is not its affair"},
	{"core/documents", nil, "drafts become versions through core.Store; how a document is read and built is handed in"},
	{"store", []string{"core/audit"}, "rows in databases; a change and its place in the trail are one transaction"},
	{"core/egress", nil, "dials for everybody, so it knows nobody"},
	{"core/config", nil, "reads documents into core.Config; kinds are handed in"},
	{"core/telemetry", nil, "listens through core.Observer"},
	{"core/fixture", nil, "an ordinary kind and an ordinary document: the suites must test what everybody gets"},
	{"core/app", []string{"*"}, "puts the parts together"},
	{"core/bench", []string{"*"}, "a program of its own that measures the whole"},
	{"core/interop", nil, "drives the built binary from outside, as a stranger would"},
	{"plugins/abi", nil, "what a plugin and its host agree on: guests are written against it, so it depends on nothing"},
	{"plugins/rewrite", []string{"plugins/abi"}, "reads bytes that nobody trusts yet: the standard library and the ABI's names"},
	{"plugins/sandbox", []string{"plugins/abi", "plugins/rewrite"}, "runs what the rewriter let through; who wrote it and where it came from is not its affair"},
	{"plugins/manifest", []string{"plugins/abi", "plugins/rewrite"}, "says what a plugin is and wants, checked against its module's exports and imports"},
	{"plugins/trust", []string{"plugins/manifest"}, "a signature is over a manifest, and its digest"},
	{"plugins/registry", []string{"plugins/manifest", "plugins/trust"}, "carries manifest, module and signatures; never runs them"},
	{"plugins/result", nil, "a result as guests read and write it, and nothing of guests"},
	{"plugins/hostcall", []string{"plugins/abi", "plugins/manifest", "plugins/result", "plugins/sandbox"}, "what a guest may ask of the gateway, within a grant; it dials through core.Egress"},
	{"plugins/selftest", []string{"plugins/abi", "plugins/hostcall", "plugins/manifest", "plugins/result", "plugins/rewrite", "plugins/sandbox"}, "runs a plugin against the world that a fixture describes, and no other"},
	{"plugins", []string{"plugins/abi", "plugins/hostcall", "plugins/manifest", "plugins/registry", "plugins/result", "plugins/rewrite", "plugins/sandbox", "plugins/selftest", "plugins/trust"}, "loads plugins and makes kinds of them: it knows what a plugin is, and not what serves it"},
	{"plugins/toolchain", nil, "runs compilers, and looks into nothing that they write"},
	{"plugins/author", []string{"plugins", "plugins/abi", "plugins/hostcall", "plugins/manifest", "plugins/registry", "plugins/result", "plugins/rewrite", "plugins/sandbox", "plugins/selftest", "plugins/toolchain", "plugins/trust", "sdk", "sdk/go"}, "what an author types, on the same parts as the gateway runs"},
	{"sdk", []string{"sdk/go"}, "the sources of the SDKs, for new plugins"},
	{"sdk/go", nil, "a module of its own, which imports nothing"},
	{"sdk/conformance", []string{"plugins/abi", "plugins/manifest", "plugins/rewrite", "plugins/sandbox", "plugins/selftest", "plugins/toolchain"}, "one set of fixtures, a guest in each language"},
	{"plugins/guests", []string{"plugins/abi"}, "modules for tests, written by hand against the ABI"},
	{"plugins/guests/goguest", nil, "a guest stands alone: it is compiled for the sandbox"},
	{"examples", []string{"core/app"}, "an example starts the program and brings its own upstream"},
}

// alone are the rooms that import the standard library and what their line names, not
// even core: they are small enough to be read whole.
var alone = []string{"core", "plugins/abi", "plugins/rewrite", "plugins/guests", "plugins/guests/goguest"}

// props are rooms that only tests import.
var props = []string{"plugins/guests"}

// testsMay is what tests of a room import beyond what the room may.
var testsMay = map[string][]string{
	"core/web":         {"core/authn", "core/authz", "core/config", "core/gateway", "store"}, // who may what is worth a test with real policies, logins, rows and documents
	"core/documents":   {"core/config", "core/gateway"},                                      // drafts are read and built for real
	"plugins/hostcall": {"core/egress"},                                                      // the guard against private addresses is worth a test through the real door
	"plugins":          {"core/egress"},                                                      // a registry, likewise
	"core/roster":      {"core/egress"},                                                      // upstreams that come and go, on the wire
	"core/upstream":    {"core/egress"},                                                      // streams of upstreams, sessions and cancels are worth a test on the wire
}

// library is one line of "one library, one room".
type library struct {
	prefix string
	rooms  []string
	tests  []string // whose _test.go files may use it beyond that
	why    string
}

var libraries = []library{
	{"github.com/gofiber/", []string{"core/web", "core/bench"}, nil, "Fiber is the edge's affair; v3 will be a change of one room"},
	{"github.com/valyala/fasthttp", []string{"core/web", "core/egress", "core/bench"}, nil, "its buffers are reused after a handler returns: two rooms know that and copy"},
	{"go.opentelemetry.io/", []string{"core/telemetry"}, nil, "rooms report to core.Observer"},
	{"github.com/prometheus/", []string{"core/telemetry"}, nil, "rooms report to core.Observer"},
	{"github.com/casbin/", []string{"core/authz"}, nil, "policy is asked through core.Authorizer"},
	{"github.com/tetratelabs/wazero", []string{"plugins/sandbox"}, []string{"plugins/rewrite"}, "the sandbox has one door; tests of the rewriter run what it wrote"},
	{"oras.land/oras-go", []string{"plugins/registry"}, nil, "artifacts come and go by one room, which bounds what it reads"},
	{"github.com/opencontainers/", []string{"plugins/registry"}, nil, "the layout of an artifact is known in one room"},
	{"github.com/uptrace/bun", []string{"store"}, nil, "rows stay in the store"},
	{"github.com/jackc/pgx", []string{"store"}, nil, "rows stay in the store"},
	{"modernc.org/sqlite", []string{"store"}, nil, "rows stay in the store"},
	{"github.com/golang-jwt/jwt", []string{"core/authn"}, nil, "tokens are believed in one place"},
	{"github.com/coreos/go-oidc", []string{"core/authn"}, nil, "tokens are believed in one place"},
	{"golang.org/x/oauth2", []string{"core/authn", "core/accounts"}, nil, "one room asks who somebody is, the other fetches tokens for upstreams"},
	{"golang.org/x/term", []string{"core/app"}, nil, "commands ask for passwords in one room"},
	{"golang.org/x/crypto", []string{"core/authn"}, nil, "passwords are hashed in one place"},
	{"github.com/alecthomas/kong", []string{"core/app"}, nil, "commands stand in one room"},
	{"github.com/fsnotify/fsnotify", []string{"core/config"}, nil, "documents are watched where they are read"},
	{"go.yaml.in/yaml", []string{"core/config", "plugins/manifest", "plugins/selftest"}, []string{"core/app", "core/fixture", "core/invokers", "core/transformers", "core/web"}, "documents are read in one place, with positions, manifests and fixtures in others; a kind's tests may read its own example, the edge's what openapi.yaml says"},
	{"github.com/go-json-experiment/json", []string{"core/wire"}, nil, "strictness of JSON is decided once"},
	{"github.com/expr-lang/expr", []string{"core/expression"}, nil, "expressions are bounded in time, memory and output in one place"},
	{"github.com/itchyny/gojq", []string{"core/expression"}, nil, "expressions are bounded in time, memory and output in one place"},
	{"github.com/sony/gobreaker", []string{"core/egress"}, nil, "upstreams are guarded in one place"},
	{"github.com/modelcontextprotocol/go-sdk", []string{"core/interop", "core/bench"}, []string{"core/upstream", "core/roster"}, "a peer to test and to measure against; the hot path is our own"},
}

// call is a name of the standard library that few rooms may use.
type call struct {
	pkg   string
	names *regexp.Regexp
	uses  use
	rooms []string // beside programs
	why   string
}

type use int

const (
	anyUse  use = iota // mentioning the name
	calling            // calling it; handing it on as a default of a field is fine
)

var calls = []call{
	{"net", regexp.MustCompile(`^(Dial.*|Dialer)$`), anyUse, []string{"core/egress"}, "only core/egress dials: there stand the SSRF guard, the limits and the breaker"},
	{"crypto/tls", regexp.MustCompile(`^(Dial.*|Dialer|Client)$`), anyUse, []string{"core/egress"}, "only core/egress dials: there stand the SSRF guard, the limits and the breaker"},
	{"net/http", regexp.MustCompile(`^(Get|Head|Post|PostForm|DefaultClient|DefaultTransport|Client|Transport)$`), anyUse, []string{"core/egress", "core/authn", "core/accounts"}, "only core/egress calls out (authn and accounts give their libraries clients around its RoundTripper): there stand the SSRF guard, the limits and the breaker"},
	{"net/http", regexp.MustCompile(`^(ListenAndServe.*|Serve|ServeTLS|Handle|HandleFunc|DefaultServeMux|Server)$`), anyUse, nil, "the one HTTP server is in core/web, on Fiber"},
	{"time", regexp.MustCompile(`^(Now|Since|Until)$`), calling, nil, "the clock comes in as a field Now, so that tests hold it"},
	{"math/rand", regexp.MustCompile(`.`), anyUse, nil, "use math/rand/v2, handed in as a field"},
	{"math/rand/v2", regexp.MustCompile(`^[^N]|^N$|^N[^e]`), calling, nil, "randomness comes in as a field Rand, so that tests hold it"},
	{"crypto/rand", regexp.MustCompile(`.`), calling, nil, "randomness comes in as a field Rand (rand.Reader by default), so that tests hold it"},
	{"os", regexp.MustCompile(`^(Getenv|LookupEnv|Environ|ExpandEnv)$`), calling, []string{"core/config", "plugins/toolchain"}, "the environment comes in as a function, so that settings have one order: flag, environment, file; compilers are handed ours"},
	{"os", regexp.MustCompile(`^(Stdout|Stderr|Stdin|Args)$`), anyUse, []string{"core/telemetry"}, "a command writes to what app.Main was given, so that it can be tested as it is typed"},
	{"os/exec", regexp.MustCompile(`^(Command.*|Cmd|LookPath)$`), anyUse, []string{"core/child", "core/vault", "plugins/sandbox", "plugins/toolchain"}, "programs of others are started in core/child: there stand the allow-list, the clean environment and the end of the whole group (the vault runs the operator's key program, the sandbox itself, the toolchain compilers)"},
	{"os", regexp.MustCompile(`^StartProcess$`), anyUse, nil, "programs of others are started in core/child"},
	{"syscall", regexp.MustCompile(`^(Exec|ForkExec|StartProcess)$`), anyUse, nil, "programs of others are started in core/child"},
	{"os", regexp.MustCompile(`^Exit$`), anyUse, nil, "only main exits, with the code that app.Main returns"},
}

// programs may use every call: they are at the end of the arrows.
var programs = []string{"", ".ci", "core/bench", "examples", "plugins/guests/goguest"}

// appMay is what core/app may use of calls: it hands the real clock, chance and
// environment to the rooms.
var appMay = []string{"time", "crypto/rand", "math/rand/v2"}

func TestRoomsImportDownwards(t *testing.T) {
	each(t, func(f source) []string { return f.imports() })
}

func TestForbiddenCalls(t *testing.T) {
	each(t, func(f source) []string { return f.calls() })
}

// The rules must bite: each of these sources breaks one.
func TestRulesBite(t *testing.T) {
	tests := []struct {
		file, text string
		want       string // part of the complaint; "" = none
	}{
		{"core/mcp/a.go", `import "github.com/sallyport/sallyport/core"`, ""},
		{"core/mcp/a.go", `import "github.com/sallyport/sallyport/core/wire"`, ""},
		{"core/mcp/a.go", `import "github.com/sallyport/sallyport/core/web"`, "core/mcp must not import core/web"},
		{"core/mcp/a_test.go", `import "github.com/sallyport/sallyport/core/web"`, "core/mcp must not import core/web"},
		{"core/web/a.go", `import "github.com/sallyport/sallyport/core/mcp"`, ""},
		{"core/web/sub/a.go", `import "github.com/sallyport/sallyport/core/mcp"`, ""},
		{"core/web/a.go", `import "github.com/sallyport/sallyport/core/web/sub"`, ""},
		{"core/web/a.go", `import "github.com/sallyport/sallyport/core/gateway"`, "core/web must not import core/gateway"},
		{"core/app/a.go", `import "github.com/sallyport/sallyport/core/gateway"`, ""},
		{"core/web/a.go", `import "github.com/sallyport/sallyport/core/app"`, "core/web must not import core/app"},
		{"core/a.go", `import "github.com/google/uuid"`, "core must not import"},
		{"core/a.go", `import "github.com/sallyport/sallyport/core/wire"`, "core must not import core/wire"},
		{"plugins/abi/a.go", `import "github.com/sallyport/sallyport/core"`, "plugins/abi must not import core"},
		{"plugins/rewrite/a.go", `import "github.com/sallyport/sallyport/plugins/abi"`, ""},
		{"plugins/rewrite/a.go", `import "golang.org/x/sys/unix"`, "standard library only"},
		{"plugins/rewrite/a.go", `import "github.com/sallyport/sallyport/core/wire"`, "plugins/rewrite must not import core/wire"},
		{"plugins/rewrite/a.go", `import "github.com/tetratelabs/wazero"`, "stands only in plugins/sandbox"},
		{"plugins/rewrite/a_test.go", `import "github.com/tetratelabs/wazero"`, ""},
		{"plugins/sandbox/a.go", `import "github.com/sallyport/sallyport/plugins/rewrite"`, ""},
		{"plugins/sandbox/a.go", `import "github.com/sallyport/sallyport/plugins/manifest"`, "plugins/sandbox must not import plugins/manifest"},
		{"plugins/sandbox/a.go", `import "github.com/sallyport/sallyport/plugins/guests"`, "plugins/sandbox must not import plugins/guests"},
		{"plugins/sandbox/a_test.go", `import "github.com/sallyport/sallyport/plugins/guests"`, ""},
		{"plugins/hostcall/a.go", `import "github.com/sallyport/sallyport/core/egress"`, "plugins/hostcall must not import core/egress"},
		{"plugins/hostcall/a_test.go", `import "github.com/sallyport/sallyport/core/egress"`, ""},
		{"plugins/newroom/a.go", `import "fmt"`, "plugins/newroom is in no room"},
		{"core/app/a.go", `import "github.com/sallyport/sallyport/plugins/guests"`, "core/app must not import plugins/guests"},
		{"core/app/a.go", `import "github.com/sallyport/sallyport/plugins/sandbox"`, ""},
		{"core/gateway/a.go", `import "github.com/sallyport/sallyport/plugins/sandbox"`, "core/gateway must not import plugins/sandbox"},
		{"plugins/sandbox/a.go", `import "oras.land/oras-go/v2"`, "stands only in plugins/registry"},
		{"plugins/trust/a.go", `import "github.com/opencontainers/go-digest"`, "stands only in plugins/registry"},
		{"plugins/manifest/a.go", `import "go.yaml.in/yaml/v4"`, ""},
		{"core/newroom/a.go", `import "fmt"`, "core/newroom is in no room"},
		{"main.go", `import "github.com/sallyport/sallyport/core/web"`, "main must not import core/web"},
		{"core/mcp/a.go", `import "github.com/gofiber/fiber/v2"`, "stands only in core/web, core/bench"},
		{"core/mcp/a.go", `import "github.com/valyala/fasthttp/fasthttputil"`, "github.com/valyala/fasthttp"},
		{"core/web/a.go", `import "github.com/valyala/fasthttp"`, ""},
		{"core/web/a.go", `import "go.opentelemetry.io/otel"`, "core.Observer"},
		{"core/fixture/a.go", `import "go.yaml.in/yaml/v4"`, "stands only in core/config"},
		{"core/fixture/a_test.go", `import "go.yaml.in/yaml/v4"`, ""},

		{"core/mcp/a.go", `import "net"; var _, _ = net.Dial("tcp", "")`, "net.Dial"},
		{"core/mcp/a.go", `import "net"; var _ = net.Dialer{}`, "net.Dialer"},
		{"core/mcp/a.go", `import n "net"; var _, _ = n.Dial("tcp", "")`, "net.Dial"},
		{"core/mcp/a.go", `import . "net"; var _, _ = Dial("tcp", "")`, "dot import"},
		{"core/mcp/a.go", `import "net"; var _ = net.ParseIP("")`, ""},
		{"core/mcp/a_test.go", `import "net"; var _, _ = net.Dial("tcp", "")`, ""},
		{"core/egress/a.go", `import "net"; var _, _ = net.Dial("tcp", "")`, ""},
		{"core/web/a.go", `import "net/http"; var _ = http.DefaultClient`, "http.DefaultClient"},
		{"core/web/a.go", `import "net/http"; var _ = http.StatusOK`, ""},
		{"core/web/a.go", `import "time"; var _ = time.Now()`, "time.Now"},
		{"core/web/a.go", `import "time"; var _ = time.Since(time.Time{})`, "time.Since"},
		{"core/web/a.go", `import "time"; var now = time.Now`, ""},
		{"core/app/a.go", `import "time"; var _ = time.Now()`, ""},
		{"core/app/a.go", `import "os"; func f() { os.Exit(1) }`, "os.Exit"},
		{"core/session/a.go", `import "crypto/rand"; var r = rand.Reader`, ""},
		{"core/session/a.go", `import "crypto/rand"; var _ = rand.Text()`, "rand.Text"},
		{"core/egress/a.go", `import "math/rand/v2"; var _ = rand.N(3)`, "rand.N"},
		{"core/egress/a.go", `import "math/rand/v2"; var _ = rand.NewPCG(1, 2)`, ""},
		{"core/egress/a.go", `import "math/rand/v2"; var pick = rand.Int64N`, ""},
		{"core/mcp/a.go", `import "os"; var _ = os.Getenv("HOME")`, "os.Getenv"},
		{"core/app/a.go", `import "os/exec"; var _ = exec.Command("ls")`, "exec.Command"},
		{"core/invokers/a.go", `import "os/exec"; var _ = exec.Cmd{}`, "exec.Cmd"},
		{"core/child/a.go", `import "os/exec"; var _ = exec.Cmd{}`, ""},
		{"core/child/a.go", `import "os"; var _, _ = os.StartProcess("", nil, nil)`, "os.StartProcess"},
	}
	for _, tt := range tests {
		t.Run(tt.file+" "+tt.text, func(t *testing.T) {
			f := read(t, tt.file, "package x\n"+tt.text)
			got := strings.Join(append(f.imports(), f.calls()...), "\n")
			if tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// House style, section 7: these words hide what a thing is.
func TestNamesSayWhatAThingIs(t *testing.T) {
	words := []string{"manager", "service", "helper", "helpers", "util", "utils", "common", "base", "impl", "data", "info", "engine", "controller", "dto", "model"}
	files := []string{"types", "models", "misc"}
	each(t, func(f source) []string {
		var wrong []string
		name := strings.TrimSuffix(strings.TrimSuffix(path.Base(f.name), ".go"), "_test")
		for part := range strings.SplitSeq(name, "_") {
			if slices.Contains(words, part) {
				wrong = append(wrong, fmt.Sprintf("file name %s: %q hides what is in it; name the noun", path.Base(f.name), part))
			}
		}
		if slices.Contains(files, name) {
			wrong = append(wrong, fmt.Sprintf("file name %s: a file is named by its noun or kind", path.Base(f.name)))
		}
		if slices.Contains(words, f.tree.Name.Name) {
			wrong = append(wrong, fmt.Sprintf("package name %s hides what is in it", f.tree.Name.Name))
		}
		for _, decl := range f.tree.Decls {
			types, ok := decl.(*ast.GenDecl)
			if !ok || types.Tok != token.TYPE {
				continue
			}
			for _, spec := range types.Specs {
				id := spec.(*ast.TypeSpec).Name
				for _, word := range camel(id.Name) {
					if slices.Contains(words, word) {
						wrong = append(wrong, f.at(id, "type %s: %q hides what it is (house style, words)", id.Name, word))
					}
				}
			}
		}
		return wrong
	})
}

func TestCamel(t *testing.T) {
	for in, want := range map[string]string{"FooManager": "foo manager", "HTTPServer": "http server", "baseURL": "base url", "Database": "database"} {
		if got := strings.Join(camel(in), " "); got != want {
			t.Errorf("camel(%q) = %q, want %q", in, got, want)
		}
	}
}

// floors are the oldest versions without a known hole that matters here. A module
// that is not required yet must not come in below its floor later.
var floors = map[string]struct{ version, why string }{
	"github.com/expr-lang/expr":                                       {"1.17.7", "GO-2025-4245, unbounded recursion"},
	"github.com/go-jose/go-jose/v4":                                   {"4.1.4", "GO-2026-4945, panic in JWE decryption"},
	"github.com/gofiber/fiber/v2":                                     {"2.52.13", "GO-2026-5585, and a route parameter overflow before it"},
	"github.com/golang-jwt/jwt/v5":                                    {"5.2.2", "GO-2025-3553, allocation by headers"},
	"github.com/jackc/pgx/v5":                                         {"5.9.2", "GO-2026-5004, SQL injection by the simple protocol"},
	"github.com/modelcontextprotocol/go-sdk":                          {"1.4.1", "GO-2026-4773, tool calls across sites"},
	"github.com/redis/go-redis/v9":                                    {"9.7.3", "GO-2025-3540, answers out of order"},
	"github.com/uptrace/bun/driver/pgdriver":                          {"1.2.15", "GO-2025-3765, SQL injection"},
	"github.com/valyala/fasthttp":                                     {"1.77.0", "Fiber asks only for 1.51.0, which lacks the fix for smuggling by chunk extensions, and GO-2026-4950"},
	"go.opentelemetry.io/otel":                                        {"1.44.0", "GO-2026-5158, unbounded baggage"},
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp": {"1.43.0", "GO-2026-4985, unbounded answer of a collector"},
	"golang.org/x/crypto":                                             {"0.52.0", "GO-2026-5013 and others in ssh"},
	"golang.org/x/net":                                                {"0.56.0", "GO-2026-5942, GO-2026-5028"},
	"golang.org/x/oauth2":                                             {"0.27.0", "GO-2025-3488, memory by tokens"},
	"google.golang.org/grpc":                                          {"1.82.1", "GO-2026-6061, HTTP/2 server"},
}

func TestVersionFloors(t *testing.T) {
	text, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	versions := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^(?:require)?\s+(\S+) v(\d+\.\d+\.\d+)\S*`).FindAllStringSubmatch(string(text), -1) {
		versions[m[1]] = m[2]
	}
	for _, needed := range []string{"github.com/gofiber/fiber/v2", "github.com/valyala/fasthttp"} {
		if versions[needed] == "" {
			t.Errorf("go.mod: no version of %s was read", needed)
		}
	}
	for path, floor := range floors {
		if have, ok := versions[path]; ok && older(have, floor.version) {
			t.Errorf("go.mod: %s v%s is older than v%s: %s", path, have, floor.version, floor.why)
		}
	}
}

func TestOlder(t *testing.T) {
	tests := []struct {
		a, b string
		want bool
	}{
		{"1.51.0", "1.77.0", true},
		{"1.77.0", "1.77.0", false},
		{"1.100.0", "1.77.0", false},
		{"2.0.0", "1.77.0", false},
		{"1.76.9", "1.77.0", true},
	}
	for _, tt := range tests {
		if got := older(tt.a, tt.b); got != tt.want {
			t.Errorf("older(%s, %s) = %v", tt.a, tt.b, got)
		}
	}
}

// source is one Go file of the module.
type source struct {
	name string // relative to the root, with slashes
	set  *token.FileSet
	tree *ast.File
}

func read(t *testing.T, name string, text any) source {
	t.Helper()
	set := token.NewFileSet()
	tree, err := parser.ParseFile(set, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	return source{name: name, set: set, tree: tree}
}

// each runs a rule over every Go file of this module.
func each(t *testing.T, rule func(source) []string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		if d.IsDir() {
			base := d.Name()
			if name != "." && name != ".ci" && strings.HasPrefix(base, ".") || base == "testdata" || base == "node_modules" || name == "bin" {
				return fs.SkipDir
			}
			if _, err := os.Stat(filepath.Join(name, "go.mod")); err == nil && name != "." {
				return fs.SkipDir // a module of its own
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		files++
		for _, complaint := range rule(read(t, name, nil)) {
			t.Error(complaint)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files == 0 {
		t.Fatal("no Go file was found")
	}
}

func (f source) test() bool { return strings.HasSuffix(f.name, "_test.go") }

// room returns the room that a folder belongs to.
func roomOf(folder string) (room, bool) {
	best, found := room{}, false
	for _, r := range rooms {
		// "core", "plugins" and "sdk" are packages, not homes for folders that nobody placed.
		deep := r.folder != "" && r.folder != "core" && r.folder != "plugins" && r.folder != "sdk" && strings.HasPrefix(folder, r.folder+"/")
		if (folder == r.folder || deep) && len(r.folder) >= len(best.folder) {
			best, found = r, true
		}
	}
	return best, found
}

func (f source) folder() string {
	if folder := path.Dir(f.name); folder != "." {
		return folder
	}
	return ""
}

func (f source) at(n ast.Node, format string, args ...any) string {
	return f.set.Position(n.Pos()).String() + ": " + fmt.Sprintf(format, args...)
}

// imports tells what f imports and may not.
func (f source) imports() []string {
	here, ok := roomOf(f.folder())
	if !ok {
		return []string{fmt.Sprintf("%s: %s is in no room: add a line to rooms in arch_test.go that says what it may import and why", f.name, f.folder())}
	}
	var wrong []string
	for _, spec := range f.tree.Imports {
		target, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue
		}
		inside, ours := strings.CutPrefix(target, module+"/")
		switch {
		case ours:
			there, ok := roomOf(inside)
			prop := f.test() && (slices.Contains(props, there.folder) || slices.Contains(testsMay[here.folder], there.folder))
			if !ok || !prop && !here.mayImport(there.folder) {
				wrong = append(wrong, f.at(spec, "%s must not import %s: %s", title(here.folder), inside, here.why))
			}
		case slices.Contains(alone, here.folder) && strings.Contains(strings.SplitN(target, "/", 2)[0], ".") && !f.test():
			wrong = append(wrong, f.at(spec, "%s must not import %s: standard library only; %s", here.folder, target, here.why))
		}
		for _, lib := range libraries {
			under := target == strings.TrimSuffix(lib.prefix, "/") || strings.HasPrefix(target, strings.TrimSuffix(lib.prefix, "/")+"/")
			if under && !slices.Contains(lib.rooms, here.folder) && !(f.test() && slices.Contains(lib.tests, here.folder)) {
				wrong = append(wrong, f.at(spec, "%s stands only in %s, not in %s: %s", lib.prefix, strings.Join(lib.rooms, ", "), title(here.folder), lib.why))
			}
		}
	}
	return wrong
}

func (r room) mayImport(other string) bool {
	nouns := other == "core" || other == "core/wire"
	if other == r.folder || nouns && r.folder != "" && !slices.Contains(alone, r.folder) {
		return true
	}
	if slices.Contains(r.may, "*") {
		return other != "" && !slices.Contains(props, other)
	}
	return slices.Contains(r.may, other)
}

// calls tells which names of the standard library f uses and may not. Tests may use
// all of them: they play the client, the upstream and the clock.
func (f source) calls() []string {
	here, ok := roomOf(f.folder())
	if !ok || f.test() || slices.Contains(programs, here.folder) {
		return nil
	}
	var wrong []string
	names := map[string]string{} // local name of an import → path
	for _, spec := range f.tree.Imports {
		target, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue
		}
		local := path.Base(target)
		if local == "v2" {
			local = path.Base(path.Dir(target))
		}
		if spec.Name != nil {
			local = spec.Name.Name
		}
		if local == "." {
			wrong = append(wrong, f.at(spec, "dot import of %s: a reader, and this test, cannot see where a name comes from", target))
		}
		names[local] = target
	}
	called := map[ast.Expr]bool{}
	ast.Inspect(f.tree, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			fun := n.Fun
			if index, ok := fun.(*ast.IndexExpr); ok {
				fun = index.X // rand.N[int](3)
			}
			called[fun] = true
		case *ast.SelectorExpr:
			id, ok := n.X.(*ast.Ident)
			if !ok || names[id.Name] == "" {
				return true
			}
			for _, c := range calls {
				if c.pkg != names[id.Name] || !c.names.MatchString(n.Sel.Name) || c.uses == calling && !called[n] {
					continue
				}
				if slices.Contains(c.rooms, here.folder) || here.folder == "core/app" && slices.Contains(appMay, c.pkg) {
					continue
				}
				wrong = append(wrong, f.at(n, "%s.%s in %s: %s", path.Base(strings.TrimSuffix(c.pkg, "/v2")), n.Sel.Name, title(here.folder), c.why))
			}
		}
		return true
	})
	return wrong
}

func title(folder string) string {
	if folder == "" {
		return "main"
	}
	return folder
}

// camel splits a name into its words, in lower case.
func camel(name string) []string {
	var words []string
	start := 0
	runes := []rune(name)
	for i := 1; i < len(runes); i++ {
		next := i+1 < len(runes) && unicode.IsLower(runes[i+1])
		if unicode.IsUpper(runes[i]) && (!unicode.IsUpper(runes[i-1]) || next) {
			words = append(words, strings.ToLower(string(runes[start:i])))
			start = i
		}
	}
	return append(words, strings.ToLower(string(runes[start:])))
}

// older compares two versions of three numbers.
func older(a, b string) bool {
	x, y := strings.Split(a, "."), strings.Split(b, ".")
	for i := range 3 {
		m, _ := strconv.Atoi(x[i]) // the pattern that read them lets only digits through
		n, _ := strconv.Atoi(y[i])
		if m != n {
			return m < n
		}
	}
	return false
}
