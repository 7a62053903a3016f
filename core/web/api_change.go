package web

import (
	"bytes"
	"context"
	"reflect"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

// entry begins the line of the audit trail for what this call does.
func (c *apiCall) entry(action, kind, name string) *core.AuditEntry {
	e := &core.AuditEntry{
		Time: c.api.o.Now().UTC(), Tenant: c.tenant, Actor: c.who.Subject, ActorName: c.who.Name, Via: c.who.Via, Credential: c.who.Credential,
		Address: c.request.address, Action: action, Kind: kind, Name: name, Outcome: "ok", Reason: c.why, Request: c.request.id,
	}
	if e.Tenant == "" || e.Tenant == core.EveryTenant {
		e.Tenant = c.who.In()
	}
	return e
}

// change runs f as one change, with its line in the audit trail.
func (c *apiCall) change(action, kind, name string, f func(ctx context.Context, tx core.Tx, entry *core.AuditEntry) error) error {
	entry := c.entry(action, kind, name)
	err := c.api.o.Store.Change(c.ctx, entry, func(ctx context.Context, tx core.Tx) error { return f(ctx, tx, entry) })
	if err == nil && c.api.o.Changed != nil {
		c.api.o.Changed()
	}
	return err
}

// details fills in which fields a change is about: their names, never what they hold.
func details(entry *core.AuditEntry, fields ...string) error {
	if fields == nil {
		fields = []string{}
	}
	b, err := wire.Marshal(map[string]any{"fields": fields})
	entry.Details = b
	return err
}

// differing returns the JSON names of the fields in which two rows differ; the stamp is no
// field. What JSON hides is not compared: whoever changes it adds its name.
func differing(before, after core.Row) []string {
	a, b := reflect.ValueOf(before).Elem(), reflect.ValueOf(after).Elem()
	var names []string
	for _, f := range fieldsOf(a.Type()) {
		if len(f.index) > 1 || f.name == "tenant" || f.name == "id" { // of the stamp, or of the key
			continue
		}
		x, errX := wire.Marshal(a.FieldByIndex(f.index).Interface())
		y, errY := wire.Marshal(b.FieldByIndex(f.index).Interface())
		if errX != nil || errY != nil || !bytes.Equal(x, y) {
			names = append(names, f.name)
		}
	}
	return names
}

// stampOf returns the stamp of a row, nil when it has none.
func stampOf(row core.Row) *core.Stamp {
	field := reflect.ValueOf(row).Elem().FieldByName("Stamp")
	if !field.IsValid() {
		return nil
	}
	stamp, _ := field.Addr().Interface().(*core.Stamp)
	return stamp
}

// fetch reads a row for a change and holds its version against If-Match.
func (c *apiCall) fetch(ctx context.Context, tx core.Reader, row core.Row) error {
	if err := tx.Get(ctx, row); err != nil {
		if core.AsError(err).Code == core.CodeNotFound {
			return missing(row.Key().Kind)
		}
		return err
	}
	return c.unchanged(row)
}

// unchanged holds the version of a row against If-Match.
func (c *apiCall) unchanged(row core.Row) error {
	if stamp := stampOf(row); c.route.Match && stamp != nil && stamp.Version != c.match {
		return &core.Error{
			Code: core.CodeChanged, Message: "somebody else changed it meanwhile", Fix: "read it again, and send its ETag in If-Match",
			Details: []byte(`{"version":` + decimal(stamp.Version) + `}`),
		}
	}
	return nil
}

// stamp notes who changes a row.
func (c *apiCall) stamp(row core.Row) {
	if s := stampOf(row); s != nil {
		s.By = c.who.Subject
	}
}

// slug tells whether a text can be the name of a tenant, role, provider, …: what stands in
// paths and policies.
func slug(s string) bool {
	if s == "" || len(s) > 63 || s[0] == '-' || strings.HasSuffix(s, "-") {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// need appends a problem unless a field is a slug.
func needSlug(problems []core.Problem, path, value string) []core.Problem {
	if slug(value) {
		return problems
	}
	return append(problems, wrong(path, "this is no name", "write 1 to 63 of a to z, 0 to 9, - and _, not at the ends -"))
}

// needShort appends a problem when a text is too long for what people read.
func needShort(problems []core.Problem, path, value string, most int) []core.Problem {
	if len(value) <= most && !strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' || r == 0x7f }) {
		return problems
	}
	return append(problems, wrong(path, "this is too long, or has control characters", "write at most "+decimal(int64(most))+" bytes of text"))
}

// sorted returns a copy without doubles, sorted; never nil.
func sorted(list []string) []string {
	list = append([]string{}, list...)
	slices.Sort(list)
	return slices.Compact(list)
}
