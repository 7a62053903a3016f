//go:build !wasip1

package host

// Host answers the imports in native tests. Slices that come in are the plugin's:
// copy what stays. Config, KVGet, Secret, HTTP, KVList and CallTool return the
// whole result; this package does the part of buffers and of the pending slot.
type Host interface {
	Log(level int, line string)
	Config(key string) ([]byte, int64)
	HTTP(request []byte) ([]byte, int64)
	KVGet(key string) ([]byte, int64)
	KVSet(key string, value []byte, ttl, version int64) int64
	KVDelete(key string, version int64) int64
	KVList(prefix, after string) ([]byte, int64)
	Secret(name string) ([]byte, int64)
	Metric(name string, kind int, value float64)
	Progress(frame []byte)
	CallTool(frame []byte) ([]byte, int64)
}

var (
	// Fake answers the imports. plugintest sets it for the time of a call.
	Fake Host = nowhere{}

	// Call runs an export on a frame in and returns the frame out; package plugin
	// sets it. The answer is valid until the next call.
	Call func(export string, frame []byte) []byte

	slot []byte
)

// Forget drops the pending result, as the gateway does when a call begins.
func Forget() { slot = nil }

// Log writes one line.
func Log(level int, line string) { Fake.Log(level, line) }

// Read copies from the pending slot.
func Read(dst []byte, off int) int {
	if off >= len(slot) {
		return 0
	}
	return copy(dst, slot[off:])
}

// give is the buf/limit protocol: copied if it fits, else kept.
func give(value []byte, code int64, dst []byte) int64 {
	if code < 0 {
		return code
	}
	slot = nil
	if len(value) <= cap(dst) {
		copy(dst[:cap(dst)], value)
	} else {
		slot = value
	}
	return int64(len(value))
}

func keep(value []byte, code int64) int64 {
	if code < 0 {
		return code
	}
	slot = value
	return int64(len(value))
}

// Config copies a value.
func Config(key string, dst []byte) int64 {
	v, code := Fake.Config(key)
	return give(v, code, dst)
}

// HTTP sends the frame.
func HTTP(request []byte) int64 { return keep(Fake.HTTP(request)) }

// KVGet copies u64 version and value.
func KVGet(key string, dst []byte) int64 {
	v, code := Fake.KVGet(key)
	return give(v, code, dst)
}

// KVSet returns the new version.
func KVSet(key string, value []byte, ttl, version int64) int64 {
	return Fake.KVSet(key, value, ttl, version)
}

// KVDelete returns 0.
func KVDelete(key string, version int64) int64 { return Fake.KVDelete(key, version) }

// KVList leaves a frame in the slot.
func KVList(prefix, after string) int64 { return keep(Fake.KVList(prefix, after)) }

// Secret copies a secret.
func Secret(name string, dst []byte) int64 {
	v, code := Fake.Secret(name)
	return give(v, code, dst)
}

// Metric records a value.
func Metric(name string, kind int, value float64) { Fake.Metric(name, kind, value) }

// Progress sends the frame.
func Progress(frame []byte) { Fake.Progress(frame) }

// CallTool sends the frame.
func CallTool(frame []byte) int64 { return keep(Fake.CallTool(frame)) }

// nowhere is the host of a plugin that runs natively and under no test.
type nowhere struct{}

func (nowhere) Log(int, string)                          {}
func (nowhere) Config(string) ([]byte, int64)            { return nil, NotFound }
func (nowhere) HTTP([]byte) ([]byte, int64)              { return nil, Denied }
func (nowhere) KVGet(string) ([]byte, int64)             { return nil, Denied }
func (nowhere) KVSet(string, []byte, int64, int64) int64 { return Denied }
func (nowhere) KVDelete(string, int64) int64             { return Denied }
func (nowhere) KVList(string, string) ([]byte, int64)    { return nil, Denied }
func (nowhere) Secret(string) ([]byte, int64)            { return nil, Denied }
func (nowhere) Metric(string, int, float64)              {}
func (nowhere) Progress([]byte)                          {}
func (nowhere) CallTool([]byte) ([]byte, int64)          { return nil, Denied }

var _ Host = nowhere{}
