package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/uptrace/bun"

	"github.com/sallyport/sallyport/core"
)

// dialect is what differs between databases, beside what Bun knows.
type dialect interface {
	name() string
	// schema writes a migration in the words of the database.
	schema(text string) string
	// lock makes the transaction the only one that changes or migrates, until it ends.
	lock(ctx context.Context, db bun.IDB, of lockOf) error
	// notify tells other replicas, once the transaction is committed, that something changed.
	notify(ctx context.Context, db bun.IDB, replica string) error
	// snapshot are the options of a transaction that reads one state.
	snapshot() *sql.TxOptions
	// row names a row of a table in SQL, whatever its key.
	row() string
	// savepoint: after a statement that failed the transaction is lost, unless one was set.
	savepoint() bool
	// duplicate tells whether err says that a unique index would be hurt.
	duplicate(err error) bool
	// again tells whether err says that the same transaction may succeed the next time.
	again(err error) bool
	// lost tells whether err says that the database cannot be reached.
	lost(err error) bool
	// broken tells whether err says that the connection must not be used any more: what it
	// wrote may or may not be on the disk.
	broken(err error) bool
	// code returns the code for err; "" = our own mistake.
	code(err error) core.Code
}

// bound writes the ? of a statement as the placeholders of a database.
func bound(d dialect, statement string) string {
	if _, numbered := d.(postgresDialect); !numbered {
		return statement
	}
	parts := strings.Split(statement, "?")
	for i := range len(parts) - 1 {
		parts[i] += "$" + strconv.Itoa(i+1)
	}
	return strings.Join(parts, "")
}

// lockOf says what a lock keeps others from.
type lockOf string

const (
	lockChange  lockOf = "changes"
	lockMigrate lockOf = "migrations"
)

// fault makes a core.Error of what a database said.
func (s *Store) fault(ctx context.Context, doing string, err error) error {
	if err == nil {
		return nil
	}
	if known := (*core.Error)(nil); errors.As(err, &known) {
		return err
	}
	if commit := (commitError{}); errors.As(err, &commit) && (ctx.Err() != nil || s.dialect.lost(err)) {
		doing += " (whether it happened is not known)"
	}
	switch {
	case errors.Is(context.Cause(ctx), errAway):
		return s.away(doing, err)
	case errors.Is(err, errClosed), errors.Is(context.Cause(ctx), errClosed), errors.Is(err, sql.ErrConnDone):
		return &core.Error{Code: core.CodeUnavailable, Message: doing + ": the store is closed", Err: err}
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return &core.Error{Code: core.CodeTimeout, Message: doing + ": the database took too long", Err: err}
	case errors.Is(ctx.Err(), context.Canceled):
		return &core.Error{Code: core.CodeCancelled, Message: doing + ": whoever asked has left", Err: err}
	case s.dialect.lost(err):
		return s.away(doing, err)
	}
	switch code := s.dialect.code(err); code {
	case core.CodeFull:
		return &core.Error{Code: code, Message: doing + ": no space is left where the database lies", Fix: "free some space; reading goes on", Err: err}
	case core.CodeReadOnly:
		return &core.Error{Code: code, Message: doing + ": the database cannot be written", Fix: "let this program write its files, or connect to the primary; reading goes on", Err: err}
	case core.CodeConflict:
		return &core.Error{Code: code, Message: doing + ": something of that name is there already", Fix: "another name", Err: err}
	case core.CodeInvalid:
		return &core.Error{Code: code, Message: doing + ": the database does not take this value", Err: err}
	case core.CodeTooLarge:
		return &core.Error{Code: code, Message: doing + ": the database does not take a value of this size", Err: err}
	case core.CodeUnavailable, core.CodeTimeout:
		return &core.Error{Code: core.CodeUnavailable, Message: doing + ": the database does not do it now", Fix: "try again; the log of the program says more", RetryAfter: 1, Err: err}
	}
	return &core.Error{Code: core.CodeInternal, Message: doing + ": the database refused it", Err: err}
}

// away is the error for a database that cannot be reached.
func (s *Store) away(doing string, err error) error {
	return &core.Error{Code: core.CodeUnavailable, Message: fmt.Sprintf("%s: the database cannot be reached", doing), Fix: "it is tried again every quarter of a second", RetryAfter: 1, Err: err}
}
