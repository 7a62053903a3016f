package audit

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/core"
)

// twoTrails is a store with entries of replicas a and b, an anchor at a 6, and two
// batches of calls.
func twoTrails(t *testing.T) (*memory, *clock) {
	t.Helper()
	c := newClock()
	m := newMemory("b", c.now)
	fill(t, m, c, 4)
	m.replica = "a"
	fill(t, m, c, 6)
	anchors := NewAnchors(m, AnchorOptions{Key: testKey, Replica: "a", Now: c.now})
	if _, err := anchors.Pin(t.Context()); err != nil {
		t.Fatal(err)
	}
	fill(t, m, c, 4)
	after := ""
	for batch := range 2 {
		var records []*core.CallRecord
		for i := range 3 {
			c.add(time.Second)
			one := callSample(c.now())
			one.ID = (&ids{end: "-a"}).next(c.now())
			one.In = 10*batch + i
			records = append(records, &one)
			m.calls = append(m.calls, one)
		}
		b := NewBatch("a", after, records)
		after = b.Last
		details, err := json.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Audit(t.Context(), &core.AuditEntry{Time: c.now(), Tenant: core.DefaultTenant, Action: ActionCalls, Outcome: "ok", Details: details}); err != nil {
			t.Fatal(err)
		}
	}
	c.add(time.Hour)
	return m, c
}

func callSample(at time.Time) core.CallRecord {
	return core.CallRecord{
		ID: "1", Time: at, Replica: "a", Tenant: "acme", Subject: "u1", Who: "Ada", Via: core.ViaToken, Credential: "t1", Server: "github", Kind: "tool",
		Name: "list_issues", Revision: "2026-07-28", Client: "probe", Outcome: "ok", Duration: 1500 * time.Microsecond, In: 12, Out: 345, Request: "r1",
		Trace: "t", Arguments: "{}", Result: "{}",
	}
}

// at returns the entry of a replica; seq from 1.
func (m *memory) at(replica string, seq int64) *core.AuditEntry {
	i := slices.IndexFunc(m.entries, func(e core.AuditEntry) bool { return e.Replica == replica && e.Seq == seq })
	return &m.entries[i]
}

func (m *memory) drop(replica string, from, to int64) {
	m.entries = slices.DeleteFunc(m.entries, func(e core.AuditEntry) bool { return e.Replica == replica && e.Seq >= from && e.Seq <= to })
}

