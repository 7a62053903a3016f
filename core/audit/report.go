package audit

import (
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// Report is what Verify found. It marshals as JSON.
type Report struct {
	Time     time.Time `json:"time"` // when it began
	Trails   []Trail   `json:"trails"`
	Entries  int64     `json:"entries"`
	Anchors  int64     `json:"anchors"`
	Batches  int64     `json:"batches"` // of call records
	Calls    int64     `json:"calls"`   // records
	Faults   []Fault   `json:"faults"`
	More     int64     `json:"moreFaults"` // that were not kept; 0 = none
	Warnings []Fault   `json:"warnings"`   // worth a look, and no proof of anything
}

// Trail is what a report says of one replica. Its Head is worth keeping elsewhere: give
// it to the next Verify.
type Trail struct {
	Replica string `json:"replica"`
	First   int64  `json:"first"` // Seq of the first entry that is there; more than 1 when older ones were pruned
	Entries int64  `json:"entries"`
	Anchors int    `json:"anchors"`
	Head    Head   `json:"head"`
}

// OK tells whether everything fits.
func (r *Report) OK() bool { return len(r.Faults) == 0 && r.More == 0 }

// Heads returns where all trails end.
func (r *Report) Heads() []Head {
	heads := make([]Head, 0, len(r.Trails))
	for i := range r.Trails {
		heads = append(heads, r.Trails[i].Head)
	}
	return heads
}

// Text writes the report for people.
func (r *Report) Text(w io.Writer) error {
	out := &lines{w: w}
	out.print("checked %d entries in %d trails, %d anchors, %d call records in %d batches", r.Entries, len(r.Trails), r.Anchors, r.Calls, r.Batches)
	for i := range r.Trails {
		t := &r.Trails[i]
		out.print("trail %s: %d entries, %d to %d, %d anchors, head %s of %s", t.Replica, t.Entries, t.First, t.Head.Seq, t.Anchors, t.Head.Hash, t.Head.Time.Format(time.RFC3339))
	}
	for i := range r.Warnings {
		out.fault("warning", &r.Warnings[i])
	}
	for i := range r.Faults {
		out.fault("FAULT", &r.Faults[i])
	}
	switch {
	case r.OK():
		out.print("everything fits")
	case r.More > 0:
		out.print("%d faults, of which %d are listed", int64(len(r.Faults))+r.More, len(r.Faults))
	default:
		out.print("%d faults", len(r.Faults))
	}
	return out.err
}

// JSON writes the report for programs.
func (r *Report) JSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// lines writes lines until the first error.
type lines struct {
	w   io.Writer
	err error
}

func (l *lines) print(format string, args ...any) {
	if l.err == nil {
		_, l.err = fmt.Fprintf(l.w, format+"\n", args...)
	}
}

func (l *lines) fault(how string, f *Fault) {
	l.print("%s %s: trail %s, entry %d, %s: %s", how, f.Kind, f.Replica, f.Seq, f.Time.Format(time.RFC3339), f.Message)
}
