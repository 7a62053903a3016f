package config

import (
	"errors"
	"strconv"
	"strings"
)

// Size is a number of bytes.
type Size int64

var units = []struct {
	name string
	of   Size
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}

// String writes the size in the largest unit that divides it.
func (s Size) String() string {
	for _, unit := range units {
		if s != 0 && s%unit.of == 0 {
			return strconv.FormatInt(int64(s/unit.of), 10) + unit.name
		}
	}
	return "0B"
}

// ParseSize reads digits and a unit (B, KiB, MiB, GiB); without a unit they are
// bytes.
func ParseSize(text string) (Size, error) {
	digits, factor := text, Size(1)
	for _, unit := range units {
		if before, found := strings.CutSuffix(text, unit.name); found {
			digits, factor = strings.TrimSuffix(before, " "), unit.of
			break
		}
	}
	n, err := strconv.ParseUint(digits, 10, 50)
	if err != nil || digits[0] == '+' || n > 1<<50/uint64(factor) {
		return 0, errors.New("not a size")
	}
	return Size(n) * factor, nil
}
