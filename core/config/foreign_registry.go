package config

import (
	"encoding/json"
	"strings"

	"github.com/sallyport/sallyport/core"
)

// registered is a server.json of the MCP registry, as far as it says how to reach a server.
type registered struct {
	Name     string               `json:"name"`
	Packages []registeredPackage  `json:"packages"`
	Remotes  []registeredEndpoint `json:"remotes"`
}

type registeredPackage struct {
	Type      string               `json:"registryType"`
	OldType   string               `json:"registry_type"`
	ID        string               `json:"identifier"`
	Version   string               `json:"version"`
	Base      string               `json:"registryBaseUrl"`
	Sum       string               `json:"fileSha256"`
	Hint      string               `json:"runtimeHint"`
	Runtime   []registeredArgument `json:"runtimeArguments"`
	Arguments []registeredArgument `json:"packageArguments"`
	Variables []registeredInput    `json:"environmentVariables"`
	Transport registeredEndpoint   `json:"transport"`
}

type registeredEndpoint struct {
	Type      string                     `json:"type"`
	URL       string                     `json:"url"`
	Headers   []registeredInput          `json:"headers"`
	Variables map[string]registeredInput `json:"variables"`
}

type registeredInput struct {
	Name     string `json:"name"`
	Value    string `json:"value"`
	Default  string `json:"default"`
	Required bool   `json:"isRequired"`
	Secret   bool   `json:"isSecret"`
}

type registeredArgument struct {
	registeredInput

	Type string `json:"type"` // positional, named
	Hint string `json:"valueHint"`
}

// runners start a package of a registry.
var runners = map[string]struct {
	program   string
	arguments []string // before the package
	between   string   // before its version
}{
	"npm": {"npx", []string{"-y"}, "@"}, "pypi": {"uvx", nil, "@"}, "nuget": {"dnx", []string{"--yes"}, "@"}, "oci": {"docker", []string{"run", "-i", "--rm"}, ":"},
}

// registry reads a server.json: the first of its remotes, else the first package that can
// be started.
func (f *foreigner) registry(text json.RawMessage) (*Foreign, error) {
	var s registered
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, &core.Error{Code: core.CodeInvalid, Message: "the server.json cannot be read: " + err.Error(), Fix: "take it from the registry as it is"}
	}
	if s.Name == "" {
		return nil, &core.Error{Code: core.CodeInvalid, Message: "the server.json has no name", Fix: "take it from the registry as it is"}
	}
	u := core.UpstreamConfig{Name: f.name(s.Name[strings.LastIndexByte(s.Name, '/')+1:])}
	if len(s.Remotes)+len(s.Packages) > 1 {
		f.note("%s: it can be reached in %d ways; the first that works here is taken", u.Name, len(s.Remotes)+len(s.Packages))
	}
	for i := range s.Remotes {
		if f.endpoint(&u, &s.Remotes[i]) {
			f.Upstreams = append(f.Upstreams, u)
			return f.done(), nil
		}
	}
	for i := range s.Packages {
		if f.pack(&u, &s.Packages[i]) {
			f.Upstreams = append(f.Upstreams, u)
			return f.done(), nil
		}
	}
	return nil, mistaken(s.Name, "it has neither a remote nor a package that can be started here", "npm, pypi, nuget and oci packages can, and remotes with streamable-http or sse")
}

func (f *foreigner) endpoint(u *core.UpstreamConfig, at *registeredEndpoint) bool {
	switch at.Type {
	case "streamable-http", "http", "streamable":
	case "sse":
		u.Transport = "sse"
	default:
		f.note("%s: a remote of type %s is not known", u.Name, quote(at.Type))
		return false
	}
	headers, sure := map[string]string{}, map[string]bool{}
	for i := range at.Headers {
		h := &at.Headers[i]
		value, has := h.text()
		if !has {
			f.note("%s: the header %s may be left out, and is", u.Name, quote(h.Name))
			continue
		}
		headers[h.Name], sure[h.Name] = value, h.Secret
	}
	address := at.URL
	for name, v := range at.Variables {
		if v.Default != "" && !v.Secret {
			address = strings.ReplaceAll(address, "{"+name+"}", v.Default)
		}
	}
	f.remote(u, braces(address), headers, sure)
	return true
}

func (f *foreigner) pack(u *core.UpstreamConfig, p *registeredPackage) bool {
	kind := p.Type
	if kind == "" {
		kind = p.OldType
	}
	run, known := runners[kind]
	if !known {
		f.note("%s: a package of type %s cannot be started here", u.Name, quote(kind))
		return false
	}
	if p.Transport.Type != "" && p.Transport.Type != "stdio" {
		f.note("%s: its package serves %s; start it by yourself and write its url", u.Name, p.Transport.Type)
		return false
	}
	program := p.Hint
	if program == "" {
		program = run.program
	}
	argv := []string{program}
	if len(p.Runtime) == 0 {
		argv = append(argv, run.arguments...)
	}
	if p.Base != "" {
		f.note("%s: its package is that of %s; see that %s asks there, or a package of the same name from elsewhere is run", u.Name, p.Base, program)
	}
	if p.Sum != "" {
		f.note("%s: nobody checks here that its package has the digest of the registry", u.Name)
	}
	env, sure := map[string]string{}, map[string]bool{}
	for i := range p.Variables {
		v := &p.Variables[i]
		value, has := v.text()
		if !has {
			f.note("%s: the variable %s may be left out, and is", u.Name, quote(v.Name))
			continue
		}
		env[v.Name], sure[v.Name] = value, v.Secret
		if kind == "oci" {
			argv = append(argv, "-e", v.Name) // docker hands on what it has
		}
	}
	argv = append(argv, argumentsOf(p.Runtime)...)
	id := p.ID
	if p.Version != "" && !strings.Contains(id[strings.LastIndexByte(id, '/')+1:], run.between) {
		id += run.between + p.Version
	}
	f.program(u, append(append(argv, id), argumentsOf(p.Arguments)...), env, "", sure)
	return true
}

// text is the value of an input: a reference to a variable of its name where it is left
// open; false when it may be left out.
func (i *registeredInput) text() (string, bool) {
	switch {
	case i.Value != "":
		return braces(i.Value), true
	case i.Default != "" && !i.Secret:
		return i.Default, true
	case i.Required || i.Secret:
		return "${" + variableOf(i.Name) + "}", true
	}
	return "", false
}

// argumentsOf are arguments as they stand on a command line.
func argumentsOf(list []registeredArgument) (argv []string) {
	for i := range list {
		a := &list[i]
		input := a.registeredInput
		if a.Type == "named" {
			if value, has := input.text(); has {
				argv = append(argv, a.Name, value)
			}
			continue
		}
		if input.Name == "" {
			input.Name = a.Hint
		}
		if value, has := input.text(); has {
			argv = append(argv, value)
		}
	}
	return argv
}

// braces writes the {variable} places of a registry as references.
func braces(text string) string {
	var b strings.Builder
	for rest := text; ; {
		open := strings.IndexByte(rest, '{')
		end := strings.IndexByte(rest, '}')
		if open < 0 || end < open {
			b.WriteString(rest)
			return b.String()
		}
		b.WriteString(strings.TrimSuffix(rest[:open], "$"))
		b.WriteString("${" + variableOf(rest[open+1:end]) + "}")
		rest = rest[end+1:]
	}
}
