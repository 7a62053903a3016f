package hostcall

import (
	"context"
	"errors"
	"time"
)

// Store keeps keys and values by namespace. It is safe for concurrent use. Versions
// of a key grow and are never used twice, also after the key was deleted or ran out
// of time.
type Store interface {
	// Get returns a value and its version, or ErrNotFound. The value is never changed
	// afterwards, by nobody.
	Get(ctx context.Context, namespace, key string) (value []byte, version uint64, err error)
	// Set stores a copy of value for ttl (0 = for ever) and returns its version, above 0.
	// version says what has to be there: -1 = anything, 0 = nothing, else that version;
	// ErrConflict if not. quota is how many bytes keys and values of the namespace may
	// have together; ErrQuota past it. ErrTooLarge is a key or value that the store
	// cannot hold.
	Set(ctx context.Context, namespace, key string, value []byte, ttl time.Duration, version int64, quota int64) (uint64, error)
	// Delete removes a key of that version (-1 = any): ErrNotFound, ErrConflict.
	Delete(ctx context.Context, namespace, key string, version int64) error
	// List returns at most limit keys that begin with prefix and come after the key
	// after, in the order of their bytes.
	List(ctx context.Context, namespace, prefix, after string, limit int) ([]Entry, error)
}

// Entry is a key of a Store.
type Entry struct {
	Key     string
	Version uint64
}

// What a Store answers beside what is there.
var (
	ErrNotFound = errors.New("no such key")
	ErrConflict = errors.New("the key has another version")
	ErrQuota    = errors.New("the namespace is full")
	ErrTooLarge = errors.New("the key or the value is too large")
)
