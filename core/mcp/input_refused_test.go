package mcp

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
)

// refusing makes the shop's ask_all a call of an upstream that decides itself what a
// refusal means, where takes says so. forgotten counts what was given up.
func (r *rig) refusing(takes bool) (forgotten *atomic.Int64) {
	forgotten = &atomic.Int64{}
	r.h.call = func(_ context.Context, call *core.Call) (*core.Result, error) {
		if call.RequestState == nil {
			return &core.Result{
				InputRequests: []core.InputRequest{nameForm, someText, someRoots}, RequestState: json.RawMessage(`"s"`),
				TakesRefusals: takes, Forget: func() { forgotten.Add(1) },
			}, nil
		}
		said := fmt.Sprintf("state %s", call.RequestState)
		for _, q := range []core.InputRequest{nameForm, someText, someRoots} {
			said += fmt.Sprintf("; %s %s %s", q.Key, call.InputResponses[q.Key], call.InputRefusals[q.Key])
		}
		return core.TextResult(said), nil
	}
	return forgotten
}

const callAll = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"ask_all"}}`

// TestInputRefused: errors of the client go to a call that takes them, as they came, beside the
// answers. For every other call the first one is the end.
func TestInputRefused(t *testing.T) {
	const no = `{"code":-1,"message":"user said no","data":{"n":1.0,"n2":9007199254740993},"x":[]}`
	answers := []string{`"error":` + no, `"result":{"role":"assistant"}`, `"error":{"code":-32601,"message":"no roots"}`}
	for _, row := range []struct {
		takes     bool
		want      string
		forgotten int64
	}{
		{true, `state "s"; name  ` + no + `; poem {"role":"assistant"} ; roots  {"code":-32601,"message":"no roots"}`, 0},
		{false, "the client answered elicitation/create with error -1: user said no", 1},
	} {
		for _, revision := range []string{"2025-06-18", "2025-11-25"} {
			t.Run(fmt.Sprint(revision, " takes ", row.takes), func(t *testing.T) {
				rig := newRig(t, Limits{})
				forgotten := rig.refusing(row.takes)
				session := rig.open(revision, `{"elicitation":{},"sampling":{},"roots":{}}`)
				s := rig.send(inSession(session, callAll))
				for range answers {
					ask := struct{ ID json.Number }{}
					for ask.ID == "" { // a priming event comes first
						_ = json.Unmarshal([]byte(rig.nextData(s)), &ask)
					}
				}
				said := len(answers)
				if !row.takes {
					said = 1 // and nobody waits for the others
				}
				for n := said - 1; n >= 0; n-- {
					rig.do(inSession(session, fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,%s}`, 1_000_000+n, answers[n])))
				}
				var out struct {
					Result struct{ Content []core.Content }
				}
				data := rig.nextData(s)
				if err := json.Unmarshal([]byte(data), &out); err != nil || out.Result.Content[0].Text != row.want {
					t.Errorf("got  %s\nwant %s", data, row.want)
				}
				rig.wait(s)
				if n := forgotten.Load(); n != row.forgotten {
					t.Errorf("given up %d times, want %d", n, row.forgotten)
				}
			})
		}
	}
}

// TestInputNotRefused: a client that says nothing, cancels, leaves the session or cannot be asked
// refused nothing. The call ends, and what waits for answers is told so, once.
func TestInputNotRefused(t *testing.T) {
	const can = `{"elicitation":{},"sampling":{},"roots":{}}`
	for _, row := range []struct {
		name, can, answer string
		limits            Limits
		end               func(r *rig, session string)
	}{
		{"says nothing", can, "did not answer", Limits{AskTimeout: 10 * time.Millisecond}, func(*rig, string) {}},
		{"cancels", can, "", Limits{}, func(r *rig, session string) {
			r.do(inSession(session, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`))
		}},
		{"ends the session", can, "", Limits{}, func(r *rig, session string) { r.sessions.End(context.Background(), session) }},
		{"cannot be asked", `{"roots":{}}`, "lacks a capability", Limits{}, func(*rig, string) {}},
	} {
		t.Run(row.name, func(t *testing.T) {
			rig := newRig(t, row.limits)
			forgotten := rig.refusing(true)
			session := rig.open("2025-11-25", row.can)
			s := rig.send(inSession(session, callAll))
			if row.can == can {
				rig.next(s)
			}
			row.end(rig, session)
			rig.wait(s)
			text := s.sink.body
			if s.sink.stream != nil {
				frames, _ := s.sink.stream.read()
				text = strings.Join(frames, "")
			}
			if !strings.Contains(text, row.answer) || strings.Contains(text, "state ") {
				t.Errorf("answer: %s", text)
			}
			if n := forgotten.Load(); n != 1 {
				t.Errorf("given up %d times, want once", n)
			}
		})
	}

	t.Run("cannot be asked, by envelope", func(t *testing.T) {
		rig := newRig(t, Limits{})
		forgotten := rig.refusing(true)
		sink := rig.do(modern("1", "tools/call", "ask_all", `"name":"ask_all"`))
		if sink.status != 400 || !strings.Contains(sink.body, `"code":-32021`) || forgotten.Load() != 1 {
			t.Errorf("%d %s, given up %d times", sink.status, sink.body, forgotten.Load())
		}
		sink = rig.do(modern("1", "tools/call", "ask_all", `"name":"ask_all"`, can))
		if !strings.Contains(sink.body, "input_required") || forgotten.Load() != 1 {
			t.Errorf("%d %s, given up %d times", sink.status, sink.body, forgotten.Load())
		}
	})

	t.Run("asks for ever", func(t *testing.T) {
		rig := newRig(t, Limits{Rounds: 1})
		forgotten := &atomic.Int64{}
		rig.h.call = func(context.Context, *core.Call) (*core.Result, error) {
			return &core.Result{InputRequests: []core.InputRequest{someRoots}, Forget: func() { forgotten.Add(1) }}, nil
		}
		session := rig.open("2025-06-18", `{"roots":{}}`)
		s := rig.send(inSession(session, callAll))
		rig.nextData(s)
		rig.do(inSession(session, `{"jsonrpc":"2.0","id":1000000,"result":{}}`))
		rig.wait(s)
		if n := forgotten.Load(); n != 1 { // the last one; the first was answered
			t.Errorf("given up %d times, want once", n)
		}
	})
}
