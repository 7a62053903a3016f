package store

import (
	"fmt"

	"github.com/sallyport/sallyport/core"
)

// tables are all kinds of rows, in the order of a backup.
var tables = []table{
	tenants, users, roles, policies, groupRoles, tokens, logins, providers, credentials, connectors,
	documents, drafts, versions, modules, pins, entries, sessions, revocations, limits, usages, settings,
	replicas, audits, anchors, calls,
}

// tableOf returns the table of a row.
func tableOf(row any) (table, error) {
	for _, t := range tables {
		if t.makes(row) {
			return t, nil
		}
	}
	return nil, &core.Error{Code: core.CodeInternal, Message: fmt.Sprintf("the store keeps no %T", row)}
}

// tableOfList returns the table of a list of rows.
func tableOfList(list any) (table, error) {
	for _, t := range tables {
		if t.makesList(list) {
			return t, nil
		}
	}
	return nil, &core.Error{Code: core.CodeInternal, Message: fmt.Sprintf("the store keeps no %T", list)}
}

// tableOfKind returns the table of a kind.
func tableOfKind(name string) (table, bool) {
	for _, t := range tables {
		if t.about().name == name {
			return t, true
		}
	}
	return nil, false
}

// stamp is core.Stamp as every table of rows that people change has it.
type stamp struct {
	Version   int64
	Created   moment
	Updated   moment
	ChangedBy string
}

func stampOf(s core.Stamp) stamp {
	return stamp{s.Version, momentOf(s.Created), momentOf(s.Updated), s.By}
}

func (s stamp) of() core.Stamp {
	return core.Stamp{Version: s.Version, Created: s.Created.time(), Updated: s.Updated.time(), By: s.ChangedBy}
}

// Columns that most tables take in Query.Equal.
func equal(pairs ...string) map[string]string {
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return m
}
