package interop

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

var revisions = []string{"2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"}

// abilityTime is how long an ability may take. It is no measure: an upstream whose lists
// change again and again, as they do here, is looked at every 30 s in the end.
const abilityTime = 50 * time.Second

// abilities are the rows of the table: what clients and servers do together.
var abilities = []struct {
	name string
	try  func(ctx context.Context, e *encounter) error
}{
	{"tools", tryTools},
	{"errors", tryErrors},
	{"progress", tryProgress},
	{"cancel", tryCancel},
	{"elicitation", tryElicitation},
	{"sampling", trySampling},
	{"roots", tryRoots},
	{"list_changed", tryListChanged},
	{"resource updates", tryUpdates},
	{"logging", tryLogging},
}

// absent says what a revision does not have; "" = it has it. Nothing else may be missing
// from the table, and what stands here is never taken from a failure.
func absent(ability, revision string) string {
	if ability == "elicitation" && revision < "2025-06-18" {
		return "elicitation came with 2025-06-18"
	}
	return ""
}

// transportsOf are the transports of a revision.
func transportsOf(revision string) []string {
	if revision == "2024-11-05" {
		return []string{"stdio", "sse"} // streamable HTTP came with 2025-03-26, and took the place of HTTP+SSE
	}
	return []string{"stdio", "http"}
}

// TestUpstreamMatrix has clients of every revision use servers of every revision, over
// each of its transports, through the gateway. The Go SDK speaks all of them at both ends,
// held to one revision each.
func TestUpstreamMatrix(t *testing.T) {
	marks := t.TempDir()
	exe := must(os.Executable())
	var configs []map[string]any
	var names []string
	for _, revision := range revisions {
		for _, transport := range transportsOf(revision) {
			name := transport + "-" + revision
			config := map[string]any{"name": name, "definitions": "off"}
			if transport == "stdio" {
				config["command"] = []string{exe, asShelf, revision, marks}
			} else {
				config["url"] = shelfOver(t, newShelf(marks, revision), revision)
			}
			configs, names = append(configs, config), append(names, name)
		}
	}
	origin := serve(t, upstreams(t, configs...), "--upstreams-commands", exe+" "+asShelf)
	reached(t, origin, slices.Clone(names)...)

	table := &table{cells: map[[3]string]string{}}
	for _, client := range revisions {
		for _, upstream := range names {
			t.Run(client+" to "+upstream, func(t *testing.T) { table.fill(t, origin, marks, client, upstream) })
		}
	}
	t.Logf("clients of each revision, and upstreams over each transport of each revision:\n%s", table.print(names))
}

