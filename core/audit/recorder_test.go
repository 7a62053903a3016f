package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport/sallyport/core"
)

var errAway = &core.Error{Code: core.CodeUnavailable, Message: "the database cannot be reached"}

// inBubble runs f with a Recorder that runs, in time that passes when everybody waits.
func inBubble(t *testing.T, o RecorderOptions, f func(t *testing.T, r *Recorder, m *memory, stop func())) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory("a", time.Now)
		o.Replica = "a"
		r, err := NewRecorder(m, o)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		over := make(chan struct{})
		go func() {
			r.Run(ctx)
			close(over)
		}()
		stop := sync.OnceFunc(func() {
			cancel()
			<-over
		})
		defer stop()
		synctest.Wait()
		f(t, r, m, stop)
	})
}

func record(t *testing.T, r *Recorder, n int) {
	t.Helper()
	for i := range n {
		one := callSample(time.Now())
		one.Name = fmt.Sprint("tool", i)
		if err := r.Record(t.Context(), &one, nil, nil); err != nil {
			t.Fatal(err)
		}
	}
}

// mustFit says that trail and records fit each other, in time that has settled.
func mustFit(t *testing.T, m *memory) *Report {
	t.Helper()
	r := mustVerify(t, m, VerifyOptions{Now: func() time.Time { return time.Now().Add(time.Hour) }})
	if !r.OK() || len(r.Warnings) > 0 {
		t.Errorf("faults %v, warnings %v", r.Faults, r.Warnings)
	}
	return r
}

func TestRecorderWritesBatches(t *testing.T) {
	inBubble(t, RecorderOptions{}, func(t *testing.T, r *Recorder, m *memory, stop func()) {
		record(t, r, 3)
		if calls, _ := m.counts(); calls != 0 {
			t.Fatal("a record did not wait for others")
		}
		time.Sleep(300 * time.Millisecond)
		synctest.Wait()
		if calls, entries := m.counts(); calls != 3 || entries != 1 {
			t.Fatalf("%d calls, %d entries", calls, entries)
		}
		record(t, r, mostBatch+50)
		synctest.Wait() // without time: there is a batch
		if calls, entries := m.counts(); calls < 3+mostBatch || entries < 2 {
			t.Errorf("%d calls, %d entries", calls, entries)
		}
		stop()
		report := mustFit(t, m)
		if report.Calls != 3+mostBatch+50 || r.Lost() != 0 {
			t.Errorf("%d calls, %d lost", report.Calls, r.Lost())
		}
		if !slices.IsSortedFunc(m.calls, func(a, b core.CallRecord) int { return strings.Compare(a.ID, b.ID) }) {
			t.Error("ids do not rise")
		}
		if one := m.calls[1]; one.Name != "tool1" || one.Replica != "a" || one.Outcome != "ok" {
			t.Errorf("%+v", one)
		}
	})
}

// Records that come while others are written make no batch of their own: under load there
// would be a commit after the other.
func TestRecorderGathers(t *testing.T) {
	inBubble(t, RecorderOptions{}, func(t *testing.T, r *Recorder, m *memory, stop func()) {
		more := 20
		m.onAppend = func([]core.Row) {
			if more--; more >= 0 {
				record(t, r, 1)
			}
		}
		record(t, r, 1)
		time.Sleep(300 * time.Millisecond)
		synctest.Wait()
		if calls, entries := m.counts(); calls != 1 || entries != 1 {
			t.Errorf("%d calls in %d batches", calls, entries)
		}
		stop()
		if report := mustFit(t, m); report.Calls < 2 {
			t.Errorf("%d calls, %d lost", report.Calls, r.Lost())
		}
	})
}

// The store goes away: nobody waits, the oldest are dropped and counted, and the trail
// says how many.
func TestRecorderStoreAway(t *testing.T) {
	inBubble(t, RecorderOptions{Count: 100}, func(t *testing.T, r *Recorder, m *memory, stop func()) {
		m.failWith(errAway)
		for range 20 {
			record(t, r, 10)
			time.Sleep(300 * time.Millisecond)
		}
		synctest.Wait()
		if calls, _ := m.counts(); calls != 0 || r.Lost() == 0 {
			t.Fatalf("%d calls, %d lost", calls, r.Lost())
		}
		if err := r.Admit(t.Context()); err != nil {
			t.Errorf("not strict, and refused: %v", err)
		}
		m.failWith(nil)
		time.Sleep(2 * mostBackoff)
		stop()
		report := mustFit(t, m)
		if report.Calls+r.Lost() != 200 || report.Calls < 100 || m.calls[report.Calls-1].Name != "tool9" {
			t.Errorf("%d calls, %d lost of 200", report.Calls, r.Lost())
		}
		at := slices.Index(m.actions(), ActionCallsLost)
		if at < 0 {
			t.Fatalf("the trail says nothing of lost calls: %v", m.actions())
		}
		var details struct{ Count int64 }
		if err := json.Unmarshal(m.entries[at].Details, &details); err != nil || details.Count != r.Lost() {
			t.Errorf("%s, lost %d, %v", m.entries[at].Details, r.Lost(), err)
		}
	})
}

