package core

import (
	"context"
	"encoding/json"
	"time"
)

// AuditEntry is one line of the audit trail: who did what, when, to what, and why. It
// never holds a secret, nor arguments or results of calls.
type AuditEntry struct {
	Time       time.Time       `json:"time"`
	Tenant     string          `json:"tenant"`
	Actor      string          `json:"actor"` // subject; "" = nobody known
	ActorName  string          `json:"actorName,omitempty"`
	Via        Via             `json:"via,omitempty"`
	Credential string          `json:"credential,omitempty"`
	Address    string          `json:"address,omitempty"`
	Action     string          `json:"action"` // noun.verb: user.write, document.publish, login.failed, calls
	Kind       string          `json:"kind,omitempty"`
	Name       string          `json:"name,omitempty"`
	Outcome    string          `json:"outcome"`           // ok, or a Code
	Reason     string          `json:"reason,omitempty"`  // in the words of who did it
	Request    string          `json:"request,omitempty"` // id
	Trace      string          `json:"trace,omitempty"`   // id
	Details    json.RawMessage `json:"details,omitempty"` // an object

	// Where it stands in the trail of its replica. The store fills these in.
	Replica string `json:"replica"`
	Seq     int64  `json:"seq"`  // from 1, without gaps
	Prev    string `json:"prev"` // Hash of the entry before; "" for the first
	Hash    string `json:"hash"` // keyed hash over everything else
}

// Key returns where the entry stands.
func (a *AuditEntry) Key() Key {
	return Key{"audit", a.Tenant, a.Replica + "\x1f" + pad(a.Seq)}
}

// Anchor fixes the end of a replica's trail at some moment, so that cutting the end off
// is seen.
type Anchor struct {
	Replica string    `json:"replica"`
	Seq     int64     `json:"seq"`
	Hash    string    `json:"hash"`
	Time    time.Time `json:"time"`
	MAC     string    `json:"mac"`
}

// Key returns where the anchor stands.
func (a *Anchor) Key() Key { return Key{"anchor", EveryTenant, a.Replica + "\x1f" + pad(a.Seq)} }

// pad writes a number so that texts sort as numbers do.
func pad(n int64) string {
	var b [19]byte
	for i := len(b) - 1; i >= 0; i-- {
		b[i] = byte('0' + n%10)
		n /= 10
	}
	return string(b[:])
}

// CallRecord is one tools/call, prompts/get or resources/read.
type CallRecord struct {
	ID         string        `json:"id"` // sorts by time
	Time       time.Time     `json:"time"`
	Replica    string        `json:"replica"`
	Tenant     string        `json:"tenant"`
	Subject    string        `json:"subject,omitempty"`
	Who        string        `json:"who,omitempty"` // the name for people
	Via        Via           `json:"via,omitempty"`
	Credential string        `json:"credential,omitempty"`
	Server     string        `json:"server"`
	Kind       string        `json:"kind"` // tool, prompt, resource
	Name       string        `json:"name"` // "" when there is no such thing, or the caller may not see it
	Revision   string        `json:"revision,omitempty"`
	Client     string        `json:"client,omitempty"`
	Outcome    string        `json:"outcome"` // ok, tool_error, or a Code
	Duration   time.Duration `json:"duration"`
	In         int           `json:"bytesIn"`
	Out        int           `json:"bytesOut"`
	Request    string        `json:"request,omitempty"` // id
	Trace      string        `json:"trace,omitempty"`
	// Arguments and Result are kept at level payload only, redacted and cut.
	Arguments string `json:"arguments,omitempty"`
	Result    string `json:"result,omitempty"`
}

// Key returns where the record stands.
func (c *CallRecord) Key() Key { return Key{"call", c.Tenant, c.ID} }

// Recorder keeps what calls did.
type Recorder interface {
	// Admit is asked before a call runs. Its error, with CodeUnavailable, refuses the
	// call: records are wanted and cannot be kept (strict mode).
	Admit(ctx context.Context) error
	// Record is told after it. In strict mode it returns when the record is durable, and
	// its error means that the answer must not go out; otherwise it does not wait.
	// arguments and result are read before it returns and may be nil.
	Record(ctx context.Context, record *CallRecord, arguments json.RawMessage, result *Result) error
	// Payload tells whether arguments and result are wanted.
	Payload() bool
}

// Limiter decides whether a call may run now.
type Limiter interface {
	// Admit counts one call of size bytes of arguments. release is called when it has
	// ended; it is never nil when err is. The error of a refusal has CodeLimited and
	// RetryAfter, or CodeTooLarge.
	Admit(who Identity, on Object, size int) (release func(), err error)
}
