//go:build wasip1

// Command extism-go is the guest of the measurements in Go against the imports of
// Extism, as its Go PDK does it: the input comes and the output goes eight bytes at a
// time, each by a call of the host. echo gives back what it gets, json decodes, puts a
// text into capitals and encodes, with encoding/json.
package main

import (
	"encoding/binary"
	"encoding/json"
	"strings"
)

//go:wasmimport extism:host/env input_length
func inputLength() uint64

//go:wasmimport extism:host/env input_load_u8
func inputLoadU8(offset uint64) uint32

//go:wasmimport extism:host/env input_load_u64
func inputLoadU64(offset uint64) uint64

//go:wasmimport extism:host/env alloc
func alloc(length uint64) uint64

//go:wasmimport extism:host/env store_u8
func storeU8(offset uint64, b uint32)

//go:wasmimport extism:host/env store_u64
func storeU64(offset, word uint64)

//go:wasmimport extism:host/env output_set
func outputSet(offset, length uint64)

func main() {} // never called: a plugin is a library

func input() []byte {
	n := inputLength()
	b := make([]byte, n)
	at := uint64(0)
	for ; n-at >= 8; at += 8 {
		binary.LittleEndian.PutUint64(b[at:], inputLoadU64(at))
	}
	for ; at < n; at++ {
		b[at] = byte(inputLoadU8(at))
	}
	return b
}

func output(b []byte) {
	n := uint64(len(b))
	out := alloc(n)
	at := uint64(0)
	for ; n-at >= 8; at += 8 {
		storeU64(out+at, binary.LittleEndian.Uint64(b[at:]))
	}
	for ; at < n; at++ {
		storeU8(out+at, uint32(b[at]))
	}
	outputSet(out, n)
}

//go:wasmexport echo
func echo() int32 {
	output(input())
	return 0
}

type request struct {
	Tool      string `json:"tool"`
	ID        string `json:"id"`
	Arguments struct {
		Text string `json:"text"`
		City string `json:"city"`
		N    int    `json:"n"`
		Flag bool   `json:"flag"`
	} `json:"arguments"`
	Headers struct {
		Accept  string `json:"accept"`
		Agent   string `json:"user-agent"`
		Request string `json:"x-request-id"`
	} `json:"headers"`
}

type answer struct {
	Tool    string `json:"tool"`
	ID      string `json:"id"`
	City    string `json:"city"`
	N       int    `json:"n"`
	Flag    bool   `json:"flag"`
	Agent   string `json:"agent"`
	Request string `json:"request"`
}

type block struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

type result struct {
	Content    []block `json:"content"`
	Structured answer  `json:"structuredContent"`
}

//go:wasmexport json
func jsonTool() int32 {
	var r request
	if err := json.Unmarshal(input(), &r); err != nil {
		return 1
	}
	b, err := json.Marshal(result{
		Content: []block{{Type: "text", Text: strings.ToUpper(r.Arguments.Text)}},
		Structured: answer{
			Tool: r.Tool, ID: r.ID, City: r.Arguments.City, N: r.Arguments.N, Flag: r.Arguments.Flag,
			Agent: r.Headers.Agent, Request: r.Headers.Request,
		},
	})
	if err != nil {
		return 1
	}
	output(b)
	return 0
}
