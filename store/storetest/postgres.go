package storetest

import (
	"net/url"
	"testing"

	"github.com/jackc/pgx/v5"
)

// Postgres returns the address of the Postgres for tests, in a schema of this test.
// getenv is os.Getenv, and schema a name that no other test has.
func Postgres(t *testing.T, getenv func(string) string, schema string) string {
	t.Helper()
	address := getenv("SALLYPORT_TEST_POSTGRES")
	if address == "" {
		if getenv("CI") == "true" {
			t.Fatal("SALLYPORT_TEST_POSTGRES is not set: run this with .ci/postgres.sh")
		}
		t.Skip("SALLYPORT_TEST_POSTGRES is not set: run this with .ci/postgres.sh")
	}
	at, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
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
