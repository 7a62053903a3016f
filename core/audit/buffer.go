package audit

import (
	"sync"

	"github.com/sallyport/sallyport/core"
)

// slot is a record on its way.
type slot struct {
	record core.CallRecord
	size   int
	done   chan error // of who waits for it; nil = nobody
}

// told tells who waits.
func (s *slot) told(err error) {
	if s.done != nil {
		s.done <- err // it has room for one
	}
}

// buffer takes records from calls until the one who writes them swaps it. It is bounded
// in number and bytes; its two pieces of memory are used again and again.
type buffer struct {
	most, mostBytes int

	mu     sync.Mutex
	slots  []slot
	head   int // those before were dropped
	bytes  int
	lost   int64
	spare  []slot
	closed bool
}

// put adds a record. Where it has no room the oldest go, or with keep this one is
// refused. n is how many are there now.
func (b *buffer) put(s *slot, keep bool) (n int, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		b.lost++
		return 0, false
	}
	if keep && !b.room(s.size) {
		return len(b.slots) - b.head, false
	}
	for b.head < len(b.slots) && !b.room(s.size) {
		b.bytes -= b.slots[b.head].size
		b.slots[b.head] = slot{}
		b.head++
		b.lost++
	}
	// At most twice as much memory as slots: so each is moved once at most, on average.
	if len(b.slots) == cap(b.slots) && b.head > len(b.slots)/2 {
		n := copy(b.slots, b.slots[b.head:])
		clear(b.slots[n:])
		b.slots, b.head = b.slots[:n], 0
	}
	b.slots = append(b.slots, *s)
	b.bytes += s.size
	return len(b.slots) - b.head, true
}

func (b *buffer) room(size int) bool {
	return len(b.slots)-b.head < b.most && b.bytes+size <= b.mostBytes
}

// swap returns what is there, and how many records were dropped since the last time.
// The slots are good until the next swap.
func (b *buffer) swap() (full []slot, lost int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	full, lost = b.slots[b.head:], b.lost
	b.slots, b.spare = b.spare[:0], b.slots
	b.head, b.bytes, b.lost = 0, 0, 0
	return full, lost
}

// free is called when nobody needs what swap returned.
func (b *buffer) free(full []slot) { clear(full) }

func (b *buffer) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
}