// Where the entry of a batch cannot be written, its records are not there either.
func TestRecorderEntryAway(t *testing.T) {
	inBubble(t, RecorderOptions{}, func(t *testing.T, r *Recorder, m *memory, stop func()) {
		fails := 2
		m.onAudit = func(*core.AuditEntry) error {
			if fails--; fails >= 0 {
				return errAway
			}
			return nil
		}
		record(t, r, 3)
		time.Sleep(10 * time.Second)
		stop()
		if report := mustFit(t, m); report.Calls != 3 || report.Batches != 1 {
			t.Errorf("%+v", report)
		}
	})
}

// A batch that the store refuses for what it is must not stand in the way of others.
func TestRecorderPoison(t *testing.T) {
	inBubble(t, RecorderOptions{}, func(t *testing.T, r *Recorder, m *memory, stop func()) {
		m.failWith(&core.Error{Code: core.CodeInvalid, Message: "no"})
		record(t, r, 3)
		time.Sleep(10 * time.Second)
		m.failWith(nil)
		record(t, r, 2)
		time.Sleep(10 * time.Second)
		stop()
		if report := mustFit(t, m); report.Calls != 2 || r.Lost() != 3 || !slices.Contains(m.actions(), ActionCallsLost) {
			t.Errorf("%d calls, %d lost, %v", report.Calls, r.Lost(), m.actions())
		}
	})
}

func TestRecorderEnds(t *testing.T) {
	inBubble(t, RecorderOptions{}, func(t *testing.T, r *Recorder, m *memory, stop func()) {
		record(t, r, 250)
		stop()
		if report := mustFit(t, m); report.Calls != 250 {
			t.Errorf("%d of 250 were written at the end", report.Calls)
		}
		record(t, r, 1)
		if r.Lost() != 1 {
			t.Error("a record after the end was not counted as lost")
		}
	})
	t.Run("while the store is away", func(t *testing.T) {
		inBubble(t, RecorderOptions{}, func(t *testing.T, r *Recorder, m *memory, stop func()) {
			m.failWith(errAway)
			record(t, r, 5)
			began := time.Now()
			stop()
			if took := time.Since(began); took > endTime+time.Second || r.Lost() != 5 {
				t.Errorf("took %v, lost %d", took, r.Lost())
			}
		})
	})
}

