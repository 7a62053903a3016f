package config

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/core"
)

func foreignOptions() ForeignOptions {
	return ForeignOptions{Home: "/home/me", Look: func(name string) string {
		if name == "npx" || name == "docker" {
			return "/usr/bin/" + name
		}
		return ""
	}}
}

// What other programs say of MCP servers becomes upstreams, without their secrets.
func TestForeign(t *testing.T) {
	const secret = "ghp_only-an-example-of-a-secret"
	for name, c := range map[string]struct {
		text string
		want []string // lines of the document
		says []string // of notes
		set  string   // variables
		runs string   // commands
	}{
		"claude": {
			text: `{"mcpServers":{"Files":{"command":"npx","args":["-y","@x/files","/srv/a b"],"autoApprove":[]},"plain":{"command":"/bin/tool","env":{"GITHUB_TOKEN":"` + secret + `","LANG":"C","DEBUG":true}}},"theme":"dark"}`,
			want: []string{"- name: files", "- /usr/bin/npx", `- "@x/files"`, `- "/srv/a b"`, "HOME: /home/me", `PATH: "/usr/bin:/usr/local/bin:/bin"`, "- name: plain", `GITHUB_TOKEN: "${env:GITHUB_TOKEN}"`, "LANG: C", `DEBUG: "true"`},
			says: []string{`"theme" is left out`, `"Files" is named files`, `Files: "autoApprove" has no counterpart`},
			set:  "GITHUB_TOKEN", runs: "/usr/bin/npx -y @x/files; /bin/tool",
		},
		"http": {
			text: `{"mcpServers":{"a":{"type":"http","url":"https://a.example/mcp","headers":{"Authorization":"Bearer ` + secret + `","X-Org":"me"}},"b":{"url":"https://b.example/sse?key=` + secret + `&page=1","type":"sse","disabled":true},"c":{"serverUrl":"https://c.example/","headers":{"X-API-Key":"${KEY}","X-Second-Token":"` + secret + `"}}}}`,
			want: []string{`url: "https://a.example/mcp"`, "type: bearer", `token: "${env:A_TOKEN}"`, "X-Org: me", "transport: sse", `url: "https://b.example/sse?page=1"`, "type: query", "name: key", `value: "${env:B_KEY}"`, "disabled: true", "name: X-API-Key", `value: "${env:KEY}"`, `X-Second-Token: "${env:X_SECOND_TOKEN}"`},
			set:  "A_TOKEN B_KEY KEY X_SECOND_TOKEN",
		},
		"placeholders": {
			text: "\ufeff" + `{"servers":{"s":{"type":"stdio","command":"docker","args":["${input:the-path}","${A:-b c}","${env:HOME}","${workspaceFolder}/x"],"env":{"T":"${input:api key}"}}},"inputs":[]}`,
			want: []string{`- "${env:THE_PATH}"`, `- "${env:A:-b c}"`, `- "${env:HOME}"`, `- "$${workspaceFolder}/x"`, `T: "${env:API_KEY}"`},
			says: []string{`"${workspaceFolder}" is known to the other program alone`, "its first argument is not fixed"}, set: "API_KEY HOME THE_PATH",
		},
		"comments": {
			text: "{ // one\n\"mcpServers\": { /* two, */ \"a\": {\"url\": \"https://a.example//x/*y*/\",},\n},}",
			want: []string{`url: "https://a.example//x/*y*/"`},
		},
		"two of a name": {
			text: `{"mcpServers":{"A b":{"url":"https://a.example","headers":{"Authorization":"Bearer one"}},"a-b":{"url":"https://b.example","headers":{"Authorization":"Bearer two"}},"1":{"url":"https://c.example"}}}`,
			want: []string{"- name: a-b", "- name: a-b-2", `token: "${env:A_B_TOKEN}"`, `token: "${env:A_B_2_TOKEN}"`, `- upstream: "1"`, "prefix: s1"}, set: "A_B_2_TOKEN A_B_TOKEN",
		},
		"secret argument": {
			text: `{"mcpServers":{"a":{"command":"nowhere","args":["--key","` + secret + `"]}}}`,
			want: []string{"- /usr/local/bin/nowhere", `- "${env:A_KEY}"`}, says: []string{"argument 2 looks like it holds a secret", `"nowhere" was not found`}, set: "A_KEY",
		},
		"registry package": {
			text: `{"name":"io.github.acme/weather","packages":[{"registryType":"mcpb","identifier":"x"},{"registryType":"npm","identifier":"@acme/weather","version":"1.2.0","packageArguments":[{"type":"positional","value":"serve"},{"type":"named","name":"--units","default":"metric"},{"type":"positional","valueHint":"city","isRequired":true},{"type":"named","name":"--not"}],"environmentVariables":[{"name":"WEATHER_KEY","isRequired":true,"isSecret":true},{"name":"REGION","default":"eu"},{"name":"OPTIONAL"}]}]}`,
			want: []string{"- name: weather", "- /usr/bin/npx", `- "-y"`, `- "@acme/weather@1.2.0"`, "- serve", `- "--units"`, "- metric", `- "${env:CITY}"`, `WEATHER_KEY: "${env:WEATHER_KEY}"`, "REGION: eu"},
			says: []string{`a package of type "mcpb" cannot be started here`}, set: "CITY WEATHER_KEY", runs: "/usr/bin/npx -y @acme/weather@1.2.0 serve --units metric",
		},
		"registry image": {
			text: `{"server":{"name":"io.x/img","packages":[{"registryType":"oci","identifier":"ghcr.io/x/img","version":"2","environmentVariables":[{"name":"TOKEN","isSecret":true}]}]}}`,
			want: []string{"- /usr/bin/docker", "- run", `- "-i"`, `- "-e"`, "- TOKEN", `- "ghcr.io/x/img:2"`}, set: "TOKEN", runs: "/usr/bin/docker run -i --rm -e TOKEN ghcr.io/x/img:2",
		},
		"registry remote": {
			text: `{"name":"x/y","remotes":[{"type":"ws","url":"ws://x"},{"type":"sse","url":"https://y.example/{tenant}/sse","headers":[{"name":"X-Key","value":"{k}","isSecret":true}]}]}`,
			want: []string{"transport: sse", `url: "https://y.example/${env:TENANT}/sse"`, "name: X-Key", `value: "${env:K}"`}, says: []string{`type "ws" is not known`}, set: "K TENANT",
		},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := ReadForeign([]byte(c.text), foreignOptions())
			if err != nil {
				t.Fatal(err)
			}
			text, notes := string(f.Write("all")), strings.Join(f.Notes, "\n")
			for _, line := range c.want {
				if !strings.Contains(text, line+"\n") {
					t.Errorf("no line %s in\n%s", line, text)
				}
			}
			for _, note := range c.says {
				if !strings.Contains(notes, note) {
					t.Errorf("no note %s in\n%s", note, notes)
				}
			}
			if got := strings.Join(f.Variables, " "); got != c.set {
				t.Errorf("variables %q, want %q", got, c.set)
			}
			var commands []string
			for _, one := range f.Commands {
				commands = append(commands, strings.Join(one, " "))
			}
			if got := strings.Join(commands, "; "); got != c.runs {
				t.Errorf("commands %q, want %q", got, c.runs)
			}
			if strings.Contains(text+notes, secret) {
				t.Errorf("a secret was copied:\n%s%s", text, notes)
			}
			readBack(t, text, len(f.Upstreams))
		})
	}
}

