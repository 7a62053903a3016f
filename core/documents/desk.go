package documents

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sallyport/sallyport/core"
)

// The bounds of what a tenant keeps.
const (
	MaxText      = 4 << 20  // bytes of one text
	MaxDocuments = 1000     // documents of one tenant, those that are only drafts included
	MaxTotal     = 64 << 20 // bytes of all texts of one tenant
	MaxReason    = 2000     // bytes of a reason
)

// Options configures New. Store, Check and Parse are needed.
type Options struct {
	Store core.Store
	// Check reads and builds everything of a tenant with these documents in the place of
	// those that the store serves, publishes nothing, and says what is wrong. The file of a
	// problem is NAME.yaml. It is not called within a transaction.
	Check func(ctx context.Context, tenant string, documents []core.Document) []core.Problem
	// Parse returns what a text says as JSON, keys in their order, and the JSON Pointers of
	// values that must not be shown; nil when it is not YAML. Warnings among the problems
	// are added to those of Check.
	Parse func(name string, text []byte) (tree json.RawMessage, hidden []string, problems []core.Problem)
	// Mask returns a text as it may be shown: what must not be is *** in it; nil = texts are
	// shown as they are.
	Mask func(name string, text []byte) []byte
	// Files lists the documents of core.DefaultTenant that come from files, to be shown
	// beside those of the store; nil = none.
	Files func() []File
	Now   func() time.Time // nil = time.Now
	Log   *slog.Logger     // nil = nothing is logged
}

// File is a document that comes from a file. Nobody changes it here.
type File struct {
	Name string // as a document: the file's name without what says how to read it
	Path string
	Text []byte
}

// Desk is where documents are written and published. It keeps nothing in memory and is
// safe for concurrent use, also by several replicas.
type Desk struct {
	o Options
}

// New returns a Desk.
func New(o Options) *Desk {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Files == nil {
		o.Files = func() []File { return nil }
	}
	return &Desk{o: o}
}

// Shown returns a text of a document as it may be shown.
func (d *Desk) Shown(name, text string) string {
	if d.o.Mask == nil || text == "" {
		return text
	}
	return string(d.o.Mask(name+".yaml", []byte(text)))
}

// Act says who does something, and why, for the audit trail.
type Act struct {
	Who     core.Identity
	Reason  string // in the words of who does it
	Request string // id
	Trace   string // id
}

// entry is the line of the audit trail for something done to documents.
func (d *Desk) entry(act Act, tenant, verb, name string) *core.AuditEntry {
	return &core.AuditEntry{
		Time: d.o.Now().UTC(), Tenant: tenant, Actor: act.Who.Subject, ActorName: act.Who.Name, Via: act.Who.Via,
		Credential: act.Who.Credential, Address: act.Who.Address, Action: "document." + verb, Kind: "document", Name: name,
		Outcome: "ok", Reason: act.Reason, Request: act.Request, Trace: act.Trace,
	}
}

var nameRule = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// reserved cannot be names: the last words of routes of the admin API, and files that are
// no documents where documents are read from a directory.
var reserved = []string{"export", "import", "publish", "schema", "settings", "sallyport"}

// CheckName tells whether a document can have this name.
func CheckName(name string) error {
	if slices.Contains(reserved, name) {
		return invalid(strconv.Quote(name)+" cannot be the name of a document", "choose another: this one has a meaning of its own")
	}
	if !nameRule.MatchString(name) {
		return invalid("that cannot be the name of a document", "use 1 to 63 small letters, digits and -, beginning and ending with a letter or digit")
	}
	return nil
}

// checkText refuses what cannot be kept. What it says is not looked at.
func checkText(name string, text []byte) error {
	switch {
	case len(text) > MaxText:
		return &core.Error{Code: core.CodeTooLarge, Message: fmt.Sprintf("the text of %s has %d bytes", name, len(text)), Fix: fmt.Sprintf("a document has at most %d MiB: split it", MaxText>>20)}
	case !utf8.Valid(text):
		return invalid("the text of "+name+" is not UTF-8", "save it as UTF-8")
	case slices.Contains(text, 0):
		return invalid("the text of "+name+" holds a NUL byte", "remove it; is this really a text?")
	}
	return nil
}

func (a *Act) check() error {
	a.Reason = strings.TrimSpace(a.Reason)
	if len(a.Reason) > MaxReason || !utf8.ValidString(a.Reason) || strings.ContainsRune(a.Reason, 0) {
		return invalid("the reason is too long or is not text", fmt.Sprintf("say it in at most %d bytes", MaxReason))
	}
	return nil
}

func invalid(message, fix string) error {
	return &core.Error{Code: core.CodeInvalid, Message: message, Fix: fix}
}

func missing(name string) error {
	return &core.Error{Code: core.CodeNotFound, Message: "there is no document " + strconv.Quote(name), Fix: "list the documents"}
}

func isCode(err error, code core.Code) bool { return err != nil && core.AsError(err).Code == code }

// all reads every row of a query, page after page.
func all[T any](ctx context.Context, r core.Reader, q core.Query) ([]T, error) {
	q.Limit = 1000
	var rows []T
	for {
		var page []T
		next, err := r.List(ctx, &page, q)
		if err != nil {
			return nil, err
		}
		rows = append(rows, page...)
		if next == "" {
			return rows, nil
		}
		q.After = next
	}
}

// files returns the documents of a tenant that come from files.
func (d *Desk) files(tenant string) []File {
	if tenant != core.DefaultTenant {
		return nil
	}
	return d.o.Files()
}

func (d *Desk) file(tenant, name string) (File, bool) {
	for _, one := range d.files(tenant) {
		if one.Name == name {
			return one, true
		}
	}
	return File{}, false
}
