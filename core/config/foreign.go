package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

// ForeignOptions says how the configuration of another program is read.
type ForeignOptions struct {
	// Look finds a program by its name, as a shell does; "" = it is not there.
	Look func(name string) string
	Home string // of whoever imports, for programs that want one; "" = they get none
}

// Foreign is what the configuration of another program says of MCP servers.
type Foreign struct {
	Upstreams []core.UpstreamConfig // secrets in them are references
	Notes     []string              // what somebody has to do, and what could not be taken over
	Variables []string              // of the environment, that have to be set
	Commands  [][]string            // that the settings have to allow
}

// ReadForeign reads the MCP servers of another program's configuration: mcpServers
// (Claude, Cursor and others), servers with inputs (VS Code), or a server.json of the MCP
// registry. JSON may have comments and trailing commas. Literal secrets are not taken over:
// a reference stands in their place, and a note says which variable is to be set.
func ReadForeign(text []byte, o ForeignOptions) (*Foreign, error) {
	if o.Look == nil {
		o.Look = func(string) string { return "" }
	}
	plain := withoutComments(text)
	var top map[string]json.RawMessage
	if err := foreignObject(plain, &top); err != nil {
		return nil, &core.Error{Code: core.CodeInvalid, Message: "this is no JSON object: " + err.Error(), Fix: "name a file with mcpServers, with servers (VS Code), or a server.json"}
	}
	f := &foreigner{o: o, names: map[string]bool{}, literal: map[string]string{}}
	switch {
	case top["mcpServers"] != nil:
		f.leftOut("", top, "mcpServers", "$schema")
		return f.servers(top["mcpServers"])
	case top["mcp"] != nil:
		var inner map[string]json.RawMessage
		if err := foreignObject(top["mcp"], &inner); err != nil || inner["servers"] == nil {
			break
		}
		return f.servers(inner["servers"])
	case top["packages"] != nil || top["remotes"] != nil:
		return f.registry(plain)
	case top["server"] != nil:
		return f.registry(top["server"])
	case top["servers"] != nil:
		f.leftOut("", top, "servers", "inputs", "$schema")
		return f.servers(top["servers"])
	}
	return nil, &core.Error{
		Code: core.CodeInvalid, Message: "there are no MCP servers in it: it has neither mcpServers, nor servers, packages or remotes",
		Fix: "name a file such as claude_desktop_config.json, .mcp.json, mcp.json or server.json",
	}
}

// foreignObject reads an object with all members, known or not.
func foreignObject(text []byte, into *map[string]json.RawMessage) error {
	*into = map[string]json.RawMessage{}
	return wire.Fields(text, func(name string, v json.RawMessage) error {
		(*into)[name] = v
		return nil
	})
}

// foreigner reads one configuration.
type foreigner struct {
	Foreign

	o       ForeignOptions
	names   map[string]bool   // of upstreams
	literal map[string]string // variable → the literal value that it stands for
}

func (f *foreigner) note(format string, args ...any) {
	f.Notes = append(f.Notes, fmt.Sprintf(format, args...))
}

// leftOut notes the members that are not taken over.
func (f *foreigner) leftOut(server string, object map[string]json.RawMessage, known ...string) {
	for _, name := range slices.Sorted(maps.Keys(object)) {
		if slices.Contains(known, name) {
			continue
		}
		if server == "" {
			f.note("%s is left out", quote(name))
		} else {
			f.note("%s: %s has no counterpart here and is left out", server, quote(name))
		}
	}
}

// name makes a name of an upstream that nobody has yet.
func (f *foreigner) name(wish string) string {
	var slug strings.Builder
	for _, r := range strings.ToLower(wish) {
		switch {
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9':
			slug.WriteRune(r)
		default:
			slug.WriteByte('-')
		}
	}
	base := strings.Trim(regexp.MustCompile(`-+`).ReplaceAllString(slug.String(), "-"), "-")
	if len(base) > 50 {
		base = strings.Trim(base[:50], "-")
	}
	if base == "" {
		base = "server"
	}
	name := base
	for n := 2; f.names[name]; n++ {
		name = fmt.Sprintf("%s-%d", base, n)
	}
	f.names[name] = true
	if name != wish {
		f.note("%s is named %s here", quote(wish), name)
	}
	return name
}

