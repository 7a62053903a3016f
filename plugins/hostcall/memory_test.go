package hostcall

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// clock is a time that a test moves.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// The Store does what a plain map does, over many random steps.
func TestMemoryAgainstAMap(t *testing.T) {
	type kept struct {
		value   string
		version uint64
		expires time.Time
	}
	const quota = 400
	c := newClock()
	m := NewMemory(c.now)
	r := rand.New(rand.NewPCG(1, 2))
	want := map[string]map[string]kept{"a": {}, "b": {}}
	var last uint64
	for step := range 20_000 {
		space := []string{"a", "b"}[r.IntN(2)]
		key := strings.Repeat("k", 1+r.IntN(3)) + string(rune('a'+r.IntN(12)))
		model := want[space]
		for k, v := range model {
			if !v.expires.IsZero() && !c.now().Before(v.expires) {
				delete(model, k)
			}
		}
		old, there := model[key]
		version := []int64{-1, 0, int64(old.version), 1}[r.IntN(4)]
		switch r.IntN(6) {
		case 0, 1:
			value := strings.Repeat("v", r.IntN(40))
			ttl := time.Duration(r.IntN(3)) * 10 * time.Second
			size := 0
			for k, v := range model {
				size += len(k) + len(v.value)
			}
			grown := len(key) + len(value)
			if there {
				grown = len(value) - len(old.value)
			}
			got, err := m.Set(t.Context(), space, key, []byte(value), ttl, version, quota)
			switch {
			case version == 0 && there, version > 0 && (!there || old.version != uint64(version)):
				if !errors.Is(err, ErrConflict) {
					t.Fatalf("step %d: %v, want a conflict", step, err)
				}
			case grown > 0 && size+grown > quota:
				if !errors.Is(err, ErrQuota) {
					t.Fatalf("step %d: %v with %d bytes", step, err, size+grown)
				}
			default:
				if err != nil || got <= last {
					t.Fatalf("step %d: version %d after %d, %v", step, got, last, err)
				}
				last = got
				one := kept{value: value, version: got}
				if ttl > 0 {
					one.expires = c.now().Add(ttl)
				}
				model[key] = one
			}
		case 2:
			value, got, err := m.Get(t.Context(), space, key)
			if there != (err == nil) || there && (string(value) != old.value || got != old.version) || !there && !errors.Is(err, ErrNotFound) {
				t.Fatalf("step %d: %q %d %v, want %+v", step, value, got, err, old)
			}
		case 3:
			err := m.Delete(t.Context(), space, key, version)
			switch {
			case !there:
				if !errors.Is(err, ErrNotFound) {
					t.Fatalf("step %d: %v", step, err)
				}
			case version >= 0 && uint64(version) != old.version:
				if !errors.Is(err, ErrConflict) {
					t.Fatalf("step %d: %v", step, err)
				}
			default:
				if err != nil {
					t.Fatalf("step %d: %v", step, err)
				}
				delete(model, key)
			}
		case 4:
			prefix, after, limit := strings.Repeat("k", r.IntN(3)), "", 1+r.IntN(9)
			if r.IntN(2) == 0 {
				after = key
			}
			var keys []Entry
			for k, v := range model {
				if strings.HasPrefix(k, prefix) && k > after {
					keys = append(keys, Entry{k, v.version})
				}
			}
			slices.SortFunc(keys, func(a, b Entry) int { return strings.Compare(a.Key, b.Key) })
			keys = keys[:min(len(keys), limit)]
			got, err := m.List(t.Context(), space, prefix, after, limit)
			if err != nil || !slices.Equal(got, keys) {
				t.Fatalf("step %d: list %q after %q: %v %v, want %v", step, prefix, after, got, err, keys)
			}
		case 5:
			c.pass(time.Duration(r.IntN(3000)) * time.Millisecond)
		}
	}
	c.pass(time.Hour)
	for space, model := range want {
		for key, v := range model {
			if _, _, err := m.Get(t.Context(), space, key); (err == nil) != v.expires.IsZero() {
				t.Errorf("%s at the end: %v", key, err)
			}
			_ = m.Delete(t.Context(), space, key, -1)
		}
	}
	if len(m.spaces) != 0 {
		t.Errorf("%d empty namespaces stay", len(m.spaces))
	}
}

// The value that a caller gave, or got, is nobody else's.
func TestMemoryCopies(t *testing.T) {
	m := NewMemory(nil)
	value := []byte("abc")
	if _, err := m.Set(t.Context(), "n", "k", value, 0, -1, 100); err != nil {
		t.Fatal(err)
	}
	value[0] = 'x'
	before, _, err := m.Get(t.Context(), "n", "k")
	if err != nil || string(before) != "abc" {
		t.Fatalf("%q %v", before, err)
	}
	if _, err := m.Set(t.Context(), "n", "k", []byte("xyz"), 0, -1, 100); err != nil {
		t.Fatal(err)
	}
	if string(before) != "abc" {
		t.Errorf("what was read became %q", before)
	}
}

