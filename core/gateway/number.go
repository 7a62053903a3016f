package gateway

import (
	"math"
	"math/big"
	"strconv"
)

// quickNumber is a number that can be compared without arithmetic on big ones: an
// integer of up to 15 digits, exactly, or else as near as a float64 comes.
type quickNumber struct {
	whole   bool
	integer int64
	near    float64
}

const exactDigits = 15

func readNumber(text string) (quickNumber, bool) {
	if len(text) <= exactDigits {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return quickNumber{whole: true, integer: n, near: float64(n)}, true
		}
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsInf(f, 0) {
		return quickNumber{}, false
	}
	return quickNumber{near: f}, true
}

// bound is a limit of a schema.
type bound struct{ quickNumber }

func boundOf(r *big.Rat) *bound {
	if r == nil {
		return nil
	}
	f, _ := r.Float64()
	b := &bound{quickNumber{near: f}}
	if r.IsInt() && r.Num().IsInt64() && len(r.Num().String()) <= exactDigits {
		b.whole, b.integer = true, r.Num().Int64()
	}
	return b
}

// order tells whether n is below (-1), at (0) or above (1) the bound. It does not
// know where rounding could decide.
func (b *bound) order(n quickNumber) (int, bool) {
	if n.whole && b.whole {
		switch {
		case n.integer < b.integer:
			return -1, true
		case n.integer > b.integer:
			return 1, true
		}
		return 0, true
	}
	if math.IsInf(b.near, 0) || math.Abs(n.near-b.near) <= 1e-9*(math.Abs(n.near)+math.Abs(b.near)) {
		return 0, false
	}
	if n.near < b.near {
		return -1, true
	}
	return 1, true
}
