//go:build unix

package child

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
)

func TestEcho(t *testing.T) {
	p := run(t, role("echo"), Options{})
	for i, line := range []string{`{"id":1}`, `[1,2]`, "{\n \"big\":\t12345678901234567890\r\n}", `{"s":"` + strings.Repeat("x", 1<<20) + `"}`} {
		if err := p.Send(within(t), []byte(line)); err != nil {
			t.Fatal(err)
		}
		got, err := p.Next(within(t))
		if want := strings.NewReplacer("\n", " ", "\r", " ").Replace(line); err != nil || string(got) != want {
			t.Fatalf("%d: %.60q, %v", i, got, err)
		}
	}
	if p.Exit() != nil || p.Err() != nil {
		t.Error("it ended")
	}
	if err := p.Stop(within(t)); err != nil {
		t.Fatal(err)
	}
	// The end of its input is all that it needed.
	if e := p.Exit(); e.Code != 0 || e.Signal != "" || !e.Stopped || e.Cause != nil {
		t.Errorf("%+v", e)
	}
	wants(t, p.Err(), core.CodeUnavailable, "was stopped")
	err := p.Send(within(t), []byte("{}"))
	wants(t, err, core.CodeUnavailable, "was stopped")
	if !errors.Is(err, ErrNotSent) {
		t.Error("may it have been sent?")
	}
	_, err = p.Next(within(t))
	wants(t, err, core.CodeUnavailable, "was stopped")
}

