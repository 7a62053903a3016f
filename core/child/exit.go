package child

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/sallyport/sallyport/core"
)

// Exit is how a child ended.
type Exit struct {
	Code    int           // exit status; -1 when a signal ended it
	Signal  string        // "killed", "terminated", …; empty when it exited
	At      time.Time     // when that was seen
	Ran     time.Duration // since it was started
	Stopped bool          // it was asked to, by Stop
	Cause   error         // why we ended it: a line that was too long, a child that did not read; nil = it ended by itself, or by Stop
	Tail    []string      // its last lines on stderr: cut, escaped, without the secrets of its Spec
}

// String says it in a few words, such as "exit status 3".
func (e *Exit) String() string {
	if e.Signal != "" {
		return "signal: " + e.Signal
	}
	return fmt.Sprintf("exit status %d", e.Code)
}

func newExit(state *exec.Cmd) Exit {
	e := Exit{Code: state.ProcessState.ExitCode()}
	if status, ok := state.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		e.Signal = status.Signal().String()
	}
	return e
}

// fault makes an error of an exit. The tail is for the log and for whoever looks after
// the gateway, not for callers: nobody knows what a child writes there.
func (e *Exit) fault(name string) *core.Error {
	if e.Cause != nil {
		cause := *core.AsError(e.Cause)
		cause.Err = e.stderr()
		return &cause
	}
	if e.Stopped {
		return &core.Error{Code: core.CodeUnavailable, Message: fmt.Sprintf("child %q was stopped", name)}
	}
	return &core.Error{
		Code: core.CodeUnavailable, Message: fmt.Sprintf("child %q ended by itself (%s)", name, e),
		Fix: "its last lines on stderr are in the gateway's log and in its state", Err: e.stderr(),
	}
}

func (e *Exit) stderr() error {
	if len(e.Tail) == 0 {
		return nil
	}
	return errors.New("stderr: " + strings.Join(e.Tail, " | "))
}
