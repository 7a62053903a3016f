package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a child that serves until it is ended.
type process struct {
	name    string
	cmd     *exec.Cmd
	address string // what it said behind "listening on "
	lines   []string
	took    time.Duration // from exec to that line
	errors  bytes.Buffer
	ended   chan struct{}
}

// maxErrors bounds what is kept of a child's standard error.
const maxErrors = 64 << 10

// capped keeps the first bytes that are written to it.
type capped struct{ b *bytes.Buffer }

func (c capped) Write(p []byte) (int, error) {
	if room := maxErrors - c.b.Len(); room > 0 {
		c.b.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

// spawn starts a child and waits until it listens. silent children log to nowhere,
// as the ones that are measured must not pay for our reading.
func spawn(ctx context.Context, name string, silent bool, path string, args ...string) (*process, error) {
	cmd := exec.CommandContext(ctx, path, args...) //nolint:gosec // this binary, or the gateway
	p := &process{name: name, cmd: cmd, ended: make(chan struct{})}
	p.cmd.Cancel = func() error { return p.cmd.Process.Signal(syscall.SIGTERM) }
	p.cmd.WaitDelay = 3 * time.Second
	if !silent {
		p.cmd.Stderr = capped{&p.errors}
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	start := time.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	ready := make(chan bool, 1)
	go func() {
		defer close(p.ended)
		scan := bufio.NewScanner(out)
		for scan.Scan() {
			if where, found := strings.CutPrefix(scan.Text(), "listening on "); found {
				p.address, p.took = strings.TrimPrefix(where, "http://"), time.Since(start)
				ready <- true
				break
			}
			p.lines = append(p.lines, scan.Text())
		}
		for scan.Scan() { // drained, so that the child never blocks on it
			continue
		}
		_ = p.cmd.Wait()
		close(ready)
	}()
	select {
	case listening := <-ready:
		if listening {
			return p, nil
		}
		return nil, fmt.Errorf("%s ended before it listened: %s", name, strings.TrimSpace(p.errors.String()))
	case <-time.After(20 * time.Second):
		p.end()
		return nil, fmt.Errorf("%s does not listen after 20 s", name)
	}
}

// end ends the child: politely, and after two seconds for good.
func (p *process) end() {
	if p == nil {
		return
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(2 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
}

// cpu is the CPU time of the child so far, user and system: the sum over its threads
// in nanoseconds where the system has it, else in ticks of 10 ms.
func (p *process) cpu() time.Duration {
	dir := fmt.Sprintf("/proc/%d/task", p.cmd.Process.Pid)
	threads, err := os.ReadDir(dir)
	if err != nil {
		return 0
	}
	total := time.Duration(0)
	for _, thread := range threads {
		b, err := os.ReadFile(dir + "/" + thread.Name() + "/schedstat")
		if err != nil {
			return p.ticks()
		}
		first, _, _ := strings.Cut(string(b), " ")
		n, err := strconv.ParseInt(first, 10, 64)
		if err != nil {
			return p.ticks()
		}
		total += time.Duration(n)
	}
	return total
}

// ticks is cpu by /proc/PID/stat (proc(5): fields 14 and 15, behind the name in
// parentheses).
func (p *process) ticks() time.Duration {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * 10 * time.Millisecond
}

// rss is the resident memory of the child in bytes.
func (p *process) rss() int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(b))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize())
}

// descriptors is how many files and sockets the child has open.
func (p *process) descriptors() int {
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	return len(list)
}

// ask runs this binary in a role to its end, and reads the JSON that it prints.
func ask(ctx context.Context, answer any, args ...string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, self, args...) //nolint:gosec // this binary
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, capped{&complaints}
	if err := cmd.Run(); err != nil {
		return errors.Join(fmt.Errorf("%s: %w", args[0], err), errors.New(strings.TrimSpace(complaints.String())))
	}
	return json.Unmarshal(out.Bytes(), answer)
}
