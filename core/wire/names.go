package wire

import (
	"bytes"
	"hash/maphash"
	"math/bits"
)

// seen is the name of a member as the scanner remembers it while the object is
// open.
type seen struct {
	hash uint64
	from int // index in the source; ^from is one in scanner.scratch, of a name with escapes
	size int // bytes, unescaped
}

// few is how many names of one object are compared one by one; past that they go
// into a table.
const few = 16

// siblings are the names of one open object: scanner.names from base on. The table
// is scanner.slots from table on, of a power of two slots, each 0 or the number of a
// name in the object, from 1; there is none while size is 0.
type siblings struct{ base, table, size int }

// seed makes it impossible to choose names that all fall into one slot.
var seed = maphash.MakeSeed()

// shortest is how many bytes the hash of a name holds beside their number: names up
// to that are equal when their hashes are, longer ones may share a hash.
const shortest = 7

// shortHash is nameHash for names of up to seven bytes, the first bytes of w.
func shortHash(w uint64, size int) uint64 { return w&(1<<(8*size)-1) | uint64(size)<<56 }

func longHash(head, tail uint64) uint64 { return head ^ bits.RotateLeft64(tail, 27) }

func nameHash(b []byte, from, size int) uint64 {
	switch {
	case size > shortest:
		return longHash(word(b, from), word(b, from+size-8))
	case from+8 <= len(b):
		return shortHash(word(b, from), size)
	}
	var w uint64
	for i, c := range b[from : from+size] {
		w |= uint64(c) << (8 * i)
	}
	return shortHash(w, size)
}

// bytesOf returns the name, unescaped.
func (s *scanner) bytesOf(n *seen) []byte {
	if n.from < 0 {
		return s.scratch[^n.from : ^n.from+n.size]
	}
	return s.b[n.from : n.from+n.size]
}

// strange tells that a name with that hash cannot be in the object, and that the
// object is not wide: most names need no more than this.
func (s *scanner) strange(o *siblings, hash uint64) bool {
	before := s.names[o.base:]
	if len(before) >= few {
		return false
	}
	for i := range before {
		if before[i].hash == hash {
			return false
		}
	}
	return true
}

// add remembers a name of the object; false when it is there already.
func (s *scanner) add(o *siblings, n seen) bool {
	if o.size > 0 {
		return s.addToTable(o, n)
	}
	before := s.names[o.base:]
	for i := range before {
		if before[i].hash == n.hash && bytes.Equal(s.bytesOf(&before[i]), s.bytesOf(&n)) {
			return false
		}
	}
	s.names = append(s.names, n)
	if len(before) == few {
		s.makeTable(o, 8*few)
	}
	return true
}

func (s *scanner) addToTable(o *siblings, n seen) bool {
	name := s.bytesOf(&n)
	n.hash = maphash.Bytes(seed, name)
	table := s.slots[o.table : o.table+o.size]
	at := int(n.hash) & (o.size - 1)
	for ; table[at] != 0; at = (at + 1) & (o.size - 1) {
		if e := &s.names[o.base+int(table[at])-1]; e.hash == n.hash && bytes.Equal(s.bytesOf(e), name) {
			return false
		}
	}
	s.names = append(s.names, n)
	count := len(s.names) - o.base
	table[at] = uint32(count)
	if 2*count > o.size {
		s.makeTable(o, 4*o.size)
	}
	return true
}

// makeTable puts the names of the object into a new table. The table of an object
// around this one lies before it and does not move: an object only grows while
// those within it are closed.
func (s *scanner) makeTable(o *siblings, size int) {
	names := s.names[o.base:]
	if o.size == 0 { // until now, hashes were those of nameHash
		o.table = len(s.slots)
		for i := range names {
			names[i].hash = maphash.Bytes(seed, s.bytesOf(&names[i]))
		}
	}
	s.slots = s.slots[:o.table]
	for range size {
		s.slots = append(s.slots, 0)
	}
	o.size = size
	table := s.slots[o.table:]
	for i := range names {
		at := int(names[i].hash) & (size - 1)
		for table[at] != 0 {
			at = (at + 1) & (size - 1)
		}
		table[at] = uint32(i + 1)
	}
}

// forget closes the object.
func (s *scanner) forget(o *siblings) {
	s.names = s.names[:o.base]
	if o.size > 0 {
		s.slots = s.slots[:o.table]
	}
}

// known are the names that a walk meets most: they cost no allocation. Each stands
// in the slot of its hash, or in the next that was free.
var known = func() (table [256]string) {
	for _, name := range []string{
		"jsonrpc", "id", "method", "params", "result", "error", "_meta", "name", "arguments", "uri", "cursor",
		"progressToken", "protocolVersion", "capabilities", "clientInfo", "inputResponses", "requestState",
		"io.modelcontextprotocol/protocolVersion", "io.modelcontextprotocol/clientInfo",
		"io.modelcontextprotocol/clientCapabilities", "io.modelcontextprotocol/logLevel",
		"traceparent", "tracestate", "code", "message", "data", "type", "title", "description", "text", "value",
		"content", "structuredContent", "isError", "version", "elicitation", "sampling", "roots",
	} {
		at := slot(nameHash([]byte(name), 0, len(name)))
		for table[at] != "" {
			at++
		}
		table[at] = name
	}
	return table
}()

func slot(hash uint64) uint8 { return uint8(hash * 0x9E3779B97F4A7C15 >> 56) }

// nameString makes a string of a name without escapes.
func nameString(name []byte, hash uint64) string {
	for at := slot(hash); known[at] != ""; at++ {
		if known[at] == string(name) {
			return known[at]
		}
	}
	return string(name)
}

// nameOf makes a string of the name.
func (s *scanner) nameOf(n *seen) string {
	if n.from < 0 {
		return string(s.bytesOf(n))
	}
	// In a wide object the hash that n holds is another one.
	return nameString(s.bytesOf(n), nameHash(s.b, n.from, n.size))
}
