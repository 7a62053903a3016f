package config

import (
	"time"

	"github.com/sallyport/sallyport/core"
)

var server = describe[core.ServerConfig]("server",
	"One MCP server as clients see it (other gateways say virtual server): an address of its own with tools, prompts and resources. Clients reach it at /{prefix}/mcp, and by the HTTP+SSE transport at /{prefix}/sse.",
	map[string]string{"path": "write prefix", "url": "write prefix; the address that is listened on is a start-up setting", "templates": "write resourceTemplates", "connections": "connections stand beside servers, not in one", "plugins": "plugins stand beside servers, not in one"},
	must("name", line(), "Names the server to clients, in logs and in metrics. Unique among all documents.").such("bookshop"),
	may("title", line(), "A name for people.").such("Bookshop"),
	may("version", line(), "The version that clients are told.").such("1.4.0"),
	may("description", prose(), "What the server is for."),
	may("instructions", prose(), "How a model should use the server; clients may put it into its prompt.").such("Search before you order. Prices are in euros."),
	may("websiteUrl", line(), "Where people read more.").such("https://example.com/bookshop"),
	may("icons", many(icon), iconsAbout),
	may("prefix", prose(), "Where the server stands: `a/b` gives /a/b/mcp; `\"\"` gives /mcp. The first segment cannot be admin, api, healthz, readyz, metrics or .well-known.").
		without("the name").such("bookshop", "eu/bookshop"),
	may("cors", cors, "Which web pages may call the server from a browser.").without("none"),
	may("access", access, "Who may use the server, beside what policies say.").without("callers that are known, as policies allow"),
	may("cache", cache, "How long clients may keep lists and resources (revision 2026-07-28)."),
	may("pageSize", whole(1, 1000), "How many items one page of a list holds.").otherwise("1000"),
	may("disclosure", words("full", "progressive"), "How clients learn of the tools: `full` lists them; `progressive` lists three that find, describe and call the others (find_tools, describe_tool, call_tool), for servers with many.").otherwise("full"),
	may("upstreams", many(mount), "What other MCP servers offer, as a part of this one."),
	may("tools", many(tool), "What a model can call."),
	may("catalogues", many(catalogue), "More of what a model can call: tools that are known only when the gateway runs."),
	may("prompts", many(prompt), "Messages that people start from."),
	may("resources", many(resource), "What can be read, each at one URI."),
	may("resourceTemplates", many(template), "What can be read at URIs made from a template."),
).like(`
name: bookshop
title: Bookshop
description: Search and order books.
instructions: Search before you order. Prices are in euros.
cors:
  origins: [https://app.example.com]
tools:
  - name: get_book
    description: Returns one book.
    inputSchema:
      type: object
      properties:
        id: {type: integer}
      required: [id]
    invoker:
      kind: rest
      config: {connection: shop, method: GET, path: "/books/{id}"}
`)

var access = describe[core.AccessConfig]("access", "Who may use a server, beside what policies say.",
	map[string]string{"public": "write anonymous: true", "roles": "roles stand in policies (admin API)", "scope": "write scopes, a list"},
	may("anonymous", onOff(), "Let in callers without a credential. They may list, call and read everything of the server that no policy denies them.").otherwise("false"),
	may("scopes", many(matching(`^[\x21\x23-\x5b\x5d-\x7e]+$`, "a scope: visible characters without blanks, quotes and backslashes")), "Scopes that an OAuth access token must have been granted. A token with fewer is told which (step-up).").otherwise("[]").such("[bookshop:read]"),
).like(`
anonymous: false
scopes: [bookshop:read]
`)

var cors = func() *shape {
	origins := many(matching(`^(\*|[A-Za-z][A-Za-z0-9+.-]*://[^/?#@\s]+)$`, `an origin such as https://app.example.com (no path), or "*"`).refers())
	origins.least, origins.alone = 1, "*"
	return describe[core.CORSConfig]("cors", "Which web pages may call the server from a browser. Without it browsers are sent no CORS headers, and pages of other origins cannot read answers.",
		map[string]string{"allowedOrigins": "write origins"},
		must("origins", origins, "The origins that may call, or a single `\"*\"` for all (then without cookies or other credentials).").such("[https://app.example.com]"),
		may("maxAge", lasting(0, 24*time.Hour), "How long a browser may keep the answer to a preflight request.").otherwise("10m").such("10m"),
	).like(`
origins: [https://app.example.com, "${env:STAGING_ORIGIN:-https://staging.example.com}"]
maxAge: 10m
`)
}()

