package plugins

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/plugins/hostcall"
	"github.com/sallyport/sallyport/plugins/registry"
	"github.com/sallyport/sallyport/plugins/trust"
)

// Options of a Host. The zero value works, trusts no key and requires signatures.
type Options struct {
	// Dir holds what is fetched, compiled and remembered; "" = a temporary one, which
	// Close removes.
	Dir   string
	Trust trust.Policy
	// Registry is how oci:// sources are fetched. Without a Transport they are refused.
	Registry registry.Options
	// Stored returns a module of the store by its name (store:NAME), every part checked
	// against a digest that was approved; nil = there is no store. It is asked at each Open.
	Stored   func(ctx context.Context, name string) (*registry.Artifact, error)
	Dial     core.Egress    // for the guests' HTTP; nil = they reach nothing
	KV       hostcall.Store // nil = in memory, one for the life of the Host
	Observer core.Observer
	Log      *slog.Logger
	Now      func() time.Time // nil = time.Now
	Rand     io.Reader        // nil = crypto/rand
	// Changed is called when documents should be opened again: a tag moved, a catalogue
	// lists other tools. It must not block.
	Changed func()
	// Poll is how often tags are resolved again; 0 = 5 minutes, below 0 = never.
	Poll time.Duration
	// Later has Open note nothing of what it loads: Remember does, when the documents are
	// served. For a caller that may refuse them after Open.
	Later bool
	// InProcess compiles in this process, without limits of time and memory: for
	// programs that bring their modules themselves.
	InProcess bool
}

// Bounds of a Host.
const (
	defaultPoll = 5 * time.Minute
	drainTime   = 60 * time.Second // of a version that no set has any more
	fetchTime   = 2 * time.Minute  // of one artifact
	resolveTime = 15 * time.Second // of one tag
	loadsAtOnce = 2                // compiling a Go guest takes 65 MiB
	opensAtOnce = 8
)

// Host loads plugins and keeps them over reloads. It is safe for concurrent use.
type Host struct {
	o      Options
	dir    string
	log    *slog.Logger
	store  *registry.Store
	client *registry.Client // nil = no OCI
	salt   [32]byte         // secrets are compared by a hash that is worth nothing elsewhere
	loads  chan struct{}

	callIDs string // begins the id of each call; another one in each process
	calls   atomic.Uint64

	opening sync.Mutex // one Open at a time
	ledger  *ledger    // under opening
	pending *pending   // of the last Open; under opening

	mu       sync.Mutex
	closed   bool
	stop     context.CancelFunc // ends the Open that runs; may be nil
	versions map[key]*version
	sets     []*set            // open, in the order of Open
	tags     map[string]string // reference → digest, as resolved in this process
	unheard  map[string]bool   // references whose last poll failed

	background sync.WaitGroup // versions that drain, polls
	wake       chan struct{}  // Run looks again at what is due

	failOpen bool // for a test of the test: authorizers let everything pass
}

// New returns a Host. Its errors are about Dir: one that others may write to, or whose
// running.json is damaged.
func New(o Options) (*Host, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Observer == nil {
		o.Observer = core.NoObserver{}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.Trust.Now == nil {
		o.Trust.Now = o.Now
	}
	if o.Changed == nil {
		o.Changed = func() {}
	}
	if o.Poll == 0 {
		o.Poll = defaultPoll
	}
	if o.KV == nil {
		o.KV = hostcall.NewMemory(o.Now)
	}
	h := &Host{
		o: o, dir: o.Dir, log: o.Log, loads: make(chan struct{}, loadsAtOnce),
		versions: map[key]*version{}, tags: map[string]string{}, unheard: map[string]bool{}, wake: make(chan struct{}, 1),
	}
	var id [6]byte
	if _, err := io.ReadFull(o.Rand, h.salt[:]); err != nil {
		return nil, fmt.Errorf("start plugins: %w", err)
	}
	if _, err := io.ReadFull(o.Rand, id[:]); err != nil {
		return nil, fmt.Errorf("start plugins: %w", err)
	}
	h.callIDs = hex.EncodeToString(id[:]) + "-"
	if err := h.prepare(); err != nil {
		if o.Dir == "" && h.dir != "" {
			_ = os.RemoveAll(h.dir)
		}
		return nil, err
	}
	o.Observer.Plugins(h.Status)
	return h, nil
}

// prepare makes the directory and reads what is in it.
func (h *Host) prepare() error {
	if h.dir == "" {
		dir, err := os.MkdirTemp("", "sallyport-plugins-")
		if err != nil {
			return fmt.Errorf("make a directory for plugins: %w", err)
		}
		h.dir = dir
	}
	if err := os.MkdirAll(h.dir, 0o700); err != nil {
		return fmt.Errorf("make a directory for plugins: %w", err)
	}
	about, err := os.Stat(h.dir)
	if err != nil {
		return fmt.Errorf("look at the directory of plugins: %w", err)
	}
	if !about.IsDir() || about.Mode().Perm()&0o022 != 0 {
		return &core.Error{Code: core.CodeDenied, Message: "the directory of plugins " + h.dir + " can be written to by others, or is none", Fix: "chmod 700 it after a look at who wrote there, or name another one"}
	}
	if h.ledger, err = readLedger(filepath.Join(h.dir, "running.json")); err != nil {
		return err
	}
	if h.store = h.o.Registry.Store; h.store == nil {
		if h.store, err = registry.OpenStore(filepath.Join(h.dir, "store")); err != nil {
			return err
		}
	}
	if h.o.Registry.Transport != nil {
		options := h.o.Registry
		options.Store = h.store
		options.Production = false // decided here, for each plugin
		h.client, err = registry.New(options)
	}
	return err
}

// cache is where native code stands.
func (h *Host) cache() string { return filepath.Join(h.dir, "cache") }

// Close closes all sets, and waits until their versions are gone or ctx ends.
func (h *Host) Close(ctx context.Context) error {
	h.mu.Lock()
	h.closed = true
	if h.stop != nil {
		h.stop()
	}
	h.mu.Unlock()
	h.opening.Lock() // no Open runs any more, and none begins
	h.mu.Lock()
	open := append([]*set(nil), h.sets...)
	h.mu.Unlock()
	h.opening.Unlock()
	for _, s := range open {
		_ = s.Close()
	}
	done := make(chan struct{})
	go func() {
		h.background.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		return fmt.Errorf("close plugins: %w", ctx.Err())
	}
	if h.o.Dir == "" {
		if err := os.RemoveAll(h.dir); err != nil {
			return fmt.Errorf("remove the temporary directory of plugins: %w", err)
		}
	}
	return nil
}

var errClosed = errors.New("the plugins are closed")

// inBackground runs f and has Close wait for it; false when the Host is closed.
func (h *Host) inBackground(f func()) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return false
	}
	h.background.Go(f)
	return true
}

var _ core.Plugins = (*Host)(nil)
