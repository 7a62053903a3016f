package app

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/plugins/manifest"
	"github.com/sallyport/sallyport/plugins/selftest"
)

const pluginsPage = "../../docs/plugins.md"

// TestPluginsPage types what docs/plugins.md says, word for word, in an empty folder and
// with the binary that people have: files, commands, and what one should see. Blocks that
// take part have try=PATH in their first line; beside it
//
//	file=NAME    the block is the text of that file
//	background   the command goes on until the next one in the background, or a stop
//	stop         Ctrl-C for what goes on, then the command
//
// and a block of text is what the command before it prints, with … for anything, and for
// any lines where it stands alone.
func TestPluginsPage(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "bin")
	build := exec.Command("go", "build", "-o", filepath.Join(bin, "sallyport"), ".")
	build.Dir, build.Env = "../..", append(os.Environ(), "CGO_ENABLED=0")
	if said, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	for path, least := range map[string]int{"go": 20, "rust": 15} {
		t.Run(path, func(t *testing.T) {
			blocks := triedBlocks(t, pluginsPage, path)
			if len(blocks) < least {
				t.Fatalf("only %d blocks were found", len(blocks))
			}
			w := newWalk(t, bin)
			defer w.stop(os.Kill)
			for _, b := range blocks {
				w.step(b)
			}
		})
	}
}

// TestPluginsPageExamples reads the examples of files of a plugin.
func TestPluginsPageExamples(t *testing.T) {
	manifests, fixtures := triedBlocks(t, pluginsPage, "manifest"), triedBlocks(t, pluginsPage, "fixture")
	if len(manifests) == 0 || len(fixtures) == 0 {
		t.Fatal("there are none")
	}
	for _, b := range manifests {
		if _, err := manifest.Parse("plugin.yaml", []byte(b.text)); err != nil {
			t.Errorf("line %d: %v", b.line, err)
		}
	}
	for _, b := range fixtures {
		if _, err := selftest.Parse("fixture.yaml", []byte(b.text)); err != nil {
			t.Errorf("line %d: %v", b.line, err)
		}
	}
}

// tried is a block of a page that is tried.
type tried struct {
	line             int
	language         string
	file             string
	background, stop bool
	text             string
}

func triedBlocks(t *testing.T, page, path string) (all []tried) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	inside := false
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		mark, isFence := strings.CutPrefix(line, "```")
		switch {
		case inside && isFence:
			inside = false
		case inside:
			all[len(all)-1].text += line
		case isFence:
			words := strings.Fields(mark)
			b, ours := tried{line: n}, false
			for i, word := range words {
				key, value, _ := strings.Cut(word, "=")
				switch {
				case i == 0:
					b.language = word
				case key == "try":
					ours = value == path
				case key == "file":
					b.file = value
				case word == "background":
					b.background = true
				case word == "stop":
					b.stop = true
				default:
					t.Fatalf("%s:%d: %q says nothing", page, n, word)
				}
			}
			if ours {
				inside, all = true, append(all, b)
			}
		}
	}
	return all
}

// walk goes one path through the page.
type walk struct {
	t    *testing.T
	root string // the folder in which it begins
	at   string // where the shell stands
	env  []string
	free *strings.Replacer // addresses of the page → free ones

	last    tried // the last commands
	said    string
	running *running
}

// running is a command in the background.
type running struct {
	cmd *exec.Cmd
	out *os.File
}

func newWalk(t *testing.T, bin string) *walk {
	t.Helper()
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	gateway, plugin := freeAddress(t), freeAddress(t)
	return &walk{
		t: t, root: root, at: root,
		env: append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "GOPROXY=off", "GOFLAGS=", "CARGO_NET_OFFLINE=true"),
		free: strings.NewReplacer(
			"127.0.0.1:8080", gateway, "127.0.0.1:8091", plugin,
			"sallyport serve", "sallyport serve --drain-lag 0s --listen "+gateway, "sallyport plugin run", "sallyport plugin run --listen "+plugin,
		),
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

func (w *walk) step(b tried) {
	w.t.Helper()
	switch {
	case b.file != "":
		name := filepath.Join(w.root, b.file)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			w.t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(b.text), 0o600); err != nil {
			w.t.Fatal(err)
		}
	case b.language == "sh" && b.background:
		w.stop(os.Interrupt)
		w.last = b
		w.start(w.free.Replace(b.text))
	case b.language == "sh":
		if b.stop {
			w.stop(os.Interrupt)
		}
		w.last = b
		w.run()
	case b.language == "text":
		w.see(b)
	default:
		w.t.Fatalf("%s:%d: neither a file nor commands nor what they print", pluginsPage, b.line)
	}
}

