package upstream_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/upstream"
)

var update = flag.Bool("update", false, "write what the scripts in testdata answer")

// Each file of testdata is an upstream as a script, and a client of it:
//
//	-- server --            rules, each for one request, used in order
//	on POST tools/call      the HTTP method and the method of the message; answer, error
//	                        where it has none; LINE over stdio; "always on" is not used up
//	  want header A: b      and want no header A, want body X, want no body X
//	  status 404            header A: b, json {…}, text …, sse, event {…}, event-id 1 {…},
//	                        prime 1, retry 5, push {…}, pump, await GET, sleep 10, close, hold, die
//	-- client --            calls, and below each what came of it (refreshed by -update)
//	tool echo {} as=ann caps={…} progress log=info timeout=50ms state=last answers={…}
//
// $id and $token stand for those of the request, $1 for the first of that method.
func TestScripts(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s := &script{t: t, served: map[string]int{}, changed: make(chan struct{}), pushes: make(chan string, 100)}
			var client *txtar.File
			for i := range archive.Files {
				switch f := &archive.Files[i]; f.Name {
				case "options":
					s.option(string(f.Data))
				case "server":
					s.rule(string(f.Data))
				case "client":
					client = f
				}
			}
			s.open()
			out := s.run(string(client.Data))
			s.close()
			if *update {
				client.Data = []byte(out)
				if err := os.WriteFile(file, txtar.Format(archive), 0o600); err != nil {
					t.Fatal(err)
				}
			} else if out != string(client.Data) {
				t.Errorf("got\n%s\nwant\n%s", out, client.Data)
			}
			for _, r := range s.rules {
				if !r.used && !r.always {
					t.Errorf("never asked for: %s", r.key)
				}
			}
		})
	}
}

type script struct {
	t       *testing.T
	options upstream.Options
	rules   []*rule
	server  *httptest.Server
	client  *upstream.Client

	mu      sync.Mutex
	served  map[string]int
	first   map[string]string // id of the first request of a method
	changed chan struct{}
	pushes  chan string
	last    *core.Result
	changes chan core.Change
	stop    func()
	over    context.CancelFunc
	life    context.Context
}

type rule struct {
	key          string
	always, used bool
	steps        []string
}

func (s *script) option(text string) {
	s.options.Limits = upstream.Limits{Probe: 2 * time.Second, Resumes: 3}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		n, _ := strconv.Atoi(value)
		d, _ := time.ParseDuration(value)
		switch name {
		case "transport":
			s.options.Transport = map[string]upstream.Transport{"http": upstream.HTTP, "sse": upstream.SSE, "stdio": upstream.Stdio}[value]
		case "revision":
			s.options.Revision = value
		case "message":
			s.options.Limits.MessageBytes = int64(n)
		case "events":
			s.options.Limits.Events = n
		case "asks":
			s.options.Limits.Asks = n
		case "sessions":
			s.options.Limits.Sessions = n
		case "waiting":
			s.options.Limits.Waiting = n
		case "pages":
			s.options.Limits.Pages = n
		case "parked":
			s.options.Limits.Parked = n
		case "parked-for":
			s.options.Limits.ParkedFor = d
		case "idle":
			s.options.Limits.Idle = d
		case "probe":
			s.options.Limits.Probe = d
		case "":
		default:
			s.t.Fatalf("option %q", name)
		}
	}
}

// rule reads the server's part; "use legacy 2025-11-25 {capabilities}" and "use modern
// {capabilities}" stand for the usual beginning.
func (s *script) rule(text string) {
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		words := strings.SplitN(line, " ", 4)
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "  "):
			last := s.rules[len(s.rules)-1]
			last.steps = append(last.steps, strings.TrimSpace(line))
		case words[0] == "use":
			s.use(words[1:])
		default:
			key, always := strings.CutPrefix(line, "always ")
			s.rules = append(s.rules, &rule{key: strings.TrimPrefix(key, "on "), always: always})
		}
	}
}

