package config

import (
	"slices"

	"github.com/sallyport/sallyport/core"
)

// Resources and resource templates share a Go type and most of their keys.

func resourceFields(own ...*field) []*field {
	return append(own,
		may("title", line(), "A name for people."),
		may("description", prose(), "What it holds and when to read it."),
		may("mimeType", line(), "The type of the content.").such("text/markdown"),
		may("annotations", resourceAnnotations, "For whom it is, and how important."),
		may("icons", many(icon), iconsAbout),
		metadata(),
		may("invoker", invoker, "What reads it."),
		timeout("the invoker"),
	)
}

var resourceAnnotations = describe[struct {
	Audience []string `json:"audience"`
	Priority float64  `json:"priority"`
	Modified string   `json:"lastModified"`
}]("annotations", "For whom a resource is, and how important.", nil,
	may("audience", many(words("user", "assistant")), "For whom it is."),
	may("priority", share(), "From 0 (may be left out) to 1 (needed)."),
	may("lastModified", line(), "When it changed, in ISO 8601.").such("\"2026-11-22T10:00:00Z\""),
)

var resource = describe[core.ResourceConfig]("resource", "One resource: text, bytes or a file, or an invoker that reads it.",
	map[string]string{
		"uriTemplate": "a template stands in resourceTemplates", "completions": "completions belong to resourceTemplates",
		"meta": "write _meta", "content": "write text, base64, file or invoker", "path": "write file", "blob": "write base64",
	},
	slices.Concat([]*field{
		must("uri", line(), "Its URI. Unique in its server.").such("book:///terms"),
		must("name", line(), "A short name.").such("terms"),
	}, resourceFields(), []*field{
		may("size", whole(0, 1<<53-1), "Its size in bytes, for clients that ask before they read.").without("not told"),
		may("text", prose(), "The content, when it is text."),
		may("base64", matching(base64Pattern, "base64"), "The content, when it is not text."),
		may("file", line().named("write text or base64, or an invoker that reads it"), "A file under the directory of the document.").such("terms.md"),
	})...,
).one("text", "base64", "file", "invoker").like(`
uri: book:///terms
name: terms
title: Terms of sale
mimeType: text/markdown
text: Books can be returned within 14 days.
`)

var template = describe[core.ResourceConfig]("resourceTemplate", "Resources at URIs made from a template (RFC 6570): files, or an invoker that reads them.",
	map[string]string{
		"uri": "write uriTemplate; a resource at one URI stands in resources", "text": onlyResource, "base64": onlyResource, "size": onlyResource,
		"meta": "write _meta", "path": "write file",
	},
	slices.Concat([]*field{
		must("uriTemplate", line(), "The template.").such("book:///{id}"),
		must("name", line(), "A short name.").such("book"),
	}, resourceFields(), []*field{
		may("file", line().named("write an invoker that reads it"), "A file under the directory of the document, with `{variable}` places. It cannot leave the directory.").such("books/{id}.md"),
		may("completions", mapping(`^[A-Za-z0-9_.%]+$`, "a variable of the template", many(line())), "What completion offers for each variable.").such("{id: [\"1\", \"2\"]}"),
	})...,
).one("file", "invoker").like(`
uriTemplate: book:///{id}
name: book
mimeType: application/json
completions: {id: ["1", "2"]}
invoker:
  kind: rest
  config: {connection: shop, method: GET, path: "/books/{id}"}
`)

const onlyResource = "it belongs to resources; a template has file or invoker"
