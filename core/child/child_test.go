//go:build unix

package child

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/core"
)

// The test binary is its own child: with "role" as its first argument it plays the part
// that the second one names.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "role" {
		time.AfterFunc(2*time.Minute, func() { os.Exit(99) }) // nothing outlives the tests for long
		roles[os.Args[2]](os.Args[3:])
		os.Exit(0)
	}
	// With an umask of 002 the group could write it, which is refused.
	if err := os.Chmod(self(), 0o755); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

func self() string {
	path, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return path
}

const forever = time.Minute

var roles = map[string]func(args []string){
	"echo": func([]string) { echo() },
	"env":  func([]string) { answer(os.Environ()) },
	"whoami": func([]string) {
		dir, _ := os.Getwd()
		_, err := os.Open("/dev/tty")
		session, _ := unix.Getsid(0)
		answer([]any{os.Getuid(), os.Getgid(), dir, err != nil, syscall.Getpgrp() == os.Getpid() && session == os.Getpid()})
	},
	"descriptors": func([]string) { answer(descriptors()) },
	"flood": func([]string) {
		for i := 0; ; i++ {
			fmt.Printf("{\"i\":%d}\n", i)
		}
	},
	"noise": func([]string) {
		for {
			fmt.Println("listening on port 3000 [info]")
		}
	},
	"mixed": func([]string) {
		fmt.Print("Welcome!\n\n[info] not JSON\n{ a: 1 }\n\"text\"\n17\n{\"n\":1}\r\n  [2]  \n")
		_, _ = os.Stdout.Write(append(bytes.Repeat([]byte{0xff, 0, 0x1b, '[', '2', 'J'}, 100), '\n'))
		fmt.Print("{\"cut\": \n{\"last\":3}") // no line feed at the end
	},
	"grumble": func(args []string) {
		n, _ := strconv.Atoi(args[0])
		for i := range n {
			fmt.Fprintf(os.Stderr, "line %d\n", i)
		}
		echo()
	},
	"say": func(args []string) { fmt.Fprint(os.Stderr, args[0]); fmt.Println(args[1]) },
	"leak": func([]string) {
		fmt.Fprintln(os.Stderr, "key is", os.Getenv("KEY"), "and again", os.Getenv("KEY"))
		fmt.Fprintln(os.Stderr, strings.Repeat("x", 90)+os.Getenv("KEY")) // the limit of the test is within the key
		fmt.Fprintln(os.Stderr, os.Getenv("PEM"))
		quoted, _ := json.Marshal(os.Getenv("PEM"))
		fmt.Fprintf(os.Stderr, "%s\n", quoted)
		fmt.Println("stdout", os.Getenv("KEY"))
	},
	"deaf":     func([]string) { time.Sleep(forever) },
	"stubborn": func([]string) { stubborn() },
	"later":    func([]string) { time.Sleep(100 * time.Millisecond); stubborn() },
	"polite": func([]string) { // waits for SIGTERM, whatever happens to stdin
		c := make(chan os.Signal, 1)
		signal.Notify(c, syscall.SIGTERM)
		fmt.Println("{}")
		<-c
		os.Exit(7)
	},
	"family": func(args []string) { // a grandchild that holds stdout open
		cmd := exec.Command(self(), "role", "later")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: args[0] == "daemon"}
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		if err := cmd.Start(); err != nil {
			panic(err)
		}
		answer(cmd.Process.Pid)
		if args[1] == "stay" {
			echo()
		}
	},
	"exit": func(args []string) {
		fmt.Fprintln(os.Stderr, "cannot find the key file")
		code, _ := strconv.Atoi(args[0])
		os.Exit(code)
	},
	"once": func(args []string) { // the first process that makes the file fails
		if f, err := os.OpenFile(args[0], os.O_CREATE|os.O_EXCL, 0o600); err == nil {
			f.Close()
			os.Exit(1)
		}
		echo()
	},
	"long": func(args []string) {
		n, _ := strconv.Atoi(args[0])
		fmt.Printf("[%s]\n", strings.Repeat("1", n-2))
		echo()
	},
	"mute":    func([]string) { os.Stdout.Close(); time.Sleep(forever) },
	"earless": func([]string) { os.Stdin.Close(); answer("closed"); time.Sleep(forever) },
	"gateway": func(args []string) { // a gateway with a child, for the one that kills it
		o := Options{}
		o.off.death = args[0] == "off"
		p, err := Start(allowSelf(), Spec{Name: "orphan", Argv: []string{self(), "role", "deaf"}}, o)
		if err != nil {
			panic(err)
		}
		answer(p.PID())
		time.Sleep(forever)
	},
}

func stubborn() {
	signal.Ignore(syscall.SIGTERM)
	fmt.Println("{}")
	time.Sleep(forever)
}

func answer(v any) {
	b, err := json.Marshal([]any{v})
	if err != nil {
		panic(err)
	}
	fmt.Printf("%s\n", b)
}

func echo() {
	r, w := bufio.NewReaderSize(os.Stdin, 1<<20), bufio.NewWriter(os.Stdout)
	for {
		line, err := r.ReadBytes('\n')
		_, _ = w.Write(line)
		if r.Buffered() == 0 || err != nil {
			w.Flush()
		}
		if err != nil {
			return
		}
	}
}

func descriptors() []string {
	entries, _ := os.ReadDir("/proc/self/fd")
	var targets []string
	for _, e := range entries {
		if to, err := os.Readlink(filepath.Join("/proc/self/fd", e.Name())); err == nil {
			targets = append(targets, to)
		}
	}
	return targets
}

func allowSelf() Allow { return Allow{Commands: [][]string{{self(), "role"}}} }

func role(name string, args ...string) Spec {
	return Spec{Name: name, Argv: append([]string{self(), "role", name}, args...)}
}

// run starts a child and stops it when the test ends.
func run(t *testing.T, spec Spec, o Options) *Process {
	t.Helper()
	p, err := Start(allowSelf(), spec, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, p) })
	return p
}

func stop(t *testing.T, p *Process) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // no grace
	if err := p.Stop(ctx); err != nil {
		t.Error(err)
	}
}

func end(t *testing.T, p *Process) *Exit {
	t.Helper()
	select {
	case <-p.Done():
	case <-time.After(20 * time.Second):
		t.Fatal("the child does not end")
	}
	return p.Exit()
}

// next fetches a line and unmarshals it.
func next(t *testing.T, p *Process, v any) {
	t.Helper()
	line, err := p.Next(within(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(line, v); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// wants checks the code of an error and what its public text holds.
func wants(t *testing.T, err error, code core.Code, text string) *core.Error {
	t.Helper()
	e := core.AsError(err)
	if err == nil || e.Code != code || !strings.Contains(e.Public(), text) {
		t.Fatalf("got %v (%s), want %s with %q", err, e.Code, code, text)
	}
	return e
}

// book is a log that a test reads.
type book struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *book) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *book) logger() *slog.Logger { return slog.New(slog.NewJSONHandler(b, nil)) }

// lines returns a field of all records with this message.
func (b *book) lines(t *testing.T, message, field string) []string {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	var found []string
	for line := range bytes.Lines(b.buf.Bytes()) {
		var record map[string]any
		if err := json.Unmarshal(line, &record); err != nil {
			t.Fatal(err)
		}
		if v, ok := record[field]; ok && record["msg"] == message {
			found = append(found, fmt.Sprint(v))
		}
	}
	return found
}

func (b *book) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

var _ io.Writer = (*book)(nil)
