package config

import (
	"fmt"
	"slices"
	"strings"
)

const generated = "<!-- Generated from %s by `go test ./core/%s -run %s -update`. Change it there. -->\n"

// Reference returns docs/configuration.md: every key of a gateway document, drawn
// from the shapes.
func Reference() []byte {
	p := &page{}
	p.say("# Gateway documents\n")
	p.say(generated, "core/config", "config", "TestPages")
	p.say(documentIntro)
	p.say("```yaml\nconnections:\n%s\nservers:\n%s\n```\n", item(connection.example), item(server.example))
	p.say("- [How documents are read](#how-documents-are-read)\n- [References](#references)")
	for _, s := range within(document) {
		p.say("- [%s](#%s)", s.name, anchor(s.name))
	}
	p.say("\nThe kinds of invokers, transformers, authorizers and catalogues, and the config of each, are in [kinds.md](kinds.md); start-up settings are in [settings.md](settings.md); how plugins are written, signed and run is in [plugins.md](plugins.md).\n")
	p.say("## How documents are read\n")
	p.say(documentRules, maxFile>>20, maxTotal>>20, maxDepth, maxAliased>>20, maxNumber)
	p.say("## References\n")
	p.say(referenceRules, bullets(places(document)))
	for _, s := range within(document) {
		p.object(s)
	}
	return p.end()
}

const documentIntro = `A gateway document says which MCP servers the gateway serves, and what stands behind their tools. ` + "`sallyport check FILE…`" + ` says
what is wrong with one, with line and column and what would be right; ` + "`sallyport schema`" + ` prints its JSON Schema, by which editors complete and check:

` + "```yaml\n# yaml-language-server: $schema=./gateway.schema.json\n```" + `

A whole document:
`

const documentRules = `A document is a file, in UTF-8, of one of two forms:

- **YAML 1.2**, core schema: ` + "`yes`, `on` and `2026-11-22`" + ` are text, ` + "`true` and `12`" + ` are not. Text that looks like a number or a boolean stands in
  quotes (` + "`version: \"1.10\"`" + `), and so does text that begins with ` + "`{`, `[`, `*`, `&`, `!`, `@` or `%%`" + `. One file holds one document. Aliases (` + "`*name`" + `) may stand for a whole
  value; merge keys (` + "`<<`" + `), tags and directives are refused. A number that begins with 0 is refused: YAML readers disagree on it.
- **JSON**, where the name of the file ends in ` + "`.json`" + `: RFC 8259, no comments, no trailing commas.

Unknown keys, keys that stand twice, values of another type and control characters are mistakes, never ignored. JSON Schemas and the config of kinds keep the order of
their keys and every digit of their numbers.

A directory stands for every ` + "`*.yaml`, `*.yml` and `*.json`" + ` directly in it, in the order of their names, except hidden files and the settings (` + "`settings.*`, `sallyport.*`" + `).
All documents together are one configuration: names of connections, plugins and servers are unique among them, and tools use connections and plugins of any of them. An empty file is a mistake,
because an editor that is just saving leaves one for a moment; a document that really holds nothing is ` + "`{}`" + `.

Files that change are noticed and read again. A mistake in any of them keeps everything as it was.

Bounds: %d MiB a document, %d MiB together, values at most %d deep, aliases that add at most %d MiB, numbers of at most %d characters.
`

const referenceRules = `Secrets, and what differs between deployments, need not stand in the document:

| | |
|---|---|
| ` + "`${secret:NAME}`" + ` | a secret of the tenant, which the store keeps sealed (admin plane, credentials); a change of it is a change of the document |
| ` + "`${env:NAME}`" + ` | the environment variable; a mistake when it is not set |
| ` + "`${env:NAME:-default}`" + ` | the default, when the variable is not set or empty |
| ` + "`${file:path}`" + ` | the content of a file, without the line break at its end; the path is taken from the directory of the document. At most 1 MiB. The file is watched like the document |
| ` + "`$${`" + ` | the characters ` + "`${`" + ` themselves |

They stand only here, alone or within other text:

%s
- in the config of a kind, where [kinds.md](kinds.md) says so.

Documents that the store keeps name secrets only: environment and files belong to whoever runs the gateway, and not to everybody who may edit a document. So ` + "`${env:…}`" + `, ` + "`${file:…}`" + `
and the names of files (` + "`file`" + ` of resources and images, ` + "`source`" + ` and ` + "`manifest`" + ` of plugins) are mistakes in them.

Everywhere else a reference is a mistake. What a reference brings in is not searched for references again, and is never shown in messages.
`