func TestRecorderStrict(t *testing.T) {
	code := func(err error) core.Code {
		if err == nil {
			return ""
		}
		return core.AsError(err).Code
	}
	one := callSample(time.Now())
	t.Run("waits until the record is durable", func(t *testing.T) {
		inBubble(t, RecorderOptions{Strict: true}, func(t *testing.T, r *Recorder, m *memory, stop func()) {
			began := time.Now()
			for range 5 {
				if err := errors.Join(r.Admit(t.Context()), r.Record(t.Context(), &one, nil, nil)); err != nil {
					t.Fatal(err)
				}
			}
			if calls, entries := m.counts(); calls != 5 || entries != 5 || time.Since(began) != 0 {
				t.Errorf("%d calls, %d entries, %v", calls, entries, time.Since(began))
			}
		})
	})
	t.Run("many wait together", func(t *testing.T) {
		inBubble(t, RecorderOptions{Strict: true}, func(t *testing.T, r *Recorder, m *memory, stop func()) {
			gate := make(chan struct{})
			m.mu.Lock()
			m.hang = gate
			m.mu.Unlock()
			var wait sync.WaitGroup
			for range 50 {
				wait.Go(func() {
					if err := r.Record(t.Context(), &one, nil, nil); err != nil {
						t.Error(err)
					}
				})
			}
			time.Sleep(time.Second)
			close(gate)
			wait.Wait()
			if calls, entries := m.counts(); calls != 50 || entries > 10 {
				t.Errorf("%d calls in %d batches", calls, entries)
			}
		})
	})
	t.Run("fails closed when the store is away", func(t *testing.T) {
		inBubble(t, RecorderOptions{Strict: true}, func(t *testing.T, r *Recorder, m *memory, stop func()) {
			m.failWith(errAway)
			began := time.Now()
			err := r.Record(t.Context(), &one, nil, nil)
			if code(err) != core.CodeUnavailable || time.Since(began) != 5*time.Second {
				t.Errorf("after %v: %v", time.Since(began), err)
			}
			err = r.Admit(t.Context())
			if code(err) != core.CodeUnavailable || core.AsError(err).RetryAfter == 0 {
				t.Errorf("admitted while the store is known to be away: %v", err)
			}
			m.failWith(nil)
			time.Sleep(2 * mostBackoff)
			if err := r.Admit(t.Context()); err != nil {
				t.Errorf("the store is back: %v", err)
			}
			if calls, _ := m.counts(); calls != 1 {
				t.Errorf("the call did run, and %d records say so", calls)
			}
		})
	})
	t.Run("fails closed when the store hangs", func(t *testing.T) {
		inBubble(t, RecorderOptions{Strict: true, Count: 2}, func(t *testing.T, r *Recorder, m *memory, stop func()) {
			gate := make(chan struct{})
			m.mu.Lock()
			m.hang = gate
			m.mu.Unlock()
			var wait sync.WaitGroup
			for range 6 {
				wait.Go(func() {
					if err := r.Record(t.Context(), &one, nil, nil); code(err) != core.CodeUnavailable {
						t.Errorf("%v", err)
					}
				})
			}
			wait.Wait()
			m.mu.Lock()
			m.hang = nil
			m.mu.Unlock()
			close(gate)
		})
	})
	t.Run("ends with the call", func(t *testing.T) {
		inBubble(t, RecorderOptions{Strict: true}, func(t *testing.T, r *Recorder, m *memory, stop func()) {
			m.failWith(errAway)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if err := r.Record(ctx, &one, nil, nil); code(err) != core.CodeCancelled {
				t.Errorf("%v", err)
			}
		})
	})
	t.Run("refuses when nobody writes", func(t *testing.T) {
		inBubble(t, RecorderOptions{Strict: true}, func(t *testing.T, r *Recorder, m *memory, stop func()) {
			stop()
			if code(r.Admit(t.Context())) != core.CodeUnavailable || code(r.Record(t.Context(), &one, nil, nil)) != core.CodeUnavailable {
				t.Error("a call ran without a record")
			}
		})
	})
	t.Run("test of the test: not strict lets all of them run", func(t *testing.T) {
		inBubble(t, RecorderOptions{}, func(t *testing.T, r *Recorder, m *memory, stop func()) {
			m.failWith(errAway)
			record(t, r, 1)
			time.Sleep(time.Second)
			if err := errors.Join(r.Admit(t.Context()), r.Record(t.Context(), &one, nil, nil)); err != nil {
				t.Error(err)
			}
		})
	})
}

func TestRecorderLevels(t *testing.T) {
	arguments, result := json.RawMessage(`{"city":"Bern","password":"hunter2"}`), core.TextResult("sunny")
	state := &core.State{Settings: []core.Setting{
		{Tenant: "quiet", Name: SettingLevel, Value: `"off"`},
		{Tenant: "quiet", Name: SettingLevel + "/loud", Value: `"payload"`},
		{Tenant: "acme", Name: SettingLevel, Value: `"nonsense"`},
		{Tenant: "acme", Name: "audit.levels", Value: `"off"`},
	}}
	for name, c := range map[string]struct {
		o              RecorderOptions
		state          *core.State
		tenant, server string
		calls          int
		arguments      string
		payload        bool
	}{
		"metadata":                 {RecorderOptions{}, nil, "acme", "github", 1, "", false},
		"payload":                  {RecorderOptions{Level: LevelPayload}, nil, "acme", "github", 1, `{"city":"Bern","password":"[redacted]"}`, true},
		"off":                      {RecorderOptions{Level: LevelOff}, nil, "acme", "github", 0, "", false},
		"off in a tenant":          {RecorderOptions{}, state, "quiet", "github", 0, "", true},
		"payload of a server":      {RecorderOptions{}, state, "quiet", "loud", 1, `{"city":"Bern","password":"[redacted]"}`, true},
		"nonsense":                 {RecorderOptions{}, state, "acme", "github", 1, "", true},
		"strict cannot be put off": {RecorderOptions{Strict: true}, state, "quiet", "github", 1, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, c.o, func(t *testing.T, r *Recorder, m *memory, stop func()) {
				if c.state != nil {
					r.Use(c.state)
				}
				one := callSample(time.Now())
				one.Tenant, one.Server, one.Arguments = c.tenant, c.server, "from outside"
				if err := r.Record(t.Context(), &one, arguments, result); err != nil {
					t.Fatal(err)
				}
				stop()
				if calls, _ := m.counts(); calls != c.calls || r.Payload() != c.payload {
					t.Fatalf("%d calls, payload %v", calls, r.Payload())
				}
				if c.calls > 0 && (m.calls[0].Arguments != c.arguments || (m.calls[0].Result == "") != (c.arguments == "")) {
					t.Errorf("%s, %s", m.calls[0].Arguments, m.calls[0].Result)
				}
			})
		})
	}
	if CheckSetting(&core.Setting{Name: SettingLevel + "/x", Value: `"loud"`}) == nil || CheckSetting(&core.Setting{Name: SettingLevel, Value: `off`}) == nil ||
		CheckSetting(&core.Setting{Name: SettingLevel, Value: `"off"`}) != nil || CheckSetting(&core.Setting{Name: "other", Value: `1`}) != nil {
		t.Error("a setting that cannot be read was taken, or the other way round")
	}
}