func (s *script) use(words []string) {
	how := "POST "
	if s.options.Transport == upstream.Stdio {
		how = "LINE "
	}
	answer := func(r *rule, body string) *rule {
		if how == "LINE " {
			r.steps = append(r.steps, "push "+body)
		} else {
			r.steps = append(r.steps, "json "+body)
		}
		return r
	}
	if words[0] == "modern" {
		s.rules = append(s.rules, answer(&rule{key: how + "server/discover"}, `{"jsonrpc":"2.0","id":$id,"result":{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":`+
			strings.Join(words[1:], " ")+`,"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"s","version":"1"}}}}`))
		return
	}
	if s.options.Revision == "" {
		s.rules = append(s.rules, answer(&rule{key: how + "server/discover"}, `{"jsonrpc":"2.0","id":$id,"error":{"code":-32601,"message":"what?"}}`))
	}
	open := &rule{key: how + "initialize"}
	if how == "POST " {
		open.steps = append(open.steps, "header Mcp-Session-Id: s1")
	}
	s.rules = append(s.rules,
		answer(open, `{"jsonrpc":"2.0","id":$id,"result":{"protocolVersion":"`+words[1]+`","capabilities":`+words[2]+`,"serverInfo":{"name":"s","version":"1"}}}`),
		&rule{key: how + "notifications/initialized", steps: []string{"status 202"}})
	if how == "POST " {
		s.rules = append(s.rules, &rule{key: "DELETE", always: true, steps: []string{"status 200"}})
	}
}

func (s *script) open() {
	s.life, s.over = context.WithCancel(context.Background())
	s.first = map[string]string{}
	s.options.Name = "books"
	if s.options.Transport == upstream.Stdio {
		s.options.Spawn = func(context.Context) (upstream.Pipe, error) {
			return &scriptPipe{s: s, lines: make(chan string, 100), over: make(chan struct{})}, nil
		}
	} else {
		s.server = httptest.NewServer(s)
		u, _ := url.Parse(s.server.URL + "/mcp?k=v")
		s.options.URL, s.options.HTTP = u, through(s.t, u, nil, false)
	}
	var err error
	if s.client, err = upstream.Open(s.options); err != nil {
		s.t.Fatal(err)
	}
}

func (s *script) close() {
	if s.stop != nil {
		s.stop()
	}
	s.client.Close()
	s.over()
	if s.server != nil {
		s.server.Close()
	}
}

// asked is one request to the script.
type asked struct {
	key, body, id, token string
	header               http.Header
}

func readAsked(how string, body []byte, header http.Header) *asked {
	a := &asked{key: how, body: string(body), header: header}
	var m struct {
		ID     json.RawMessage `json:"id"`
		Method string          `json:"method"`
		Error  json.RawMessage `json:"error"`
		Params struct {
			Meta struct {
				Token json.RawMessage `json:"progressToken"`
			} `json:"_meta"`
		} `json:"params"`
	}
	if len(body) == 0 || json.Unmarshal(body, &m) != nil {
		return a
	}
	switch {
	case m.Method != "":
		a.key += " " + m.Method
	case m.Error != nil:
		a.key += " error"
	default:
		a.key += " answer"
	}
	a.id, a.token = string(m.ID), string(m.Params.Meta.Token)
	return a
}

// take finds the rule for a request, and notes that it came.
func (s *script) take(a *asked) *rule {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() {
		if s.served[a.key] == 0 {
			s.first[a.key] = a.id
		}
		s.counted(a.key)
	}()
	for _, r := range s.rules {
		if r.key == a.key && (r.always || !r.used) {
			r.used = true
			return r
		}
	}
	if a.key != "DELETE" && s.life.Err() == nil {
		s.t.Errorf("nobody expects %s %s", a.key, a.body)
	}
	return nil
}

// count notes that something happened.
func (s *script) count(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counted(key)
}

// counted is count with the lock held.
func (s *script) counted(key string) {
	s.served[key]++
	close(s.changed)
	s.changed = make(chan struct{})
}

// await waits until as many requests of a key were there.
func (s *script) await(ctx context.Context, key string, most int) {
	timeout := time.After(10 * time.Second)
	for {
		s.mu.Lock()
		n, changed := s.served[key], s.changed
		s.mu.Unlock()
		if n >= most {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		case <-s.life.Done():
			return
		case <-timeout:
			s.t.Errorf("%s never came", key)
			return
		}
	}
}

