package mcp

import (
	"bytes"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// The kinds of trail; the first letter of its id.
const (
	postTrail = 'p' // answers one POST
	getTrail  = 'g' // the standalone stream of a GET
)

// trail is one SSE stream of a session that can be taken up again: its events are
// numbered, and the session keeps the last ones. It goes on while nobody listens.
type trail struct {
	id    string
	owner *Session

	mu     sync.Mutex
	seq    int    // of the last event
	live   Stream // nil while nobody listens
	away   bool   // live was opened by a GET, and outlives its request
	lease  int    // counts the streams this trail has had
	done   bool   // nothing follows
	unseen []byte // the last message nobody listened to

	listening atomic.Bool // live is set; readable without mu

	kept int  // events in the ring; guarded by owner.mu
	over bool // done; guarded by owner.mu
}

// begin gives the trail its first stream.
func (t *trail) begin(stream Stream) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.setLive(stream)
	t.lease++
	if t.owner.revision().PrimingEvent {
		t.sendLive(AppendEvent(nil, Event{ID: t.eventID(0), Retry: retryHint, Data: []byte{}}))
	}
}

func (t *trail) send(message []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.done {
		return
	}
	if t.live != nil {
		t.unseen = nil
	} else if bytes.Equal(message, t.unseen) {
		return // the same change again, and the client has not come for the first yet
	} else {
		t.unseen = message
	}
	t.seq++
	e := Event{Data: message}
	if t.owner.revision().Resume {
		e.ID = t.eventID(t.seq)
	}
	frame := AppendEvent(nil, e)
	t.owner.keep(t, t.seq, frame)
	t.sendLive(frame)
}

func (t *trail) setLive(stream Stream) {
	t.live = stream
	t.listening.Store(stream != nil)
}

func (t *trail) sendLive(frame []byte) {
	if t.live == nil {
		return
	}
	if err := t.live.Send(frame); err != nil {
		t.setLive(nil)
	}
}

// end closes the stream after the last message.
func (t *trail) end() {
	t.mu.Lock()
	t.done = true
	t.closeLive()
	t.mu.Unlock()
	t.owner.forget(t)
}

func (t *trail) closeLive() {
	if t.live != nil {
		_ = t.live.Close() // the client has left otherwise
		t.setLive(nil)
	}
}

// hangUp closes a stream that outlives its request; the trail goes on.
func (t *trail) hangUp() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.away {
		t.closeLive()
	}
}

// detach closes the stream, telling the client when to come back.
func (t *trail) detach(retry time.Duration) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.live == nil || t.done {
		return false
	}
	t.sendLive(AppendEvent(nil, Event{Retry: max(retry, time.Millisecond)}))
	t.closeLive()
	return true
}

// left notes that the client of that lease has gone.
func (t *trail) left(lease int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.lease == lease {
		t.setLive(nil)
	}
}

// resume sends what came after event seq and goes on from there. A stream that is
// still open is closed: the client says it has lost it.
func (t *trail) resume(sink Sink, seq int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closeLive()
	t.lease++
	var stream Stream
	var err error
	if t.done {
		stream, err = sink.Stream(streamHeader)
	} else {
		lease := t.lease
		stream, err = sink.Park(streamHeader, func() { t.left(lease) })
	}
	if err != nil {
		return
	}
	t.setLive(stream)
	t.away = true
	for _, frame := range t.owner.after(t, seq) {
		t.sendLive(frame)
	}
	if t.done {
		t.closeLive()
	}
}

// open gives a standalone trail its stream; false when it has one.
func (t *trail) open(sink Sink) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.live != nil {
		return false
	}
	t.lease++
	lease := t.lease
	stream, err := sink.Park(streamHeader, func() { t.left(lease) })
	if err != nil {
		return true
	}
	t.setLive(stream)
	t.away = true
	if t.owner.revision().PrimingEvent {
		t.sendLive(AppendEvent(nil, Event{ID: t.eventID(t.seq), Retry: retryHint, Data: []byte{}}))
	}
	return true
}

func (t *trail) eventID(seq int) string { return t.id + "_" + strconv.Itoa(seq) }

// splitEventID takes an event id apart.
func splitEventID(id string) (trail string, seq int, ok bool) {
	trail, number, found := strings.Cut(id, "_")
	if !found || len(trail) < 2 || len(id) > 64 || trail[0] != postTrail && trail[0] != getTrail {
		return "", 0, false
	}
	seq, err := strconv.Atoi(number)
	if err != nil || seq < 0 {
		return "", 0, false
	}
	return trail, seq, true
}

// newTrail makes a stream that can be resumed. Its id holds the time, so that a
// session made again does not take up a trail of its former life.
func (s *Session) newTrail(kind byte, now time.Time) *trail {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.made++
	t := &trail{owner: s, id: string(kind) + strconv.FormatInt(now.UnixMilli(), 36) + "-" + strconv.Itoa(s.made)}
	if s.trails == nil {
		s.trails = map[string]*trail{}
	}
	if !s.closed {
		s.trails[t.id] = t
	}
	return t
}

// find returns a trail that can still be resumed, or nil.
func (s *Session) find(id string) *trail {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.trails[id]
}

// alone returns the standalone trail, made at first use.
func (s *Session) alone(now time.Time) *trail {
	s.mu.Lock()
	t := s.standalone
	s.mu.Unlock()
	if t != nil {
		return t
	}
	t = s.newTrail(getTrail, now)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.standalone == nil {
		s.standalone = t
	} else {
		delete(s.trails, t.id)
	}
	return s.standalone
}

// keep puts an event where Last-Event-ID finds it.
func (s *Session) keep(t *trail, seq int, frame []byte) {
	bytes, all := s.put(t, seq, frame)
	if all != nil {
		all.hold(s, bytes)
	}
}

func (s *Session) put(t *trail, seq int, frame []byte) (bytes int, all *replays) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.rev == nil || !s.rev.Resume {
		return 0, nil
	}
	before := len(s.ring.events)
	evicted := s.ring.add(event{trail: t, seq: seq, frame: frame}, s.limits.Replay, s.limits.ReplayBytes)
	t.kept += len(s.ring.events) + len(evicted) - before
	for _, e := range evicted {
		e.trail.kept--
		s.drop(e.trail)
	}
	return s.ring.bytes, s.replays
}

// dropRing gives up what is kept for clients that come back.
func (s *Session) dropRing() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.ring.events {
		e.trail.kept--
		s.drop(e.trail)
	}
	s.ring = ring{}
}

// within puts the session under the bound that all sessions share, and returns its
// revision.
func (s *Session) within(all *replays) *revision {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.replays = all
	return s.agreed()
}

// forget lets go of a trail that is done, once none of its events is kept.
func (s *Session) forget(t *trail) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t.over = true
	s.drop(t)
}

func (s *Session) drop(t *trail) {
	if t.over && t.kept == 0 {
		delete(s.trails, t.id)
	}
}

// after returns the kept events of t behind seq, oldest first.
func (s *Session) after(t *trail, seq int) [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	var frames [][]byte
	for _, e := range s.ring.events {
		if e.trail == t && e.seq > seq {
			frames = append(frames, e.frame)
		}
	}
	return frames
}
