package gateway

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/core"
)

// Bounds of an upstream.
const (
	mostWarm     = 16
	mostSessions = 10_000
	longestIdle  = 24 * time.Hour
)

// mcpRevisions are those that an upstream can be held to.
var mcpRevisions = []string{"2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"}

// buildUpstreams opens the upstreams of the documents. Those that stayed as they were are
// connected already.
func (b *build) buildUpstreams(list []core.UpstreamConfig) {
	b.upstreams, b.mountedIn = map[string]*core.UpstreamConfig{}, map[string]bool{}
	if len(list) == 0 {
		return
	}
	if b.options.Remotes == nil {
		b.report(place(list[0].At, "/upstreams/0"), "", "there cannot be upstreams here", "remove upstreams")
		return
	}
	connections := map[string]*core.Connection{}
	var usable []core.UpstreamConfig
	for i := range list {
		c := list[i]
		c.At = place(c.At, fmt.Sprintf("/upstreams/%d", i))
		before := b.fatal
		connection := b.upstream(&c)
		if b.fatal != before {
			if c.Name != "" && b.upstreams[c.Name] == nil {
				b.upstreams[c.Name] = nil // declared, but wrong
			}
			continue
		}
		connections[c.Name] = connection
		b.upstreams[c.Name] = &c
		usable = append(usable, c)
	}
	b.open(usable, core.RemoteEnv{Dial: b.options.Dial, Connection: func(c *core.UpstreamConfig) *core.Connection { return connections[c.Name] }})
}

// open opens upstreams that are right in themselves.
func (b *build) open(list []core.UpstreamConfig, use core.RemoteEnv) {
	if len(list) == 0 || b.ctx.Err() != nil {
		return
	}
	set, problems := b.options.Remotes.Open(b.ctx, list, use)
	b.remotes = set
	b.catalog.closers = append(b.catalog.closers, closer{name: "upstreams", close: set.Close})
	for _, p := range problems {
		b.add(p)
	}
	for i := range list {
		c := &list[i]
		if c.Disabled {
			continue
		}
		r := set.Remote(c.Name)
		if r == nil {
			if !b.bad() { // nothing may be there without what runs it
				b.report(c.At, "", "upstream "+quoted(c.Name)+" cannot be used", "see the warnings")
			}
			continue
		}
		offer := r.Offer()
		if offer == nil && b.options.Dry {
			continue
		}
		if offer == nil {
			b.warn(c.At, "", "upstream "+quoted(c.Name)+" was not reached yet", "nothing of it is there until it answers; that is tried again and again")
			continue
		}
		if n := len(offer.Held); n > 0 {
			b.warn(c.At, "", fmt.Sprintf("upstream %s has %d definitions that wait for approval, or were refused", quoted(c.Name), n), "look at them with `sallyport admin pins list --upstream "+c.Name+"`")
		}
	}
}

