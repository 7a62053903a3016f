package config

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/sallyport/sallyport/core"
)

// Watcher tells when reading the documents again would give something else. It
// compares contents: a file that is touched, or saved without a change, is no
// change. What it compares with is what Read read, so nothing that happens between
// reading and watching is lost.
//
//	w := &config.Watcher{Paths: paths, Log: log}
//	cfg, problems := w.Read(options)
//	go w.Run(ctx, func() { cfg, problems = w.Read(options); … })
//
// The system tells of changes by directory (inotify and the like), which also sees
// editors that write a new file and rename it, and the ..data link that Kubernetes
// swaps. Where the system says nothing (network file systems, no watches left)
// looking every Poll still finds the change.
type Watcher struct {
	Paths []string     // as for Read
	Log   *slog.Logger // nil = none
	Poll  time.Duration
	// Quiet is how long nothing must happen before files are looked at; 0 = 10 ms. An
	// editor saves in several steps.
	Quiet time.Duration
	// Rand gives the jitter of Poll, in [0, 1); nil = math/rand.
	Rand func() float64
	Now  func() time.Time // nil = time.Now

	mu     sync.Mutex
	known  fingerprint
	also   []File
	read   bool
	begun  time.Time // the last Read
	silent bool      // only tests set it: the system tells nothing
}

const (
	defaultPoll  = 5 * time.Second
	defaultQuiet = 10 * time.Millisecond
	maxQuiet     = 100 * time.Millisecond // a file that changes all the time is looked at this often
	coarse       = 50 * time.Millisecond  // clocks of file systems run in steps
)

// Watch calls onChange whenever what paths name has changed, until ctx ends. It
// cannot know what was read before it was called; a Watcher can.
func Watch(ctx context.Context, paths []string, log *slog.Logger, onChange func()) {
	(&Watcher{Paths: paths, Log: log}).Run(ctx, onChange)
}

// Read reads the documents (see Read) and remembers what it read, references
// included: Run compares with that. Of the files given to Also it remembers what stands
// in them before the documents are read, because they are read after them.
func (w *Watcher) Read(o Options) (core.Config, []core.Problem) {
	now := w.Now
	if now == nil {
		now = time.Now
	}
	begun := now()
	w.mu.Lock()
	also := slices.Clone(w.also)
	w.mu.Unlock()
	for i := range also {
		also[i] = fileAt(also[i].Path, also[i].limit)
	}
	cfg, problems, seen := read(w.Paths, o)
	w.mu.Lock()
	w.known, w.also, w.read, w.begun = seen, also, true, begun
	w.mu.Unlock()
	return cfg, problems
}

// Also watches further files, besides those that Read read: what a document names
// and another room opened since. It replaces the files given before. What changed
// between the last Read and this call is told: whoever opened it may have seen either.
func (w *Watcher) Also(paths ...string) {
	w.mu.Lock()
	before, begun := w.also, w.begun
	w.mu.Unlock()
	files := make([]File, len(paths))
	for i, path := range paths {
		if at := slices.IndexFunc(before, func(f File) bool { return f.Path == path }); at >= 0 {
			files[i] = before[at]
			continue
		}
		files[i] = fileAt(path, maxTotal)
		if stat, err := os.Stat(path); err == nil && stat.ModTime().After(begun.Add(-coarse)) {
			files[i].Sum = [sha256.Size]byte{} // of nothing that can stand there
		}
	}
	w.mu.Lock()
	w.also = files
	w.mu.Unlock()
}

// Run calls onChange, in its own goroutine, whenever the content has changed since
// it was last read, until ctx ends. A change that Read does not take up is told once.
func (w *Watcher) Run(ctx context.Context, onChange func()) {
	log := w.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	w.mu.Lock()
	if !w.read {
		w.known, w.read = look(w.Paths, nil), true
	}
	w.mu.Unlock()

	watches := openWatches(log, w.silent)
	defer watches.close()
	var told [sha256.Size]byte
	var seen []fs.FileInfo
	check := func() {
		// First watch, then look: a change in between is told. What Read took up may
		// stand in directories that nobody watched while it was read; so look again.
		for range 3 {
			known := w.baseline()
			watches.follow(directories(known.paths(w.Paths)))
			seen = stats(known.paths(w.Paths)) // before looking: a later change shows in the next stats
			now := look(w.Paths, known.files)
			switch sum := now.sum(); sum {
			case known.sum():
				told = [sha256.Size]byte{}
			case told:
			default:
				told = sum
				onChange()
			}
			if !watches.follow(directories(w.baseline().paths(w.Paths))) {
				return
			}
		}
	}
	check()

	var (
		quiet, latest <-chan time.Time // when to look after events: nothing happened for Quiet, or maxQuiet at last
		sure          bool             // an event named a file of ours
		poll          = w.wait()
	)
	for {
		select {
		case <-ctx.Done():
			return
		case event := <-watches.events:
			sure = sure || w.baseline().names(event.Name)
			if quiet == nil {
				latest = time.After(maxQuiet)
			}
			quiet = time.After(cmp.Or(w.Quiet, defaultQuiet))
			continue
		case err := <-watches.errors: // events may be lost
			log.Warn("watching documents", "error", err)
			sure = true
		case <-quiet:
		case <-latest:
		case <-poll:
			poll = w.wait()
		}
		if sure || changed(seen, stats(w.baseline().paths(w.Paths))) {
			check()
		}
		quiet, latest, sure = nil, nil, false
	}
}

