package hostcall

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/plugins/abi"
	"github.com/sallyport/sallyport/plugins/manifest"
)

func kept(namespace string, size manifest.Size, store Store) Options {
	return Options{Granted: manifest.Capabilities{KV: &manifest.KV{Namespace: namespace, MaxBytes: size}}, KV: store}
}

func TestKV(t *testing.T) {
	c := newClock()
	h := newHost(t, kept("n", 200_000, NewMemory(c.now)))
	s := scope(nil, nil)
	set := func(key, value string, ttl time.Duration, version int64) int64 {
		return h.KVSet(t.Context(), s, []byte(key), []byte(value), ttl, version)
	}
	first := set("k", "one", 0, 0)
	if first <= 0 {
		t.Fatal(named(first))
	}
	value, version, code := h.KVGet(t.Context(), s, []byte("k"))
	if code < 0 || string(value) != "one" || int64(version) != first {
		t.Fatalf("%q %d %q", value, version, named(code))
	}
	second := set("k", "two", 0, first)
	if second <= first {
		t.Errorf("version %d after %d", second, first)
	}
	tests := []struct {
		name string
		got  int64
		code string
	}{
		{"set: an old version", set("k", "x", 0, first), "conflict"},
		{"set: must not exist", set("k", "x", 0, 0), "conflict"},
		{"set: a version of what does not exist", set("new", "x", 0, 7), "conflict"},
		{"set: a version below -1", set("k", "x", 0, -2), "invalid"},
		{"set: a negative time", set("k", "x", -1, -1), "invalid"},
		{"set: an empty key", set("", "x", 0, -1), "invalid"},
		{"set: a key that is not UTF-8", set("\xff", "x", 0, -1), "invalid"},
		{"set: the longest key", set(strings.Repeat("k", maxKey), "x", 0, -1), ""},
		{"set: a longer key", set(strings.Repeat("k", maxKey+1), "x", 0, -1), "too_large"},
		{"set: the largest value", set("large", strings.Repeat("v", maxValue), 0, -1), ""},
		{"set: a larger value", set("large", strings.Repeat("v", maxValue+1), 0, -1), "too_large"},
		{"set: the quota", func() int64 {
			set("large2", strings.Repeat("v", maxValue), 0, -1)
			set("large3", strings.Repeat("v", maxValue), 0, -1)
			return set("large4", strings.Repeat("v", maxValue), 0, -1)
		}(), "quota"},
		{"delete: version 0", h.KVDelete(t.Context(), s, []byte("k"), 0), "invalid"},
		{"delete: a version below -1", h.KVDelete(t.Context(), s, []byte("k"), -7), "invalid"},
		{"delete: another version", h.KVDelete(t.Context(), s, []byte("k"), first), "conflict"},
		{"delete: no key", h.KVDelete(t.Context(), s, nil, -1), "invalid"},
		{"delete", h.KVDelete(t.Context(), s, []byte("k"), second), ""},
		{"delete: gone", h.KVDelete(t.Context(), s, []byte("k"), -1), "not_found"},
		{"set: a time", set("short", "x", time.Second, -1), ""},
	}
	for _, tt := range tests {
		if named(tt.got) != tt.code {
			t.Errorf("%s: %q (%d), want %q", tt.name, named(tt.got), tt.got, tt.code)
		}
	}
	c.pass(time.Second)
	for _, key := range []string{"k", "short", "never"} {
		if _, _, code := h.KVGet(t.Context(), s, []byte(key)); code != abi.ErrNotFound {
			t.Errorf("get %s: %q", key, named(code))
		}
	}
	if _, _, code := h.KVGet(t.Context(), s, nil); code != abi.ErrInvalid {
		t.Errorf("get without a key: %q", named(code))
	}
}

func TestKVList(t *testing.T) {
	h := newHost(t, kept("n", 0, nil))
	s := scope(nil, nil)
	versions := map[string]int64{}
	for n := range 150 {
		key := fmt.Sprintf("a/%03d", n)
		versions[key] = h.KVSet(t.Context(), s, []byte(key), nil, 0, -1)
	}
	h.KVSet(t.Context(), s, []byte("b"), nil, 0, -1)
	after, seen, pages := "", 0, 0
	for {
		frame, code := h.KVList(t.Context(), s, []byte("a/"), []byte(after))
		if code < 0 {
			t.Fatal(named(code))
		}
		pairs, payload, err := abi.ParseIn(frame)
		if err != nil || len(payload) != 0 || len(pairs) > abi.MaxPairs {
			t.Fatalf("%d pairs %q %v", len(pairs), payload, err)
		}
		if len(pairs) == 0 {
			break
		}
		for _, p := range pairs {
			if p.Key <= after || p.Value != strconv.FormatInt(versions[p.Key], 10) {
				t.Errorf("%q = %q after %q", p.Key, p.Value, after)
			}
			after = p.Key
		}
		seen += len(pairs)
		pages++
	}
	if seen != 150 || pages != 3 {
		t.Errorf("%d keys in %d pages", seen, pages)
	}
	if _, code := h.KVList(t.Context(), s, []byte(strings.Repeat("k", maxKey+1)), nil); code != abi.ErrTooLarge {
		t.Errorf("a long prefix: %q", named(code))
	}
}

