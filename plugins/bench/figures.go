package main

// Figures is what a run prints. core/bench reads it.
type Figures struct {
	Request int       `json:"request"` // bytes
	Answer  int       `json:"answer"`  // bytes of what json answers, as encoding/json writes it
	Guests  []*Guest  `json:"guests"`
	LeftOut []LeftOut `json:"left_out"`
}

// LeftOut is what was not measured, and why.
type LeftOut struct {
	What string `json:"what"`
	Why  string `json:"why"`
}

// Guest is what was measured with one module, and with the one of the same language for
// Extism.
type Guest struct {
	Name   string                     `json:"name"`   // go, rust, assemblyscript, c
	Module int                        `json:"module"` // bytes of the .wasm
	Calls  map[string]map[string]Call `json:"calls"`  // by tool (echo, json, std) and way

	LoadCold     float64 `json:"load_cold_ms"`   // CPU of loading, compiler included
	LoadWarm     float64 `json:"load_warm_ms"`   // the same with native code in the cache
	Instantiate  Span    `json:"instantiate_us"` // thread CPU of making an instance and closing it
	Restore      Span    `json:"restore_us"`     // thread CPU of `isolation: call` after a call
	MemoryStart  int64   `json:"memory_start"`   // bytes of linear memory of a new instance
	MemoryUsed   int64   `json:"memory_used"`    // the same after the measurements
	ResidentEach int64   `json:"resident_each"`  // bytes that a new instance adds to the process

	Throughput map[string]Throughput `json:"throughput"` // by tool: a pool of two instances, two goroutines
}

// Span is the least and the median of what was measured.
type Span struct {
	Min    float64 `json:"min"`
	Median float64 `json:"median"`
}

// Call is one way to call one tool.
type Call struct {
	Thread Span    `json:"thread_us"` // CPU of the calling thread
	Allocs float64 `json:"allocs"`    // on the host's heap, a call
	Bytes  float64 `json:"bytes"`     // of them
}

// Throughput is calls a second.
type Throughput struct {
	Wall float64 `json:"wall"` // as it was
	CPU  float64 `json:"cpu"`  // calls for two seconds of CPU: what two free processors would do
}
