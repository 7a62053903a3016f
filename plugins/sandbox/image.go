package sandbox

import (
	"github.com/tetratelabs/wazero/api"

	"github.com/sallyport/sallyport/plugins/rewrite"
)

// image is all the state of an instance as it was when it was made: memory and
// mutable globals. Load refuses `isolation: call` for a module with any other state
// (tables that change, segments that are dropped).
type image struct {
	memory  []byte
	globals []uint64
	handles []api.MutableGlobal

	input, inputCap uint32 // the guest's allocator forgets a larger buffer
}

// capture takes the image. Every mutable global is exported: rewrite.Options.Globals.
func capture(i *instance) *image {
	m := &image{memory: make([]byte, i.memory.Size()), input: i.input, inputCap: i.inputCap}
	now, _ := i.memory.Read(0, i.memory.Size())
	copy(m.memory, now)
	for _, g := range i.plugin.mutables {
		if handle, ok := i.module.ExportedGlobal(g.Name).(api.MutableGlobal); ok {
			m.handles = append(m.handles, handle)
			m.globals = append(m.globals, handle.Get())
		}
	}
	return m
}

// whole reports that the image holds every mutable global: a v128 or a reference
// cannot be read from outside.
func whole(mutables []rewrite.Mutable) (rewrite.Mutable, bool) {
	for _, g := range mutables {
		switch g.Type {
		case rewrite.I32, rewrite.I64, rewrite.F32, rewrite.F64:
		default:
			return g, false
		}
	}
	return rewrite.Mutable{}, true
}

// restore makes the instance what it was. It returns false when the memory has
// grown, which nothing undoes: the instance must be replaced.
func (m *image) restore(i *instance) bool {
	if int(i.memory.Size()) != len(m.memory) {
		return false
	}
	if !i.memory.Write(0, m.memory) {
		return false
	}
	for n, handle := range m.handles {
		handle.Set(m.globals[n])
	}
	i.input, i.inputCap = m.input, m.inputCap
	return true
}
