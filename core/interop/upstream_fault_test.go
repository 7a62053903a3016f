package interop

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// What upstreams are given for a call here, and within what they are of use again. What
// comes beside the deadline is no measure, but far below the 30 s that a call has by
// default: suites share two cores.
const (
	faultDeadline = 2 * time.Second
	faultSlack    = 8 * time.Second
	faultRecovery = 10 * time.Second
)

// misdeeds are what an upstream does with calls instead of answering. Discovery and lists
// stay right, as they were when it was met.
var misdeeds = map[string]func(w http.ResponseWriter, r *http.Request, q *request){
	"hangs": func(_ http.ResponseWriter, r *http.Request, _ *request) { <-r.Context().Done() },
	"hangs after its head": func(w http.ResponseWriter, r *http.Request, _ *request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	},
	"resets": func(w http.ResponseWriter, _ *http.Request, _ *request) { cut(w, "") },
	"resets inside its answer": func(w http.ResponseWriter, _ *http.Request, _ *request) {
		cut(w, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{\"jsonrpc\":\"2.0\",")
	},
	"answers another id": func(w http.ResponseWriter, _ *http.Request, q *request) {
		fmt.Fprintf(w, `{"jsonrpc":"2.0","id":"x%s","result":%s}`, strings.Trim(string(q.ID), `"`), echoed(q.Params.Arguments.Nonce))
	},
	"answers no JSON": func(w http.ResponseWriter, _ *http.Request, _ *request) {
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{"content":[}`)
	},
	"answers a page": func(w http.ResponseWriter, _ *http.Request, _ *request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<h1>Welcome</h1>")
	},
	"answers nothing": func(w http.ResponseWriter, _ *http.Request, _ *request) { w.WriteHeader(http.StatusOK) },
	"answers 500": func(w http.ResponseWriter, _ *http.Request, _ *request) {
		w.WriteHeader(http.StatusInternalServerError)
	},
	"answers 404": func(w http.ResponseWriter, _ *http.Request, _ *request) { w.WriteHeader(http.StatusNotFound) },
	"floods": func(w http.ResponseWriter, _ *http.Request, _ *request) {
		flood(w, `{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"`, strings.Repeat("flood ", 10_000))
	},
	"floods with events": func(w http.ResponseWriter, _ *http.Request, _ *request) {
		w.Header().Set("Content-Type", "text/event-stream")
		flood(w, "", "event: message\ndata: "+`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"flood"}}`+"\n\n")
	},
}

// cut sends a text and resets the connection.
func cut(w http.ResponseWriter, text string) {
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	_, _ = io.WriteString(c, text)
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}

// flood writes without end.
func flood(w io.Writer, first, again string) {
	b := bufio.NewWriterSize(w, 64<<10)
	_, err := b.WriteString(first)
	for err == nil {
		_, err = b.WriteString(again)
	}
}

// villain is an echo that can be made to misbehave.
type villain struct {
	*echo
	does atomic.Value // a misdeed, "" = none
}

func newVillain(t *testing.T) *villain {
	t.Helper()
	v := &villain{echo: &echo{}}
	v.does.Store("")
	v.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		var q request
		misdeed := misdeeds[v.does.Load().(string)]
		if misdeed == nil || json.Unmarshal(body, &q) != nil || q.Method != "tools/call" {
			r.Body = io.NopCloser(strings.NewReader(string(body)))
			v.answer(w, r)
			return
		}
		if _, again := v.seen.LoadOrStore(q.Params.Arguments.Nonce, true); again && v.does.Load() != refusal {
			v.twice.Add(1)
		}
		w.Header().Set("Content-Type", "application/json")
		misdeed(w, r, &q)
	}))
	t.Cleanup(func() {
		v.server.CloseClientConnections()
		v.server.Close()
	})
	return v
}

// refusal is the misdeed that says itself that the call did not run: then it may be sent
// again, when the upstream was looked at again.
const refusal = "answers 404"

// TestUpstreamFaults lets upstreams misbehave in every way, each beside a neighbour that
// does not: calls end with an error that names the upstream within their deadline, the
// neighbour is not held up, the upstream is of use again when it behaves, and nothing is
// ever sent twice.
func TestUpstreamFaults(t *testing.T) {
	good := newEcho(t)
	configs := []map[string]any{{"name": "good", "url": good.server.URL + "/mcp", "route": false}}
	servers := []map[string]any{mounting("good", "good")}
	villains := map[string]*villain{}
	for misdeed := range misdeeds {
		name := strings.ReplaceAll(strings.ToLower(misdeed), " ", "-")
		v := newVillain(t)
		villains[misdeed] = v
		configs = append(configs, map[string]any{"name": name, "url": v.server.URL + "/mcp", "route": false})
		servers = append(servers, mounting(name, name))
	}
	origin := serve(t, encode(t, map[string]any{"upstreams": configs, "servers": servers}))
	for _, server := range servers {
		reached(t, origin, server["name"].(string))
	}
	for misdeed, v := range villains {
		name := strings.ReplaceAll(strings.ToLower(misdeed), " ", "-")
		t.Run(misdeed, func(t *testing.T) { v.act(t, origin, name, misdeed) })
	}
	if n := good.twice.Load(); n > 0 {
		t.Errorf("%d calls came to the neighbour more than once", n)
	}
}