var cache = describe[core.CacheConfig]("cache", "The cache hint of revision 2026-07-28 (ttlMs, cacheScope).", map[string]string{"ttlMs": "write ttl, with a unit", "cacheScope": "write scope"},
	may("ttl", lasting(0, 30*24*time.Hour), "How long lists and resources stay fresh.").otherwise("0s").such("5m"),
	may("scope", words("public", "private"), "Whether caches that several users share may keep them.").otherwise("private"),
).like(`
ttl: 5m
scope: private
`)

var toolAnnotations = describe[struct {
	Title       string `json:"title"`
	ReadOnly    bool   `json:"readOnlyHint"`
	Destructive bool   `json:"destructiveHint"`
	Idempotent  bool   `json:"idempotentHint"`
	OpenWorld   bool   `json:"openWorldHint"`
}]("toolAnnotations", "What a client may assume of a tool. `readOnlyHint` and `idempotentHint` also tell invokers whether a failed request may be tried again.",
	map[string]string{"readOnly": "write readOnlyHint", "destructive": "write destructiveHint", "idempotent": "write idempotentHint", "openWorld": "write openWorldHint"},
	may("title", line(), "A name for people."),
	may("readOnlyHint", onOff(), "It changes nothing.").otherwise("false"),
	may("destructiveHint", onOff(), "It may delete or overwrite.").otherwise("true"),
	may("idempotentHint", onOff(), "Calling it again with the same arguments changes nothing more.").otherwise("false"),
	may("openWorldHint", onOff(), "It deals with things outside, such as the web.").otherwise("true"),
)

var execution = describe[struct {
	Task string `json:"taskSupport"`
}]("execution", "How a tool is run (revision 2025-11-25).", nil,
	may("taskSupport", words("forbidden", "optional", "required"), "Whether it can be run as a task.").otherwise("forbidden"),
)

var tool = describe[core.ToolConfig]("tool", "One tool: what the model is told, and what runs it.",
	map[string]string{"parameters": "write inputSchema", "input": "write inputSchema", "output": "write outputSchema", "readOnlyHint": "it stands in annotations", "kind": "write invoker: {kind: …}", "config": "it stands in invoker", "meta": "write _meta", "transformer": `write transformers, a list`},
	must("name", line(), "What the model calls. Unique in its server.").such("get_book"),
	may("title", line(), "A name for people.").such("Get a book"),
	may("description", prose(), "What the tool does and when to use it: the model decides by this text.").such("Returns one book by its number."),
	may("inputSchema", jsonObject(), "JSON Schema of the arguments, of type object. Property order is kept. Calls whose arguments do not fit are answered with what is wrong.").
		otherwise("{type: object}").such("{type: object, properties: {id: {type: integer}}, required: [id]}"),
	may("outputSchema", jsonObject(), "JSON Schema of the structured result. Results that do not fit are errors.").without("none: any result"),
	may("annotations", toolAnnotations, "What a client may assume of the tool."),
	may("icons", many(icon), iconsAbout),
	may("execution", execution, "How the tool is run (revision 2025-11-25)."),
	metadata(),
	timeout("a call"),
	may("scopes", many(matching(`^[\x21\x23-\x5b\x5d-\x7e]+$`, "a scope: visible characters without blanks, quotes and backslashes")), "Scopes that an OAuth access token must have been granted to call it, beside those of the server.").otherwise("[]").such("[bookshop:order]"),
	may("authorizers", many(asked), "What is asked before a call, in this order, after the arguments were checked. One that refuses ends the call."),
	may("requestTransformers", many(request), "What rewrites the arguments, in this order, after they were checked."),
	must("invoker", invoker, "What runs the tool.").such("{kind: rest, config: {connection: shop, method: GET, path: \"/books/{id}\"}}"),
	may("transformers", many(transformer), "What rewrites the result, in this order."),
).like(`
name: get_book
title: Get a book
description: Returns one book by its number.
inputSchema:
  type: object
  properties:
    id: {type: integer, description: The number of the book}
  required: [id]
annotations: {readOnlyHint: true}
timeout: 10s
invoker:
  kind: rest
  config:
    connection: shop
    method: GET
    path: /books/{id}
transformers:
  - kind: jq
    config: {select: "{title, author}"}
`)
