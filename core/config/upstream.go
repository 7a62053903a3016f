package config

import (
	"time"

	"github.com/sallyport/sallyport/core"
)

// upstream and mount, and their parts.

var upstream = describe[core.UpstreamConfig]("upstream",
	"One MCP server that the gateway calls: over HTTP by its URL or through a connection, or as a process. Which revision it speaks is found out. It is served at /{name}/mcp with everything as it is, unless servers have it among their `upstreams`.",
	map[string]string{
		"type": "write transport, or nothing", "args": "write command: [/absolute/binary, argument, …]", "cwd": "write directory", "baseUrl": "write url", "token": "write credential: {type: bearer, token: …}",
		"auth": "write credential", "authorization": "write credential", "environment": "write env", "protocolVersion": "write revision", "prefix": "a prefix stands where a server names the upstream: servers[].upstreams[].prefix",
		"tools": "tools are selected where a server names the upstream: servers[].upstreams[].tools", "tls": "declare a connection, and write connection and path", "timeouts": "declare a connection, and write connection and path",
		"enabled": "write disabled: true, or nothing", "stdio": "write command",
	},
	must("name", matching(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`, "1 to 63 small letters, digits and -, beginning and ending with a letter or digit"), "What documents call it. Unique among all documents.").such("github"),
	may("transport", words("http", "sse", "stdio"), "How it is reached: `http` is streamable HTTP of any revision (an upstream that only has HTTP+SSE is found out); `sse` is HTTP+SSE of 2024-11-05; `stdio` is a process.").without("stdio where there is a command, else http"),
	may("url", matching(`^https?://[^/?#@\s\\]+(/[^?#\s\\]*)?(\?[^#\s\\]*)?$`, "an http or https URL with a host, without user and fragment").refers(), "Where it is.").such("https://mcp.example.com/mcp", "${env:GITHUB_MCP_URL}"),
	may("headers", mapping("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$", "the name of an HTTP header", matching(`^[^\r\n]*$`, "the value of a header, without line breaks").hide()),
		"Headers sent with every request to `url`. A secret belongs into `credential`, which is never shown.").such("{X-Region: eu}"),
	may("credential", credential, "How the upstream at `url` knows us. Tokens of clients are never passed on.").without("no credential is sent"),
	may("connection", line(), "The connection that it is reached through, in place of `url`: with TLS, timeouts, limits and a breaker of its own.").such("github"),
	may("path", matching(`^/[^?#\s\\]*$`, "a path that begins with /"), "Its path below the baseUrl of `connection`.").without("the baseUrl itself").such("/mcp"),
	may("command", func() *shape { s := many(prose().refers()); s.least = 1; return s }(), "The program to run, as a list: the absolute path of a binary, then its arguments. No shell reads it. The settings must allow it (upstreams.commands).").such("[/usr/bin/node, /opt/files/server.js, /srv]"),
	may("env", mapping(`^[^=\s]{1,128}$`, "the name of a variable", prose().refers()), "Variables of the process. It gets these and no others.").such("{LANG: C.UTF-8}"),
	may("secrets", mapping(`^[^=\s]{1,128}$`, "the name of a variable", prose().hide()), "Variables of the process whose values are not shown, and are taken out of what it writes to the log.").such("{API_KEY: \"${env:API_KEY:-only-an-example}\"}"),
	may("directory", matching(`^/[^\r\n]*$`, "an absolute path").named("leave it out: processes of stored documents run in the root directory"), "The directory that the process runs in.").without("the root directory").such("/srv"),
	may("start", words("eager", "on_demand", "idle_stop"), "When the process runs: `eager` is always, `on_demand` from the first call on, `idle_stop` from a call until it was not used for `idle`.").otherwise("on_demand"),
	may("idle", lasting(time.Second, 24*time.Hour), "How long a process with `start: idle_stop` stays without a call.").otherwise("5m").such("10m"),
	may("warm", whole(0, 16), "How many processes are kept ready beside the one in use.").otherwise("0"),
	may("revision", words("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"), "The one revision to speak with it.").without("the newest that both know"),
	may("definitions", words(core.DefinitionsPin, core.DefinitionsQuarantine, core.DefinitionsAlert, core.DefinitionsOff),
		"What becomes of tools, prompts and resources that nobody approved: `pin` approves what it offers when it is first met, and what is new or changed later waits for approval; with `quarantine` all of it waits; `alert` shows it and tells of it; `off` shows it.").otherwise(core.DefinitionsPin),
	may("sessions", whole(1, 10_000), "How many sessions there may be for calls that can ask their client something (revisions up to 2025-11-25), all callers together.").otherwise("16"),
	may("disabled", onOff(), "Do not connect to it. What names it has nothing of it.").otherwise("false"),
	may("route", onOff(), "Serve it at /{name}/mcp, with everything as it is. Where a server has it, what that leaves out can be reached there.").without("yes, unless a server has it among its upstreams, or has its name").such("false"),
).one("url", "connection", "command").like(`
name: github
url: https://mcp.example.com/mcp
credential:
  type: bearer
  token: ${env:GITHUB_TOKEN:-only-an-example}
definitions: pin
`)

var mount = describe[core.MountConfig]("mount",
	"What an upstream offers, as a part of a server: its tools and prompts under a prefix, its resources, and its instructions.",
	map[string]string{"name": "write upstream", "allow": "write tools: {allow: […]}", "deny": "write tools: {deny: […]}", "include": "write tools: {allow: […]}", "exclude": "write tools: {deny: […]}", "resourceTemplates": "write resources: it selects both"},
	must("upstream", line(), "The upstream, by its name.").such("github"),
	may("prefix", matching(`^([a-z]([a-z0-9-]{0,61}[a-z0-9])?)?$`, "nothing, or small letters, digits and -, beginning with a letter and not ending with -"),
		"Stands before the name of each tool and prompt, and in the URI of each resource. `\"\"` leaves everything as it is; names that clash are then refused.").without("the name of the upstream").such("gh", "\"\""),
	may("separator", words("_", "__", ".", "-", "--"), "Stands between the prefix and a name. The prefix must not hold it.").otherwise("_"),
	may("tools", selection, "Which tools, by the upstream's own names.").without("all"),
	may("prompts", selection, "Which prompts, by the upstream's own names.").without("all"),
	may("resources", selection, "Which resources and templates, by the upstream's own URIs.").without("all"),
	may("overrides", mapping(`^\S{1,256}$`, "the upstream's own name of a tool", override), "What clients are told differently of a tool, and which arguments they see.").such("{create_issue: {description: Files a bug.}}"),
	may("instructions", onOff(), "Take its instructions into those of the server.").otherwise("true"),
	timeout("a call"),
).like(`
upstream: github
prefix: gh
tools:
  allow: ["*_issue", search_code]
  deny: [delete_*]
overrides:
  create_issue:
    description: Files a bug for the shop team.
    arguments:
      repo: {fixed: acme/shop}
`)

var selection = func() *shape {
	names := many(matching(`^\S{1,512}$`, "a name in which * stands for any text"))
	return describe[core.SelectConfig]("selection", "Names, by globs in which `*` stands for any text.", map[string]string{"include": "write allow", "exclude": "write deny"},
		may("allow", names, "Only these.").without("all").such("[get_*, search]"),
		may("deny", names, "Not these, whatever `allow` says.").without("none").such("[delete_*]"),
	).like(`
allow: [get_*, search]
deny: [get_secret]
`)
}()

var override = describe[core.OverrideConfig]("override", "What clients are told differently of a tool of an upstream.", map[string]string{"name": "a tool keeps its name, behind the prefix of the mount", "inputSchema": "write arguments"},
	may("title", line(), "A name for people."),
	may("description", prose(), "What the tool does and when to use it.").such("Files a bug for the shop team."),
	may("annotations", toolAnnotations, "Laid over the annotations of the upstream, key by key."),
	may("arguments", mapping(`^\S{1,256}$`, "the name of an argument", mountArgument), "Arguments, by their names at the root of the input schema.").such("{repo: {fixed: acme/shop}}"),
	may("scopes", many(matching(`^[\x21\x23-\x5b\x5d-\x7e]+$`, "a scope: visible characters without blanks, quotes and backslashes")), "Scopes that an OAuth access token must have been granted to call it, beside those of the server.").otherwise("[]").such("[issues:write]"),
).like(`
description: Files a bug for the shop team.
annotations: {destructiveHint: false}
arguments:
  repo: {fixed: acme/shop}
  labels: {default: [bug]}
`)

var mountArgument = describe[core.ArgumentConfig]("mountArgument", "What clients are told differently of an argument. At most one of `default`, `fixed` and `hidden` stands there.", map[string]string{"value": "write fixed", "hide": "write hidden: true"},
	may("description", prose(), "What it means."),
	may("default", anything, "Sent where a client leaves it out; the schema says so.").such("[bug]"),
	may("fixed", anything, "Always sent. Clients do not see the argument, and cannot set it.").such("acme/shop"),
	may("hidden", onOff(), "Never sent. Clients do not see it.").otherwise("false"),
).like(`
fixed: acme/shop
`)
