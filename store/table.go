package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"

	"github.com/sallyport/sallyport/core"
)

// kind says how rows of one kind are kept.
type kind struct {
	name  string // Key.Kind, and what messages call one row
	table string
	// tenant is the column with the tenant; "" = rows that belong to none.
	tenant string
	// order are the columns that List sorts by; nil = the primary key.
	order []string
	// time is the column that Since and Until look at; "" = they are refused.
	time string
	// equal are the fields that Query.Equal takes, by JSON name, and their columns.
	equal map[string]string
	// shown: State shows such rows, so changing one raises the revision.
	shown bool
	// blank are columns of the primary key that may be empty.
	blank []string
	// quiet: a Change that touches nothing but such rows needs no audit entry.
	quiet bool
	// once: rows are added and never replaced.
	once bool
	// named: there is a unique index beside the primary key, so an update may meet it.
	named bool
	// heavy is a column that lists leave out, and that an update without it keeps.
	heavy string
	// append is what Append does to such rows.
	append appending
	// touch is the one column that Append sets when it only touches.
	touch string
	// expires is the column that Prune looks at; "" = rows stay until they are deleted.
	expires string
}

// appending is what Append does to rows of a kind.
type appending int

const (
	appendNever   appending = iota // such rows change with an audit entry only
	appendReplace                  // adds the row, or replaces it
	appendKeep                     // adds the row, unless it is there
	appendSum                      // adds numbers to those that stand there
	appendTouch                    // sets one time in a row that is there
)

// table is a kind with its model.
type table interface {
	about() *kind
	get(ctx context.Context, db bun.IDB, row core.Row) error
	list(ctx context.Context, db bun.IDB, into any, q core.Query) (next string, err error)
	put(ctx context.Context, t *tx, row core.Row) error
	delete(ctx context.Context, t *tx, row core.Row) error
	append(ctx context.Context, t *tx, rows []core.Row) error
	dump(ctx context.Context, db bun.IDB, each func(any) error) error
	restore(ctx context.Context, db bun.IDB, lines []json.RawMessage) error
	columns(db bun.IDB) []string
	makes(row any) bool     // is row of this kind: *core.User
	makesList(row any) bool // *[]core.User
}

// shelf is a table: R is the noun of core, M its Bun model.
type shelf[R, M any] struct {
	kind
	model func(*R) M
	noun  func(*M) R
	stamp func(*R) *core.Stamp // nil = rows have none
	light func(*R) bool        // tells whether a row lacks what is heavy
	id    func(*R) *string     // an empty one is filled in when the row is new; nil = never
}

func (s *shelf[R, M]) about() *kind { return &s.kind }

func (s *shelf[R, M]) makes(row any) bool { _, ok := row.(*R); return ok }

func (s *shelf[R, M]) makesList(list any) bool { _, ok := list.(*[]R); return ok }

func (s *shelf[R, M]) meta(db bun.IDB) *schema.Table {
	return db.Dialect().Tables().Get(reflect.TypeFor[*M]())
}

func (s *shelf[R, M]) columns(db bun.IDB) []string {
	var names []string
	for _, f := range s.meta(db).Fields {
		names = append(names, f.Name)
	}
	return names
}

// key returns the columns that List sorts by.
func (s *shelf[R, M]) key(db bun.IDB) []*schema.Field {
	meta := s.meta(db)
	if s.order == nil {
		return meta.PKs
	}
	fields := make([]*schema.Field, len(s.order))
	for i, column := range s.order {
		fields[i] = meta.FieldMap[column]
	}
	return fields
}

// whole refuses a row whose key has an empty part.
func (s *shelf[R, M]) whole(db bun.IDB, m *M) error {
	for _, pk := range s.meta(db).PKs {
		if v := pk.Value(reflect.ValueOf(m).Elem()); v.Kind() == reflect.String && v.Len() == 0 && !slices.Contains(s.blank, pk.Name) {
			return &core.Error{Code: core.CodeInvalid, Message: fmt.Sprintf("the %s has no %s", s.name, pk.Name), Fix: "every part of the key of a row is needed"}
		}
	}
	return nil
}

func (s *shelf[R, M]) get(ctx context.Context, db bun.IDB, row core.Row) error {
	r := any(row).(*R)
	if err := check(s.name, r); err != nil {
		return err
	}
	m := s.model(r)
	err := db.NewSelect().Model(&m).WherePK().Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return s.missing()
	}
	if err != nil {
		return err
	}
	*r = s.noun(&m)
	return nil
}

func (s *shelf[R, M]) missing() error {
	return &core.Error{Code: core.CodeNotFound, Message: "there is no such " + s.title()}
}

// title is the name for people.
func (k *kind) title() string { return strings.ReplaceAll(k.name, "_", " ") }

func (s *shelf[R, M]) put(ctx context.Context, t *tx, row core.Row) error {
	r := any(row).(*R)
	if err := check(s.name, r); err != nil {
		return err
	}
	before := *r
	err := s.putChecked(ctx, t, r)
	if err != nil {
		*r = before
		return err
	}
	t.undo(func() { *r = before })
	return nil
}

