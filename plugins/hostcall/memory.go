package hostcall

import (
	"bytes"
	"container/heap"
	"context"
	"math"
	"sync"
	"time"
)

// Memory is a Store that ends with the process. It starts no goroutine and no timer:
// each use of a namespace first forgets what ran out of time there.
type Memory struct {
	now func() time.Time

	mu      sync.Mutex
	spaces  map[string]*space
	version uint64 // the last one given, of all keys
}

// NewMemory returns an empty Memory; nil is the system's clock. Versions begin with
// the time in microseconds, so that they also grow from one process to the next.
func NewMemory(now func() time.Time) *Memory {
	if now == nil {
		now = time.Now
	}
	return &Memory{now: now, spaces: map[string]*space{}, version: uint64(max(now().UnixMicro(), 0))}
}

// space is one namespace.
type space struct {
	items map[string]*item
	keys  keys
	due   due
	size  int64 // bytes of keys and values
}

// item is one key. Its value is replaced and never written into.
type item struct {
	key     string
	value   []byte
	version uint64
	expires time.Time // zero = never
	place   int       // in due; -1 = not there
}

func (i *item) size() int64 { return int64(len(i.key) + len(i.value)) }

// The smallest entry takes some 200 bytes of memory, whatever the quota counts: so
// the number of keys is bounded too, one for each 64 bytes of quota.
const (
	bytesPerKey = 64
	minKeys     = 1024
	maxKeys     = 1 << 20
)

func keyQuota(quota int64) int {
	return int(min(max(quota/bytesPerKey, minKeys), maxKeys))
}

// space returns a namespace without what ran out of time, or nil. The caller holds mu.
func (m *Memory) space(namespace string) *space {
	s := m.spaces[namespace]
	if s == nil || len(s.due) == 0 {
		return s
	}
	now := m.now()
	for len(s.due) > 0 && !now.Before(s.due[0].expires) {
		s.remove(s.due[0])
	}
	return m.trim(namespace, s)
}

// trim forgets a namespace that has become empty.
func (m *Memory) trim(namespace string, s *space) *space {
	if len(s.items) > 0 {
		return s
	}
	delete(m.spaces, namespace)
	return nil
}

// find returns the item of a key, or nil.
func (s *space) find(key string) *item {
	if s == nil {
		return nil
	}
	return s.items[key]
}

func (s *space) remove(i *item) {
	delete(s.items, i.key)
	s.keys.remove(i.key)
	s.size -= i.size()
	if i.place >= 0 {
		heap.Remove(&s.due, i.place)
	}
}

// Get returns a value and its version.
func (m *Memory) Get(_ context.Context, namespace, key string) ([]byte, uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := m.space(namespace).find(key)
	if i == nil {
		return nil, 0, ErrNotFound
	}
	return i.value, i.version, nil
}

// Set stores a copy of value.
func (m *Memory) Set(_ context.Context, namespace, key string, value []byte, ttl time.Duration, version, quota int64) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.space(namespace)
	old := s.find(key)
	if version >= 0 && (old == nil && version > 0 || old != nil && old.version != uint64(version)) {
		return 0, ErrConflict
	}
	size := int64(len(key) + len(value))
	if s == nil {
		if size > quota {
			return 0, ErrQuota
		}
		s = &space{items: map[string]*item{}}
		m.spaces[namespace] = s
	}
	switch {
	case old != nil:
		// What makes a namespace smaller that became too large by a new grant is allowed.
		if grown := size - old.size(); grown > 0 && s.size+grown > quota {
			return 0, ErrQuota
		}
		s.size += size - old.size()
	case s.size+size > quota || len(s.items) >= keyQuota(quota):
		return 0, ErrQuota
	default:
		old = &item{key: key, place: -1}
		s.items[key] = old
		s.keys.add(key)
		s.size += size
	}
	m.version++
	old.value, old.version = bytes.Clone(value), m.version
	s.time(old, m.now, ttl)
	return old.version, nil
}

// time notes when an item ends.
func (s *space) time(i *item, now func() time.Time, ttl time.Duration) {
	if ttl <= 0 {
		i.expires = time.Time{}
		if i.place >= 0 {
			heap.Remove(&s.due, i.place)
		}
		return
	}
	i.expires = now().Add(ttl)
	if i.place >= 0 {
		heap.Fix(&s.due, i.place)
	} else {
		heap.Push(&s.due, i)
	}
}

// Delete removes a key.
func (m *Memory) Delete(_ context.Context, namespace, key string, version int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.space(namespace)
	i := s.find(key)
	switch {
	case i == nil:
		return ErrNotFound
	case version >= 0 && i.version != uint64(version):
		return ErrConflict
	}
	s.remove(i)
	m.trim(namespace, s)
	return nil
}

// List returns keys in the order of their bytes.
func (m *Memory) List(_ context.Context, namespace, prefix, after string, limit int) ([]Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.space(namespace)
	if s == nil {
		return nil, nil
	}
	var entries []Entry
	for _, key := range s.keys.page(prefix, after, min(max(limit, 0), math.MaxInt32)) {
		entries = append(entries, Entry{Key: key, Version: s.items[key].version})
	}
	return entries, nil
}

// due is a heap of items, the one that ends next first (container/heap).
type due []*item

func (d due) Len() int           { return len(d) }
func (d due) Less(a, b int) bool { return d[a].expires.Before(d[b].expires) }

func (d due) Swap(a, b int) {
	d[a], d[b] = d[b], d[a]
	d[a].place, d[b].place = a, b
}

// Push adds an *item at the end.
func (d *due) Push(x any) {
	i := x.(*item)
	i.place = len(*d)
	*d = append(*d, i)
}

// Pop takes the last one away.
func (d *due) Pop() any {
	last := len(*d) - 1
	i := (*d)[last]
	(*d)[last] = nil
	*d = (*d)[:last]
	i.place = -1
	return i
}

var _ Store = (*Memory)(nil)