// run types the last commands into a shell that ends when one of them does not succeed.
func (w *walk) run() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 2*time.Minute)
	defer cancel()
	where := filepath.Join(w.t.TempDir(), "pwd")
	cmd := exec.CommandContext(ctx, "bash", "-e", "-c", w.free.Replace(w.last.text)+"\npwd >"+where)
	cmd.Dir, cmd.Env = w.at, w.env
	said, err := cmd.CombinedOutput()
	w.said = string(said)
	if err != nil {
		if strings.Contains(w.said, "is not installed") && os.Getenv("CI") != "true" {
			w.t.Skipf("a compiler is missing: %s", w.said)
		}
		w.t.Fatalf("%s:%d: %v\n%s%s", pluginsPage, w.last.line, err, w.last.text, w.said)
	}
	at, err := os.ReadFile(where)
	if err != nil {
		w.t.Fatal(err)
	}
	w.at = strings.TrimSpace(string(at))
}

func (w *walk) start(command string) {
	w.t.Helper()
	out, err := os.Create(filepath.Join(w.t.TempDir(), "out"))
	if err != nil {
		w.t.Fatal(err)
	}
	cmd := exec.CommandContext(w.t.Context(), "bash", "-c", "exec "+strings.TrimSpace(command))
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = w.at, w.env, out, out
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.running = &running{cmd, out}
}

// stop ends what goes on in the background. After Ctrl-C it must end well.
func (w *walk) stop(how os.Signal) {
	w.t.Helper()
	if w.running == nil {
		return
	}
	r := w.running
	w.running = nil
	_ = r.cmd.Process.Signal(how)
	hang := time.AfterFunc(20*time.Second, func() { _ = r.cmd.Process.Signal(syscall.SIGKILL) })
	defer hang.Stop()
	if err := r.cmd.Wait(); err != nil && how == os.Interrupt {
		w.t.Errorf("after Ctrl-C: %v\n%s", err, r.text())
	}
	_ = r.out.Close()
}

func (r *running) text() string {
	text, err := os.ReadFile(r.out.Name())
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// see compares what the last commands printed. What takes its time is waited for: a
// command in the background, and a call of what is being loaded again.
func (w *walk) see(b tried) {
	w.t.Helper()
	want := expected(w.free.Replace(b.text))
	patience := time.Now().Add(40 * time.Second)
	for {
		if w.last.background {
			w.said = w.running.text()
		}
		if want.MatchString(w.said) {
			return
		}
		waits := w.last.background || strings.HasPrefix(w.last.text, "curl ")
		if !waits || time.Now().After(patience) {
			log := ""
			if w.running != nil {
				log = w.running.text()
			}
			w.t.Fatalf("%s:%d: this is not printed:\n%sbut:\n%s\n%s", pluginsPage, b.line, b.text, w.said, log)
		}
		time.Sleep(200 * time.Millisecond)
		if !w.last.background {
			w.run()
		}
	}
}

// expected makes a pattern of what a page says is printed.
func expected(text string) *regexp.Regexp {
	var pattern bytes.Buffer
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if line == "…" {
			pattern.WriteString(`(?:.*\n)*?`)
			continue
		}
		parts := strings.Split(line, "…")
		for i := range parts {
			parts[i] = regexp.QuoteMeta(parts[i])
		}
		fmt.Fprintf(&pattern, `%s(?:\n|\z)`, strings.Join(parts, ".*"))
	}
	return regexp.MustCompile(`(?m)^` + pattern.String())
}

// The comparison sees what is missing and what is other.
func TestExpected(t *testing.T) {
	const said = "one\ntwo 2\nthree\nfour {4}\n"
	for page, want := range map[string]bool{
		"one\n": true, "two …\n": true, "one\n…\nfour {4}\n": true, "two …\nthree\n…\n": true, "three\nfour {…\n": true,
		"one\nthree\n": false, "on\n": false, "two 3\n": false, "two …\nfour {4}\n": false, "four\n": false, "ne\n": false,
	} {
		if got := expected(page).MatchString(said); got != want {
			t.Errorf("%q: %v", page, got)
		}
	}
}