// Versions grow past the life of a key, of a namespace and of the Store.
func TestMemoryVersions(t *testing.T) {
	c := newClock()
	m := NewMemory(c.now)
	first, err := m.Set(t.Context(), "n", "k", nil, time.Second, 0, 100)
	if err != nil || first == 0 {
		t.Fatalf("%d %v", first, err)
	}
	c.pass(time.Second)
	if _, err := m.Set(t.Context(), "n", "k", nil, 0, int64(first), 100); !errors.Is(err, ErrConflict) {
		t.Errorf("the version of a key that ran out of time: %v", err)
	}
	second, err := m.Set(t.Context(), "n", "k", nil, 0, 0, 100)
	if err != nil || second <= first {
		t.Errorf("%d after %d, %v", second, first, err)
	}
	c.pass(time.Second)
	third, err := NewMemory(c.now).Set(t.Context(), "n", "k", nil, 0, 0, 100)
	if err != nil || third <= second {
		t.Errorf("the next process: %d after %d, %v", third, second, err)
	}
}

// Small keys cost more memory than the quota counts, so their number is bounded.
func TestMemoryBoundsKeys(t *testing.T) {
	m := NewMemory(nil)
	const quota = 1 << 20
	for n := range keyQuota(quota) {
		if _, err := m.Set(t.Context(), "n", fmt.Sprint(n), nil, 0, -1, quota); err != nil {
			t.Fatalf("key %d: %v", n, err)
		}
	}
	if _, err := m.Set(t.Context(), "n", "more", nil, 0, -1, quota); !errors.Is(err, ErrQuota) {
		t.Errorf("one more: %v", err)
	}
	if _, err := m.Set(t.Context(), "n", "7", []byte("x"), 0, -1, quota); err != nil {
		t.Errorf("one that is there: %v", err)
	}
	if _, err := m.Set(t.Context(), "other", "k", nil, 0, -1, quota); err != nil {
		t.Errorf("another namespace: %v", err)
	}
}

// A grant that became smaller lets a plugin shrink what it keeps.
func TestMemorySmallerQuota(t *testing.T) {
	m := NewMemory(nil)
	for _, tt := range []struct {
		size  int
		quota int64
		want  error
	}{{100, 101, nil}, {90, 50, nil}, {91, 50, ErrQuota}, {90, 50, nil}, {49, 50, nil}, {50, 50, ErrQuota}} {
		if _, err := m.Set(t.Context(), "n", "k", make([]byte, tt.size), 0, -1, tt.quota); !errors.Is(err, tt.want) {
			t.Errorf("%d bytes within %d: %v", tt.size, tt.quota, err)
		}
	}
}

// Adding one to a number by compare-and-set loses nothing.
func TestMemoryConcurrent(t *testing.T) {
	m := NewMemory(nil)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for n := range 50 {
				for {
					value, version, err := m.Get(t.Context(), "n", "count")
					if err != nil && !errors.Is(err, ErrNotFound) {
						t.Error(err)
						return
					}
					if _, err = m.Set(t.Context(), "n", "count", append(slices.Clone(value), 'x'), 0, int64(version), 4096); err == nil {
						break
					}
				}
				key := fmt.Sprint(g, n)
				if _, err := m.Set(t.Context(), "n", key, nil, time.Microsecond, -1, 4096); err != nil {
					t.Error(err)
				}
				if _, err := m.List(t.Context(), "n", "", "", 10); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if value, _, err := m.Get(t.Context(), "n", "count"); err != nil || len(value) != 400 {
		t.Errorf("%d of 400, %v", len(value), err)
	}
}

// Pages are in the order of bytes, whatever was added and removed.
func TestKeys(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var k keys
	have := map[string]bool{}
	for range 30_000 {
		key := fmt.Sprint(r.IntN(9000))
		if r.IntN(3) == 0 {
			k.remove(key)
			delete(have, key)
		} else {
			k.add(key)
			have[key] = true
		}
	}
	var want []string
	for key := range have {
		want = append(want, key)
	}
	slices.Sort(want)
	if got := k.page("", "", len(want)+1); !slices.Equal(got, want) {
		t.Fatalf("%d keys, want %d", len(got), len(want))
	}
	var got []string
	for after := ""; ; {
		page := k.page("", after, 64)
		if len(page) == 0 {
			break
		}
		got = append(got, page...)
		after = page[len(page)-1]
	}
	if !slices.Equal(got, want) {
		t.Errorf("by pages: %d keys, want %d", len(got), len(want))
	}
	for _, piece := range k {
		if len(piece) == 0 || len(piece) > maxPiece {
			t.Errorf("a piece of %d keys", len(piece))
		}
	}
	for key := range have {
		k.remove(key)
	}
	if len(k) != 0 || k.page("", "", 1) != nil {
		t.Errorf("%d pieces of nothing", len(k))
	}
}

func BenchmarkMemorySet(b *testing.B) {
	m := NewMemory(nil)
	value := make([]byte, 256)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.Set(b.Context(), "n", "key", value, time.Minute, -1, 1<<20); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMemoryList(b *testing.B) {
	m := NewMemory(nil)
	for n := range 16_000 {
		if _, err := m.Set(b.Context(), "n", fmt.Sprint(n), nil, 0, -1, 1<<20); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.List(b.Context(), "n", "", "5", 64); err != nil {
			b.Fatal(err)
		}
	}
}
