package child

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/sallyport/sallyport/core"
)

// Next returns the next line of the child's stdout that is a JSON object or array,
// without its end; the caller may keep it. After the child's end it returns what was
// written before (who comes more than 2 s later may find it gone), and then the error of
// Err. A child whose lines are not fetched is held
// up by its pipe.
func (p *Process) Next(ctx context.Context) ([]byte, error) {
	select {
	case line, ok := <-p.lines:
		if ok {
			return line, nil
		}
	case <-ctx.Done():
		return nil, p.unheard(ctx)
	}
	select {
	case <-p.done:
		return nil, p.Err()
	case <-ctx.Done():
		return nil, p.unheard(ctx)
	}
}

func (p *Process) unheard(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return &core.Error{Code: core.CodeCancelled, Message: fmt.Sprintf("cancelled while waiting for a line of child %q", p.spec.Name), Err: ctx.Err()}
	}
	return &core.Error{Code: core.CodeTimeout, Message: fmt.Sprintf("child %q wrote no line in time", p.spec.Name), Err: ctx.Err()}
}

// read reads stdout until its end, a line ahead of Next.
func (p *Process) read() {
	if p.messages() {
		p.forsaken("standard output")
	}
}

// messages passes lines on. It tells whether the stream came to its end by itself.
func (p *Process) messages() (end bool) {
	defer close(p.lines)
	r := bufio.NewReaderSize(p.stdout, 64<<10)
	noise := 0
	for {
		line, err := readLine(r, p.spec.Limits.Line, p.off.limits)
		switch {
		case errors.Is(err, errLong):
			p.kill(&core.Error{
				Code: core.CodeTooLarge, Message: fmt.Sprintf("child %q wrote a line of more than %d bytes and was ended", p.spec.Name, p.spec.Limits.Line),
				Fix: "ask it for less at a time, or raise limits.line",
			})
			return false
		case len(line) == 0:
		case isMessage(line):
			noise = 0
			select {
			case p.lines <- line:
			case <-p.dropped:
				return false
			}
		default:
			p.speech.say(theStdout, line)
			if noise += len(line); noise > p.spec.Limits.Noise && !p.off.limits {
				p.kill(&core.Error{
					Code: core.CodeUnavailable, Message: fmt.Sprintf("child %q wrote more than %d bytes to its standard output that are no JSON lines, and was ended", p.spec.Name, p.spec.Limits.Noise),
					Fix: "start it so that it speaks JSON lines on stdout and logs to stderr, or raise limits.noise",
				})
				return false
			}
		}
		if err != nil {
			return true
		}
	}
}

// isMessage tells whether a line is a JSON object or array; whether a right one is for
// others to say.
func isMessage(line []byte) bool {
	return (line[0] == '{' || line[0] == '[') && json.Valid(line)
}

var errLong = errors.New("the line is longer than its limit")

// readLine returns the next line without its end and without blanks around it, as a slice
// of its own. The last line may lack its line feed; it comes together with io.EOF.
func readLine(r *bufio.Reader, limit int, unlimited bool) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		if len(line)+len(bytes.TrimRight(part, "\r\n")) > limit && !unlimited {
			return nil, errLong
		}
		line = append(line, part...)
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil && !errors.Is(err, io.EOF) {
			err = io.EOF // a deadline after the child's end, or a pipe that was closed
		}
		return bytes.TrimSpace(line), err
	}
}
