package audit

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// The kinds of faults.
const (
	FaultEdited    = "edited"    // an entry, or call records, do not fit their hash
	FaultDeleted   = "deleted"   // entries, or call records, are missing
	FaultReordered = "reordered" // an entry stands elsewhere than it was written
	FaultInserted  = "inserted"  // an entry, or call records, that nobody wrote there
	FaultDuplicate = "duplicate" // one place has two entries
	FaultTruncated = "truncated" // the end of a trail is missing, or was written anew
	FaultTorn      = "torn"      // the last thing before a stop is not whole
	FaultStray     = "stray"     // call records whose batch is in no trail: inserted, or what told of them was cut off
	FaultAnchor    = "anchor"    // an anchor is not ours
)

// Fault is something that does not fit.
type Fault struct {
	Kind    string    `json:"kind"`
	Replica string    `json:"replica"`
	Seq     int64     `json:"seq,omitempty"` // of the entry, the first one that is missing, or the batch of calls
	Count   int64     `json:"count"`         // how many entries or call records it is about
	Time    time.Time `json:"time"`          // of the entry, or of the nearest one that is there
	Message string    `json:"message"`

	// expired is set where pruning explains the fault: it is none when what is missing
	// was older than what horizon says of the action.
	expired string
	oldest  time.Time
}

// faults collects, up to a bound.
type faults struct {
	list []Fault
	more int64 // beyond the bound
}

const mostFaults = 1000

func (f *faults) add(one Fault) {
	if len(f.list) >= mostFaults {
		f.more++
		return
	}
	f.list = append(f.list, one)
}

func (f *faults) all(other *faults) {
	for _, one := range other.list {
		f.add(one)
	}
	f.more += other.more
}

func (f *faults) sorted() []Fault {
	slices.SortStableFunc(f.list, func(a, b Fault) int {
		return cmp.Or(strings.Compare(a.Replica, b.Replica), cmp.Compare(a.Seq, b.Seq), strings.Compare(a.Kind, b.Kind))
	})
	return f.list
}

func (f *faults) has(kinds ...string) bool {
	return slices.ContainsFunc(f.list, func(one Fault) bool { return slices.Contains(kinds, one.Kind) })
}