// servers reads mcpServers, or servers of VS Code.
func (f *foreigner) servers(list json.RawMessage) (*Foreign, error) {
	if !wire.IsObject(list) {
		return nil, &core.Error{Code: core.CodeInvalid, Message: "the servers are no object", Fix: `write {"mcpServers": {"name": {"command": …}}}`}
	}
	var wrong error
	err := wire.Fields(list, func(name string, v json.RawMessage) error {
		if one, err := f.server(name, v); err != nil {
			wrong = err
			return err
		} else if one != nil {
			f.Upstreams = append(f.Upstreams, *one)
		}
		return nil
	})
	if wrong != nil {
		return nil, wrong
	}
	if err != nil {
		return nil, &core.Error{Code: core.CodeInvalid, Message: "the servers cannot be read: " + err.Error(), Fix: "mend the JSON"}
	}
	return f.done(), nil
}

func (f *foreigner) done() *Foreign {
	slices.Sort(f.Variables)
	f.Variables = slices.Compact(f.Variables)
	return &f.Foreign
}

func mistaken(server, what, fix string) error {
	return &core.Error{Code: core.CodeInvalid, Message: "server " + quote(server) + ": " + what, Fix: fix}
}

func (f *foreigner) server(name string, text json.RawMessage) (*core.UpstreamConfig, error) {
	var all map[string]json.RawMessage
	if err := foreignObject(text, &all); err != nil {
		return nil, mistaken(name, "it is no object", `write {"command": …} or {"url": …}`)
	}
	f.leftOut(name, all, "command", "args", "env", "cwd", "url", "serverUrl", "httpUrl", "headers", "type", "transport", "disabled", "gallery", "version", "description")
	u := &core.UpstreamConfig{Name: f.name(name)}
	var s struct {
		command, url, kind, cwd string
		args                    []string
		env, headers            map[string]string
	}
	for _, one := range []struct {
		key  string
		into *string
	}{{"command", &s.command}, {"url", &s.url}, {"serverUrl", &s.url}, {"httpUrl", &s.url}, {"type", &s.kind}, {"transport", &s.kind}, {"cwd", &s.cwd}} {
		if raw := all[one.key]; raw != nil && json.Unmarshal(raw, one.into) != nil {
			return nil, mistaken(name, one.key+" is no text", "write it in quotes")
		}
	}
	if raw := all["args"]; raw != nil && json.Unmarshal(raw, &s.args) != nil {
		return nil, mistaken(name, "args is no list of texts", `write ["a", "b"]`)
	}
	var err error
	if s.env, err = textsOf(all["env"]); err != nil {
		return nil, mistaken(name, "env is no object of texts", `write {"NAME": "value"}`)
	}
	if s.headers, err = textsOf(all["headers"]); err != nil {
		return nil, mistaken(name, "headers is no object of texts", `write {"Name": "value"}`)
	}
	_ = json.Unmarshal(all["disabled"], &u.Disabled) // another type means no
	switch {
	case s.command != "" && s.url != "":
		return nil, mistaken(name, "it has a command and a URL", "keep one of them")
	case s.command != "":
		f.program(u, append([]string{s.command}, s.args...), s.env, s.cwd)
	case s.url != "":
		if strings.EqualFold(s.kind, "sse") {
			u.Transport = "sse"
		}
		f.remote(u, s.url, s.headers)
	default:
		return nil, mistaken(name, "it has neither a command nor a URL", "give it one of them")
	}
	return u, nil
}

// textsOf reads an object whose values are texts, or numbers and flags that become texts.
func textsOf(raw json.RawMessage) (map[string]string, error) {
	if raw == nil || wire.IsNull(raw) {
		return nil, nil //nolint:nilnil // there is none
	}
	var all map[string]any
	if err := json.Unmarshal(raw, &all); err != nil {
		return nil, err
	}
	out := map[string]string{}
	for name, v := range all {
		switch v := v.(type) {
		case nil:
		case string:
			out[name] = v
		case bool, float64:
			out[name] = fmt.Sprint(v)
		default:
			return nil, fmt.Errorf("%s is no text", name)
		}
	}
	return out, nil
}