func TestVerifyFinds(t *testing.T) {
	for name, c := range map[string]struct {
		harm func(m *memory)
		want []string // kind@seq
	}{
		"nothing":                    {func(*memory) {}, nil},
		"an edit":                    {func(m *memory) { m.at("a", 3).Reason = "other" }, []string{"edited@3"}},
		"an edit of the last":        {func(m *memory) { m.at("b", 4).Outcome = "denied" }, []string{"edited@4"}},
		"an edit hashed without key": {func(m *memory) { e := m.at("a", 3); e.Actor = "x"; e.Hash = Hash([]byte("guess"), e) }, []string{"edited@3"}},
		"a hash that is edited":      {func(m *memory) { m.at("a", 3).Hash = strings.Repeat("0", 64) }, []string{"edited@3"}},
		"a deletion":                 {func(m *memory) { m.drop("a", 4, 5) }, []string{"deleted@4"}},
		"a deletion of the first":    {func(m *memory) { m.drop("b", 1, 1) }, []string{"deleted@1"}},
		"two that change places": {func(m *memory) {
			x, y := m.at("a", 2), m.at("a", 5)
			x.Seq, y.Seq = y.Seq, x.Seq
		}, []string{"reordered@2", "reordered@5"}},
		"one that moves to the end": {func(m *memory) { m.at("b", 2).Seq = 5 }, []string{"deleted@2", "reordered@5"}},
		"contents that change places": {func(m *memory) {
			x, y := m.at("a", 2), m.at("a", 3)
			x.Name, y.Name = y.Name, x.Name
		}, []string{"edited@2", "edited@3"}},
		"an insertion at the end": {func(m *memory) {
			e := *m.at("b", 4)
			e.Seq, e.Prev, e.Hash = 5, e.Hash, strings.Repeat("a", 64)
			m.entries = append(m.entries, e)
		}, []string{"edited@5"}},
		"an insertion in a place that is taken": {func(m *memory) {
			e := *m.at("b", 3)
			e.Name = "other"
			m.entries = append(m.entries, e)
		}, []string{"edited@3", "inserted@3"}},
		"a copy": {func(m *memory) { m.entries = append(m.entries, *m.at("b", 3)) }, []string{"duplicate@3"}},
		"an entry of another trail": {func(m *memory) {
			e := *m.at("a", 2)
			e.Replica, e.Seq = "b", 5
			m.entries = append(m.entries, e)
		}, []string{"edited@5"}},
		"a cut before an anchor":   {func(m *memory) { m.drop("a", 5, 99) }, []string{"stray@0", "truncated@5"}},
		"a trail that is gone":     {func(m *memory) { m.drop("a", 1, 99) }, []string{"stray@0", "truncated@1"}},
		"an anchor that is moved":  {func(m *memory) { m.anchors[0].Seq = 4 }, []string{"anchor@4"}},
		"an anchor of somebody":    {func(m *memory) { m.anchors[0].MAC = AnchorMAC([]byte("guess"), &m.anchors[0]) }, []string{"anchor@6"}},
		"a hash that is not whole": {func(m *memory) { m.at("b", 4).Hash = "" }, []string{"torn@4"}},
		"a cut, and a trail written on": {func(m *memory) {
			m.drop("a", 5, 99)
			for range 3 {
				m.link(&core.AuditEntry{Tenant: "acme", Action: "user.write", Outcome: "ok"})
			}
		}, []string{"stray@0", "truncated@6"}},
		"a fork": {func(m *memory) {
			old := slices.Clone(m.entries)
			m.drop("a", 8, 99)
			m.link(&core.AuditEntry{Tenant: "acme", Action: "user.write", Outcome: "ok"})
			for _, e := range old {
				if e.Replica == "a" && e.Seq > 8 {
					m.entries = append(m.entries, e)
				}
			}
		}, []string{"inserted@9"}},
		"a record that is edited":   {func(m *memory) { m.calls[1].Outcome = "denied" }, []string{"edited@11"}},
		"a record that is deleted":  {func(m *memory) { m.calls = slices.Delete(m.calls, 4, 5) }, []string{"deleted@12"}},
		"records that are deleted":  {func(m *memory) { m.calls = nil }, []string{"deleted@11", "deleted@12"}},
		"a record that is inserted": {func(m *memory) { one := m.calls[1]; one.ID += "0"; m.calls = append(m.calls, one) }, []string{"inserted@11"}},
		"a record between batches": {func(m *memory) {
			one := m.calls[2]
			one.ID += "0"
			m.calls = append(m.calls, one)
		}, []string{"inserted@12"}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, page := range []int{0, 1, 3} {
				m, clock := twoTrails(t)
				m.page = page
				c.harm(m)
				r := mustVerify(t, m, VerifyOptions{Now: clock.now})
				if got := kinds(r.Faults); !slices.Equal(got, c.want) {
					t.Errorf("page %d: found %v, want %v", page, got, c.want)
				}
				if r.OK() != (len(c.want) == 0) {
					t.Errorf("OK is %v", r.OK())
				}
				for _, f := range r.Faults {
					if f.Replica == "" || f.Message == "" || f.Time.IsZero() {
						t.Errorf("a fault says too little: %+v", f)
					}
				}
			}
		})
	}
}

func TestVerifyCountsWhatItSaw(t *testing.T) {
	m, c := twoTrails(t)
	r := mustVerify(t, m, VerifyOptions{Now: c.now})
	if r.Entries != 16 || r.Anchors != 1 || r.Batches != 2 || r.Calls != 6 || len(r.Trails) != 2 || len(r.Warnings) != 0 {
		t.Errorf("%+v", r)
	}
	var text, encoded bytes.Buffer
	if err := r.Text(&text); err != nil {
		t.Fatal(err)
	}
	if err := r.JSON(&encoded); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text.String(), "everything fits") || !json.Valid(encoded.Bytes()) {
		t.Errorf("%s\n%s", &text, &encoded)
	}
	m.at("a", 3).Reason = "other"
	r = mustVerify(t, m, VerifyOptions{Now: c.now})
	text.Reset()
	if err := r.Text(&text); err != nil {
		t.Fatal(err)
	}
	if want := "FAULT edited: trail a, entry 3, 2026-11-30T12:00:07Z: "; !strings.Contains(text.String(), want) || !strings.Contains(text.String(), "1 faults") {
		t.Errorf("%q does not say %q", text.String(), want)
	}
}

