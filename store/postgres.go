package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

	"github.com/sallyport/sallyport/core"
)

// postgresDialect is Postgres, from version 13 on: many replicas on one database.
type postgresDialect struct{ config *pgx.ConnConfig }

// What every session is told, unless the address says something else. Bun writes values
// into the text of statements, as quoted for standard strings; so those are not up to the
// server.
var postgresSession = map[string]string{
	"application_name":                    "sallyport",
	"statement_timeout":                   "15000", // milliseconds
	"lock_timeout":                        "10000",
	"idle_in_transaction_session_timeout": "60000",
	"timezone":                            "UTC",
}

func (s *Store) openPostgres(dsn string) error {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		// The cause may hold the password.
		return invalid("the address of the store cannot be read", "postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=verify-full, and parameters that Postgres knows")
	}
	for name, value := range postgresSession {
		if _, set := config.RuntimeParams[name]; !set {
			config.RuntimeParams[name] = value
		}
	}
	config.RuntimeParams["standard_conforming_strings"] = "on"
	// Bun's statements hardly ever repeat: preparing each would cost a round trip.
	if config.DefaultQueryExecMode != pgx.QueryExecModeSimpleProtocol {
		config.DefaultQueryExecMode = pgx.QueryExecModeExec
	}
	if config.ConnectTimeout <= 0 || config.ConnectTimeout > 5*time.Second {
		config.ConnectTimeout = 5 * time.Second
	}
	s.dialect = postgresDialect{config}
	count := s.options.Readers
	if count <= 0 {
		count = 16
	}
	db := sql.OpenDB(extended{stdlib.GetConnector(*config)})
	db.SetMaxOpenConns(count)
	db.SetMaxIdleConns(count)
	db.SetConnMaxIdleTime(5 * time.Minute)
	db.SetConnMaxLifetime(time.Hour)
	s.writer = bun.NewDB(db, pgdialect.New())
	s.readers = s.writer
	// Whoever asks whether the database answers must not wait for a connection of the pool.
	s.probe = sql.OpenDB(stdlib.GetConnector(*config))
	s.probe.SetMaxOpenConns(1)
	s.probe.SetMaxIdleConns(1)
	s.circuit = newCircuit(s.options.Patience, s.probe.PingContext, s.options.Log)
	return nil
}

// extended makes connections that never send more than one statement at a time: pgx sends
// what has no arguments, as all of Bun's, by the simple protocol, which would take several.
type extended struct{ driver.Connector }

func (e extended) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := e.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &extendedConn{conn.(*stdlib.Conn)}, nil
}

type extendedConn struct{ *stdlib.Conn }

// ExecContext runs one statement by the extended protocol.
func (c *extendedConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if len(args) > 0 {
		return c.Conn.ExecContext(ctx, query, args)
	}
	if c.Conn.Conn().IsClosed() {
		return nil, driver.ErrBadConn
	}
	result := c.Conn.Conn().PgConn().ExecParams(ctx, query, nil, nil, nil, nil).Read()
	return driver.RowsAffected(result.CommandTag.RowsAffected()), result.Err
}

func (postgresDialect) name() string { return "postgres" }

var columnTypes = regexp.MustCompile(`\b(TEXT|BLOB)\b`)

// schema: texts compare byte by byte, as SQLite's do and cursors need.
func (postgresDialect) schema(text string) string {
	return columnTypes.ReplaceAllStringFunc(text, func(word string) string {
		if word == "BLOB" {
			return "BYTEA"
		}
		return `TEXT COLLATE "C"`
	})
}

func (postgresDialect) row() string { return "ctid" }

func (postgresDialect) lock(ctx context.Context, db bun.IDB, of lockOf) error {
	_, err := db.NewRaw("SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || ?, 0))", " sallyport "+string(of)).Exec(ctx)
	return err
}

// channel is where replicas hear of changes. Its payload is the schema and the replica.
const channel = "sallyport"

