package config

import (
	"time"

	"github.com/sallyport/sallyport/core"
)

const mebibyte = 1 << 20

// plugin and its parts. Grants and limits are spelled as in the manifest of a plugin,
// so that what it asks for can be copied and narrowed.

var plugin = describe[core.PluginConfig]("plugin",
	"One WebAssembly plugin: where it comes from, what it may reach, and where it stands. Kinds named wasm use it by its name; with `match` it also stands before or behind tools that do not name it.",
	map[string]string{
		"url": "write source", "path": "write source", "file": "write source", "module": "write source", "wasm": "write source", "image": "write source: oci://…",
		"enabled": "write disabled: true, or nothing", "capabilities": "write grants: what it asks for stands in its manifest", "permissions": "write grants", "allow": "write grants",
		"sha256": "write digest: sha256:…", "http": inGrants, "kv": inGrants, "progress": inGrants, "call_tool": inGrants,
		"memory": inLimits, "timeout": inLimits, "cpu": inLimits, "instances": inLimits, "queue": inLimits, "max_input": inLimits, "max_output": inLimits,
		"servers": inMatch, "tools": inMatch, "kinds": "its manifest says of which kinds it is",
	},
	must("name", matching(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`, "1 to 63 small letters, digits and -, beginning and ending with a letter or digit"),
		"What documents call it. Unique among all documents.").such("weather"),
	must("source", matching(`^(oci://[^/\s]+/[^\s]+|store:[a-z0-9][a-z0-9-]{0,127}[a-z0-9]|[^:\s][^:\r\n]*)$`, "a file, oci://HOST/REPOSITORY with a tag or a digest, or store:NAME").named("upload the module and write store:NAME, or write oci://HOST/REPOSITORY"),
		"Where the module is: a file, `oci://host/repository[:tag][@digest]`, or `store:NAME`, a module that was uploaded to the tenant and approved. A relative path stays below the directory of the document. A tag that moves is noticed.").
		such("plugins/weather.wasm", "oci://registry.example.com/acme/weather:1.4", "store:acme-weather"),
	may("manifest", matching(`^[^:\s][^:\r\n]*$`, "a file").named("leave it out: the manifest in the module counts, or that which was uploaded with it"), "The file of its manifest, for a module that has none in it.").
		without("the manifest in the module, or plugin.yaml beside it").such("plugins/weather/plugin.yaml"),
	may("digest", matching(`^sha256:[0-9a-f]{64}$`, "sha256: and 64 hexadecimal digits in small letters"),
		"The one content that is loaded, as `sallyport plugin inspect` prints it. It also approves what this version asks for.").without("any content that `trust` lets pass").
		such("sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"),
	may("disabled", onOff(), "Do not load it. What names it is refused, and nothing of it stands before or behind tools.").otherwise("false"),
	may("config", jsonObject(), "What the plugin is told, checked against the config_schema of its manifest. It holds no references: a secret belongs into `secrets`.").such("{units: metric}"),
	may("secrets", mapping(`^[a-z0-9]([a-z0-9_.-]{0,62}[a-z0-9])?$`, "small letters, digits, _, - and ., at most 64", prose().hide()),
		"Values for the secrets that its manifest names. The plugin sees those that `grants` lets it read; the gateway adds the others to requests itself.").
		such("{weather_key: \"${env:WEATHER_KEY}\"}"),
	may("grants", grants, "What it may reach. What its manifest asks for beyond that is refused to it.").without("nothing"),
	may("limits", pluginLimits, "What it may use. Its manifest may only lower that."),
	may("isolation", words("call"), "call: memory is put back after each call, so that nothing of one caller is left for the next.").without("as its manifest says"),
	may("trust", words("required", "warn", "off"), "Whether somebody who is trusted must have signed it. Never weaker than the setting `plugins.trust`.").without("as the setting says"),
	may("match", match, "The tools that it stands before or behind, without being named by them: as authorizer, request transformer or response transformer, whichever it is.").without("only where it is named"),
	may("priority", whole(-1000, 1000), "Among the plugins that match a tool the higher one is further out: first before the call, last behind it.").otherwise("0").such("10"),
	may("refresh", lasting(time.Second, 24*time.Hour), "How often its tools are asked for again, where it is a catalogue of tools.").otherwise("1m").such("5m"),
).like(`
name: weather
source: oci://registry.example.com/acme/weather:1.4.0
digest: sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
config: {units: metric}
secrets:
  weather_key: ${env:WEATHER_KEY:-only-an-example}
grants:
  http:
    - host: api.weather.example
      methods: [GET]
      inject: {header: X-Api-Key, secret: weather_key}
  kv: {namespace: weather, max_bytes: 1MiB}
limits: {memory: 32MiB, timeout: 5s, cpu: 500ms}
`)

const (
	inGrants = "it stands one level deeper: grants"
	inLimits = "it stands one level deeper: limits"
	inMatch  = "it stands one level deeper: match"
)

var grants = describe[core.GrantsConfig]("grants", "What a plugin may reach, spelled like the capabilities of its manifest: the part that is in both is what it gets.",
	map[string]string{"hosts": "write http: [{host: …}]", "net": "write http: [{host: …}]", "storage": "write kv", "tools": "write call_tool"},
	may("http", many(httpGrant), "Hosts that it may call."),
	may("kv", kvGrant, "The key-value store."),
	may("secrets", many(matching(`^(\*|[a-z0-9]([a-z0-9_.-]{0,62}([a-z0-9]|\*))?)$`, "the name of a secret, or the beginning of names and *")),
		"Secrets whose values it may read. One that is only injected into requests need not stand here.").such("[weather_key]"),
	may("progress", onOff(), "Tell the client how far a call is.").otherwise("false"),
	may("call_tool", many(matching(`^(\*|[A-Za-z0-9_.-]{1,128}\*?)$`, "the name of a tool, or the beginning of names and *")),
		"Tools of the same server that it may call, with the rights of whoever called it.").such("[weather.*]"),
).like(`
http:
  - host: api.weather.example
    methods: [GET]
    inject: {header: X-Api-Key, secret: weather_key}
kv: {namespace: weather, max_bytes: 1MiB}
progress: true
call_tool: [geo.*]
`)

// hostPattern: a name, a name below *., an address, or *. What else is no host only the
// plugin host knows.
const hostPattern = `^(\*|(\*\.)?([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?|[0-9a-f:.]*:[0-9a-f:.]*)$`

var httpGrant = func() *shape {
	methods := many(matching(`^[A-Z]{1,16}$`, "a method in capitals"))
	ports := many(whole(1, 65535))
	methods.least, ports.least = 1, 1
	return describe[core.HTTPGrantConfig]("httpGrant", "Hosts that a plugin may call. Private addresses stay closed unless the setting `egress.allow` opens them.",
		map[string]string{"url": "write host, without scheme and path", "hosts": "write one item for each host", "method": "write methods: [GET]", "port": "write ports: [443]", "header": "write inject: {header: …, secret: …}", "secret": "write inject: {header: …, secret: …}"},
		must("host", matching(hostPattern, "a host in small letters without scheme, port and path, *.example.com, or *"), "The host: exact, `*.example.com` for those below it, or `*` for any.").such("api.weather.example", "\"*.weather.example\""),
		may("scheme", words("https", "http"), "How it is called.").otherwise("https"),
		may("methods", methods, "The methods that may be used.").without("any").such("[GET, POST]"),
		may("ports", ports, "The ports that may be called.").without("any").such("[443]"),
		may("inject", injectGrant, "A secret that the gateway adds as a header, so that the plugin never sees it.").such("{header: X-Api-Key, secret: weather_key}"),
	).like(`
host: api.weather.example
methods: [GET]
ports: [443]
inject: {header: X-Api-Key, secret: weather_key}
`)
}()

var injectGrant = describe[core.InjectGrantConfig]("injectGrant", "A secret that the gateway adds as a header to each request to a host.", map[string]string{"name": "write header", "value": "write secret: its name under secrets"},
	may("header", matching("^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$", "the name of an HTTP header"), "The header.").without("as the manifest says").such("X-Api-Key"),
	must("secret", matching(`^(\*|[a-z0-9]([a-z0-9_.-]{0,62}([a-z0-9]|\*))?)$`, "the name of a secret, or the beginning of names and *"), "The secret, by its name under `secrets`.").such("weather_key"),
).like(`
header: X-Api-Key
secret: weather_key
`)

var kvGrant = describe[core.KVGrantConfig]("kvGrant", "A namespace of the key-value store, and how much a plugin may keep in it.", nil,
	may("namespace", matching(`^(\*|[a-z0-9]([a-z0-9_.-]{0,62}([a-z0-9]|\*))?)$`, "small letters, digits, _, - and ., at most 64; it may end in *"), "The namespace that it may use.").without("the one that it asks for").such("weather"),
	may("max_bytes", size(1, 256*mebibyte), "The most that its keys and values may take together.").otherwise("1MiB").such("4MiB"),
).like(`
namespace: weather
max_bytes: 1MiB
`)

var pluginLimits = describe[core.PluginLimitsConfig]("pluginLimits", "What a plugin may use. What stands before or behind tools has tighter bounds than what runs one.",
	map[string]string{"mem": "write memory", "time": "write timeout", "wall": "write timeout", "maxInstances": "write instances", "max_instances": "write instances", "pool": "write instances"},
	may("memory", size(64<<10, 256*mebibyte), "Memory of one instance. Plugins in Go need 16MiB.").otherwise("32MiB").such("64MiB"),
	may("timeout", lasting(time.Millisecond, time.Minute), "For one call; before and behind tools at most 2s.").without("10s, before and behind tools 250ms").such("5s"),
	may("cpu", lasting(time.Millisecond, 10*time.Second), "Time that its code may run in one call, waiting for answers left out; before and behind tools at most 1s.").without("2s, before and behind tools 100ms").such("500ms"),
	may("max_input", size(1<<10, 64*mebibyte), "The largest input of one call.").otherwise("4MiB").such("1MiB"),
	may("max_output", size(1<<10, 64*mebibyte), "The largest output of one call.").otherwise("4MiB").such("1MiB"),
	may("instances", whole(1, 64), "How many instances there may be at once: each serves one call at a time, and may take `memory`.").without("two for each processor").such("8"),
	may("queue", whole(1, 4096), "How many calls may wait for an instance; more are refused.").otherwise("64").such("16"),
).like(`
memory: 64MiB
timeout: 5s
cpu: 500ms
instances: 8
`)

var match = func() *shape {
	servers := many(matching(`^[a-z0-9*-]{1,63}$`, "the name of a server, in which * stands for any text"))
	tools := many(matching(`^[A-Za-z0-9_.*-]{1,128}$`, "the name of a tool, in which * stands for any text"))
	servers.least, tools.least = 1, 1
	return describe[core.MatchConfig]("match", "Tools by the names of their servers and their own, in which `*` stands for any text. Without keys (`{}`) it matches every tool.",
		map[string]string{"server": "write servers: […]", "tool": "write tools: […]"},
		may("servers", servers, "The servers.").without("all").such("[bookshop]", "[\"*\"]"),
		may("tools", tools, "The tools.").without("all").such("[get_*]"),
	).like(`
servers: [bookshop]
tools: [get_*]
`)
}()
