package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/sallyport/sallyport/core"
)

// applied reads which migrations are applied.
func applied(t *testing.T, s *Store) []schemaVersion {
	t.Helper()
	var rows []schemaVersion
	if err := s.writer.NewSelect().Model(&rows).Order("number").Scan(t.Context()); err != nil {
		t.Fatal(err)
	}
	return rows
}

// Eight processes that open one database at the same moment migrate it once.
func migrateAtOnce(t *testing.T, address func(t *testing.T) string) {
	const processes, rounds = 8, 20
	var children []*process
	for range processes {
		p := start(t, "migrate")
		defer p.kill()
		children = append(children, p)
	}
	for range rounds {
		at := address(t)
		for _, p := range children {
			p.tell(at)
		}
		migrated := 0
		for _, p := range children {
			for line := range p.lines {
				if strings.HasPrefix(line, "error") {
					t.Fatal(line)
				}
				if strings.Contains(line, "tables migrated") {
					migrated++
				}
				if line == "opened" {
					break
				}
			}
		}
		if migrated != len(shipped()) {
			t.Errorf("%d migrations were applied, want %d", migrated, len(shipped()))
		}
		// The last child has said that it has opened, and may not have left yet.
		var s *Store
		var err error
		for range 1000 {
			if s, err = Open(t.Context(), at, Options{Patience: time.Minute}); core.AsError(err).Code != core.CodeConflict {
				break
			}
			time.Sleep(time.Millisecond)
		}
		if err != nil {
			t.Fatal(err)
		}
		if rows := applied(t, s); len(rows) != len(shipped()) {
			t.Errorf("applied: %+v", rows)
		}
		_ = s.Close()
	}
}

func TestSQLiteMigrateAtOnce(t *testing.T) {
	dir := t.TempDir()
	migrateAtOnce(t, func(t *testing.T) string {
		return "sqlite:" + filepath.Join(dir, fmt.Sprint(rand.Uint64()), "a.db")
	})
}

func TestPostgresMigrateAtOnce(t *testing.T) { migrateAtOnce(t, postgresAddress) }

// A process that is killed in the middle of a migration leaves it done or not begun.
func killMigration(t *testing.T, rounds int, address func(t *testing.T) string) {
	done := 0
	for range rounds {
		at := address(t)
		p := start(t, "extend")
		p.tell(at)
		p.wait(t, "ready")
		time.Sleep(time.Duration(rand.Int64N(int64(60 * time.Millisecond))))
		p.kill()
		s := openAddress(t, at)
		number, tables := int64(len(applied(t, s))), wideCount(t, s)
		switch {
		case number == int64(len(shipped())) && tables == 0:
		case number == int64(len(shipped()))+1 && tables == wideTables:
			done++
		default:
			t.Errorf("number %d with %d of %d tables", number, tables, wideTables)
		}
		if err := s.migrate(t.Context(), append(shipped(), wide(int64(len(shipped()))+1))); err != nil {
			t.Fatal(err)
		}
		if wideCount(t, s) != wideTables {
			t.Error("the migration was not done in the end")
		}
		_ = s.Close()
	}
	t.Logf("%d kills, %d migrations were done by then", rounds, done)
}

