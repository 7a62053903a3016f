package documents

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// node is one value of a document.
type node struct {
	open   byte   // '{' or '['; 0 for a scalar
	text   string // a scalar, as JSON
	keys   []string
	items  []*node
	hidden bool // must not be shown
	sum    [sha256.Size]byte
}

// parse reads the tree of a document; nil when it has none.
func parse(tree json.RawMessage, hidden []string) *node {
	if len(tree) == 0 {
		return nil
	}
	p := &parser{decoder: json.NewDecoder(bytes.NewReader(tree)), hidden: make(map[string]bool, len(hidden))}
	p.decoder.UseNumber()
	for _, path := range hidden {
		p.hidden[path] = true
	}
	return p.value("", false)
}

type parser struct {
	decoder *json.Decoder
	hidden  map[string]bool
}

// value reads one value. In a JSON Schema (ordered) the order of keys says something: it
// is the order in which a model sees them.
func (p *parser) value(path string, ordered bool) *node {
	token, err := p.decoder.Token()
	if err != nil {
		return nil
	}
	n := &node{hidden: len(p.hidden) > 0 && p.hidden[path]}
	switch t := token.(type) {
	case json.Delim:
		n.open = byte(t)
		for i := 0; p.decoder.More(); i++ {
			name := strconv.Itoa(i)
			if n.open == '{' {
				key, err := p.decoder.Token()
				if err != nil {
					return nil
				}
				name = key.(string)
				n.keys = append(n.keys, name)
			}
			item := p.value(path+"/"+escape.Replace(name), ordered || n.open == '{' && (name == "inputSchema" || name == "outputSchema"))
			if item == nil {
				return nil
			}
			n.items = append(n.items, item)
		}
		if _, err := p.decoder.Token(); err != nil {
			return nil
		}
	case string:
		n.text = string(encode(t))
	case json.Number:
		n.text = t.String()
	case bool:
		n.text = strconv.FormatBool(t)
	default:
		n.text = "null"
	}
	n.measure(ordered)
	return n
}

var escape = strings.NewReplacer("~", "~0", "/", "~1")

func encode(s string) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil { // texts always encode
		return nil
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// measure sets the sum: the same for values that mean the same.
func (n *node) measure(ordered bool) {
	h := sha256.New()
	h.Write([]byte{n.open})
	order := make([]int, len(n.items))
	for i := range order {
		order[i] = i
	}
	if n.open == '{' && !ordered {
		slices.SortFunc(order, func(a, b int) int { return cmp.Compare(n.keys[a], n.keys[b]) })
	}
	for _, i := range order {
		if n.open == '{' {
			key := sha256.Sum256([]byte(n.keys[i]))
			h.Write(key[:])
		}
		h.Write(n.items[i].sum[:])
	}
	h.Write([]byte(n.text))
	h.Sum(n.sum[:0])
}

// get returns the value of a key; nil of a nil node, too.
func (n *node) get(keys ...string) *node {
	for _, key := range keys {
		if n == nil || n.open != '{' {
			return nil
		}
		i := slices.Index(n.keys, key)
		if i < 0 {
			return nil
		}
		n = n.items[i]
	}
	return n
}

// string returns a text, "" of anything else.
func (n *node) string() string {
	var s string
	if n == nil || n.open != 0 || json.Unmarshal([]byte(n.text), &s) != nil {
		return ""
	}
	return s
}

func (n *node) list() []*node {
	if n == nil || n.open != '[' {
		return nil
	}
	return n.items
}

func equal(a, b *node) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.sum == b.sum
}

const (
	mask    = `"***"`
	maxShow = 2 << 10 // bytes of one value in a change
)

// show writes a value as JSON, without what must not be seen. A long one is cut, and then
// ends with ….
func (n *node) show() string {
	var b []byte
	b = n.append(b, maxShow)
	if len(b) <= maxShow {
		return string(b)
	}
	cut := maxShow
	for cut > 0 && !utf8.RuneStart(b[cut]) {
		cut--
	}
	return string(b[:cut]) + "…"
}

func (n *node) append(b []byte, limit int) []byte {
	switch {
	case len(b) > limit:
		return b
	case n.hidden:
		return append(b, mask...)
	case n.open == 0:
		return append(b, n.text...)
	}
	b = append(b, n.open)
	for i, item := range n.items {
		if i > 0 {
			b = append(b, ',')
		}
		if n.open == '{' {
			b = append(append(b, encode(n.keys[i])...), ':')
		}
		b = item.append(b, limit)
	}
	return append(b, n.open+2) // '{' + 2 is '}', '[' + 2 is ']'
}
