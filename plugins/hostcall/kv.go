package hostcall

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/sallyport/sallyport/plugins/abi"
	"github.com/sallyport/sallyport/plugins/manifest"
	"github.com/sallyport/sallyport/plugins/sandbox"
)

// Limits of one key and one value, in bytes.
const (
	maxKey   = 256
	maxValue = 64 << 10
)

// namespace returns the granted namespace and its quota; false = there is none.
func (h *Host) namespace(s *sandbox.Scope) (name string, quota int64, granted bool) {
	s.Count.KV++
	kv := h.granted.KV
	if kv == nil {
		return "", 0, false
	}
	size := kv.MaxBytes
	if size <= 0 {
		size = manifest.DefaultKV
	}
	return kv.Namespace, int64(size), true
}

// checkKey says what is wrong with a key.
func checkKey(key []byte) int64 {
	switch {
	case len(key) == 0 || !utf8.Valid(key):
		return abi.ErrInvalid
	case len(key) > maxKey:
		return abi.ErrTooLarge
	}
	return 0
}

// KVGet returns a value and its version.
func (h *Host) KVGet(ctx context.Context, s *sandbox.Scope, key []byte) ([]byte, uint64, int64) {
	namespace, _, granted := h.namespace(s)
	if !granted {
		return nil, 0, abi.ErrDenied
	}
	if code := checkKey(key); code < 0 {
		return nil, 0, code
	}
	value, version, err := h.store.Get(ctx, namespace, string(key))
	if err != nil {
		return nil, 0, h.unkept(ctx, s, err)
	}
	return value, version, 0
}

// KVSet stores a value and returns its version.
func (h *Host) KVSet(ctx context.Context, s *sandbox.Scope, key, value []byte, ttl time.Duration, version int64) int64 {
	namespace, quota, granted := h.namespace(s)
	if !granted {
		return abi.ErrDenied
	}
	if code := checkKey(key); code < 0 {
		return code
	}
	switch {
	case len(value) > maxValue:
		return abi.ErrTooLarge
	case ttl < 0 || version < -1:
		return abi.ErrInvalid
	}
	got, err := h.store.Set(ctx, namespace, string(key), value, ttl, version, quota)
	if err != nil {
		if errors.Is(err, ErrNotFound) { // a version of a key that is gone
			return abi.ErrConflict
		}
		return h.unkept(ctx, s, err)
	}
	if got == 0 || got > math.MaxInt64 {
		return h.unkept(ctx, s, errors.New("a version that a guest cannot read"))
	}
	return int64(got)
}

// KVDelete removes a key.
func (h *Host) KVDelete(ctx context.Context, s *sandbox.Scope, key []byte, version int64) int64 {
	namespace, _, granted := h.namespace(s)
	if !granted {
		return abi.ErrDenied
	}
	if code := checkKey(key); code < 0 {
		return code
	}
	if version < -1 || version == 0 {
		return abi.ErrInvalid
	}
	if err := h.store.Delete(ctx, namespace, string(key), version); err != nil {
		return h.unkept(ctx, s, err)
	}
	return 0
}

// KVList returns a page of keys with their versions.
func (h *Host) KVList(ctx context.Context, s *sandbox.Scope, prefix, after []byte) ([]byte, int64) {
	namespace, _, granted := h.namespace(s)
	if !granted {
		return nil, abi.ErrDenied
	}
	if len(prefix) > maxKey || len(after) > maxKey {
		return nil, abi.ErrTooLarge
	}
	entries, err := h.store.List(ctx, namespace, string(prefix), string(after), abi.MaxPairs)
	if err != nil {
		return nil, h.unkept(ctx, s, err)
	}
	pairs := make([]abi.Pair, 0, len(entries))
	for _, e := range entries[:min(len(entries), abi.MaxPairs)] {
		pairs = append(pairs, abi.Pair{Key: e.Key, Value: strconv.FormatUint(e.Version, 10)})
	}
	return abi.AppendIn(make([]byte, 0, abi.SizeIn(pairs, nil)), pairs, nil), 0
}

// unkept returns the code of what a Store answered.
func (h *Host) unkept(ctx context.Context, s *sandbox.Scope, err error) int64 {
	switch {
	case errors.Is(err, ErrNotFound):
		return abi.ErrNotFound
	case errors.Is(err, ErrConflict):
		return abi.ErrConflict
	case errors.Is(err, ErrQuota):
		return abi.ErrQuota
	case errors.Is(err, ErrTooLarge):
		return abi.ErrTooLarge
	case ctx.Err() != nil:
		return abi.ErrTimeout
	}
	s.Log.LogAttrs(ctx, slog.LevelWarn, "plugin store failed", slog.String("error", err.Error()), slog.String("call", s.CallID.String()))
	return abi.ErrUnavailable
}
