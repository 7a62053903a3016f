package selftest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/sallyport/sallyport/core/wire"
	"github.com/sallyport/sallyport/plugins/abi"
)

// maxDifferences is how many differences of one case are told.
const maxDifferences = 20

// differences collects what is not as it was expected.
type differences struct{ lines []string }

func (d *differences) add(format string, args ...any) {
	switch n := len(d.lines); {
	case n < maxDifferences:
		d.lines = append(d.lines, fmt.Sprintf(format, args...))
	case n == maxDifferences:
		d.lines = append(d.lines, "and more")
	}
}

// content compares bytes with what they must be. where begins the JSON Pointers.
func (d *differences) content(where string, want *Content, got []byte) {
	if want == nil {
		return
	}
	if want.JSON == nil {
		if !bytes.Equal(want.Exact, got) {
			d.add("%s: expected %s, got %s%s", where, shown(want.Exact), shown(got), firstDifference(want.Exact, got))
		}
		return
	}
	w, err := wire.Decode(want.JSON)
	if err != nil {
		d.add("%s: the expected value is no JSON: %v", where, err)
		return
	}
	if len(got) == 0 {
		d.add("%s: expected %s, got nothing", where, shown(want.JSON))
		return
	}
	g, err := wire.Decode(got)
	if err != nil {
		d.add("%s: expected JSON, got %s (%v)", where, shown(got), err)
		return
	}
	d.value(where, w, g)
}

// value compares two JSON values: the order of members does not count, and numbers are
// equal when their values are.
func (d *differences) value(where string, want, got any) {
	if len(d.lines) > maxDifferences {
		return
	}
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			break
		}
		for _, key := range slices.Sorted(maps.Keys(w)) {
			if v, there := g[key]; there {
				d.value(where+"/"+pointer(key), w[key], v)
			} else {
				d.add("%s/%s: expected %s, got nothing", where, pointer(key), spell(w[key]))
			}
		}
		for _, key := range slices.Sorted(maps.Keys(g)) {
			if _, there := w[key]; !there {
				d.add("%s/%s: expected nothing, got %s", where, pointer(key), spell(g[key]))
			}
		}
		return
	case []any:
		g, ok := got.([]any)
		if !ok {
			break
		}
		for i := range max(len(w), len(g)) {
			at := where + "/" + strconv.Itoa(i)
			switch {
			case i >= len(g):
				d.add("%s: expected %s, got nothing", at, spell(w[i]))
			case i >= len(w):
				d.add("%s: expected nothing, got %s", at, spell(g[i]))
			default:
				d.value(at, w[i], g[i])
			}
		}
		return
	case json.Number:
		if g, ok := got.(json.Number); ok && sameNumber(string(w), string(g)) {
			return
		}
	default:
		if sameScalar(want, got) {
			return
		}
	}
	d.add("%s: expected %s, got %s", where, spell(want), spell(got))
}

func sameScalar(a, b any) bool {
	switch a := a.(type) {
	case nil:
		return b == nil
	case string:
		s, ok := b.(string)
		return ok && a == s
	case bool:
		v, ok := b.(bool)
		return ok && a == v
	}
	return false
}

// sameNumber compares two JSON numbers by value and without arithmetic on them, so that
// 1e999999 costs nothing.
func sameNumber(a, b string) bool {
	if a == b {
		return true
	}
	na, da, ea, oka := decimal(a)
	nb, db, eb, okb := decimal(b)
	return oka && okb && na == nb && da == db && ea == eb
}

// decimal returns sign, digits without zeros at either end, and the exponent of the
// last of them.
func decimal(s string) (negative bool, digits string, exponent int64, ok bool) {
	s, negative = strings.CutPrefix(s, "-")
	if at := strings.IndexAny(s, "eE"); at >= 0 {
		var err error
		if exponent, err = strconv.ParseInt(s[at+1:], 10, 32); err != nil {
			return false, "", 0, false
		}
		s = s[:at]
	}
	whole, fraction, _ := strings.Cut(s, ".")
	digits = strings.TrimLeft(whole+fraction, "0")
	exponent -= int64(len(fraction))
	for strings.HasSuffix(digits, "0") {
		digits, exponent = digits[:len(digits)-1], exponent+1
	}
	if digits == "" {
		return false, "", 0, true
	}
	return negative, digits, exponent, true
}

func spell(v any) string {
	b, err := wire.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return shown(b)
}

// shown writes at most 200 bytes so that they fit on a line: JSON and one line of text
// as they are, the rest quoted.
func shown(b []byte) string {
	const most = 200
	if len(b) == 0 {
		return "nothing"
	}
	rest := ""
	if len(b) > most {
		rest = fmt.Sprintf("… (%d bytes)", len(b))
		b = b[:most]
		for len(b) > 0 && !utf8.RuneStart(b[len(b)-1]) {
			b = b[:len(b)-1]
		}
		b = b[:max(len(b)-1, 0)]
	}
	s := string(b)
	if len(s) > 0 && strings.ContainsAny(s[:1], `{["-0123456789tfn`) && rest == "" && wire.Check(b, wire.Default) == nil {
		if compact, err := wire.Compact(b); err == nil {
			return string(compact)
		}
	}
	return strconv.Quote(s) + rest
}

// firstDifference says where two longer texts part.
func firstDifference(want, got []byte) string {
	if len(want) < 40 && len(got) < 40 {
		return ""
	}
	at := 0
	for at < len(want) && at < len(got) && want[at] == got[at] {
		at++
	}
	if at < 20 {
		return ""
	}
	from := max(at-20, 0)
	return fmt.Sprintf("; they part at byte %d: expected %s, got %s", at, shown(want[from:min(at+40, len(want))]), shown(got[from:min(at+40, len(got))]))
}

// pairs checks that each expected pair is there; names are compared as eq says.
func (d *differences) pairs(where string, want, got []abi.Pair, eq func(a, b string) bool) {
	for n, w := range want {
		var values []string
		same := 0 // of the same key, how many before this one
		for _, before := range want[:n] {
			if eq(before.Key, w.Key) {
				same++
			}
		}
		for _, g := range got {
			if eq(g.Key, w.Key) {
				values = append(values, g.Value)
			}
		}
		switch {
		case len(values) <= same:
			d.add("%s/%s: expected %s, got nothing", where, pointer(w.Key), strconv.Quote(w.Value))
		case values[same] != w.Value:
			d.add("%s/%s: expected %s, got %s", where, pointer(w.Key), strconv.Quote(w.Value), strconv.Quote(values[same]))
		}
	}
}

func itoa(n int) string { return strconv.Itoa(n) }

// firstOf returns the first that is not nil.
func firstOf[T ~[]byte](values ...T) T {
	for _, v := range values {
		if v != nil {
			return v
		}
	}
	return nil
}

func contains(list []string, s string) bool { return slices.Contains(list, s) }

// containsPart reports whether some line holds part.
func containsPart(list []string, part string) bool {
	return slices.ContainsFunc(list, func(line string) bool { return strings.Contains(line, part) })
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// lines writes log lines for a message.
func lines(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	quoted := make([]string, 0, min(len(list), 5))
	for _, line := range list[:min(len(list), 5)] {
		quoted = append(quoted, shown([]byte(line)))
	}
	if len(list) > 5 {
		quoted = append(quoted, fmt.Sprintf("and %d more", len(list)-5))
	}
	return strings.Join(quoted, ", ")
}