// readBack reads a document that was written.
func readBack(t *testing.T, text string, upstreams int) {
	t.Helper()
	cfg, problems := ReadText("import.yaml", []byte(text), Options{Env: func(string) (string, bool) { return "x", true }})
	for _, p := range problems {
		t.Errorf("%+v\n%s", p, text)
	}
	if len(cfg.Upstreams) != upstreams {
		t.Errorf("%d upstreams of %d in\n%s", len(cfg.Upstreams), upstreams, text)
	}
}

// A secret is copied from no place where one may stand.
func TestForeignCopiesNoSecret(t *testing.T) {
	const canary = "c4nary"
	for name, text := range map[string]string{
		"flag and value":     `{"mcpServers":{"a":{"command":"npx","args":["--api-key","c4nary"]}}}`,
		"flag with value":    `{"mcpServers":{"a":{"command":"npx","args":["--access-token=c4nary"]}}}`,
		"variable of docker": `{"mcpServers":{"a":{"command":"docker","args":["-e","DB_PASSWORD=c4nary"]}}}`,
		"header argument":    `{"mcpServers":{"a":{"command":"npx","args":["mcp-remote","https://x.example","--header","Authorization: Bearer c4nary"]}}}`,
		"URL argument":       `{"mcpServers":{"a":{"command":"npx","args":["postgres://me:c4nary@db/x"]}}}`,
		"random argument":    `{"mcpServers":{"a":{"command":"npx","args":["c4nary0123456789abcdef0123456789abcdef"]}}}`,
		"variable":           `{"mcpServers":{"a":{"command":"npx","env":{"API_KEY":"c4nary"}}}}`,
		"variable in a word": `{"mcpServers":{"a":{"command":"npx","env":{"ACCESSTOKEN":"c4nary"}}}}`,
		"URL in a variable":  `{"mcpServers":{"a":{"command":"npx","env":{"DATABASE_URL":"postgres://me:c4nary@db/x"}}}}`,
		"preset":             `{"mcpServers":{"a":{"command":"npx","env":{"X":"${API_KEY:-c4nary}"}}}}`,
		"preset of argument": `{"mcpServers":{"a":{"command":"npx","args":["${TOKEN:-c4nary}"]}}}`,
		"bearer":             `{"mcpServers":{"a":{"url":"https://x.example","headers":{"Authorization":"Bearer c4nary"}}}}`,
		"basic":              `{"mcpServers":{"a":{"url":"https://x.example","headers":{"authorization":"Basic c4nary"}}}}`,
		"two headers":        `{"mcpServers":{"a":{"url":"https://x.example","headers":{"X-Api-Key":"c4nary","X-Auth":"c4nary"}}}}`,
		"parameters":         `{"mcpServers":{"a":{"url":"https://x.example/?token=c4nary&api_key=c4nary&x=1"}}}`,
		"beside reference":   `{"mcpServers":{"a":{"url":"https://${HOST}/?token=c4nary"}}}`,
		"user of a URL":      `{"mcpServers":{"a":{"url":"https://me:c4nary@x.example/mcp"}}}`,
		"registry variable":  `{"name":"x/a","packages":[{"registryType":"npm","identifier":"a","environmentVariables":[{"name":"LICENCE","value":"c4nary","isSecret":true}]}]}`,
		"registry header":    `{"name":"x/a","remotes":[{"type":"sse","url":"https://x.example","headers":[{"name":"X-Seat","value":"c4nary","isSecret":true}]}]}`,
		"registry default":   `{"name":"x/a","packages":[{"registryType":"npm","identifier":"a","environmentVariables":[{"name":"LICENCE","default":"c4nary","isSecret":true}]}]}`,
	} {
		f, err := ReadForeign([]byte(text), foreignOptions())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		out := string(f.Write("all"))
		for _, told := range []string{out, strings.Join(f.Notes, "\n"), fmt.Sprint(f.Commands), strings.Join(f.Variables, " ")} {
			if strings.Contains(told, canary) {
				t.Errorf("%s: it is in\n%s", name, told)
			}
		}
		if len(f.Variables) == 0 {
			t.Errorf("%s: no variable stands for it in\n%s", name, out)
		}
		readBack(t, out, 1)
	}
}

