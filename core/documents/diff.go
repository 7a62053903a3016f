package documents

import (
	"context"
	"fmt"
)

// Side is one of the two texts of a Diff.
type Side struct {
	Ref    string `json:"ref"`           // as Ref.String writes it
	Number int64  `json:"number"`        // of a version; 0 = a draft, or nothing
	There  bool   `json:"there"`         // false: at that point there is no document
	Size   int    `json:"size"`          // bytes
	Sum    string `json:"sum,omitempty"` // SHA-256 of the text, hexadecimal
}

// Diff is how two texts of a document differ.
type Diff struct {
	Name string `json:"name"`
	From Side   `json:"from"`
	To   Side   `json:"to"`
	// Changes is what differs in what they mean; nil where one of them is not YAML (see
	// Unread). Left is how many more there are.
	Changes []Change `json:"changes"`
	Left    int      `json:"left,omitempty"`
	Unread  string   `json:"unread,omitempty"` // from or to: which of them is not YAML
	// Text is the difference as `diff -u` writes it; Cut tells that it goes on.
	Text string `json:"text"`
	Cut  bool   `json:"cut,omitempty"`
	// Affected compares the tenant with the one text and with the other, everything else
	// as it is served now.
	Affected Affected `json:"affected"`
}

// Diff compares two texts of a document.
func (d *Desk) Diff(ctx context.Context, tenant, name string, from, to Ref) (*Diff, error) {
	s, err := d.snapshot(ctx, tenant)
	if err != nil {
		return nil, err
	}
	diff := &Diff{Name: name}
	var changes [2]change
	known := s.documents[name] != nil
	for i, ref := range []Ref{from, to} {
		text, number, there, err := d.text(ctx, tenant, name, ref)
		if err != nil {
			return nil, err
		}
		side := Side{Ref: ref.String(), Number: number, There: there}
		if there {
			side.Size, side.Sum = len(text), sumOf(text)
			known = true
		} else {
			text = ""
		}
		changes[i] = change{name: name, text: text, delete: !there}
		if i == 0 {
			diff.From = side
		} else {
			diff.To = side
		}
	}
	if _, err := d.Draft(ctx, tenant, name); !known && err != nil {
		return nil, missing(name)
	}
	d.fill(diff, changes[0], changes[1])
	diff.Affected = d.affected(s.served(changes[0]), s.served(changes[1]))
	return diff, nil
}

// fill compares two texts.
func (d *Desk) fill(diff *Diff, from, to change) {
	diff.Text, diff.Cut = unified(label(diff.Name, diff.From), label(diff.Name, diff.To), from.text, to.text)
	a, okA := d.tree(from)
	b, okB := d.tree(to)
	switch {
	case !okA:
		diff.Unread = "from"
	case !okB:
		diff.Unread = "to"
	default:
		diff.Changes, diff.Left = compare(a, b)
	}
}

// tree reads a text; false when it is not YAML. One that is not there is nil.
func (d *Desk) tree(c change) (*node, bool) {
	if c.delete {
		return nil, true
	}
	tree, hidden, _ := d.o.Parse(c.name+".yaml", []byte(c.text))
	n := parse(tree, hidden)
	return n, n != nil
}

func label(name string, side Side) string {
	if !side.There {
		return "/dev/null"
	}
	if side.Number > 0 {
		return fmt.Sprintf("%s.yaml (version %d)", name, side.Number)
	}
	return fmt.Sprintf("%s.yaml (%s)", name, side.Ref)
}