func (s *script) check(a *asked, rest string) {
	no := strings.HasPrefix(rest, "no ")
	what, text, _ := strings.Cut(strings.TrimPrefix(rest, "no "), " ")
	found := false
	if what == "header" {
		name, value, valued := strings.Cut(text, ": ")
		got, ok := a.header[http.CanonicalHeaderKey(name)]
		found = ok && (!valued || strings.Join(got, "|") == value)
	} else {
		found = strings.Contains(a.body, s.fill(a, text))
	}
	if found == no {
		s.t.Errorf("%s: want %s; it has header %v and body %s", a.key, rest, a.header, a.body)
	}
}

func (s *script) fill(a *asked, text string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	text = strings.NewReplacer("$id", a.id, "$token", a.token).Replace(text)
	for key, id := range s.first {
		if _, method, ok := strings.Cut(key, " "); ok {
			text = strings.ReplaceAll(text, "$1("+method+")", id)
		}
	}
	if strings.Contains(text, "$deep") {
		text = strings.ReplaceAll(text, "$deep", strings.Repeat("[", 500)+strings.Repeat("]", 500))
	}
	if strings.Contains(text, "$long") {
		text = strings.ReplaceAll(text, "$long", strings.Repeat("x", 5000))
	}
	return text
}

// step does what both transports have; false when it is for the transport.
func (s *script) step(ctx context.Context, a *asked, name, rest string) bool {
	switch name {
	case "want":
		s.check(a, rest)
	case "await":
		s.await(ctx, rest, 1)
	case "sleep":
		ms, _ := strconv.Atoi(rest)
		time.Sleep(time.Duration(ms) * time.Millisecond)
	case "hold":
		select {
		case <-ctx.Done():
			s.count("gone") // the client closed the stream
		case <-s.life.Done():
		}
	default:
		return false
	}
	return true
}

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	a := readAsked(r.Method, body, r.Header)
	ours := s.take(a)
	if ours == nil {
		w.WriteHeader(500)
		return
	}
	flush := func() { _ = http.NewResponseController(w).Flush() }
	begun := false
	for _, step := range ours.steps {
		name, rest, _ := strings.Cut(step, " ")
		if s.step(r.Context(), a, name, rest) {
			continue
		}
		rest = s.fill(a, rest)
		switch name {
		case "status":
			n, _ := strconv.Atoi(rest)
			w.WriteHeader(n)
		case "header":
			key, value, _ := strings.Cut(rest, ": ")
			w.Header().Set(key, value)
			if key == "Content-Type" {
				begun = true
			}
		case "json", "text":
			if !begun {
				w.Header().Set("Content-Type", map[string]string{"json": "application/json", "text": "text/plain"}[name])
			}
			fmt.Fprint(w, rest)
		case "fail":
			status, text, _ := strings.Cut(rest, " ")
			n, _ := strconv.Atoi(status)
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(n)
			fmt.Fprint(w, text)
		case "sse":
			w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
			w.WriteHeader(200)
			flush()
		case "event":
			fmt.Fprintf(w, "data: %s\n\n", rest)
			flush()
		case "event-id":
			id, data, _ := strings.Cut(rest, " ")
			fmt.Fprintf(w, "id: %s\ndata: %s\n\n", id, data)
			flush()
		case "named":
			event, data, _ := strings.Cut(rest, " ")
			fmt.Fprintf(w, "event: %s\ndata: %s\n\n", event, data)
			flush()
		case "prime":
			fmt.Fprintf(w, "id: %s\ndata:\n\n", rest)
			flush()
		case "retry":
			fmt.Fprintf(w, "retry: %s\n\n", rest)
			flush()
		case "push":
			s.pushes <- rest
		case "pump":
			for pumping := true; pumping; {
				select {
				case text := <-s.pushes:
					fmt.Fprintf(w, "event: message\ndata: %s\n\n", text)
					flush()
				case <-r.Context().Done():
					pumping = false
				case <-s.life.Done():
					pumping = false
				}
			}
		case "close":
			panic(http.ErrAbortHandler)
		default:
			s.t.Errorf("step %q", step)
		}
	}
}

// scriptPipe is the script as a process.
type scriptPipe struct {
	s     *script
	lines chan string
	over  chan struct{}
	once  sync.Once
}