// program makes an upstream that is a process.
func (f *foreigner) program(u *core.UpstreamConfig, argv []string, env map[string]string, cwd string) {
	base := filepath.Base(argv[0])
	path := argv[0]
	if !filepath.IsAbs(path) {
		if path = f.o.Look(argv[0]); path == "" {
			path = "/usr/local/bin/" + base
			f.note("%s: %s was not found on this machine; write the absolute path of the program", u.Name, quote(argv[0]))
		}
	}
	u.Command = []string{path}
	for i, arg := range argv[1:] {
		if looksSecret("", arg) {
			f.note("%s: argument %d looks like a secret, and arguments are shown to everybody on the machine; a variable of its own stands in its place", u.Name, i+1)
			arg = f.instead(u.Name, fmt.Sprintf("ARG_%d", i+1), arg)
		}
		u.Command = append(u.Command, f.refer(u.Name, arg))
	}
	allow := slices.Clone(u.Command)
	for i, word := range allow {
		if i > 0 && (word == "" || strings.ContainsAny(word, " ,\t\n") || strings.Contains(word, "${")) {
			allow = allow[:i]
			break
		}
	}
	f.Commands = append(f.Commands, allow)
	for _, name := range slices.Sorted(maps.Keys(env)) {
		value := env[name]
		if !variable.MatchString(name) || strings.Contains(name, ":") {
			f.note("%s: the variable %s has a name that programs cannot use; it is left out", u.Name, quote(name))
			continue
		}
		if looksSecret(name, value) {
			if u.Secrets == nil {
				u.Secrets = map[string]core.Secret{}
			}
			u.Secrets[name] = core.Secret(f.refer(u.Name, f.instead(u.Name, name, value)))
			continue
		}
		if u.Env == nil {
			u.Env = map[string]string{}
		}
		u.Env[name] = f.refer(u.Name, value)
	}
	if u.Env["PATH"] == "" && u.Secrets["PATH"] == "" {
		// Most of these are started by others (npx starts node), and get nothing of ours.
		if u.Env == nil {
			u.Env = map[string]string{}
		}
		u.Env["PATH"] = searchPath(filepath.Dir(path))
	}
	if u.Env["HOME"] == "" && f.o.Home != "" && slices.Contains([]string{"npx", "uvx", "uv", "docker", "dnx", "pipx", "bunx", "pnpm"}, base) {
		u.Env["HOME"] = f.o.Home
	}
	if cwd != "" {
		if filepath.IsAbs(cwd) {
			u.Directory = cwd
		} else {
			f.note("%s: the directory %s is not absolute and is left out", u.Name, quote(cwd))
		}
	}
}

// searchPath is where a program finds others: beside itself first.
func searchPath(first string) string {
	list := []string{first}
	for _, dir := range []string{"/usr/local/bin", "/usr/bin", "/bin"} {
		if dir != first {
			list = append(list, dir)
		}
	}
	return strings.Join(list, ":")
}

