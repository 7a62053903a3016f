package child

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/sallyport/sallyport/core"
)

// Options are what a Process needs beside its Spec; the zero value works.
type Options struct {
	Logger *slog.Logger // nil = nowhere
	Clock  Clock
	off    off
}

// off switches defences off, for tests of their tests and never elsewhere.
type off struct {
	group, death, shield, environ, redact, escape, limits, stall bool
}

// Process is one running child. It ends by itself, by Stop, or because it broke a limit;
// then Done closes and Exit says how.
type Process struct {
	spec  Spec
	log   *slog.Logger
	clock Clock
	off   off
	began time.Time

	cmd                   *exec.Cmd
	stdin, stdout, stderr *os.File // our ends
	out                   chan outgoing
	lines                 chan []byte
	speech                *speech // what it writes that is no message

	stopping sync.Once
	shut     chan struct{} // no more lines go in: Stop was called
	ended    chan struct{} // the child is gone, its group too
	done     chan struct{} // and what it wrote to stderr was read: exit is known
	dropped  chan struct{} // lines that nobody fetched are lost
	dropping sync.Once
	gone     chan struct{} // no goroutine and no descriptor is left

	mu     sync.Mutex
	reaped bool // its number may belong to somebody else by now
	stop   bool
	cause  *core.Error
	exit   Exit
}

// drain is how long pipes are read after a child ended: somebody who left its group may
// hold them open. It is also how long its last lines wait to be fetched.
const drain = 2 * time.Second

// Start runs what spec says if allow allows it, and returns when it runs. Whoever starts
// a Process calls Stop in the end, or fetches with Next until an error comes.
func Start(allow Allow, spec Spec, o Options) (*Process, error) {
	if !supported {
		return nil, &core.Error{
			Code: core.CodeNotSupported, Message: fmt.Sprintf("child %q cannot start: this system has no process groups, so what it starts could not be ended", spec.Name),
			Fix: "run the gateway on Linux or macOS, or reach the program over HTTP",
		}
	}
	binary, err := allow.Check(&spec)
	if err != nil {
		return nil, err
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	p := &Process{
		spec: spec.filled(), log: o.Logger, clock: o.Clock.orReal(), off: o.off,
		out: make(chan outgoing), lines: make(chan []byte),
		shut: make(chan struct{}), ended: make(chan struct{}), done: make(chan struct{}), dropped: make(chan struct{}), gone: make(chan struct{}),
	}
	p.cmd = &exec.Cmd{Path: binary, Args: p.spec.Argv, Env: p.spec.environ(), Dir: p.spec.Dir, SysProcAttr: attributes(p.spec.Account, p.off)}
	if p.off.environ {
		p.cmd.Env = nil
	}
	p.speech = newSpeech(p)
	running := make(chan error, 1)
	go p.live(running)
	if err := <-running; err != nil {
		return nil, p.refused(binary, err)
	}
	return p, nil
}

// refused makes an error of a start that the system refused.
func (p *Process) refused(binary string, err error) *core.Error {
	e := &core.Error{Code: core.CodeUnavailable, Message: fmt.Sprintf("child %q cannot start: running %s does not work", p.spec.Name, binary), Fix: "the gateway's log has the reason", Err: err}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e.Code, e.Fix = core.CodeInvalid, fmt.Sprintf("see that its directory (%s) exists, and the interpreter in its first line if it is a script", p.spec.Dir)
	case errors.Is(err, fs.ErrPermission):
		e.Code, e.Fix = core.CodeDenied, "let the gateway's account run it; only root can run it as another one"
	case errors.Is(err, syscall.ENOEXEC):
		e.Code, e.Fix = core.CodeInvalid, "name a program for this system"
	}
	return e
}

// pipes makes the three of them and returns the child's ends. All ends close on exec;
// ours wait in the poller, so they can be given deadlines.
func (p *Process) pipes() (theirs []*os.File, err error) {
	defer func() {
		if err != nil {
			closeAll(theirs...)
			closeAll(p.stdin, p.stdout, p.stderr)
		}
	}()
	in, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	p.stdin, p.cmd.Stdin, theirs = w, in, append(theirs, in)
	r, out, err := os.Pipe()
	if err != nil {
		return theirs, err
	}
	p.stdout, p.cmd.Stdout, theirs = r, out, append(theirs, out)
	r, out, err = os.Pipe()
	if err != nil {
		return theirs, err
	}
	p.stderr, p.cmd.Stderr = r, out
	return append(theirs, out), nil
}

func closeAll(files ...*os.File) {
	for _, f := range files {
		if f != nil {
			f.Close()
		}
	}
}

