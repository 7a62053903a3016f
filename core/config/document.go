package config

import (
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/core"
)

// document is the shape of a gateway document.
var document = describe[core.Config]("document",
	"A gateway document: servers as MCP clients see them, and the connections that their tools use. All documents of a gateway are read together.",
	map[string]string{
		"tools": "tools stand in a server: servers[].tools", "prompts": "prompts stand in a server: servers[].prompts",
		"resources": "resources stand in a server: servers[].resources", "server": `write servers, and begin the server with "- "`,
		"mcpServers": "run `sallyport import` on that file: it writes upstreams",
		"listen":     startUp, "data": startUp, "egress": startUp, "log": startUp, "limits": startUp, "drain": startUp,
		"allowedHosts": startUp, "allowedOrigins": startUp, "trustedProxies": startUp, "config": startUp,
	},
	may("$schema", line(), "Names the JSON Schema for editors; the gateway ignores it. In YAML a first line `# yaml-language-server: $schema=…` does the same.").
		such("./gateway.schema.json").ignore(),
	may("connections", many(connection), "Reusable profiles of the upstreams that tools call."),
	may("plugins", many(plugin), "WebAssembly plugins that tools use, or that stand before and behind them."),
	may("upstreams", many(upstream), "MCP servers that the gateway calls, for clients that call the gateway."),
	may("servers", many(server), "The MCP servers that clients see."),
)

const startUp = "this is a start-up setting: it stands in the settings file (see docs/settings.md)"

var allowedInDocuments = "references may stand in " + strings.Join(parents(places(document)), ", ") +
	", and where the config of a kind says so; text that holds ${ itself is written $${"

// connection and its parts.

var connection = describe[core.ConnectionConfig]("connection",
	"A reusable profile of one upstream: where it is, how to prove who we are, and how patient to be. Tools name it in the config of their invoker.",
	map[string]string{"url": "write baseUrl", "timeout": "write timeouts: {total: 10s}", "auth": "write credential", "authorization": "write credential", "token": "write credential: {type: bearer, token: …}"},
	must("name", line(), "How tools refer to it. Unique among all documents.").such("shop"),
	must("baseUrl", matching(`^https?://[^/?#@\s\\]+(/[^?#\s\\]*)?$`, "an http or https URL with a host, without user, query and fragment").refers(),
		"Where the upstream is. The path of a call is joined to it; host and scheme never come from anywhere else.").
		such("https://api.example.com/v2", "${env:SHOP_URL}"),
	may("headers", mapping("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$", "the name of an HTTP header", matching(`^[^\r\n]*$`, "the value of a header, without line breaks").hide()),
		"Headers sent with every request. A secret belongs into `credential`, which is never shown.").
		such("{Accept-Language: en, X-Tenant: \"${env:TENANT}\"}"),
	may("credential", credential, "How the upstream knows us.").without("no credential is sent"),
	may("tls", tls, "How to trust the upstream, and who we are to it.").without("the system's certificate authorities"),
	may("http2", onOff(), "Speak HTTP/2 where the upstream offers it, instead of HTTP/1.1.").otherwise("false"),
	may("timeouts", timeouts, "How long to wait for the upstream."),
	may("maxResponseBytes", whole(1, 1<<30), "The largest answer, in bytes after decompression (8388608 is 8 MiB). A larger one fails the call.").otherwise("8388608"),
	may("followRedirects", whole(0, 3), "How many redirects to follow. Each hop is checked like a call, and credentials stay on the same origin.").otherwise("0"),
	may("retries", whole(0, 5), "How often an idempotent request is tried again when the connection broke or the status says so; all retries together stay within a budget.").filling("1"),
	may("maxInFlight", whole(1, 100_000), "How many requests may be on their way to the upstream at once.").otherwise("64"),
	may("maxQueued", whole(1, 100_000), "How many more may wait for one of those places, a second at most. Beyond that calls are refused.").otherwise("64"),
	may("breaker", breaker, "When to stop asking an upstream that fails.").without("opens when half of at least 20 requests in 10s failed, for 5s"),
).like(`
name: shop
baseUrl: https://api.example.com/v2
headers:
  Accept-Language: en
credential:
  type: bearer
  token: ${env:SHOP_TOKEN:-only-an-example}
timeouts:
  connect: 2s
  total: 10s
maxInFlight: 32
`)

