package documents

import (
	"fmt"
	"strconv"
	"strings"
)

// The bounds of a text diff: beyond them it says that all between the first and the last
// difference changed, which is right, only less helpful.
const (
	maxSteps   = 20_000_000 // comparisons
	maxEdits   = 1500       // lines added and removed that a shortest way is looked for
	maxUnified = 256 << 10  // bytes of output
	around     = 3          // lines shown before and behind a difference
)

// span is a part of two lists of lines: those of a from a1 to a2, in the place of which
// stand those of b from b1 to b2.
type span struct{ a1, a2, b1, b2 int }

// unified returns the difference of two texts as `diff -u` writes it; "" when they are the
// same. cut tells that it is longer than what is returned.
func unified(from, to, a, b string) (text string, cut bool) {
	if a == b {
		return "", false
	}
	x, y := split(a), split(b)
	spans := differences(x, y)
	w := &strings.Builder{}
	fmt.Fprintf(w, "--- %s\n+++ %s\n", from, to)
	for i := 0; i < len(spans); {
		j := i + 1
		for j < len(spans) && spans[j].a1-spans[j-1].a2 <= 2*around {
			j++
		}
		if !hunk(w, x, y, spans[i:j]) {
			return w.String(), true
		}
		i = j
	}
	return w.String(), false
}

// hunk writes differences that stand near each other. It is false when there is no more
// room.
func hunk(w *strings.Builder, x, y []string, spans []span) bool {
	first, last := spans[0], spans[len(spans)-1]
	before := min(around, first.a1)
	behind := min(around, len(x)-last.a2)
	fmt.Fprintf(w, "@@ -%s +%s @@\n", extent(first.a1-before, last.a2+behind), extent(first.b1-before, last.b2+behind))
	at := first.a1 - before
	for _, s := range spans {
		if !lines(w, ' ', x[at:s.a1]) || !lines(w, '-', x[s.a1:s.a2]) || !lines(w, '+', y[s.b1:s.b2]) {
			return false
		}
		at = s.a2
	}
	return lines(w, ' ', x[at:at+behind])
}

func extent(from, to int) string {
	switch to - from {
	case 0:
		return fmt.Sprintf("%d,0", from)
	case 1:
		return strconv.Itoa(from + 1)
	}
	return fmt.Sprintf("%d,%d", from+1, to-from)
}

func lines(w *strings.Builder, mark byte, list []string) bool {
	for _, line := range list {
		if w.Len()+len(line) > maxUnified {
			return false
		}
		w.WriteByte(mark)
		w.WriteString(line)
		if !strings.HasSuffix(line, "\n") {
			w.WriteString("\n\\ No newline at end of file\n")
		}
	}
	return true
}

// split returns the lines of a text, each with its end.
func split(text string) []string {
	list := strings.SplitAfter(text, "\n")
	if list[len(list)-1] == "" {
		list = list[:len(list)-1]
	}
	return list
}

// differences returns where two lists of lines differ, by the algorithm of Myers (An O(ND)
// difference algorithm, 1986), within bounds.
func differences(x, y []string) []span {
	numbers := map[string]int32{}
	number := func(list []string) []int32 {
		all := make([]int32, len(list))
		for i, line := range list {
			n, known := numbers[line]
			if !known {
				n = int32(len(numbers))
				numbers[line] = n
			}
			all[i] = n
		}
		return all
	}
	a, b := number(x), number(y)
	start := 0
	for start < len(a) && start < len(b) && a[start] == b[start] {
		start++
	}
	end := 0
	for end < len(a)-start && end < len(b)-start && a[len(a)-1-end] == b[len(b)-1-end] {
		end++
	}
	a, b = a[start:len(a)-end], b[start:len(b)-end]
	if len(a) == 0 && len(b) == 0 {
		return nil
	}
	spans, found := shortest(a, b)
	if !found {
		spans = []span{{0, len(a), 0, len(b)}}
	}
	for i := range spans {
		s := &spans[i]
		s.a1, s.a2, s.b1, s.b2 = s.a1+start, s.a2+start, s.b1+start, s.b2+start
	}
	return spans
}

// shortest finds a shortest way from a to b; false when that would take too long.
func shortest(a, b []int32) ([]span, bool) {
	n, m := len(a), len(b)
	if n == 0 || m == 0 {
		return []span{{0, n, 0, m}}, true
	}
	most := min(n+m, maxEdits)
	furthest := make([]int32, 2*most+3) // by diagonal k, at k+most+1
	var trail [][]int32
	steps := 0
	for d := 0; d <= most; d++ {
		trail = append(trail, append([]int32(nil), furthest[most+1-d:most+2+d]...))
		for k := -d; k <= d; k += 2 {
			at := k + most + 1
			var i int
			if k == -d || k != d && furthest[at-1] < furthest[at+1] {
				i = int(furthest[at+1])
			} else {
				i = int(furthest[at-1]) + 1
			}
			j := i - k
			for i < n && j < m && a[i] == b[j] {
				i, j, steps = i+1, j+1, steps+1
			}
			furthest[at] = int32(i)
			if i >= n && j >= m {
				return walk(trail, n, m), true
			}
		}
		if steps += d; steps > maxSteps {
			return nil, false
		}
	}
	return nil, false
}

// walk goes a found way back and gathers where it leaves the diagonal. trail[d] is what was
// reached before step d, on the diagonals from -d to d.
func walk(trail [][]int32, i, j int) []span {
	var back []span
	for d := len(trail) - 1; d > 0; d-- {
		reached := func(k int) int {
			if k < -d || k > d {
				return -1
			}
			return int(trail[d][k+d])
		}
		k := i - j
		before := k - 1
		if k == -d || k != d && reached(k-1) < reached(k+1) {
			before = k + 1
		}
		pi := reached(before)
		pj := pi - before
		for i > pi && j > pj { // the diagonal behind the edit
			i, j = i-1, j-1
		}
		edit := span{pi, i, pj, j}
		if len(back) > 0 && back[len(back)-1].a1 == edit.a2 && back[len(back)-1].b1 == edit.b2 {
			back[len(back)-1].a1, back[len(back)-1].b1 = edit.a1, edit.b1
		} else {
			back = append(back, edit)
		}
		i, j = pi, pj
	}
	spans := make([]span, len(back))
	for n := range back {
		spans[len(back)-1-n] = back[n]
	}
	return spans
}
