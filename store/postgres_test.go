package store

import (
	"crypto/rand"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/store/storetest"
)

// postgresAddress returns the address of the Postgres for tests, in a schema of this test.
func postgresAddress(t *testing.T) string {
	t.Helper()
	address := os.Getenv("SALLYPORT_TEST_POSTGRES")
	if address == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("SALLYPORT_TEST_POSTGRES is not set: run this with .ci/postgres.sh")
		}
		t.Skip("SALLYPORT_TEST_POSTGRES is not set: run this with .ci/postgres.sh")
	}
	at, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	schema := "t" + strings.ToLower(rand.Text())
	run := func(statement string) {
		conn, err := pgx.Connect(t.Context(), address)
		if err == nil {
			_, err = conn.Exec(t.Context(), statement)
			_ = conn.Close(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	run("CREATE SCHEMA " + schema)
	query := at.Query()
	query.Set("search_path", schema)
	at.RawQuery = query.Encode()
	return at.String()
}

func openAddress(t *testing.T, address string) *Store {
	t.Helper()
	s, err := Open(t.Context(), address, Options{AuditKey: storetest.Key, Patience: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func openPostgres(t *testing.T) core.Store { return openAddress(t, postgresAddress(t)) }

func TestPostgres(t *testing.T) { storetest.Run(t, openPostgres) }

func TestPostgresCopies(t *testing.T) {
	t.Run("postgres to sqlite", func(t *testing.T) { storetest.Copy(t, openPostgres, openSQLite) })
	t.Run("sqlite to postgres", func(t *testing.T) { storetest.Copy(t, openSQLite, openPostgres) })
}
