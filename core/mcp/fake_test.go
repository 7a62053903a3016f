package mcp

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/textproto"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sallyport/sallyport/core"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fields is a Header over a map.
type fields map[string][]string

func (f fields) Get(name string) string {
	if v := f.Values(name); len(v) > 0 {
		return v[0]
	}
	return ""
}

func (f fields) Values(name string) []string { return f[textproto.CanonicalMIMEHeaderKey(name)] }

func (f fields) set(name, value string) { f[textproto.CanonicalMIMEHeaderKey(name)] = []string{value} }

func (f fields) add(name, value string) {
	key := textproto.CanonicalMIMEHeaderKey(name)
	f[key] = append(f[key], value)
}

func (f fields) remove(name string) { delete(f, textproto.CanonicalMIMEHeaderKey(name)) }

// fakeStream collects frames.
type fakeStream struct {
	mu     sync.Mutex
	frames []string
	closed bool
	gone   func() // of a parked stream
	fail   bool   // Send fails: the client has left
	sent   chan struct{}
}

func newFakeStream(gone func()) *fakeStream {
	return &fakeStream{gone: gone, sent: make(chan struct{}, 10_000)}
}

func (s *fakeStream) Send(frame []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.fail {
		return errors.New("closed")
	}
	s.frames = append(s.frames, string(frame))
	s.sent <- struct{}{}
	return nil
}

func (s *fakeStream) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.closed = true
		s.sent <- struct{}{}
	}
	return nil
}

func (s *fakeStream) read() (frames []string, closed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.frames...), s.closed
}

// leave is what the hub does when a client goes.
func (s *fakeStream) leave() {
	s.mu.Lock()
	s.fail = true
	gone, closed := s.gone, s.closed
	s.mu.Unlock()
	if gone != nil && !closed {
		gone()
	}
}

// fakeSink collects one answer.
type fakeSink struct {
	mu     sync.Mutex
	calls  int
	status int
	kind   string
	header []core.Field
	body   string
	stream *fakeStream
	parked bool
	broken bool // Stream and Park fail
	opened chan struct{}
}

func newFakeSink() *fakeSink { return &fakeSink{opened: make(chan struct{})} }

func (s *fakeSink) Reply(status int, contentType string, header []core.Field, body []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	s.status, s.kind, s.header, s.body = status, contentType, header, string(body)
}

func (s *fakeSink) Stream(header []core.Field) (Stream, error) { return s.open(header, nil, false) }

func (s *fakeSink) Park(header []core.Field, gone func()) (Stream, error) {
	return s.open(header, gone, true)
}

func (s *fakeSink) open(header []core.Field, gone func(), parked bool) (Stream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	if s.broken {
		return nil, errors.New("no more streams")
	}
	s.status, s.header, s.parked = 200, header, parked
	s.stream = newFakeStream(gone)
	close(s.opened)
	return s.stream, nil
}

func (s *fakeSink) get(name string) string {
	for _, f := range s.header {
		if strings.EqualFold(f.Name, name) {
			return f.Value
		}
	}
	return ""
}

// fakeSessions keeps sessions in memory under counted ids.
type fakeSessions struct {
	mu     sync.Mutex
	made   int
	live   map[string]*Session
	limits Limits
	err    error
}

func (s *fakeSessions) Create(_ context.Context, c Claims) (*Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return nil, s.err
	}
	s.made++
	session := NewSession(fmt.Sprintf("session-%d", s.made), c, s.limits)
	if s.live == nil {
		s.live = map[string]*Session{}
	}
	s.live[session.ID()] = session
	return session, nil
}

func (s *fakeSessions) Find(_ context.Context, id, server string, who core.Identity) (*Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	session := s.live[id]
	if session == nil || session.claims.Server != server || session.claims.Who.Subject != who.Subject {
		return nil, &core.Error{Code: core.CodeNotFound, Message: "no such session"}
	}
	return session, nil
}

