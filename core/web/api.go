package web

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"io"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/documents"
)

// API is the admin plane: JSON over HTTP below /api/v1, described by openapi.yaml. It has
// no listener. An Edge gives it what arrives below /api/: the one that serves MCP
// too (Options.API beside Servers and Endpoint), or one of its own for a separate
// listener (Options.API alone, with Authenticated set: the API lets in nobody whom it does
// not know). One API may stand behind several edges.
//
//	request → origin → route → identify → CSRF → permission → proof → query, body, If-Match → handler
//	                                          (one table: apiRoutes)                        │
//	                      problem+json ←── *core.Error ←──────────────────────────────── store.Change
//
// Every route says in its line of the table which permission it needs, or why it needs
// none; the dispatcher asks for it before anything of the route runs.
type API struct {
	o        APIOptions
	routes   *routeTable
	operator *[sha256.Size]byte
	log      *slog.Logger

	busy  atomic.Int64 // requests
	feeds atomic.Int64

	ended chan struct{} // closed when feeds are to end
	once  sync.Once

	// Tests switch a defence off to see that its test turns red.
	lax struct{ permission, csrf, origin, proof, tenant, bound bool }
}

// APIOptions configures NewAPI. The zero value of each field works: a part that is not
// there is answered with 503, and without an Authorizer only the operator may do anything.
type APIOptions struct {
	Store core.Store
	// Away returns an error while it is known that the store cannot be reached, so that
	// requests are refused at once and not after a timeout; nil = never known.
	Away func() error
	// Authorizer decides; when it is a core.Explainer too, /explain says why.
	Authorizer core.Authorizer
	// Policies knows what roles there are and what they may, for people.
	Policies Policies
	// Changed is told after every change, so that this process need not wait for its next
	// look at the store; it must not block.
	Changed func()

	Logins Logins
	Tokens Tokens
	// Operator is the static token of the settings, with which the operator comes in even
	// when nothing else works; "" = none. It has 16 characters at least.
	Operator core.Secret
	Sealer   core.Sealer // of what is write-only
	Keys     Keys
	Accounts AccountFlow
	Trail    Trail
	Sessions LiveSessions
	// Used tells what a user used today, and what its limits leave; nil = nobody counts.
	Used func(ctx context.Context, tenant, subject string) (*Use, error)

	// Documents is where gateway documents are written and published.
	Documents *documents.Desk
	// DocumentSchema is the JSON Schema of documents, for editors.
	DocumentSchema func() json.RawMessage
	// Trials runs tools of drafts.
	Trials Trials
	// Served tells what is served in a tenant, sorted by name. Each is released by whoever
	// asked.
	Served func(tenant string) []core.Handler
	// Plugins tells what is loaded for a tenant.
	Plugins func(tenant string) []core.PluginStatus
	// Upstreams tells how the upstream MCP servers of a tenant are.
	Upstreams func(tenant string) []core.RemoteStatus
	Modules   Modules // of plugins, that the store keeps
	// Reload reads documents, plugins and the tags of registries again.
	Reload func(ctx context.Context) Reloaded
	// Health is about this process.
	Health func() Health

	// Base is the origin under which browsers find us (https://mcp.example.com): providers
	// send them back there. "" = as each request says.
	Base string
	// Home is where a browser goes after a login by a provider; "" = /admin/.
	Home string
	// Origins are web origins that may call beside our own.
	Origins []string

	// Proof is for how long a password that was asked for lets dangerous acts pass: 10 min.
	Proof time.Duration
	// Timeout ends a request that is not a feed: 15 s.
	Timeout time.Duration
	// Busy and Feeds bound the requests and the feeds that are answered at once: 256, 64.
	Busy, Feeds int
	// Poll is how often a feed looks for what is new: 1 s.
	Poll time.Duration

	Now func() time.Time
	Log *slog.Logger

	// More are routes that stand in another place; each must say its permission too.
	more []apiRoute
}

// Reloaded tells how a reload went.
type Reloaded struct {
	Applied  bool // false: what was served before still is
	Revision string
	Problems []core.Problem
}

// Health is what /health tells of this process.
type Health struct {
	Readiness

	Version string    `json:"version"`
	Replica string    `json:"replica,omitempty"` // id
	Started time.Time `json:"started"`
	// StateRevision is that of the store that is served, StateLoaded when it was read.
	StateRevision int64      `json:"stateRevision"`
	StateLoaded   *time.Time `json:"stateLoaded,omitempty"`
	// StoreAway tells that the store cannot be reached, and what is served is the last
	// known state.
	StoreAway bool `json:"storeAway"`
}

// Use is what a caller used today, and how much of its limits that leaves.
type Use struct {
	Calls   int64        `json:"calls"`
	Errors  int64        `json:"errors"`
	Refused int64        `json:"refused"` // for a limit
	In      int64        `json:"bytesIn"`
	Out     int64        `json:"bytesOut"`
	Resets  time.Time    `json:"resets"` // when the day ends: the next midnight UTC
	Limits  []LimitState `json:"limits"`
}

// LimitState is a limit, and how much of it is left.
type LimitState struct {
	ID     string  `json:"id"`
	Note   string  `json:"note,omitempty"`
	Per    string  `json:"per"`
	On     string  `json:"objects,omitempty"` // pattern; none = all
	Rate   float64 `json:"rate,omitempty"`    // calls a second
	Burst  int     `json:"burst,omitempty"`
	AtOnce int     `json:"atOnce,omitempty"`
	PerDay int64   `json:"perDay,omitempty"`
	Bytes  int64   `json:"bytes,omitempty"` // of the arguments of one call

	Counted bool  `json:"counted"`   // what follows is known: a limit per tool is counted for each tool
	Used    int64 `json:"used"`      // of perDay
	LeftDay int64 `json:"leftToday"` // of perDay
	LeftNow int   `json:"leftNow"`   // calls that the rate allows this moment, on this replica
	Running int   `json:"running"`   // of atOnce, on this replica
}

