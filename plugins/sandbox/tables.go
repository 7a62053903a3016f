package sandbox

import "encoding/binary"

// tableEntries is the most that table.grow gets. wazero keeps tables on the Go heap
// and lets one without a maximum grow to 2^32 entries of 8 bytes: memory that the
// limit on linear memory does not see.
const tableEntries = 200_000

// boundTables returns the module with a maximum on every table: its own, or
// tableEntries if that is less, but never below what it starts with. The module was
// read by rewrite.Inspect before, so its sections are known to be well formed.
func boundTables(wasm []byte) []byte {
	const header, tables = 8, 4
	at := header
	for at < len(wasm) {
		id := wasm[at]
		size, n := binary.Uvarint(wasm[at+1:])
		begin := at + 1 + n
		end := begin + int(size)
		if id != tables {
			at = end
			continue
		}
		body := tableSection(wasm[begin:end])
		out := make([]byte, 0, len(wasm)+len(body))
		out = append(out, wasm[:at+1]...)
		out = binary.AppendUvarint(out, uint64(len(body)))
		out = append(out, body...)
		return append(out, wasm[end:]...)
	}
	return wasm
}

func tableSection(b []byte) []byte {
	number := func() uint64 {
		v, n := binary.Uvarint(b)
		b = b[n:]
		return v
	}
	count := number()
	out := binary.AppendUvarint(nil, count)
	for range count {
		out = append(out, b[0], 1) // its type; it has a maximum
		bounded := b[1] == 1
		b = b[2:]
		low, high := number(), uint64(tableEntries)
		if bounded {
			high = min(number(), high)
		}
		out = binary.AppendUvarint(out, low)
		out = binary.AppendUvarint(out, max(low, high))
	}
	return out
}
