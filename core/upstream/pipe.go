package upstream

import (
	"context"
	"errors"

	"github.com/sallyport/sallyport/core"
)

// lines is a process: a message is a line on its standard input, and on its output.
type lines struct {
	k    *conn
	pipe Pipe
	end  context.CancelFunc
	over chan struct{}
}

// Pipe is a running process that speaks MCP on its standard input and output; package
// child makes them. Send and Next may run at once.
type Pipe interface {
	// Send writes one line, to which it adds the line end. ErrNotSent is in the chain of its
	// error where the process is about to end and did not see a byte of the line: then it
	// goes to another process.
	Send(ctx context.Context, line []byte) error
	// Next returns the next line, without its end. The bytes are the caller's. An error
	// is the end of the process, or of ctx.
	Next(ctx context.Context) ([]byte, error)
	// Close ends the process and returns when it is gone.
	Close() error
}

// ErrNotSent is what Pipe.Send says of a line that comes too late for its process.
var ErrNotSent = errors.New("nothing of it was sent: the process ends")

// dialPipe starts a process.
func (c *Client) dialPipe(ctx context.Context, rev *revision) (*conn, error) {
	pipe, err := c.o.Spawn(ctx)
	if err != nil {
		return nil, c.transport(ctx, err)
	}
	l := &lines{pipe: pipe, over: make(chan struct{})}
	k := c.newConn(func(k *conn) link { l.k = k; return l }, rev)
	life, end := context.WithCancel(k.life)
	l.end = end
	if !c.spawn(func() {
		defer close(l.over)
		l.run(life)
	}) {
		end()
		_ = pipe.Close()
		return nil, c.wasClosed()
	}
	return k, nil
}

func (l *lines) run(ctx context.Context) {
	c := l.k.c
	for {
		line, err := l.pipe.Next(ctx)
		switch {
		case err != nil:
			l.k.fail(c.unavailable("its process ended", err))
			return
		case int64(len(line)) > c.limits.MessageBytes:
			c.counts.malformed.Add(1)
			l.k.fail(c.tooLarge())
			return
		}
		if len(line) > 0 {
			_ = l.k.receive(line, nil) // counted there; some print what is no message
		}
	}
}

func (l *lines) cancels(*revision) bool { return false }

func (l *lines) send(ctx context.Context, r *request, message []byte) {
	err := l.pipe.Send(ctx, oneLine(message))
	if err == nil {
		return
	}
	fault := l.k.c.transport(ctx, err)
	if ctx.Err() == nil && errors.Is(err, ErrNotSent) {
		l.k.broken(fault)
		fault = &core.Error{Code: core.CodeUnavailable, Message: fault.Message, Err: errSession}
	}
	r.finish(reply{err: fault})
	r.cancel()
}

func (l *lines) tell(ctx context.Context, message []byte) error {
	return l.pipe.Send(ctx, oneLine(message))
}

func (l *lines) close(ctx context.Context) {
	_ = l.pipe.Close() // it is gone either way
	l.end()
	select {
	case <-l.over:
	case <-ctx.Done():
	}
}

var _ link = (*lines)(nil)