// Heads that somebody remembers find what anchors in the store do not.
func TestVerifyHeads(t *testing.T) {
	m, c := twoTrails(t)
	heads := mustVerify(t, m, VerifyOptions{Now: c.now}).Heads()
	m.drop("a", 9, 99)
	m.drop("b", 1, 99)
	m.calls = nil
	if r := mustVerify(t, m, VerifyOptions{Now: c.now}); !r.OK() {
		t.Fatalf("a cut after the last anchor was found without heads? %v", kinds(r.Faults))
	}
	r := mustVerify(t, m, VerifyOptions{Now: c.now, Heads: heads})
	if got := kinds(r.Faults); !slices.Equal(got, []string{"truncated@9", "truncated@1"}) {
		t.Errorf("found %v", got)
	}
}

// What retention deleted is no fault; what somebody else deleted is.
func TestVerifyPruned(t *testing.T) {
	m, c := twoTrails(t)
	began := c.now()
	keep := NewRetention(m, RetentionOptions{Replica: "a", Now: c.now})
	c.add(31 * day)
	fill(t, m, c, 2)
	if err := keep.Prune(t.Context()); err != nil {
		t.Fatal(err)
	}
	if calls, _ := m.counts(); calls != 0 {
		t.Fatalf("%d calls are left", calls)
	}
	if r := mustVerify(t, m, VerifyOptions{Now: c.now}); !r.OK() {
		t.Errorf("after pruning calls: %v", kinds(r.Faults))
	}
	c.add(400 * day)
	if err := keep.Prune(t.Context()); err != nil {
		t.Fatal(err)
	}
	if first := m.at("a", 7); first.Time.After(began) {
		t.Fatal("the anchor was at 6")
	}
	if _, entries := m.counts(); entries != 16-6+2+2+2 {
		t.Fatalf("%d entries are left", entries)
	}
	r := mustVerify(t, m, VerifyOptions{Now: c.now})
	if !r.OK() {
		t.Errorf("after pruning entries: %v", kinds(r.Faults))
	}
	m.drop("a", 7, 7)
	if got := kinds(mustVerify(t, m, VerifyOptions{Now: c.now}).Faults); !slices.Equal(got, []string{"deleted@1"}) {
		t.Errorf("one more was deleted, found %v", got)
	}
	t.Run("test of the test", func(t *testing.T) {
		m, c := twoTrails(t)
		c.add(500 * day)
		m.drop("a", 1, 6)
		m.calls = nil
		if got := kinds(mustVerify(t, m, VerifyOptions{Now: c.now}).Faults); !slices.Equal(got, []string{"deleted@1", "deleted@11", "deleted@12"}) {
			t.Errorf("nobody said that it was pruned, found %v", got)
		}
		forged := &core.AuditEntry{Time: c.now(), Tenant: "default", Action: ActionAuditPruned, Replica: "a", Seq: 13, Details: json.RawMessage(`{"before":"2030-01-01T00:00:00Z"}`)}
		forged.Hash = Hash([]byte("guess"), forged)
		m.entries = append(m.entries, *forged)
		if got := kinds(mustVerify(t, m, VerifyOptions{Now: c.now}).Faults); !slices.Contains(got, "deleted@1") {
			t.Errorf("a forged word explained it: %v", got)
		}
	})
}

// A record that stands in no batch is a fault, unless it may have come since the trail was
// read.
func TestVerifyStray(t *testing.T) {
	for _, tt := range []struct {
		name  string
		after time.Duration // since it was written
		want  []string
	}{
		{"just written", 0, nil},
		{"by a clock that is ahead", -settle / 2, nil},
		{"long ago", 2 * settle, []string{"stray@0"}},
		{"in an hour", -time.Hour, []string{"stray@0"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, c := twoTrails(t)
			now := c.now()
			one := callSample(now.Add(-2 * time.Hour))
			one.ID = (&ids{end: "-a"}).next(now.Add(-tt.after))
			m.calls = append(m.calls, one)
			if got := kinds(mustVerify(t, m, VerifyOptions{Now: c.now}).Faults); !slices.Equal(got, tt.want) {
				t.Errorf("found %v, want %v", got, tt.want)
			}
		})
	}
}

