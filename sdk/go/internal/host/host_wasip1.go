//go:build wasip1

package host

import "unsafe"

//go:wasmimport sallyport_v1 log
//go:noescape
func importLog(level int32, ptr unsafe.Pointer, size uint32)

//go:wasmimport sallyport_v1 read
//go:noescape
func importRead(dst unsafe.Pointer, off, size uint32) int32

//go:wasmimport sallyport_v1 config
//go:noescape
func importConfig(key unsafe.Pointer, keySize uint32, dst unsafe.Pointer, size uint32) int64

//go:wasmimport sallyport_v1 http
//go:noescape
func importHTTP(ptr unsafe.Pointer, size uint32) int64

//go:wasmimport sallyport_v1 kv_get
//go:noescape
func importKVGet(key unsafe.Pointer, keySize uint32, dst unsafe.Pointer, size uint32) int64

//go:wasmimport sallyport_v1 kv_set
//go:noescape
func importKVSet(key unsafe.Pointer, keySize uint32, value unsafe.Pointer, valueSize uint32, ttl, version int64) int64

//go:wasmimport sallyport_v1 kv_delete
//go:noescape
func importKVDelete(key unsafe.Pointer, keySize uint32, version int64) int64

//go:wasmimport sallyport_v1 kv_list
//go:noescape
func importKVList(prefix unsafe.Pointer, prefixSize uint32, after unsafe.Pointer, afterSize uint32) int64

//go:wasmimport sallyport_v1 secret
//go:noescape
func importSecret(name unsafe.Pointer, nameSize uint32, dst unsafe.Pointer, size uint32) int64

//go:wasmimport sallyport_v1 metric
//go:noescape
func importMetric(name unsafe.Pointer, nameSize uint32, kind int32, value float64)

//go:wasmimport sallyport_v1 progress
//go:noescape
func importProgress(ptr unsafe.Pointer, size uint32)

//go:wasmimport sallyport_v1 call_tool
//go:noescape
func importCallTool(ptr unsafe.Pointer, size uint32) int64

func bytes(b []byte) (unsafe.Pointer, uint32) {
	return unsafe.Pointer(unsafe.SliceData(b)), uint32(len(b))
}

func text(s string) (unsafe.Pointer, uint32) {
	return unsafe.Pointer(unsafe.StringData(s)), uint32(len(s))
}

func buffer(b []byte) (unsafe.Pointer, uint32) {
	return unsafe.Pointer(unsafe.SliceData(b)), uint32(cap(b))
}

// Log writes one line to the plugin's log; level is 0 debug to 3 error.
func Log(level int, line string) {
	p, n := text(line)
	importLog(int32(level), p, n)
}

// Read copies from the pending slot, from offset off on, to dst and returns how
// many bytes, or a negative code.
func Read(dst []byte, off int) int {
	p, n := bytes(dst)
	return int(importRead(p, uint32(off), n))
}

// Config copies a value to the capacity of dst and returns its length.
func Config(key string, dst []byte) int64 {
	k, kn := text(key)
	p, n := buffer(dst)
	return importConfig(k, kn, p, n)
}

// HTTP sends the frame; its answer waits in the slot.
func HTTP(request []byte) int64 {
	p, n := bytes(request)
	return importHTTP(p, n)
}

// KVGet copies u64 version and value to the capacity of dst.
func KVGet(key string, dst []byte) int64 {
	k, kn := text(key)
	p, n := buffer(dst)
	return importKVGet(k, kn, p, n)
}

// KVSet returns the new version. ttl is in ms.
func KVSet(key string, value []byte, ttl, version int64) int64 {
	k, kn := text(key)
	p, n := bytes(value)
	return importKVSet(k, kn, p, n, ttl, version)
}

// KVDelete returns 0.
func KVDelete(key string, version int64) int64 {
	k, kn := text(key)
	return importKVDelete(k, kn, version)
}

// KVList leaves a frame in the slot.
func KVList(prefix, after string) int64 {
	p, pn := text(prefix)
	a, an := text(after)
	return importKVList(p, pn, a, an)
}

// Secret copies a secret to the capacity of dst.
func Secret(name string, dst []byte) int64 {
	k, kn := text(name)
	p, n := buffer(dst)
	return importSecret(k, kn, p, n)
}

// Metric records a value; kind is 0 counter, 1 gauge, 2 histogram.
func Metric(name string, kind int, value float64) {
	p, n := text(name)
	importMetric(p, n, int32(kind), value)
}

// Progress sends the frame.
func Progress(frame []byte) {
	p, n := bytes(frame)
	importProgress(p, n)
}

// CallTool sends the frame; its answer waits in the slot.
func CallTool(frame []byte) int64 {
	p, n := bytes(frame)
	return importCallTool(p, n)
}
