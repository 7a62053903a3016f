package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/core"
)

func memoryStore(t testing.TB) *Store {
	t.Helper()
	s, err := Open(t.Context(), "memory:", Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// drawCall draws a record whose texts are of few, of hexadecimal and of any kind.
func drawCall(t *rapid.T, n int) core.CallRecord {
	word := func(name string) string {
		return rapid.SampledFrom([]string{"", "a", "bb", "0f", "ABCD", "ü", "0123456789abcdef"}).Draw(t, name)
	}
	text := func(name string) string {
		s := rapid.OneOf(rapid.StringMatching("[0-9a-f]{0,8}"), rapid.String()).Draw(t, name)
		return strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), "")
	}
	return core.CallRecord{
		ID: fmt.Sprintf("%04x%s", n, rapid.SampledFrom([]string{"", "-abcdef01", "-0", "z"}).Draw(t, "end")), Tenant: rapid.SampledFrom([]string{"acme", "other"}).Draw(t, "tenant"),
		Replica: rapid.SampledFrom([]string{"", "r1", "r2"}).Draw(t, "replica"), Time: time.UnixMicro(rapid.Int64Range(-5, 60).Draw(t, "time")).UTC(),
		Subject: word("subject"), Who: text("who"), Via: core.Via(word("via")), Credential: word("credential"), Server: word("server"), Kind: word("kind"),
		Name: word("name"), Revision: word("revision"), Client: text("client"), Outcome: word("outcome"), Duration: time.Duration(rapid.Int64().Draw(t, "duration")),
		In: rapid.Int().Draw(t, "in"), Out: rapid.Int().Draw(t, "out"), Request: text("request"), Trace: word("trace"), Arguments: text("arguments"), Result: text("result"),
	}
}

// Whatever is packed comes back.
func TestBlocks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		records := make([]core.CallRecord, rapid.IntRange(1, 20).Draw(t, "count"))
		for i := range records {
			records[i] = drawCall(t, i)
			records[i].Tenant, records[i].Replica = "acme", "r"
		}
		b, err := readBlock("acme", "r", packCalls(pointers(records)))
		if err != nil {
			t.Fatal(err)
		}
		if got := b.records(); !slices.Equal(got, records) {
			t.Fatalf("got %+v\nwant %+v", got, records)
		}
	})
}

// FuzzBlock: bytes that are no block are refused; those that are one are read.
func FuzzBlock(f *testing.F) {
	f.Add(packCalls([]*core.CallRecord{{ID: "1-ab", Server: "s", Request: "00ff"}, {ID: "2-ab", Server: "s", Arguments: "{}"}}))
	f.Add([]byte{blockFormat, 0xff, 0xff, 0xff, 0xff, 0x7f})
	f.Fuzz(func(t *testing.T, packed []byte) {
		b, err := readBlock("acme", "r", packed)
		if err != nil {
			if !errors.Is(err, errBlock) {
				t.Errorf("refused for %v", err)
			}
			return
		}
		records := b.records()
		if len(records) == 0 {
			return
		}
		again, err := readBlock("acme", "r", packCalls(pointers(records)))
		if err != nil || !slices.Equal(again.records(), records) {
			t.Errorf("%v: other records than before", err)
		}
	})
}

