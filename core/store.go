package core

import (
	"context"
	"io"
	"time"
)

// Reader reads rows.
type Reader interface {
	// Get fills row, whose fields that make its Key are set. A row that is not there is an
	// *Error with CodeNotFound.
	Get(ctx context.Context, row Row) error
	// List fills into, a pointer to a slice of rows (*[]User), in the order of their keys
	// or, for audit entries and call records, of time. next is a cursor for Query.After;
	// "" at the end. A page of call records may hold fewer than Limit, or none, before it.
	List(ctx context.Context, into any, q Query) (next string, err error)
}

// Query says which rows List returns.
type Query struct {
	Tenant string // required; EveryTenant = of all
	// Equal are fields, by their JSON names, and the text that they must have; the docs of
	// each table say which fields it takes. An unknown one is CodeInvalid.
	Equal  map[string]string
	Since  time.Time // audit, calls, versions: from then on
	Until  time.Time // before then
	After  string    // cursor
	Limit  int       // 0 = 100; at most 1,000
	Newest bool      // the newest, or last, first
}

// Tx is a transaction.
type Tx interface {
	Reader
	// Put inserts a row (Version 0) or replaces it. It sets Version, Created and Updated
	// of its Stamp. A Version that is not the stored one is CodeChanged; one of the same
	// name is CodeConflict.
	Put(ctx context.Context, row Row) error
	// Delete deletes a row; one that is not there is CodeNotFound. A Version other than 0
	// must be the stored one.
	Delete(ctx context.Context, row Row) error
}

// Store keeps what outlives a process. All of it is safe for concurrent use.
//
// Errors: CodeUnavailable when the database cannot be reached, CodeReadOnly when it cannot be
// written, CodeFull when its disk is full. What Change and Append have acknowledged with a
// nil error is durable.
type Store interface {
	Reader
	// Change runs f in one transaction, and adds what f leaves in entry to the audit trail in
	// the same one: both are there or neither. f may run twice. When f fails, so does
	// Change, with its error, and nothing is changed. Every Change but one of logins, tokens'
	// last use, replicas and the like raises the revision. entry may be nil only when nothing
	// but such rows and values of plugins (Entry) is changed.
	Change(ctx context.Context, entry *AuditEntry, f func(ctx context.Context, tx Tx) error) error
	// Audit adds entries that go with no change: logins that failed, exports, batches of
	// calls.
	Audit(ctx context.Context, entries ...*AuditEntry) error
	// Append adds or replaces rows that are many and are not audited (call records, usage,
	// live sessions, last uses, replicas), in one transaction. Versions are not looked at.
	// Usage is added to what stands there. Audit entries among them are added to the trail.
	Append(ctx context.Context, rows ...Row) error
	// Prune deletes rows of a kind (call, audit up to an anchor, login, revocation, session,
	// kv, usage, replica) that are older than before, or expired by then, and returns how
	// many went.
	Prune(ctx context.Context, kind string, before time.Time) (int64, error)

	// Revision rises with every change that State shows.
	Revision(ctx context.Context) (int64, error)
	// State reads everything that answering calls takes, in one snapshot.
	State(ctx context.Context) (*State, error)
	// Hints calls f when another replica may have changed something, until ctx ends. It is
	// only a hint: whoever needs to know polls Revision.
	Hints(ctx context.Context, f func())

	// Ping tells whether the database answers, within the deadline of ctx.
	Ping(ctx context.Context) error
	// Backup writes a copy of everything that Restore reads.
	Backup(ctx context.Context, w io.Writer) error
	Restore(ctx context.Context, r io.Reader) error
	Close() error
}

// State is everything of the store that answering calls takes. It is held in memory,
// replaced whole, and written to disk sealed (in gob, which keeps the fields that JSON hides),
// so that calls go on and a restart works while the database is away. Nobody changes it.
// Users stand in it without their passwords, modules without their bytes, drafts and
// documents that are gone not at all.
type State struct {
	Revision    int64        `json:"revision"`
	Loaded      time.Time    `json:"loaded"`
	Tenants     []Tenant     `json:"tenants"`
	Users       []User       `json:"users"`
	Roles       []Role       `json:"roles"`
	Policies    []Policy     `json:"policies"`
	Groups      []GroupRole  `json:"groups"`
	Tokens      []Token      `json:"tokens"`
	Providers   []Provider   `json:"providers"`
	Connectors  []Connector  `json:"connectors"`
	Credentials []Credential `json:"credentials"`
	Documents   []Document   `json:"documents"`
	Modules     []Module     `json:"modules"` // without Bytes
	Pins        []Pin        `json:"pins"`
	Limits      []Limit      `json:"limits"`
	Revocations []Revocation `json:"revocations"`
	Settings    []Setting    `json:"settings"`
}

// Vault seals what stands in the store, and hands out what documents and connections name.
type Vault interface {
	Sealer
	// Secret returns the value of a credential of a tenant (${secret:NAME}).
	Secret(tenant, name string) (Secret, error)
}

// Accounts hands out the access tokens of accounts that callers connected (Connector).
type Accounts interface {
	// Token returns a token of who for a connector, renewed if need be. A caller that has
	// not connected yet is an *Error with CodeConnect, whose Details is
	// {"url": where to connect, "connector": its title}.
	Token(ctx context.Context, who Identity, connector string) (Secret, error)
}

// CodeConnect says that the caller must connect an account first.
const CodeConnect Code = "connect"
