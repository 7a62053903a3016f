package interop

import (
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestTypeScriptSDK1Streamable(t *testing.T) { typeScript(t, "1", "streamable", "legacy", "/mcp") }
func TestTypeScriptSDK1SSE(t *testing.T)        { typeScript(t, "1", "sse", "legacy", "/sse") }
func TestTypeScriptSDK2Legacy(t *testing.T)     { typeScript(t, "2", "streamable", "legacy", "/mcp") }
func TestTypeScriptSDK2Modern(t *testing.T)     { typeScript(t, "2", "streamable", "auto", "/mcp") }

var (
	tapLine = regexp.MustCompile(`^(ok|not ok) \d+ - (.*)$`)
	tapPlan = regexp.MustCompile(`(?m)^1\.\.(\d+)$`)
)

// typeScript lists and calls everything with node/client.mjs; each of its steps is a
// subtest.
func typeScript(t *testing.T, sdk, transport, mode, door string) {
	t.Helper()
	node(t)
	script, err := filepath.Abs("testdata/quickstart.json")
	if err != nil {
		t.Fatal(err)
	}
	url := quickstart.url(t) + readScript(t).Endpoint + door
	stdout, stderr, err := run(t, 5*time.Minute, "client.mjs", sdk, transport, mode, url, script)
	plan := tapPlan.FindStringSubmatch(stdout)
	if err != nil || plan == nil {
		t.Errorf("the client came to no end: %v\n%s\n%s", err, ending(stdout), ending(stderr))
	}
	steps := 0
	lines := strings.Split(stdout, "\n")
	for i, line := range lines {
		m := tapLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		steps++
		t.Run(m[2], func(t *testing.T) {
			if m[1] == "ok" {
				return
			}
			var why []string
			for _, more := range lines[i+1:] {
				text, comment := strings.CutPrefix(more, "# ")
				if !comment {
					break
				}
				why = append(why, text)
			}
			t.Error(strings.Join(why, "\n"))
		})
	}
	if plan != nil && plan[1] != strconv.Itoa(steps) {
		t.Errorf("%d steps were read, the plan is %s", steps, plan[1])
	}
}
