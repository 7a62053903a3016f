package config

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"
)

// Mask returns a document as it may be shown: what Tree hides is *** in it. Everything else
// stands as it was written; where that cannot be done for sure (a secret of several lines),
// the document is written anew, as JSON. A text that is not YAML is shown as it is: nobody
// knows what of it is secret.
func Mask(name string, written []byte, o Options) []byte {
	if len(written) > maxFile {
		return written
	}
	o.parsed = nil
	top := parse(name, written, &mistakes{file: name})
	if top == nil {
		return written
	}
	h := &hiding{found: &mistakes{file: name}, options: &o}
	h.shape(top, document)
	if len(h.nodes) == 0 {
		return written
	}
	if shown, ok := masked(written, h.nodes); ok && h.gone(name, shown) {
		return shown
	}
	for _, n := range h.nodes {
		*n = node{sort: text, text: mask}
	}
	var shown bytes.Buffer
	_ = json.Indent(&shown, top.appendJSON(nil, nil), "", "  ") // JSON always indents
	return append(shown.Bytes(), '\n')
}

const mask = "***"

// masked replaces scalars that stand in one line, where they stand.
func masked(document []byte, nodes []*node) ([]byte, bool) {
	nodes = slices.Clone(nodes)
	slices.SortFunc(nodes, func(a, b *node) int { return cmp.Or(cmp.Compare(b.line, a.line), cmp.Compare(b.column, a.column)) })
	nodes = slices.Compact(nodes) // an alias names one twice
	out := slices.Clone(document)
	for _, n := range nodes {
		if n.sort == list || n.sort == object {
			return nil, false
		}
		begin, ok := offset(document, n.line, n.column)
		if !ok {
			return nil, false
		}
		size := extent(document[begin:], n)
		if size == 0 {
			return nil, false
		}
		out = slices.Replace(out, begin, begin+size, []byte(`"`+mask+`"`)...)
	}
	return out, true
}

// offset finds a line and column (in characters), both from 1.
func offset(document []byte, line, column int) (int, bool) {
	at := 0
	for ; line > 1; line-- {
		next := bytes.IndexByte(document[at:], '\n')
		if next < 0 {
			return 0, false
		}
		at += next + 1
	}
	for ; column > 1; column-- {
		if at >= len(document) {
			return 0, false
		}
		_, size := utf8.DecodeRune(document[at:])
		at += size
	}
	return at, at < len(document)
}

// extent is how many bytes a scalar of one line takes where it begins; 0 = it is none.
func extent(rest []byte, n *node) int {
	line, _, _ := bytes.Cut(rest, []byte{'\n'})
	switch quote := line[0]; quote {
	case '"', '\'':
		for i := 1; i < len(line); i++ {
			switch {
			case quote == '"' && line[i] == '\\':
				i++
			case line[i] != quote:
			case quote == '\'' && i+1 < len(line) && line[i+1] == quote:
				i++
			default:
				return i + 1
			}
		}
		return 0
	}
	written := n.text
	if n.written != "" {
		written = n.written
	}
	if written == "" || !strings.HasPrefix(string(line), written) {
		return 0
	}
	return len(written)
}

// gone tells whether none of the values is left in a text that must still be the same
// document otherwise.
func (h *hiding) gone(name string, shown []byte) bool {
	top := parse(name, shown, &mistakes{file: name})
	if top == nil {
		return false
	}
	again := &hiding{found: &mistakes{file: name}, options: h.options}
	again.shape(top, document)
	if !slices.Equal(again.list, h.list) {
		return false
	}
	for _, n := range again.nodes {
		if n.sort != text || n.text != mask {
			return false
		}
	}
	return true
}
