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
	drain *time.Timer
}

var (
	errTooLong = errors.New("larger than allowed")
	errStream  = errors.New("the stream is larger than allowed")
)

// read takes events until the stream ends. got tells whether there were any.
func (s *source) read(stream *core.Stream) (got bool, err error) {
	decoder := mcp.NewDecoder(stream.Body, int(s.k.c.limits.MessageBytes))
	defer func() {
		if s.drain != nil {
			s.drain.Stop()
		}
	}()
	for {
		e, err := decoder.Next()
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
		if s.via != nil && s.drain == nil && s.via.isOver() {
			// The rest is not waited for, but an end that comes at once leaves the connection whole.
			s.drain = time.AfterFunc(drainTimeout, s.via.cancel)
		}
	}
}

// wait is how long to wait before the stream is opened again.
func (s *source) wait(vain int) time.Duration {
	return min(s.retry<<min(vain, 5), max(lastRetry, s.retry))
}