func TestRecorderOptions(t *testing.T) {
	for name, o := range map[string]RecorderOptions{
		"no replica":     {},
		"no such level":  {Replica: "a", Level: "loud"},
		"strict and off": {Replica: "a", Level: LevelOff, Strict: true},
	} {
		if _, err := NewRecorder(nil, o); err == nil || core.AsError(err).Code != core.CodeInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Bytes are bounded as well as records.
func TestBufferBytes(t *testing.T) {
	b := buffer{most: 1000, mostBytes: 100}
	for i := range 50 {
		if n, ok := b.put(&slot{size: 30, record: core.CallRecord{In: i}}, false); !ok || n > 3 {
			t.Fatalf("%d are there", n)
		}
	}
	if _, ok := b.put(&slot{size: 30}, true); ok {
		t.Error("strict: one was taken that had no room")
	}
	full, lost := b.swap()
	if len(full) != 3 || lost != 47 || full[0].record.In != 47 {
		t.Errorf("%d, %d lost, first %d", len(full), lost, full[0].record.In)
	}
	b.free(full)
	if full, lost := b.swap(); len(full) != 0 || lost != 0 {
		t.Errorf("%d, %d lost", len(full), lost)
	}
}

func TestRecordAllocatesNothing(t *testing.T) {
	m := newMemory("a", time.Now)
	r, err := NewRecorder(m, RecorderOptions{Replica: "a", Count: 1000})
	if err != nil {
		t.Fatal(err)
	}
	r.Use(&core.State{Settings: []core.Setting{{Tenant: "quiet", Name: SettingLevel, Value: `"off"`}}})
	one := callSample(time.Now())
	for range 3000 {
		_ = r.Record(t.Context(), &one, nil, nil)
	}
	if n := testing.AllocsPerRun(1000, func() { _ = r.Record(t.Context(), &one, nil, nil) }); n > 1 {
		t.Errorf("%v allocations a call", n)
	}
}

func BenchmarkRecord(b *testing.B) {
	for name, o := range map[string]RecorderOptions{"metadata": {}, "payload": {Level: LevelPayload}} {
		b.Run(name, func(b *testing.B) {
			m := newMemory("a", time.Now)
			o.Replica = "a"
			r, err := NewRecorder(discard{m}, o)
			if err != nil {
				b.Fatal(err)
			}
			ctx, cancel := context.WithCancel(b.Context())
			over := make(chan struct{})
			go func() {
				r.Run(ctx)
				close(over)
			}()
			one := callSample(time.Now())
			arguments, result := json.RawMessage(`{"city":"Bern","password":"hunter2","note":"a text of some length that says little"}`), core.TextResult(strings.Repeat("sunny ", 100))
			b.ReportAllocs()
			for b.Loop() {
				_ = r.Record(ctx, &one, arguments, result)
			}
			cancel()
			<-over
		})
	}
}

// discard takes everything and keeps nothing.
type discard struct{ *memory }

func (discard) Append(context.Context, ...core.Row) error        { return nil }
func (discard) Audit(context.Context, ...*core.AuditEntry) error { return nil }
