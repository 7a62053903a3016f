package config

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	one = "servers: [{name: one}]\n"
	two = "servers: [{name: two}]\n"
)

// write replaces a file in one step: a busy machine may look between two.
func write(t *testing.T, path, content string) {
	t.Helper()
	half := filepath.Join(filepath.Dir(path), ".half")
	writeInPlace(t, half, content)
	do(t, os.Rename(half, path))
}

func writeInPlace(t *testing.T, path, content string) {
	t.Helper()
	do(t, os.WriteFile(path, []byte(content), 0o600))
}

func do(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// watched is a Watcher that runs, and what it told. Each change is read again, as
// the gateway does.
type watched struct {
	*Watcher
	told chan struct{}
}

func watching(t *testing.T, w *Watcher, o Options) watched {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	told, ended := make(chan struct{}, 100), make(chan struct{})
	if w.Poll == 0 {
		w.Poll = time.Hour // what is not told by the system is not found
	}
	w.Quiet = 20 * time.Millisecond
	if !w.read {
		w.Read(o)
	}
	go func() {
		defer close(ended)
		w.Run(ctx, func() {
			w.Read(o)
			told <- struct{}{}
		})
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return watched{w, told}
}

func (w watched) expect(t *testing.T, what string) {
	t.Helper()
	select {
	case <-w.told:
	case <-time.After(30 * time.Second):
		t.Fatalf("%s: not told", what)
	}
}

// settle takes what is told until nothing is.
func (w watched) settle() {
	for {
		select {
		case <-w.told:
		case <-time.After(250 * time.Millisecond):
			return
		}
	}
}

func (w watched) silent(t *testing.T, what string) {
	t.Helper()
	select {
	case <-w.told:
		t.Fatalf("%s: told", what)
	case <-time.After(250 * time.Millisecond):
	}
}

// Each change is made to a directory that is watched; some are no change.
func TestWatchDirectory(t *testing.T) {
	dir := t.TempDir()
	a := filepath.Join(dir, "a.yaml")
	write(t, a, one)
	w := watching(t, &Watcher{Paths: []string{dir}}, Options{})
	for _, step := range []struct {
		name string
		told bool
		do   func()
	}{
		{"written", true, func() { write(t, a, two) }},
		{"written with the same content", false, func() { write(t, a, two) }},
		{"touched", false, func() { do(t, os.Chtimes(a, time.Now(), time.Now().Add(time.Second))) }},
		{"mode changed", false, func() { do(t, os.Chmod(a, 0o640)) }},
		{"replaced by rename, as editors do", true, func() {
			write(t, filepath.Join(dir, ".a.yaml.swp"), one)
			do(t, os.Rename(a, a+"~"))
			do(t, os.Rename(filepath.Join(dir, ".a.yaml.swp"), a))
		}},
		{"a second document", true, func() { write(t, filepath.Join(dir, "b.json"), `{}`) }},
		{"a file that is no document", false, func() { write(t, filepath.Join(dir, "notes.txt"), "x") }},
		{"a hidden file", false, func() { write(t, filepath.Join(dir, ".c.yaml"), two) }},
		{"the settings", false, func() { write(t, filepath.Join(dir, "settings.yaml"), "listen: :1") }},
		{"a document goes", true, func() { do(t, os.Remove(filepath.Join(dir, "b.json"))) }},
		{"the last one goes", true, func() { do(t, os.Remove(a)) }},
		{"it comes back", true, func() { write(t, a, one) }},
		{"broken", true, func() { write(t, a, "servers: [") }},
		{"broken otherwise", true, func() { write(t, a, "servers: [[") }},
		{"mended", true, func() { write(t, a, one) }},
	} {
		step.do()
		if step.told {
			w.expect(t, step.name)
			w.silent(t, "after: "+step.name)
			continue
		}
		w.silent(t, step.name)
	}
}

// Written in two steps, as most programs do: the second is not missed.
func TestWatchInPlace(t *testing.T) {
	dir := t.TempDir()
	a := filepath.Join(dir, "a.yaml")
	write(t, a, one)
	last := make(chan string, 100)
	w := &Watcher{Paths: []string{a}, Poll: time.Hour}
	w.Read(Options{})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.Run(ctx, func() {
			cfg, _ := w.Read(Options{})
			for _, s := range cfg.Servers {
				last <- s.Name
			}
		})
	}()
	defer func() {
		cancel()
		<-ended
	}()
	writeInPlace(t, a, two)
	select {
	case name := <-last:
		if name != "two" {
			t.Errorf("read %s", name)
		}
	case <-time.After(30 * time.Second):
		t.Error("not told")
	}
}

// Kubernetes mounts a ConfigMap as links to ..data/, a link that it swaps.
func TestWatchKubernetes(t *testing.T) {
	dir := t.TempDir()
	for version, content := range map[string]string{"..v1": one, "..v2": two} {
		do(t, os.Mkdir(filepath.Join(dir, version), 0o700))
		write(t, filepath.Join(dir, version, "a.yaml"), content)
	}
	do(t, os.Symlink("..v1", filepath.Join(dir, "..data")))
	do(t, os.Symlink("..data/a.yaml", filepath.Join(dir, "a.yaml")))
	for name, path := range map[string]string{"file": filepath.Join(dir, "a.yaml"), "directory": dir} {
		t.Run(name, func(t *testing.T) {
			w := &Watcher{Paths: []string{path}}
			if cfg, problems := w.Read(Options{}); len(problems) > 0 || len(cfg.Servers) != 1 {
				t.Fatal(cfg, problems)
			}
			running := watching(t, w, Options{})
			swap := func(to string) {
				do(t, os.Symlink(to, filepath.Join(dir, "..data_tmp")))
				do(t, os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")))
			}
			swap("..v2")
			running.expect(t, "swapped")
			swap("..v1")
			running.expect(t, "swapped back")
		})
	}
}

// A link that leads out of the directory: the file it leads to is watched.
func TestWatchLink(t *testing.T) {
	dir, elsewhere := t.TempDir(), t.TempDir()
	write(t, filepath.Join(elsewhere, "real.yaml"), one)
	do(t, os.Symlink(filepath.Join(elsewhere, "real.yaml"), filepath.Join(dir, "a.yaml")))
	w := watching(t, &Watcher{Paths: []string{filepath.Join(dir, "a.yaml")}}, Options{})
	write(t, filepath.Join(elsewhere, "real.yaml"), two)
	w.expect(t, "the file behind the link")
}

// The files of references are watched too, and those that another room names.
func TestWatchReferences(t *testing.T) {
	dir, secrets := t.TempDir(), t.TempDir()
	token, terms, later := filepath.Join(secrets, "token"), filepath.Join(secrets, "terms.md"), filepath.Join(secrets, "later")
	write(t, token, "a")
	write(t, terms, "x")
	document := "connections: [{name: a, baseUrl: 'http://x', credential: {type: bearer, token: '${file:" + token + "}'}}]\n"
	write(t, filepath.Join(dir, "a.yaml"), document)
	w := &Watcher{Paths: []string{dir}}
	cfg, problems := w.Read(Options{})
	if len(problems) > 0 {
		t.Fatal(Format(problems))
	}
	if files := Files(cfg); len(files) != 2 || files[1].Path != token {
		t.Errorf("files: %v", files)
	}
	w.Also(terms)
	running := watching(t, w, Options{})
	swap(t, token, "b")
	running.expect(t, "the file of a reference")
	running.settle() // a change while it starts may be told twice
	swap(t, filepath.Join(secrets, "other"), "c")
	running.silent(t, "another file beside it")
	do(t, os.Remove(token))
	running.expect(t, "it is gone")
	swap(t, token, "b")
	running.expect(t, "it is back")
	swap(t, terms, "y")
	running.expect(t, "a further file")
	running.Also(terms)

	swap(t, filepath.Join(dir, "a.yaml"), "connections: [{name: a, baseUrl: 'http://x', credential: {type: bearer, token: '${file:"+later+"}'}}]\n")
	running.expect(t, "another reference")
	swap(t, later, "z")
	running.expect(t, "the file that was missing")
	swap(t, token, "c")
	running.silent(t, "the file that is referred to no more")
}

// swap writes a file in one step: a write in place is seen empty first, now and then,
// and told twice.
func swap(t *testing.T, name, text string) {
	t.Helper()
	fresh := filepath.Join(t.TempDir(), "fresh")
	write(t, fresh, text)
	do(t, os.Rename(fresh, name))
}

// What happens between reading and watching is not lost.
func TestWatchSinceRead(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a.yaml"), one)
	w := &Watcher{Paths: []string{dir}}
	w.Read(Options{})
	write(t, filepath.Join(dir, "a.yaml"), two)
	watching(t, w, Options{}).expect(t, "changed before Run")
}

// A further file is read between Read and Also, by somebody else: what happens there is
// not lost, whether the file is known already or new, and nothing else is told.
func TestWatchAlsoSinceRead(t *testing.T) {
	for _, known := range []bool{true, false} {
		for _, changes := range []bool{true, false} {
			dir, elsewhere := t.TempDir(), t.TempDir()
			module := filepath.Join(elsewhere, "plugin.wasm")
			write(t, filepath.Join(dir, "a.yaml"), one)
			write(t, module, "x")
			past := time.Now().Add(-time.Minute)
			do(t, os.Chtimes(module, past, past))
			w := &Watcher{Paths: []string{dir}}
			w.Read(Options{})
			if known {
				w.Also(module)
				w.Read(Options{})
			}
			if changes {
				write(t, module, "y")
			}
			w.Also(module)
			running := watching(t, w, Options{})
			if changes {
				running.expect(t, "changed while it was read")
			}
			running.Also(module)
			running.silent(t, "as it was read")
		}
	}
}

// A system that tells nothing (network file systems, no watches left): looking finds
// the change.
func TestWatchPolls(t *testing.T) {
	dir := t.TempDir()
	a := filepath.Join(dir, "a.yaml")
	write(t, a, one)
	w := watching(t, &Watcher{Paths: []string{dir}, silent: true, Poll: 30 * time.Millisecond}, Options{})
	write(t, a, two)
	w.expect(t, "changed")
	w.silent(t, "not changed")
	write(t, filepath.Join(dir, "b.yaml"), two)
	w.expect(t, "added")
	do(t, os.RemoveAll(dir))
	w.expect(t, "the directory is gone")
	do(t, os.Mkdir(dir, 0o700))
	write(t, a, one)
	w.expect(t, "the directory is back")
}

// The test of the test above: with neither, nothing is told.
func TestWatchNeedsOne(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a.yaml"), one)
	w := &Watcher{Paths: []string{dir}, silent: true}
	w.Read(Options{})
	write(t, filepath.Join(dir, "a.yaml"), two)
	running := watching(t, w, Options{})
	running.expect(t, "changed before Run looked") // from here on it has looked
	write(t, filepath.Join(dir, "a.yaml"), one)
	running.silent(t, "changed")
}

// A file that is written all the time is still looked at, and a change that nobody
// reads is told once.
func TestWatchBusy(t *testing.T) {
	dir := t.TempDir()
	a := filepath.Join(dir, "a.yaml")
	write(t, a, one)
	ctx, cancel := context.WithCancel(context.Background())
	told, ended := make(chan struct{}, 100), make(chan struct{})
	go func() {
		defer close(ended)
		Watch(ctx, []string{a}, nil, func() { told <- struct{}{} })
	}()
	defer func() {
		cancel()
		<-ended
	}()
	time.Sleep(50 * time.Millisecond)
	until := time.Now().Add(30 * time.Second)
	for len(told) == 0 && time.Now().Before(until) {
		write(t, a, two)
		time.Sleep(10 * time.Millisecond)
	}
	time.Sleep(300 * time.Millisecond)
	write(t, a, two)
	time.Sleep(300 * time.Millisecond)
	// The file may have been caught empty, between two steps of a write.
	if n := len(told); n == 0 || n > 3 {
		t.Errorf("told %d times", n)
	}
}
