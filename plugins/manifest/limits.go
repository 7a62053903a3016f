package manifest

import (
	"time"
)

// Limits of one plugin. In a manifest a zero field was not given; in an operator's
// policy it stands for the default.
type Limits struct {
	Memory    Size     `json:"memory,omitzero"`     // linear memory of one instance
	Timeout   Duration `json:"timeout,omitzero"`    // wall time of one call
	CPU       Duration `json:"cpu,omitzero"`        // guest time of one call; waiting in host calls is free
	MaxInput  Size     `json:"max_input,omitzero"`  // frame of one call
	MaxOutput Size     `json:"max_output,omitzero"` // frame of one answer
}

// MinMemory is one page of WebAssembly.
const MinMemory Size = 64 << 10

// Defaults returns what a plugin of this kind gets when the operator says nothing.
func Defaults(k Kind) Limits {
	l := Limits{Memory: 32 << 20, Timeout: Duration(10 * time.Second), CPU: Duration(2 * time.Second), MaxInput: 4 << 20, MaxOutput: 4 << 20}
	if k.hot() {
		l.Timeout, l.CPU = Duration(250*time.Millisecond), Duration(100*time.Millisecond)
	}
	return l
}

// Caps returns the most that an operator may give a plugin of this kind.
func Caps(k Kind) Limits {
	l := Limits{Memory: 256 << 20, Timeout: Duration(time.Minute), CPU: Duration(10 * time.Second), MaxInput: 64 << 20, MaxOutput: 64 << 20}
	if k.hot() {
		l.Timeout, l.CPU = Duration(2*time.Second), Duration(time.Second)
	}
	return l
}

// hot reports whether the kind stands in the way of every call.
func (k Kind) hot() bool {
	return k == ResponseTransformer || k == RequestTransformer || k == Authorizer
}

// Within returns what a plugin of this kind gets: for each limit the least of what the
// manifest asks for, what the operator gives (zero: Defaults) and Caps. So a manifest
// can only lower what the operator gives. Every field of the result is set.
func (l Limits) Within(operator Limits, k Kind) Limits {
	or, most := Defaults(k), Caps(k)
	return Limits{
		Memory:    least(l.Memory, operator.Memory, or.Memory, most.Memory),
		Timeout:   least(l.Timeout, operator.Timeout, or.Timeout, most.Timeout),
		CPU:       least(l.CPU, operator.CPU, or.CPU, most.CPU),
		MaxInput:  least(l.MaxInput, operator.MaxInput, or.MaxInput, most.MaxInput),
		MaxOutput: least(l.MaxOutput, operator.MaxOutput, or.MaxOutput, most.MaxOutput),
	}
}

func least[T ~int64](asked, given, or, most T) T {
	if given <= 0 {
		given = or
	}
	if asked <= 0 {
		asked = given
	}
	return min(asked, given, most)
}
