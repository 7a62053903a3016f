//go:build unix

package sandbox

import "syscall"

// reserve maps size bytes that read as zero.
func reserve(size uint64) ([]byte, func()) {
	if size == 0 {
		return nil, func() {}
	}
	b, err := syscall.Mmap(-1, 0, int(size), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return fromHeap(size)
	}
	return b, func() { _ = syscall.Munmap(b) }
}
