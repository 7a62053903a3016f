package app

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/sallyport/sallyport/core/config"
)

var update = flag.Bool("update", false, "write docs/kinds.md")

// TestPages keeps docs/kinds.md what the kinds say of themselves.
func TestPages(t *testing.T) {
	want := config.KindsPage(reading(kinds(), nil), "app", "TestPages")
	file := filepath.Join("..", "..", "docs", "kinds.md")
	if *update {
		if err := os.WriteFile(file, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("docs/kinds.md is not what the kinds say (%v): go test ./core/app -run TestPages -update", err)
	}
}
