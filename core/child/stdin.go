package child

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/sallyport/sallyport/core"
)

// ErrNotSent is in the chain of an error of Send when the child cannot have seen a single
// byte of the line, so that sending it elsewhere does nothing twice.
var ErrNotSent = errors.New("nothing of it was sent")

// outgoing is a line on its way to the writer.
type outgoing struct {
	line []byte
	done chan error
}

// Send writes one line; a line feed is added, and those between the tokens of a JSON text
// become blanks. It returns when the child's pipe has taken the line, when the child ends,
// or when ctx does: a child that does not read holds up nobody longer than that. The line
// must not be changed afterwards if an error is returned.
func (p *Process) Send(ctx context.Context, line []byte) error {
	o := outgoing{line: line, done: make(chan error, 1)}
	if ctx.Err() != nil {
		return p.late(ctx, ErrNotSent)
	}
	select {
	case <-p.shut:
		return p.unsent()
	case <-p.ended:
		return p.unsent()
	default:
	}
	select {
	case p.out <- o:
	case <-p.shut:
		return p.unsent()
	case <-p.ended:
		return p.unsent()
	case <-ctx.Done():
		return p.late(ctx, ErrNotSent)
	}
	select {
	case err := <-o.done:
		if err == nil {
			return nil
		}
		return p.lost(err)
	case <-ctx.Done():
		return p.late(ctx, nil)
	}
}

// late is the error of a line that ctx did not leave enough time for.
func (p *Process) late(ctx context.Context, cause error) error {
	e := &core.Error{Code: core.CodeTimeout, Message: fmt.Sprintf("child %q did not read from its standard input in time", p.spec.Name), Err: cause}
	if errors.Is(context.Cause(ctx), context.Canceled) || errors.Is(ctx.Err(), context.Canceled) {
		e.Code, e.Message = core.CodeCancelled, fmt.Sprintf("cancelled while child %q was being written to", p.spec.Name)
	}
	return e
}

// unsent is the error of a line that comes after the end.
func (p *Process) unsent() error {
	e := *core.AsError(p.lost(nil))
	e.Err = errors.Join(ErrNotSent, e.Err)
	return &e
}

// lost is the error of a line that the child did not take whole.
func (p *Process) lost(cause error) error {
	e := *p.ending()
	if err := p.Err(); err != nil {
		e = *core.AsError(err)
	}
	e.Err = errors.Join(cause, e.Err)
	return &e
}

// write writes lines, one at a time and whole, until Stop or the child's end. It is the
// only one that writes to stdin, and closes it.
func (p *Process) write() {
	defer p.stdin.Close()
	var buf []byte
	for {
		select {
		case <-p.shut:
			return
		case <-p.ended:
			return
		case o := <-p.out:
			buf = framed(buf[:0], o.line)
			err := p.put(buf)
			o.done <- err
			if err != nil {
				p.forsaken("standard input")
				return
			}
			if cap(buf) > keptBuffer {
				buf = nil
			}
		}
	}
}

const keptBuffer = 64 << 10

// framed appends line as one line. In JSON a raw line feed is white space and nothing else
// (RFC 8259 section 2, 7).
func framed(dst, line []byte) []byte {
	start := len(dst)
	dst = append(dst, line...)
	for _, feed := range []byte("\n\r") {
		for rest := dst[start:]; ; {
			i := bytes.IndexByte(rest, feed)
			if i < 0 {
				break
			}
			rest[i] = ' '
			rest = rest[i+1:]
		}
	}
	return append(dst, '\n')
}

// put writes b. A child that does not read for long is ended.
func (p *Process) put(b []byte) error {
	if !p.off.stall {
		stop := p.clock.AfterFunc(p.spec.Limits.Stall, func() {
			p.kill(&core.Error{Code: core.CodeUnavailable, Message: fmt.Sprintf("child %q did not read from its standard input for %s and was ended", p.spec.Name, p.spec.Limits.Stall), Fix: "see whether it hangs, or give limits.stall more time"})
		})
		defer stop()
	}
	_, err := p.stdin.Write(b)
	return err
}