// What is left out or changes its meaning is said.
func TestForeignNotes(t *testing.T) {
	for text, says := range map[string]string{
		`{"mcpServers":{"a":{"url":"https://x.example","env":{"A":"b"}}}}`:                                                                  "have no meaning beside a URL",
		`{"mcpServers":{"a":{"command":"npx","headers":{"A":"b"}}}}`:                                                                        "headers have no meaning for a program",
		`{"servers":{"a":{"command":"npx"}},"inputs":[{"id":"x","default":"y"}]}`:                                                           `the default of the input "x" is left out`,
		`{"mcpServers":{"api":{"url":"https://x.example"}}}`:                                                                                `"api" is named api-server here`,
		`{"name":"x/a","packages":[{"registryType":"npm","identifier":"a","registryBaseUrl":"https://packages.example","fileSha256":"0"}]}`: "its package is that of https://packages.example",
		`{"name":"x/a","packages":[{"registryType":"npm","identifier":"a","environmentVariables":[{"name":"MAY"}]}]}`:                       `the variable "MAY" may be left out`,
		`{"mcpServers":{"a":{"command":"/opt/my tool"}}}`:                                                                                   "a path that the settings cannot name",
	} {
		f, err := ReadForeign([]byte(text), foreignOptions())
		if err != nil || !strings.Contains(strings.Join(f.Notes, "\n"), says) {
			t.Errorf("%s: %v, notes %q", text, err, f.Notes)
		}
	}
	f, err := ReadForeign([]byte(`{"servers":{"a":{"command":"npx","env":{"SEAT":"${input:seat}"}}},"inputs":[{"id":"seat","password":true}]}`), foreignOptions())
	if err != nil || f.Upstreams[0].Secrets["SEAT"].Reveal() != "${env:SEAT}" {
		t.Errorf("an input with a password is no secret: %+v %v", f, err)
	}
	f, err = ReadForeign([]byte(`{"name":"x/a","packages":[{"registryType":"npm","identifier":"a","packageArguments":[{"type":"named","name":"--city","isRequired":true}]}]}`), foreignOptions())
	if err != nil || !strings.Contains(string(f.Write("")), `- "${env:CITY}"`) {
		t.Errorf("a required argument has no value: %v\n%s", err, f.Write(""))
	}
}

