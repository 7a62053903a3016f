package audit

import (
	"context"
	"sync"
	"time"

	"github.com/sallyport/sallyport/core"
)

// The kinds of events.
const (
	EventCall  = "call"
	EventAudit = "audit"
	EventLost  = "lost" // events were left out, because the subscriber is slow or comes back late
)

// Event is one thing that a Feed tells. What it points to is nobody's to change.
type Event struct {
	ID    int64            `json:"id"` // rises, also over a restart
	Kind  string           `json:"kind"`
	Call  *core.CallRecord `json:"call,omitempty"`
	Audit *core.AuditEntry `json:"audit,omitempty"`
	Lost  int64            `json:"lost,omitempty"` // how many; -1 = nobody knows
}

const (
	feedKeeps  = 1000 // events for those who come back
	feedQueues = 256  // events for each subscriber
)

// Feed tells subscribers of call records and audit entries of this replica, as they
// come. It keeps the last 1,000 for whoever comes back, and waits for nobody.
type Feed struct {
	mu    sync.Mutex
	ring  []Event // up to feedKeeps; the oldest stands at start
	start int
	first int64 // id of the first event of this process
	last  int64
	subs  map[*subscription]struct{}
}

// NewFeed returns a feed. now makes its ids rise over restarts; nil = time.Now.
func NewFeed(now func() time.Time) *Feed {
	if now == nil {
		now = time.Now
	}
	begin := now().UnixMicro()
	return &Feed{first: begin + 1, last: begin, subs: map[*subscription]struct{}{}}
}

// Last returns the id of the newest event.
func (f *Feed) Last() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.last
}

// Audit tells of an entry that is in the trail.
func (f *Feed) Audit(entry *core.AuditEntry) {
	one := *entry
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tell(Event{Kind: EventAudit, Audit: &one})
}

// calls tells of records that have their ids.
func (f *Feed) calls(slots []slot) {
	if len(slots) == 0 {
		return
	}
	records := make([]core.CallRecord, len(slots))
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range slots {
		records[i] = slots[i].record
		f.tell(Event{Kind: EventCall, Call: &records[i]})
	}
}

// tell is called with f.mu.
func (f *Feed) tell(e Event) {
	f.last++
	e.ID = f.last
	if len(f.ring) < feedKeeps {
		f.ring = append(f.ring, e)
	} else {
		f.ring[f.start] = e
		f.start = (f.start + 1) % feedKeeps
	}
	for s := range f.subs {
		s.offer(e)
	}
}

// Subscribe calls call, in a goroutine of its own and one event at a time, for each event
// that filter lets pass (nil = all): first for those after the id after that are still
// kept (0 = none of them), then for new ones, until stop. filter must be quick. stop
// returns when call is not running and will not be called again; call must not call it.
func (f *Feed) Subscribe(after int64, filter func(*Event) bool, call func(Event)) (stop func()) {
	s := &subscription{filter: filter, queue: make(chan Event, feedQueues), quit: make(chan struct{}), over: make(chan struct{})}
	f.mu.Lock()
	if after > 0 {
		s.resume(f, after)
	}
	f.subs[s] = struct{}{}
	f.mu.Unlock()
	go s.run(call)
	return sync.OnceFunc(func() {
		f.mu.Lock()
		delete(f.subs, s)
		f.mu.Unlock()
		close(s.quit)
		<-s.over
	})
}

type subscription struct {
	filter func(*Event) bool
	before []Event // what it missed
	queue  chan Event
	mu     sync.Mutex
	lost   int64
	quit   chan struct{}
	over   chan struct{}
}

// resume finds what came after the last event that the subscriber saw.
func (s *subscription) resume(f *Feed, after int64) {
	oldest := f.last + 1 - int64(len(f.ring))
	switch {
	case after < f.first-1: // of another process: what came between is not known
		s.before = append(s.before, Event{ID: max(oldest-1, after), Kind: EventLost, Lost: -1})
	case after < oldest-1:
		s.before = append(s.before, Event{ID: oldest - 1, Kind: EventLost, Lost: oldest - 1 - after})
	}
	for i := range f.ring {
		e := f.ring[(f.start+i)%len(f.ring)]
		if e.ID > after && s.passes(&e) {
			s.before = append(s.before, e)
		}
	}
}

func (s *subscription) passes(e *Event) bool { return s.filter == nil || s.filter(e) }

// offer gives it an event, or counts it as lost.
func (s *subscription) offer(e Event) {
	if !s.passes(&e) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lost == 0 {
		select {
		case s.queue <- e:
			return
		default: // full
		}
	}
	s.lost++ // what comes after a gap waits until the gap is told
}

func (s *subscription) run(call func(Event)) {
	defer close(s.over)
	for _, e := range s.before {
		select {
		case <-s.quit:
			return
		default:
		}
		call(e)
	}
	s.before = nil
	var last int64
	for {
		select {
		case <-s.quit:
			return
		case e := <-s.queue:
			call(e)
			last = e.ID
		}
		s.mu.Lock()
		lost := s.lost
		if len(s.queue) == 0 {
			s.lost = 0
		} else {
			lost = 0
		}
		s.mu.Unlock()
		if lost > 0 {
			call(Event{ID: last, Kind: EventLost, Lost: lost})
		}
	}
}

// Watch returns a store that tells the feed of each entry that it adds to the trail.
func (f *Feed) Watch(store core.Store) core.Store { return &watched{store, f} }

type watched struct {
	core.Store
	feed *Feed
}

// Change tells of its entry when it is in the trail.
func (w *watched) Change(ctx context.Context, entry *core.AuditEntry, do func(ctx context.Context, tx core.Tx) error) error {
	if err := w.Store.Change(ctx, entry, do); err != nil {
		return err
	}
	if entry != nil {
		w.feed.Audit(entry)
	}
	return nil
}

// Audit tells of its entries.
func (w *watched) Audit(ctx context.Context, entries ...*core.AuditEntry) error {
	if err := w.Store.Audit(ctx, entries...); err != nil {
		return err
	}
	for _, entry := range entries {
		w.feed.Audit(entry)
	}
	return nil
}

// Append tells of the entries among rows.
func (w *watched) Append(ctx context.Context, rows ...core.Row) error {
	if err := w.Store.Append(ctx, rows...); err != nil {
		return err
	}
	for _, row := range rows {
		if entry, ok := row.(*core.AuditEntry); ok {
			w.feed.Audit(entry)
		}
	}
	return nil
}

var _ core.Store = (*watched)(nil)