// shelfOver serves a shelf over HTTP, as servers of the revision do.
func shelfOver(t *testing.T, s *shelf, revision string) string {
	t.Helper()
	get := func(*http.Request) *mcp.Server { return s.Server }
	var handler http.Handler
	switch revision {
	case "2024-11-05":
		handler = mcp.NewSSEHandler(get, nil)
	case "2026-07-28":
		handler = mcp.NewStreamableHTTPHandler(get, &mcp.StreamableHTTPOptions{Stateless: true, PropagateRequestCancellation: true})
	default:
		handler = mcp.NewStreamableHTTPHandler(get, nil)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server.URL + "/mcp"
}

// table holds what came of each client, upstream and ability.
type table struct {
	cells map[[3]string]string
}

func (c *table) fill(t *testing.T, origin, marks, client, upstream string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	revision := upstream[strings.Index(upstream, "-")+1:]
	e := &encounter{life: ctx, origin: origin + "/" + upstream, client: client, marks: marks, nonce: client + "." + upstream}
	defer e.close()
	for _, ability := range abilities {
		why := absent(ability.name, client)
		if why == "" {
			why = absent(ability.name, revision)
		}
		cell := "pass"
		t.Run(ability.name, func(t *testing.T) {
			if why != "" {
				cell = "–"
				return
			}
			begin := time.Now()
			within, done := context.WithTimeout(ctx, abilityTime)
			defer done()
			if err := ability.try(within, e); err != nil {
				cell = "FAIL"
				t.Errorf("after %v: %v", time.Since(begin), err)
			}
		})
		c.cells[[3]string{client, upstream, ability.name}] = cell
	}
}

func (c *table) print(upstreams []string) string {
	var b strings.Builder
	for _, client := range revisions {
		fmt.Fprintf(&b, "\n%-18s", client)
		for _, upstream := range upstreams {
			fmt.Fprintf(&b, " %-16s", upstream)
		}
		b.WriteByte('\n')
		for _, ability := range abilities {
			fmt.Fprintf(&b, "  %-16s", ability.name)
			for _, upstream := range upstreams {
				cell, tried := c.cells[[3]string{client, upstream, ability.name}]
				if !tried {
					cell = "not tried"
				}
				fmt.Fprintf(&b, " %-16s", cell)
			}
			b.WriteByte('\n')
		}
	}
	b.WriteString("\n– is not in the protocol: elicitation came with 2025-06-18, so neither older clients nor older servers have it.\n" +
		"2024-11-05 has stdio and HTTP+SSE, the others have stdio and streamable HTTP.\n")
	return b.String()
}

// encounter is a client of one revision at one upstream. It has two sessions: one as a
// client that can do everything, and one as a client that can do nothing.
type encounter struct {
	life                         context.Context // of its sessions, which end with it
	origin, client, marks, nonce string

	mu          sync.Mutex
	able, plain *party
	steps       []string
	logged      []string
	changed     chan struct{}
	updated     chan string
}

// party is a session, with connections of its own.
type party struct {
	*mcp.ClientSession
	http *http.Transport
}

func (e *encounter) close() {
	for _, p := range []*party{e.able, e.plain} {
		if p != nil {
			_ = p.Close()
			p.http.CloseIdleConnections()
		}
	}
}

// session opens the session that can do everything, or nothing, unless it is open.
func (e *encounter) session(able bool) (*party, error) {
	place := &e.plain
	o := &mcp.ClientOptions{Capabilities: &mcp.ClientCapabilities{}, ProgressNotificationHandler: e.progressed}
	if able {
		place = &e.able
		o = &mcp.ClientOptions{
			ElicitationHandler: func(_ context.Context, r *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
				return &mcp.ElicitResult{Action: "accept", Content: map[string]any{"said": "yes, " + r.Params.Message}}, nil
			},
			CreateMessageHandler: func(_ context.Context, r *mcp.CreateMessageRequest) (*mcp.CreateMessageResult, error) { //nolint:staticcheck // clients have it for years
				said, ok := r.Params.Messages[0].Content.(*mcp.TextContent)
				if !ok {
					return nil, fmt.Errorf("asked with %T", r.Params.Messages[0].Content)
				}
				return &mcp.CreateMessageResult{Role: "assistant", Model: "m", Content: &mcp.TextContent{Text: "sampled " + said.Text}}, nil //nolint:staticcheck // the same
			},
			LoggingMessageHandler: e.heard, //nolint:staticcheck // the same
		}
	} else {
		e.changed, e.updated = make(chan struct{}, 100), make(chan string, 100)
		o.ToolListChangedHandler = func(context.Context, *mcp.ToolListChangedRequest) { signal(e.changed, struct{}{}) }
		o.ResourceUpdatedHandler = func(_ context.Context, r *mcp.ResourceUpdatedNotificationRequest) { signal(e.updated, r.Params.URI) }
	}
	if *place != nil {
		return *place, nil
	}
	transport := &http.Transport{}
	client := mcp.NewClient(&mcp.Implementation{Name: "matrix", Version: "1"}, o)
	client.AddRoots(&mcp.Root{URI: "file:///" + e.nonce}) //nolint:staticcheck // the same
	var way mcp.Transport = &mcp.StreamableClientTransport{Endpoint: e.origin + "/mcp", HTTPClient: &http.Client{Transport: transport}}
	if e.client == "2024-11-05" {
		way = &mcp.SSEClientTransport{Endpoint: e.origin + "/sse", HTTPClient: &http.Client{Transport: transport}}
	}
	session, err := client.Connect(e.life, way, &mcp.ClientSessionOptions{ProtocolVersion: e.client})
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	if got := session.InitializeResult().ProtocolVersion; got != e.client {
		return nil, fmt.Errorf("revision %s was agreed on", got)
	}
	*place = &party{ClientSession: session, http: transport}
	return *place, nil
}

func signal[T any](c chan T, v T) {
	select {
	case c <- v:
	default:
	}
}

func (e *encounter) progressed(_ context.Context, r *mcp.ProgressNotificationClientRequest) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.steps = append(e.steps, fmt.Sprint(r.Params.ProgressToken, " ", r.Params.Progress, "/", r.Params.Total, " ", r.Params.Message))
}

