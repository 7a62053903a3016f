//go:build !unix

package sandbox

// reserve takes size bytes from the Go heap.
func reserve(size uint64) ([]byte, func()) { return fromHeap(size) }
