// Program guest is an ordinary Go guest: what it computes must not depend on the
// rewriter.
package main

import (
	"encoding/json"
	"fmt"
	"sort"
	"strings"
	"unsafe"
)

var in, out []byte

//go:wasmexport alloc
func alloc(n uint32) uint32 {
	in = make([]byte, n)
	return uint32(uintptr(unsafe.Pointer(unsafe.SliceData(in))))
}

func answer(b []byte) uint64 {
	out = b
	return uint64(uintptr(unsafe.Pointer(unsafe.SliceData(out))))<<32 | uint64(len(out))
}

// tool parses JSON, changes it, and writes it.
//
//go:wasmexport tool
func tool(n uint32) uint64 {
	var v map[string]any
	if err := json.Unmarshal(in[:n], &v); err != nil {
		return answer([]byte(err.Error()))
	}
	for k, x := range v {
		if s, ok := x.(string); ok {
			v[k] = strings.ToUpper(s)
		}
	}
	b, err := json.Marshal(v)
	if err != nil {
		b = []byte(err.Error())
	}
	return answer(b)
}

// words uses maps, closures, interfaces, defer, recover and goroutines.
//
//go:wasmexport words
func words(n uint32) (packed uint64) {
	defer func() {
		if r := recover(); r != nil {
			packed = answer(fmt.Append(nil, "recovered: ", r))
		}
	}()
	seen := map[string]int{}
	done := make(chan string)
	go func() {
		for _, w := range strings.Fields(string(in[:n])) {
			done <- strings.ToLower(w)
		}
		close(done)
	}()
	for w := range done {
		seen[w]++
	}
	keys := make([]string, 0, len(seen))
	for k := range seen {
		keys = append(keys, k)
	}
	sort.Slice(keys, func(i, j int) bool {
		return seen[keys[i]] > seen[keys[j]] || seen[keys[i]] == seen[keys[j]] && keys[i] < keys[j]
	})
	if len(keys) == 0 {
		panic("no words")
	}
	var b strings.Builder
	for _, k := range keys {
		fmt.Fprintf(&b, "%s=%d;", k, seen[k])
	}
	return answer([]byte(b.String()))
}

// sum is a tight loop.
//
//go:wasmexport sum
func sum(n uint32) uint32 {
	var s uint32
	for i := range n {
		s = s*31 + i
	}
	return s
}

//go:wasmexport fib
func fib(n uint32) uint32 { return fibonacci(n) }

//go:noinline
func fibonacci(n uint32) uint32 {
	if n < 2 {
		return n
	}
	return fibonacci(n-1) + fibonacci(n-2)
}

//go:wasmexport deep
func deep(n uint32) uint32 { return down(n) }

//go:noinline
func down(n uint32) uint32 {
	if n == 0 {
		return 0
	}
	return 1 + down(n-1)
}

//go:wasmexport spin
func spin() {
	for {
	}
}

func main() {}
