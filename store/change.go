package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"github.com/sallyport/sallyport/core"
)

// Bounds of a transaction.
const (
	longest = 30 * time.Second // from begin to commit
	batch   = 200              // rows in one statement
	tries   = 3
)

// tx is a transaction.
type tx struct {
	store *Store
	db    bun.Tx
	now   time.Time
	shown bool     // something that State shows was changed
	loud  string   // a kind that was changed and must be audited
	undos []func() // put the caller's rows back as they were
}

// undo remembers how to take back what Put writes into a row, should the transaction fail:
// Change may run twice, and a row that says it is stored when it is not is a lie.
func (t *tx) undo(f func()) { t.undos = append(t.undos, f) }

func (t *tx) rollBack() {
	for _, undo := range slices.Backward(t.undos) {
		undo()
	}
}

// guarded runs a statement that may fail without harm to the rest of the transaction.
func (t *tx) guarded(ctx context.Context, may bool, f func(context.Context) error) error {
	if !may || !t.store.dialect.savepoint() {
		return f(ctx)
	}
	if _, err := t.db.ExecContext(ctx, "SAVEPOINT statement"); err != nil {
		return err
	}
	err := f(ctx)
	end := "RELEASE SAVEPOINT statement"
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		end = "ROLLBACK TO SAVEPOINT statement"
	}
	if _, ended := t.db.ExecContext(ctx, end); ended != nil && err == nil {
		return ended
	}
	return err
}

func (t *tx) Get(ctx context.Context, row core.Row) error {
	table, err := tableOf(row)
	if err != nil {
		return err
	}
	if err := t.store.mine(ctx, "read", table.about().title(), row.Key().Tenant); err != nil {
		return err
	}
	return t.store.fault(ctx, "read a "+table.about().title(), table.get(ctx, t.db, row))
}

func (t *tx) List(ctx context.Context, into any, q core.Query) (string, error) {
	table, err := tableOfList(into)
	if err != nil {
		return "", err
	}
	if err := t.store.mine(ctx, "list", table.about().title(), q.Tenant); err != nil {
		return "", err
	}
	next, err := table.list(ctx, t.db, into, q)
	return next, t.store.fault(ctx, "list "+table.about().title()+" rows", err)
}

func (t *tx) Put(ctx context.Context, row core.Row) error {
	table, err := t.touched(ctx, row)
	if err != nil {
		return err
	}
	return t.store.fault(ctx, "keep a "+table.about().title(), table.put(ctx, t, row))
}

func (t *tx) Delete(ctx context.Context, row core.Row) error {
	table, err := t.touched(ctx, row)
	if err != nil {
		return err
	}
	return t.store.fault(ctx, "delete a "+table.about().title(), table.delete(ctx, t, row))
}

// touched returns the table of a row that is about to change.
func (t *tx) touched(ctx context.Context, row core.Row) (table, error) {
	table, err := tableOf(row)
	if err != nil {
		return nil, err
	}
	k := table.about()
	if k.name == audits.name {
		return nil, &core.Error{Code: core.CodeInvalid, Message: "audit entries are added by Change and Audit only", Fix: "neither put nor delete them"}
	}
	if err := t.store.mine(ctx, "change", k.title(), row.Key().Tenant); err != nil {
		return nil, err
	}
	t.shown = t.shown || k.shown
	if !k.quiet {
		t.loud = k.name
	}
	return table, nil
}

// inside is the key of the transaction in the context that Change hands to f: whoever reads
// from the store with it reads in the transaction, rather than wait for it.
type inside struct{ store *Store }

// Change runs f in the one transaction that changes at a time, of all replicas. Reading
// from the Store with the context of f reads in the transaction. entry may be nil only
// when nothing but logins, sessions, keys and values of plugins and the like is changed.
func (s *Store) Change(ctx context.Context, entry *core.AuditEntry, f func(ctx context.Context, tx core.Tx) error) error {
	if ctx.Value(inside{s}) != nil {
		return &core.Error{Code: core.CodeInternal, Message: "a change within a change would wait for itself"}
	}
	if entry != nil && entry.Action == "" {
		return invalid("the audit entry names no action", "noun.verb, such as user.write")
	}
	select {
	case s.gate <- struct{}{}:
		defer func() { <-s.gate }()
	case <-ctx.Done():
		return s.fault(ctx, "change", ctx.Err())
	}
	return s.write(ctx, "change", func(ctx context.Context, t *tx) ([]*core.AuditEntry, error) {
		if err := s.dialect.lock(ctx, t.db, lockChange); err != nil {
			return nil, err
		}
		if err := f(context.WithValue(ctx, inside{s}, t), t); err != nil {
			return nil, callerError{err}
		}
		if entry == nil {
			if t.loud != "" {
				return nil, &core.Error{Code: core.CodeInternal, Message: fmt.Sprintf("a %s was changed without an audit entry", t.loud)}
			}
			return nil, nil
		}
		return []*core.AuditEntry{entry}, nil
	})
}