func (p *scriptPipe) Send(_ context.Context, line []byte) error {
	if bytes.ContainsAny(line, "\n\r") {
		p.s.t.Errorf("more than one line: %q", line)
	}
	a := readAsked("LINE", bytes.Clone(line), nil)
	ours := p.s.take(a)
	if ours == nil {
		return nil
	}
	go func() {
		for _, step := range ours.steps {
			name, rest, _ := strings.Cut(step, " ")
			if p.s.step(p.s.life, a, name, rest) {
				continue
			}
			switch name {
			case "status":
			case "push":
				select {
				case p.lines <- p.s.fill(a, rest):
				case <-p.over:
				}
			case "die":
				p.Close()
			default:
				p.s.t.Errorf("step %q", step)
			}
		}
	}()
	return nil
}

func (p *scriptPipe) Next(ctx context.Context) ([]byte, error) {
	select {
	case line := <-p.lines:
		return []byte(line), nil
	default:
	}
	select {
	case line := <-p.lines:
		return []byte(line), nil
	case <-p.over:
		return nil, io.EOF
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *scriptPipe) Close() error {
	p.once.Do(func() { close(p.over) })
	return nil
}

// run plays the client's part and returns it with what came of it.
func (s *script) run(text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if line == "" || line[0] == '=' {
			continue
		}
		fmt.Fprintln(&out, line)
		if line[0] == '#' {
			continue
		}
		for _, said := range s.command(line) {
			fmt.Fprintln(&out, "= "+said)
		}
	}
	return out.String()
}

