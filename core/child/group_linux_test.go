package child

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// runs tells whether a process exists and is no zombie: an orphan's zombie is the affair
// of process 1.
func runs(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(rest, "Z") && !strings.HasPrefix(rest, "X")
}

// dies waits until a process is gone.
func dies(pid int) bool {
	for range 400 {
		if !runs(pid) {
			return true
		}
		time.Sleep(5 * time.Millisecond)
	}
	return false
}

// A grandchild ends with the child, whether that is stopped or ends by itself, although it
// ignores SIGTERM and holds stdout open.
func TestGrandchild(t *testing.T) {
	t.Parallel()
	for _, then := range []string{"stay", "leave"} {
		t.Run(then, func(t *testing.T) {
			t.Parallel()
			spec := role("family", "group", then)
			spec.Grace = 50 * time.Millisecond
			p := run(t, spec, Options{})
			pid := grandchild(t, p)
			if then == "stay" {
				if !runs(pid) {
					t.Fatal("there is no grandchild")
				}
				if err := p.Stop(within(t)); err != nil {
					t.Fatal(err)
				}
			}
			end(t, p)
			if !dies(pid) {
				t.Error("the grandchild lives on")
			}
			if _, err := os.Stat(fmt.Sprintf("/proc/%d", p.PID())); err == nil {
				t.Error("the child is a zombie")
			}
		})
	}
	t.Run("bites", func(t *testing.T) {
		t.Parallel()
		p := run(t, role("family", "group", "leave"), Options{off: off{group: true}})
		pid := grandchild(t, p)
		end(t, p)
		if !runs(pid) {
			t.Error("the grandchild is gone without anybody's doing")
		}
		_ = syscall.Kill(pid, syscall.SIGKILL)
		stop(t, p)
	})
}

func grandchild(t *testing.T, p *Process) int {
	t.Helper()
	var pid []int
	next(t, p, &pid)
	return pid[0]
}

// A process that has ended is not handed out, even while a daemon of its own keeps its
// end from being known.
func TestNobodyGetsTheDead(t *testing.T) {
	t.Parallel()
	s := supervise(t, Plan{Spec: role("family", "daemon", "stay")})
	first := acquire(t, s)
	daemons := []int{grandchild(t, first.Process)}
	_ = syscall.Kill(first.Process.PID(), syscall.SIGKILL)
	<-first.Process.ended
	second := acquire(t, s)
	if second.Process == first.Process {
		t.Error("the dead process was handed out")
	} else {
		daemons = append(daemons, grandchild(t, second.Process))
	}
	for _, pid := range daemons {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

// One that left the group cannot be ended, and holds up nobody.
func TestDaemonHoldsUpNobody(t *testing.T) {
	t.Parallel()
	p := run(t, role("family", "daemon", "leave"), Options{})
	pid := grandchild(t, p)
	defer func() { _ = syscall.Kill(pid, syscall.SIGKILL) }()
	next(t, p, &struct{}{}) // then the daemon is silent, and the pipe open
	if e := end(t, p); e.Code != 0 {
		t.Errorf("%+v", e)
	}
	if err := p.Stop(within(t)); err != nil {
		t.Error(err)
	}
}

// When the gateway is killed, its children are.
func TestDeathOfTheGateway(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		defence string
		dies    bool
	}{{"on", true}, {"off", false}} {
		t.Run(tt.defence, func(t *testing.T) {
			t.Parallel()
			gateway := exec.CommandContext(t.Context(), self(), "role", "gateway", tt.defence)
			out, err := gateway.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := gateway.Start(); err != nil {
				t.Fatal(err)
			}
			line, err := bufio.NewReader(out).ReadBytes('\n')
			if err != nil {
				t.Fatal(err)
			}
			var pid []int
			if err := json.Unmarshal(line, &pid); err != nil {
				t.Fatal(err)
			}
			_ = gateway.Process.Kill()
			_ = gateway.Wait()
			defer func() { _ = syscall.Kill(pid[0], syscall.SIGKILL) }()
			if tt.dies {
				if !dies(pid[0]) {
					t.Error("the child outlives the gateway")
				}
				return
			}
			time.Sleep(50 * time.Millisecond)
			if !runs(pid[0]) {
				t.Error("the child died without the defence")
			}
		})
	}
}

// A child has three descriptors, even where the gateway has one that does not close on exec.
func TestDescriptorsAreClean(t *testing.T) {
	name := filepath.Join(t.TempDir(), "secret.db")
	plant := func(t *testing.T) {
		t.Helper()
		fd, err := unix.Open(name, unix.O_CREAT|unix.O_RDWR, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = unix.Close(fd) })
	}
	targets := func(t *testing.T, o off) []string {
		t.Helper()
		plant(t)
		var got [][]string
		next(t, run(t, role("descriptors"), Options{off: o}), &got)
		return got[0]
	}
	got := targets(t, off{})
	pipes := 0
	for _, to := range got {
		switch {
		case strings.HasPrefix(to, "pipe:"):
			pipes++
		case strings.HasPrefix(to, "/proc/"), strings.HasPrefix(to, "anon_inode:"), strings.HasPrefix(to, "/sys/fs/cgroup/"): // its own runtime's
		default:
			t.Errorf("it has %s", to)
		}
	}
	if pipes != 3 {
		t.Errorf("it has %d pipes: %q", pipes, got)
	}
	t.Run("bites", func(t *testing.T) {
		if got := targets(t, off{shield: true}); !slices.Contains(got, name) {
			t.Errorf("%q", got)
		}
	})
}

// Nothing is left of processes that were started and ended, however they ended.
func TestNoDescriptorIsLeft(t *testing.T) {
	round := func() {
		for _, spec := range []Spec{role("echo"), role("exit", "1"), role("stubborn"), role("long", "100000")} {
			spec.Limits.Line = 1000
			p, err := Start(allowSelf(), spec, Options{})
			if err != nil {
				t.Fatal(err)
			}
			stop(t, p)
		}
		gone := role("echo")
		gone.Dir = "/nowhere"
		if _, err := Start(allowSelf(), gone, Options{}); err == nil {
			t.Fatal("it started")
		}
	}
	round()
	before := len(descriptors())
	for range 5 {
		round()
	}
	if after := len(descriptors()); after > before {
		t.Errorf("%d descriptors, then %d", before, after)
	}
}
