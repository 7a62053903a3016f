package pins

import (
	"math"
	"strconv"
	"strings"
)

// decimal is a number as 0.digits × 10^point, exactly. digits has no zero at either end;
// it is empty for zero.
type decimal struct {
	negative bool
	digits   string
	point    int
}

// What Canonical reads of a number. Both are the same before and after it, so what it
// wrote can be read again.
const (
	maxDigits = 60            // that count
	maxPoint  = 1_000_000_000 // places that the point may be away from the first digit
)

// readDecimal reads the text of a JSON number; false when it is past the bounds.
func readDecimal(text string) (decimal, bool) {
	var d decimal
	text, d.negative = strings.CutPrefix(text, "-")
	mantissa, exponent := text, ""
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		mantissa, exponent = text[:i], text[i+1:]
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits := strings.TrimLeft(whole+fraction, "0")
	d.point = len(whole) - (len(whole) + len(fraction) - len(digits))
	d.digits = strings.TrimRight(digits, "0")
	if d.digits == "" {
		return decimal{}, true // minus zero is zero, whatever its exponent
	}
	if len(d.digits) > maxDigits {
		return decimal{}, false
	}
	if exponent == "" {
		return d, true
	}
	sign := 1
	if exponent[0] == '-' {
		sign = -1
	}
	exponent = strings.TrimLeft(strings.TrimLeft(exponent, "+-"), "0")
	if len(exponent) > 10 {
		return decimal{}, false
	}
	shift := 0
	for _, c := range []byte(exponent) {
		shift = 10*shift + int(c-'0')
	}
	d.point += sign * shift
	return d, -maxPoint <= d.point && d.point <= maxPoint
}

// integer tells whether the number has no fraction.
func (d *decimal) integer() bool { return len(d.digits) <= d.point }

// appendNumber appends a JSON number: the double that it is, or where that would lose an
// integer or the whole number, its exact value.
func appendNumber(dst []byte, text string) []byte {
	d, _ := readDecimal(text) // checked by decode
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsInf(f, 0) || f == 0 {
		return d.append(dst)
	}
	nearest, ok := readDecimal(strconv.FormatFloat(f, 'e', -1, 64))
	if !ok || d.integer() && (nearest.digits != d.digits || nearest.point != d.point) {
		return d.append(dst)
	}
	return nearest.append(dst)
}

// append lays out a number as ECMAScript does (Number::toString, for any number of
// digits): k digits, n the place of the point.
func (d *decimal) append(dst []byte) []byte {
	if d.digits == "" {
		return append(dst, '0')
	}
	if d.negative {
		dst = append(dst, '-')
	}
	k, n := len(d.digits), d.point
	switch {
	case k <= n && n <= 21:
		dst = append(dst, d.digits...)
		return append(dst, strings.Repeat("0", n-k)...)
	case 0 < n && n <= 21:
		dst = append(dst, d.digits[:n]...)
		dst = append(dst, '.')
		return append(dst, d.digits[n:]...)
	case -6 < n && n <= 0:
		dst = append(dst, "0."...)
		dst = append(dst, strings.Repeat("0", -n)...)
		return append(dst, d.digits...)
	}
	dst = append(dst, d.digits[0])
	if k > 1 {
		dst = append(dst, '.')
		dst = append(dst, d.digits[1:]...)
	}
	dst = append(dst, 'e')
	if n > 0 {
		dst = append(dst, '+')
	}
	return strconv.AppendInt(dst, int64(n-1), 10)
}
