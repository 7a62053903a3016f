package wire

import "encoding/json"

// Check tells whether b is exactly one JSON value within l, by the rules of this
// package. The error is a *SyntaxError.
func Check(b []byte, l Limits) error {
	s := open(b, &l)
	defer s.close()
	if s.whole() < 0 {
		return s.failure()
	}
	return nil
}

// Fields calls f for each member of the one object in b, in order, after checking
// the value like Check with Default. value aliases b and may go to Walk. Names come
// unescaped. An error of f ends the walk and is returned as it is; a mistake in b is
// a *SyntaxError, and f may have been called for the members before it.
func Fields(b []byte, f func(name string, value json.RawMessage) error) error {
	s := open(b, &Default)
	defer s.close()
	i := s.blank(0)
	if !s.at(i, '{') {
		return s.want(i, "an object")
	}
	if i = s.enter(i); i < 0 {
		return s.failure()
	}
	more := !s.at(i, '}')
	if !more {
		i++
	}
	o := siblings{base: len(s.names)}
	for more {
		if i = s.member(i, &o); i < 0 {
			return s.failure()
		}
		from, last := i, len(s.names)-1
		if i = s.value(i); i < 0 {
			s.inName(last)
			return s.failure()
		}
		if err := f(s.nameOf(&s.names[last]), b[from:i:i]); err != nil {
			return err
		}
		if i, more = s.after(i, '}'); i < 0 {
			return s.failure()
		}
	}
	if s.end(i) < 0 {
		return s.failure()
	}
	return nil
}

// Elements calls f for each element of the one array in b, in order, with the
// same rules as Fields.
func Elements(b []byte, f func(value json.RawMessage) error) error {
	s := open(b, &Default)
	defer s.close()
	i := s.blank(0)
	if !s.at(i, '[') {
		return s.want(i, "an array")
	}
	if i = s.enter(i); i < 0 {
		return s.failure()
	}
	more := !s.at(i, ']')
	if !more {
		i++
	}
	for index := 0; more; index++ {
		from := i
		if i = s.value(i); i < 0 {
			s.inElement(index)
			return s.failure()
		}
		if err := f(b[from:i:i]); err != nil {
			return err
		}
		if i, more = s.after(i, ']'); i < 0 {
			return s.failure()
		}
	}
	if s.end(i) < 0 {
		return s.failure()
	}
	return nil
}

// want says that something else begins at i, if anything does.
func (s *scanner) want(i int, what string) error {
	if i < len(s.b) && !begins[s.b[i]] {
		s.odd(i, "at start of value")
	} else if i >= len(s.b) {
		s.cut()
	} else {
		s.fault(i, "want "+what)
	}
	return s.failure()
}

// begins are the bytes with which a value begins.
var begins = func() (set [256]bool) {
	for _, c := range `"{[-0123456789tfn` {
		set[c] = true
	}
	return set
}()
