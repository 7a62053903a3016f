package web

import (
	"math/rand/v2"
	"sync"
	"time"
)

// slots of the wheel, and how many of them one heartbeat interval is.
const (
	slots    = 32
	interval = 16
)

// hub knows the open streams. One goroutine sends their heartbeats, each stream at
// times of its own so that ten thousand do not beat together.
type hub struct {
	edge *Edge

	mu     sync.Mutex
	wheel  [slots][]*stream
	now    int // slot
	count  int
	closed bool // no parked stream may join any more
	jitter *rand.Rand

	leaving []func() // told by up to tellers goroutines
	tellers int

	quit chan struct{}
	done chan struct{}
}

// place is where a stream stands in the wheel.
type place struct {
	in          bool
	slot, index int
}

// maxTellers bounds how many gone callbacks run at once.
const maxTellers = 8

func newHub(e *Edge, seed uint64) *hub {
	return &hub{
		edge: e, jitter: rand.New(rand.NewPCG(seed, 0)),
		quit: make(chan struct{}), done: make(chan struct{}),
	}
}

// add counts a stream in; false when there are too many or the hub closed.
func (h *hub) add(s *stream) *refusal {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.closed && s.parked:
		return refuseDraining
	case h.count >= h.edge.limits.Streams:
		return refuseStreams
	}
	h.count++
	h.put(s, h.soon())
	return nil
}

// soon returns the slot of the next heartbeat: one interval away, ± 20 %.
func (h *hub) soon() int {
	const spread = interval / 5
	return (h.now + interval - spread + h.jitter.IntN(2*spread+1)) % slots
}

func (h *hub) put(s *stream, slot int) {
	s.place = place{in: true, slot: slot, index: len(h.wheel[slot])}
	h.wheel[slot] = append(h.wheel[slot], s)
}

func (h *hub) remove(s *stream) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !s.place.in {
		return
	}
	list := h.wheel[s.place.slot]
	last := len(list) - 1
	list[s.place.index] = list[last]
	list[s.place.index].place.index = s.place.index
	list[last] = nil
	h.wheel[s.place.slot] = list[:last]
	s.place.in = false
	h.count--
}

// open returns how many streams are open.
func (h *hub) open() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return int64(h.count)
}

func (h *hub) run() {
	defer close(h.done)
	tick := time.NewTicker(max(h.edge.limits.Heartbeat/interval, time.Millisecond))
	defer tick.Stop()
	var due []*stream
	for {
		select {
		case <-h.quit:
			return
		case <-tick.C:
			due = h.turn(due[:0])
			h.beat(due)
			clear(due)
		}
	}
}

// turn moves the wheel on and returns the streams whose time has come.
func (h *hub) turn(due []*stream) []*stream {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = (h.now + 1) % slots
	list := h.wheel[h.now]
	for _, s := range list {
		h.put(s, h.soon()) // never this slot again
	}
	due = append(due, list...)
	clear(list)
	h.wheel[h.now] = list[:0]
	return due
}

func (h *hub) beat(due []*stream) {
	defer h.edge.contain("send keep-alives")
	for _, s := range due {
		s.beat()
	}
}

// tell calls gone in a goroutine of the hub.
func (h *hub) tell(gone func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.leaving = append(h.leaving, gone)
	if h.tellers < maxTellers {
		h.tellers++
		go h.teller()
	}
}

func (h *hub) teller() {
	for {
		h.mu.Lock()
		if len(h.leaving) == 0 {
			h.leaving = nil
			h.tellers--
			h.mu.Unlock()
			return
		}
		gone := h.leaving[0]
		h.leaving[0] = nil
		h.leaving = h.leaving[1:]
		h.mu.Unlock()
		h.call(gone)
	}
}

func (h *hub) call(gone func()) {
	defer h.edge.contain("tell that a client left")
	gone()
}

// streams returns the open streams, all or only the parked ones.
func (h *hub) streams(parked bool) []*stream {
	h.mu.Lock()
	defer h.mu.Unlock()
	var open []*stream
	for _, list := range &h.wheel {
		for _, s := range list {
			if s.parked || !parked {
				open = append(open, s)
			}
		}
	}
	return open
}

// closeParked ends every parked stream and lets no new one in.
func (h *hub) closeParked() {
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	for _, s := range h.streams(true) {
		_ = s.Close()
	}
}

func (h *hub) close() {
	close(h.quit)
	<-h.done
}
