package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/uptrace/bun"

	"github.com/sallyport/sallyport/core"
)

// Options change how a store is kept. The zero value works.
type Options struct {
	// Replica is the name of this process in the audit trail. "" = random, as it must be
	// for every start: two processes of one name would fork the trail, which the database
	// refuses.
	Replica string
	// AuditKey is the key of the hashes of the audit trail. Without one they only find
	// mistakes, not forgery.
	AuditKey []byte
	Now      func() time.Time // nil = time.Now
	Rand     io.Reader        // nil = crypto/rand.Reader
	Log      *slog.Logger     // nil = silence
	// Readers is how many reads of SQLite, or connections to Postgres, may run at once;
	// 0 = 4 and 16.
	Readers int
	// Patience is how long an operation may take on Postgres before somebody looks whether
	// the database still answers, to that look or to anybody; 0 = 80 ms. When it does not
	// for 100 ms, everything fails with core.CodeUnavailable until it does.
	Patience time.Duration
}

// Store is a core.Store on one database.
type Store struct {
	options  Options
	dialect  dialect
	writer   *bun.DB
	readers  *bun.DB
	gate     chan struct{} // holds one token: whoever has it may run a Change
	chain    chain
	circuit  *circuit
	probe    *sql.DB // asks whether Postgres answers; nil = part of this process
	identify *identifier

	hold  io.Closer // what keeps other processes out; nil = nothing
	close sync.Once
	err   error // of close
}

// Open opens the database that dsn names, and brings its tables to what this program
// needs: sqlite:PATH, postgres://… (every setting of libpq that pgx knows), or memory: for
// one that ends with the process. A database of a newer program is used as long as that
// allows it; otherwise it is core.CodeConflict. A SQLite database that another process has
// is core.CodeConflict too.
func Open(ctx context.Context, dsn string, o Options) (*Store, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Patience <= 0 {
		o.Patience = 80 * time.Millisecond
	}
	if o.Replica == "" {
		id := make([]byte, 12)
		if _, err := io.ReadFull(o.Rand, id); err != nil {
			return nil, fmt.Errorf("name this replica: %w", err)
		}
		o.Replica = hex.EncodeToString(id)
	}
	s := &Store{options: o, gate: make(chan struct{}, 1), identify: &identifier{now: o.Now, rand: o.Rand}}
	s.circuit = newCircuit(o.Patience, nil, o.Log)
	var err error
	switch scheme, rest, _ := strings.Cut(dsn, ":"); scheme {
	case "sqlite":
		err = s.openSQLite(rest)
	case "memory":
		err = s.openMemory()
	case "postgres", "postgresql":
		err = s.openPostgres(dsn)
	default:
		err = &core.Error{Code: core.CodeInvalid, Message: "the address of the store begins with neither sqlite:, postgres:// nor memory:", Fix: "sqlite:PATH, postgres://USER@HOST/DATABASE, or memory:"}
	}
	if err != nil {
		return nil, err
	}
	if err = s.begin(ctx); err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

// begin connects, and brings the tables up to date. The connection of whoever asks later
// whether the database answers is made meanwhile.
func (s *Store) begin(ctx context.Context) error {
	if s.circuit.ping == nil {
		return s.migrate(ctx, shipped())
	}
	work, stop := context.WithCancel(ctx)
	defer stop()
	asked := make(chan error, 1)
	go func() {
		err := s.circuit.ask(ctx)
		if err != nil {
			stop() // nobody waits twice for a database that is away
		}
		asked <- err
	}()
	err := s.migrate(work, shipped())
	if away := <-asked; away != nil {
		return s.fault(ctx, "open the store", away)
	}
	return err
}

// Replica returns the name of this process in the audit trail.
func (s *Store) Replica() string { return s.options.Replica }

// Dialect returns what the database is: sqlite or postgres.
func (s *Store) Dialect() string { return s.dialect.name() }

// Close ends all connections. What has not been answered by then fails.
func (s *Store) Close() error {
	s.close.Do(func() {
		s.circuit.stop()
		if s.readers != s.writer {
			s.err = s.readers.Close()
		}
		if err := s.writer.Close(); err != nil {
			s.err = err
		}
		if s.probe != nil {
			_ = s.probe.Close()
		}
		if s.hold != nil {
			_ = s.hold.Close()
		}
	})
	return s.err
}

var _ core.Store = (*Store)(nil)
