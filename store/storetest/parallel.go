package storetest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/core"
)

// atOnce: a hundred add one to ten numbers; whoever is late reads again.
func atOnce(t *testing.T, open Open) {
	s := open(t)
	const workers, numbers = 100, 10
	for n := range numbers {
		put(t, s, &core.Setting{Tenant: "acme", Name: strconv.Itoa(n), Value: "0"})
	}
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			for {
				row := &core.Setting{Tenant: "acme", Name: strconv.Itoa(w % numbers)}
				if err := s.Get(t.Context(), row); err != nil {
					t.Error(err)
					return
				}
				n, _ := strconv.Atoi(row.Value)
				row.Value = strconv.Itoa(n + 1)
				err := tryPut(t.Context(), s, row)
				if err == nil {
					return
				}
				if core.AsError(err).Code != core.CodeChanged {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	for n := range numbers {
		row := &core.Setting{Tenant: "acme", Name: strconv.Itoa(n)}
		want(t, "get", s.Get(t.Context(), row), "")
		if row.Value != strconv.Itoa(workers/numbers) || row.Version != workers/numbers+1 {
			t.Errorf("value %s, version %d", row.Value, row.Version)
		}
	}
	// Read and written in one change nobody is late.
	for range workers {
		all.Go(func() {
			err := s.Change(t.Context(), entry("setting.write"), func(ctx context.Context, tx core.Tx) error {
				row := &core.Setting{Tenant: "acme", Name: "0"}
				if err := tx.Get(ctx, row); err != nil {
					return err
				}
				n, _ := strconv.Atoi(row.Value)
				row.Value = strconv.Itoa(n + 1)
				return tx.Put(ctx, row)
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	row := &core.Setting{Tenant: "acme", Name: "0"}
	want(t, "get", s.Get(t.Context(), row), "")
	if row.Value != strconv.Itoa(workers/numbers+workers) {
		t.Errorf("value %s", row.Value)
	}
	if n := len(trail(t, s)); n != 2*workers+numbers {
		t.Errorf("%d audit entries", n)
	}
}

// appendAtOnce: sums are right, and nobody waits for anybody in a circle.
func appendAtOnce(t *testing.T, open Open) {
	s := open(t)
	const workers, each, tools = 8, 6, 20
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			for i := range each {
				var rows []core.Row
				for tool := range tools {
					name := (tool*7 + w + i) % tools // each in another order
					rows = append(rows, &core.Usage{Tenant: "acme", Day: "2026-03-29", Name: strconv.Itoa(name), Calls: 1, Millis: int64(w)})
				}
				if err := s.Append(t.Context(), rows...); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	sums := list[core.Usage](t, s, core.Query{Tenant: "acme"})
	if len(sums) != tools {
		t.Fatalf("%d rows", len(sums))
	}
	for _, u := range sums {
		if u.Calls != workers*each || u.Millis != each*workers*(workers-1)/2 {
			t.Errorf("%+v", u)
		}
	}
}

// likeMap: whatever is done in whatever order, a store answers as a map would.
func likeMap(t *testing.T, open Open) {
	s := open(t)
	run := 0
	rapid.Check(t, func(r *rapid.T) {
		run++
		tenant := fmt.Sprint("run", run)
		kept := map[string]core.Role{} // by name
		names := rapid.SampledFrom([]string{"a", "b", "c", "A", "ä"})
		steps := rapid.IntRange(1, 12).Draw(r, "steps")
		for range steps {
			trial := maps.Clone(kept)
			fails := rapid.IntRange(0, 4).Draw(r, "fails") == 0
			err := s.Change(t.Context(), entry("role.write"), func(ctx context.Context, tx core.Tx) error {
				trial = maps.Clone(kept) // it may run twice
				for range rapid.IntRange(1, 3).Draw(r, "operations") {
					if err := step(ctx, r, tx, tenant, names.Draw(r, "name"), trial); err != nil {
						return err
					}
				}
				if fails {
					return errOwn
				}
				return nil
			})
			switch {
			case err == nil:
				kept = trial
			case !fails:
				r.Fatalf("change: %v", err)
			}
			compare(t.Context(), r, s, tenant, kept)
		}
	})
	trail(t, s)
}

// step puts or deletes one row, in the store and in the map.
func step(ctx context.Context, r *rapid.T, tx core.Tx, tenant, name string, trial map[string]core.Role) error {
	was, there := trial[name]
	version := int64(rapid.IntRange(0, 3).Draw(r, "version"))
	row := &core.Role{Tenant: tenant, Name: name, Title: rapid.StringMatching(`[a-z']{0,5}`).Draw(r, "title"), Stamp: core.Stamp{Version: version}}
	var err error
	wanted := core.Code("")
	if rapid.Bool().Draw(r, "delete") {
		switch {
		case !there:
			wanted = core.CodeNotFound
		case version != 0 && version != was.Version:
			wanted = core.CodeChanged
		default:
			delete(trial, name)
		}
		err = tx.Delete(ctx, row)
	} else {
		switch {
		case version == 0 && there:
			wanted = core.CodeConflict
		case version != 0 && (!there || version != was.Version):
			wanted = core.CodeChanged
		}
		if err = tx.Put(ctx, row); err == nil {
			trial[name] = *row
		}
	}
	got := core.Code("")
	if err != nil {
		got = core.AsError(err).Code
	}
	if got != wanted {
		return fmt.Errorf("version %d of %q, stored %+v: code %q, want %q (%w)", version, name, was, got, wanted, err)
	}
	return nil
}

func compare(ctx context.Context, r *rapid.T, s core.Store, tenant string, kept map[string]core.Role) {
	var got []core.Role
	if _, err := s.List(ctx, &got, core.Query{Tenant: tenant}); err != nil {
		r.Fatal(err)
	}
	names := slices.Sorted(maps.Keys(kept))
	if len(got) != len(names) {
		r.Fatalf("%d rows, want %d", len(got), len(names))
	}
	for i, name := range names {
		if got[i] != kept[name] {
			r.Fatalf("row %+v, want %+v", got[i], kept[name])
		}
	}
}

// codes: whoever asks is told what is wrong.
func codes(t *testing.T, open Open) {
	s := open(t)
	left, leave := context.WithCancel(t.Context())
	leave()
	late, end := context.WithTimeout(t.Context(), 0)
	defer end()
	operations := map[string]func(ctx context.Context) error{
		"get": func(ctx context.Context) error { return s.Get(ctx, &core.Role{Tenant: "a", Name: "b"}) },
		"list": func(ctx context.Context) error {
			_, err := s.List(ctx, &[]core.Role{}, core.Query{Tenant: "a"})
			return err
		},
		"change":   func(ctx context.Context) error { return tryPut(ctx, s, &core.Role{Tenant: "a", Name: "changed"}) },
		"audit":    func(ctx context.Context) error { return s.Audit(ctx, entry("a.b")) },
		"append":   func(ctx context.Context) error { return s.Append(ctx, &core.Replica{ID: "a"}) },
		"state":    func(ctx context.Context) error { _, err := s.State(ctx); return err },
		"revision": func(ctx context.Context) error { _, err := s.Revision(ctx); return err },
		"ping":     s.Ping,
	}
	for what, do := range operations {
		want(t, what+" of who has left", do(left), core.CodeCancelled)
		want(t, what+" too late", do(late), core.CodeTimeout)
		want(t, what, do(t.Context()), map[bool]core.Code{what == "get": core.CodeNotFound}[true])
	}
	heard := make(chan struct{})
	go func() { defer close(heard); s.Hints(left, func() {}) }()
	<-heard
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	for what, do := range operations {
		want(t, what+" of a closed store", do(t.Context()), core.CodeUnavailable)
	}
}
