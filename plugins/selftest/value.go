package selftest

import (
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/sallyport/sallyport/core/wire"
)

// appendJSON writes a value as JSON, members in the order of the file.
func appendJSON(dst []byte, n *yaml.Node) []byte {
	switch n.Kind {
	case yaml.MappingNode:
		dst = append(dst, '{')
		for i := 0; i+1 < len(n.Content); i += 2 {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(wire.AppendString(dst, n.Content[i].Value), ':')
			dst = appendJSON(dst, n.Content[i+1])
		}
		return append(dst, '}')
	case yaml.SequenceNode:
		dst = append(dst, '[')
		for i, item := range n.Content {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendJSON(dst, item)
		}
		return append(dst, ']')
	}
	switch what, _ := plain(n); what {
	case aNull:
		return append(dst, "null"...)
	case aText:
		return wire.AppendString(dst, n.Value)
	}
	return append(dst, n.Value...)
}

// pointer escapes a key for a JSON Pointer (RFC 6901).
func pointer(key string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(key)
}

// quoted writes at most 60 bytes of text in quotes.
func quoted(s string) string {
	if len(s) > 60 {
		return strconv.Quote(strings.ToValidUTF8(s[:57], "")) + "…"
	}
	return strconv.Quote(s)
}

// near names the key that was probably meant, or all of them.
func near(key string, keys shape) string {
	var names []string
	for name := range keys {
		names = append(names, name)
	}
	slices.Sort(names)
	plainly := func(s string) string {
		return strings.TrimSuffix(strings.ToLower(strings.NewReplacer("_", "", "-", "", " ", "").Replace(s)), "s")
	}
	for _, name := range names {
		if plainly(name) == plainly(key) {
			return "did you mean " + name + "?"
		}
	}
	return "known here: " + strings.Join(names, ", ")
}