// upstream checks one upstream, and returns what HTTP goes through; nil for a process.
func (b *build) upstream(c *core.UpstreamConfig) *core.Connection {
	switch _, twice := b.upstreams[c.Name]; {
	case c.Name == "":
		b.report(c.At, "/name", "name is required", "give the upstream a name of small letters, digits and -")
	case !isSlug(c.Name):
		b.report(c.At, "/name", quoted(c.Name)+" is not the name of an upstream", "use 1 to 63 small letters, digits and -, beginning and ending with a letter or digit"+slugOf(c.Name))
	case twice:
		b.report(c.At, "/name", "there is another upstream "+quoted(c.Name), "give each upstream its own name, over all files")
	}
	b.oneOf(c.At, "/definitions", "policy", c.Definitions, core.DefinitionsPin, core.DefinitionsQuarantine, core.DefinitionsAlert, core.DefinitionsOff)
	b.oneOf(c.At, "/revision", "revision", c.Revision, mcpRevisions...)
	b.oneOf(c.At, "/transport", "transport", c.Transport, "http", "sse", "stdio")
	b.oneOf(c.At, "/start", "way to start", c.Start, "eager", "on_demand", "idle_stop")
	b.ranged(c.At, "/sessions", int64(c.Sessions), 0, mostSessions)
	b.ranged(c.At, "/warm", int64(c.Warm), 0, mostWarm)
	b.duration(c.At, "/idle", c.Idle, time.Second, longestIdle)
	if c.Idle != "" && c.Start != "idle_stop" {
		b.report(c.At, "/idle", "idle has no meaning without start: idle_stop", "write start: idle_stop, or remove it")
	}
	if c.Transport == "sse" && c.Revision > "2025-03-26" {
		b.report(c.At, "/revision", "revision "+c.Revision+" has no HTTP+SSE", "write transport: http, or leave revision out")
	}
	var ways []string
	for _, one := range []struct {
		name string
		set  bool
	}{{"url", c.URL != ""}, {"connection", c.Connection != ""}, {"command", len(c.Command) > 0}} {
		if one.set {
			ways = append(ways, one.name)
		}
	}
	switch len(ways) {
	case 0:
		b.report(c.At, "", "nothing says where the upstream is", "give it a url, a connection or a command")
		return nil
	case 1:
		b.belongs(c, ways[0])
	default:
		b.report(c.At, "/"+ways[1], "an upstream has "+strings.Join(ways, " and "), "give it one of them")
		return nil
	}
	switch ways[0] {
	case "url":
		return b.ownConnection(c)
	case "connection":
		return b.namedConnection(c)
	}
	if c.Transport != "" && c.Transport != "stdio" {
		b.report(c.At, "/transport", "a command is a process, and not "+c.Transport, "remove transport, or give a url")
	}
	return nil
}

// oneOf checks a word; absent is right.
func (b *build) oneOf(at core.At, rel, what, word string, known ...string) {
	if word != "" && !slices.Contains(known, word) {
		b.report(at, rel, "there is no "+what+" "+quoted(word), suggest(word, known))
	}
}

// belongs reports what has no meaning where an upstream is reached in this way.
func (b *build) belongs(c *core.UpstreamConfig, way string) {
	if way != "command" && c.Transport == "stdio" {
		b.report(c.At, "/transport", "stdio is for a process", "give a command, or remove transport")
	}
	for _, one := range []struct {
		name, way string
		set       bool
	}{
		{"headers", "url", len(c.Headers) > 0},
		{"credential", "url", c.Credential != nil},
		{"path", "connection", c.Path != ""},
		{"env", "command", len(c.Env) > 0},
		{"secrets", "command", len(c.Secrets) > 0},
		{"directory", "command", c.Directory != ""},
		{"start", "command", c.Start != ""},
		{"warm", "command", c.Warm != 0},
	} {
		if one.set && one.way != way {
			b.report(c.At, "/"+one.name, one.name+" has no meaning beside "+way, "it goes with "+one.way)
		}
	}
}

// ownConnection makes the connection of an upstream that has a URL.
func (b *build) ownConnection(c *core.UpstreamConfig) *core.Connection {
	text, query := c.URL, ""
	if u, err := url.Parse(c.URL); err == nil && u.Fragment == "" {
		query = u.RawQuery
		u.RawQuery, u.ForceQuery = "", false
		text = u.String()
	}
	config := core.ConnectionConfig{At: c.At, Name: "upstream " + c.Name, BaseURL: text, Headers: c.Headers, Credential: c.Credential}
	var built *core.Connection
	problems, warnings := b.apart(func() { built = b.connection(&config) })
	for _, p := range slices.Concat(problems, warnings) {
		p.Path = strings.Replace(p.Path, "/baseUrl", "/url", 1)
		p.Message = strings.Replace(p.Message, "baseUrl", "url", 1)
		b.add(p)
	}
	if built == nil || len(problems) > 0 {
		return nil
	}
	built.BaseURL.RawQuery = query
	b.ownAccounts(c.At, "/credential/type", built)
	b.protocolHeaders(c.At, "/headers", built.Header, nil)
	b.protocolHeaders(c.At, "/credential/name", nil, built.Secret)
	return forUpstream(built)
}