// remote makes an upstream that is reached by HTTP.
func (f *foreigner) remote(u *core.UpstreamConfig, address string, headers map[string]string) {
	u.URL = f.refer(u.Name, address)
	if at, err := url.Parse(address); err == nil && at.RawQuery != "" && !strings.Contains(address, "${") {
		query := at.Query()
		for _, name := range slices.Sorted(maps.Keys(query)) {
			if value := query.Get(name); u.Credential == nil && looksSecret(name, value) {
				u.Credential = &core.CredentialConfig{Type: "query", Name: name, Value: core.Secret(f.refer(u.Name, f.instead(u.Name, name, value)))}
				query.Del(name)
				at.RawQuery = query.Encode()
				u.URL = at.String()
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		value := headers[name]
		scheme, token, _ := strings.Cut(value, " ")
		switch {
		case strings.EqualFold(name, "Authorization") && u.Credential == nil && strings.EqualFold(scheme, "Bearer"):
			u.Credential = &core.CredentialConfig{Type: "bearer", Token: core.Secret(f.refer(u.Name, f.instead(u.Name, "TOKEN", strings.TrimSpace(token))))}
		case u.Credential == nil && (strings.EqualFold(name, "Authorization") || looksSecret(name, value)):
			u.Credential = &core.CredentialConfig{Type: "header", Name: name, Value: core.Secret(f.refer(u.Name, f.instead(u.Name, name, value)))}
		default:
			if looksSecret(name, value) {
				value = f.instead(u.Name, name, value)
			}
			if u.Headers == nil {
				u.Headers = map[string]string{}
			}
			u.Headers[name] = f.refer(u.Name, value)
		}
	}
}

var (
	secretWord  = regexp.MustCompile(`(?i)(^|[_.-])(token|secret|password|passwd|pwd|pass|key|apikey|pat|auth|authorization|credential|credentials|cookie|dsn)s?($|[_.-])`)
	secretValue = regexp.MustCompile(`^(gh[pousr]_|github_pat_|glpat-|sk-|xox[abprs]-|AKIA|eyJ[A-Za-z0-9_-]{10,}\.|AIza)`)
	camel       = regexp.MustCompile(`([a-z0-9])([A-Z])`)
	placeholder = regexp.MustCompile(`\$\{([^{}]*)\}`)
)

// looksSecret tells whether a value should not be written down in clear.
func looksSecret(name, value string) bool {
	return value != "" && (secretValue.MatchString(value) || secretWord.MatchString(camel.ReplaceAllString(name, "${1}_${2}")))
}

// instead is a reference for a literal secret; a placeholder stays what it is.
func (f *foreigner) instead(server, name, value string) string {
	if strings.Contains(value, "${") {
		return value
	}
	wish := variableOf(name)
	if had, taken := f.literal[wish]; taken && had != value || !strings.Contains(wish, "_") && wish != "TOKEN" || wish == "TOKEN" {
		wish = variableOf(server + "_" + name)
	}
	for n, base := 2, wish; ; n++ {
		if had, taken := f.literal[wish]; !taken || had == value {
			break
		}
		wish = fmt.Sprintf("%s_%d", base, n)
	}
	f.literal[wish] = value
	return "${env:" + wish + "}"
}

// variableOf makes the name of a variable.
func variableOf(name string) string {
	var b strings.Builder
	for _, r := range camel.ReplaceAllString(name, "${1}_${2}") {
		switch {
		case 'a' <= r && r <= 'z':
			b.WriteRune(r - 'a' + 'A')
		case 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
			b.WriteRune(r)
		default:
			b.WriteByte('_')
		}
	}
	v := strings.Trim(b.String(), "_")
	if v == "" || v[0] >= '0' && v[0] <= '9' {
		v = "VALUE_" + v
	}
	return v
}

// refer writes the placeholders of others as references of ours: ${VAR}, ${VAR:-default},
// ${env:VAR} and ${input:id}.
func (f *foreigner) refer(server, text string) string {
	return placeholder.ReplaceAllStringFunc(text, func(whole string) string {
		inside := whole[2 : len(whole)-1]
		name, preset, has := strings.Cut(inside, ":-")
		switch {
		case strings.HasPrefix(name, "env:"):
			name = name[len("env:"):]
		case strings.HasPrefix(name, "input:"):
			name = variableOf(name[len("input:"):])
		case strings.Contains(name, ":"):
			f.note("%s: %s is known to the other program alone; write what it stands for", server, quote(whole))
			return "$" + whole
		case name == "workspaceFolder" || name == "userHome" || name == "pathSeparator" || name == "/" || name == "workspaceFolderBasename":
			f.note("%s: %s is known to the other program alone; write what it stands for", server, quote(whole))
			return "$" + whole
		}
		if !regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`).MatchString(name) {
			f.note("%s: %s is no reference to a variable", server, quote(whole))
			return "$" + whole
		}
		if has {
			return "${env:" + name + ":-" + preset + "}"
		}
		f.Variables = append(f.Variables, name)
		return "${env:" + name + "}"
	})
}
