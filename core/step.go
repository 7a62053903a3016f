package core

import (
	"encoding/json"
	"time"
)

// Step is one thing that a call passed, for whoever tries a draft: see Call.Steps. Texts
// in it may hold secrets until they are scrubbed; whoever shows steps does that.
type Step struct {
	Part    string        `json:"part"`              // one of StepParts
	Name    string        `json:"name,omitempty"`    // of the kind, plugin or connection
	Began   time.Duration `json:"-"`                 // since the call began
	Took    time.Duration `json:"-"`                 //
	Outcome string        `json:"outcome"`           // ok, refused, tool_error, or a Code
	Message string        `json:"message,omitempty"` // what was wrong
	// Value is what the step left: the arguments behind a request transformer, the result
	// behind an invoker or transformer. JSON, or nil.
	Value    json.RawMessage `json:"-"`
	Exchange *Exchange       `json:"-"` // of an upstream step
}

// StepParts are the parts that a call passes, in their order.
var StepParts = []string{"arguments", "authorizer", "request_transformer", "invoker", "upstream", "transformer", "output"}

// Exchange is a request to an upstream and its answer.
type Exchange struct {
	Request  Request
	Response *Response // nil when there was none
}
