package manifest

import (
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
)

// Size is a number of bytes, written with its unit: 512B, 64KiB, 32MiB, 1GiB.
type Size int64

// Duration is a length of time, written with one unit: 250us, 250ms, 5s, 1m.
type Duration time.Duration

type unit struct {
	name string
	of   int64
}

// The units, the largest first.
var (
	sizes = []unit{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}
	times = []unit{
		{"m", int64(time.Minute)},
		{"s", int64(time.Second)},
		{"ms", int64(time.Millisecond)},
		{"us", int64(time.Microsecond)},
	}
)

// ParseSize reads whole digits and a unit (B, KiB, MiB, GiB). The size is above 0.
func ParseSize(text string) (Size, error) {
	n, err := quantity(text, sizes)
	if err != nil {
		return 0, errors.New("write a whole number above 0 and a unit: 512B, 64KiB, 32MiB or 1GiB")
	}
	return Size(n), nil
}

// ParseDuration reads whole digits and a unit (us, ms, s, m). The duration is above 0.
func ParseDuration(text string) (Duration, error) {
	n, err := quantity(text, times)
	if err != nil {
		return 0, errors.New("write a whole number above 0 and a unit: 250us, 250ms, 5s or 1m")
	}
	return Duration(n), nil
}

var errQuantity = errors.New("no quantity")

func quantity(text string, units []unit) (int64, error) {
	end := 0
	for end < len(text) && '0' <= text[end] && text[end] <= '9' {
		end++
	}
	n, err := strconv.ParseInt(text[:end], 10, 64)
	if err != nil || n == 0 || text[0] == '0' {
		return 0, errQuantity
	}
	for _, u := range units {
		if u.name == text[end:] && n <= math.MaxInt64/u.of {
			return n * u.of, nil
		}
	}
	return 0, errQuantity
}

func spell(n int64, units []unit) string {
	for _, u := range units {
		if n != 0 && n%u.of == 0 {
			return strconv.FormatInt(n/u.of, 10) + u.name
		}
	}
	return strconv.FormatInt(n, 10) + units[len(units)-1].name
}

// String writes the size in the largest unit that divides it.
func (s Size) String() string { return spell(int64(s), sizes) }

// String writes the duration in the largest unit that divides it; what is below a
// microsecond is cut off.
func (d Duration) String() string {
	return spell(int64(d)/int64(time.Microsecond)*int64(time.Microsecond), times)
}

// MarshalJSON writes the size as its text.
func (s Size) MarshalJSON() ([]byte, error) { return strconv.AppendQuote(nil, s.String()), nil }

// MarshalJSON writes the duration as its text.
func (d Duration) MarshalJSON() ([]byte, error) { return strconv.AppendQuote(nil, d.String()), nil }

// UnmarshalJSON reads what ParseSize reads.
func (s *Size) UnmarshalJSON(b []byte) (err error) {
	*s, err = unquote(b, ParseSize)
	return err
}

// UnmarshalJSON reads what ParseDuration reads.
func (d *Duration) UnmarshalJSON(b []byte) (err error) {
	*d, err = unquote(b, ParseDuration)
	return err
}

func unquote[T any](b []byte, parse func(string) (T, error)) (T, error) {
	var text string
	if err := json.Unmarshal(b, &text); err != nil {
		var zero T
		return zero, err
	}
	return parse(strings.TrimSpace(text))
}
