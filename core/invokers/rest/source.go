package rest

import (
	"encoding/json"
	"errors"
	"strconv"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/expression"
	"github.com/sallyport/sallyport/core/wire"
)

// source says where a value comes from. Exactly one of argument, expr, constant
// and client is set.
type source struct {
	label    string // for messages: query parameter "q"
	argument string
	pointer  []string // below argument
	expr     *expression.Expr
	constant any
	client   string // header of the client
	fallback any    // in place of an absent value or null; nil = none
}

// value returns the value for a call; nil when there is none.
func (s *source) value(call *core.Call) (any, error) {
	var value any
	switch {
	case s.argument != "":
		value, _ = argument(call, s.argument)
		for _, step := range s.pointer {
			value = below(value, step)
		}
	case s.expr != nil:
		var err error
		if value, err = s.expr.Run(call.Values); err != nil {
			return nil, refuse("The %s could not be computed from the arguments: %s.", s.label, err)
		}
		if value, err = tidy(value); err != nil {
			return nil, refuse("The %s could not be computed from the arguments: %s.", s.label, err)
		}
	case s.client != "":
		if call.Header != nil {
			if text := call.Header.Get(s.client); text != "" {
				value = text
			}
		}
	default:
		value = s.constant
	}
	if value == nil {
		return s.fallback, nil
	}
	return value, nil
}

// Bounds on finding arguments without decoding all of them: each is one walk over
// the object.
const (
	maxWalks  = 3       // places of one config
	maxWalked = 4 << 10 // bytes of the arguments
)

var errFound = errors.New("found")

// argument returns an argument, and whether it was sent. Without values, it is
// looked up in the arguments as they are written.
func argument(call *core.Call, name string) (value any, sent bool) {
	if call.Values != nil {
		value, sent = call.Values[name]
		return value, sent
	}
	var found json.RawMessage
	_ = wire.Walk(call.Arguments, func(member string, raw json.RawMessage) error { // accepted with the call
		if member != name {
			return nil
		}
		found = raw
		return errFound
	})
	if found == nil {
		return nil, false
	}
	value, err := wire.Decode(found)
	return value, err == nil
}

// fixed tells whether the value is the same in every call.
func (s *source) fixed() bool { return s.argument == "" && s.expr == nil && s.client == "" }

func below(value any, step string) any {
	switch v := value.(type) {
	case map[string]any:
		return v[step]
	case []any:
		if i, err := strconv.Atoi(step); err == nil && 0 <= i && i < len(v) && step == strconv.Itoa(i) {
			return v[i]
		}
	}
	return nil
}

// tidy turns the types that only expr makes into those of wire.Decode.
func tidy(value any) (any, error) {
	switch value.(type) {
	case nil, string, bool, int, float64:
		return value, nil
	}
	text, err := expression.AppendJSON(nil, value, maxPart)
	if err != nil {
		return nil, err
	}
	return wire.DecodeWithin(text, answerLimits)
}
