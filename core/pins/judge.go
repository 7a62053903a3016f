package pins

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/core"
)

// State is what became of a definition since it was approved.
type State string

// The states.
const (
	Unchanged State = "unchanged" // as approved
	Changed   State = "changed"   // not as approved
	New       State = "new"       // nobody approved it yet
	Gone      State = "gone"      // approved, and not offered any more; its pin stays
	Refused   State = "refused"   // cannot be read, or is offered twice in different ways; hidden under every policy
)

// The states of a core.Pin. Any other counts as not approved.
const (
	approved    = "approved"
	quarantined = "quarantined"
)

// Outcome is what Judge says of one definition.
type Outcome struct {
	Of    string
	Name  string
	State State
	// Show is the definition as clients get it, cleaned; nil = in no list, and its calls
	// are refused as those of something that is not there.
	Show json.RawMessage
	// Diff is from what was approved to what is offered; nil where the State is not
	// Changed.
	Diff *Diff
	// Findings are the characters in it that nobody sees, whatever the State.
	Findings []Finding
	// News tells that what is offered was not known before: a row of Judgement.Put keeps
	// it, so that the next judgement is silent. Never under Off.
	News bool
	Err  error // why it was Refused
}

// Judgement is what Judge says of a list, and what is to be written for it.
type Judgement struct {
	Outcomes []Outcome // as offered; then what is gone, by kind and name
	Put      []core.Pin
	Delete   []core.Pin
}

// Write puts and deletes the rows, within a change of a store. Another replica may have
// been faster: then the error is CodeChanged, CodeConflict or CodeNotFound, and the next
// judgement, on newer pins, will have nothing left to write.
func (j *Judgement) Write(ctx context.Context, tx core.Tx) error {
	for i := range j.Delete {
		if err := tx.Delete(ctx, &j.Delete[i]); err != nil {
			return err
		}
	}
	for i := range j.Put {
		if err := tx.Put(ctx, &j.Put[i]); err != nil {
			return err
		}
	}
	return nil
}

// Judge holds what a server (or upstream) of a tenant offers to its pins. offered is all
// that it offers: a list that could not be read to its end must not come here, because
// the rest would be gone. pins may hold those of others, which count for nothing. Nothing
// of what was given is kept but Definition.Raw.
//
// A definition that nobody approved and that is not offered any more leaves no row, so an
// upstream that makes up names fills no store.
func Judge(pins []core.Pin, tenant, server string, offered []Definition, policy Policy) *Judgement {
	c := court{tenant: tenant, server: server, policy: policy, known: map[called]*pair{}}
	for i := range pins {
		if p := &pins[i]; p.Tenant == tenant && p.Server == server {
			c.learn(p)
		}
	}
	heard := map[called]int{} // index of the outcome
	sums := map[called]string{}
	for i := range offered {
		d := &offered[i]
		at := called{d.Of, d.Name}
		text, err := c.read(d)
		if before, twice := heard[at]; twice {
			if err != nil || Sum(text) != sums[at] {
				c.Outcomes[before].Err = errTwice
			}
			continue
		}
		heard[at] = len(c.Outcomes)
		o := Outcome{Of: d.Of, Name: d.Name, Err: err}
		if err == nil {
			sums[at] = Sum(text)
		}
		c.texts = append(c.texts, text)
		c.raws = append(c.raws, d.Raw)
		c.Outcomes = append(c.Outcomes, o)
	}
	for i := range c.Outcomes {
		o := &c.Outcomes[i]
		c.hear(o, c.raws[i], string(c.texts[i]))
	}
	c.gone(heard)
	if policy == Off {
		c.Put, c.Delete = nil, nil
	}
	return &c.Judgement
}

var errTwice = &core.Error{
	Code: core.CodeConflict, Message: "the upstream offers two different definitions of one name", Fix: "it should offer one",
}

// called names a definition.
type called struct{ of, name string }

// pair is the rows of one name: the pin, and what waits beside it.
type pair struct{ pin, waits *core.Pin }

// court is one run of Judge.
type court struct {
	Judgement

	tenant, server string
	policy         Policy
	known          map[called]*pair
	texts          [][]byte // canonical, as Outcomes
	raws           []json.RawMessage
}

