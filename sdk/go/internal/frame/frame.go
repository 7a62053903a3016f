// Package frame reads and writes the frames of ABI v1, the way the guest needs
// them: metadata is looked up where it lies and nothing is allocated to answer.
// sdk/ABI.md has the layout byte by byte.
//
//	frame in    u32 n; n × (u32 length, key, u32 length, value); payload to the end
//	frame out   u16 status; u16 0; then as a frame in
//
//	meta, payload, ok := frame.Split(in)
//	tool, _ := meta.Get("tool")
//	out = frame.AppendOut(out[:0], 0, nil, answer)
package frame

import "encoding/binary"

// MaxPairs is the largest number of pairs in one frame; the host refuses more.
const MaxPairs = 64

// Pair is one entry of metadata. Keys are not unique: HTTP headers repeat.
type Pair struct{ Key, Value string }

// Meta is the pairs of a frame as they lie in it, with all lengths proven.
type Meta struct {
	n int
	b []byte
}

// Len returns the number of pairs.
func (m Meta) Len() int { return m.n }

// Get returns the value of the first pair with that key. It aliases the frame.
func (m Meta) Get(key string) ([]byte, bool) {
	b := m.b
	for range m.n {
		var k, v []byte
		k, b = text(b)
		v, b = text(b)
		if string(k) == key {
			return v, true
		}
	}
	return nil, false
}

// Pairs returns a copy of all pairs, in order.
func (m Meta) Pairs() []Pair {
	if m.n == 0 {
		return nil
	}
	pairs := make([]Pair, 0, m.n)
	b := m.b
	for range m.n {
		var k, v []byte
		k, b = text(b)
		v, b = text(b)
		pairs = append(pairs, Pair{string(k), string(v)})
	}
	return pairs
}

// Split cuts a frame in into its pairs and its payload, which alias it; ok is
// false when a length runs past the end or there are more than MaxPairs pairs.
func Split(in []byte) (meta Meta, payload []byte, ok bool) {
	if len(in) < 4 {
		return Meta{}, nil, false
	}
	n := binary.LittleEndian.Uint32(in)
	if n > MaxPairs {
		return Meta{}, nil, false
	}
	rest := in[4:]
	for range 2 * n {
		if len(rest) < 4 {
			return Meta{}, nil, false
		}
		size := binary.LittleEndian.Uint32(rest)
		rest = rest[4:]
		if uint64(size) > uint64(len(rest)) {
			return Meta{}, nil, false
		}
		rest = rest[size:]
	}
	return Meta{n: int(n), b: in[4 : len(in)-len(rest)]}, rest, true
}

// SplitOut is Split for a frame out: answers of http and call_tool.
func SplitOut(out []byte) (status uint16, meta Meta, payload []byte, ok bool) {
	if len(out) < 4 || out[2] != 0 || out[3] != 0 {
		return 0, Meta{}, nil, false
	}
	meta, payload, ok = Split(out[4:])
	return binary.LittleEndian.Uint16(out), meta, payload, ok
}

// AppendIn appends a frame in. Pairs past MaxPairs are left out.
func AppendIn(dst []byte, pairs []Pair, payload []byte) []byte {
	if len(pairs) > MaxPairs {
		pairs = pairs[:MaxPairs]
	}
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(pairs)))
	for _, p := range pairs {
		dst = AppendText(dst, p.Key)
		dst = AppendText(dst, p.Value)
	}
	return append(dst, payload...)
}

// AppendOut appends a frame out.
func AppendOut(dst []byte, status uint16, pairs []Pair, payload []byte) []byte {
	dst = binary.LittleEndian.AppendUint16(dst, status)
	dst = append(dst, 0, 0)
	return AppendIn(dst, pairs, payload)
}

// AppendText appends a length and the text: half a pair.
func AppendText(dst []byte, s string) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(s)))
	return append(dst, s...)
}

// text cuts the first proven text off b.
func text(b []byte) (head, rest []byte) {
	size := binary.LittleEndian.Uint32(b)
	return b[4 : 4+size], b[4+size:]
}
