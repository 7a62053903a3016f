package plugin

import (
	"encoding/binary"
	"errors"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/sdk/go/internal/frame"
	"github.com/sallyport/sallyport/sdk/go/internal/host"
)

// Absent is the version of a key that must not exist yet.
const Absent uint64 = 0

// KVGet returns a value of the plugin's own store and its version, ErrNotFound
// when there is none. The store is shared by all instances of the plugin, and by
// all its callers: put the tenant into the key where that matters.
func (c *Context) KVGet(key string) (value []byte, version uint64, err error) {
	if c.over {
		return nil, 0, failed("kv get", key, host.Invalid)
	}
	b, code := result(make([]byte, 0, 512), func(dst []byte) int64 { return host.KVGet(key, dst) })
	if code < 0 {
		return nil, 0, failed("kv get", key, code)
	}
	if len(b) < 8 {
		return nil, 0, failed("kv get", key, host.Invalid)
	}
	return b[8:], binary.LittleEndian.Uint64(b), nil
}

// KVSet stores a value, whatever was there. After ttl it is gone; 0 = never.
func (c *Context) KVSet(key string, value []byte, ttl time.Duration) (version uint64, err error) {
	return c.kvSet(key, value, ttl, -1)
}

// KVSwap stores a value if the key still has that version, Absent included, and
// returns ErrConflict otherwise: compare and set.
func (c *Context) KVSwap(key string, value []byte, ttl time.Duration, version uint64) (uint64, error) {
	if int64(version) < 0 {
		return 0, failed("kv set", key, host.Invalid)
	}
	return c.kvSet(key, value, ttl, int64(version))
}

func (c *Context) kvSet(key string, value []byte, ttl time.Duration, version int64) (uint64, error) {
	if c.over || ttl < 0 {
		return 0, failed("kv set", key, host.Invalid)
	}
	ms := ttl.Milliseconds()
	if ttl > 0 && ms == 0 {
		ms = 1 // 0 would keep it for ever
	}
	v := host.KVSet(key, value, ms, version)
	if v < 0 {
		return 0, failed("kv set", key, v)
	}
	return uint64(v), nil
}

// KVUpdate replaces a value by what change makes of it, again when another call was
// faster, at most 8 times. Old is nil when there was none. An error of change ends
// it and is returned.
func (c *Context) KVUpdate(key string, ttl time.Duration, change func(old []byte) ([]byte, error)) error {
	var err error
	for range 8 {
		old, version, getErr := c.KVGet(key)
		if getErr != nil && !errors.Is(getErr, ErrNotFound) {
			return getErr
		}
		var value []byte
		if value, err = change(old); err != nil {
			return err
		}
		if _, err = c.KVSwap(key, value, ttl, version); !errors.Is(err, ErrConflict) {
			return err
		}
	}
	return err
}

// KVDelete removes a key, whatever its version.
func (c *Context) KVDelete(key string) error { return c.kvDelete(key, -1) }

// KVDeleteVersion removes a key if it still has that version.
func (c *Context) KVDeleteVersion(key string, version uint64) error {
	return c.kvDelete(key, int64(version))
}

func (c *Context) kvDelete(key string, version int64) error {
	if c.over {
		return failed("kv delete", key, host.Invalid)
	}
	if code := host.KVDelete(key, version); code < 0 {
		return failed("kv delete", key, code)
	}
	return nil
}

// Entry is a key and its version.
type Entry struct {
	Key     string
	Version uint64
}

// KVList returns the keys that begin with prefix and come after the key after,
// sorted, at most 64: ask again with the last one for more.
func (c *Context) KVList(prefix, after string) ([]Entry, error) {
	if c.over {
		return nil, failed("kv list", prefix, host.Invalid)
	}
	b, code := pending(host.KVList(prefix, after))
	if code < 0 {
		return nil, failed("kv list", prefix, code)
	}
	meta, _, ok := frame.Split(b)
	if !ok {
		return nil, failed("kv list", prefix, host.Invalid)
	}
	entries := make([]Entry, 0, meta.Len())
	for _, p := range meta.Pairs() {
		version, err := strconv.ParseUint(p.Value, 10, 64)
		if err != nil {
			return nil, failed("kv list", prefix, host.Invalid)
		}
		entries = append(entries, Entry{Key: p.Key, Version: version})
	}
	return entries, nil
}