func TestForeignMistakes(t *testing.T) {
	for text, says := range map[string]string{
		`{"mcpServers":{"a":{"type":"ws","url":"https://x"}}}`: "there is no transport",
		`nothing`:                 "no JSON object",
		`{"mcpServers":1}`:        "the servers are no object",
		`{}`:                      "there are no MCP servers in it",
		`{"mcp":{"inputs":[]}}`:   "there are no MCP servers in it",
		`{"mcpServers":{"a":1}}`:  `server "a": it is no object`,
		`{"mcpServers":{"a":{}}}`: "neither a command nor a URL",
		`{"mcpServers":{"a":{"command":"x","url":"y"}}}`:         "a command and a URL",
		`{"mcpServers":{"a":{"command":1}}}`:                     "command is no text",
		`{"mcpServers":{"a":{"command":"x","args":"y"}}}`:        "args is no list of texts",
		`{"mcpServers":{"a":{"command":"x","env":{"A":["b"]}}}}`: "env is no object of texts",
		`{"packages":[]}`: "has no name",
		`{"name":"x","packages":[{"registryType":"crate"}]}`: "neither a remote nor a package that can be started here",
	} {
		_, err := ReadForeign([]byte(text), foreignOptions())
		if err == nil || !strings.Contains(core.AsError(err).Message, says) || core.AsError(err).Fix == "" {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// FuzzForeign: whatever is read is written so that it can be read again.
func FuzzForeign(f *testing.F) {
	f.Add([]byte(`{"mcpServers":{"a":{"command":"npx","args":["x","${A}"],"env":{"K":"v"}}}}`))
	f.Add([]byte(`{"servers":{"b":{"url":"https://x/?key=1","headers":{"Authorization":"Bearer x"}}},}`))
	f.Add([]byte(`{"name":"n","packages":[{"registryType":"npm","identifier":"i"}],"remotes":[{"type":"sse","url":"http://{h}"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		found, err := ReadForeign(text, foreignOptions())
		if err != nil {
			return
		}
		out := found.Write("all")
		_, problems := ReadText("import.yaml", out, Options{Env: func(string) (string, bool) { return "x", true }})
		for _, p := range problems {
			if strings.Contains(p.Message, "is not YAML") || strings.Contains(p.Message, "unknown key") {
				t.Errorf("%+v\n%s", p, out)
			}
		}
	})
}
