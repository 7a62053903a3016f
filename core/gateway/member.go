package gateway

import (
	"encoding/json"

	"github.com/sallyport/sallyport/core/wire"
)

// What follows reads and writes members of JSON objects that package wire has accepted,
// and keeps their order.

// textOf returns what a JSON string says; false where it is none.
func jsonText(raw json.RawMessage) (string, bool) {
	if !wire.IsString(raw) {
		return "", false
	}
	return string(wire.AppendUnquoted(nil, raw)), true
}

// memberOf returns a member of an object; nil where there is none.
func memberOf(object json.RawMessage, name string) (value json.RawMessage) {
	if !wire.IsObject(object) {
		return nil
	}
	_ = wire.Walk(object, func(key string, v json.RawMessage) error { // accepted
		if key == name {
			value = v
		}
		return nil
	})
	return value
}

// putMember adds a member to an object that is being written and not yet closed.
func putMember(dst []byte, name string, value json.RawMessage) []byte {
	if dst[len(dst)-1] != '{' {
		dst = append(dst, ',')
	}
	return append(append(wire.AppendString(dst, name), ':'), value...)
}

// rewritten returns an object of what f makes of each member: another value, or nil to
// leave it out.
func rewritten(object json.RawMessage, f func(name string, value json.RawMessage) json.RawMessage) json.RawMessage {
	if !wire.IsObject(object) {
		return object
	}
	out := append(make([]byte, 0, len(object)+64), '{')
	_ = wire.Walk(object, func(name string, v json.RawMessage) error { // accepted
		if v = f(name, v); v != nil {
			out = putMember(out, name, v)
		}
		return nil
	})
	return append(out, '}')
}

// replaced returns an object with another value for one member, where it has that.
func replaced(object json.RawMessage, name string, f func(json.RawMessage) json.RawMessage) json.RawMessage {
	return rewritten(object, func(key string, v json.RawMessage) json.RawMessage {
		if key == name {
			return f(v)
		}
		return v
	})
}

// laid returns base with the members of top laid over it: those that are in both in the
// place that base has them, the others behind.
func laid(base, top json.RawMessage) json.RawMessage {
	if !wire.IsObject(base) {
		return top
	}
	over, order := map[string]json.RawMessage{}, []string{}
	_ = wire.Walk(top, func(name string, v json.RawMessage) error { // accepted
		over[name] = v
		order = append(order, name)
		return nil
	})
	out := rewritten(base, func(name string, v json.RawMessage) json.RawMessage {
		if mine, ok := over[name]; ok {
			delete(over, name)
			return mine
		}
		return v
	})
	out = out[:len(out)-1]
	for _, name := range order {
		if v, left := over[name]; left {
			out = putMember(out, name, v)
			delete(over, name)
		}
	}
	return append(out, '}')
}
