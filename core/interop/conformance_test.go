package interop

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	conformance01 = "node_modules/conformance-0.1/dist/index.js"
	conformance02 = "node_modules/@modelcontextprotocol/conformance/dist/index.js"
)

// judgement is one run of an official suite. Each scored scenario is a subtest, so that
// the counts of the test are the suite's own. A scenario in unscored must pass all the
// same, and so must every other unless the baseline names it.
type judgement struct {
	program  string
	args     []string
	scored   int
	unscored []string
	baseline bool   // testdata/expected-failures.yml
	url      string // of the server; "" = the fixture
}

// The suites, with how many scenarios each scores.
var (
	modernSuite = judgement{
		program: conformance02, args: []string{"--requirements", "2026-07-28"}, scored: 37,
		unscored: []string{"json-schema-2020-12", "http-header-validation", "http-custom-header-server-validation", "tasks-status-notifications"},
		baseline: true,
	}
	legacySuite = judgement{
		program: conformance02, args: []string{"--requirements", "2025-11-25"}, scored: 30,
		unscored: []string{"server-session-lifecycle", "json-schema-2020-12", "server-sse-polling"},
	}
	suite20250618 = judgement{program: conformance02, args: []string{"--suite", "all", "--spec-version", "2025-06-18"}, scored: 27}
	suite20250326 = judgement{program: conformance02, args: []string{"--suite", "all", "--spec-version", "2025-03-26"}, scored: 1}
	suite01       = judgement{program: conformance01, args: []string{"--suite", "all"}, scored: 32}
)

func TestConformance20260728(t *testing.T) { judge(t, modernSuite) }
func TestConformance20251125(t *testing.T) { judge(t, legacySuite) }
func TestConformance20250618(t *testing.T) { judge(t, suite20250618) }
func TestConformance20250326(t *testing.T) { judge(t, suite20250326) }
func TestConformance01(t *testing.T)       { judge(t, suite01) }

var (
	scenarioLine = regexp.MustCompile(`(?m)^(✓|✗) (\S+): (\d+) passed, (\d+) failed`)
	baselineLine = regexp.MustCompile(`(?m)^  - (\S+)$`)
)

// judge runs a suite and turns each of its scenarios into a subtest.
func judge(t *testing.T, j judgement) {
	t.Helper()
	node(t)
	url := j.url
	if url == "" {
		url = os.Getenv("SALLYPORT_CONFORMANCE_URL")
	}
	if url == "" {
		url = conformanceServer.url(t) + "/mcp"
	}
	var expected []string
	results := t.TempDir()
	args := append([]string{j.program, "server", "--url", url, "-o", results}, j.args...)
	if j.baseline {
		path, err := filepath.Abs("testdata/expected-failures.yml")
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range baselineLine.FindAllStringSubmatch(string(text), -1) {
			expected = append(expected, m[1])
		}
		args = append(args, "--expected-failures", path)
	}
	stdout, stderr, err := run(t, 10*time.Minute, args...)
	_, summary, found := strings.Cut(stdout, "=== SUMMARY ===")
	if !found {
		t.Fatalf("the suite came to no summary: %v\n%s\n%s", err, ending(stdout), ending(stderr))
	}
	scored := 0
	for _, m := range scenarioLine.FindAllStringSubmatch(summary, -1) {
		passed, name := m[1] == "✓", m[2]
		if slices.Contains(expected, name) {
			if passed {
				t.Errorf("%s passes: take it off testdata/expected-failures.yml", name)
			}
			continue
		}
		if slices.Contains(j.unscored, name) {
			if !passed {
				t.Errorf("%s: %s checks failed:\n%s", name, m[4], complaints(t, results, name))
			}
			continue
		}
		scored++
		t.Run(name, func(t *testing.T) {
			if !passed {
				t.Errorf("%s checks failed:\n%s", m[4], complaints(t, results, name))
			}
		})
	}
	if scored != j.scored {
		t.Errorf("the suite ran %d scored scenarios, not %d", scored, j.scored)
	}
	if err != nil && !t.Failed() {
		for _, m := range scenarioLine.FindAllStringSubmatch(summary, -1) {
			if why := complaints(t, results, m[2]); why != "" && !slices.Contains(expected, m[2]) {
				t.Errorf("%s:\n%s", m[2], why) // warnings, which count in a run with a baseline
			}
		}
		t.Errorf("the suite says no: %v\n%s", err, ending(stderr))
	}
}

// complaints reads what the suite wrote of the failed checks of a scenario.
func complaints(t *testing.T, folder, scenario string) string {
	t.Helper()
	// Folders are called server-{scenario}-{time}; one scenario's name may begin
	// another's.
	stamp := regexp.MustCompile(`^server-` + regexp.QuoteMeta(scenario) + `-\d{4}-\d{2}-\d{2}T`)
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err.Error()
	}
	var lines []string
	for _, entry := range entries {
		if !stamp.MatchString(entry.Name()) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(folder, entry.Name(), "checks.json"))
		if err != nil {
			return err.Error()
		}
		var checks []struct {
			ID, Description, Status, ErrorMessage string
			Details                               json.RawMessage
		}
		if err := json.Unmarshal(text, &checks); err != nil {
			return err.Error()
		}
		for _, c := range checks {
			if c.Status == "FAILURE" || c.Status == "WARNING" {
				lines = append(lines, fmt.Sprintf("%s %s: %s\n  %s\n  %s", c.Status, c.ID, c.Description, c.ErrorMessage, ending(string(c.Details))))
			}
		}
	}
	return strings.Join(lines, "\n")
}

// ending keeps the last part of a long text.
func ending(s string) string {
	const most = 4000
	if len(s) > most {
		return "… " + s[len(s)-most:]
	}
	return s
}
