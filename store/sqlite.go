package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/sallyport/sallyport/core"
)

// sqliteDialect is SQLite: one file beside its log, one connection that writes, and some
// that read what was committed meanwhile.
type sqliteDialect struct{}

// What every connection is told. FULL: a commit returns when the log is on the disk.
const sqlitePragmas = "_pragma=busy_timeout(5000)&_pragma=foreign_keys(1)&_pragma=synchronous(FULL)&_pragma=journal_size_limit(67108864)"

func (s *Store) openSQLite(path string) error {
	if path == "" {
		return invalid("the address of the store names no file", "sqlite:PATH")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return fmt.Errorf("open the store: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return &core.Error{Code: core.CodeReadOnly, Message: "make the folder of the store", Fix: "a folder that this program may write", Err: err}
	}
	hold, err := lockFile(filepath.Join(filepath.Dir(path), "store.lock"))
	if err != nil {
		return err
	}
	if err := createPrivate(path); err != nil {
		_ = hold.Close()
		return &core.Error{Code: core.CodeReadOnly, Message: "make the database", Fix: "a file that this program may write", Err: err}
	}
	name := (&url.URL{Scheme: "file", Path: path}).String() + "?" + sqlitePragmas
	// The write-ahead log is switched on by the writer, and lasts.
	writer, err := sql.Open("sqlite", name+"&_pragma=journal_mode(WAL)&_txlock=immediate")
	if err != nil {
		_ = hold.Close()
		return fmt.Errorf("open the store: %w", err)
	}
	readers, err := sql.Open("sqlite", name+"&_pragma=query_only(1)")
	if err != nil {
		_ = hold.Close()
		return fmt.Errorf("open the store: %w", err)
	}
	s.hold = hold
	s.useSQLite(writer, readers)
	return nil
}

// createPrivate makes a file that only its owner reads, before SQLite makes one that
// everybody may.
func createPrivate(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// openMemory opens a database that is the memory of one connection, which everybody shares.
func (s *Store) openMemory() error {
	one, err := sql.Open("sqlite", "file::memory:?"+sqlitePragmas+"&_txlock=immediate")
	if err != nil {
		return fmt.Errorf("open the store: %w", err)
	}
	s.useSQLite(one, one)
	return nil
}

func (s *Store) useSQLite(writer, readers *sql.DB) {
	s.dialect = sqliteDialect{}
	count := s.options.Readers
	if count <= 0 {
		count = 4
	}
	for _, db := range []*sql.DB{readers, writer} {
		db.SetMaxOpenConns(count)
		db.SetMaxIdleConns(count)
		db.SetConnMaxIdleTime(0)
		db.SetConnMaxLifetime(0)
		count = 1
	}
	s.writer = bun.NewDB(writer, sqlitedialect.New())
	s.readers = s.writer
	if readers != writer {
		s.readers = bun.NewDB(readers, sqlitedialect.New())
	}
}

func (sqliteDialect) name() string { return "sqlite" }

func (sqliteDialect) schema(text string) string { return text }

func (sqliteDialect) row() string { return "rowid" }

// lock does nothing: the transaction has begun IMMEDIATE.
func (sqliteDialect) lock(context.Context, bun.IDB, lockOf) error { return nil }

func (sqliteDialect) notify(context.Context, bun.IDB, string) error { return nil }

func (sqliteDialect) snapshot() *sql.TxOptions { return nil }

func (sqliteDialect) savepoint() bool { return false }

// sqliteCode returns the result code of SQLite, and its primary part.
func sqliteCode(err error) (code, primary int) {
	if e := (*sqlite.Error)(nil); errors.As(err, &e) {
		return e.Code(), e.Code() & 0xff
	}
	return 0, 0
}

func (sqliteDialect) duplicate(err error) bool {
	code, _ := sqliteCode(err)
	return code == sqlite3.SQLITE_CONSTRAINT_UNIQUE || code == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY
}

func (sqliteDialect) again(err error) bool {
	_, primary := sqliteCode(err)
	return primary == sqlite3.SQLITE_BUSY || primary == sqlite3.SQLITE_LOCKED
}

func (sqliteDialect) lost(error) bool { return false }

func (sqliteDialect) broken(err error) bool {
	switch _, primary := sqliteCode(err); primary {
	case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return true
	}
	return false
}

func (sqliteDialect) code(err error) core.Code {
	switch _, primary := sqliteCode(err); primary {
	case sqlite3.SQLITE_FULL:
		return core.CodeFull
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM:
		return core.CodeReadOnly
	case sqlite3.SQLITE_TOOBIG:
		return core.CodeTooLarge
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR:
		return core.CodeUnavailable
	case sqlite3.SQLITE_CONSTRAINT:
		return core.CodeConflict
	}
	if err != nil && strings.Contains(err.Error(), "database is closed") {
		return core.CodeUnavailable
	}
	return ""
}
