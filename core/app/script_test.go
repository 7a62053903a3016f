package app

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/sallyport/sallyport/examples/quickstart/bookshop"
)

func TestMain(m *testing.M) {
	if code, ran := Child(os.Getenv, os.Stdin, os.Stdout); ran {
		os.Exit(code)
	}
	if file := os.Getenv(shelfVariable); file != "" {
		serveShelf(file)
		os.Exit(0)
	}
	testscript.Main(m, map[string]func(){
		"sallyport": func() {
			ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
			context.AfterFunc(ctx, stop) // as main does
			code := Main(ctx, os.Args[1:], os.Stdout, os.Stderr)
			stop()
			os.Exit(code)
		},
	})
}

// TestCommands runs every command as it is typed.
func TestCommands(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup:               forGo,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"origin": waitForOrigin, "get": get, "rpc": rpc, "replace": replace, "bookshop": openBookshop, "drown": drown,
			"guest": writeGuest, "registry": openRegistry, "tools": keepTools, "older": makeOlder, "self": self,
		},
	})
}

// waitForOrigin waits until the log of a background command names its address, and
// puts that into $ORIGIN.
func waitForOrigin(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: origin FILE")
	}
	for range 200 {
		text, err := os.ReadFile(ts.MkAbs(args[0]))
		if err == nil {
			for line := range strings.SplitSeq(string(text), "\n") {
				if origin, found := strings.CutPrefix(line, "listening on "); found && strings.Contains(string(text), line+"\n") {
					ts.Setenv("ORIGIN", origin)
					return
				}
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	ts.Fatalf("%s does not say where the gateway listens", args[0])
}

// exchange prints status and body to stdout, until the body holds what is waited for
// (5 s at most).
func exchange(ts *testscript.TestScript, neg bool, make func() (*http.Request, error), want string) {
	client := &http.Client{Timeout: 10 * time.Second}
	var last string
	for range 100 {
		request, err := make()
		ts.Check(err)
		answer, err := client.Do(request)
		if err == nil {
			body, _ := io.ReadAll(answer.Body)
			_ = answer.Body.Close()
			last = fmt.Sprintf("%d %s", answer.StatusCode, body)
			if strings.Contains(last, want) != neg {
				return
			}
		} else {
			last = err.Error()
		}
		time.Sleep(50 * time.Millisecond)
	}
	ts.Fatalf("got %s; want (or not) %q", last, want)
}

// get PATH WANT waits until GET $ORIGIN/PATH answers with WANT (status and body).
func get(ts *testscript.TestScript, neg bool, args []string) {
	exchange(ts, neg, func() (*http.Request, error) {
		return http.NewRequestWithContext(context.Background(), http.MethodGet, ts.Getenv("ORIGIN")+args[0], nil)
	}, args[1])
}

// rpc PATH METHOD NAME PARAMS WANT sends one 2026-07-28 request; NAME may be "-".
func rpc(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 5 {
		ts.Fatalf("usage: rpc PATH METHOD NAME PARAMS WANT")
	}
	path, method, name, params, want := args[0], args[1], args[2], args[3], args[4]
	meta := `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}`
	if params = strings.TrimSuffix(params, "}"); params != "{" {
		params += ","
	}
	body := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":%q,"params":%s%s}}`, method, params, meta)
	exchange(ts, neg, func() (*http.Request, error) {
		r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, ts.Getenv("ORIGIN")+path, strings.NewReader(body))
		if err != nil {
			return nil, err
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Accept", "application/json, text/event-stream")
		r.Header.Set("MCP-Protocol-Version", "2026-07-28")
		r.Header.Set("Mcp-Method", method)
		if name != "-" {
			r.Header.Set("Mcp-Name", name)
		}
		return r, nil
	}, want)
}

// replace FILE OLD NEW edits a file as an editor does: a new file, renamed over it.
func replace(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: replace FILE OLD NEW")
	}
	name := ts.MkAbs(args[0])
	text, err := os.ReadFile(name)
	ts.Check(err)
	if !strings.Contains(string(text), args[1]) {
		ts.Fatalf("%s does not hold %q", args[0], args[1])
	}
	ts.Check(os.WriteFile(name+".new~", []byte(strings.ReplaceAll(string(text), args[1], args[2])), 0o600))
	ts.Check(os.Rename(name+".new~", name))
}

// drown FILE writes a document with 600 warnings and, behind them, one mistake.
func drown(ts *testscript.TestScript, _ bool, args []string) {
	text := "connections:\n"
	for i := range 600 {
		text += fmt.Sprintf("  - {name: c%d, baseUrl: 'https://shop.example'}\n", i)
	}
	text += "servers:\n  - name: one\n    tools:\n      - {name: t, invoker: {kind: rest, config: {connection: nowhere, path: /}}}\n"
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o600))
}

// openBookshop starts the quickstart's service and puts its address into
// $BOOKSHOP_URL.
func openBookshop(ts *testscript.TestScript, _ bool, _ []string) {
	server := httptest.NewServer(bookshop.New())
	ts.Setenv("BOOKSHOP_URL", server.URL)
	ts.Defer(server.Close)
}