func wideCount(t *testing.T, s *Store) (n int) {
	t.Helper()
	question := "SELECT count(*) FROM sqlite_master WHERE name LIKE 'wide!_%' ESCAPE '!' AND type = 'table'"
	if s.Dialect() == "postgres" {
		question = "SELECT count(*) FROM pg_tables WHERE schemaname = current_schema() AND tablename LIKE 'wide!_%' ESCAPE '!'"
	}
	if err := s.writer.NewRaw(question).Scan(t.Context(), &n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestSQLiteKillMigration(t *testing.T) {
	killMigration(t, 20, func(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "a.db") })
}

func TestPostgresKillMigration(t *testing.T) { killMigration(t, 8, postgresAddress) }

// Up, down and up again; and the program of before goes on while the next one is here.
func migrateBothWays(t *testing.T, s *Store, reopen func() (*Store, error)) {
	list := shipped()
	change := func(name string) {
		t.Helper()
		entry := &core.AuditEntry{Tenant: "acme", Action: "role.write", Name: name}
		if err := s.Change(t.Context(), entry, putRole(name)); err != nil {
			t.Fatal(err)
		}
	}
	change("before")
	for range 2 {
		if err := s.migrateDown(t.Context(), list, 0); err != nil {
			t.Fatal(err)
		}
		var n int
		question := "SELECT count(*) FROM sqlite_master WHERE type IN ('table', 'index', 'trigger') AND name NOT LIKE 'sqlite_%' AND tbl_name <> 'schema_version'"
		if s.Dialect() == "postgres" {
			question = "SELECT (SELECT count(*) FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relname NOT LIKE 'schema_version%') + (SELECT count(*) FROM pg_proc WHERE pronamespace = current_schema()::regnamespace)"
		}
		if err := s.writer.NewRaw(question).Scan(t.Context(), &n); err != nil || n != 0 {
			t.Fatalf("%d things are left, %v", n, err)
		}
		if err := s.migrate(t.Context(), list); err != nil {
			t.Fatal(err)
		}
	}
	s.chain.known = false // its entries are gone
	change("after")

	next := wide(int64(len(list)) + 1)
	working := make(chan error, 1)
	stop, end := context.WithCancel(t.Context())
	go func() {
		for i := 0; stop.Err() == nil; i++ {
			name := fmt.Sprint("meanwhile ", i)
			if err := s.Change(t.Context(), &core.AuditEntry{Action: "role.write", Name: name}, putRole(name)); err != nil {
				working <- err
				return
			}
		}
		working <- nil
	}()
	if err := s.migrate(t.Context(), append(list, next)); err != nil {
		t.Fatal(err)
	}
	end()
	if err := <-working; err != nil {
		t.Errorf("the program of before, meanwhile: %v", err)
	}
	change("with newer tables")
	again, err := reopen()
	if err != nil {
		t.Fatalf("the program of before, started again: %v", err)
	}
	defer again.Close()
	s = again
	change("started with newer tables")
	if err := s.migrateDown(t.Context(), append(list, next), int64(len(list))); err != nil {
		t.Fatal(err)
	}
	next.compatible = next.number
	if err := s.migrate(t.Context(), append(list, next)); err != nil {
		t.Fatal(err)
	}
	_ = s.Close()
	_, err = reopen()
	if e := core.AsError(err); err == nil || e.Code != core.CodeConflict || !strings.Contains(e.Message, "needs a program that knows number") {
		t.Errorf("tables that this program must not use: %v", err)
	}
}

func TestSQLiteMigrateBothWays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	s := openFile(t, path)
	migrateBothWays(t, s, func() (*Store, error) {
		_ = s.Close()
		return Open(t.Context(), "sqlite:"+path, Options{})
	})
}

func TestPostgresMigrateBothWays(t *testing.T) {
	at := postgresAddress(t)
	migrateBothWays(t, openAddress(t, at), func() (*Store, error) { return Open(t.Context(), at, Options{Patience: time.Minute}) })
}

func TestReadMigrations(t *testing.T) {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	good := "-- compatible-from: 1\n"
	for what, tt := range map[string]struct {
		files fstest.MapFS
		want  string
	}{
		"good":            {fstest.MapFS{"migrations/0001_a.up.sql": file(good), "migrations/0001_a.down.sql": file("")}, ""},
		"no way back":     {fstest.MapFS{"migrations/0001_a.up.sql": file(good)}, "no way back"},
		"a gap":           {fstest.MapFS{"migrations/0002_a.up.sql": file(good), "migrations/0002_a.down.sql": file("")}, "number 1 is missing"},
		"a name":          {fstest.MapFS{"migrations/1.up.sql": file(good)}, "NNNN_name"},
		"nothing said":    {fstest.MapFS{"migrations/0001_a.up.sql": file(""), "migrations/0001_a.down.sql": file("")}, "which programs"},
		"from the future": {fstest.MapFS{"migrations/0001_a.up.sql": file("-- compatible-from: 2\n"), "migrations/0001_a.down.sql": file("")}, "between 1"},
	} {
		_, err := readMigrations(tt.files)
		if got := fmt.Sprint(err); tt.want == "" && err != nil || !strings.Contains(got, tt.want) {
			t.Errorf("%s: %v, want %q", what, err, tt.want)
		}
	}
}

// Every column of a table stands in its model, and the other way round.
func modelsFit(t *testing.T, s *Store) {
	for _, table := range tables {
		k := table.about()
		columns, err := columnsOf(t.Context(), s, k.table)
		if err != nil {
			t.Fatal(err)
		}
		fields := table.columns(s.writer)
		if fmt.Sprint(columns) != fmt.Sprint(fields) {
			t.Errorf("table %s: columns %v, model %v", k.table, columns, fields)
		}
		for name, column := range k.equal {
			if !strings.Contains(" "+strings.Join(fields, " ")+" ", " "+column+" ") {
				t.Errorf("table %s: Equal takes %s of a column %s that is none", k.table, name, column)
			}
		}
	}
}

func columnsOf(ctx context.Context, s *Store, table string) ([]string, error) {
	//nolint:unqueryvet // which columns there are is the question
	rows, err := s.writer.QueryContext(ctx, `SELECT * FROM "`+table+`" WHERE 1 = 0`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	return columns, errors.Join(err, rows.Err())
}

func TestSQLiteModels(t *testing.T) { modelsFit(t, openFile(t, filepath.Join(t.TempDir(), "a.db"))) }

func TestPostgresModels(t *testing.T) { modelsFit(t, openAddress(t, postgresAddress(t))) }
