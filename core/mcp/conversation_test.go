package mcp

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

	"github.com/sallyport/sallyport/core"
)

var update = flag.Bool("update", false, "write what was answered into testdata")

// TestConversations plays every testdata/<revision>/*.txtar. A file is a list of
// steps; a step's name begins with the number of its request:
//
//	N request    a request begins: a line with method and transport, headers, an empty line, the body
//	N answer     Handle returned: status and type, headers of ours, an empty line, the body, or the frames not seen yet
//	N stream     frames that have arrived, while the request goes on or its stream is parked
//	N leave      the client of the request leaves
//	change       a list or a resource changed: tools, prompts, resources, or updated URI
//	wait         the clock goes on by that many milliseconds
//	drain        the process is about to end
//
// Requests get Content-Type and Accept, the session of the last initialize, and in
// the folders of revisions with an envelope the headers that mirror the body.
// $ENVELOPE is the inside of _meta, $SESSION the session, $STATE the last
// requestState, $LAST the last event id.
func TestConversations(t *testing.T) {
	files, err := filepath.Glob("testdata/*/*.txtar")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d conversations found, want at least 20: %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(strings.TrimPrefix(file, "testdata/"), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			c := &conversation{rig: newRig(t, Limits{}), revision: filepath.Base(filepath.Dir(file)), requests: map[string]*sent{}}
			changed := false
			for i := range archive.Files {
				step := &archive.Files[i]
				want := string(step.Data)
				got, compared := c.step(step.Name, want)
				if !compared || got == want {
					continue
				}
				if *update {
					step.Data, changed = []byte(got), true
					continue
				}
				t.Errorf("%s\ngot:\n%s\nwant:\n%s", step.Name, got, want)
			}
			if changed {
				if err := os.WriteFile(file, txtar.Format(archive), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

type conversation struct {
	*rig
	revision             string
	requests             map[string]*sent
	session, state, last string
}

func (c *conversation) step(name, text string) (got string, compared bool) {
	c.t.Helper()
	number, verb, ok := strings.Cut(name, " ")
	if !ok {
		verb = number
	}
	s := c.requests[number]
	switch verb {
	case "request":
		c.requests[number] = c.send(c.parse(text))
		return "", false
	case "answer":
		c.wait(s)
		return c.show(s), true
	case "stream":
		return c.frames(s, text), true
	case "leave":
		if s.sink.stream != nil {
			s.sink.stream.leave() // first: nothing may be sent to a client that left
		}
		s.leave()
		return "", false
	case "change":
		c.h.change(parseChange(c.t, text))
		return "", false
	case "wait":
		ms, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil {
			c.t.Fatal(err)
		}
		c.now.Add(int64(ms))
		return "", false
	case "drain":
		c.e.Drain(c.t.Context())
		return "", false
	}
	c.t.Fatalf("no step %q", name)
	return "", false
}

func parseChange(t *testing.T, text string) core.Change {
	kind, uri, _ := strings.Cut(strings.TrimSpace(text), " ")
	kinds := map[string]core.ChangeKind{
		"tools": core.ToolsChanged, "prompts": core.PromptsChanged, "resources": core.ResourcesChanged, "updated": core.ResourceUpdated,
	}
	if kinds[kind] == 0 {
		t.Fatalf("no change %q", kind)
	}
	return core.Change{Kind: kinds[kind], URI: uri}
}

// parse reads a request step.
func (c *conversation) parse(text string) *Request {
	text = strings.NewReplacer(
		"$ENVELOPE", `"io.modelcontextprotocol/protocolVersion":"`+c.revision+`","io.modelcontextprotocol/clientInfo":{"name":"reader","version":"1"}`,
		"$SESSION", c.session, "$STATE", c.state, "$LAST", c.last,
	).Replace(text)
	head, body, _ := strings.Cut(text, "\n\n")
	lines := strings.Split(strings.TrimSpace(head), "\n")
	r := post(strings.TrimSpace(body))
	method, transport, _ := strings.Cut(lines[0], " ")
	r.Method = method
	switch transport {
	case "sse":
		r.Transport, r.MessagePath = SSEStream, "/shop/message"
	case "message":
		r.Transport, r.SessionID = SSEMessage, c.session
	default:
		if c.session != "" && !strings.Contains(body, `"initialize"`) {
			r.with(headerSession, c.session)
		}
	}
	if method == "GET" {
		r.with("Content-Type", "", "Accept", "text/event-stream")
	}
	if rev := byName(c.revision); rev.Envelope && method == "POST" {
		r.with(headerRevision, c.revision)
		if m, f := parse(r.Body); f == nil {
			r.with(headerMethod, m.method)
			if name, ok := text2(m.p.name, m.p.uri); ok {
				r.with(headerName, name)
			}
		}
	}
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ":")
		r.with(name, strings.TrimSpace(value))
	}
	return r
}

func text2(a, b []byte) (string, bool) {
	if s, ok := text(a); ok {
		return s, true
	}
	return text(b)
}

// show renders a finished answer.
func (c *conversation) show(s *sent) string {
	sink := s.sink
	var b strings.Builder
	if sink.stream != nil {
		fmt.Fprintf(&b, "%d text/event-stream\n\n", sink.status)
		b.WriteString(c.unread(s))
		return b.String()
	}
	b.WriteString(strings.TrimSpace(fmt.Sprint(sink.status, " ", sink.kind)) + "\n")
	for _, f := range sink.header {
		fmt.Fprintf(&b, "%s: %s\n", f.Name, f.Value)
		if f.Name == headerSession {
			c.session = f.Value
		}
	}
	c.note(sink.body)
	if sink.body != "" {
		b.WriteString("\n" + sink.body + "\n")
	}
	return b.String()
}

// note keeps what later requests refer to.
func (c *conversation) note(text string) {
	if _, after, ok := strings.Cut(text, `"requestState":"`); ok {
		c.state, _, _ = strings.Cut(after, `"`)
	}
	for line := range strings.SplitSeq(text, "\n") {
		if id, ok := strings.CutPrefix(line, "id: "); ok {
			c.last = id
		}
		if _, id, ok := strings.Cut(line, "?sessionId="); ok {
			c.session = id
		}
	}
}

// unread returns the frames that no step has shown, and whether the stream ended.
func (c *conversation) unread(s *sent) string {
	frames, closed := s.sink.stream.read()
	text := strings.Join(frames[s.read:], "")
	s.read = len(frames)
	if closed {
		text += "(closed)\n"
	}
	c.note(text)
	return text
}

// frames waits until as many frames arrived as text has, and shows them; with
// -update it waits until nothing arrives any more.
func (c *conversation) frames(s *sent, text string) string {
	c.t.Helper()
	select {
	case <-s.sink.opened:
	case <-time.After(5 * time.Second):
		c.t.Fatal("no stream within 5s")
	}
	if *update {
		time.Sleep(100 * time.Millisecond)
		return c.unread(s)
	}
	want := strings.Count(text, "\n\n")
	wantClosed := strings.HasSuffix(text, "(closed)\n")
	for range 500 {
		frames, closed := s.sink.stream.read()
		if len(frames)-s.read >= want && (closed || !wantClosed) {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	return c.unread(s)
}

// TestEveryRevisionIsSpokenTo keeps the folders and the list of revisions equal.
func TestEveryRevisionIsSpokenTo(t *testing.T) {
	var folders, revs []string
	entries, err := os.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if entry.Name() != "fuzz" {
			folders = append(folders, entry.Name())
		}
	}
	slots := map[int]bool{}
	for _, rev := range revisions {
		revs = append(revs, rev.Name)
		if slots[rev.Slot] || rev.Slot >= core.MaxRevisions {
			t.Errorf("%s: slot %d is taken or too high", rev.Name, rev.Slot)
		}
		slots[rev.Slot] = true
		if rev.Envelope == rev.Sessions {
			t.Errorf("%s: a revision has an envelope or sessions, not both and not neither", rev.Name)
		}
	}
	slices.Sort(revs)
	if !slices.Equal(folders, revs) {
		t.Errorf("folders %v, revisions %v: a new revision needs conversations of its own", folders, revs)
	}
}
