package core

import (
	"context"
	"encoding/json"
)

// Handler answers for one server, on one Catalog, free of any revision. A request
// takes its Handler once and keeps it to its end. Release it after the last use.
type Handler interface {
	Server() *Server
	ListTools(ctx context.Context, who Identity, cursor *string) (*Page[*Tool], error)
	ListPrompts(ctx context.Context, who Identity, cursor *string) (*Page[*Prompt], error)
	ListResources(ctx context.Context, who Identity, cursor *string) (*Page[*Resource], error)
	ListTemplates(ctx context.Context, who Identity, cursor *string) (*Page[*Resource], error)
	// Tool returns a tool that who may see, or nil.
	Tool(ctx context.Context, who Identity, name string) *Tool
	// CallTool checks the arguments against the input schema first: a mismatch is a
	// Result with IsError naming the fields.
	CallTool(ctx context.Context, call *Call) (*Result, error)
	GetPrompt(ctx context.Context, call *Call) (*Result, error)
	ReadResource(ctx context.Context, call *Call) (*Result, error)
	Complete(ctx context.Context, who Identity, complete *CompleteRequest) (*Completion, error)
	Watchable
	Release()
}

// Watchable is what may be known of a server without using it.
type Watchable interface {
	// Visible tells whether who may know that this server exists.
	Visible(ctx context.Context, who Identity) bool
	// Changes calls f for each change of this server that who may know of, across
	// reloads, until stop is called. f must not block.
	Changes(who Identity, f func(Change)) (stop func())
	// Follow says that who wants to know of changes of a resource, until stop is called:
	// where an upstream has it, that is asked to tell of them. Changes tells of them. It does
	// not need the Handler to its end, and lives across reloads. The error is that of a read
	// of the resource, or the upstream's; stop is never nil.
	Follow(ctx context.Context, who Identity, uri string) (stop func(), err error)
}

// Server is what a client learns of a server when it connects.
type Server struct {
	Name, Title, Version, Description string
	WebsiteURL                        string
	Instructions                      string
	Prefix                            string // "" or "a/b", without outer slashes
	Icons                             json.RawMessage
	CORS                              *CORS
	TTLMillis                         int64  // cache hint of lists and reads (2026-07-28); ≥ 0
	CacheScope                        string // public or private; private wherever lists depend on who asks
	Tenant                            string // empty = DefaultTenant
	Access                            Access
	// Offers says which capabilities to advertise.
	Offers Offers
	Wire   Encodings
}

// Key names a server among those of all tenants.
func (s *Server) Key() string {
	if s.Tenant == "" || s.Tenant == DefaultTenant {
		return s.Name
	}
	return s.Tenant + "/" + s.Name
}

// Access says who may use a server, beside what policies say.
type Access struct {
	Anonymous bool     // callers without a credential are let in
	Scopes    []string // that an OAuth access token must have been granted
}

// Offers lists what a server has.
type Offers struct {
	Tools, Prompts, Resources, Completions, Logging, Subscribe bool
}

// CORS says which web origins may call a server from a browser.
type CORS struct {
	Origins []string // exact origins, or a single "*"
	MaxAge  int      // seconds
}

// Page is one page of a list. The same *Page is returned for the same view, so its
// Wire keeps the encoded list.
type Page[T any] struct {
	Items []T
	Next  *string // opaque; nil = last page
	Wire  Encodings
}

// CompleteRequest asks for values of one argument (completion/complete).
type CompleteRequest struct {
	RefType  string // ref/prompt, ref/resource
	Ref      string // prompt name, or URI template
	Argument string
	Value    string
	Context  map[string]string // arguments already chosen
}

// Completion is at most 100 values.
type Completion struct {
	Values  []string
	Total   int
	HasMore bool
}

// Change tells what changed on a server.
type Change struct {
	Kind ChangeKind
	URI  string // ResourceUpdated: which
}

// ChangeKind is the sort of a Change.
type ChangeKind int

// The kinds of change.
const (
	ToolsChanged ChangeKind = iota + 1
	PromptsChanged
	ResourcesChanged
	ResourceUpdated
)

// Changer tells the clients of a server that something changed: an invoker that changes what its server
// offers (or a resource) says so.
type Changer interface {
	Changed(server string, change Change)
}
