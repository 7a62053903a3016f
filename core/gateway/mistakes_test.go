package gateway

import (
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/core"
)

// badConfig is one mistake: change makes it in a good Config.
type badConfig struct {
	name   string
	change func(*core.Config)
	path   string
	says   string // part of "message; fix"
}

func toolIn(c *core.Config) *core.ToolConfig               { return &c.Servers[0].Tools[0] }
func promptOf(c *core.Config) *core.PromptConfig           { return &c.Servers[0].Prompts[0] }
func connection(c *core.Config) *core.ConnectionConfig     { return &c.Connections[0] }
func resourceN(c *core.Config, n int) *core.ResourceConfig { return &c.Servers[0].Resources[n] }
func templateN(c *core.Config, n int) *core.ResourceConfig { return &c.Servers[0].Templates[n] }

func input(schema string) func(*core.Config) {
	return func(c *core.Config) { toolIn(c).InputSchema = raw(schema) }
}

func prefix(p string) func(*core.Config) {
	return func(c *core.Config) { c.Servers[0].Prefix = &p }
}

func secondServer(name string, prefix *string) func(*core.Config) {
	return func(c *core.Config) {
		c.Servers = append(c.Servers, core.ServerConfig{At: core.At{Path: "/servers/1"}, Name: name, Prefix: prefix, Tools: []core.ToolConfig{{Name: "t", Invoker: echoes(`{}`)}}})
	}
}

func nested(n int) string {
	return strings.Repeat(`{"items":`, n) + "true" + strings.Repeat("}", n)
}

func manyProperties(n int) string {
	var b strings.Builder
	b.WriteString(`{"type":"object","properties":{`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `"p%d":{"type":"string"}`, i)
	}
	return b.String() + "}}"
}

