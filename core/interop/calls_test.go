package interop

import (
	"encoding/json"
	"os"
	"regexp"
	"testing"
)

// script is testdata/quickstart.json: what every client does with the quickstart.
type script struct {
	Endpoint    string
	Server      string
	Tools       []toolCall
	Prompts     []promptCall
	Resources   []resourceRead
	Templates   []resourceRead
	Completions []completion
}

// toolCall is one tools/call. "$order" among the arguments stands for the order that
// an earlier call with Save made.
type toolCall struct {
	Name       string
	Arguments  map[string]any
	Content    []string // types of the blocks; nil = any
	Structured bool     // structuredContent, from 2025-06-18 on
	Error      bool     // isError
	Invalid    bool     // the arguments do not fit: before 2025-11-25 a protocol error
	Contains   []string // in the result, as text
	Save       bool
}

type promptCall struct {
	Name      string
	Arguments map[string]string
	Contains  []string
}

type resourceRead struct {
	URI         string
	URITemplate string
	Contains    []string
}

type completion struct {
	Prompt, Template, Argument, Value string
	Values                            []string
}

func readScript(t *testing.T) script {
	t.Helper()
	text, err := os.ReadFile("testdata/quickstart.json")
	if err != nil {
		t.Fatal(err)
	}
	var s script
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

var orderID = regexp.MustCompile(`\bo[0-9]+\b`)

// filled returns the arguments with the saved order in its place.
func (c toolCall) filled(order string) map[string]any {
	args := map[string]any{}
	for name, value := range c.Arguments {
		if value == "$order" {
			value = order
		}
		args[name] = value
	}
	return args
}