func (postgresDialect) notify(ctx context.Context, db bun.IDB, replica string) error {
	_, err := db.NewRaw("SELECT pg_notify(?, current_schema() || ?)", channel, " "+replica).Exec(ctx)
	return err
}

func (postgresDialect) snapshot() *sql.TxOptions {
	return &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}
}

func (postgresDialect) savepoint() bool { return true }

// sqlState returns the code of SQL for err (appendix A of the manual of Postgres).
func sqlState(err error) string {
	if e := (*pgconn.PgError)(nil); errors.As(err, &e) {
		return e.Code
	}
	return ""
}

func (postgresDialect) duplicate(err error) bool { return sqlState(err) == "23505" }

func (d postgresDialect) again(err error) bool {
	switch sqlState(err) {
	case "40001", "40P01": // serialization failure, deadlock
		return true
	}
	return d.lost(err)
}

func (postgresDialect) lost(err error) bool {
	switch state := sqlState(err); {
	case state == "57P01", state == "57P02", state == "57P03": // shutdown, crash, starting up
		return true
	case strings.HasPrefix(state, "08"): // connection exception
		return true
	case state != "":
		return false
	}
	connect, network := (*pgconn.ConnectError)(nil), net.Error(nil)
	switch {
	case errors.As(err, &connect):
		return true
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return false
	case errors.Is(err, driver.ErrBadConn), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed),
		errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ECONNREFUSED):
		return true
	case errors.As(err, &network):
		return true
	}
	return err != nil && (pgconn.SafeToRetry(err) || strings.Contains(err.Error(), "conn closed"))
}

// broken is nothing here: pgx closes a connection that has come to harm.
func (postgresDialect) broken(error) bool { return false }

func (postgresDialect) code(err error) core.Code {
	switch state := sqlState(err); state {
	case "53100": // disk full
		return core.CodeFull
	case "25006": // read-only transaction: a standby, or default_transaction_read_only
		return core.CodeReadOnly
	case "23505":
		return core.CodeConflict
	case "54000", "54001", "22001", "53200": // program limit exceeded, …, out of memory
		return core.CodeTooLarge
	case "22021", "22P05": // not in the repertoire
		return core.CodeInvalid
	case "57014", "55P03", "53300", "53000", "53400", "40001", "40P01", "25P03", "58030": // timeouts, too many connections, …, I/O error
		return core.CodeUnavailable
	}
	return ""
}

// Hints listens on a connection of its own until ctx ends, and calls f when another replica
// has changed something, or may have while nobody listened. SQLite has no other replica.
func (s *Store) Hints(ctx context.Context, f func()) {
	postgres, ok := s.dialect.(postgresDialect)
	if !ok {
		<-ctx.Done()
		return
	}
	wait := probeEvery
	for ctx.Err() == nil {
		heard, err := s.listen(ctx, postgres.config, f)
		if ctx.Err() != nil {
			return
		}
		s.options.Log.Debug("listening for changes ended", "error", err)
		if heard {
			wait = probeEvery
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
		wait = min(2*wait, 5*time.Second)
	}
}

// listen is one connection. heard tells whether it came to listening.
func (s *Store) listen(ctx context.Context, config *pgx.ConnConfig, f func()) (heard bool, err error) {
	conn, err := pgx.ConnectConfig(ctx, config.Copy())
	if err != nil {
		return false, err
	}
	defer func() {
		closing, end := context.WithTimeout(context.WithoutCancel(ctx), probeWait)
		defer end()
		_ = conn.Close(closing)
	}()
	var schema string
	if err := conn.QueryRow(ctx, "SELECT current_schema()").Scan(&schema); err != nil {
		return false, err
	}
	if _, err := conn.Exec(ctx, "LISTEN "+channel); err != nil {
		return false, err
	}
	f() // something may have changed before
	for {
		note, err := conn.WaitForNotification(ctx)
		if err != nil {
			return true, fmt.Errorf("wait for a notification: %w", err)
		}
		from, replica, _ := strings.Cut(note.Payload, " ")
		if from == schema && replica != s.options.Replica {
			f()
		}
	}
}
