package rewrite

import "unicode/utf8"

// CustomSection returns the content of the first custom section of that name. It
// looks at nothing else of the module; false also when that is no module.
func CustomSection(wasm []byte, name string) ([]byte, bool) {
	for s := range customSections(wasm) {
		if s.name == name {
			return wasm[s.content.from:s.content.to:s.content.to], true
		}
	}
	return nil, false
}

// WithCustomSection returns the module with exactly one custom section of that
// name, the last of the file. wasm is not changed. What is no module gets the
// section appended all the same; Inspect refuses it.
func WithCustomSection(wasm []byte, name string, body []byte) []byte {
	content := appendName(make([]byte, 0, len(name)+len(body)+5), name)
	content = append(content, body...)
	out := make([]byte, 0, len(wasm)+len(content)+6)
	done := 0
	for s := range customSections(wasm) {
		if s.name == name {
			out = append(out, wasm[done:s.whole.from]...)
			done = s.whole.to
		}
	}
	out = append(out, wasm[done:]...)
	out = append(out, secCustom)
	out = appendU32(out, uint32(len(content)))
	return append(out, content...)
}

type customSection struct {
	name           string
	whole, content span
}

// customSections walks over the custom sections up to the first mistake.
func customSections(wasm []byte) func(yield func(customSection) bool) {
	return func(yield func(customSection) bool) {
		c := &cursor{b: wasm, at: min(8, len(wasm)), end: len(wasm)}
		for c.more() {
			from := c.at
			id := c.byte()
			size := int(c.u32())
			content := c.at
			if c.bytes(size); c.err != nil {
				return
			}
			if id != secCustom {
				continue
			}
			n := &cursor{b: wasm, at: content, end: c.at}
			name := n.name(size)
			if n.err == nil && !yield(customSection{name, span{from, c.at}, span{n.at, c.at}}) {
				return
			}
		}
	}
}

// Subsections of the name section.
const (
	namesModule    = 0
	namesFunctions = 1
)

// nameSection writes the names of functions again, for stack traces. Everything
// else in it, and a section that is not well formed, is left out.
func (w *writer) nameSection() {
	s := w.p.names
	if s.to == 0 {
		return
	}
	c := &cursor{b: w.p.wasm, at: s.from, end: s.to}
	content := appendName(nil, "name")
	last := -1
	for c.more() {
		id := int(c.byte())
		size := int(c.u32())
		part := &cursor{b: w.p.wasm, at: c.at, end: c.at + size}
		from := c.at
		if c.bytes(size); c.err != nil || id <= last {
			return
		}
		last = id
		switch id {
		case namesModule:
			part.name(w.p.limits.Name)
			if part.err != nil || part.left() > 0 {
				return
			}
			content = append(content, namesModule)
			content = appendU32(content, uint32(size))
			content = append(content, w.p.wasm[from:c.at]...)
		case namesFunctions:
			names, ok := w.functionNames(part)
			if !ok {
				return
			}
			content = append(content, namesFunctions)
			content = appendU32(content, uint32(len(names)))
			content = append(content, names...)
		}
	}
	w.emit(secCustom, content)
}

func (w *writer) functionNames(c *cursor) ([]byte, bool) {
	n := c.count("names of functions", 2, len(w.p.functions))
	out := appendU32(make([]byte, 0, c.left()+n), uint32(n))
	next := uint32(0)
	for range n {
		f := c.u32()
		from := c.at
		size := int(c.u32())
		name := c.bytes(size)
		if c.err != nil || f < next || int(f) >= len(w.p.functions) || !utf8.Valid(name) {
			return nil, false
		}
		next = f + 1
		out = appendU32(out, w.shift(f))
		out = append(out, w.p.wasm[from:c.at]...)
	}
	return out, c.err == nil && c.left() == 0
}