// namedConnection takes the connection that an upstream names.
func (b *build) namedConnection(c *core.UpstreamConfig) *core.Connection {
	b.used[c.Connection] = true
	connection, declared := b.connections[c.Connection]
	if !declared {
		b.report(c.At, "/connection", "there is no connection "+quoted(c.Connection), suggestConnection(c.Connection, sortedKeys(b.connections)))
	}
	if c.Path != "" && (!strings.HasPrefix(c.Path, "/") || strings.ContainsAny(c.Path, "?# \\")) {
		b.report(c.At, "/path", quoted(c.Path)+" is not a path", "begin it with /, without ? and #")
		return nil
	}
	if connection == nil {
		return nil
	}
	b.ownAccounts(c.At, "/connection", connection)
	own := *forUpstream(connection)
	if own.Redirects > 0 {
		b.warn(c.At, "/connection", "redirects of connection "+quoted(c.Connection)+" are not followed for an upstream: its calls would be sent again as something else", "give the place that it redirects to")
		own.Redirects = 0
	}
	b.protocolHeaders(c.At, "/connection", own.Header, own.Secret)
	base := *connection.BaseURL
	if c.Path != "" {
		base.Path, base.RawPath = strings.TrimSuffix(base.Path, "/")+c.Path, ""
	}
	own.BaseURL = &base
	return &own
}

// ownAccounts refuses the accounts of callers: sessions with an upstream are not those of
// one caller.
func (b *build) ownAccounts(at core.At, rel string, connection *core.Connection) {
	if connection.Connector != "" {
		b.report(at, rel, "an upstream cannot be called with the accounts of callers", "use a credential of type bearer, basic, header or query")
	}
}

// upstreamInFlight is how many exchanges with an upstream there may be, and wait, where the
// document says nothing. A call holds its place until its answer.
const upstreamInFlight = 256

// forUpstream returns a connection with what an MCP server needs where the document says
// nothing: an answer may come as late as its call allows, and nothing is sent twice.
func forUpstream(c *core.Connection) *core.Connection {
	own := *c
	own.Retries = 0
	if own.FirstByte == 0 {
		own.FirstByte = longestTimeout
	}
	if own.InFlight == 0 {
		own.InFlight = upstreamInFlight
	}
	if own.Queue == 0 {
		own.Queue = upstreamInFlight
	}
	return &own
}

// protocolHeaders refuses headers that belong to MCP itself.
func (b *build) protocolHeaders(at core.At, rel string, header []core.Field, secret map[string]core.Secret) {
	names := sortedKeys(secret)
	for _, field := range header {
		names = append(names, field.Name)
	}
	for _, name := range names {
		lower := strings.ToLower(name)
		if slices.Contains(mcpHeaders, lower) || strings.HasPrefix(lower, "mcp-param-") {
			b.report(at, rel, "header "+name+" belongs to the protocol, and is set for each request", "remove it")
		}
	}
}

// mcpHeaders are those of the streamable HTTP transport.
var mcpHeaders = []string{"accept", "content-type", "last-event-id", "mcp-protocol-version", "mcp-session-id", "mcp-method", "mcp-name"}

// apart runs f and returns what it found, instead of keeping it.
func (b *build) apart(f func()) (mistakes, cautions []core.Problem) {
	problems, warnings, fatal, count := b.problems, b.warnings, b.fatal, b.cautions
	b.problems, b.warnings, b.fatal, b.cautions = nil, nil, 0, 0
	defer func() { b.problems, b.warnings, b.fatal, b.cautions = problems, warnings, fatal, count }()
	f()
	return b.problems, b.warnings
}

// routes makes upstreams servers of their own names, with everything as it is: those that
// no server has, and those whose document says so. What a server leaves out of an upstream
// must not stand open beside it unasked.
func (b *build) routes(prefixes, names map[string]core.At) {
	for _, name := range sortedKeys(b.upstreams) {
		c := b.upstreams[name]
		if c == nil || c.Disabled || c.Route != nil && !*c.Route {
			continue
		}
		_, served := names[name]
		_, taken := prefixes[name]
		if (served || taken || b.mountedIn[name]) && c.Route == nil {
			continue
		}
		none := ""
		s := core.ServerConfig{At: c.At, Name: name, Upstreams: []core.MountConfig{{At: c.At, Upstream: name, Prefix: &none}}}
		b.server(&s, prefixes, names)
		if built := b.catalog.byName[name]; built != nil && len(built.mounts) == 1 {
			introduce(built.wire, built.mounts[0].offer.Server)
		}
	}
}