func (s *fakeSessions) End(_ context.Context, id string) {
	s.mu.Lock()
	session := s.live[id]
	delete(s.live, id)
	s.mu.Unlock()
	if session != nil {
		session.Close()
	}
}

// fakeSealer makes tokens that hold what they bind: enough to see that the right
// things are bound, and that a changed token is refused.
type fakeSealer struct{}

func (fakeSealer) mac(purpose string, plain []byte, bind []string) []byte {
	b, _ := json.Marshal([]any{purpose, plain, bind})
	sum := sha256.Sum256(b)
	return sum[:8]
}

func (s fakeSealer) Seal(purpose string, plain []byte, bind ...string) (string, error) {
	return base64.RawURLEncoding.EncodeToString(append(s.mac(purpose, plain, bind), plain...)), nil
}

func (s fakeSealer) Open(purpose, token string, bind ...string) ([]byte, error) {
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(b) < 8 || string(b[:8]) != string(s.mac(purpose, b[8:], bind)) {
		return nil, &core.Error{Code: core.CodeNotFound, Message: "no such token"}
	}
	return b[8:], nil
}

// fakeHandler is a server made of functions.
type fakeHandler struct {
	server    core.Server
	tools     []*core.Tool
	prompts   []*core.Prompt
	resources []*core.Resource
	templates []*core.Resource
	call      func(ctx context.Context, call *core.Call) (*core.Result, error)
	prompt    func(ctx context.Context, call *core.Call) (*core.Result, error)
	read      func(ctx context.Context, call *core.Call) (*core.Result, error)
	complete  func(c *core.CompleteRequest) (*core.Completion, error)
	follow    func(ctx context.Context, uri string) error // nil: every resource can be followed
	pageSize  int
	values    bool // calls of tools need their values, as most invokers do

	taken    atomic.Int64 // by the requests of a test
	released atomic.Int64

	mu       sync.Mutex
	watchers map[int]func(core.Change)
	next     int
	follows  int            // that succeeded
	followed map[string]int // those that were not stopped; below 0: stopped twice
	pages    map[string]*core.Page[*core.Tool]
}

func (h *fakeHandler) Server() *core.Server { return &h.server }

func (h *fakeHandler) ListTools(_ context.Context, _ core.Identity, cursor *string) (*core.Page[*core.Tool], error) {
	from := 0
	key := ""
	if cursor != nil {
		if _, err := fmt.Sscanf(*cursor, "after-%d", &from); err != nil {
			return nil, &core.Error{Code: core.CodeInvalid, Message: "cursor is none of ours"}
		}
		key = *cursor
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if p := h.pages[key]; p != nil {
		return p, nil
	}
	page := &core.Page[*core.Tool]{Items: h.tools[from:]}
	if h.pageSize > 0 && len(page.Items) > h.pageSize {
		page.Items = page.Items[:h.pageSize]
		next := fmt.Sprintf("after-%d", from+h.pageSize)
		page.Next = &next
	}
	if h.pages == nil {
		h.pages = map[string]*core.Page[*core.Tool]{}
	}
	h.pages[key] = page
	return page, nil
}

func (h *fakeHandler) ListPrompts(context.Context, core.Identity, *string) (*core.Page[*core.Prompt], error) {
	return &core.Page[*core.Prompt]{Items: h.prompts}, nil
}

func (h *fakeHandler) ListResources(context.Context, core.Identity, *string) (*core.Page[*core.Resource], error) {
	return &core.Page[*core.Resource]{Items: h.resources}, nil
}

func (h *fakeHandler) ListTemplates(context.Context, core.Identity, *string) (*core.Page[*core.Resource], error) {
	return &core.Page[*core.Resource]{Items: h.templates}, nil
}

func (h *fakeHandler) Tool(_ context.Context, _ core.Identity, name string) *core.Tool {
	for _, t := range h.tools {
		if t.Name == name {
			return t
		}
	}
	return nil
}

func (h *fakeHandler) CallTool(ctx context.Context, call *core.Call) (*core.Result, error) {
	if h.values {
		if err := decode(call); err != nil {
			return nil, err
		}
	}
	return h.call(ctx, call)
}

func (h *fakeHandler) GetPrompt(ctx context.Context, call *core.Call) (*core.Result, error) {
	return h.prompt(ctx, call)
}

func (h *fakeHandler) ReadResource(ctx context.Context, call *core.Call) (*core.Result, error) {
	return h.read(ctx, call)
}

func (h *fakeHandler) Complete(_ context.Context, _ core.Identity, c *core.CompleteRequest) (*core.Completion, error) {
	return h.complete(c)
}

func (h *fakeHandler) Visible(context.Context, core.Identity) bool { return true }

func (h *fakeHandler) Changes(_ core.Identity, f func(core.Change)) (stop func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.watchers == nil {
		h.watchers = map[int]func(core.Change){}
	}
	h.next++
	n := h.next
	h.watchers[n] = f
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.watchers, n)
	}
}