func badConfigs() []badConfig {
	certificate, key := keyPair()
	_, otherKey := keyPair()
	return []badConfig{
		// Servers.
		{"server without name", func(c *core.Config) { c.Servers[0].Name = "" }, "/servers/0/name", "name is required"},
		{"server name with capitals", func(c *core.Config) { c.Servers[0].Name = "Book Shop" }, "/servers/0/name", "for example book-shop"},
		{"server name too long", func(c *core.Config) { c.Servers[0].Name = strings.Repeat("a", 64) }, "/servers/0/name", "is not a server name"},
		{"server name twice", secondServer("bookshop", text("other")), "/servers/1/name", "there is another server"},
		{"prefix twice", secondServer("other", text("bookshop")), "/servers/1/prefix", "already that of another server"},
		{"prefix twice by name", secondServer("other", text("a")), "", ""},
		{"prefix outer slash", prefix("/books/"), "/servers/0/prefix", `has an outer slash; write "books"`},
		{"prefix empty segment", prefix("a//b"), "/servers/0/prefix", "cannot be a part of a prefix"},
		{"prefix dots", prefix("a/../b"), "/servers/0/prefix", `".." cannot be a part`},
		{"prefix capitals", prefix("Books"), "/servers/0/prefix", "for example books"},
		{"prefix percent", prefix("a%2fb"), "/servers/0/prefix", "cannot be a part"},
		{"prefix reserved", prefix("admin/x"), "/servers/0/prefix", `cannot begin with "admin"`},
		{"prefix well-known", prefix(".well-known"), "/servers/0/prefix", "cannot be a part"},
		{"prefix healthz", prefix("healthz"), "/servers/0/prefix", "cannot begin"},
		{"prefix ends in mcp", prefix("a/mcp"), "/servers/0/prefix", `cannot end with "mcp"`},
		{"prefix is sse", prefix("sse"), "/servers/0/prefix", `cannot end with "sse"`},
		{"prefix ends in message", prefix("x/message"), "/servers/0/prefix", `cannot end with "message"`},
		{"name as prefix reserved", func(c *core.Config) { c.Servers[0].Name = "metrics" }, "/servers/0/name", "cannot begin"},
		{"prefix too many segments", prefix("a/b/c/d/e/f/g/h/i"), "/servers/0/prefix", "at most 8 segments"},
		{"website", func(c *core.Config) { c.Servers[0].WebsiteURL = "javascript:alert(1)" }, "/servers/0/websiteUrl", "not an http or https URL"},
		{"cors without origins", func(c *core.Config) { c.Servers[0].CORS.Origins = nil }, "/servers/0/cors/origins", "lists no origin"},
		{"cors path", func(c *core.Config) { c.Servers[0].CORS.Origins = []string{"https://a.example/"} }, "/servers/0/cors/origins/0", "is not an origin"},
		{"cors null", func(c *core.Config) { c.Servers[0].CORS.Origins = []string{"null"} }, "/servers/0/cors/origins/0", "is not an origin"},
		{"cors wildcard host", func(c *core.Config) { c.Servers[0].CORS.Origins = []string{"https://*.example.com"} }, "/servers/0/cors/origins/0", "is not an origin"},
		{"cors star beside", func(c *core.Config) { c.Servers[0].CORS.Origins = []string{"https://a.example", "*"} }, "/servers/0/cors/origins/1", "stands beside other origins"},
		{"cors age", func(c *core.Config) { c.Servers[0].CORS.MaxAge = "5 minutes" }, "/servers/0/cors/maxAge", "is not a duration"},
		{"cache ttl", func(c *core.Config) { c.Servers[0].Cache.TTL = "-1s" }, "/servers/0/cache/ttl", "out of range"},
		{"cache scope", func(c *core.Config) { c.Servers[0].Cache.Scope = "publik" }, "/servers/0/cache/scope", `did you mean "public"?`},
		{"page size", func(c *core.Config) { c.Servers[0].PageSize = -1 }, "/servers/0/pageSize", "-1 is out of range; between 0 and 10000"},

		// Icons, annotations, _meta.
		{"icons no list", func(c *core.Config) { c.Servers[0].Icons = raw(`{}`) }, "/servers/0/icons", "must be an array, not an object"},
		{"icon without src", func(c *core.Config) { c.Servers[0].Icons = raw(`[{}]`) }, "/servers/0/icons/0/src", "is required"},
		{"icon over http", func(c *core.Config) { c.Servers[0].Icons = raw(`[{"src":"http://a/i.png"}]`) }, "/servers/0/icons/0/src", "neither an https nor a data URL"},
		{"icon size", func(c *core.Config) { c.Servers[0].Icons = raw(`[{"src":"https://a/i.png","sizes":["big"]}]`) }, "/servers/0/icons/0/sizes", "not of the form 48x48"},
		{"icon theme", func(c *core.Config) { c.Servers[0].Icons = raw(`[{"src":"https://a/i.png","theme":"drak"}]`) }, "/servers/0/icons/0/theme", `did you mean "dark"?`},
		{"annotation type", func(c *core.Config) { toolIn(c).Annotations = raw(`{"readOnlyHint":"yes"}`) }, "/servers/0/tools/0/annotations/readOnlyHint", "must be true or false, not a string"},
		{"annotations no object", func(c *core.Config) { toolIn(c).Annotations = raw(`[]`) }, "/servers/0/tools/0/annotations", "must be an object, not an array"},
		{"annotations no JSON", func(c *core.Config) { toolIn(c).Annotations = raw(`{"a":`) }, "/servers/0/tools/0/annotations", "is not JSON"},
		{"execution", func(c *core.Config) { toolIn(c).Execution = raw(`{"taskSupport":"maybe"}`) }, "/servers/0/tools/0/execution/taskSupport", "is not allowed here"},
		{"meta key", func(c *core.Config) { toolIn(c).Meta = raw(`{"a b":1}`) }, "/servers/0/tools/0/_meta/a b", "is not a key of _meta"},
		{"meta no object", func(c *core.Config) { toolIn(c).Meta = raw(`1`) }, "/servers/0/tools/0/_meta", "must be an object, not a number"},
		{"priority", func(c *core.Config) { resourceN(c, 1).Annotations = raw(`{"priority":2}`) }, "/servers/0/resources/1/annotations/priority", "a number from 0 to 1"},
		{"audience", func(c *core.Config) { resourceN(c, 1).Annotations = raw(`{"audience":["usr"]}`) }, "/servers/0/resources/1/annotations/audience", `did you mean "user"?`},
		{"lastModified", func(c *core.Config) { resourceN(c, 1).Annotations = raw(`{"lastModified":"today"}`) }, "/servers/0/resources/1/annotations/lastModified", "ISO 8601"},

		// Tools.
		{"tool without name", func(c *core.Config) { toolIn(c).Name = "" }, "/servers/0/tools/0/name", "name is required"},
		{"tool name with blank", func(c *core.Config) { toolIn(c).Name = "get book" }, "/servers/0/tools/0/name", "is not the name of a tool"},
		{"tool name too long", func(c *core.Config) { toolIn(c).Name = strings.Repeat("x", 129) }, "/servers/0/tools/0/name", "1 to 128"},
		{"tool name not ASCII", func(c *core.Config) { toolIn(c).Name = "büch" }, "/servers/0/tools/0/name", "is not the name of a tool"},
		{"tool twice", func(c *core.Config) {
			c.Servers[0].Tools = append(c.Servers[0].Tools, core.ToolConfig{At: core.At{Path: "/servers/0/tools/1"}, Name: "get_book", Invoker: echoes(`{}`)})
		}, "/servers/0/tools/1/name", "there is another tool"},
		{"timeout text", func(c *core.Config) { toolIn(c).Timeout = "5" }, "/servers/0/tools/0/timeout", `"5" is not a duration; write a number and a unit`},
		{"timeout too long", func(c *core.Config) { toolIn(c).Timeout = "6m" }, "/servers/0/tools/0/timeout", "between 1ms and 5m0s"},
		{"timeout zero", func(c *core.Config) { toolIn(c).Timeout = "0s" }, "/servers/0/tools/0/timeout", "out of range"},

		// Kinds.
		{"no kind", func(c *core.Config) { toolIn(c).Invoker = core.KindConfig{} }, "/servers/0/tools/0/invoker/kind", "kind is required; known invoker kinds: echo"},
		{"unknown kind", func(c *core.Config) { toolIn(c).Invoker.Kind = "ehco" }, "/servers/0/tools/0/invoker/kind", `did you mean "echo"?`},
		{"unknown transformer", func(c *core.Config) { toolIn(c).Transformers = []core.KindConfig{{Kind: "jq"}} }, "/servers/0/tools/0/transformers/0/kind", `there is no transformer kind "jq"`},
		{"kind config no JSON", func(c *core.Config) { toolIn(c).Invoker = echoes(`{"text":`) }, "/servers/0/tools/0/invoker/config", "is not JSON"},
		{"kind config twice", func(c *core.Config) { toolIn(c).Invoker = echoes(`{"text":"a","text":"b"}`) }, "/servers/0/tools/0/invoker/config", "is not JSON"},
		{"kind config type", func(c *core.Config) { toolIn(c).Invoker = echoes(`{"text":5}`) }, "/servers/0/tools/0/invoker/config/text", "must be a string, not a number"},
		{"kind config unknown", func(c *core.Config) { toolIn(c).Invoker = echoes(`{"txet":"a"}`) }, "/servers/0/tools/0/invoker/config/txet", `did you mean "text"?`},
		{"kind config range", func(c *core.Config) { toolIn(c).Invoker = echoes(`{"limit":11}`) }, "/servers/0/tools/0/invoker/config/limit", "too large; at most 10"},
		{"kind config enum", func(c *core.Config) { toolIn(c).Invoker = echoes(`{"fail":"tol"}`) }, "/servers/0/tools/0/invoker/config/fail", `did you mean "tool"?`},
		{"kind panics", func(c *core.Config) { toolIn(c).Invoker = echoes(`{"problem":"panic"}`) }, "/servers/0/tools/0/invoker/config", "stumbled over this config: a value of type string"},
		{"kind plain error", func(c *core.Config) { toolIn(c).Invoker = echoes(`{"problem":"plain"}`) }, "/servers/0/tools/0/invoker/config", "plain error of a kind"},
		{"kind error", func(c *core.Config) { toolIn(c).Invoker = echoes(`{"problem":"error"}`) }, "/servers/0/tools/0/invoker/config", "error with a fix; do this"},
		{"kind problem with a place", func(c *core.Config) { toolIn(c).Invoker = echoes(`{"problem":"place","body":{"title":1}}`) }, "/servers/0/tools/0/invoker/config/body/title", "is no good; do better"},
		{"kind makes nothing", func(c *core.Config) { toolIn(c).Invoker = echoes(`{"problem":"nothing"}`) }, "/servers/0/tools/0/invoker/config", "made nothing"},
		{"unknown connection", func(c *core.Config) { toolIn(c).Invoker = echoes(`{"connection":"shpo"}`) }, "/servers/0/tools/0/invoker/config/connection", `there is no connection "shpo"; did you mean "shop"?`},

		// Plugins.
		{"plugin without name", func(c *core.Config) {
			c.Plugins = append(c.Plugins, core.PluginConfig{At: core.At{Source: c.Plugins[0].At.Source, Path: "/plugins/2"}, Source: "x.wasm"})
		}, "/plugins/2/name", "name is required; give the plugin a name"},
		{"plugin name", func(c *core.Config) {
			c.Plugins = append(c.Plugins, core.PluginConfig{At: core.At{Source: c.Plugins[0].At.Source, Path: "/plugins/2"}, Name: "Acme Weather"})
		}, "/plugins/2/name", "for example acme-weather"},
		{"plugin twice", func(c *core.Config) {
			c.Plugins = append(c.Plugins, core.PluginConfig{At: core.At{Source: c.Plugins[0].At.Source, Path: "/plugins/2"}, Name: "geo"})
		}, "/plugins/2/name", `there is another plugin "geo"`},
		{"unknown plugin", func(c *core.Config) { toolIn(c).Authorizers[0] = plugs(`{"plugin":"gard"}`) }, "/servers/0/tools/0/authorizers/0/config", `there is no plugin "gard"; declare it under plugins`},
		{"plugin missing in config", func(c *core.Config) { toolIn(c).Requests[0] = plugs(`{}`) }, "/servers/0/tools/0/requestTransformers/0/config/plugin", "is required"},
		{"unknown authorizer", func(c *core.Config) { toolIn(c).Authorizers[0].Kind = "plgu" }, "/servers/0/tools/0/authorizers/0/kind", `there is no authorizer kind "plgu"; did you mean "plug"?`},
		{"unknown request transformer", func(c *core.Config) { toolIn(c).Requests[0].Kind = "echo" }, "/servers/0/tools/0/requestTransformers/0/kind", `there is no request transformer kind "echo"; known request transformer kinds: plug`},
		{"no authorizer kind", func(c *core.Config) { toolIn(c).Authorizers[0].Kind = "" }, "/servers/0/tools/0/authorizers/0/kind", "kind is required; known authorizer kinds: plug"},
		{"unknown catalogue", func(c *core.Config) { c.Servers[0].Catalogues[0].Kind = "plig" }, "/servers/0/catalogues/0/kind", `there is no catalogue kind "plig"; did you mean "plug"?`},
		{"catalogue config", func(c *core.Config) { c.Servers[0].Catalogues[0].Config = raw(`{"plugin":1}`) }, "/servers/0/catalogues/0/config/plugin", "must be a string, not a number"},
		{"catalogue of no plugin", func(c *core.Config) { c.Servers[0].Catalogues[0].Config = raw(`{"plugin":"goe"}`) }, "/servers/0/catalogues/0/config", `there is no plugin "goe"`},
		{"catalogue timeout", func(c *core.Config) { c.Servers[0].Catalogues[0].Timeout = "6m" }, "/servers/0/catalogues/0/timeout", "between 1ms and 5m0s"},

		// Schemas.
		{"schema no JSON", input(`{"type"`), "/servers/0/tools/0/inputSchema", "is not JSON"},
		{"schema no object", input(`"object"`), "/servers/0/tools/0/inputSchema", "must be a JSON Schema, not a string"},
		{"schema root not object", input(`{"type":"array"}`), "/servers/0/tools/0/inputSchema/type", `write "type": "object"`},
		{"schema without root type", input(`{"properties":{}}`), "/servers/0/tools/0/inputSchema/type", "describes an object"},
		{"schema root true", input(`true`), "/servers/0/tools/0/inputSchema/type", "describes an object"},
		{"schema bad type", input(`{"type":"object","properties":{"a":{"type":"strng"}}}`), "/servers/0/tools/0/inputSchema/properties/a/type", `did you mean "string"?`},
		{"schema bad minimum", input(`{"type":"object","properties":{"a":{"minimum":"1"}}}`), "/servers/0/tools/0/inputSchema/properties/a/minimum", `must be a number, not a string ("1")`},
		{"schema bad required", input(`{"type":"object","required":"a"}`), "/servers/0/tools/0/inputSchema/required", "must be an array"},
		{"schema bad pattern", input(`{"type":"object","properties":{"a":{"pattern":"(?=x)"}}}`), "/servers/0/tools/0/inputSchema/properties/a/pattern", "patterns are RE2"},
		{"schema file ref", input(`{"type":"object","properties":{"a":{"$ref":"file:///etc/passwd"}}}`), "/servers/0/tools/0/inputSchema/properties/a/$ref", "which is outside of this schema"},
		{"schema network ref", input(`{"type":"object","properties":{"a":{"$ref":"https://example.com/s.json"}}}`), "/servers/0/tools/0/inputSchema/properties/a/$ref", "which is outside"},
		{"schema relative ref", input(`{"type":"object","properties":{"a":{"$ref":"other.json#/x"}}}`), "/servers/0/tools/0/inputSchema/properties/a/$ref", "which is outside"},
		{"schema ref beside an id", input(`{"$id":"https://example.com/mine","type":"object","properties":{"a":{"$ref":"other.json"}}}`), "/servers/0/tools/0/inputSchema/properties/a/$ref", "which is outside"},
		{"schema dangling ref", input(`{"type":"object","properties":{"a":{"$ref":"#/$defs/nope"}}}`), "/servers/0/tools/0/inputSchema/properties/a/$ref", "which is not there"},
		{"schema dangling anchor", input(`{"type":"object","properties":{"a":{"$ref":"#nope"}}}`), "/servers/0/tools/0/inputSchema/properties/a/$ref", "which is not there"},
		{"schema circle", input(`{"type":"object","$defs":{"a":{"$ref":"#/$defs/b"},"b":{"$ref":"#/$defs/a"}},"properties":{"a":{"$ref":"#/$defs/a"}}}`), "/servers/0/tools/0/inputSchema/$defs/", "refers back to itself"},
		{"schema dialect", input(`{"$schema":"https://example.com/dialect","type":"object"}`), "/servers/0/tools/0/inputSchema/$schema", "dialect that is not known"},
		{"schema too deep", input(`{"type":"object","properties":{"a":` + nested(40) + `}}`), "/servers/0/tools/0/inputSchema/properties/a/items/", "more than 32 schemas deep"},
		{"schema too wide", input(manyProperties(1000)), "/servers/0/tools/0/inputSchema", "more than 1000 subschemas"},
		{"schema huge number", input(`{"type":"object","properties":{"a":{"maximum":1e99999}}}`), "/servers/0/tools/0/inputSchema/properties/a/maximum", "out of range"},
		{"output schema", func(c *core.Config) { toolIn(c).OutputSchema = raw(`{"type":"objekt"}`) }, "/servers/0/tools/0/outputSchema/type", `did you mean "object"?`},
		{"header no token", input(`{"type":"object","properties":{"a":{"type":"string","x-mcp-header":"a b"}}}`), "/servers/0/tools/0/inputSchema/properties/a/x-mcp-header", "cannot stand in a header name"},
		{"header no string", input(`{"type":"object","properties":{"a":{"type":"string","x-mcp-header":true}}}`), "/servers/0/tools/0/inputSchema/properties/a/x-mcp-header", "not a boolean"},
		{"header on a number", input(`{"type":"object","properties":{"a":{"type":"number","x-mcp-header":"A"}}}`), "/servers/0/tools/0/inputSchema/properties/a/x-mcp-header", "no type that a header can hold"},
		{"header on two types", input(`{"type":"object","properties":{"a":{"type":["string","null"],"x-mcp-header":"A"}}}`), "/servers/0/tools/0/inputSchema/properties/a/x-mcp-header", "no type that a header can hold"},
		{"header twice", input(`{"type":"object","properties":{"a":{"type":"string","x-mcp-header":"Aa"},"b":{"type":"object","properties":{"c":{"type":"string","x-mcp-header":"aA"}}}}}`), "/servers/0/tools/0/inputSchema/properties/b/properties/c/x-mcp-header", `is also that of "a"`},
		{"header in items", input(`{"type":"object","properties":{"a":{"type":"array","items":{"type":"string","x-mcp-header":"A"}}}}`), "/servers/0/tools/0/inputSchema/properties/a/items/x-mcp-header", "that properties lead to"},
		{"header in $defs", input(`{"type":"object","$defs":{"a":{"type":"string","x-mcp-header":"A"}}}`), "/servers/0/tools/0/inputSchema/$defs/a/x-mcp-header", "that properties lead to"},
		{"header at the root", input(`{"type":"object","x-mcp-header":"A"}`), "/servers/0/tools/0/inputSchema/x-mcp-header", "that properties lead to"},

		// Connections.
		{"connection without name", func(c *core.Config) { connection(c).Name = "" }, "/connections/0/name", "name is required"},
		{"connection name", func(c *core.Config) { connection(c).Name = "a b" }, "/connections/0/name", "is not a name"},
		{"connection twice", func(c *core.Config) {
			c.Connections = append(c.Connections, core.ConnectionConfig{At: core.At{Path: "/connections/1"}, Name: "shop", BaseURL: "https://a.example"})
		}, "/connections/1/name", "there is another connection"},
		{"no base URL", func(c *core.Config) { connection(c).BaseURL = "" }, "/connections/0/baseUrl", "is required"},
		{"base URL scheme", func(c *core.Config) { connection(c).BaseURL = "ftp://a.example" }, "/connections/0/baseUrl", "use http or https"},
		{"base URL user", func(c *core.Config) { connection(c).BaseURL = "https://u:canary-password@a.example" }, "/connections/0/baseUrl", "put it into credential"},
		{"base URL host", func(c *core.Config) { connection(c).BaseURL = "https:///x" }, "/connections/0/baseUrl", "no usable host"},
		{"base URL query", func(c *core.Config) { connection(c).BaseURL = "https://a.example/?key=canary-key" }, "/connections/0/baseUrl", "has a query"},
		{"base URL port", func(c *core.Config) { connection(c).BaseURL = "https://a.example:70000" }, "/connections/0/baseUrl", "no usable port"},
		{"base URL no URL", func(c *core.Config) { connection(c).BaseURL = "https://a b/%zz" }, "/connections/0/baseUrl", "is not a URL"},
		{"header name", func(c *core.Config) { connection(c).Headers = map[string]string{"a b": "x"} }, "/connections/0/headers/a b", "is not the name of a header"},
		{"header of ours", func(c *core.Config) { connection(c).Headers = map[string]string{"Host": "x"} }, "/connections/0/headers/Host", "set by the gateway itself"},
		{"header line break", func(c *core.Config) { connection(c).Headers = map[string]string{"X-A": "a\r\nb: c"} }, "/connections/0/headers/X-A", "not allowed"},
		{"header twice by case", func(c *core.Config) { connection(c).Headers = map[string]string{"X-A": "a", "x-a": "b"} }, "/connections/0/headers/x-a", "also as X-A"},
		{"header and credential", func(c *core.Config) { connection(c).Headers = map[string]string{"authorization": "x"} }, "/connections/0/headers/authorization", "also set by credential"},
		{"credential type", func(c *core.Config) { connection(c).Credential.Type = "baerer" }, "/connections/0/credential/type", `did you mean "bearer"?`},
		{"credential without type", func(c *core.Config) { connection(c).Credential.Type = "" }, "/connections/0/credential/type", "bearer, basic, header, query or user"},
		{"credential incomplete", func(c *core.Config) { connection(c).Credential.Token = "" }, "/connections/0/credential/token", "needs token"},
		{"credential mixed", func(c *core.Config) { connection(c).Credential.Username = "u" }, "/connections/0/credential/username", "has no username"},
		{"basic incomplete", func(c *core.Config) {
			connection(c).Credential = &core.CredentialConfig{Type: "basic", Username: "u"}
		}, "/connections/0/credential/password", "needs password"},
		{"basic colon", func(c *core.Config) {
			connection(c).Credential = &core.CredentialConfig{Type: "basic", Username: "u:v", Password: "p"}
		}, "/connections/0/credential/username", "RFC 7617"},
		{"credential header name", func(c *core.Config) {
			connection(c).Credential = &core.CredentialConfig{Type: "header", Name: "Host", Value: "p"}
		}, "/connections/0/credential/name", "cannot be the name of a header"},
		{"credential line break", func(c *core.Config) { connection(c).Credential.Token = "canary-token\n" }, "/connections/0/credential/token", "ends with a line break"},
		{"tls over http", func(c *core.Config) {
			connection(c).BaseURL, connection(c).TLS = "http://127.0.0.1", &core.TLSConfig{ServerName: "a.example"}
		}, "/connections/0/tls", "use https"},
		{"tls ca", func(c *core.Config) { connection(c).TLS = &core.TLSConfig{CA: "nonsense"} }, "/connections/0/tls/ca", "holds no certificate"},
		{"tls ca is a key", func(c *core.Config) { connection(c).TLS = &core.TLSConfig{CA: key} }, "/connections/0/tls/ca", "holds a ec private key"},
		{"tls key missing", func(c *core.Config) { connection(c).TLS = &core.TLSConfig{Certificate: certificate} }, "/connections/0/tls/key", "give both"},
		{"tls certificate missing", func(c *core.Config) { connection(c).TLS = &core.TLSConfig{Key: core.Secret(key)} }, "/connections/0/tls/certificate", "give both"},
		{"tls pair", func(c *core.Config) {
			connection(c).TLS = &core.TLSConfig{Certificate: certificate, Key: core.Secret(otherKey)}
		}, "/connections/0/tls/key", "is not the PEM text of the private key"},
		{"tls server name", func(c *core.Config) { connection(c).TLS = &core.TLSConfig{ServerName: "https://a"} }, "/connections/0/tls/serverName", "is not a host name"},
		{"connect timeout", func(c *core.Config) { connection(c).Timeouts.Connect = "2m" }, "/connections/0/timeouts/connect", "between 1ms and 1m0s"},
		{"first byte timeout", func(c *core.Config) { connection(c).Timeouts.FirstByte = "soon" }, "/connections/0/timeouts/firstByte", "is not a duration"},
		{"max bytes", func(c *core.Config) { connection(c).MaxBytes = -1 }, "/connections/0/maxResponseBytes", "out of range"},
		{"redirects", func(c *core.Config) { connection(c).Redirects = 4 }, "/connections/0/followRedirects", "between 0 and 3"},
		{"retries", func(c *core.Config) { n := -1; connection(c).Retries = &n }, "/connections/0/retries", "between 0 and 5"},
		{"in flight", func(c *core.Config) { connection(c).InFlight = 1 << 20 }, "/connections/0/maxInFlight", "out of range"},
		{"breaker share", func(c *core.Config) { connection(c).Breaker.Share = 1.5 }, "/connections/0/breaker/failureShare", "out of range"},
		{"breaker window", func(c *core.Config) { connection(c).Breaker.Window = "0s" }, "/connections/0/breaker/window", "out of range"},

		// Prompts.
		{"prompt without name", func(c *core.Config) { promptOf(c).Name = "" }, "/servers/0/prompts/0/name", "name is required"},
		{"prompt empty", func(c *core.Config) { promptOf(c).Messages = nil }, "/servers/0/prompts/0/messages", "needs messages or an invoker"},
		{"prompt both", func(c *core.Config) { promptOf(c).Invoker = &core.KindConfig{Kind: "echo"} }, "/servers/0/prompts/0/invoker", "not both"},
		{"prompt unknown place", func(c *core.Config) { promptOf(c).Messages[0].Text = "{{topic}} {{topci}}" }, "/servers/0/prompts/0/messages/0/text", `there is no argument "topci"; did you mean "topic"?`},
		{"prompt open place", func(c *core.Config) { promptOf(c).Messages[0].Text = "{{topic}} {{topic" }, "/servers/0/prompts/0/messages/0/text", "has a {{ without its }}"},
		{"prompt odd place", func(c *core.Config) { promptOf(c).Messages[0].Text = "{{topic}} {{#if x}}" }, "/servers/0/prompts/0/messages/0/text", "is not the name of an argument"},
		{"prompt role", func(c *core.Config) { promptOf(c).Messages[0].Role = "system" }, "/servers/0/prompts/0/messages/0/role", `known are "assistant", "user"`},
		{"prompt no role", func(c *core.Config) { promptOf(c).Messages[0].Role = "" }, "/servers/0/prompts/0/messages/0/role", "role is required"},
		{"message empty", func(c *core.Config) { promptOf(c).Messages[1].Image = nil }, "/servers/0/prompts/0/messages/1", "needs something to say"},
		{"message two bodies", func(c *core.Config) { promptOf(c).Messages[1].Text = "x" }, "/servers/0/prompts/0/messages/1", "has text and image"},
		{"image both", func(c *core.Config) { promptOf(c).Messages[1].Image.Base64 = "aGk=" }, "/servers/0/prompts/0/messages/1/image", "file and base64"},
		{"image neither", func(c *core.Config) { promptOf(c).Messages[1].Image.File = "" }, "/servers/0/prompts/0/messages/1/image", "neither file nor base64"},
		{"image missing", func(c *core.Config) { promptOf(c).Messages[1].Image.File = "no.png" }, "/servers/0/prompts/0/messages/1/image/file", `there is no file "no.png"`},
		{"image of text", func(c *core.Config) { promptOf(c).Messages[1].Image.File = "readme.md" }, "/servers/0/prompts/0/messages/1/image/mimeType", "is not a type of image"},
		{"image without type", func(c *core.Config) {
			promptOf(c).Messages[1].Image = &core.BinaryConfig{Base64: "aGk="}
		}, "/servers/0/prompts/0/messages/1/image/mimeType", "needs a mimeType"},
		{"image no base64", func(c *core.Config) {
			promptOf(c).Messages[1].Image = &core.BinaryConfig{Base64: "###", MIMEType: "image/png"}
		}, "/servers/0/prompts/0/messages/1/image/base64", "is not base64"},
		{"audio of image", func(c *core.Config) {
			promptOf(c).Messages[1] = core.MessageConfig{Role: "user", Audio: &core.BinaryConfig{Base64: "aGk=", MIMEType: "image/png"}}
		}, "/servers/0/prompts/0/messages/1/audio/mimeType", "is not a type of audio"},
		{"embedded unknown", func(c *core.Config) { promptOf(c).Messages[2].Resource.URI = "docs://raedme" }, "/servers/0/prompts/0/messages/2/resource/uri", `did you mean "docs://readme"?`},
		{"embedded no URI", func(c *core.Config) { promptOf(c).Messages[2].Resource.URI = "readme" }, "/servers/0/prompts/0/messages/2/resource/uri", "not an absolute URI"},
		{"embedded type", func(c *core.Config) { promptOf(c).Messages[2].Resource.MIMEType = "text" }, "/servers/0/prompts/0/messages/2/resource/mimeType", "is not a media type"},
		{"argument without name", func(c *core.Config) { promptOf(c).Arguments[0].Name = "" }, "/servers/0/prompts/0/arguments/0/name", "name is required"},
		{"argument name", func(c *core.Config) { promptOf(c).Arguments[0].Name = "a b" }, "/servers/0/prompts/0/arguments/0/name", "is not the name of an argument"},
		{"argument twice", func(c *core.Config) {
			promptOf(c).Arguments = append(promptOf(c).Arguments, core.PromptArgumentConfig{Name: "topic"})
		}, "/servers/0/prompts/0/arguments/1/name", "there is another argument"},
		{"value twice", func(c *core.Config) { promptOf(c).Arguments[0].Values = []string{"a", "a"} }, "/servers/0/prompts/0/arguments/0/values/1", "is there twice"},
		{"prompt timeout", func(c *core.Config) { promptOf(c).Timeout = "1h" }, "/servers/0/prompts/0/timeout", "out of range"},

		// Resources.
		{"resource without name", func(c *core.Config) { resourceN(c, 0).Name = "" }, "/servers/0/resources/0/name", "name is required"},
		{"resource name", func(c *core.Config) { resourceN(c, 0).Name = "a\nb" }, "/servers/0/resources/0/name", "without control characters"},
		{"resource without URI", func(c *core.Config) { resourceN(c, 1).URI = "" }, "/servers/0/resources/1/uri", "is required"},
		{"resource relative URI", func(c *core.Config) { resourceN(c, 1).URI = "docs/readme" }, "/servers/0/resources/1/uri", "begin it with a scheme"},
		{"resource URI blank", func(c *core.Config) { resourceN(c, 1).URI = "docs://a b" }, "/servers/0/resources/1/uri", "percent-encode it"},
		{"resource URI percent", func(c *core.Config) { resourceN(c, 1).URI = "docs://a%zz" }, "/servers/0/resources/1/uri", "write a percent sign as %25"},
		{"resource URI places", func(c *core.Config) { resourceN(c, 1).URI = "docs://{a}" }, "/servers/0/resources/1/uri", "resourceTemplates"},
		{"resource URI twice", func(c *core.Config) { resourceN(c, 1).URI = "docs://readme" }, "/servers/0/resources/1/uri", "there is another one"},
		{"resource with template", func(c *core.Config) { resourceN(c, 1).URITemplate = "docs://{a}" }, "/servers/0/resources/1/uriTemplate", "move it to resourceTemplates"},
		{"resource with completions", func(c *core.Config) { resourceN(c, 1).Completions = map[string][]string{"a": {"b"}} }, "/servers/0/resources/1/completions", "nothing to complete"},
		{"resource holds nothing", func(c *core.Config) { resourceN(c, 1).Text = nil }, "/servers/0/resources/1", "nothing says what the resource holds"},
		{"resource holds two", func(c *core.Config) { resourceN(c, 1).File = "readme.md" }, "/servers/0/resources/1", "has text and file"},
		{"resource type", func(c *core.Config) { resourceN(c, 1).MIMEType = "text/" }, "/servers/0/resources/1/mimeType", "is not a media type"},
		{"resource size", func(c *core.Config) { n := int64(7); resourceN(c, 1).Size = &n }, "/servers/0/resources/1/size", "size says 7, and there are 5 bytes"},
		{"resource base64", func(c *core.Config) { resourceN(c, 2).Base64 = "aGVsbG8" }, "/servers/0/resources/2/base64", "is not base64"},
		{"file missing", func(c *core.Config) { resourceN(c, 0).File = "no.md" }, "/servers/0/resources/0/file", `there is no file "no.md"`},
		{"file absolute", func(c *core.Config) { resourceN(c, 0).File = "/etc/passwd" }, "/servers/0/resources/0/file", "is absolute"},
		{"file outside", func(c *core.Config) { resourceN(c, 0).File = "../x" }, "/servers/0/resources/0/file", "leads out of the directory"},
		{"file outside and back", func(c *core.Config) { resourceN(c, 0).File = "docs/../../x" }, "/servers/0/resources/0/file", "leads out of the directory"},
		{"file backslash", func(c *core.Config) { resourceN(c, 0).File = `docs\a.md` }, "/servers/0/resources/0/file", "separate directories with /"},
		{"file is a directory", func(c *core.Config) { resourceN(c, 0).File = "docs" }, "/servers/0/resources/0/file", "is not a regular file"},
		{"file without a directory", func(c *core.Config) { c.Servers[0].Source, resourceN(c, 0).Source = nil, nil }, "/servers/0/resources/0/file", "there is no directory to read files from"},
		{"template without URI", func(c *core.Config) { templateN(c, 0).URITemplate = "" }, "/servers/0/resourceTemplates/0/uriTemplate", "is empty"},
		{"template with URI", func(c *core.Config) { templateN(c, 0).URI = "docs://x" }, "/servers/0/resourceTemplates/0/uri", "has no uri"},
		{"template without place", func(c *core.Config) { templateN(c, 0).URITemplate = "docs://x" }, "/servers/0/resourceTemplates/0/uriTemplate", "has no place"},
		{"template open", func(c *core.Config) { templateN(c, 0).URITemplate = "docs://{name" }, "/servers/0/resourceTemplates/0/uriTemplate", "has a { without its }"},
		{"template closed", func(c *core.Config) { templateN(c, 0).URITemplate = "docs://name}" }, "/servers/0/resourceTemplates/0/uriTemplate", "has a } without its {"},
		{"template operator", func(c *core.Config) { templateN(c, 0).URITemplate = "docs://{?name}" }, "/servers/0/resourceTemplates/0/uriTemplate", "is not supported"},
		{"template twice the same place", func(c *core.Config) { templateN(c, 0).URITemplate = "docs://{name}/{name}" }, "/servers/0/resourceTemplates/0/uriTemplate", "twice"},
		{"template side by side", func(c *core.Config) { templateN(c, 0).URITemplate = "docs://{name}{b}" }, "/servers/0/resourceTemplates/0/uriTemplate", "side by side"},
		{"template without scheme", func(c *core.Config) { templateN(c, 0).URITemplate = "{name}://x" }, "/servers/0/resourceTemplates/0/uriTemplate", "does not begin with a scheme"},
		{"template named uri", func(c *core.Config) { templateN(c, 0).URITemplate = "docs://{uri}" }, "/servers/0/resourceTemplates/0/uriTemplate", "a place named uri"},
		{"template twice", func(c *core.Config) { templateN(c, 1).URITemplate = "docs://files/{name}" }, "/servers/0/resourceTemplates/1/uriTemplate", "there is another one"},
		{"template completion", func(c *core.Config) { templateN(c, 0).Completions = map[string][]string{"nam": {"a"}} }, "/servers/0/resourceTemplates/0/completions/nam", `did you mean "name"?`},
		{"template file place", func(c *core.Config) { templateN(c, 0).File = "docs/{nmae}.md" }, "/servers/0/resourceTemplates/0/file", `did you mean "name"?`},
		{"template file without directory", func(c *core.Config) { templateN(c, 0).File = "{name}.md" }, "/servers/0/resourceTemplates/0/file", "any file of the directory"},
		{"template file half a directory", func(c *core.Config) { templateN(c, 0).File = "doc{name}.md" }, "/servers/0/resourceTemplates/0/file", "any file of the directory"},
		{"template file up", func(c *core.Config) { templateN(c, 0).File = "docs/../{name}" }, "/servers/0/resourceTemplates/0/file", "is not a clean path"},
		{"template file open", func(c *core.Config) { templateN(c, 0).File = "docs/{name" }, "/servers/0/resourceTemplates/0/file", "without the other"},
		{"template directory missing", func(c *core.Config) { templateN(c, 0).File = "nodocs/{name}" }, "/servers/0/resourceTemplates/0/file", `there is no directory "nodocs"`},
		{"template size", func(c *core.Config) { n := int64(7); templateN(c, 0).Size = &n }, "/servers/0/resourceTemplates/0/size", "has no meaning here"},
		{"template invoker kind", func(c *core.Config) { templateN(c, 1).Invoker.Kind = "x" }, "/servers/0/resourceTemplates/1/invoker/kind", "there is no invoker kind"},
	}
}
