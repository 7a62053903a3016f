package store

import (
	"context"

	"github.com/uptrace/bun"

	"github.com/sallyport/sallyport/core"
)

// read runs f on whatever reads: the transaction that ctx belongs to, or a reader.
func (s *Store) read(ctx context.Context, doing string, f func(ctx context.Context, db bun.IDB) error) error {
	if t, ok := ctx.Value(inside{s}).(*tx); ok {
		return s.fault(ctx, doing, f(ctx, t.db))
	}
	work, done, err := s.circuit.enter(ctx)
	if err != nil {
		return s.away(doing, err)
	}
	defer done()
	err = f(work, s.readers)
	if err != nil && work.Err() == nil && s.dialect.again(err) {
		err = f(work, s.readers) // a connection that had gone stale
	}
	return s.failed(work, doing, err)
}

// snapshot is read in one transaction, which sees one state.
func (s *Store) snapshot(ctx context.Context, doing string, f func(ctx context.Context, db bun.IDB) error) error {
	return s.read(ctx, doing, func(ctx context.Context, db bun.IDB) error {
		if _, ok := db.(bun.Tx); ok {
			return f(ctx, db)
		}
		return s.readers.RunInTx(ctx, s.dialect.snapshot(), func(ctx context.Context, t bun.Tx) error { return f(ctx, t) })
	})
}

// Get fills a row by its key.
func (s *Store) Get(ctx context.Context, row core.Row) error {
	table, err := tableOf(row)
	if err != nil {
		return err
	}
	if err := s.mine(ctx, "read", table.about().title(), row.Key().Tenant); err != nil {
		return err
	}
	return s.read(ctx, "read a "+table.about().title(), func(ctx context.Context, db bun.IDB) error { return table.get(ctx, db, row) })
}

// List reads a page of rows. Which fields Query.Equal takes stands beside each table of
// this package.
func (s *Store) List(ctx context.Context, into any, q core.Query) (next string, err error) {
	table, err := tableOfList(into)
	if err != nil {
		return "", err
	}
	if err := s.mine(ctx, "list", table.about().title(), q.Tenant); err != nil {
		return "", err
	}
	err = s.read(ctx, "list "+table.about().title()+" rows", func(ctx context.Context, db bun.IDB) error {
		var err error
		next, err = table.list(ctx, db, into, q)
		return err
	})
	return next, err
}

// Revision is the number of changes that State shows.
func (s *Store) Revision(ctx context.Context) (revision int64, err error) {
	err = s.read(ctx, "read the revision", func(ctx context.Context, db bun.IDB) error {
		return db.NewRaw("SELECT value FROM revision WHERE id = 1").Scan(ctx, &revision)
	})
	return revision, err
}

// Ping asks the database for nothing. While it is away the answer is no at once.
func (s *Store) Ping(ctx context.Context) error {
	return s.read(ctx, "ask the database", func(ctx context.Context, db bun.IDB) error {
		var one int
		return db.NewRaw("SELECT 1").Scan(ctx, &one)
	})
}

// State reads everything that answering calls takes.
func (s *Store) State(ctx context.Context) (*core.State, error) {
	state := &core.State{}
	err := s.snapshot(ctx, "read the state", func(ctx context.Context, db bun.IDB) error {
		*state = core.State{Loaded: s.options.Now().UTC()}
		if err := db.NewRaw("SELECT value FROM revision WHERE id = 1").Scan(ctx, &state.Revision); err != nil {
			return err
		}
		for _, load := range []func() error{
			func() error { return tenants.all(ctx, db, &state.Tenants, "") },
			func() error { return users.all(ctx, db, &state.Users, "", "password") },
			func() error { return roles.all(ctx, db, &state.Roles, "") },
			func() error { return policies.all(ctx, db, &state.Policies, "") },
			func() error { return groupRoles.all(ctx, db, &state.Groups, "") },
			func() error { return tokens.all(ctx, db, &state.Tokens, "") },
			func() error { return providers.all(ctx, db, &state.Providers, "") },
			func() error { return connectors.all(ctx, db, &state.Connectors, "") },
			func() error { return credentials.all(ctx, db, &state.Credentials, "") },
			func() error { return documents.all(ctx, db, &state.Documents, "NOT gone AND number > 0") },
			func() error { return modules.all(ctx, db, &state.Modules, "", "content") },
			func() error { return pins.all(ctx, db, &state.Pins, "") },
			func() error { return limits.all(ctx, db, &state.Limits, "") },
			func() error { return revocations.all(ctx, db, &state.Revocations, "") },
			func() error { return settings.all(ctx, db, &state.Settings, "") },
		} {
			if err := load(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return state, nil
}

// all reads every row in the order of its key, without some columns.
func (s *shelf[R, M]) all(ctx context.Context, db bun.IDB, into *[]R, where string, without ...string) error {
	var ms []M
	q := db.NewSelect().Model(&ms).ExcludeColumn(without...)
	if where != "" {
		q = q.Where(where)
	}
	for _, f := range s.key(db) {
		q = q.OrderExpr("?", bun.Ident(f.Name))
	}
	if err := q.Scan(ctx); err != nil {
		return err
	}
	rows := make([]R, len(ms))
	for i := range ms {
		rows[i] = s.noun(&ms[i])
	}
	*into = rows
	return nil
}