// live starts the child and waits for its end, on one thread: Linux counts the end of the
// thread that forked as the parent's death. Waiting blocks a thread anyhow.
func (p *Process) live(running chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	theirs, err := p.pipes()
	if err != nil {
		running <- err
		return
	}
	if !p.off.shield {
		shield()
	}
	p.began = p.clock.Now()
	err = p.cmd.Start()
	closeAll(theirs...)
	if err != nil {
		closeAll(p.stdin, p.stdout, p.stderr)
		running <- err
		return
	}
	defer close(p.gone)
	var speaking, rest sync.WaitGroup
	rest.Go(p.write)
	rest.Go(p.read)
	speaking.Go(p.speech.drain)
	running <- nil
	p.log.Info("child started", "child", p.spec.Name, "pid", p.cmd.Process.Pid, "binary", p.cmd.Path)

	await(p.cmd)
	p.reap()
	end := p.clock.AfterFunc(drain, func() {
		_ = p.stdout.SetReadDeadline(past)
		_ = p.stderr.SetReadDeadline(past)
		p.drop()
	})
	speaking.Wait()
	p.mu.Lock()
	p.exit.Cause, p.exit.Tail = asCause(p.cause), p.speech.tail()
	p.mu.Unlock()
	close(p.done)
	p.log.Info("child ended", "child", p.spec.Name, "pid", p.cmd.Process.Pid, "exit", p.exit.String(), "stopped", p.exit.Stopped)
	rest.Wait()
	end()
	closeAll(p.stdin, p.stdout, p.stderr)
}

// asCause avoids an error that is a nil pointer.
func asCause(e *core.Error) error {
	if e == nil {
		return nil
	}
	return e
}

// reap ends what is left of the group and then takes the child's status. In this order:
// the number of a group is free for others once its leader was reaped.
func (p *Process) reap() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.off.group {
		strike(p.cmd.Process.Pid, signalKill)
	}
	if p.cmd.ProcessState == nil {
		_ = p.cmd.Wait() // all it tells is in ProcessState
	}
	p.reaped = true
	p.exit = newExit(p.cmd)
	p.exit.At, p.exit.Stopped = p.clock.Now(), p.stop
	p.exit.Ran = p.exit.At.Sub(p.began)
	close(p.ended)
	// A write that waits for the child has an end now.
	_ = p.stdin.SetWriteDeadline(past)
}

// PID returns the child's process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done closes when the child has ended and its Exit is known.
func (p *Process) Done() <-chan struct{} { return p.done }

// Exit says how the child ended; nil before Done.
func (p *Process) Exit() *Exit {
	select {
	case <-p.done:
		e := p.exit
		return &e
	default:
		return nil
	}
}

// Err returns why the child is of no use any more: an *Error, CodeUnavailable or
// CodeTooLarge; nil as long as it runs and nobody is stopping it.
func (p *Process) Err() error {
	select {
	case <-p.done:
		return p.exit.fault(p.spec.Name)
	default:
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cause != nil {
		return p.cause
	}
	if p.stop || p.reaped {
		return p.ending()
	}
	return nil
}

func (p *Process) ending() *core.Error {
	return &core.Error{Code: core.CodeUnavailable, Message: fmt.Sprintf("child %q is ending", p.spec.Name)}
}

// signal sends s to the group as long as it exists.
func (p *Process) signal(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.reaped:
	case p.off.group:
		_ = p.cmd.Process.Signal(s)
	default:
		strike(p.cmd.Process.Pid, s)
	}
}

// kill ends the child at once, for a cause that is then told everywhere. The first counts.
func (p *Process) kill(cause *core.Error) {
	p.mu.Lock()
	if p.cause == nil && !p.reaped && !p.stop {
		p.cause = cause
	}
	p.mu.Unlock()
	p.signal(signalKill)
}

// forsaken ends a child that closed a pipe and lives on, after the grace that one which
// is about to exit needs.
func (p *Process) forsaken(pipe string) {
	passed, stop := p.clock.timer(p.spec.Grace)
	defer stop()
	select {
	case <-p.ended:
	case <-p.shut:
	case <-passed:
		p.kill(&core.Error{Code: core.CodeUnavailable, Message: fmt.Sprintf("child %q closed its %s and was ended", p.spec.Name, pipe), Fix: "see its documentation for how it speaks on stdin and stdout"})
	}
}

// Stop ends the child: its stdin is closed; after the Spec's Grace its group gets
// SIGTERM, after another SIGKILL. When ctx ends, SIGKILL comes at once. It returns when
// nothing of the child is left, and may be called many times.
func (p *Process) Stop(ctx context.Context) error {
	p.mu.Lock()
	p.stop = p.stop || !p.reaped && p.cause == nil
	p.mu.Unlock()
	p.stopping.Do(func() { close(p.shut) })
	for _, s := range []syscall.Signal{signalEnd, signalKill} {
		if p.within(ctx, p.spec.Grace) || ctx.Err() != nil {
			break
		}
		p.signal(s)
	}
	if ctx.Err() != nil {
		p.signal(signalKill)
	}
	// What SIGKILL does not end hangs in the kernel.
	if !p.within(context.WithoutCancel(ctx), p.spec.Grace+2*drain) {
		return &core.Error{Code: core.CodeInternal, Message: fmt.Sprintf("child %q (process %d) does not end even by SIGKILL", p.spec.Name, p.PID()), Fix: "look for a file system or a device that hangs"}
	}
	p.drop()
	<-p.gone
	return nil
}

// within tells whether the child ends within d, and before ctx does.
func (p *Process) within(ctx context.Context, d time.Duration) bool {
	passed, stop := p.clock.timer(d)
	defer stop()
	select {
	case <-p.done:
		return true
	case <-passed:
	case <-ctx.Done():
	}
	return false
}

func (p *Process) drop() { p.dropping.Do(func() { close(p.dropped) }) }

// String names the child in logs.
func (p *Process) String() string { return fmt.Sprintf("%s(%d)", p.spec.Name, p.PID()) }

var _ fmt.Stringer = (*Process)(nil)
