package config

import (
	"slices"
	"strings"
)

// KindsPage returns docs/kinds.md: every kind with its config, drawn from their
// schemas. Of the options only the kinds count. target is the package and test that
// keep the page fresh.
func KindsPage(o Options, target, test string) []byte {
	p := &page{}
	p.say("# Kinds\n")
	p.say(generated, "the schemas of the kinds", target, test)
	p.say("An [invoker](configuration.md#invoker) runs a tool; a [transformer](configuration.md#transformer) rewrites its result; " +
		"a [request transformer](configuration.md#requesttransformer) rewrites its arguments; an [authorizer](configuration.md#authorizer) may refuse a call; " +
		"a [catalogue](configuration.md#catalogue) brings tools that are known only when the gateway runs. " +
		"Those named `wasm` are [plugins](plugins.md). " +
		"Keys marked with ↗ may hold [references](configuration.md#references) such as `${env:NAME}`.\n")
	for _, group := range []struct{ title, role string }{
		{"Invokers", roleInvoker}, {"Transformers", roleTransformer}, {"Request transformers", roleRequest}, {"Authorizers", roleAuthorizer}, {"Catalogues", roleCatalogue},
	} {
		kinds := o.kinds(group.role)
		if len(kinds) == 0 {
			continue
		}
		p.say("## %s\n", group.title)
		for _, k := range kinds {
			p.kind(k)
		}
	}
	return p.end()
}

// kind describes one kind.
func (p *page) kind(k drawnKind) {
	p.say("### %s\n\n%s\n", k.name, k.summary)
	if k.example != "" {
		config := "  " + strings.ReplaceAll(strings.TrimSpace(k.example), "\n", "\n  ")
		p.say("```yaml\nkind: %s\nconfig:\n%s\n```\n", k.name, config)
	}
	if len(k.schema) == 0 {
		p.say("It takes no config.\n")
		return
	}
	root := parseKind(k.name, k.schema)
	p.say("| key of config | value | what it does |\n|---|---|---|")
	p.properties(root, root, "", nil)
	p.say("")
}

// properties writes a row for each property of a schema, and for those of the
// objects in it.
func (p *page) properties(s, root *node, path string, open []*node) {
	s = deref(s, root)
	if s == nil || slices.Contains(open, s) || len(open) > 4 {
		return
	}
	open = append(open, s)
	required := map[string]bool{}
	if list := s.get("required"); list != nil {
		for _, item := range list.items {
			required[item.text] = true
		}
	}
	if all := s.get("properties"); all != nil {
		for i, k := range all.keys {
			p.property(deref(all.items[i], root), root, path+k.text, required[k.text], needs(s, k.text), open)
		}
	}
	if more := s.get("additionalProperties"); more != nil && more.sort == object && len(more.keys) > 0 {
		p.property(deref(more, root), root, path+"*", false, "", open)
	}
}

// needs says which keys the values of a key need, by the branches of s that only
// narrow what s says: {"properties": {"by": {"const": "url"}}, "required": ["next"]}.
func needs(s *node, key string) (about string) {
	for _, several := range inLists[1:] {
		branches := s.get(several)
		if branches == nil {
			continue
		}
		for _, branch := range branches.items {
			required, own := branch.get("required"), branch.get("properties")
			if required == nil || own == nil || own.get(key) == nil || !narrows(branch, s) {
				continue
			}
			var others []string
			for _, other := range required.items {
				if other.text != key {
					others = append(others, "`"+other.text+"`")
				}
			}
			about += " Beside " + schemaValue(own.get(key), nil) + " there must be " + strings.Join(others, " and ") + "."
		}
	}
	return about
}

// narrows tells whether every property of a branch is one of s: its rows would only
// say again what is already there.
func narrows(branch, s *node) bool {
	own, all := branch.get("properties"), s.get("properties")
	if own == nil || all == nil {
		return false
	}
	for _, k := range own.keys {
		if all.get(k.text) == nil {
			return false
		}
	}
	return true
}

func (p *page) property(s, root *node, path string, required bool, needed string, open []*node) {
	if s == nil {
		return
	}
	name := "`" + path + "`"
	if required {
		name = "**" + name + "**"
	}
	if mark := s.get(markKey); mark != nil && mark.text == "true" {
		name += " ↗"
	}
	about := ""
	if d := s.get("description"); d != nil {
		about = d.text
	}
	if d := s.get("default"); d != nil {
		about += " Default: `" + string(d.appendJSON(nil, nil)) + "`."
	}
	about += needed
	p.say("| %s | %s | %s |", name, cell(schemaValue(s, root)), cell(about))
	p.properties(s, root, path+".", open)
	for _, several := range inLists[1:] {
		if list := s.get(several); list != nil {
			for _, one := range list.items {
				if !narrows(one, s) {
					p.properties(one, root, path+".", open)
				}
			}
		}
	}
	if items := s.get("items"); items != nil {
		p.properties(items, root, path+"[].", open)
	}
}

// schemaValue says in a table what a schema allows.
func schemaValue(s, root *node) string {
	if s = deref(s, root); s == nil {
		return ""
	}
	if words := s.get("enum"); words != nil {
		var all []string
		for _, w := range words.items {
			all = append(all, "`"+w.text+"`")
		}
		return strings.Join(all, ", ")
	}
	if one := s.get("const"); one != nil {
		return "`" + one.text + "`"
	}
	kind := s.get("type")
	switch {
	case kind != nil && kind.sort == list:
		var all []string
		for _, one := range kind.items {
			all = append(all, one.text)
		}
		return strings.Join(all, " or ")
	case kind != nil && kind.text == "array" && s.get("items") != nil:
		return "list of " + schemaValue(s.get("items"), root)
	case kind != nil && kind.text == "array":
		return "list"
	case kind != nil && kind.text == "string":
		return "text"
	case kind != nil:
		return kind.text
	}
	for _, several := range []string{"oneOf", "anyOf"} {
		if list := s.get(several); list != nil {
			var all []string
			for _, one := range list.items {
				if says := schemaValue(one, root); says != "" && !slices.Contains(all, says) {
					all = append(all, says)
				}
			}
			return strings.Join(all, " or ")
		}
	}
	return "any JSON"
}

// deref follows local references, a few at most.
func deref(s, root *node) *node {
	for range 8 {
		if s == nil || s.sort != object {
			return nil
		}
		to := s.get("$ref")
		if to == nil || !strings.HasPrefix(to.text, "#") {
			return s
		}
		s = root.find(to.text[1:])
	}
	return nil
}