// Plugins share what has one name, and nothing else.
func TestKVNamespaces(t *testing.T) {
	m := NewMemory(nil)
	one, same, other := newHost(t, kept("n", 0, m)), newHost(t, kept("n", 0, m)), newHost(t, kept("m", 0, m))
	if code := one.KVSet(t.Context(), scope(nil, nil), []byte("k"), []byte("v"), 0, -1); code < 0 {
		t.Fatal(named(code))
	}
	if value, _, code := same.KVGet(t.Context(), scope(nil, nil), []byte("k")); code < 0 || string(value) != "v" {
		t.Errorf("the same namespace: %q %q", value, named(code))
	}
	if _, _, code := other.KVGet(t.Context(), scope(nil, nil), []byte("k")); code != abi.ErrNotFound {
		t.Errorf("another namespace: %q", named(code))
	}
}

func TestKVNotGranted(t *testing.T) {
	h := newHost(t, Options{})
	s := scope(nil, nil)
	_, _, get := h.KVGet(t.Context(), s, []byte("k"))
	_, list := h.KVList(t.Context(), s, nil, nil)
	for _, code := range []int64{get, list, h.KVSet(t.Context(), s, []byte("k"), nil, 0, -1), h.KVDelete(t.Context(), s, []byte("k"), -1)} {
		if code != abi.ErrDenied {
			t.Errorf("%q", named(code))
		}
	}
}

// faulty is a Store that cannot be reached.
type faulty struct {
	Store
	err     error
	version uint64
}

func (f faulty) Get(context.Context, string, string) ([]byte, uint64, error) { return nil, 0, f.err }
func (f faulty) Delete(context.Context, string, string, int64) error         { return f.err }
func (f faulty) Set(context.Context, string, string, []byte, time.Duration, int64, int64) (uint64, error) {
	return f.version, f.err
}

func (f faulty) List(context.Context, string, string, string, int) ([]Entry, error) {
	return nil, f.err
}

func TestKVErrors(t *testing.T) {
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	tests := []struct {
		name string
		ctx  context.Context
		err  error
		code string
	}{
		{"not found", t.Context(), fmt.Errorf("read: %w", ErrNotFound), "not_found"},
		{"too large", t.Context(), ErrTooLarge, "too_large"},
		{"quota", t.Context(), ErrQuota, "quota"},
		{"conflict", t.Context(), ErrConflict, "conflict"},
		{"broken", t.Context(), errors.New("connection lost"), "unavailable"},
		{"broken after the end", gone, errors.New("connection lost"), "timeout"},
	}
	for _, tt := range tests {
		d := &diary{}
		h := newHost(t, kept("n", 0, faulty{err: tt.err}))
		s := scope(nil, slog.New(d))
		_, _, get := h.KVGet(tt.ctx, s, []byte("k"))
		_, list := h.KVList(tt.ctx, s, nil, nil)
		remove := h.KVDelete(tt.ctx, s, []byte("k"), -1)
		set := h.KVSet(tt.ctx, s, []byte("k"), nil, 0, 7)
		if tt.code == "not_found" { // a version that is gone is a conflict
			if named(set) != "conflict" {
				t.Errorf("set: %q", named(set))
			}
			set = get
		}
		for _, code := range []int64{get, list, remove, set} {
			if named(code) != tt.code {
				t.Errorf("%s: %q, want %q", tt.name, named(code), tt.code)
			}
		}
		if logged := strings.Contains(d.text(), "connection lost"); logged != (tt.code == "unavailable") {
			t.Errorf("%s: log %q", tt.name, d.text())
		}
	}
	for _, version := range []uint64{0, 1 << 63} {
		h := newHost(t, kept("n", 0, faulty{version: version}))
		if code := h.KVSet(t.Context(), scope(nil, nil), []byte("k"), nil, 0, -1); code != abi.ErrUnavailable {
			t.Errorf("version %d: %d", version, code)
		}
	}
}