// Keys are those that secrets are sealed with. core/vault has them.
type Keys interface {
	Kid() string    // of the key that seals
	Kids() []string // of all
	// Rotate makes a new key and seals what is stored with it. entry is what the audit
	// trail says of it.
	Rotate(ctx context.Context, entry *core.AuditEntry) (*KeyRotation, error)
}

// KeyRotation is what a rotation did.
type KeyRotation struct {
	Key     string   `json:"key"`     // id of the new one
	Looked  int      `json:"looked"`  // sealed texts that were looked at
	Changed int      `json:"changed"` // of them sealed anew
	Failed  []string `json:"failed"`  // rows that do not open: kind/tenant/id
}

// Trail checks and writes out the audit trail. core/audit has it.
type Trail interface {
	Verify(ctx context.Context) (*TrailReport, error)
	// Export writes the entries that q asks for, of all pages, and a summary with which the
	// file can be verified by itself. format is jsonl or csv.
	Export(ctx context.Context, w io.Writer, q core.Query, format string) error
}

// TrailReport tells whether the audit trail is whole.
type TrailReport struct {
	Whole    bool         `json:"whole"`
	Time     time.Time    `json:"time"` // when the check began
	Entries  int64        `json:"entries"`
	Anchors  int64        `json:"anchors"`
	Calls    int64        `json:"calls"` // records of calls
	Trails   []TrailHead  `json:"trails"`
	Faults   []TrailFault `json:"faults"`
	More     int64        `json:"moreFaults"` // that are not listed
	Warnings []TrailFault `json:"warnings"`   // worth a look, and no proof of anything
}

// TrailHead is where the trail of a replica ends. It is worth keeping elsewhere.
type TrailHead struct {
	Replica string    `json:"replica"`
	Entries int64     `json:"entries"`
	Seq     int64     `json:"seq"`
	Hash    string    `json:"hash"`
	Time    time.Time `json:"time"`
}

// TrailFault is one place where the trail is not as it was written.
type TrailFault struct {
	Kind    string    `json:"kind"`
	Replica string    `json:"replica"`
	Seq     int64     `json:"seq"`
	Time    time.Time `json:"time"`
	Message string    `json:"problem"`
}

// LiveSessions ends the MCP sessions of this replica; other replicas learn of it from the
// revocation.
type LiveSessions interface {
	// EndLive ends the session with that LiveSession.ID; false when it is not here.
	EndLive(id string) bool
}

// leastToken is how long the operator's token must be, in bytes: it cannot be guessed.
const leastToken = 16

// operatorID is the subject of the operator.
const operatorID = "operator"

// NewAPI makes the admin plane.
func NewAPI(o APIOptions) (*API, error) {
	if o.Operator != "" && len(o.Operator) < leastToken {
		return nil, &core.Error{
			Code: core.CodeInvalid, Message: "admin.token has fewer than " + strconv.Itoa(leastToken) + " characters",
			Fix: "make one with `openssl rand -hex 32`, and set SALLYPORT_ADMIN_TOKEN, or admin.token in the settings file",
		}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Home == "" {
		o.Home = "/admin/"
	}
	if o.Store == nil {
		o.Store = noStore{}
	}
	if o.Authorizer == nil {
		o.Authorizer = operatorOnly{}
	}
	number(&o.Proof, 10*time.Minute)
	number(&o.Timeout, 15*time.Second)
	number(&o.Busy, 256)
	number(&o.Feeds, 64)
	number(&o.Poll, time.Second)
	a := &API{o: o, log: o.Log, ended: make(chan struct{})}
	if o.Operator != "" {
		sum := sha256.Sum256([]byte(o.Operator.Reveal()))
		a.operator = &sum
	}
	table, err := newRouteTable(append(apiRoutes(), o.more...))
	if err != nil {
		return nil, err
	}
	a.routes = table
	return a, nil
}

// drain ends the feeds: clients come back with the id of the last event, to whoever
// serves then.
func (a *API) drain() { a.once.Do(func() { close(a.ended) }) }

// operatorOnly stands where access is not set up.
type operatorOnly struct{}

// Authorize allows the operator everything, and nobody else anything.
func (operatorOnly) Authorize(_ context.Context, who core.Identity, _ core.Action, _ core.Object) error {
	if who.Via == core.ViaOperator {
		return nil
	}
	return &core.Error{Code: core.CodeDenied, Message: "access is not set up", Fix: "use the operator's token, or set up a store with users and roles"}
}

// noStore stands where there is no store.
type noStore struct{ core.Store }

var errNoStore = &core.Error{Code: core.CodeUnavailable, Message: "this gateway runs without a store", Fix: "set store in the settings"}

func (noStore) Get(context.Context, core.Row) error { return errNoStore }

func (noStore) List(context.Context, any, core.Query) (string, error) { return "", errNoStore }

func (noStore) Change(context.Context, *core.AuditEntry, func(context.Context, core.Tx) error) error {
	return errNoStore
}

func (noStore) Audit(context.Context, ...*core.AuditEntry) error { return errNoStore }
