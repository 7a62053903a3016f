package gateway

import (
	"log/slog"
	"time"

	"github.com/sallyport/sallyport/core"
)

// Options configures Build and New; the same value serves both. The zero value
// works: no kinds, everybody may do everything, nothing is observed or logged.
type Options struct {
	Kinds      Kinds
	Plugins    core.Plugins // nil = documents cannot have plugins
	Remotes    core.Remotes // nil = documents cannot have upstreams
	Dial       core.Egress  // given to kinds; may be nil where no kind dials
	AllowCIDRs []string     // private ranges that connections may reach, from settings
	Changes    core.Changer // where invokers report changes; nil = nowhere. Gateway.Build sets itself

	Tenant     string          // whose servers these are; "" = core.DefaultTenant
	Authorizer core.Authorizer // nil = core.AllowAll
	Limiter    core.Limiter    // nil = no limits
	Recorder   core.Recorder   // nil = calls are not kept
	Accounts   core.Accounts   // given to kinds; nil = callers cannot connect accounts
	Replica    string          // names this process in records
	Dry        bool            // nothing is served from what is built, and upstreams are not connected
	// Scopes checks that an access token was granted all of need; the error has CodeScope
	// and a Challenge. nil = nobody has scopes.
	Scopes func(who core.Identity, need []string, asked *core.AuthRequest) error
	// Disclose makes what stands for the tools of a server whose disclosure is progressive;
	// nil = documents cannot ask for it.
	Disclose func(tools []*core.Tool) core.Discloser
	Observer core.Observer // nil = core.NoObserver
	Log      *slog.Logger  // nil = nothing is logged
	Now      func() time.Time
	Limits   Limits

	// Schemas keeps compiled schemas from one Build to the next; nil = each Build
	// compiles its own. Gateway.Build sets one.
	Schemas *Schemas

	// reading is told which files the plugins of a Build were read from, also when no
	// Catalog came of it.
	reading func(files []string)
}

// Kinds lists the kinds that documents may name.
type Kinds struct {
	Invokers     []core.Kind[core.Invoker]
	Transformers []core.Kind[core.Transformer]
	Requests     []core.Kind[core.RequestTransformer]
	Authorizers  []core.Kind[core.CallAuthorizer]
	Catalogues   []core.Kind[core.Catalogue]
}

// Limits bounds what one Config may hold; zero values take the defaults.
type Limits struct {
	Bytes       int // all text and JSON of the Config together: 64 MiB
	Servers     int // 1,000
	Connections int // 1,000
	Plugins     int // 256
	Upstreams   int // 1,000
	Items       int // tools (those of catalogues and upstreams included), prompts, resources and templates of one server: 10,000
	FileBytes   int // one file, or one text or base64 body: 8 MiB
	Problems    int // reported at most, one more says that there are others: 500
}

func (l Limits) filled() Limits {
	set := func(n *int, value int) {
		if *n <= 0 {
			*n = value
		}
	}
	set(&l.Bytes, 64<<20)
	set(&l.Servers, 1000)
	set(&l.Connections, 1000)
	set(&l.Plugins, 256)
	set(&l.Upstreams, 1000)
	set(&l.Items, 10_000)
	set(&l.FileBytes, 8<<20)
	set(&l.Problems, 500)
	return l
}

func (o Options) filled() Options {
	o.Limits = o.Limits.filled()
	if o.Changes == nil {
		o.Changes = nobody{}
	}
	if o.Authorizer == nil {
		o.Authorizer = core.AllowAll{}
	}
	if o.Observer == nil {
		o.Observer = core.NoObserver{}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Schemas == nil {
		o.Schemas = NewSchemas()
	}
	return o
}

// nobody is told of changes where nobody listens.
type nobody struct{}

func (nobody) Changed(string, core.Change) {}