// A block that was cut off or changed in its lengths is refused, or at least harms nobody.
func TestDamagedBlock(t *testing.T) {
	packed := packCalls([]*core.CallRecord{{ID: "1", Server: "s", Arguments: "long enough"}, {ID: "2"}})
	for n := range packed {
		if _, err := readBlock("acme", "r", packed[:n]); !errors.Is(err, errBlock) {
			t.Errorf("cut after %d bytes: %v", n, err)
		}
	}
	if _, err := readBlock("acme", "r", append(bytes.Clone(packed), 0)); !errors.Is(err, errBlock) {
		t.Errorf("with a byte more: %v", err)
	}
	s := memoryStore(t)
	if err := s.Append(t.Context(), &core.CallRecord{ID: "1", Tenant: "acme"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.writer.NewRaw("UPDATE calls SET packed = ?", []byte{9}).Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	var rows []core.CallRecord
	if _, err := s.List(t.Context(), &rows, core.Query{Tenant: "acme"}); err == nil {
		t.Error("a damaged block was listed")
	}
}

// model lists records as a store that has them in one slice.
func model(all []core.CallRecord, q core.Query) []core.CallRecord {
	out := []core.CallRecord{}
	for _, c := range all {
		fields := map[string]string{
			"id": c.ID, "replica": c.Replica, "subject": c.Subject, "via": string(c.Via), "credential": c.Credential, "server": c.Server,
			"kind": c.Kind, "name": c.Name, "outcome": c.Outcome, "request": c.Request, "trace": c.Trace,
		}
		fits := (q.Tenant == core.EveryTenant || q.Tenant == c.Tenant) && (q.Since.IsZero() || !c.Time.Before(q.Since)) && (q.Until.IsZero() || c.Time.Before(q.Until))
		for name, text := range q.Equal {
			fits = fits && fields[name] == text
		}
		if fits {
			out = append(out, c)
		}
	}
	slices.SortFunc(out, func(a, b core.CallRecord) int {
		order := place{momentOf(a.Time), a.Tenant, a.ID}.compare(place{momentOf(b.Time), b.Tenant, b.ID})
		if q.Newest {
			return -order
		}
		return order
	})
	return out
}

// Lists over blocks whose times overlap are those over a plain list, page by page, also
// after records were replaced, deleted and pruned.
func TestCallsModel(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		s, err := Open(t.Context(), "memory:", Options{})
		if err != nil {
			r.Fatal(err)
		}
		defer func() { _ = s.Close() }()
		var all []core.CallRecord
		n := 0
		put := func(c core.CallRecord) {
			all = slices.DeleteFunc(all, func(o core.CallRecord) bool { return o.ID == c.ID && o.Tenant == c.Tenant })
			all = append(all, c)
		}
		for range rapid.IntRange(1, 6).Draw(r, "appends") {
			var rows []core.Row
			for range rapid.IntRange(1, 8).Draw(r, "records") {
				c := drawCall(r, n)
				n++
				if len(all) > 0 && rapid.IntRange(0, 4).Draw(r, "again") == 0 {
					old := rapid.SampledFrom(all).Draw(r, "old")
					c.ID, c.Tenant, c.Replica = old.ID, old.Tenant, old.Replica
				}
				put(c)
				rows = append(rows, &c)
			}
			if err := s.Append(t.Context(), rows...); err != nil {
				r.Fatal(err)
			}
		}
		switch rapid.IntRange(0, 3).Draw(r, "then") {
		case 1:
			gone := rapid.SampledFrom(all).Draw(r, "gone")
			err := s.Change(t.Context(), nil, func(ctx context.Context, tx core.Tx) error {
				return tx.Delete(ctx, &core.CallRecord{Tenant: gone.Tenant, ID: gone.ID})
			})
			if err != nil {
				r.Fatal(err)
			}
			all = slices.DeleteFunc(all, func(o core.CallRecord) bool { return o.ID == gone.ID && o.Tenant == gone.Tenant })
		case 2:
			before := time.UnixMicro(rapid.Int64Range(0, 60).Draw(r, "before"))
			was := len(all)
			all = slices.DeleteFunc(all, func(o core.CallRecord) bool { return o.Time.Before(before) })
			if count, err := s.Prune(t.Context(), "call", before); err != nil || int(count) != was-len(all) {
				r.Fatalf("pruned %d, %v; want %d", count, err, was-len(all))
			}
		case 3:
			c := rapid.SampledFrom(all).Draw(r, "put")
			c.Replica, c.Server = "r3", "moved"
			put(c)
			if err := s.Change(t.Context(), nil, func(ctx context.Context, tx core.Tx) error { return tx.Put(ctx, &c) }); err != nil {
				r.Fatal(err)
			}
		}
		for _, want := range all {
			got := core.CallRecord{Tenant: want.Tenant, ID: want.ID}
			if err := s.Get(t.Context(), &got); err != nil || got != want {
				r.Fatalf("get: %+v, %v\nwant %+v", got, err, want)
			}
		}
		for range 4 {
			q := core.Query{Tenant: rapid.SampledFrom([]string{"acme", "*"}).Draw(r, "tenant"), Newest: rapid.Bool().Draw(r, "newest"), Limit: rapid.IntRange(1, 9).Draw(r, "limit"), Equal: map[string]string{}}
			if rapid.Bool().Draw(r, "since") {
				q.Since = time.UnixMicro(rapid.Int64Range(-5, 60).Draw(r, "from"))
			}
			if rapid.Bool().Draw(r, "until") {
				q.Until = time.UnixMicro(rapid.Int64Range(-5, 60).Draw(r, "to"))
			}
			if len(all) > 0 && rapid.Bool().Draw(r, "narrow") {
				one := rapid.SampledFrom(all).Draw(r, "like")
				for name, text := range map[string]string{"server": one.Server, "id": one.ID, "replica": one.Replica, "request": one.Request, "trace": one.Trace, "outcome": one.Outcome} {
					if rapid.IntRange(0, 3).Draw(r, name) == 0 {
						q.Equal[name] = text
					}
				}
			}
			want := model(all, q)
			got := []core.CallRecord{}
			for {
				var rows []core.CallRecord
				next, err := s.List(t.Context(), &rows, q)
				if err != nil || len(rows) > q.Limit {
					r.Fatalf("list: %d rows, %v", len(rows), err)
				}
				got = append(got, rows...)
				if next == "" {
					break
				}
				q.After = next
			}
			if !slices.Equal(got, want) {
				r.Fatalf("%+v\ngot  %+v\nwant %+v", q, got, want)
			}
		}
	})
}

// A query that finds little ends after so many blocks, with a cursor that goes on; one
// moment that fills them all ends nothing.
func TestLongWalk(t *testing.T) {
	for _, tt := range []struct {
		name string
		at   func(n int) time.Time
	}{
		{"one after the other", func(n int) time.Time { return time.UnixMicro(int64(n)) }},
		{"at one moment", func(int) time.Time { return time.UnixMicro(7) }},
	} {
		for _, newest := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, newest %v", tt.name, newest), func(t *testing.T) {
				s := memoryStore(t)
				const count = mostBlocks + 200
				for n := range count {
					c := &core.CallRecord{ID: fmt.Sprintf("%05d", n), Tenant: "acme", Time: tt.at(n), Server: "many"}
					if n%(count-1) == 0 {
						c.Server = "rare"
					}
					if err := s.Append(t.Context(), c); err != nil {
						t.Fatal(err)
					}
				}
				found, pages := 0, 0
				q := core.Query{Tenant: "acme", Newest: newest, Limit: 10, Equal: map[string]string{"server": "rare"}}
				for {
					var rows []core.CallRecord
					next, err := s.List(t.Context(), &rows, q)
					if err != nil {
						t.Fatal(err)
					}
					found, pages = found+len(rows), pages+1
					if next == "" {
						break
					}
					if pages > 5 {
						t.Fatal("it does not come to an end")
					}
					q.After = next
				}
				if found != 2 || pages != 2 {
					t.Errorf("%d records on %d pages, want 2 on 2", found, pages)
				}
			})
		}
	}
}
