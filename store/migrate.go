package store

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/uptrace/bun"

	"github.com/sallyport/sallyport/core"
)

//go:embed migrations/*.sql
var embedded embed.FS

// migration is one numbered change of the tables, and the way back.
type migration struct {
	number int64
	name   string
	// compatible is the oldest number whose programs go on working on these tables.
	compatible int64
	up, down   string
}

// shipped returns the migrations of this program.
func shipped() []migration {
	list, err := readMigrations(embedded)
	if err != nil {
		panic(err) // a test reads them
	}
	return list
}

var (
	migrationFile  = regexp.MustCompile(`^(\d{4})_([a-z0-9_]+)\.up\.sql$`)
	compatibleFrom = regexp.MustCompile(`(?m)^-- compatible-from: (\d+)$`)
)

// readMigrations reads NNNN_name.up.sql and NNNN_name.down.sql of the folder migrations. A
// line "-- compatible-from: N" in the first says which programs may still use the tables.
func readMigrations(files fs.FS) ([]migration, error) {
	names, err := fs.Glob(files, "migrations/*.up.sql")
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	var list []migration
	for i, name := range names {
		parts := migrationFile.FindStringSubmatch(strings.TrimPrefix(name, "migrations/"))
		if parts == nil {
			return nil, fmt.Errorf("migration %s: its name is not NNNN_name.up.sql", name)
		}
		up, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		down, err := fs.ReadFile(files, strings.TrimSuffix(name, ".up.sql")+".down.sql")
		if err != nil {
			return nil, fmt.Errorf("migration %s has no way back: %w", name, err)
		}
		m := migration{name: parts[2], up: string(up), down: string(down)}
		m.number, _ = strconv.ParseInt(parts[1], 10, 64) // four digits
		if m.number != int64(i+1) {
			return nil, fmt.Errorf("migration %s: number %d is missing", name, i+1)
		}
		from := compatibleFrom.FindSubmatch(up)
		if from == nil {
			return nil, fmt.Errorf("migration %s does not say which programs may still use the tables", name)
		}
		m.compatible, err = strconv.ParseInt(string(from[1]), 10, 64)
		if err != nil || m.compatible < 1 || m.compatible > m.number {
			return nil, fmt.Errorf("migration %s: compatible-from is not between 1 and its number", name)
		}
		list = append(list, m)
	}
	return list, nil
}

// schemaVersion is a migration that was applied.
type schemaVersion struct {
	bun.BaseModel `bun:"table:schema_version"`

	Number         int64 `bun:",pk"`
	Name           string
	CompatibleFrom int64
	Applied        moment
	Replica        string
}

const schemaVersionTable = `CREATE TABLE IF NOT EXISTS schema_version (
  number BIGINT NOT NULL PRIMARY KEY,
  name TEXT NOT NULL,
  compatible_from BIGINT NOT NULL,
  applied BIGINT NOT NULL,
  replica TEXT NOT NULL
)`

// migrate brings the tables up to list. Each migration is one transaction; of several
// processes one migrates and the others find it done.
func (s *Store) migrate(ctx context.Context, list []migration) error {
	for {
		more, err := s.migrateOne(ctx, list)
		if err != nil {
			return s.fault(ctx, "bring the tables of the database up to date", err)
		}
		if !more {
			return nil
		}
	}
}

func (s *Store) migrateOne(ctx context.Context, list []migration) (more bool, err error) {
	known := int64(len(list))
	if at, err := s.schemaNow(ctx, s.writer); err == nil && at.Number >= known {
		return false, usable(at, known)
	}
	err = s.writer.RunInTx(ctx, nil, func(ctx context.Context, t bun.Tx) error {
		if err := s.dialect.lock(ctx, t, lockMigrate); err != nil {
			return err
		}
		if _, err := t.ExecContext(ctx, s.dialect.schema(schemaVersionTable)); err != nil {
			return err
		}
		at, err := s.schemaNow(ctx, t)
		if err != nil {
			return err
		}
		if at.Number >= known {
			return usable(at, known)
		}
		m := list[at.Number]
		if err := s.run(ctx, t, m.up); err != nil {
			return fmt.Errorf("migration %d (%s): %w", m.number, m.name, err)
		}
		row := &schemaVersion{Number: m.number, Name: m.name, CompatibleFrom: m.compatible, Applied: momentOf(s.options.Now()), Replica: s.options.Replica}
		if _, err := t.NewInsert().Model(row).Exec(ctx); err != nil {
			return err
		}
		more = m.number < known
		s.options.Log.Info("tables migrated", "number", m.number, "name", m.name)
		return nil
	})
	return more, err
}

// run runs the statements of a migration, each of which ends with a semicolon at the end of
// a line.
func (s *Store) run(ctx context.Context, t bun.Tx, text string) error {
	for statement := range strings.SplitSeq(s.dialect.schema(text), ";\n") {
		if strings.TrimSpace(statement) == "" {
			continue
		}
		if _, err := t.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// migrateDown goes back to a number, newest first.
func (s *Store) migrateDown(ctx context.Context, list []migration, to int64) error {
	for {
		done := false
		err := s.writer.RunInTx(ctx, nil, func(ctx context.Context, t bun.Tx) error {
			if err := s.dialect.lock(ctx, t, lockMigrate); err != nil {
				return err
			}
			at, err := s.schemaNow(ctx, t)
			if err != nil {
				return err
			}
			if done = at.Number <= to; done {
				return nil
			}
			if at.Number > int64(len(list)) {
				return errors.New("this program does not know the way back")
			}
			m := list[at.Number-1]
			if err := s.run(ctx, t, m.down); err != nil {
				return fmt.Errorf("migration %d (%s) back: %w", m.number, m.name, err)
			}
			_, err = t.NewDelete().Model((*schemaVersion)(nil)).Where("number = ?", m.number).Exec(ctx)
			return err
		})
		if err != nil || done {
			return s.fault(ctx, "take the tables of the database back", err)
		}
	}
}

// schemaNow reads the newest migration that was applied; the zero value = none.
func (s *Store) schemaNow(ctx context.Context, db bun.IDB) (schemaVersion, error) {
	var rows []schemaVersion
	if err := db.NewSelect().Model(&rows).Order("number DESC").Limit(1).Scan(ctx); err != nil {
		return schemaVersion{}, err
	}
	if len(rows) == 0 {
		return schemaVersion{}, nil
	}
	return rows[0], nil
}

// usable tells whether a program that knows migrations up to known may use tables at at.
func usable(at schemaVersion, known int64) error {
	if at.CompatibleFrom <= known {
		return nil
	}
	return &core.Error{
		Code:    core.CodeConflict,
		Message: fmt.Sprintf("the tables of the database are at number %d, which needs a program that knows number %d; this one knows %d", at.Number, at.CompatibleFrom, known),
		Fix:     "a newer program, or a backup from before",
	}
}
