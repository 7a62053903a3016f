package web

import (
	"errors"
	"sync"

	"github.com/sallyport/sallyport/core/mcp"
)

// The errors of Send.
var (
	errEnded = errors.New("the stream has ended")
	errSlow  = errors.New("the client reads too slowly")
)

// stream is an SSE answer on a connection that it has to itself. Whoever sends
// writes to the socket without waiting; what the socket does not take goes into a
// bounded queue that a goroutine drains and then ends. An idle stream has none.
//
// The body ends with the connection (RFC 9112, section 6.3, rule 8).
type stream struct {
	conn   *conn
	parked bool
	gone   func() // parked: told once that the client left

	mu     sync.Mutex
	queue  [][]byte
	bytes  int  // in queue
	busy   bool // a goroutine drains queue; it alone writes
	ending bool // Close was called
	ended  bool // the connection is closed
	fresh  bool // something was sent since the last heartbeat
	sent   int
	err    error // what Send says

	// Report runs once, when the stream ended and Handle returned.
	report   func(sent int)
	returned bool

	place place // in the hub; guarded by its mutex
}

// Send queues one encoded frame, or writes it at once when the client keeps up.
func (s *stream) Send(frame []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.send(frame)
}

func (s *stream) send(frame []byte) error {
	if s.ending || s.ended {
		if s.err != nil {
			return s.err
		}
		return errEnded
	}
	s.fresh = true
	if s.busy {
		limits := &s.conn.edge.limits
		if len(s.queue) >= limits.QueueFrames || len(s.queue) > 0 && s.bytes+len(frame) > limits.QueueBytes {
			s.conn.edge.slow.Add(1)
			s.finish(errSlow)
			return errSlow
		}
		s.queue = append(s.queue, frame)
		s.bytes += len(frame)
		return nil
	}
	n := 0
	if s.conn.plain {
		var err error
		if n, err = s.conn.tryWrite(frame); err != nil {
			s.finish(err)
			return err
		}
	}
	s.sent += n
	if n < len(frame) {
		s.queue = append(s.queue, frame[n:])
		s.bytes = len(frame) - n
		s.busy = true
		go s.drain()
	}
	return nil
}

// drain writes what is queued, under the write deadline, until nothing is left.
func (s *stream) drain() {
	defer func() {
		if fault := recover(); fault != nil {
			s.conn.edge.panicked("write to a stream", fault)
			s.fail(errors.New("internal error"))
		}
	}()
	for {
		s.mu.Lock()
		if s.ended {
			s.mu.Unlock()
			return
		}
		if len(s.queue) == 0 {
			s.busy = false
			if s.ending {
				s.finish(nil)
			}
			s.mu.Unlock()
			return
		}
		frame := s.queue[0]
		s.queue[0] = nil
		s.queue = s.queue[1:]
		s.bytes -= len(frame)
		if len(s.queue) == 0 {
			s.queue = nil
		}
		s.mu.Unlock()

		n, err := s.conn.Write(frame)
		s.mu.Lock()
		s.sent += n
		s.mu.Unlock()
		if err != nil {
			s.fail(err)
			return
		}
	}
}

// beat sends a comment when nothing else was sent lately, so that proxies keep the
// connection and a client that vanished is seen.
func (s *stream) beat() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fresh || s.busy {
		s.fresh = false
		return
	}
	_ = s.send(heartbeat) // an error ended the stream already
	s.fresh = false
}

var heartbeat = []byte(": keep-alive\n\n")

// Close sends what is queued and ends the connection, without waiting for either.
func (s *stream) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ending || s.ended {
		return nil
	}
	s.ending = true
	if !s.busy {
		s.finish(nil)
	}
	return nil
}

// leave ends the stream because the client did.
func (s *stream) leave() { s.fail(errLeft) }

func (s *stream) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.finish(err)
}

// finish closes the connection; err nil means that we wanted it. With s.mu held.
func (s *stream) finish(err error) {
	if s.ended {
		return
	}
	s.ended, s.err = true, err
	s.queue, s.bytes = nil, 0
	_ = s.conn.Close()
	s.conn.edge.hub.remove(s)
	if s.gone != nil && !s.ending {
		s.conn.edge.hub.tell(s.gone)
	}
	s.gone = nil
	s.over()
}

// over reports the stream once both it and its Handle are done. With s.mu held.
func (s *stream) over() {
	if s.ended && s.returned && s.report != nil {
		s.report(s.sent)
		s.report = nil
	}
}

// handled says that Handle returned.
func (s *stream) handled() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.returned = true
	s.over()
}

var _ mcp.Stream = (*stream)(nil)