func (s *script) command(line string) (said []string) {
	words := splitWords(line)
	limit := 10 * time.Second
	var mu sync.Mutex
	call := request("tool", "", "{}")
	call.Notify = func(n core.Notification) {
		mu.Lock()
		defer mu.Unlock()
		said = append(said, n.Method+" "+string(n.Params))
	}
	var rest []string
	for _, word := range words[1:] {
		name, value, ok := strings.Cut(word, "=")
		if strings.HasPrefix(word, "{") {
			ok = false
		}
		switch {
		case ok && name == "as":
			call.Who.Subject = value
		case ok && name == "caps":
			if value == "all" {
				value = everything
			}
			call.Client.Capabilities = json.RawMessage(value)
		case ok && name == "meta":
			call.Meta = json.RawMessage(value)
		case ok && name == "log":
			call.LogLevel = value
		case ok && name == "state":
			call.RequestState = json.RawMessage(value)
			if value == "last" {
				call.RequestState = s.last.RequestState
			}
		case ok && name == "answers":
			call.InputResponses = map[string]json.RawMessage{}
			if err := json.Unmarshal([]byte(value), &call.InputResponses); err != nil {
				s.t.Fatal(err)
			}
		case ok && name == "refusals":
			call.InputRefusals = map[string]json.RawMessage{}
			if err := json.Unmarshal([]byte(value), &call.InputRefusals); err != nil {
				s.t.Fatal(err)
			}
		case ok && name == "timeout":
			limit, _ = time.ParseDuration(value)
		case word == "progress":
			call.Progress = true
		default:
			rest = append(rest, word)
		}
	}
	if len(rest) > 0 {
		call.Tool = rest[0]
	}
	if len(rest) > 1 {
		call.Arguments = json.RawMessage(rest[1])
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	var result *core.Result
	var err error
	start := time.Now()
	switch words[0] {
	case "tool":
		result, err = s.client.CallTool(ctx, call)
	case "prompt":
		result, err = s.client.GetPrompt(ctx, call)
	case "read":
		result, err = s.client.ReadResource(ctx, call)
	case "complete":
		var done *core.Completion
		if done, err = s.client.Complete(ctx, call, &core.CompleteRequest{RefType: "ref/prompt", Ref: rest[0], Argument: "a", Value: "v"}); err == nil {
			return []string{fmt.Sprintf("%q total %d more %v", done.Values, done.Total, done.HasMore)}
		}
	case "offer":
		return s.offer(ctx)
	case "subscribe":
		if err = s.client.Subscribe(ctx, rest[0]); err == nil {
			return []string{"ok"}
		}
	case "unsubscribe":
		s.client.Unsubscribe(rest[0])
		return nil
	case "listen":
		s.changes = make(chan core.Change, 100)
		s.stop = s.client.Changes(func(c core.Change) { s.changes <- c })
		return nil
	case "change":
		select {
		case c := <-s.changes:
			return []string{fmt.Sprint([...]string{"", "tools", "prompts", "resources", "updated"}[c.Kind], " ", c.URI)}
		case <-ctx.Done():
			return []string{"none"}
		}
	case "served":
		n, err := strconv.Atoi(rest[len(rest)-1])
		if err == nil {
			rest = rest[:len(rest)-1]
		}
		s.await(ctx, strings.Join(rest, " "), max(n, 1))
		return nil
	case "push":
		s.pushes <- rest[0]
		return nil
	case "sleep":
		d, _ := time.ParseDuration(rest[0])
		time.Sleep(d)
		return nil
	case "forget": // "by result": as whoever got the questions does it
		if len(rest) > 0 {
			s.last.Forget()
			return nil
		}
		s.client.Forget(s.last.RequestState)
		return nil
	case "state":
		return s.state(rest)
	default:
		s.t.Fatalf("command %q", line)
	}
	if deadline, _ := ctx.Deadline(); time.Now().After(deadline.Add(time.Second)) {
		s.t.Errorf("%s took %s", line, time.Since(start))
	}
	mu.Lock()
	defer mu.Unlock()
	if err != nil {
		var e *core.Error
		if !errors.As(err, &e) {
			s.t.Errorf("%s: not a core.Error: %v", line, err)
			return said
		}
		text := fmt.Sprintf("error %s: %s", e.Code, e.Public())
		if e.Details != nil {
			text += " details " + string(e.Details)
		}
		if e.RPC != 0 {
			text += " rpc " + strconv.Itoa(e.RPC)
		}
		return append(said, text)
	}
	s.last = result
	return append(said, tell(result)...)
}

func (s *script) state(of []string) []string {
	st := s.client.State()
	text := ""
	for _, name := range of {
		text += " " + name + " " + fmt.Sprint(map[string]any{
			"revision": st.Revision, "transport": st.Transport, "up": st.Up, "sessions": st.Sessions, "parked": st.Parked,
			"unknown": st.Unknown, "malformed": st.Malformed, "dropped": st.Dropped, "error": st.LastError,
		}[name])
	}
	return []string{strings.TrimSpace(text)}
}

func (s *script) offer(ctx context.Context) []string {
	o, err := s.client.Offer(ctx)
	if err != nil {
		return []string{"error " + core.AsError(err).Public()}
	}
	said := []string{fmt.Sprintf("revision %s server %s capabilities %s instructions %q ttl %d scope %q", o.Revision, o.Server, o.Capabilities, o.Instructions, o.TTLMillis, o.CacheScope)}
	for _, list := range []struct {
		name  string
		items []json.RawMessage
	}{{"tool", o.Tools}, {"prompt", o.Prompts}, {"resource", o.Resources}, {"template", o.Templates}} {
		for _, item := range list.items {
			said = append(said, list.name+" "+string(item))
		}
	}
	for _, d := range o.Dropped {
		said = append(said, fmt.Sprintf("dropped %q: %s", d.Name, d.Reason))
	}
	return said
}

func tell(r *core.Result) (said []string) {
	for _, c := range r.Content {
		said = append(said, "content "+string(c.Raw))
	}
	for _, m := range r.Messages {
		said = append(said, "message "+m.Role+" "+string(m.Content.Raw))
	}
	for _, c := range r.Contents {
		said = append(said, "contents "+string(c.Raw))
	}
	for _, q := range r.InputRequests {
		said = append(said, "ask "+q.Key+" "+q.Method+" "+string(q.Params))
	}
	if r.Structured != nil {
		said = append(said, "structured "+string(r.Structured))
	}
	if r.IsError {
		said = append(said, "isError")
	}
	if r.Meta != nil {
		said = append(said, "meta "+string(r.Meta))
	}
	if r.Extra != nil {
		said = append(said, "extra "+string(r.Extra))
	}
	if r.RequestState != nil {
		state := string(r.RequestState)
		if strings.HasPrefix(state, `{"parked"`) {
			state = "parked"
		}
		said = append(said, "state "+state)
	}
	return said
}

// splitWords splits at spaces outside of braces, brackets and quotes.
func splitWords(line string) (words []string) {
	depth, quoted, from := 0, false, 0
	for i := range len(line) {
		switch c := line[i]; {
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			depth--
		case c == ' ' && depth == 0:
			if i > from {
				words = append(words, line[from:i])
			}
			from = i + 1
		}
	}
	return append(words, line[from:])
}