// learn files a row.
func (c *court) learn(p *core.Pin) {
	of, waits := strings.CutSuffix(p.Of, core.PinWaits)
	at := called{of, p.Name}
	rows := c.known[at]
	if rows == nil {
		rows = &pair{}
		c.known[at] = rows
	}
	if waits {
		rows.waits = p
	} else {
		rows.pin = p
	}
}

// read returns the text that the pin of a definition holds it to.
func (c *court) read(d *Definition) ([]byte, error) {
	again, err := Read(d.Of, d.Raw)
	if err != nil {
		return nil, err
	}
	if again.Name != d.Name {
		return nil, &core.Error{Code: core.CodeInvalid, Message: "a definition goes by a name that is not its own", Fix: "use Read"}
	}
	return d.pinned()
}

// approvedPin returns what was approved of a name; nil when nothing was. When what waited
// has been approved, it takes the place of the pin.
func (c *court) approvedPin(rows *pair) *core.Pin {
	if rows == nil {
		return nil
	}
	if w := rows.waits; w != nil && w.State == approved {
		p := *w
		p.Of = strings.TrimSuffix(w.Of, core.PinWaits)
		p.Stamp = core.Stamp{}
		if rows.pin != nil {
			p.Stamp = rows.pin.Stamp
		}
		c.Put, c.Delete = append(c.Put, p), append(c.Delete, *w)
		rows.pin, rows.waits = &p, nil
		return &p
	}
	if rows.pin != nil && rows.pin.State == approved {
		return rows.pin
	}
	return nil
}

// hear judges one definition.
func (c *court) hear(o *Outcome, raw json.RawMessage, text string) {
	at := called{o.Of, o.Name}
	if o.Err != nil {
		o.State = Refused
		return
	}
	clean, findings, err := Clean(o.Of, raw)
	if err != nil {
		o.State, o.Err = Refused, err
		return
	}
	o.Findings = findings
	sum := Sum([]byte(text))
	rows := c.known[at]
	base := c.approvedPin(rows)
	if rows == nil {
		rows = &pair{}
	}
	switch {
	case base == nil:
		o.State = New
		o.News = c.wait(rows.pin, o.Of, o.Name, text, sum)
		c.drop(rows.waits)
	case base.Sum == sum:
		o.State = Unchanged
		c.drop(rows.waits)
	default:
		o.State = Changed
		o.News = c.wait(rows.waits, o.Of+core.PinWaits, o.Name, text, sum)
		if o.Diff, err = Compare(json.RawMessage(base.Text), json.RawMessage(text)); err != nil {
			// The row does not hold what was approved. Its sum differs in any case.
			o.Diff = &Diff{Changes: []Change{{After: window(text, 0)}}}
		}
	}
	o.News = o.News && c.policy != Off
	if o.State == Unchanged || c.policy == Alert || c.policy == Off {
		o.Show = clean
	}
}

// wait puts a row that waits for somebody's approval, unless it is there already.
func (c *court) wait(row *core.Pin, of, name, text, sum string) bool {
	if row != nil && row.Sum == sum && row.State == quarantined {
		return false
	}
	p := core.Pin{Tenant: c.tenant, Server: c.server, Of: of, Name: name, Sum: sum, Text: text, State: quarantined}
	if row != nil {
		p.Stamp = row.Stamp
	}
	c.Put = append(c.Put, p)
	return true
}

// drop deletes a row of something that is not offered as it was.
func (c *court) drop(row *core.Pin) {
	if row != nil {
		c.Delete = append(c.Delete, *row)
	}
}

// gone tells of what was approved and is not offered, and drops what waited.
func (c *court) gone(heard map[called]int) {
	var missing []called
	for at := range c.known {
		if _, there := heard[at]; !there {
			missing = append(missing, at)
		}
	}
	slices.SortFunc(missing, func(a, b called) int { return cmp.Or(cmp.Compare(a.of, b.of), cmp.Compare(a.name, b.name)) })
	for _, at := range missing {
		rows := c.known[at]
		if c.approvedPin(rows) != nil {
			c.Outcomes = append(c.Outcomes, Outcome{Of: at.of, Name: at.name, State: Gone})
		} else {
			c.drop(rows.pin)
		}
		c.drop(rows.waits)
	}
}