// What is written while Verify reads is no fault: an entry with an earlier time than the
// page that was read, and records of a call that began long ago.
func TestVerifyBesideWriters(t *testing.T) {
	m, c := twoTrails(t)
	m.page = 2
	pages := 0
	m.onList = func(into any) {
		if _, ok := into.(*[]core.AuditEntry); !ok {
			return
		}
		if pages++; pages != 6 {
			return
		}
		late := sample()
		late.Time = c.now().Add(-2 * time.Hour)
		m.link(late)
		one := callSample(c.now().Add(-3 * time.Hour))
		one.ID = (&ids{end: "-a"}).next(c.now())
		m.calls = append(m.calls, one)
		details, err := json.Marshal(NewBatch("a", m.calls[5].ID, []*core.CallRecord{&one}))
		if err != nil {
			t.Error(err)
		}
		m.link(&core.AuditEntry{Time: c.now(), Tenant: "default", Action: ActionCalls, Details: details})
	}
	r := mustVerify(t, m, VerifyOptions{Now: c.now})
	if !r.OK() || r.Batches != 3 {
		t.Errorf("found %v in %d batches", kinds(r.Faults), r.Batches)
	}
}

func TestVerifyWantsAKey(t *testing.T) {
	if _, err := Verify(t.Context(), newMemory("a", time.Now), VerifyOptions{}); core.AsError(err).Code != core.CodeInvalid {
		t.Errorf("%v", err)
	}
}

// mutate changes one field of one row.
func mutate(t *rapid.T, m *memory) string {
	field := func(row any) string {
		v := reflect.ValueOf(row).Elem()
		i := rapid.IntRange(0, v.NumField()-1).Draw(t, "field")
		change(v.Field(i))
		return v.Type().Field(i).Name
	}
	switch rapid.IntRange(0, 2).Draw(t, "table") {
	case 0:
		return "entry." + field(&m.entries[rapid.IntRange(0, len(m.entries)-1).Draw(t, "row")])
	case 1:
		return "anchor." + field(&m.anchors[0])
	default:
		return "call." + field(&m.calls[rapid.IntRange(0, len(m.calls)-1).Draw(t, "row")])
	}
}

func TestAnyMutationIsFound(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		m, c := twoTrails(t)
		what := mutate(r, m)
		report := mustVerify(t, m, VerifyOptions{Now: c.now})
		if report.OK() {
			r.Fatalf("a change of %s was not found", what)
		}
	})
	t.Run("test of the test", func(t *testing.T) {
		forgetful := func(key []byte, e *core.AuditEntry) string {
			plain := *e
			plain.Reason = ""
			return Hash(key, &plain)
		}
		m, c := twoTrails(t)
		for i := range m.entries { // a trail of such hashes
			e := &m.entries[i]
			e.Prev = ""
			if e.Seq > 1 {
				e.Prev = m.at(e.Replica, e.Seq-1).Hash
			}
			e.Hash = forgetful(testKey, e)
		}
		m.anchors = nil
		m.at("a", 3).Reason = "other"
		if r := mustVerify(t, m, VerifyOptions{Now: c.now, hash: forgetful}); !r.OK() {
			t.Errorf("a hash without Reason saw it: %v", r.Faults)
		}
		m.at("a", 3).Name = "other"
		if r := mustVerify(t, m, VerifyOptions{Now: c.now, hash: forgetful}); r.OK() {
			t.Error("and Name it does not see either")
		}
	})
}

// Any row that goes is found, but for the last entry after the last anchor, unless it told of
// calls.
func TestAnyDeletionIsFound(t *testing.T) {
	base, _ := twoTrails(t)
	for i := range base.entries {
		m, c := twoTrails(t)
		gone := m.entries[i]
		m.entries = slices.Delete(m.entries, i, i+1)
		last := gone.Replica == "b" && gone.Seq == 4
		if r := mustVerify(t, m, VerifyOptions{Now: c.now}); r.OK() != last {
			t.Errorf("entry %s %d: %v", gone.Replica, gone.Seq, kinds(r.Faults))
		}
	}
}
