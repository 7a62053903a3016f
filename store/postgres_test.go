package store

import (
	"crypto/rand"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/store/storetest"
)

func postgresAddress(t *testing.T) string {
	return storetest.Postgres(t, os.Getenv, "t"+strings.ToLower(rand.Text()))
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
