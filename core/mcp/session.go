package mcp

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/sallyport/sallyport/core"
)

// The causes that end a call from outside.
var (
	errCancelled = errors.New("the client cancelled the request")
	errLeft      = errors.New("the client left")
	errEnded     = errors.New("the session ended")
)

// Session is what one client and one server share between requests, in the
// revisions that have sessions. It can be made again from its id and claims: then
// subscriptions, log level and kept events are gone. Safe for concurrent use.
type Session struct {
	id     string
	claims Claims
	limits Limits
	ended  chan struct{} // closed by Close

	mu              sync.Mutex
	rev             *revision // nil before initialize on the 2024-11-05 transport
	client          core.Client
	level           string // the lowest log level to send
	leveled         bool   // the client has set it
	subscribed      map[string]*subscription
	subscribedBytes int
	running         []*running             // at most limits.InFlight
	asked           map[string]chan answer // by id of our request
	lastAsk         int64
	trails          map[string]*trail
	made            int // trails made so far
	standalone      *trail
	ring            ring
	replays         *replays // the bound on all rings; nil before the endpoint has seen the session
	sse             Stream   // the stream of the 2024-11-05 transport
	stop            func()   // ends the watch on changes
	watching        bool
	closed          bool
	onClose         func()
	initialized     bool
}

// answer is what a client said to a request of ours.
type answer struct{ result, fail json.RawMessage }

// NewSession makes the session that id names, from what the id seals. Zero limits
// take the defaults.
func NewSession(id string, c Claims, limits Limits) *Session {
	s := &Session{
		id: id, claims: c, limits: limits.orDefault(), ended: make(chan struct{}),
		rev: byName(c.Revision), client: c.Client, level: "info",
	}
	if s.client.Capabilities == nil {
		s.client.Capabilities = json.RawMessage("{}")
	}
	return s
}

// ID returns what Mcp-Session-Id or ?sessionId says.
func (s *Session) ID() string { return s.id }

// Claims returns what the id of the session seals.
func (s *Session) Claims() Claims { return s.claims }

// Busy tells whether somebody is at the other end: a request runs, or a stream is
// open. Such a session must not end for being idle.
func (s *Session) Busy() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	if len(s.running) > 0 || s.sse != nil {
		return true
	}
	for _, t := range s.trails {
		if t.listening.Load() {
			return true
		}
	}
	return false
}

// Close ends the session: its calls are cancelled, its streams closed. Idempotent.
func (s *Session) Close() {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.closed = true
	close(s.ended)
	calls := slices.Clone(s.running)
	trails := slices.Collect(maps.Values(s.trails))
	stop, sse, onClose, all := s.stop, s.sse, s.onClose, s.replays
	followed := s.subscribed
	s.stop, s.sse, s.ring, s.subscribed, s.subscribedBytes = nil, nil, ring{}, nil, 0
	s.mu.Unlock()
	if all != nil {
		all.hold(s, 0)
	}

	for _, c := range calls {
		c.life.Cancel(errEnded)
	}
	if stop != nil {
		stop()
	}
	for _, t := range trails {
		t.end()
	}
	if sse != nil {
		_ = sse.Close() // nobody is left to tell
	}
	for _, one := range followed {
		if one.stop != nil { // else whoever follows it stops, once it knows
			one.stop()
		}
	}
	if onClose != nil {
		onClose()
	}
}

// hangUp closes the streams that outlive their requests, because this process is
// about to end. The session itself goes on elsewhere, but for one of the
// 2024-11-05 transport, which is its stream.
func (s *Session) hangUp() {
	if s.claims.SSE {
		s.Close()
		return
	}
	s.mu.Lock()
	trails := slices.Collect(maps.Values(s.trails))
	s.mu.Unlock()
	for _, t := range trails {
		t.hangUp()
	}
}

// whenClosed calls f once the session ends, or at once when it has ended.
func (s *Session) whenClosed(f func()) {
	s.mu.Lock()
	closed := s.closed
	s.onClose = f
	s.mu.Unlock()
	if closed {
		f()
	}
}

// revision is what initialize agreed on; before it, the oldest.
func (s *Session) revision() *revision {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.agreed()
}

// agreed is revision; s.mu is held.
func (s *Session) agreed() *revision {
	if s.rev == nil {
		return &rev20241105
	}
	return s.rev
}

