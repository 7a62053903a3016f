package pins

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Diff is how two definitions differ, for people.
type Diff struct {
	// Changes stand in the order of the canonical text, elements in that of the list; at
	// most 100 of them.
	Changes []Change `json:"changes"`
	Left    int      `json:"left,omitempty"` // how many more there are
}

// Change is one difference. Before and After are canonical JSON, "" for what is not
// there, around the first character that differs and at most 200 characters long. What
// nobody sees is written as \u{200b}.
type Change struct {
	Pointer string `json:"pointer"` // JSON Pointer (RFC 6901) into the newer definition, of a removed part into the older; "" = the whole
	Before  string `json:"before"`
	After   string `json:"after"`
}

const (
	maxChanges = 100
	maxText    = 200 // characters
	maxPointer = 400 // characters
	lead       = 40  // characters before the first that differs
	maxAligned = 128 // elements of a list that are compared with each of the other
)

// Compare says how two definitions differ. Errors are those of Canonical.
func Compare(older, newer json.RawMessage) (*Diff, error) {
	before, err := decode(older)
	if err != nil {
		return nil, err
	}
	after, err := decode(newer)
	if err != nil {
		return nil, err
	}
	d := &Diff{Changes: []Change{}}
	d.values("", before, after)
	return d, nil
}

// absent is what a value is where there is none.
type absent struct{}

func (d *Diff) add(pointer string, before, after any) {
	if len(d.Changes) == maxChanges {
		d.Left++
		return
	}
	x, y := textOf(before), textOf(after)
	from := 0
	if x != "" && y != "" {
		from = same(x, y)
	}
	d.Changes = append(d.Changes, Change{Pointer: clip(visible(pointer), maxPointer), Before: window(x, from), After: window(y, from)})
}

// textOf writes a value for a Change.
func textOf(value any) string {
	if value == any(absent{}) {
		return ""
	}
	return string(appendCanonical(nil, value))
}

// same returns how many bytes two texts have in common at their beginning, in whole
// characters.
func same(x, y string) int {
	i := 0
	for i < len(x) && i < len(y) && x[i] == y[i] {
		i++
	}
	for i > 0 && i < len(x) && !utf8.RuneStart(x[i]) || i > 0 && i < len(y) && !utf8.RuneStart(y[i]) {
		i--
	}
	return i
}

// window cuts out what is shown of a text of which the bytes from on are of interest.
func window(s string, from int) string {
	if utf8.RuneCountInString(s) <= maxText {
		return clip(visible(s), maxText)
	}
	from = min(from, len(s))
	for n := 0; n < lead && from > 0; n++ {
		_, size := utf8.DecodeLastRuneInString(s[:from])
		from -= size
	}
	if from == 0 {
		return clip(visible(head(s)), maxText)
	}
	return "…" + clip(visible(head(s[from:])), maxText-1)
}

// head cuts a text before it is made longer by visible.
func head(s string) string {
	n := 0
	for i := range s {
		if n > maxText {
			return s[:i]
		}
		n++
	}
	return s
}

func (d *Diff) values(pointer string, before, after any) {
	switch x := before.(type) {
	case map[string]any:
		if y, ok := after.(map[string]any); ok {
			d.objects(pointer, x, y)
			return
		}
	case []any:
		if y, ok := after.([]any); ok {
			d.lists(pointer, x, y)
			return
		}
	}
	if textOf(before) != textOf(after) {
		d.add(pointer, before, after)
	}
}

func (d *Diff) objects(pointer string, before, after map[string]any) {
	names := namesOf(before)
	for name := range after {
		if _, both := before[name]; !both {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, compareUTF16)
	for _, name := range names {
		at := pointer + "/" + pointerEscapes.Replace(name)
		x, was := before[name]
		y, is := after[name]
		switch {
		case !was:
			d.add(at, absent{}, y)
		case !is:
			d.add(at, x, absent{})
		default:
			d.values(at, x, y)
		}
	}
}

// lists compares two lists. Elements that are in both, in the same order, are no change
// where others came or went between them.
func (d *Diff) lists(pointer string, before, after []any) {
	at := func(i int) string { return pointer + "/" + strconv.Itoa(i) }
	i, j := 0, 0
	gap := func(toI, toJ int) {
		for i < toI && j < toJ { // what stands in the place of something is a change of it
			d.values(at(j), before[i], after[j])
			i, j = i+1, j+1
		}
		for ; i < toI; i++ {
			d.add(at(i), before[i], absent{})
		}
		for ; j < toJ; j++ {
			d.add(at(j), absent{}, after[j])
		}
	}
	for _, both := range aligned(before, after) {
		gap(both[0], both[1])
		i, j = i+1, j+1
	}
	gap(len(before), len(after))
}

// aligned returns the indices of a longest common subsequence.
func aligned(before, after []any) [][2]int {
	if len(before) > maxAligned || len(after) > maxAligned {
		return nil
	}
	known := map[string]int{}
	number := func(list []any) []int {
		numbers := make([]int, len(list))
		for i, element := range list {
			text := textOf(element)
			n, ok := known[text]
			if !ok {
				n = len(known)
				known[text] = n
			}
			numbers[i] = n
		}
		return numbers
	}
	x, y := number(before), number(after)
	longest := make([][]int, len(x)+1) // of what follows i and j
	for i := range longest {
		longest[i] = make([]int, len(y)+1)
	}
	for i := range slices.Backward(x) {
		for j := range slices.Backward(y) {
			longest[i][j] = max(longest[i+1][j], longest[i][j+1])
			if x[i] == y[j] {
				longest[i][j] = longest[i+1][j+1] + 1
			}
		}
	}
	var pairs [][2]int
	for i, j := 0, 0; i < len(x) && j < len(y); {
		switch {
		case x[i] == y[j]:
			pairs = append(pairs, [2]int{i, j})
			i, j = i+1, j+1
		case longest[i+1][j] >= longest[i][j+1]:
			i++
		default:
			j++
		}
	}
	return pairs
}

// String writes the changes as lines: "/title: "a" → "b"".
func (d *Diff) String() string {
	var b strings.Builder
	for _, c := range d.Changes {
		where := c.Pointer
		if where == "" {
			where = "/"
		}
		switch {
		case c.Before == "":
			b.WriteString("+ " + where + ": " + c.After)
		case c.After == "":
			b.WriteString("- " + where + ": " + c.Before)
		default:
			b.WriteString("~ " + where + ": " + c.Before + " → " + c.After)
		}
		b.WriteByte('\n')
	}
	if d.Left > 0 {
		b.WriteString("… and " + strconv.Itoa(d.Left) + " more\n")
	}
	return b.String()
}