var credential = func() *shape {
	s := describe[core.CredentialConfig]("credential",
		"How the upstream knows us: a bearer token, a user and password, an API key in a header or in the query, or each caller's own account. It is sent with every request and never shown or logged.", nil,
		must("type", words("bearer", "basic", "header", "query", "user"), "Which sort it is, and so which other keys stand here: bearer takes token; basic takes username and password; header and query take name and value; user takes connector."),
		may("token", prose().hide(), "The token of `Authorization: Bearer`.").such("${env:SHOP_TOKEN}"),
		may("username", prose().refers(), "The user name of `Authorization: Basic`.").such("gateway"),
		may("password", prose().hide(), "The password of `Authorization: Basic`.").such("${file:/run/secrets/shop-password}"),
		may("name", line(), "The name of the header, or of the query parameter.").such("X-Api-Key"),
		may("value", prose().hide(), "Its value.").such("${file:secrets/api-key}"),
		may("connector", line(), "The connector (admin API) through which callers connect their own accounts. A caller that has not yet is asked to.").such("github"),
	).like(`
type: header
name: X-Api-Key
value: ${env:SHOP_KEY:-only-an-example}
`)
	s.cases = &cases{on: "type", need: map[string][]string{
		"bearer": {"token"}, "basic": {"username", "password"}, "header": {"name", "value"}, "query": {"name", "value"}, "user": {"connector"},
	}}
	return s
}()

var tls = describe[core.TLSConfig]("tls", "Trust and identity in TLS. Certificates and keys are PEM text, usually by `${file:…}`.", nil,
	may("ca", prose().refers(), "The certificate authorities to trust instead of the system's.").such("${file:certs/ca.pem}"),
	may("certificate", prose().refers(), "Our certificate, for upstreams that ask for one. Goes with `key`.").such("${file:certs/client.pem}"),
	may("key", prose().hide(), "The private key of `certificate`.").such("${file:/run/secrets/client-key.pem}"),
	may("serverName", line().refers(), "The name that the upstream's certificate must hold.").without("the host of baseUrl").such("api.internal"),
	may("insecureSkipVerify", onOff(), "Trust any certificate. For experiments only: everybody on the way can read and change the traffic. A warning is logged.").otherwise("false"),
).like(`
ca: ${file:certs/ca.pem}
serverName: api.internal
`)

var timeouts = describe[core.TimeoutsConfig]("timeouts", "How long to wait for an upstream.", map[string]string{"read": "write firstByte", "request": "write total"},
	may("connect", lasting(time.Millisecond, 5*time.Minute), "For a connection, TLS included.").otherwise("3s").such("2s"),
	may("firstByte", lasting(time.Millisecond, 5*time.Minute), "From the end of the request to the first byte of the answer.").otherwise("10s").such("5s"),
	may("total", lasting(time.Millisecond, 5*time.Minute), "For the whole exchange, retries included.").without("the timeout of the tool").such("10s"),
).like(`
connect: 2s
firstByte: 5s
total: 10s
`)

var breaker = describe[core.BreakerConfig]("breaker", "The circuit breaker of a connection: while it is open, calls fail at once instead of waiting.", nil,
	may("disabled", onOff(), "Never open.").otherwise("false"),
	may("failureShare", atLeastShare(0.01), "Open when this share of the requests in the window failed: 0.5 is half of them. Failed are those without an answer in time and those answered 502, 503 or 504; a 500 speaks of one request, not of the upstream.").otherwise("0.5").such("0.5"),
	may("minRequests", whole(1, 1_000_000), "Do not judge before this many requests in the window.").otherwise("20").such("20"),
	may("window", lasting(100*time.Millisecond, time.Hour), "How far to look back.").otherwise("10s").such("10s"),
	may("openFor", lasting(100*time.Millisecond, time.Hour), "How long to stay open before trying one request; up to a fifth longer, so that replicas do not try in step.").otherwise("5s").such("5s"),
).like(`
failureShare: 0.5
minRequests: 20
window: 10s
openFor: 5s
`)