// SettingsPage returns docs/settings.md: every setting with its default, its flag
// and its variable.
func SettingsPage() []byte {
	p := &page{}
	p.say("# Start-up settings\n")
	p.say(generated, "core/config/settings.go", "config", "TestPages")
	p.say("A flag wins over a variable of the environment, that over the settings file, that over the default. Lists are written with commas in flags and variables; " +
		"a variable that is set but empty counts as not set. Durations are such as `500ms`, `10s`, `1m30s`; sizes such as `16KiB`, `4MiB`, or a number of bytes. " +
		"Settings are read once: a change takes a restart. Where the gateway serves what it serves is in [gateway documents](configuration.md), which are read again when they change.\n")
	p.say("| setting | default | right is | what it does |\n|---|---|---|---|")
	for _, k := range Knobs() {
		p.say("| `%s`<br>`--%s`<br>`%s` | `%s` | %s | %s |", k.Key, k.Flag, k.Environment, k.Default, cell(k.Expects), cell(k.About))
	}
	p.say("\nA settings file (unknown keys are refused):\n\n```yaml\n%s\n```\n", strings.TrimSpace(settings.example))
	p.say("## Defaults of connections\n")
	p.say("How upstreams are called is said by each [connection](configuration.md#connection). What holds where it says nothing:\n")
	p.say("| key | default |\n|---|---|")
	for _, group := range []struct {
		prefix string
		of     *shape
	}{{"", connection}, {"timeouts.", timeouts}, {"breaker.", breaker}} {
		for _, f := range group.of.fields {
			if f.standard != "" {
				p.say("| `%s%s` | `%s` |", group.prefix, f.key, f.standard)
			}
		}
	}
	p.say("| `timeout` of a [tool](configuration.md#tool) | `%s`, at most `5m` |", tool.field("timeout").standard)
	return p.end()
}

// page writes Markdown.
type page struct{ b strings.Builder }

func (p *page) say(format string, args ...any) {
	fmt.Fprintf(&p.b, format, args...)
	p.b.WriteByte('\n')
}

func (p *page) end() []byte { return []byte(strings.TrimRight(p.b.String(), "\n") + "\n") }

// within lists the objects of a document, outer ones first.
func within(s *shape) []*shape {
	all := []*shape{s}
	for i := 0; i < len(all); i++ {
		for _, f := range all[i].fields {
			inner := f.shape
			for inner.fields == nil && inner.of != nil {
				inner = inner.of
			}
			if inner.fields != nil && !slices.Contains(all, inner) {
				all = append(all, inner)
			}
		}
	}
	return all
}

// object describes one object: a table of its keys and an example.
func (p *page) object(s *shape) {
	p.say("## %s\n\n%s\n", s.name, s.about)
	p.say("| key | value | what it does |\n|---|---|---|")
	for _, f := range s.fields {
		name := "`" + f.key + "`"
		if f.required {
			name = "**" + name + "**"
		}
		about := f.about
		switch {
		case f.standard != "":
			about += " Default: `" + f.standard + "`."
		case f.absent != "":
			about += " If absent: " + f.absent + "."
		}
		if len(f.examples) > 0 {
			about += " Such as `" + strings.Join(f.examples, "`, `") + "`."
		}
		p.say("| %s | %s | %s |", name, cell(value(f.shape)), cell(about))
	}
	p.say("\nKeys in bold must stand there.%s\n", rules(s))
	if s.example != "" {
		p.say("```yaml\n%s\n```\n", strings.TrimSpace(s.example))
	}
}

func rules(s *shape) string {
	text := ""
	for _, keys := range s.choices {
		text += " Exactly one of `" + strings.Join(keys, "`, `") + "` stands there."
	}
	if !slices.ContainsFunc(s.fields, func(f *field) bool { return f.required }) {
		return " None must here." + text
	}
	return text
}

// value says in a table what a value is.
func value(s *shape) string {
	switch {
	case s.raw:
		return "any JSON"
	case s.fields != nil:
		return "[" + s.name + "](#" + anchor(s.name) + ")"
	case s.is == list:
		return "list of " + value(s.of)
	case s.is == object && s.keys != nil:
		return "object: " + s.keysSay + " → " + value(s.of)
	case s.is == object:
		return "object"
	case s.duration || s.integer || s.is == number:
		return s.bounds()
	case len(s.words) > 0:
		return "`" + strings.Join(s.words, "`, `") + "`"
	case s.reference:
		return s.want() + ", [references](#references)"
	}
	return s.want()
}

// cell makes a text fit into a cell of a table.
func cell(s string) string {
	return strings.TrimSpace(strings.NewReplacer("|", `\|`, "\n", " ").Replace(s))
}

func anchor(name string) string { return strings.ToLower(name) }

// bullets writes a list of code.
func bullets(all []string) string {
	var b strings.Builder
	for _, s := range all {
		b.WriteString("- `" + s + "`\n")
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// item indents an example as an item of a list.
func item(example string) string {
	return "  - " + strings.ReplaceAll(strings.TrimSpace(example), "\n", "\n    ")
}
