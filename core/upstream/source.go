package upstream

import (
	"errors"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/mcp"
)

// source reads the events of one stream, over all the times that it is opened.
type source struct {
	k     *conn
	via   *request
	last  string // id of the last event
	retry time.Duration
	limit int64 // bytes that are left; 0 = none
	spent int64
	final bool // nothing of this stream is to be believed any more

	stream  *core.Stream // that is read now
	decoder *mcp.Decoder
}

var (
	errTooLong = errors.New("larger than allowed")
	errStream  = errors.New("the stream is larger than allowed")
	// errAnswered is no failure: the stream has the answer, and has not ended.
	errAnswered = errors.New("the request of the stream is answered")
)

// read takes events until the stream ends. got tells whether there were any.
func (s *source) read(stream *core.Stream) (got bool, err error) {
	s.stream, s.decoder = stream, mcp.NewDecoder(stream.Body, int(s.k.c.limits.MessageBytes))
	return s.next(false)
}

// next is read for a stream that is read already; answered: also behind the answer.
func (s *source) next(answered bool) (got bool, err error) {
	for {
		e, err := s.decoder.Next()
		if err != nil {
			s.final = errors.Is(err, mcp.ErrEventTooLarge)
			return got, err
		}
		got = true
		if e.Retry > 0 {
			s.retry = min(e.Retry, lastRetry)
		}
		if e.ID != "" && len(e.ID) <= maxSession {
			s.last = e.ID
		}
		if s.spent += int64(len(e.Data)); s.limit > 0 && s.spent > s.limit {
			s.final = true
			return got, errStream
		}
		if len(e.Data) == 0 || e.Name != "" && e.Name != "message" {
			continue
		}
		_ = s.k.receive(e.Data, s.via) // counted there; the next one may be right
		if !answered && s.via != nil && s.via.isOver() && !s.decoder.Ended() {
			return got, errAnswered
		}
	}
}

// drain does not wait for the rest of a stream whose answer came, but an end that comes
// at once leaves the connection whole.
func (s *source) drain() {
	defer s.close()
	defer time.AfterFunc(drainTimeout, s.via.cancel).Stop()
	_, _ = s.next(true)
}

// leave lets the end of a stream come by itself, where the connection can wait for it.
func (s *source) leave() bool {
	body, can := s.stream.Body.(core.Leaver)
	if !can || !s.decoder.Empty() || !body.Leave() {
		return false
	}
	s.via.cancel()
	return true
}

// close ends the stream of a request.
func (s *source) close() {
	s.stream.Body.Close()
	s.via.cancel()
}

// wait is how long to wait before the stream is opened again.
func (s *source) wait(vain int) time.Duration {
	return min(s.retry<<min(vain, 5), max(lastRetry, s.retry))
}
