package store

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/sallyport/sallyport/core"
)

// Append adds or replaces rows: call records, sessions, replicas, revocations, keys and
// values of plugins. Numbers of usage are added to those that stand there; anchors are
// added only. Of users, tokens and logins it sets the time of the last use and nothing
// else, where the row is still there and the time is later. Audit entries go to the end of
// the trail. Every other kind is refused.
func (s *Store) Append(ctx context.Context, rows ...core.Row) error {
	if len(rows) == 0 {
		return nil
	}
	kinds := make([][]core.Row, len(tables))
	var entries []*core.AuditEntry
	for _, row := range rows {
		if entry, ok := row.(*core.AuditEntry); ok {
			if entry.Seq != 0 || entry.Action == "" {
				return invalid("the audit entry has a place already, or no action", "a new entry, with an action")
			}
			entries = append(entries, entry)
			continue
		}
		table, err := tableOf(row)
		if err != nil {
			return err
		}
		k := table.about()
		if err := s.mine(ctx, "append", k.title(), row.Key().Tenant); err != nil {
			return err
		}
		if k.append == appendNever {
			return invalid(fmt.Sprintf("a %s is not appended", k.title()), "a change, with an audit entry")
		}
		i := slices.Index(tables, table)
		kinds[i] = append(kinds[i], row)
	}
	return s.write(ctx, "append", func(ctx context.Context, t *tx) ([]*core.AuditEntry, error) {
		for i, rows := range kinds {
			if len(rows) == 0 {
				continue
			}
			k := tables[i].about()
			t.shown = t.shown || k.shown && k.append != appendTouch
			if err := tables[i].append(ctx, t, rows); err != nil {
				return nil, err
			}
		}
		return entries, nil
	})
}

// append writes rows in the order of their keys, so that two transactions that touch the
// same ones never wait for each other.
func (s *shelf[R, M]) append(ctx context.Context, t *tx, rows []core.Row) error {
	byKey := map[string]M{}
	for _, row := range rows {
		r := any(row).(*R)
		if err := check(s.name, r); err != nil {
			return err
		}
		if s.id != nil && *s.id(r) == "" {
			id, err := t.store.identify.next()
			if err != nil {
				return err
			}
			*s.id(r) = id
		}
		if s.stamp != nil && s.kind.append == appendReplace {
			filled := *r
			*s.stamp(&filled) = core.Stamp{Version: 1, Created: t.now, Updated: t.now, By: s.stamp(r).By}
			r = &filled
		}
		m := s.model(r)
		if err := s.whole(t.db, &m); err != nil {
			return err
		}
		key := s.text(t.db, &m)
		if was, ok := byKey[key]; ok && s.kind.append == appendSum {
			s.sum(t.db, &m, &was)
		}
		byKey[key] = m
	}
	keys := make([]string, 0, len(byKey))
	for key := range byKey {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, cmp.Compare)
	ms := make([]M, len(keys))
	for i, key := range keys {
		ms[i] = byKey[key]
	}
	if s.kind.append == appendTouch {
		return s.touchAll(ctx, t, ms)
	}
	set := ""
	switch s.kind.append {
	case appendReplace:
		set = s.replacing(t.db)
	case appendSum:
		set = s.summing(t.db)
	}
	for start := 0; start < len(ms); start += batch {
		part := ms[start:min(start+batch, len(ms))]
		if _, err := s.upsert(t.db, &part, set).Exec(ctx); err != nil {
			return err
		}
	}
	return nil
}

// text is the primary key as one text.
func (s *shelf[R, M]) text(db bun.IDB, m *M) string {
	text, _ := json.Marshal(s.values(s.meta(db).PKs, m)) // texts and numbers always encode
	return string(text)
}

// sum adds the numbers of was to those of m.
func (s *shelf[R, M]) sum(db bun.IDB, m, was *M) {
	for _, f := range s.meta(db).DataFields {
		a, b := f.Value(reflect.ValueOf(m).Elem()), f.Value(reflect.ValueOf(was).Elem())
		a.SetInt(a.Int() + b.Int())
	}
}

// summing is SET for the same.
func (s *shelf[R, M]) summing(db bun.IDB) string {
	var set []string
	for _, f := range s.meta(db).DataFields {
		name := string(f.SQLName)
		set = append(set, name+" = ?TableAlias."+name+" + EXCLUDED."+name)
	}
	return strings.Join(set, ", ")
}

// touchAll sets one time in rows that are there.
func (s *shelf[R, M]) touchAll(ctx context.Context, t *tx, ms []M) error {
	meta := s.meta(t.db)
	column := meta.FieldMap[s.touch]
	for i := range ms {
		v := column.Value(reflect.ValueOf(&ms[i]).Elem())
		if v.Kind() == reflect.Pointer {
			if v.IsNil() {
				continue
			}
			v = v.Elem()
		}
		at := moment(v.Int())
		_, err := t.db.NewUpdate().Model(&ms[i]).Set("? = ?", bun.Ident(s.touch), at).WherePK().
			Where("(? IS NULL OR ? < ?)", bun.Ident(s.touch), bun.Ident(s.touch), at).Exec(ctx)
		if err != nil {
			return err
		}
	}
	return nil
}

// Prune deletes rows of a kind that are older than before, or had expired by then. Of the
// audit trail it deletes, for each replica, what its newest anchor from before then has
// fixed, so that what is left still follows from something.
func (s *Store) Prune(ctx context.Context, kind string, before time.Time) (int64, error) {
	table, ok := tableOfKind(kind)
	if !ok || table.about().expires == "" {
		return 0, invalid("rows of this kind are not pruned", "call, audit, login, revocation, session, kv, usage or replica")
	}
	k := table.about()
	if kind == calls.about().name {
		return s.pruneCalls(ctx, momentOf(before))
	}
	where, args := "? < ?", []any{bun.Ident(k.expires), momentOf(before)}
	switch kind {
	case audits.name:
		where = "seq <= (SELECT max(n.seq) FROM anchors AS n WHERE n.replica = ?.replica AND n.at < ?)"
		args = []any{bun.Ident(k.table), momentOf(before)}
	case usages.name:
		args[1] = before.UTC().Format(time.DateOnly)
	}
	total := int64(0)
	for {
		n, err := s.pruneSome(ctx, k, where, args)
		total += n
		if err != nil || n < pruned {
			return total, err
		}
	}
}

// pruned is how many rows one transaction deletes: others want to write, too.
const pruned = 2000

// pruneCalls deletes records of calls, some blocks in one transaction.
func (s *Store) pruneCalls(ctx context.Context, before moment) (total int64, err error) {
	for {
		n := int64(0)
		err = s.write(ctx, "prune call rows", func(ctx context.Context, t *tx) (_ []*core.AuditEntry, err error) {
			n, err = calls.prune(ctx, t, before)
			return nil, err
		})
		total += n
		if err != nil || n == 0 {
			return total, err
		}
	}
}

func (s *Store) pruneSome(ctx context.Context, k *kind, where string, args []any) (n int64, err error) {
	err = s.write(ctx, "prune "+k.title()+" rows", func(ctx context.Context, t *tx) ([]*core.AuditEntry, error) {
		row := s.dialect.row()
		all := append([]any{bun.Ident(k.table), bun.Safe(row), bun.Safe(row), bun.Ident(k.table)}, args...)
		res, err := t.db.NewRaw("DELETE FROM ? WHERE ? IN (SELECT ? FROM ? WHERE "+where+" LIMIT ?)", append(all, pruned)...).Exec(ctx)
		if err != nil {
			return nil, err
		}
		n, err = res.RowsAffected()
		return nil, err
	})
	return n, err
}
