package wire

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// step is one part of the path to a mistake: a name, or the index of an element
// where size is -1.
type step struct{ from, size int }

// fault notes the mistake at offset; the functions that are open then add the path
// to it, the innermost first. It returns -1, which stands for every index after a
// mistake.
func (s *scanner) fault(offset int, message string) int {
	s.err = &SyntaxError{Offset: offset, Message: message}
	return -1
}

// past is fault for a limit.
func (s *scanner) past(offset int, format string, limit int) int {
	s.err = &SyntaxError{Offset: offset, Message: fmt.Sprintf(format, limit), Limit: true}
	return -1
}

// odd is fault for the character at i, which is not what belongs there.
func (s *scanner) odd(i int, where string) int {
	if i >= len(s.b) {
		return s.cut()
	}
	what := `'\x` + strconv.FormatUint(uint64(s.b[i]), 16) + `'`
	if r, size := utf8.DecodeRune(s.b[i:]); r != utf8.RuneError || size > 1 {
		what = strconv.QuoteRune(r)
	}
	return s.fault(i, "invalid character "+what+" "+where)
}

// cut is fault for what ends before it is whole.
func (s *scanner) cut() int { return s.fault(len(s.b), "ends too early") }

// inName adds the name of the member of which the value is wrong, the last of
// scanner.names when the value began.
func (s *scanner) inName(last int) int {
	n := &s.names[last]
	s.trail = append(s.trail, step{n.from, n.size})
	return -1
}

// inElement adds the index of the element that is wrong.
func (s *scanner) inElement(index int) int {
	s.trail = append(s.trail, step{index, -1})
	return -1
}

// failure returns the mistake with its whole path.
func (s *scanner) failure() error {
	var path strings.Builder
	for _, at := range slices.Backward(s.trail) {
		path.WriteByte('/')
		if at.size < 0 {
			path.WriteString(strconv.Itoa(at.from))
		} else {
			_, _ = pointerEscapes.WriteString(&path, string(s.bytesOf(&seen{from: at.from, size: at.size}))) // a Builder takes all
		}
	}
	s.err.Path = path.String()
	return s.err
}

var pointerEscapes = strings.NewReplacer("~", "~0", "/", "~1") // RFC 6901, section 3
