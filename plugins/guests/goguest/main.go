//go:build wasip1

// Command goguest is a plugin of standard Go with the ABI by hand, for tests of the
// sandbox: what the payload asks for is what it does. Build it with
// GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared.
package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"time"
	"unsafe"
)

func main() {}

var (
	input  []byte
	output []byte
	calls  int
	kept   [][]byte
)

//go:wasmexport sallyport_abi_v1
func marker() {}

//go:wasmexport sallyport_alloc
func alloc(size uint32) *byte {
	input = make([]byte, size)
	return unsafe.SliceData(input)
}

//go:wasmexport sallyport_configure
func configure(_ *byte, _ uint32) uint64 { return answer(nil) }

//go:wasmexport sallyport_tool_call
func call(_ *byte, size uint32) uint64 {
	if calls++; calls%64 == 0 {
		runtime.Gosched() // lets the guest's garbage collector run
	}
	at := uint32(4)
	for range 2 * binary.LittleEndian.Uint32(input) {
		at += 4 + binary.LittleEndian.Uint32(input[at:])
	}
	payload := input[at:size]
	switch do, _, _ := strings.Cut(string(payload[:min(len(payload), 16)]), " "); do {
	case "spin":
		for {
		}
	case "recurse":
		return answer([]byte(fmt.Sprint(recurse(0))))
	case "panic":
		panic("as asked")
	case "exit":
		os.Exit(3)
	case "sleep":
		time.Sleep(time.Hour)
	case "goroutine":
		done := make(chan int)
		go func() { time.Sleep(time.Millisecond); done <- 1 }()
		return answer([]byte(fmt.Sprint(<-done)))
	case "eat":
		for {
			kept = append(kept, make([]byte, 1<<20))
		}
	case "print":
		fmt.Println("to standard output")
		println("to standard error")
	case "count":
		return answer([]byte(fmt.Sprint(calls)))
	case "world":
		_, err := os.ReadFile("/etc/hostname")
		return answer([]byte(fmt.Sprintf("%d args %d env %v year %d random %v", len(os.Args), len(os.Environ()), err, time.Now().Year(), rand.Uint64() != rand.Uint64())))
	}
	if len(payload) > 0 && payload[0] == '{' {
		return answer(work(payload))
	}
	return answer(payload)
}

// work is the json row of the measurements: parse, change, build.
func work(payload []byte) []byte {
	var in struct {
		Tool, ID  string
		Arguments struct {
			Text, City string
			N          int
			Flag       bool
		}
		Headers map[string]string
	}
	if err := json.Unmarshal(payload, &in); err != nil {
		return []byte(err.Error())
	}
	type block struct {
		Type string `json:"type"`
		Text string `json:"text"`
	}
	out, err := json.Marshal(map[string]any{
		"content":           []block{{"text", strings.ToUpper(in.Arguments.Text)}},
		"structuredContent": map[string]any{"city": in.Arguments.City, "n": in.Arguments.N + 1, "flag": !in.Arguments.Flag},
	})
	if err != nil {
		return []byte(err.Error())
	}
	return out
}

//go:noinline
func recurse(n int) int {
	var big [64]int
	big[n%64] = n
	return recurse(n+1) + big[(n+1)%64]
}

func answer(payload []byte) uint64 {
	output = append(output[:0], 0, 0, 0, 0, 0, 0, 0, 0)
	output = append(output, payload...)
	return uint64(uintptr(unsafe.Pointer(unsafe.SliceData(output))))<<32 | uint64(len(output))
}
