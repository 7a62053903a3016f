package audit

import (
	"cmp"
	"container/heap"
	"crypto/hmac"
	"fmt"
	"slices"
	"time"

	"github.com/sallyport/sallyport/core"
)

// Head is a place in a trail that somebody remembers: an anchor, a line of a log, the
// last report.
type Head struct {
	Replica string    `json:"replica"`
	Seq     int64     `json:"seq"`
	Hash    string    `json:"hash"`
	Time    time.Time `json:"time"`
}

// link is what checking keeps of an entry.
type link struct {
	seq        int64
	time       time.Time
	prev, hash string
	fits       bool // its hash is that of its fields
}

// links is a heap of them, the lowest Seq first: stores list entries by time, and two
// that were written at once may have changed places.
type links []link

func (l links) Len() int           { return len(l) }
func (l links) Less(i, j int) bool { return l[i].seq < l[j].seq }
func (l links) Swap(i, j int)      { l[i], l[j] = l[j], l[i] }

// Push is for package heap.
func (l *links) Push(x any) { *l = append(*l, x.(link)) }

// Pop is for package heap.
func (l *links) Pop() any {
	old := *l
	last := old[len(old)-1]
	*l = old[:len(old)-1]
	return last
}

// waiting is how many places an entry may come too early or too late.
const waiting = 256

// mostSuspects is how many entries of a trail that do not fit are held against each
// other's places; further ones are just edited.
const mostSuspects = 64

// trail checks the entries of one replica.
type trail struct {
	key        []byte
	replica    string
	hash       func([]byte, *core.AuditEntry) string // Hash; a test of the tests puts another one here
	anchors    []core.Anchor                         // of the replica, by Seq
	pins       []Head                                // by Seq; what must be there
	partial    bool                                  // entries were left out on purpose: gaps are none
	unanchored bool                                  // there is something else that says where it begins and ends
	wait       links
	entries    int64
	first      link
	last       link
	suspects   []core.AuditEntry
	gaps       []int64
	faults     faults
}

// add takes the next entry.
func (t *trail) add(e *core.AuditEntry) (fits bool) {
	fits = hmac.Equal([]byte(t.hash(t.key, e)), []byte(e.Hash))
	if !fits {
		if len(t.suspects) < mostSuspects {
			t.suspects = append(t.suspects, *e)
		} else {
			t.faults.add(t.edited(e))
		}
	}
	heap.Push(&t.wait, link{e.Seq, e.Time, e.Prev, e.Hash, fits})
	if len(t.wait) > waiting {
		t.follow(heap.Pop(&t.wait).(link))
	}
	return fits
}

// follow checks an entry against the one before.
func (t *trail) follow(l link) {
	t.entries++
	before := t.last
	switch {
	case t.entries == 1:
		t.first = l
	case l.seq == before.seq:
		kind, message := FaultDuplicate, "stands there twice"
		if l.fits != before.fits {
			kind, message = FaultInserted, "two entries have this place, and one of them fits"
		}
		t.fault(kind, l, 1, message)
		if before.fits && !l.fits {
			return // the one that fits goes on
		}
	case l.seq < before.seq:
		t.fault(FaultReordered, l, 1, "comes far after entries that were written later")
		return
	case l.seq > before.seq+1:
		if !t.partial {
			missing := l.seq - before.seq - 1
			t.missing(Fault{
				Kind: FaultDeleted, Replica: t.replica, Seq: before.seq + 1, Count: missing, Time: before.time,
				Message: fmt.Sprintf("%d entries before %d are missing", missing, l.seq),
			})
		}
		if len(t.gaps) < mostSuspects {
			t.gaps = append(t.gaps, before.seq+1, l.seq-1)
		}
	case l.prev != before.hash && l.fits && before.fits:
		t.fault(FaultInserted, l, 1, "does not follow the entry before, though both are ours: the trail forked, or an old copy was put in its place")
	}
	for len(t.pins) > 0 && t.pins[0].Seq <= l.seq {
		pin := t.pins[0]
		t.pins = t.pins[1:]
		if pin.Seq == l.seq && pin.Hash != l.hash && l.fits {
			t.fault(FaultTruncated, l, 1, "is another entry than an anchor saw there: the trail was cut before it, and written anew")
		}
	}
	t.last = l
}