func TestManySenders(t *testing.T) {
	p := run(t, role("echo"), Options{})
	const senders, each = 16, 100
	var all sync.WaitGroup
	for i := range senders {
		all.Go(func() {
			for j := range each {
				if err := p.Send(t.Context(), fmt.Appendf(nil, `{"id":"%d-%d"}`, i, j)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	seen := map[string]bool{}
	for range senders * each {
		var m struct{ ID string }
		next(t, p, &m)
		seen[m.ID] = true
	}
	all.Wait()
	if len(seen) != senders*each {
		t.Errorf("%d lines of %d", len(seen), senders*each)
	}
}

// What a child prints that is no message does not disturb; what it says last is heard,
// with or without a line feed.
func TestNoiseAndLastLine(t *testing.T) {
	var log book
	p := run(t, role("mixed"), Options{Logger: log.logger()})
	for _, want := range []string{`{"n":1}`, `[2]`, `{"last":3}`} {
		got, err := p.Next(within(t))
		if err != nil || string(got) != want {
			t.Fatalf("%q, %v; want %s", got, err, want)
		}
	}
	_, err := p.Next(within(t))
	wants(t, err, core.CodeUnavailable, "ended by itself (exit status 0)")
	noise := log.lines(t, "child wrote to stdout what is no message", "line")
	if len(noise) != 7 || noise[0] != "Welcome!" || !strings.HasPrefix(noise[5], `\xff\x00\x1b[2J`) {
		t.Errorf("%q", noise)
	}
}

func TestFloodOfNoise(t *testing.T) {
	t.Parallel()
	spec := role("noise")
	spec.Limits.Noise = 64 << 10
	_, err := run(t, spec, Options{}).Next(within(t))
	wants(t, err, core.CodeUnavailable, "more than 65536 bytes to its standard output that are no JSON")

	t.Run("bites", func(t *testing.T) {
		t.Parallel()
		o := Options{off: off{limits: true}}
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		_, err := run(t, spec, o).Next(ctx)
		wants(t, err, core.CodeTimeout, "no line in time")
	})
}

// A child that writes without end is held up while nobody listens, and does not fill memory.
func TestFloodOfLines(t *testing.T) {
	t.Parallel()
	p := run(t, role("flood"), Options{})
	time.Sleep(50 * time.Millisecond)
	for i := range 100_000 {
		var m struct{ I int }
		if i%10_000 == 0 {
			next(t, p, &m)
			if m.I != i {
				t.Fatalf("line %d has %d", i, m.I)
			}
		} else if _, err := p.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLongLine(t *testing.T) {
	tests := []struct {
		bytes int
		ok    bool
	}{{70_000, true}, {100_000, true}, {100_001, false}, {5_000_000, false}}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.bytes), func(t *testing.T) {
			spec := role("long", fmt.Sprint(tt.bytes))
			spec.Limits.Line = 100_000
			p := run(t, spec, Options{})
			line, err := p.Next(within(t))
			if tt.ok {
				if err != nil || len(line) != tt.bytes {
					t.Fatal(len(line), err)
				}
				return
			}
			wants(t, err, core.CodeTooLarge, "a line of more than 100000 bytes")
			if e := end(t, p); e.Cause == nil || e.Signal != "killed" || e.Stopped {
				t.Errorf("%+v", e)
			}
			wants(t, p.Send(within(t), []byte("{}")), core.CodeTooLarge, "100000")
		})
	}
	t.Run("bites", func(t *testing.T) {
		spec := role("long", "100001")
		spec.Limits.Line = 100_000
		if line, err := run(t, spec, Options{off: off{limits: true}}).Next(within(t)); err != nil || len(line) != 100_001 {
			t.Error(len(line), err)
		}
	})
}

// A child that never reads holds up nobody: one line is stuck in its pipe, the next one
// has not been sent.
func TestDeaf(t *testing.T) {
	t.Parallel()
	p := run(t, role("deaf"), Options{})
	line := []byte(`{"s":"` + strings.Repeat("x", 1<<20) + `"}`)
	for i := range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		err := p.Send(ctx, line)
		cancel()
		wants(t, err, core.CodeTimeout, "did not read")
		if errors.Is(err, ErrNotSent) != (i > 0) {
			t.Errorf("line %d: %v", i, err)
		}
	}
}

func TestDeafForTooLong(t *testing.T) {
	t.Parallel()
	spec := role("deaf")
	spec.Limits.Stall = 50 * time.Millisecond
	line := []byte(`{"s":"` + strings.Repeat("x", 1<<20) + `"}`)
	wants(t, run(t, spec, Options{}).Send(within(t), line), core.CodeUnavailable, "did not read from its standard input for 50ms")

	t.Run("bites", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		wants(t, run(t, spec, Options{off: off{stall: true}}).Send(ctx, line), core.CodeTimeout, "in time")
	})
}

func TestClosedPipes(t *testing.T) {
	t.Run("stdout", func(t *testing.T) {
		spec := role("mute")
		spec.Grace = 20 * time.Millisecond
		_, err := run(t, spec, Options{}).Next(within(t))
		wants(t, err, core.CodeUnavailable, "closed its standard output")
	})
	t.Run("stdin", func(t *testing.T) {
		spec := role("earless")
		spec.Grace = 20 * time.Millisecond
		p := run(t, spec, Options{})
		var said []string
		next(t, p, &said)
		if err := p.Send(within(t), []byte("{}")); err == nil {
			t.Fatal("nobody could read that")
		}
		end(t, p)
		wants(t, p.Err(), core.CodeUnavailable, "closed its standard input")
	})
}

func TestStop(t *testing.T) {
	t.Parallel()
	tests := []struct {
		role   string
		code   int
		signal string
	}{{"polite", 7, ""}, {"stubborn", -1, "killed"}}
	for _, tt := range tests {
		t.Run(tt.role, func(t *testing.T) {
			t.Parallel()
			spec := role(tt.role)
			spec.Grace = 50 * time.Millisecond
			if tt.role == "polite" {
				spec.Grace = time.Second // it must hear SIGTERM before SIGKILL
			}
			p := run(t, spec, Options{})
			next(t, p, &struct{}{})
			var all sync.WaitGroup
			for range 3 { // from many sides
				all.Go(func() {
					if err := p.Stop(context.Background()); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
			if e := p.Exit(); e.Code != tt.code || e.Signal != tt.signal || !e.Stopped {
				t.Errorf("%+v", e)
			}
		})
	}
	t.Run("no time", func(t *testing.T) {
		t.Parallel()
		spec := role("stubborn")
		spec.Grace = time.Hour
		p := run(t, spec, Options{})
		stop(t, p)
		if e := p.Exit(); e.Signal != "killed" {
			t.Errorf("%+v", e)
		}
	})
}

func TestExit(t *testing.T) {
	p := run(t, role("exit", "3"), Options{})
	e := end(t, p)
	if e.Code != 3 || e.Stopped || !slices.Equal(e.Tail, []string{"cannot find the key file"}) {
		t.Errorf("%+v", e)
	}
	got := wants(t, p.Err(), core.CodeUnavailable, "exit status 3")
	if strings.Contains(got.Public(), "key file") || !strings.Contains(got.Error(), "cannot find the key file") {
		t.Errorf("public %q, log %q", got.Public(), got)
	}
}

func TestKilledFromOutside(t *testing.T) {
	p := run(t, role("echo"), Options{})
	if err := syscall.Kill(p.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_, err := p.Next(within(t))
	wants(t, err, core.CodeUnavailable, "signal: killed")
}

func TestEnvironmentIsClean(t *testing.T) {
	t.Setenv("SALLYPORT_CANARY", "seen")
	spec := role("env")
	spec.Env = map[string]string{"LANG": "C"}
	spec.Secret = map[string]core.Secret{"KEY": "s3cret"}
	for _, tt := range []struct {
		spec Spec
		want []string
	}{{spec, []string{"KEY=s3cret", "LANG=C"}}, {role("env"), []string{}}} {
		var env [][]string
		next(t, run(t, tt.spec, Options{}), &env)
		if !slices.Equal(env[0], tt.want) {
			t.Errorf("%q, want %q", env[0], tt.want)
		}
	}
	t.Run("bites", func(t *testing.T) {
		var env [][]string
		next(t, run(t, spec, Options{off: off{environ: true}}), &env)
		if !slices.Contains(env[0], "SALLYPORT_CANARY=seen") {
			t.Errorf("%q", env)
		}
	})
}

func TestDirectoryAndSession(t *testing.T) {
	elsewhere := t.TempDir()
	for _, tt := range []struct{ dir, want string }{{"", "/"}, {elsewhere, elsewhere}} {
		spec := role("whoami")
		spec.Dir = tt.dir
		var got [][]any
		next(t, run(t, spec, Options{}), &got)
		if got[0][2] != tt.want || got[0][3] != true || got[0][4] != true {
			t.Errorf("%v, want directory %s, no terminal, a session and a group of its own", got, tt.want)
		}
	}
}

func TestAccount(t *testing.T) {
	// Another account cannot read the directory that `go test` builds in, so the test is
	// about who the child is and not about what it may run.
	spec := Spec{Name: "id", Argv: []string{"/usr/bin/id", "-u"}, Account: &Account{UID: 65534, GID: 65534}}
	var log book
	p, err := Start(Allow{Commands: [][]string{{"/usr/bin/id"}}}, spec, Options{Logger: log.logger()})
	if os.Geteuid() != 0 {
		wants(t, err, core.CodeDenied, "only root")
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, p) })
	_, _ = p.Next(within(t))
	if said := log.lines(t, "child wrote to stdout what is no message", "line"); !slices.Equal(said, []string{"65534"}) {
		t.Errorf("%q", said)
	}
}

func TestRefusedStarts(t *testing.T) {
	gone := role("echo")
	gone.Dir = "/nowhere/at/all"
	_, err := Start(allowSelf(), gone, Options{})
	wants(t, err, core.CodeInvalid, "/nowhere/at/all")
}

// The last lines of a child that ended wait to be fetched, but not for ever.
func TestLastLinesWait(t *testing.T) {
	h := newHand()
	for _, fetched := range []bool{true, false} {
		p := run(t, role("say", "", `{"last":1}`), Options{Clock: h.clock()})
		end(t, p)
		select {
		case <-p.gone:
			t.Fatal("nobody fetched it yet")
		case <-time.After(20 * time.Millisecond):
		}
		if fetched {
			next(t, p, &struct{}{})
		} else {
			h.move(drain)
		}
		select {
		case <-p.gone:
		case <-time.After(20 * time.Second):
			t.Fatalf("fetched %v: something is left of it", fetched)
		}
		_, err := p.Next(within(t))
		wants(t, err, core.CodeUnavailable, "ended by itself")
	}
}