// callerError is what f returned: it goes back as it is.
type callerError struct{ error }

func (e callerError) Unwrap() error { return e.error }

// Audit adds entries to the trail.
func (s *Store) Audit(ctx context.Context, entries ...*core.AuditEntry) error {
	if len(entries) == 0 {
		return nil
	}
	return s.write(ctx, "audit", func(context.Context, *tx) ([]*core.AuditEntry, error) { return entries, nil })
}

// write runs f in a transaction and adds what it returns to the trail. It tries again when
// the database says that this may help.
func (s *Store) write(ctx context.Context, doing string, f func(context.Context, *tx) ([]*core.AuditEntry, error)) error {
	if ctx.Value(inside{s}) != nil {
		return &core.Error{Code: core.CodeInternal, Message: doing + ": within a change it would wait for itself"}
	}
	work, done, err := s.circuit.enter(ctx)
	if err != nil {
		return s.away(doing, err)
	}
	defer done()
	for try := 1; try <= tries; try++ {
		if err = s.attempt(work, longest, f); err == nil || work.Err() != nil || !s.retry(err) {
			break
		}
	}
	if own := (callerError{}); errors.As(err, &own) && !s.dialect.lost(err) {
		return own.error
	}
	return s.failed(work, doing, err)
}

// retry tells whether the same transaction may succeed the next time.
func (s *Store) retry(err error) bool {
	if commit := (commitError{}); errors.As(err, &commit) && s.dialect.lost(err) {
		return false
	}
	return s.dialect.again(err) || errors.Is(err, errForked)
}

// failed is fault for the end of an operation: it also notices a database that is away.
func (s *Store) failed(ctx context.Context, doing string, err error) error {
	switch {
	case err == nil:
		s.circuit.answers.Add(1)
	case ctx.Err() == nil && s.dialect.lost(err):
		s.circuit.trip(err)
	}
	return s.fault(ctx, doing, err)
}

// attempt is one try, which lasts at most so long.
func (s *Store) attempt(ctx context.Context, most time.Duration, f func(context.Context, *tx) ([]*core.AuditEntry, error)) (err error) {
	conn, err := s.writer.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil && s.dialect.broken(err) {
			s.options.Log.Error("database connection is given up", "error", err)
			_ = conn.Raw(func(any) error { return driver.ErrBadConn })
		}
		_ = conn.Close()
	}()
	// The end of ctx ends statements, not the transaction: of a commit that was cut off
	// nobody would know whether it happened.
	life, end := context.WithTimeout(context.WithoutCancel(ctx), most)
	defer end()
	// Before the transaction has begun there is nothing to lose by leaving.
	begins := context.AfterFunc(ctx, end)
	begun, err := conn.BeginTx(life, nil)
	if !begins() && err == nil {
		err = errors.Join(context.Cause(ctx), begun.Rollback())
	}
	if err != nil {
		return err
	}
	t := &tx{store: s, db: begun, now: s.options.Now().UTC().Truncate(time.Microsecond)}
	settle, committed := func(bool) {}, false
	defer func() { // also when f panics
		if !committed {
			_ = begun.Rollback()
			t.rollBack()
		}
		settle(committed)
	}()
	entries, err := f(ctx, t)
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		linked, err := s.link(ctx, begun, entries)
		if err != nil {
			return err
		}
		settle = linked
	}
	if t.shown {
		if _, err = begun.NewRaw("UPDATE revision SET value = value + 1 WHERE id = 1").Exec(ctx); err != nil {
			return err
		}
		if err = s.dialect.notify(ctx, begun, s.options.Replica); err != nil {
			return err
		}
	}
	if err = ctx.Err(); err != nil {
		return err
	}
	if err = begun.Commit(); err != nil {
		return commitError{err}
	}
	committed = true
	return nil
}

// commitError is what a commit said. Where the connection was lost meanwhile nobody knows
// whether it happened, so nothing is tried again.
type commitError struct{ error }

func (e commitError) Unwrap() error { return e.error }