func (t *trail) fault(kind string, l link, count int64, message string) {
	t.faults.add(Fault{Kind: kind, Replica: t.replica, Seq: l.seq, Count: count, Time: l.time, Message: message})
}

// missing adds a fault of entries that are not there, which is none when they were pruned.
// Pruning goes up to an anchor that is older than what an entry of the trail says; where
// it was interrupted, some of those before are still there.
func (t *trail) missing(f Fault) {
	last := f.Seq + f.Count - 1
	at := slices.IndexFunc(t.anchors, func(a core.Anchor) bool { return a.Seq >= last })
	if at >= 0 {
		f.expired, f.oldest = ActionAuditPruned, t.anchors[at].Time
	}
	t.faults.add(f)
}

// end checks what only the whole trail tells.
func (t *trail) end() {
	for len(t.wait) > 0 {
		t.follow(heap.Pop(&t.wait).(link))
	}
	t.judge()
	if t.unanchored {
		return
	}
	if t.entries > 0 {
		t.begin()
	}
	if len(t.pins) == 0 {
		return
	}
	pin := slices.MaxFunc(t.pins, func(a, b Head) int { return cmp.Compare(a.Seq, b.Seq) })
	one := Fault{
		Kind: FaultTruncated, Replica: t.replica, Seq: t.last.seq + 1, Count: pin.Seq - t.last.seq, Time: pin.Time,
		Message: fmt.Sprintf("the trail went on to %d, as an anchor says, and ends before it", pin.Seq),
	}
	if t.entries == 0 { // all of it is gone: it may just be old
		one.Seq, one.Count = 1, pin.Seq
		one.expired, one.oldest = ActionAuditPruned, pin.Time
	}
	t.faults.add(one)
}

// begin checks where the trail begins.
func (t *trail) begin() {
	if t.first.seq == 1 {
		if t.first.prev != "" && t.first.fits {
			t.fault(FaultInserted, t.first, 1, "is the first entry, and follows another")
		}
		return
	}
	for i := range t.anchors {
		if a := &t.anchors[i]; a.Seq == t.first.seq-1 && a.Hash != t.first.prev && t.first.fits {
			t.fault(FaultInserted, t.first, 1, "does not follow the entry that an anchor saw before it")
		}
	}
	t.missing(Fault{
		Kind: FaultDeleted, Replica: t.replica, Seq: 1, Count: t.first.seq - 1, Time: t.first.time,
		Message: fmt.Sprintf("%d entries before %d are missing, and nothing says that they were pruned", t.first.seq-1, t.first.seq),
	})
}

// judge says what the entries that do not fit are.
func (t *trail) judge() {
	places := slices.Clone(t.gaps)
	for i := range t.suspects {
		places = append(places, t.suspects[i].Seq)
	}
	for i := range t.suspects {
		e := t.suspects[i]
		moved := slices.IndexFunc(places, func(seq int64) bool {
			there := e
			there.Seq = seq
			return seq != e.Seq && hmac.Equal([]byte(t.hash(t.key, &there)), []byte(e.Hash))
		})
		switch {
		case moved >= 0:
			t.faults.add(Fault{
				Kind: FaultReordered, Replica: t.replica, Seq: e.Seq, Count: 1, Time: e.Time,
				Message: fmt.Sprintf("was written as entry %d", places[moved]),
			})
		case e.Seq == t.last.seq && len(e.Hash) < len(t.hash(t.key, &e)):
			t.faults.add(Fault{
				Kind: FaultTorn, Replica: t.replica, Seq: e.Seq, Count: 1, Time: e.Time,
				Message: "is the last entry, and its hash is not whole",
			})
		default:
			t.faults.add(t.edited(&e))
		}
	}
}

func (t *trail) edited(e *core.AuditEntry) Fault {
	return Fault{
		Kind: FaultEdited, Replica: t.replica, Seq: e.Seq, Count: 1, Time: e.Time,
		Message: "does not fit its hash: it was changed, or written by somebody without the key",
	}
}
