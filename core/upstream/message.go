package upstream

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/core/wire"
)

// message is one JSON-RPC message of an upstream. Everything in it aliases the bytes.
type message struct {
	id     json.RawMessage // as sent; nil when there is none
	method string          // "" for an answer
	params json.RawMessage // an object, or nil
	result json.RawMessage // an object
	fail   *failure
}

// failure is the error of an answer.
type failure struct {
	code    int
	message string
	data    json.RawMessage
}

func (m *message) answer() bool  { return m.method == "" }
func (m *message) request() bool { return m.method != "" && m.id != nil }

var (
	errNoMessage  = errors.New("not a JSON-RPC message")
	errBoth       = errors.New("an answer with both a result and an error, or with neither")
	errNoObject   = errors.New("params and results are objects")
	errNoFailure  = errors.New("an error is an object with a code and a message")
	errBatch      = errors.New("a batch, which this revision does not have")
	errManyInside = errors.New("a batch of too many messages")
)

// maxText is how much of an upstream's message is passed on, in bytes.
const maxText = 2000

// accept checks the bytes of one message, or of a batch, once: what is within them may
// be walked.
func accept(b []byte, l *Limits) error {
	return wire.Check(b, wire.Limits{Depth: l.Depth, Keys: 1_000_000, String: int(l.MessageBytes), Number: 1024})
}

// parse reads one message that accept has let through. With an error the message may
// still have its id, so that the call that it answers can be told.
func parse(b []byte) (m message, err error) {
	if !wire.IsObject(b) {
		return m, errNoMessage
	}
	var name, fail json.RawMessage
	versioned, resulted := false, false
	if err := wire.Walk(b, func(key string, v json.RawMessage) error {
		switch key {
		case "jsonrpc":
			versioned = string(v) == `"2.0"`
		case "id":
			m.id = v
		case "method":
			name = v
		case "params":
			m.params = v
		case "result":
			m.result, resulted = v, true
		case "error":
			fail = v
		}
		return nil
	}); err != nil {
		return message{}, errNoMessage
	}
	if wire.IsNull(m.id) {
		m.id = nil
	}
	switch {
	case !versioned:
		return m, errNoMessage
	case name == nil:
		return m, m.checkAnswer(resulted, fail)
	case resulted || fail != nil:
		return m, errNoMessage
	}
	if m.method, _ = text(name); m.method == "" {
		return m, errNoMessage
	}
	if wire.IsNull(m.params) {
		m.params = nil
	} else if !wire.IsObject(m.params) {
		return m, errNoObject
	}
	if m.id != nil && (len(m.id) > maxID || !wire.IsString(m.id) && !wire.IsNumber(m.id)) {
		return message{}, errNoMessage
	}
	return m, nil
}

// maxID is how long the id of a question of an upstream may be, since it comes back in
// our answer; in bytes.
const maxID = 1024

func (m *message) checkAnswer(resulted bool, fail json.RawMessage) error {
	m.params = nil
	if wire.IsNull(fail) {
		fail = nil // some say "error": null beside a result
	}
	switch {
	case resulted && wire.IsNull(m.result) && fail != nil:
		m.result = nil // and some "result": null beside an error
	case resulted == (fail != nil):
		return errBoth
	case resulted && !wire.IsObject(m.result):
		return errNoObject
	}
	if fail == nil {
		return nil
	}
	m.fail = &failure{}
	return m.fail.read(fail)
}

func (f *failure) read(b json.RawMessage) error {
	if !wire.IsObject(b) {
		return errNoFailure
	}
	coded := false
	_ = wire.Walk(b, func(key string, v json.RawMessage) error { // accepted
		switch key {
		case "code":
			code, err := strconv.Atoi(string(v))
			coded = err == nil && -1<<31 <= code && code < 1<<31
			f.code = code
		case "message":
			f.message, _ = text(v)
		case "data":
			f.data = v
		}
		return nil
	})
	if !coded {
		return errNoFailure
	}
	if wire.IsNull(f.data) {
		f.data = nil
	}
	f.message = cut(f.message, maxText)
	return nil
}

// ours returns the number that an id of ours is; false for every other id.
func ours(id json.RawMessage) (int64, bool) {
	if len(id) == 0 || len(id) > 19 || id[0] < '1' || id[0] > '9' {
		return 0, false
	}
	n, err := strconv.ParseInt(string(id), 10, 64)
	return n, err == nil
}

// text returns the string that raw holds; false when it holds none.
func text(raw json.RawMessage) (string, bool) {
	if len(raw) < 2 || raw[0] != '"' {
		return "", false
	}
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1]), true
	}
	return string(wire.AppendUnquoted(nil, raw)), true
}

// cut shortens a text of a stranger.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "") + "…"
}

// member returns a member of an object that was accepted, or nil.
func member(object json.RawMessage, name string) (value json.RawMessage) {
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

// stringOf is member for a string; "" where there is none.
func stringOf(object json.RawMessage, name string) string {
	s, _ := text(member(object, name))
	return s
}

// stringsOf reads an array of strings; what is none is left out.
func stringsOf(array json.RawMessage) (list []string) {
	if !wire.IsArray(array) {
		return nil
	}
	_ = wire.WalkElements(array, func(v json.RawMessage) error { // accepted
		if s, ok := text(v); ok {
			list = append(list, s)
		}
		return nil
	})
	return list
}

// put appends the name of an object's next member. dst ends with the brace that opened
// the object, or with a value of it.
func put(dst []byte, name string) []byte {
	if dst[len(dst)-1] != '{' {
		dst = append(dst, ',')
	}
	return append(wire.AppendString(dst, name), ':')
}

// putString appends a member with a string.
func putString(dst []byte, name, value string) []byte {
	return wire.AppendString(put(dst, name), value)
}

// putRaw appends a member with a JSON value, unless there is none.
func putRaw(dst []byte, name string, value json.RawMessage) []byte {
	if len(value) == 0 {
		return dst
	}
	return append(put(dst, name), value...)
}

// appendNotification appends a whole notification; params may be nil.
func appendNotification(dst []byte, method string, params json.RawMessage) []byte {
	dst = wire.AppendString(append(dst, `{"jsonrpc":"2.0","method":`...), method)
	return append(putRaw(dst, "params", params), '}')
}

// appendAnswer appends the answer to a question of the upstream.
func appendAnswer(dst []byte, id, result json.RawMessage) []byte {
	dst = append(append(dst, `{"jsonrpc":"2.0","id":`...), id...)
	return append(putRaw(dst, "result", result), '}')
}

// appendFailure is appendAnswer for an error that the client answered with.
func appendFailure(dst []byte, id, fail json.RawMessage) []byte {
	dst = append(append(dst, `{"jsonrpc":"2.0","id":`...), id...)
	return append(putRaw(dst, "error", fail), '}')
}

// appendRefusal appends the answer to a question of the upstream that is not answered.
func appendRefusal(dst []byte, id json.RawMessage, code int, why string) []byte {
	dst = append(append(dst, `{"jsonrpc":"2.0","id":`...), id...)
	dst = strconv.AppendInt(append(dst, `,"error":{"code":`...), int64(code), 10)
	return append(putString(dst, "message", why), "}}"...)
}

// oneLine takes line ends out of JSON, where they can only be white space.
func oneLine(b []byte) []byte {
	for i, c := range b {
		if c == '\n' || c == '\r' {
			b[i] = ' '
		}
	}
	return b
}
