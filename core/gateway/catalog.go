package gateway

import (
	"log/slog"
	"os"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/core"
)

// Catalog is what requests run on, built from one Config. It is immutable. Its
// owner is whoever called Build, until Publish takes it over.
type Catalog struct {
	revision string
	byPrefix map[string]*server
	byName   map[string]*server
	files    []WatchedFile
	roots    *roots
	closers  []closer
	log      *slog.Logger

	pluginFiles []string

	// uses counts the requests that hold the Catalog, and one more while its owner
	// does. At zero it can never be taken again.
	uses   atomic.Int64
	owner  atomic.Int32
	closed chan struct{} // closed when everything in it is
}

// WatchedFile is the file that a resource is read from: its server, the URI of the
// resource and the absolute path. Files of templates and prompts are not among
// them: they are read for each request, and nobody can subscribe to them.
type WatchedFile struct{ Server, URI, Path string }

// server is one server of a Catalog.
type server struct {
	wire      *core.Server
	tools     *list[*core.Tool]
	prompts   *list[*core.Prompt]
	resources *list[*core.Resource]
	templates *list[*core.Resource]

	facade     *facade // nil = tools are listed
	toolOf     map[string]*tool
	promptOf   map[string]*prompt
	resourceOf map[string]*resource
	templateOf map[string]*resource
	inOrder    []*resource // the templates, as they are tried

	mounts     []*mount
	upstreams  bool // the document names some, reached or not
	catalogues bool // has some: it offers tools also while they list none

	digest digests
	held   map[string][32]byte // URI → hash of what a resource of the document itself holds
}

// digests are the hashes of what clients see of a server, to tell what a reload
// changed.
type digests struct{ tools, prompts, resources [32]byte }

// closer is one thing to close, and its name for the log.
type closer struct {
	name  string
	close func() error
}

// Revision is a hash of the Config that the Catalog was built from: 16 hexadecimal
// digits. It covers plugins by their digests, and neither the values of secrets nor what
// other files hold.
func (c *Catalog) Revision() string { return c.revision }

// Servers returns the names of the servers, sorted.
func (c *Catalog) Servers() []string { return sortedKeys(c.byName) }

// Files lists the files that the Catalog reads at request time, so that somebody
// can watch them and call Gateway.Changed.
func (c *Catalog) Files() []WatchedFile { return append([]WatchedFile(nil), c.files...) }

// PluginFiles lists the files that the plugins were read from: when one of them
// changes, building again gives another Catalog. See also Gateway.PluginFiles.
func (c *Catalog) PluginFiles() []string { return slices.Clone(c.pluginFiles) }

// The owners of a Catalog, in the order that it passes through them.
const (
	byBuilder int32 = iota
	byGateway
	byNobody
)

// Close gives up a Catalog that was not published, and waits until everything in
// it is closed. It does nothing after Publish.
func (c *Catalog) Close() {
	if c.disown(byBuilder) {
		<-c.closed
	}
}

// disown drops the owner's hold, once.
func (c *Catalog) disown(owner int32) bool {
	if !c.owner.CompareAndSwap(owner, byNobody) {
		return false
	}
	c.release()
	return true
}

// take holds the Catalog for one request. It is false when the Catalog is already
// closed or about to be.
func (c *Catalog) take() bool {
	for {
		n := c.uses.Load()
		if n <= 0 {
			return false
		}
		if c.uses.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (c *Catalog) release() {
	if c.uses.Add(-1) == 0 {
		// The last request does not wait for what closing takes: whoever retired the
		// Catalog waits for c.closed.
		go c.shut()
	}
}

// shut closes in the reverse order of opening. An invoker that panics while it
// closes takes nothing else with it.
func (c *Catalog) shut() {
	defer close(c.closed)
	for _, one := range slices.Backward(c.closers) {
		shutOne(c.log, one)
	}
	c.roots.close()
}

func shutOne(log *slog.Logger, one closer) {
	defer func() {
		if r := recover(); r != nil {
			log.Error("panic while closing", "part", one.name, "panic", panicText(r), "stack", string(debug.Stack()))
		}
	}()
	if err := one.close(); err != nil {
		log.Warn("close", "part", one.name, "error", err)
	}
}

// tool is a tool of a Catalog with what runs it.
type tool struct {
	wire    *core.Tool
	input   *schema // nil = of an upstream, and not for us to judge
	output  *schema // nil = no outputSchema
	timeout time.Duration
	scopes  []string // that an access token needs, those of the server included
	chain   chain
	// contested: another catalogue lists the name too, so neither has it.
	contested bool

	mount *mount // whose upstream has it; nil = it stands in the document

	listed int // by which catalogue of its server, counted from 1; 0 = it stands in the document
}

// roots are the open directories that files are read under, one for each document
// directory.
type roots struct {
	mu   sync.Mutex
	open map[string]*os.Root
}

// under opens dir, once.
func (r *roots) under(dir string) (*os.Root, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if root := r.open[dir]; root != nil {
		return root, nil
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	if r.open == nil {
		r.open = map[string]*os.Root{}
	}
	r.open[dir] = root
	return root, nil
}

func (r *roots) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, root := range r.open {
		_ = root.Close() // only reads went through it: there is nothing to lose
	}
	r.open = nil
}

// Scopes lists the scopes that each server asks for, in the order of their names.
func (g *Gateway) Scopes() [][]string {
	c := g.current.Load()
	if c == nil {
		return nil
	}
	var sets [][]string
	for _, name := range c.Servers() {
		sets = append(sets, c.byName[name].wire.Access.Scopes)
	}
	return sets
}
