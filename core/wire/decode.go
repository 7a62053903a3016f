package wire

import (
	"encoding/json"
	"strconv"
)

// Decode reads exactly one value within Default: map[string]any, []any, string,
// json.Number, bool or nil. Strings and numbers share one copy of b.
func Decode(b []byte) (any, error) { return DecodeWithin(b, Default) }

// DecodeWithin is Decode with other limits.
func DecodeWithin(b []byte, l Limits) (any, error) {
	s := open(b, &l)
	defer s.close()
	s.text = string(b) // one copy for all strings and numbers
	v, i := s.decode(s.blank(0))
	if i < 0 || s.end(i) < 0 {
		return nil, s.failure()
	}
	return v, nil
}

// DecodeObject is Decode for what must be an object.
func DecodeObject(b []byte) (map[string]any, error) {
	v, err := Decode(b)
	if err != nil {
		return nil, err
	}
	object, ok := v.(map[string]any)
	if !ok {
		return nil, &SyntaxError{Message: "want an object"}
	}
	return object, nil
}

// decode is value that keeps what it passes over.
func (s *scanner) decode(i int) (any, int) {
	if i >= len(s.b) {
		return nil, s.cut()
	}
	switch c := s.b[i]; c {
	case '"':
		end, escaped := s.quoted(i)
		if end < 0 {
			return nil, -1
		}
		if escaped {
			return string(unescape(make([]byte, 0, end-i-2), s.b[i+1:end-1])), end
		}
		return s.text[i+1 : end-1], end
	case '{':
		return s.decodeObject(i)
	case '[':
		return s.decodeArray(i)
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		end := s.number(i)
		switch {
		case end < 0:
			return nil, -1
		case end == i+1:
			return small[c-'0'], end
		case end == i+2 && c != '-':
			return small[10*(c-'0')+s.b[i+1]-'0'], end
		}
		return json.Number(s.text[i:end]), end
	case 't':
		return true, s.value(i)
	case 'f':
		return false, s.value(i)
	}
	return nil, s.value(i) // null, or a mistake
}

func (s *scanner) decodeObject(i int) (any, int) {
	if i = s.enter(i); i < 0 {
		return nil, -1
	}
	if s.at(i, '}') {
		s.depth--
		return map[string]any{}, i + 1
	}
	o := siblings{base: len(s.names)}
	base := len(s.values)
	for more := true; more; {
		if i = s.member(i, &o); i < 0 {
			return nil, -1
		}
		last := len(s.names) - 1
		var v any
		if v, i = s.decode(i); i < 0 {
			return nil, s.inName(last)
		}
		s.values = append(s.values, v)
		if i, more = s.after(i, '}'); i < 0 {
			return nil, -1
		}
	}
	// The number of members is known now: the map is made once.
	values := s.values[base:]
	object := make(map[string]any, len(values))
	for k, v := range values {
		object[s.part(&s.names[o.base+k])] = v
	}
	s.forget(&o)
	clear(values)
	s.values = s.values[:base]
	return object, i
}

func (s *scanner) decodeArray(i int) (any, int) {
	if i = s.enter(i); i < 0 {
		return nil, -1
	}
	if s.at(i, ']') {
		s.depth--
		return []any{}, i + 1
	}
	base := len(s.values)
	index := 0
	for more := true; more; index++ {
		var v any
		if v, i = s.decode(i); i < 0 {
			return nil, s.inElement(index)
		}
		s.values = append(s.values, v)
		if i, more = s.after(i, ']'); i < 0 {
			return nil, -1
		}
	}
	values := s.values[base:]
	array := make([]any, len(values))
	copy(array, values)
	clear(values)
	s.values = s.values[:base]
	return array, i
}

// part returns the name as a part of the text.
func (s *scanner) part(n *seen) string {
	if n.from < 0 {
		return string(s.bytesOf(n))
	}
	return s.text[n.from : n.from+n.size]
}

// small are the numbers of one and two digits, which cost no allocation.
var small = func() (numbers [100]any) {
	for i := range numbers {
		numbers[i] = json.Number(strconv.Itoa(i))
	}
	return numbers
}()