func (e *encounter) heard(_ context.Context, r *mcp.LoggingMessageRequest) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.logged = append(e.logged, fmt.Sprint(r.Params.Level, " ", r.Params.Data))
}

// call calls a tool and wants a text in what comes back.
func (e *encounter) call(ctx context.Context, able bool, tool, want string, dress ...func(*mcp.CallToolParams)) error {
	p, err := e.session(able)
	if err != nil {
		return err
	}
	params := &mcp.CallToolParams{Name: tool, Arguments: map[string]any{"nonce": e.nonce}}
	for _, f := range dress {
		f(params)
	}
	result, err := p.CallTool(ctx, params)
	if err != nil {
		return fmt.Errorf("call %s: %w", tool, err)
	}
	if result.IsError || len(result.Content) != 1 {
		return fmt.Errorf("call %s: isError = %v, content %s", tool, result.IsError, show(result))
	}
	if got := show(result); !strings.Contains(got, want) {
		return fmt.Errorf("call %s: %q is not in %s", tool, want, got)
	}
	return nil
}

func show(result *mcp.CallToolResult) string {
	b, err := result.MarshalJSON()
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func tryTools(ctx context.Context, e *encounter) error {
	p, err := e.session(false)
	if err != nil {
		return err
	}
	names := map[string]bool{}
	for tool, err := range p.Tools(ctx, nil) {
		if err != nil {
			return fmt.Errorf("list: %w", err)
		}
		names[tool.Name] = true
	}
	if !names["echo"] || !names["elicit"] {
		return fmt.Errorf("listed are %v", names)
	}
	if err := e.call(ctx, false, "echo", e.nonce); err != nil {
		return err
	}
	return e.call(ctx, true, "echo", e.nonce)
}

func tryErrors(ctx context.Context, e *encounter) error {
	p, err := e.session(false)
	if err != nil {
		return err
	}
	result, err := p.CallTool(ctx, &mcp.CallToolParams{Name: "fail", Arguments: map[string]any{"nonce": e.nonce}})
	if err != nil || !result.IsError || !strings.Contains(show(result), "lost is "+e.nonce) {
		return fmt.Errorf("a tool that fails: %w, %v", err, result)
	}
	if _, err = p.CallTool(ctx, &mcp.CallToolParams{Name: "none", Arguments: map[string]any{}}); code(err) != jsonrpc.CodeInvalidParams {
		return fmt.Errorf("an unknown tool: %w", err)
	}
	want := int64(-32002)
	if e.client >= "2026-07-28" {
		want = jsonrpc.CodeInvalidParams
	}
	if _, err = p.ReadResource(ctx, &mcp.ReadResourceParams{URI: "book://any/gone"}); code(err) != want {
		return fmt.Errorf("a resource that is not there: code %d, want %d: %w", code(err), want, err)
	}
	return nil
}

func code(err error) int64 {
	var e *jsonrpc.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return 0
}

func tryProgress(ctx context.Context, e *encounter) error {
	if err := e.call(ctx, false, "step", e.nonce, func(p *mcp.CallToolParams) { p.SetProgressToken("token of " + e.nonce) }); err != nil {
		return err
	}
	var want []string
	for i := range 3 {
		step := fmt.Sprintf("token of %s %d/3 ", e.nonce, i+1)
		if e.client >= "2025-03-26" { // which brought messages
			step += e.nonce
		}
		want = append(want, step)
	}
	return e.eventually(ctx, "progress", &e.steps, func(got []string) bool {
		return slices.Equal(got, want)
	})
}

// eventually waits for what comes to a handler.
func (e *encounter) eventually(ctx context.Context, what string, list *[]string, right func(got []string) bool) error {
	for {
		e.mu.Lock()
		got := slices.Clone(*list)
		e.mu.Unlock()
		if right(got) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: got %q", what, got)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func tryCancel(ctx context.Context, e *encounter) error {
	p, err := e.session(false)
	if err != nil {
		return err
	}
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	over := make(chan error, 1)
	go func() {
		_, err := p.CallTool(inner, &mcp.CallToolParams{Name: "hang", Arguments: map[string]any{"nonce": e.nonce}})
		over <- err
	}()
	if err := e.marked(ctx, "hang", 1); err != nil {
		return err
	}
	cancel()
	if err := <-over; err == nil {
		return errors.New("a cancelled call has a result")
	}
	if err := e.marked(ctx, "cancelled", 1); err != nil {
		return err
	}
	return e.call(ctx, false, "echo", e.nonce)
}

// marked waits until the upstream left marks.
func (e *encounter) marked(ctx context.Context, what string, n int) error {
	for marked(e.marks, what, e.nonce) < n {
		select {
		case <-ctx.Done():
			return fmt.Errorf("the upstream did not note %q", what)
		case <-time.After(5 * time.Millisecond):
		}
	}
	return nil
}

func tryElicitation(ctx context.Context, e *encounter) error {
	return e.call(ctx, true, "elicit", "accept yes, "+e.nonce+" to "+e.nonce)
}

func trySampling(ctx context.Context, e *encounter) error {
	return e.call(ctx, true, "sample", "sampled "+e.nonce)
}

func tryRoots(ctx context.Context, e *encounter) error {
	return e.call(ctx, true, "roots", "file:///"+e.nonce+" to "+e.nonce)
}

func tryListChanged(ctx context.Context, e *encounter) error {
	p, err := e.session(false)
	if err != nil {
		return err
	}
	for len(e.changed) > 0 {
		<-e.changed // of others
	}
	grow := func(p *mcp.CallToolParams) { p.Arguments = map[string]any{"nonce": e.nonce} }
	if err := e.call(ctx, false, "grow", e.nonce, grow); err != nil {
		return err
	}
	for {
		select {
		case <-e.changed:
		case <-ctx.Done():
			return errors.New("the client was not told")
		}
		for tool, err := range p.Tools(ctx, nil) {
			if err != nil {
				return fmt.Errorf("list: %w", err)
			}
			if tool.Name == "grown-"+e.nonce {
				return nil
			}
		}
	}
}

func tryUpdates(ctx context.Context, e *encounter) error {
	p, err := e.session(false)
	if err != nil {
		return err
	}
	if err := p.Subscribe(ctx, &mcp.SubscribeParams{URI: bookURI}); err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	if err := e.call(ctx, false, "touch", e.nonce); err != nil {
		return err
	}
	select {
	case uri := <-e.updated:
		if uri != bookURI {
			return fmt.Errorf("told of %q", uri)
		}
	case <-ctx.Done():
		return errors.New("the client was not told")
	}
	if err := p.Unsubscribe(ctx, &mcp.UnsubscribeParams{URI: bookURI}); err != nil {
		return fmt.Errorf("unsubscribe: %w", err)
	}
	return nil
}

func tryLogging(ctx context.Context, e *encounter) error {
	p, err := e.session(true)
	if err != nil {
		return err
	}
	level := func(p *mcp.CallToolParams) { p.Meta = mcp.Meta{"io.modelcontextprotocol/logLevel": "info"} }
	if e.client < "2026-07-28" {
		if err := p.SetLoggingLevel(ctx, &mcp.SetLoggingLevelParams{Level: "info"}); err != nil { //nolint:staticcheck // clients have it for years
			return fmt.Errorf("set level: %w", err)
		}
		level = func(*mcp.CallToolParams) {}
	}
	if err := e.call(ctx, true, "log", e.nonce, level); err != nil {
		return err
	}
	return e.eventually(ctx, "messages", &e.logged, func(got []string) bool { return slices.Equal(got, []string{"warning " + e.nonce}) })
}
