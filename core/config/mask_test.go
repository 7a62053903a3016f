package config

import (
	"strings"
	"testing"

	"github.com/sallyport/sallyport/core"
)

// What must not be shown is not, and everything else stands as it was written.
func TestMask(t *testing.T) {
	const head = "connections:\n  - name: up # é\n    baseUrl: https://up.example\n"
	for _, tt := range []struct{ name, file, text, want string }{
		{"nothing hidden", "a.yaml", head, head},
		{"a reference", "a.yaml", head + "    credential: {type: bearer, token: \"${secret:up}\"}\n", head + "    credential: {type: bearer, token: \"${secret:up}\"}\n"},
		{"plain, in a flow", "a.yaml", head + "    credential: {type: bearer, token: hunter2} # why\n", head + "    credential: {type: bearer, token: \"***\"} # why\n"},
		{"in quotes", "a.yaml", head + "    credential: {type: basic, username: u, password: \"hun\\\"ter2\"}\n", head + "    credential: {type: basic, username: u, password: \"***\"}\n"},
		{"in single quotes", "a.yaml", head + "    credential: {type: bearer, token: 'hun''ter2'}\n", head + "    credential: {type: bearer, token: \"***\"}\n"},
		{"a number", "a.yaml", head + "    credential: {type: bearer, token: 123456}\n", head + "    credential: {type: bearer, token: \"***\"}\n"},
		{"in a block", "a.yaml", head + "    headers:\n      X-Key: hunter2\n      X-Ü: a hunter2\n", head + "    headers:\n      X-Key: \"***\"\n      X-Ü: \"***\"\n"},
		{"twice in one line", "a.yaml", head + "    headers: {a: hunter2, b: 'hunter2'}\n", head + "    headers: {a: \"***\", b: \"***\"}\n"},
		{"JSON", "a.json", `{"connections":[{"name":"up","credential":{"type":"bearer","token":"hunter2"}}]}`, `{"connections":[{"name":"up","credential":{"type":"bearer","token":"***"}}]}`},
		{"an upstream", "a.yaml", "upstreams:\n  - name: up\n    command: [/bin/x]\n    env: {A: plain}\n    secrets: {KEY: hunter2}\n", "upstreams:\n  - name: up\n    command: [/bin/x]\n    env: {A: plain}\n    secrets: {KEY: \"***\"}\n"},
		{"headers of an upstream", "a.yaml", "upstreams:\n  - {name: up, url: \"https://up.example\", headers: {X-Key: hunter2}, credential: {type: bearer, token: hunter2}}\n", "upstreams:\n  - {name: up, url: \"https://up.example\", headers: {X-Key: \"***\"}, credential: {type: bearer, token: \"***\"}}\n"},
		{"not YAML", "a.yaml", "a: [", "a: ["},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := string(Mask(tt.file, []byte(tt.text), Options{})); got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
	// Where it stands in a way that is hard to cut out, the document is written anew.
	for name, text := range map[string]string{
		"several lines":  head + "    credential:\n      type: bearer\n      token: |\n        hunter2\n        hunter2\n",
		"folded":         head + "    credential:\n      type: bearer\n      token: hunter2\n        hunter2\n",
		"quoted, folded": head + "    credential:\n      type: bearer\n      token: \"hunter2\n        hunter2\"\n",
		"an anchor":      head + "    credential:\n      type: bearer\n      token: &a hunter2\n    headers: {x: *a}\n",
		"a tag":          head + "    credential:\n      type: bearer\n      token: !!str hunter2\n",
		"an alias":       "x-a: &a hunter2\n" + head + "    credential: {type: bearer, token: *a}\n",
	} {
		t.Run(name, func(t *testing.T) {
			got := string(Mask("a.yaml", []byte(text), Options{}))
			if strings.Contains(got, "hunter2") && name != "an alias" || !strings.Contains(got, `***`) || !strings.Contains(got, "https://up.example") {
				t.Errorf("got\n%s", got)
			}
			if _, hidden, problems := Tree("a.yaml", []byte(got), Options{}); len(hidden) == 0 || name != "an alias" && strings.Contains(strings.Join(hidden, ""), "hunter2") {
				t.Errorf("hidden %v, problems %v", hidden, problems)
			}
		})
	}
}

// A document that the store keeps holds no secret that the API would show.
func TestStoredDocumentsHoldNoSecrets(t *testing.T) {
	const head = "connections:\n  - name: up\n    baseUrl: https://up.example\n"
	for _, tt := range []struct {
		name, text string
		stored     bool
		wrong      string
	}{
		{"from a file", head + "    credential: {type: bearer, token: hunter2}\n", false, ""},
		{"from the store", head + "    credential: {type: bearer, token: hunter2}\n", true, "a secret stands in the text"},
		{"named", head + "    credential: {type: bearer, token: \"${secret:up}\"}\n", true, ""},
		{"of an upstream", "upstreams:\n  - name: up\n    command: [/bin/x]\n    secrets: {KEY: hunter2}\n", true, "a secret stands in the text"},
		{"of an upstream, named", "upstreams:\n  - name: up\n    command: [/bin/x]\n    secrets: {KEY: \"${secret:up}\"}\n", true, ""},
		{"credential of an upstream", "upstreams:\n  - name: up\n    url: https://up.example\n    credential: {type: bearer, token: hunter2}\n", true, "a secret stands in the text"},
		{"a header", head + "    headers: {Accept-Language: en}\n", true, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := Options{Stored: tt.stored, Secret: func(string) (core.Secret, error) { return "value", nil }}
			_, problems := ReadText("a.yaml", []byte(tt.text), o)
			if tt.wrong == "" {
				if len(problems) > 0 {
					t.Errorf("problems %v", problems)
				}
				return
			}
			if len(problems) != 1 || !strings.Contains(problems[0].Message, tt.wrong) || problems[0].Warning || problems[0].Line != 4 || problems[0].Fix == "" {
				t.Errorf("problems %+v", problems)
			}
		})
	}
}