// Follow holds no lock while follow runs.
func (h *fakeHandler) Follow(ctx context.Context, _ core.Identity, uri string) (stop func(), err error) {
	if h.follow != nil {
		if err := h.follow(ctx, uri); err != nil {
			return func() {}, err
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.followed == nil {
		h.followed = map[string]int{}
	}
	h.follows++
	h.followed[uri]++
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.followed[uri]--
	}, nil
}

// following tells how many follows of a resource were not stopped, and how many there were
// of any.
func (h *fakeHandler) following(uri string) (open, ever int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.followed[uri], h.follows
}

// change tells the watchers, holding the lock as a strict implementation would:
// whoever calls Changes under a lock of its own dead-locks here.
func (h *fakeHandler) change(c core.Change) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, f := range h.watchers {
		f(c)
	}
}

func (h *fakeHandler) watching() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.watchers)
}

func (h *fakeHandler) Release() { h.released.Add(1) }

var _ core.Handler = (*fakeHandler)(nil)

// rig is an Endpoint with fakes around it.
type rig struct {
	t        *testing.T
	e        *Endpoint
	h        *fakeHandler
	sessions *fakeSessions
	now      atomic.Int64 // milliseconds
	who      core.Identity
}

func newRig(t *testing.T, limits Limits) *rig {
	t.Helper()
	r := &rig{t: t, h: newShop(), sessions: &fakeSessions{limits: limits}}
	r.now.Store(1_000_000)
	r.e = New(Options{
		Sessions: r.sessions, Sealer: fakeSealer{}, Log: slog.New(slog.DiscardHandler), Limits: limits,
		Now: func() time.Time { return time.UnixMilli(r.now.Load()) },
	})
	t.Cleanup(func() {
		r.e.Drain(context.Background())
		r.sessions.mu.Lock()
		var live []*Session
		for _, s := range r.sessions.live {
			live = append(live, s)
		}
		r.sessions.mu.Unlock()
		for _, s := range live {
			s.Close()
		}
		if n := r.h.watching(); n > 0 {
			t.Errorf("%d watches on changes were left behind", n)
		}
		r.h.mu.Lock()
		for uri, n := range r.h.followed {
			if n != 0 {
				t.Errorf("%d follows of %s were left behind", n, uri)
			}
		}
		r.h.mu.Unlock()
		if taken, released := r.h.taken.Load(), r.h.released.Load(); taken != released {
			t.Errorf("handler taken %d times, released %d times", taken, released)
		}
	})
	return r
}

// sent is one HTTP request on its way.
type sent struct {
	sink  *fakeSink
	seen  *Request
	done  chan struct{}
	leave context.CancelFunc // the client leaves
	read  int                // frames looked at
}