func (s *shelf[R, M]) putChecked(ctx context.Context, t *tx, r *R) error {
	if s.stamp == nil {
		return s.putPlain(ctx, t, r)
	}
	stamp := s.stamp(r)
	if stamp.Version != 0 {
		return s.update(ctx, t, r, stamp)
	}
	if s.id != nil && *s.id(r) == "" {
		id, err := t.store.identify.next()
		if err != nil {
			return err
		}
		*s.id(r) = id
	}
	stamp.Version, stamp.Created, stamp.Updated = 1, t.now, t.now
	return s.insert(ctx, t, r)
}

func (s *shelf[R, M]) insert(ctx context.Context, t *tx, r *R) error {
	m := s.model(r)
	if err := s.whole(t.db, &m); err != nil {
		return err
	}
	res, err := t.db.NewInsert().Model(&m).On("CONFLICT DO NOTHING").Exec(ctx)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return s.conflict(err)
	}
	*r = s.noun(&m)
	return nil
}

func (s *shelf[R, M]) conflict(err error) error {
	if err != nil {
		return err
	}
	return &core.Error{Code: core.CodeConflict, Message: fmt.Sprintf("there is a %s of that name already", s.title()), Fix: "another name"}
}

func (s *shelf[R, M]) update(ctx context.Context, t *tx, r *R, stamp *core.Stamp) error {
	old := stamp.Version
	stamp.Version, stamp.Updated = old+1, t.now
	m := s.model(r)
	if err := s.whole(t.db, &m); err != nil {
		return err
	}
	keep := []string{"created"}
	if s.heavy != "" && s.light(r) {
		keep = append(keep, s.heavy)
	}
	var created []moment
	err := t.guarded(ctx, s.named, func(ctx context.Context) error {
		return t.db.NewUpdate().Model(&m).ExcludeColumn(keep...).WherePK().Where("version = ?", old).Returning("created").Scan(ctx, &created)
	})
	switch {
	case errors.Is(err, sql.ErrNoRows) || err == nil && len(created) == 0:
		return &core.Error{Code: core.CodeChanged, Message: fmt.Sprintf("somebody else has changed or deleted this %s meanwhile", s.title()), Fix: "read it again, and change what is there now"}
	case t.store.dialect.duplicate(err):
		return s.conflict(nil)
	case err != nil:
		return err
	}
	stamp.Created = created[0].time()
	kept := *stamp
	*r = s.noun(&m)
	*s.stamp(r) = kept
	return nil
}

// putPlain adds or replaces a row that has no stamp.
func (s *shelf[R, M]) putPlain(ctx context.Context, t *tx, r *R) error {
	if s.id != nil && *s.id(r) == "" {
		id, err := t.store.identify.next()
		if err != nil {
			return err
		}
		*s.id(r) = id
	}
	if s.once {
		return s.insert(ctx, t, r)
	}
	m := s.model(r)
	if err := s.whole(t.db, &m); err != nil {
		return err
	}
	err := t.guarded(ctx, s.named, func(ctx context.Context) error {
		_, err := s.upsert(t.db, &m, s.replacing(t.db)).Exec(ctx)
		return err
	})
	if t.store.dialect.duplicate(err) {
		return s.conflict(nil)
	}
	if err != nil {
		return err
	}
	*r = s.noun(&m)
	return nil
}

// upsert inserts model, one or a slice, and where a row of the same key is there does what
// set says.
func (s *shelf[R, M]) upsert(db bun.IDB, model any, set string) *bun.InsertQuery {
	var keys []string
	for _, pk := range s.meta(db).PKs {
		keys = append(keys, string(pk.SQLName))
	}
	on := "CONFLICT (" + strings.Join(keys, ", ") + ") DO "
	if set == "" {
		return db.NewInsert().Model(model).On(on + "NOTHING")
	}
	return db.NewInsert().Model(model).On(on + "UPDATE").Set(set)
}

// replacing is SET for every column but the key; a version goes on counting.
func (s *shelf[R, M]) replacing(db bun.IDB) string {
	var set []string
	meta := s.meta(db)
	for _, f := range meta.Fields {
		switch name := string(f.SQLName); {
		case f.IsPK || f.Name == "created":
		case f.Name == "version":
			set = append(set, name+" = ?TableAlias."+name+" + 1")
		default:
			set = append(set, name+" = EXCLUDED."+name)
		}
	}
	return strings.Join(set, ", ")
}

func (s *shelf[R, M]) delete(ctx context.Context, t *tx, row core.Row) error {
	r := any(row).(*R)
	if err := check(s.name, r); err != nil {
		return err
	}
	m := s.model(r)
	if err := s.whole(t.db, &m); err != nil {
		return err
	}
	q := t.db.NewDelete().Model(&m).WherePK()
	version := int64(0)
	if s.stamp != nil {
		version = s.stamp(r).Version
	}
	if version != 0 {
		q = q.Where("version = ?", version)
	}
	res, err := q.Exec(ctx)
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	if err != nil || n > 0 {
		return err
	}
	if version != 0 {
		there, err := t.db.NewSelect().Model(&m).WherePK().Exists(ctx)
		if err != nil {
			return err
		}
		if there {
			return &core.Error{Code: core.CodeChanged, Message: fmt.Sprintf("somebody else has changed this %s meanwhile", s.title()), Fix: "read it again"}
		}
	}
	return s.missing()
}
