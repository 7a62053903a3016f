package interop

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestNewcomer does what a newcomer does: starts the quickstart and types what it
// prints.
func TestNewcomer(t *testing.T) {
	quickstart.url(t)
	t.Run("start", func(t *testing.T) {
		limit := time.Second
		if underRace() {
			limit = 10 * time.Second // the detector's own start-up
		}
		if quickstart.took > limit {
			t.Errorf("the first answer came after %v, want %v", quickstart.took, limit)
		}
		t.Logf("the first answer came after %v", quickstart.took)
	})
	t.Run("curl", func(t *testing.T) {
		if _, err := exec.LookPath("curl"); err != nil {
			t.Skip("left out: there is no curl")
		}
		command := printed(t, regexp.MustCompile(`(?m)^ *(curl (?:.*\\\n)*.*)$`))
		out, err := exec.CommandContext(t.Context(), "sh", "-c", command).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", command, err, out)
		}
		for _, part := range []string{`"jsonrpc":"2.0"`, "Bread at Sea", `"structuredContent"`} {
			if !strings.Contains(string(out), part) {
				t.Errorf("the answer lacks %s:\n%s", part, out)
			}
		}
	})
	t.Run("configuration of clients", func(t *testing.T) {
		url := "http://" + quickstart.address + readScript(t).Endpoint + "/mcp"
		for _, client := range []string{"claude mcp add --transport http bookshop " + url, `{"servers":{"bookshop":{"type":"http","url":"` + url + `"}}}`, `{"mcpServers":{"bookshop":{"url":"` + url + `"}}}`} {
			printed(t, regexp.MustCompile(`(?m)^ *(`+regexp.QuoteMeta(client)+`)$`))
		}
	})
}

// printed waits until the quickstart has said something and returns it.
func printed(t *testing.T, what *regexp.Regexp) string {
	t.Helper()
	for range 100 {
		if m := what.FindStringSubmatch(quickstart.output.String()); m != nil {
			return m[1]
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("the quickstart did not print %s:\n%s", what, quickstart.output.String())
	return ""
}