// send starts a request.
func (r *rig) send(request *Request) *sent {
	ctx, cancel := context.WithCancel(context.Background())
	s := &sent{sink: newFakeSink(), seen: request, done: make(chan struct{}), leave: cancel}
	request.Handler, request.Who = r.h, r.who
	r.h.taken.Add(1)
	go func() {
		defer close(s.done)
		defer cancel()
		r.e.Handle(ctx, request, s.sink)
	}()
	return s
}

// do sends a request and waits for Handle to return.
func (r *rig) do(request *Request) *fakeSink {
	r.t.Helper()
	s := r.send(request)
	r.wait(s)
	return s.sink
}

func (r *rig) wait(s *sent) {
	r.t.Helper()
	select {
	case <-s.done:
	case <-time.After(5 * time.Second):
		r.t.Fatal("Handle did not return within 5s")
	}
	s.sink.mu.Lock()
	defer s.sink.mu.Unlock()
	if s.sink.calls != 1 {
		r.t.Fatalf("the sink was used %d times, want once", s.sink.calls)
	}
}

// next waits for the next frame of the stream of s.
func (r *rig) next(s *sent) string {
	r.t.Helper()
	deadline := time.After(5 * time.Second)
	select {
	case <-s.sink.opened:
	case <-deadline:
		r.t.Fatal("no stream within 5s")
	}
	for {
		frames, closed := s.sink.stream.read()
		if len(frames) > s.read {
			s.read++
			return frames[s.read-1]
		}
		if closed {
			r.t.Fatal("the stream ended before the next frame")
		}
		select {
		case <-s.sink.stream.sent:
		case <-deadline:
			r.t.Fatal("no frame within 5s")
		}
	}
}

// nextData is next, without the SSE around it.
func (r *rig) nextData(s *sent) string {
	r.t.Helper()
	e, err := NewDecoder(strings.NewReader(r.next(s)), 1<<20).Next()
	if err != nil {
		r.t.Fatal(err)
	}
	return string(e.Data)
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 500 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("not within 5s: " + what)
}

// post makes a POST with the usual headers.
func post(body string) *Request {
	return &Request{
		Method: "POST", Body: []byte(body), ID: "test",
		Header: fields{
			"Content-Type": {"application/json"},
			"Accept":       {"application/json, text/event-stream"},
		},
	}
}

// with sets headers in pairs; an empty value removes.
func (r *Request) with(pairs ...string) *Request {
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			r.Header.(fields).remove(pairs[i])
		} else {
			r.Header.(fields).set(pairs[i], pairs[i+1])
		}
	}
	return r
}

// open initializes a session of that revision and returns its id.
func (r *rig) open(revision, capabilities string) string {
	r.t.Helper()
	sink := r.do(post(fmt.Sprintf(`{"jsonrpc":"2.0","id":"init","method":"initialize","params":{"protocolVersion":%q,`+
		`"capabilities":%s,"clientInfo":{"name":"test","version":"1"}}}`, revision, capabilities)))
	if sink.status != 200 || !strings.Contains(sink.body, `"protocolVersion":"`+revision+`"`) {
		r.t.Fatalf("initialize: %d %s", sink.status, sink.body)
	}
	return sink.get(headerSession)
}

// inSession makes a POST in a session.
func inSession(id, body string) *Request { return post(body).with(headerSession, id) }

// get makes a GET in a session.
func get(id string) *Request {
	return &Request{Method: "GET", ID: "test", Header: fields{"Accept": {"text/event-stream"}}}
}

// modern makes a request of 2026-07-28: params without its braces, _meta is added.
func modern(id, method, name, params string, capabilities ...string) *Request {
	can := "{}"
	if len(capabilities) > 0 {
		can = capabilities[0]
	}
	if params != "" {
		params = "," + params
	}
	r := post(fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"method":%q,"params":{"_meta":{`+
		`"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":%s}%s}}`,
		id, method, can, params))
	r.with(headerRevision, "2026-07-28", headerMethod, method)
	if name != "" {
		r.with(headerName, name)
	}
	return r
}
