package config

import (
	"fmt"
	"math"
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

func (r *reader) readNumber(n *node, s *shape, into reflect.Value) {
	f, err := strconv.ParseFloat(n.text, 64)
	if err != nil {
		r.fault(n, fmt.Sprintf("the number %s is too large", n.asWritten()), "write "+s.bounds())
		return
	}
	if s.integer && (f != math.Trunc(f) || math.Abs(f) >= 1<<53) {
		r.fault(n, fmt.Sprintf("expected an integer, got the number %s", n.asWritten()), "write "+s.bounds())
		return
	}
	if s.min != nil && f < *s.min || s.max != nil && f > *s.max {
		r.fault(n, fmt.Sprintf("%s is out of bounds", n.asWritten()), "write "+s.bounds())
		return
	}
	if !into.IsValid() {
		return
	}
	if into.CanInt() {
		into.SetInt(int64(f))
		return
	}
	into.SetFloat(f)
}

// bounds says which numbers are right.
func (s *shape) bounds() string {
	what := "a number"
	if s.integer {
		what = "an integer"
	}
	show := func(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
	if s.duration {
		what = "a duration"
		show = func(f float64) string { return shortDuration(time.Duration(f)) }
	}
	if s.size {
		what = "a size"
		show = func(f float64) string { return Size(f).String() }
	}
	low, high := s.min != nil, s.max != nil && *s.max < 1<<53
	switch {
	case low && high:
		return what + " from " + show(*s.min) + " to " + show(*s.max)
	case low && *s.min > 0 || low && !s.duration:
		return what + ", at least " + show(*s.min)
	case high:
		return what + ", at most " + show(*s.max)
	}
	return what
}

// shortDuration writes 5m0s as 5m.
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func (r *reader) readText(n *node, s *shape, into reflect.Value) {
	value, hidden, ok := r.words(n, s)
	if !ok || r.ownFile(n, s) {
		return
	}
	shown := quote(unseen.Replace(value))
	if hidden || s.secret {
		shown = "the value"
	}
	if c, bad := hasControl(value); bad {
		r.fault(n, fmt.Sprintf("%s holds a control character (U+%04X)", shown, c), "remove it")
		return
	}
	switch {
	case len(s.words) > 0 && !slices.Contains(s.words, value):
		fix := "write " + s.want()
		if near := nearest(value, s.words); near != "" && !hidden {
			fix = "did you mean " + quote(near) + "?"
		}
		r.fault(n, fmt.Sprintf("expected %s, got %s", s.want(), shown), fix)
		return
	case s.duration:
		d, err := time.ParseDuration(value)
		if err != nil || !s.pattern.MatchString(value) {
			fix := "write digits and a unit: ns, us, ms, s, m, h"
			if guess := guessDuration(value); guess != "" && !hidden {
				fix = "write " + guess
			}
			r.fault(n, fmt.Sprintf("expected %s, got %s", s.says, shown), fix)
			return
		}
		if float64(d) < *s.min || s.max != nil && float64(d) > *s.max {
			r.fault(n, fmt.Sprintf("%s is out of bounds", shown), "write "+s.bounds())
			return
		}
		if into.IsValid() && into.Type() == durationType {
			into.SetInt(int64(d))
			return
		}
	case s.pattern != nil && !s.pattern.MatchString(value):
		r.fault(n, fmt.Sprintf("expected %s, got %s", s.says, shown), r.suggest(s, value))
		return
	}
	if !into.IsValid() {
		return
	}
	if into.Type() == networkType {
		network, fix := parseNetwork(value)
		if fix != "" {
			r.fault(n, fmt.Sprintf("expected %s, got %s", s.says, shown), fix)
			return
		}
		into.Set(reflect.ValueOf(network))
		return
	}
	into.SetString(value)
}

var (
	networkType    = reflect.TypeFor[netip.Prefix]()
	networkPattern = regexp.MustCompile(`^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$`)
)

// parseNetwork reads a range of addresses, or says what would be right.
func parseNetwork(s string) (netip.Prefix, string) {
	network, err := netip.ParsePrefix(s)
	if err != nil {
		if one, err := netip.ParseAddr(s); err == nil && one.Zone() == "" {
			return network, "write " + netip.PrefixFrom(one, one.BitLen()).String()
		}
		return network, "write address/bits"
	}
	if network.Masked() != network {
		return network, "write " + network.Masked().String()
	}
	return network, ""
}

// unseen takes what may be a secret out of a URL.
var unseen = redaction{regexp.MustCompile(`://[^/\s]*@`), regexp.MustCompile(`\?.*`)}

type redaction struct{ user, query *regexp.Regexp }

func (r redaction) Replace(s string) string {
	if !strings.Contains(s, "://") {
		return s
	}
	return r.query.ReplaceAllString(r.user.ReplaceAllString(s, "://***@"), "?***")
}

// suggest says how to write a text that does not match its pattern.
func (r *reader) suggest(s *shape, value string) string {
	switch {
	case value == "":
		return "write something, or remove the key"
	case r.current != nil && r.current.shape == s && len(r.current.examples) > 0:
		return "write it like " + r.current.examples[0]
	case strings.ContainsAny(value, "\r\n"):
		return "write it in one line"
	}
	return "write " + s.says
}

// guessDuration makes a Go duration of what people write: 3, "3 s", "3 seconds", 1d.
func guessDuration(s string) string {
	s = strings.ToLower(strings.ReplaceAll(strings.TrimSpace(s), " ", ""))
	digits := strings.TrimRight(s, "abcdefghijklmnopqrstuvwxyzµ")
	unit, known := map[string]string{
		"": "s", "s": "s", "sec": "s", "secs": "s", "second": "s", "seconds": "s", "ms": "ms", "msec": "ms", "millis": "ms",
		"millisecond": "ms", "milliseconds": "ms", "m": "m", "min": "m", "mins": "m", "minute": "m", "minutes": "m",
		"h": "h", "hr": "h", "hour": "h", "hours": "h", "d": "d", "day": "d", "days": "d",
	}[s[len(digits):]]
	number, err := strconv.ParseFloat(digits, 64)
	if !known || err != nil || number < 0 || number > 1e6 {
		return ""
	}
	if unit == "d" {
		number, unit = number*24, "h"
	}
	return strconv.FormatFloat(number, 'f', -1, 64) + unit
}

// readSize reads a number of bytes, with or without a unit.
func (r *reader) readSize(n *node, s *shape, into reflect.Value) {
	var size Size
	switch n.sort {
	case number:
		r.readNumber(n, s, into)
		return
	case text:
		v, err := ParseSize(n.text)
		if err != nil {
			r.fault(n, fmt.Sprintf("expected %s, got %s", s.want(), n.got(s)), "write digits and a unit: B, KiB, MiB, GiB")
			return
		}
		size = v
	default:
		r.mismatch(n, s)
		return
	}
	if float64(size) < *s.min || float64(size) > *s.max {
		r.fault(n, fmt.Sprintf("%s is out of bounds", n.got(s)), "write "+s.bounds())
		return
	}
	if into.IsValid() {
		into.SetInt(int64(size))
	}
}
