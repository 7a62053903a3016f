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
	f := &foreigner{o: o, names: map[string]bool{}, literal: map[string]string{}, hidden: map[string]bool{}}
	switch {
	case top["mcpServers"] != nil:
		f.leftOut("", top, "mcpServers", "$schema")
		return f.servers(top["mcpServers"])
	case top["mcp"] != nil:
		var inner map[string]json.RawMessage
		if err := foreignObject(top["mcp"], &inner); err != nil || inner["servers"] == nil {
			break
		}
		f.inputs(inner["inputs"])
		return f.servers(inner["servers"])
	case top["packages"] != nil || top["remotes"] != nil:
		return f.registry(plain)
	case top["server"] != nil:
		return f.registry(top["server"])
	case top["servers"] != nil:
		f.leftOut("", top, "servers", "inputs", "$schema")
		f.inputs(top["inputs"])
		return f.servers(top["servers"])
	}
	return nil, &core.Error{
		Code: core.CodeInvalid, Message: "there are no MCP servers in it: it has neither mcpServers, nor servers, packages or remotes",
		Fix: "name a file such as claude_desktop_config.json, .mcp.json, mcp.json or server.json",
	}
}

// inputs notes which inputs of VS Code hold passwords.
func (f *foreigner) inputs(list json.RawMessage) {
	var all []struct {
		ID       string
		Password bool
		Default  *string
	}
	if list == nil || json.Unmarshal(list, &all) != nil {
		return
	}
	for i := range all {
		f.hidden[all[i].ID] = all[i].Password
		if all[i].Default != nil {
			f.note("the default of the input %s is left out", quote(all[i].ID))
		}
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
	hidden  map[string]bool   // ids of inputs that hold passwords
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

// taken are names that no server can have: the gateway answers there itself.
var taken = []string{"admin", "api", "healthz", "metrics", "readyz", "mcp", "sse", "message"}

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
	if slices.Contains(taken, base) {
		base += "-server"
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
		if len(s.headers) > 0 {
			f.note("%s: headers have no meaning for a program and are left out", u.Name)
		}
		f.program(u, append([]string{s.command}, s.args...), s.env, s.cwd, nil)
	case s.url != "":
		switch strings.ToLower(s.kind) {
		case "sse":
			u.Transport = "sse"
		case "", "http", "streamable-http", "streamablehttp", "streamable_http":
		default:
			return nil, mistaken(name, "there is no transport "+quote(s.kind)+" here", "http and sse are known")
		}
		if len(s.args) > 0 || len(s.env) > 0 || s.cwd != "" {
			f.note("%s: args, env and cwd have no meaning beside a URL and are left out", u.Name)
		}
		f.remote(u, s.url, s.headers, nil)
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

// program makes an upstream that is a process. sure are the variables that hold secrets
// whatever they are named.
func (f *foreigner) program(u *core.UpstreamConfig, argv []string, env map[string]string, cwd string, sure map[string]bool) {
	base := filepath.Base(argv[0])
	path, found := argv[0], true
	if !filepath.IsAbs(path) {
		if path = f.o.Look(argv[0]); path == "" {
			path, found = "/usr/local/bin/"+base, false
			f.note("%s: %s was not found on this machine; write the absolute path of the program", u.Name, quote(argv[0]))
		}
	}
	u.Command = []string{path}
	for i, arg := range argv[1:] {
		clear := f.argument(u.Name, argv[i], arg, i+1)
		if clear != arg {
			f.note("%s: argument %d looks like it holds a secret; a variable stands in its place, and everybody on the machine can see arguments: better give it as one of env", u.Name, i+1)
		}
		u.Command = append(u.Command, f.refer(u.Name, clear))
	}
	if found {
		f.allow(u)
	}
	for _, name := range slices.Sorted(maps.Keys(env)) {
		value := env[name]
		if !variable.MatchString(name) || strings.Contains(name, ":") {
			f.note("%s: the variable %s has a name that programs cannot use; it is left out", u.Name, quote(name))
			continue
		}
		if sure[name] || looksSecret(name, value) || f.asksPassword(value) {
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

// argument is an argument without the secret in it: the value of --api-key, what stands
// behind --token= and TOKEN=, behind the name of a header, or all of it.
func (f *foreigner) argument(server, before, arg string, place int) string {
	name := fmt.Sprintf("ARG_%d", place)
	if before != "" && before[0] == '-' && !strings.ContainsAny(before, "= ") && looksSecret(strings.TrimLeft(before, "-"), arg) && (arg == "" || arg[0] != '-') {
		return f.instead(server, strings.TrimLeft(before, "-"), arg)
	}
	for _, mark := range []string{"=", ":"} {
		key, value, found := strings.Cut(arg, mark)
		key = strings.TrimLeft(key, "-")
		if found && key != "" && !strings.ContainsAny(key, " /${") && looksSecret(key, strings.TrimSpace(value)) && !strings.HasPrefix(value, "//") {
			lead := arg[:len(arg)-len(value)]
			trimmed := strings.TrimLeft(value, " ")
			lead += value[:len(value)-len(trimmed)]
			return lead + f.instead(server, key, trimmed)
		}
	}
	if looksSecret("", arg) {
		return f.instead(server, name, arg)
	}
	return arg
}

// allow says what the settings have to allow: the program with every argument that is fixed
// from the first one on. A program alone would be allowed whatever its arguments say.
func (f *foreigner) allow(u *core.UpstreamConfig) {
	fixed := slices.Clone(u.Command)
	for i, word := range fixed {
		if word == "" || strings.ContainsAny(word, " ,\t\r\n") || strings.Contains(word, "${") {
			fixed = fixed[:i]
			break
		}
	}
	switch {
	case len(fixed) == 0:
		f.note("%s: its program has a path that the settings cannot name: no blank and no comma", u.Name)
	case len(fixed) == 1 && len(u.Command) > 1:
		f.note("%s: its first argument is not fixed, so the settings could only allow %s with any arguments; decide that yourself", u.Name, fixed[0])
	default:
		for _, had := range f.Commands {
			if slices.Equal(had, fixed) {
				return
			}
		}
		f.Commands = append(f.Commands, fixed)
	}
}

// asksPassword tells whether a value is an input of VS Code that nobody should see.
func (f *foreigner) asksPassword(value string) bool {
	for id, secret := range f.hidden {
		if secret && strings.Contains(value, "${input:"+id+"}") {
			return true
		}
	}
	return false
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

// remote makes an upstream that is reached by HTTP. sure are the headers that hold secrets
// whatever they are named.
func (f *foreigner) remote(u *core.UpstreamConfig, address string, headers map[string]string, sure map[string]bool) {
	u.URL = f.refer(u.Name, f.address(u, address))
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		value := headers[name]
		secret := sure[name] || looksSecret(name, value) || f.asksPassword(value)
		scheme, token, _ := strings.Cut(value, " ")
		switch {
		case strings.EqualFold(name, "Authorization") && u.Credential == nil && strings.EqualFold(scheme, "Bearer"):
			u.Credential = &core.CredentialConfig{Type: "bearer", Token: core.Secret(f.refer(u.Name, f.instead(u.Name, "TOKEN", strings.TrimSpace(token))))}
		case u.Credential == nil && (strings.EqualFold(name, "Authorization") || secret):
			u.Credential = &core.CredentialConfig{Type: "header", Name: name, Value: core.Secret(f.refer(u.Name, f.instead(u.Name, name, value)))}
		default:
			if secret {
				value = f.instead(u.Name, name, value)
			}
			if u.Headers == nil {
				u.Headers = map[string]string{}
			}
			u.Headers[name] = f.refer(u.Name, value)
		}
	}
}

// address is a URL without the secrets in it: a user with a password, and parameters. The
// first of them becomes the credential.
func (f *foreigner) address(u *core.UpstreamConfig, address string) string {
	if at := userInfo.FindStringSubmatchIndex(address); at != nil {
		user, password, _ := strings.Cut(address[at[2]:at[3]], ":")
		u.Credential = &core.CredentialConfig{Type: "basic", Username: f.refer(u.Name, user), Password: core.Secret(f.refer(u.Name, f.instead(u.Name, "PASSWORD", password)))}
		address = address[:at[2]] + address[at[3]+1:]
	}
	base, query, found := strings.Cut(address, "?")
	if !found {
		return address
	}
	var kept []string
	for pair := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(pair, "=")
		switch plain, err := url.QueryUnescape(value); {
		case err != nil || !looksSecret(name, value):
			kept = append(kept, pair)
		case u.Credential == nil:
			u.Credential = &core.CredentialConfig{Type: "query", Name: name, Value: core.Secret(f.refer(u.Name, f.instead(u.Name, name, plain)))}
		default:
			kept = append(kept, name+"="+f.instead(u.Name, name, value))
		}
	}
	if len(kept) == 0 {
		return base
	}
	return base + "?" + strings.Join(kept, "&")
}

var (
	// secretWord finds names of secrets, with or without something between their words.
	secretWord  = regexp.MustCompile(`(?i)(token|secret|passw|passphrase|apikey|api[_-]key|accesskey|privatekey|credential|cookie|connection[_-]?string|bearer)|(^|[_.-])(pwd|pass|keys?|pat|auth|authorization|dsn|sig|signature)($|[_.-])|key$`)
	secretValue = regexp.MustCompile(`^(gh[pousr]_|github_pat_|glpat-|sk-|xox[abprs]-|AKIA|eyJ[A-Za-z0-9_-]{10,}\.|AIza|Bearer |Basic )|://[^/@\s:]*:[^/@\s]+@`)
	longValue   = regexp.MustCompile(`^[A-Za-z0-9+/=_-]{32,}$`)
	userInfo    = regexp.MustCompile(`^[a-z]+://([^/@\s]+)@`)
	camel       = regexp.MustCompile(`([a-z0-9])([A-Z])`)
	placeholder = regexp.MustCompile(`\$\{([^{}]*)\}`)
)

// looksSecret tells whether a value should not be written down in clear.
func looksSecret(name, value string) bool {
	if value == "" {
		return false
	}
	return secretValue.MatchString(value) || random(value) || secretWord.MatchString(camel.ReplaceAllString(name, "${1}_${2}"))
}

// random tells whether a value looks as if a machine had made it up.
func random(value string) bool {
	return longValue.MatchString(value) && strings.ContainsAny(value, "0123456789") && strings.ContainsAny(strings.ToLower(value), "abcdefghijklmnopqrstuvwxyz") && strings.Count(value, "/") < 2
}

// instead is a reference for a literal secret; a placeholder stays what it is.
func (f *foreigner) instead(server, name, value string) string {
	if whole := placeholder.FindString(value); whole == value || strings.HasPrefix(value, "Bearer "+whole) && len(value) == len("Bearer ")+len(whole) {
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
		if has && preset != "" && looksSecret(name, preset) {
			f.note("%s: the value that %s has where nobody sets it looks like a secret; it is left out", server, name)
			has = false
		}
		if has {
			return "${env:" + name + ":-" + preset + "}"
		}
		f.Variables = append(f.Variables, name)
		return "${env:" + name + "}"
	})
}