// agree notes what initialize said; false when it was said before.
func (s *Session) agree(rev *revision, client core.Client) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.initialized {
		return false
	}
	s.initialized = true
	s.rev, s.client = rev, client
	return true
}

// start notes a running request and tells x of its revision, client and log level;
// the error says why it cannot run.
func (s *Session) start(c *running, x *exchange) *fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return unknownSession()
	case s.runs(c.id) >= 0:
		return &fault{code: codeInvalidRequest, message: "a request with this id is still running in the session", status: 200}
	case len(s.running) >= s.limits.InFlight:
		return &fault{code: codeInternal, message: "too many requests at once: the session may have " +
			strconv.Itoa(s.limits.InFlight), status: 200}
	}
	s.running = append(s.running, c)
	x.rev, x.invocation.Client, x.level, x.usual = s.agreed(), s.client, s.level, !s.leveled
	return nil
}

// runs returns where in running the request of that id stands, or -1; s.mu is held.
func (s *Session) runs(id json.RawMessage) int {
	return slices.IndexFunc(s.running, func(c *running) bool { return string(c.id) == string(id) })
}

func (s *Session) finished(c *running) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, last := slices.Index(s.running, c), len(s.running)-1
	s.running[at], s.running[last] = s.running[last], nil
	s.running = s.running[:last]
}

// cancel ends a running request that the client no longer wants.
func (s *Session) cancel(id json.RawMessage) {
	s.mu.Lock()
	var c *running
	if at := s.runs(id); at >= 0 {
		c = s.running[at]
	}
	s.mu.Unlock()
	if c != nil {
		c.life.Cancel(errCancelled)
	}
}

// ask makes an id for a request of ours, and the place where its answer arrives.
// Ids begin at the time, so that a session made again does not take the answer to
// a question of its former life.
func (s *Session) ask(now time.Time) (id string, reply chan answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastAsk = max(s.lastAsk+1, now.UnixMilli())
	id, reply = strconv.FormatInt(s.lastAsk, 10), make(chan answer, 1)
	if s.asked == nil {
		s.asked = map[string]chan answer{}
	}
	s.asked[id] = reply
	return id, reply
}

// forgetAsk is called when nobody waits for the answer any more.
func (s *Session) forgetAsk(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.asked, id)
}

// answered hands an answer to who waits for it; one that nobody waits for is dropped.
func (s *Session) answered(id string, a answer) {
	s.mu.Lock()
	reply := s.asked[id]
	delete(s.asked, id)
	s.mu.Unlock()
	if reply != nil {
		reply <- a
	}
}

func (s *Session) setLevel(level string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.level, s.leveled = level, true
}

// pipe sends a message on the stream of the 2024-11-05 transport.
func (s *Session) pipe(message []byte) {
	s.mu.Lock()
	stream := s.sse
	s.mu.Unlock()
	if stream != nil {
		_ = stream.Send(AppendEvent(nil, Event{Name: "message", Data: message})) // a stream that failed ends the session by itself
	}
}

// attach gives the session its 2024-11-05 stream; false when it is over already.
func (s *Session) attach(stream Stream) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.sse = stream
	return true
}

// attached tells whether the 2024-11-05 stream is open.
func (s *Session) attached() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sse != nil
}

// watch delivers changes of the server from now on, once.
func (s *Session) watch(changes func(func(core.Change)) func()) {
	s.mu.Lock()
	if s.watching || s.closed {
		s.mu.Unlock()
		return
	}
	s.watching = true
	s.mu.Unlock()

	stop := changes(s.changed)

	s.mu.Lock()
	closed := s.closed
	if !closed {
		s.stop = stop
	}
	s.mu.Unlock()
	if closed {
		stop()
	}
}

// changed tells the client of one change, on the stream that is for that.
func (s *Session) changed(c core.Change) {
	s.mu.Lock()
	_, wanted := s.subscribed[c.URI]
	t, sse := s.standalone, s.sse != nil && s.initialized // before that nothing but answers may be sent
	s.mu.Unlock()
	message := changeMessage(c, nil)
	switch {
	case message == nil || c.Kind == core.ResourceUpdated && !wanted:
	case sse:
		s.pipe(message)
	case t != nil: // listened to or not: a client that comes back finds it kept
		t.send(message)
	}
}
