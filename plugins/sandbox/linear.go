package sandbox

import "github.com/tetratelabs/wazero/experimental"

// linear is the memory of one instance: address space for all that it may ever
// have, of which the system gives pages as they are touched. So memory.grow copies
// nothing, the Go heap does not carry guests, and closing an instance returns its
// memory at once and not with some later garbage collection.
type linear struct {
	limit uint64 // bytes
	all   []byte // the reservation
	free  func() // gives it back; nil once it is
}

// Allocate reserves; wazero calls it once.
func (l *linear) Allocate(_, most uint64) experimental.LinearMemory {
	l.Free()
	l.all, l.free = reserve(min(most, l.limit))
	return l
}

// Reallocate returns the first size bytes, nil past the limit: memory.grow then
// tells the guest -1.
func (l *linear) Reallocate(size uint64) []byte {
	if size > uint64(len(l.all)) {
		return nil
	}
	return l.all[:size:size]
}

// Free gives the memory back; later calls do nothing.
func (l *linear) Free() {
	if l.free != nil {
		l.free()
	}
	l.all, l.free = nil, nil
}

func fromHeap(size uint64) ([]byte, func()) { return make([]byte, size), func() {} }

var _ experimental.MemoryAllocator = (*linear)(nil)