// mounting is a server that has one upstream, with a short deadline.
func mounting(server, upstream string) map[string]any {
	return map[string]any{"name": server, "upstreams": []map[string]any{{"upstream": upstream, "prefix": "", "timeout": faultDeadline.String()}}}
}

func (v *villain) act(t *testing.T, origin, name, misdeed string) {
	t.Helper()
	v.does.Store(misdeed)
	const victims = 8
	var all sync.WaitGroup
	for i := range victims {
		all.Go(func() {
			begin := time.Now()
			got, err := plain(t, origin, name).tool(t.Context(), 1, "echo", fmt.Sprint(misdeed, " ", i))
			took := time.Since(begin)
			var f *fault
			switch {
			case err == nil:
				t.Errorf("an answer came of it: %q", got)
			case !errors.As(err, &f) && !strings.Contains(err.Error(), "isError"):
				t.Errorf("not an answer of the protocol: %v", err)
			case !strings.Contains(err.Error(), name) && !strings.Contains(err.Error(), "The tool echo did not answer in time"):
				t.Errorf("the error names neither the upstream nor the tool: %v", err)
			}
			if took > faultDeadline+faultSlack {
				t.Errorf("the error came after %v", took)
			}
			if i == 0 {
				t.Logf("after %v: %v", took.Round(time.Millisecond), err)
			}
		})
	}
	neighbour := plain(t, origin, "good")
	for i := range 50 {
		n := fmt.Sprint("beside ", misdeed, " ", i)
		if got, err := neighbour.tool(t.Context(), 1, "echo", n); err != nil || got != n {
			t.Errorf("the neighbour: %q, %v", got, err)
		}
	}
	all.Wait()
	v.does.Store("")
	recovers(t, plain(t, origin, name), misdeed)
	if n := v.twice.Load(); n > 0 {
		t.Errorf("%d calls were sent twice", n)
	}
}

// plain is a client with a connection of its own.
func plain(t *testing.T, origin, server string) *speaker {
	t.Helper()
	return &speaker{http: ownHTTP(t), url: origin + "/" + server + "/mcp"}
}

// recovers waits until an upstream is of use again.
func recovers(t *testing.T, s *speaker, what string) {
	t.Helper()
	begin := time.Now()
	for try := 0; ; try++ {
		n := fmt.Sprint("after ", what, " ", try)
		got, err := s.tool(t.Context(), 1, "echo", n)
		if err == nil && got == n {
			t.Logf("of use again after %v", time.Since(begin).Round(time.Millisecond))
			return
		}
		if time.Since(begin) > faultRecovery {
			t.Fatalf("of no use %v later: %v", faultRecovery, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// TestUpstreamKilled kills the process of an upstream under its calls, again and again.
func TestUpstreamKilled(t *testing.T) {
	exe := must(os.Executable())
	marks := t.TempDir()
	good := newEcho(t)
	origin := serve(t, encode(t, map[string]any{
		"upstreams": []map[string]any{
			{"name": "good", "url": good.server.URL + "/mcp"},
			{"name": "shelf", "command": []string{exe, asShelf, "", marks}},
		},
	}), "--upstreams-commands", exe+" "+asShelf)
	reached(t, origin, "good", "shelf")
	shelf := plain(t, origin, "shelf")
	for round := range 3 {
		pid := process(t, shelf)
		const victims = 8
		var all sync.WaitGroup
		for i := range victims {
			all.Go(func() {
				got, err := plain(t, origin, "shelf").tool(t.Context(), 1, "hang", fmt.Sprint(round, ".", i))
				var f *fault
				if err == nil || !errors.As(err, &f) && !strings.Contains(err.Error(), "isError") || !strings.Contains(err.Error(), "shelf") {
					t.Errorf("call of a process that was killed: %q, %v", got, err)
				}
			})
		}
		for i := range victims {
			for deadline := time.Now().Add(startTime); marked(marks, "hang", fmt.Sprint(round, ".", i)) == 0; time.Sleep(5 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatal("the calls do not run")
				}
			}
		}
		begin := time.Now()
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		all.Wait()
		took := time.Since(begin)
		if took > faultSlack {
			t.Errorf("the errors came %v after the process died", took)
		}
		t.Logf("all calls ended %v after the process died", took.Round(time.Millisecond))
		if got, err := plain(t, origin, "good").tool(t.Context(), 1, "echo", fmt.Sprint("beside ", round)); err != nil {
			t.Errorf("the neighbour: %q, %v", got, err)
		}
		recovers(t, shelf, fmt.Sprint("death ", round))
		for i := range victims {
			if n := marked(marks, "hang", fmt.Sprint(round, ".", i)); n != 1 {
				t.Errorf("a call ran %d times", n)
			}
		}
	}
}