// wait returns the next time to look without being told.
func (w *Watcher) wait() <-chan time.Time {
	random := w.Rand
	if random == nil {
		random = rand.Float64
	}
	return time.After(time.Duration(float64(cmp.Or(w.Poll, defaultPoll)) * (0.8 + 0.4*random())))
}

// baseline is what the content is compared with.
func (w *Watcher) baseline() fingerprint {
	w.mu.Lock()
	defer w.mu.Unlock()
	return fingerprint{files: slices.Concat(w.known.files, w.also), directories: w.known.directories}
}

// look takes the fingerprint of what stands there now: the documents that paths name, and
// the files that were known.
func look(paths []string, known []File) fingerprint {
	files, seen, _ := collect(paths)
	for _, name := range files {
		seen.files = append(seen.files, fileAt(name, maxFile))
	}
	for _, f := range known {
		if !slices.Contains(files, f.Path) {
			seen.files = append(seen.files, fileAt(f.Path, cmp.Or(f.limit, maxFile)))
		}
	}
	return seen
}

// fileAt returns what stands in a file now.
func fileAt(path string, limit int64) File {
	b, err := readFile(path, limit)
	return File{Path: path, Sum: sumOf(b, err), limit: limit}
}

// sum identifies a fingerprint, whatever the order of its files.
func (p fingerprint) sum() [sha256.Size]byte {
	var lines []string
	for _, f := range p.files {
		lines = append(lines, "f"+f.Path+"\x00"+string(f.Sum[:]))
	}
	for _, d := range p.directories {
		lines = append(lines, "d"+d.Path+"\x00"+string(d.Sum[:]))
	}
	slices.Sort(lines)
	return sha256.Sum256([]byte(strings.Join(slices.Compact(lines), "\x00")))
}

// paths lists everything that is looked at.
func (p fingerprint) paths(named []string) []string {
	all := slices.Clone(named)
	for _, f := range p.files {
		all = append(all, f.Path)
	}
	for _, d := range p.directories {
		all = append(all, d.Path)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// names tells whether path is a file of the fingerprint, or could be a new document.
func (p fingerprint) names(path string) bool {
	here := func(f File) bool { return filepath.Clean(f.Path) == path }
	if slices.ContainsFunc(p.files, here) {
		return true
	}
	base, directory := filepath.Base(path), filepath.Dir(path)
	return isDocument(base) && slices.ContainsFunc(p.directories, func(d File) bool { return filepath.Clean(d.Path) == directory })
}

// stats returns what the system says of each path; nil where it says nothing. The
// modification time of a directory tells of names that came or went.
func stats(paths []string) []fs.FileInfo {
	all := make([]fs.FileInfo, len(paths))
	for i, path := range paths {
		all[i], _ = os.Stat(path)
	}
	return all
}

func changed(before, after []fs.FileInfo) bool {
	return !slices.EqualFunc(before, after, func(a, b fs.FileInfo) bool {
		if a == nil || b == nil {
			return a == nil && b == nil
		}
		return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
	})
}

// directories returns those whose events tell of changes to paths: the directory
// of each path and of what a link leads to, and each path that is one.
func directories(paths []string) []string {
	var all []string
	for _, path := range paths {
		all = append(all, filepath.Dir(path))
		if target, err := filepath.EvalSymlinks(path); err == nil {
			all = append(all, filepath.Dir(target))
		}
		if stat, err := os.Stat(path); err == nil && stat.IsDir() {
			all = append(all, filepath.Clean(path))
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// watches is what the system tells us of.
type watches struct {
	log    *slog.Logger
	system *fsnotify.Watcher // nil: the system tells nothing
	events <-chan fsnotify.Event
	errors <-chan error
	silent map[string]bool // directories that could not be watched, told once
}

func openWatches(log *slog.Logger, silent bool) *watches {
	w := &watches{log: log, silent: map[string]bool{}}
	if silent {
		return w
	}
	system, err := fsnotify.NewWatcher()
	if err != nil {
		log.Warn("the system tells of no file changes; documents are looked at from time to time", "error", err)
		return w
	}
	w.system, w.events, w.errors = system, system.Events, system.Errors
	return w
}

func (w *watches) close() {
	if w.system != nil {
		_ = w.system.Close()
	}
}

// follow watches these directories and no others, and tells whether one is new.
func (w *watches) follow(directories []string) (more bool) {
	if w.system == nil {
		return false
	}
	before := w.system.WatchList()
	for _, path := range before {
		if !slices.Contains(directories, path) {
			_ = w.system.Remove(path) // gone already, or not ours any more
		}
	}
	for _, path := range directories {
		err := w.system.Add(path) // also one that is watched: it may have been made anew
		more = more || err == nil && !slices.Contains(before, path)
		if err != nil && !w.silent[path] && !errors.Is(err, fs.ErrNotExist) {
			w.silent[path] = true
			w.log.Warn("a directory cannot be watched; it is looked at from time to time", "path", path, "error", err)
		}
	}
	return more
}
