package interop

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// askers is how many clients there are at once.
const askers = 200

// TestUpstreamIdentity has 200 clients send the same ids at the same time to one upstream
// over HTTP and one over the pipe of a process, where all of them share a connection. Each
// call carries a nonce that must come back to who sent it. SALLYPORT_CALLS is how many
// calls there are.
func TestUpstreamIdentity(t *testing.T) {
	calls := 20_000
	if text := os.Getenv("SALLYPORT_CALLS"); text != "" {
		calls = must(strconv.Atoi(text))
	}
	exe := must(os.Executable())
	echo := newEcho(t)
	origin := serve(t, upstreams(t,
		map[string]any{"name": "http", "url": echo.server.URL + "/mcp"},
		map[string]any{"name": "stdio", "command": []string{exe, asShelf, "", ""}},
		map[string]any{"name": "old", "command": []string{exe, asShelf, "2025-11-25", ""}},
	), "--upstreams-commands", exe+" "+asShelf)
	names := []string{"http", "stdio", "old"}
	reached(t, origin, "http", "stdio", "old")
	begin := time.Now()
	var all sync.WaitGroup
	var right, wrong, failed atomic.Int64
	var sample atomic.Value
	for asker := range askers {
		all.Go(func() {
			transport := &http.Transport{}
			defer transport.CloseIdleConnections()
			name := names[asker%len(names)]
			s := &speaker{http: &http.Client{Transport: transport}, url: origin + "/" + name + "/mcp"}
			if asker%2 == 0 {
				if err := s.open(t.Context()); err != nil {
					failed.Add(1)
					sample.Store(err.Error())
					return
				}
			}
			for i := range calls / askers {
				n := fmt.Sprintf("%d of %d", i, asker)
				switch got, err := s.tool(t.Context(), 1+i%5, "echo", n); {
				case err != nil:
					failed.Add(1)
					sample.Store(name + ": " + err.Error())
				case got != n:
					wrong.Add(1)
					sample.Store(fmt.Sprintf("%s: %q came for %q", name, got, n))
				default:
					right.Add(1)
				}
			}
		})
	}
	all.Wait()
	t.Logf("%d calls in %v: %d answered right, %d with the answer of another, %d failed", calls, time.Since(begin).Round(time.Millisecond), right.Load(), wrong.Load(), failed.Load())
	if wrong.Load() > 0 || failed.Load() > 0 || right.Load() != int64(calls/askers*askers) {
		t.Errorf("one of them: %v", sample.Load())
	}
	if twice := echo.twice.Load(); twice > 0 {
		t.Errorf("%d calls came to the upstream more than once", twice)
	}
}

// TestUpstreamCrowd has 1,000 calls wait at once for a process that does not run: it was
// stopped because nobody needed it.
func TestUpstreamCrowd(t *testing.T) {
	const crowd = 1000
	exe := must(os.Executable())
	marks := t.TempDir()
	origin := serve(t, upstreams(t, map[string]any{"name": "shelf", "command": []string{exe, asShelf, "", marks}, "start": "idle_stop", "idle": "1s"}),
		"--upstreams-commands", exe+" "+asShelf, "--limits-connections-per-address", "2000")
	reached(t, origin, "shelf")
	transport := &http.Transport{MaxIdleConnsPerHost: crowd}
	defer transport.CloseIdleConnections()
	s := &speaker{http: &http.Client{Transport: transport}, url: origin + "/shelf/mcp"}
	gone(t, process(t, s))
	var all sync.WaitGroup
	var right atomic.Int64
	var sample atomic.Value
	for i := range crowd {
		all.Go(func() {
			n := fmt.Sprint(i)
			got, err := s.tool(t.Context(), 1, "wait", n)
			if err != nil || got != n {
				sample.Store(fmt.Sprintf("%q came for %q: %v", got, n, err))
				return
			}
			right.Add(1)
		})
	}
	all.Wait()
	if right.Load() != crowd {
		t.Errorf("%d of %d calls were answered; one that was not: %v", right.Load(), crowd, sample.Load())
	}
	for i := range crowd {
		if got := marked(marks, "wait", fmt.Sprint(i)); got != 1 {
			t.Fatalf("call %d ran %d times", i, got)
		}
	}
}

// process asks a shelf for its process.
func process(t *testing.T, s *speaker) int {
	t.Helper()
	got, err := s.tool(t.Context(), 1, "pid", "")
	if err != nil {
		t.Fatal(err)
	}
	return must(strconv.Atoi(got))
}

// gone waits until a process is no more.
func gone(t *testing.T, pid int) {
	t.Helper()
	for deadline := time.Now().Add(startTime); syscall.Kill(pid, 0) == nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("process %d is still there", pid)
		}
	}
}

// echo is a server of 2026-07-28 that returns nonces, and does not do it twice.
type echo struct {
	server *httptest.Server
	seen   sync.Map
	twice  atomic.Int64
}

func newEcho(t *testing.T) *echo {
	t.Helper()
	e := &echo{}
	e.server = httptest.NewServer(http.HandlerFunc(e.answer))
	t.Cleanup(func() {
		e.server.CloseClientConnections()
		e.server.Close()
	})
	return e
}

// echoOffer is what a server with the tool echo says for each method.
var echoOffer = map[string]string{
	"server/discover": `{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"ttlMs":0,"cacheScope":"public"}`,
	"tools/list":      `{"resultType":"complete","tools":[{"name":"echo","inputSchema":{"type":"object","properties":{"nonce":{"type":"string"}}}}],"ttlMs":0,"cacheScope":"public"}`,
}

// request is a request as a server sees it.
type request struct {
	ID     json.RawMessage
	Method string
	Params struct {
		Name      string
		Arguments nonce
	}
}

func (e *echo) answer(w http.ResponseWriter, r *http.Request) {
	var q request
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	result, known := echoOffer[q.Method]
	if !known {
		if _, again := e.seen.LoadOrStore(q.Params.Arguments.Nonce, true); again {
			e.twice.Add(1)
		}
		result = echoed(q.Params.Arguments.Nonce)
	}
	_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":`+string(q.ID)+`,"result":`+result+`}`)
}

// echoed is the result of a call of echo.
func echoed(n string) string {
	text, err := json.Marshal(n)
	if err != nil {
		return err.Error()
	}
	return `{"resultType":"complete","content":[{"type":"text","text":` + string(text) + `}]}`
}