// Parts that servers, tools and prompts share.

var icon = describe[struct {
	Source string   `json:"src"`
	MIME   string   `json:"mimeType"`
	Sizes  []string `json:"sizes"`
	Theme  string   `json:"theme"`
}]("icon", "A picture that a client may show.", nil,
	must("src", line(), "An https URL, or a data: URI.").such("https://example.com/book.svg"),
	may("mimeType", line(), "The type of the picture.").such("image/svg+xml"),
	may("sizes", many(line()), "Sizes as WIDTHxHEIGHT, or any.").such("[48x48]"),
	may("theme", words("light", "dark"), "Which background it is made for.").without("both"),
)

const iconsAbout = "Pictures that a client may show beside it."

// kindOf is the shape of a part that names a kind. role says of which sort: Options
// has a list of kinds for each.
func kindOf[T any](role, says, example string, besides ...*field) *shape {
	s := describe[T](role, says, map[string]string{
		"type": "write kind", "name": "write kind", "method": inConfig, "path": inConfig, "connection": inConfig, "url": inConfig, "expression": inConfig, "plugin": inConfig,
	}, append([]*field{
		must("kind", line(), "Which sort it is; `sallyport schema` and docs/kinds.md describe them all.").such(example),
		may("config", anything, "What the kind needs to know. Each kind has a JSON Schema for it."),
	}, besides...)...)
	s.role = role
	return s
}

const inConfig = "it stands one level deeper: config"

// The roles of kinds.
const (
	roleInvoker     = "invoker"
	roleTransformer = "transformer"
	roleRequest     = "requestTransformer"
	roleAuthorizer  = "authorizer"
	roleCatalogue   = "catalogue"
)

var (
	invoker     = kindOf[core.KindConfig](roleInvoker, "What runs a tool, or stands behind a prompt or a resource: its kind, and the config of that kind.", "rest")
	transformer = kindOf[core.KindConfig](roleTransformer, "What rewrites a result: its kind, and the config of that kind.", "jq")
	request     = kindOf[core.KindConfig](roleRequest, "What rewrites the arguments of a call before the tool runs: its kind, and the config of that kind.", "wasm")
	asked       = kindOf[core.KindConfig](roleAuthorizer, "What is asked about a call that is otherwise allowed, arguments included: its kind, and the config of that kind. It can only refuse.", "wasm")
	catalogue   = kindOf[core.CatalogueConfig](roleCatalogue, "Tools that are known only when the gateway runs: a kind, and the config of that kind. A tool of the document wins over one of the same name here.", "wasm",
		may("prefix", matching(`^[A-Za-z0-9_.-]{1,64}$`, "1 to 64 letters, digits, _, . and -"), "Put before the name of each of its tools.").such("weather."),
		timeout("a call of one of its tools"),
	).like(`
kind: wasm
config: {plugin: weather}
prefix: weather.
timeout: 10s
`)
)

func timeout(of string) *field {
	return may("timeout", lasting(time.Millisecond, 5*time.Minute), "How long "+of+" may take, as a Go duration; at most 5m.").otherwise("30s").such("10s")
}

func metadata() *field {
	return may("_meta", jsonObject(), "Sent to clients as it is.").such("{example.com/owner: shelves}")
}

// parents cuts places to two steps: what a message has room for.
func parents(places []string) []string {
	for i, place := range places {
		if steps := strings.SplitN(place, ".", 3); len(steps) > 2 {
			places[i] = steps[0] + "." + steps[1]
		}
	}
	return slices.Compact(places)
}
