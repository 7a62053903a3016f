package config

import (
	"bytes"
	"errors"
	"path/filepath"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/sallyport/sallyport/core"
)

// References: ${secret:NAME}, ${env:NAME}, ${env:NAME:-default} and ${file:path} stand for
// a secret of the tenant, the value of an environment variable or the content of a file,
// in the places where a shape (or the schema of a kind) allows it; documents that the
// store keeps name secrets only. Everywhere else a text that holds one is
// refused, because whoever wrote it expected it to work. $${ is ${ itself. A value
// that was put in is never read again for references.

// Patterns in the common subset of RE2 and ECMA 262, for the JSON Schema too.
const (
	// referencePattern matches a text that holds a reference.
	referencePattern = `(^|[^$])\$\{(env|file|secret):`
	// referringPattern matches a whole text whose references are well-formed.
	referringPattern = `^([^$]|\$\$+\{|\$+[^${]|\$\{(env:[A-Za-z_][A-Za-z0-9_]*(:-([^$}]|\$+[^${}])*\$*)?|file:(([^$}]|\$+[^${}])+\$*|\$+)|secret:[A-Za-z][A-Za-z0-9_.-]{0,63})\})*\$*$`
)

var (
	holdsReference = regexp.MustCompile(referencePattern)
	variable       = regexp.MustCompile(`^([A-Za-z_][A-Za-z0-9_]*)(:-(.*))?$`)
	secretName     = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.-]{0,63}$`)
	escaped        = strings.NewReplacer("$${env:", "${env:", "$${file:", "${file:", "$${secret:", "${secret:")
)

const (
	references   = "${secret:NAME}, ${env:NAME}, ${env:NAME:-default} or ${file:path}"
	ofStored     = "${secret:NAME}, where NAME is a secret of the tenant (admin plane, credentials)"
	literalGuide = "text that holds ${ itself is written $${"
)

// words returns the text of a scalar with its references put in. hidden says that
// it holds what came from outside and must not be shown.
func (r *reader) words(n *node, s *shape) (value string, hidden, ok bool) {
	if !s.reference || !strings.Contains(n.text, "${") {
		return r.literal(n), false, !r.forbidden(n, s)
	}
	var out strings.Builder
	for rest := n.text; rest != ""; {
		i := strings.Index(rest, "${")
		if i < 0 {
			out.WriteString(rest)
			break
		}
		if i > 0 && rest[i-1] == '$' {
			out.WriteString(rest[:i-1])
			out.WriteString("${")
			rest = rest[i+2:]
			continue
		}
		out.WriteString(rest[:i])
		inside, after, closed := strings.Cut(rest[i+2:], "}")
		if !closed {
			r.fault(n, "a reference is not closed", "write "+r.references()+"; "+literalGuide)
			return "", true, false
		}
		put, ok := r.resolve(n, inside)
		if !ok {
			return "", true, false
		}
		out.WriteString(put)
		rest, hidden = after, true
	}
	return out.String(), hidden, true
}

// resolve returns what ${inside} stands for.
func (r *reader) resolve(n *node, inside string) (string, bool) {
	source, rest, _ := strings.Cut(inside, ":")
	switch {
	case strings.Contains(inside, "${"):
		r.fault(n, "a reference inside a reference", "references do not nest")
	case source == "secret":
		return r.secret(n, rest)
	case r.options.Stored && (source == "env" || source == "file"):
		r.fault(n, "a document that the store keeps cannot read "+map[string]string{"env": "the environment", "file": "files"}[source]+" of the gateway", "set it as a secret and write "+ofStored)
	case source == "env":
		m := variable.FindStringSubmatch(rest)
		if m == nil {
			r.fault(n, "what stands after ${env: cannot be the name of an environment variable", "write ${env:NAME} or ${env:NAME:-default}")
			return "", false
		}
		value, set := r.options.lookup(m[1])
		switch {
		case m[2] != "" && value == "":
			return m[3], true
		case !set:
			r.fault(n, "the environment variable "+m[1]+" is not set", "set it, or write ${env:"+m[1]+":-default}")
			return "", false
		case !utf8.ValidString(value):
			r.fault(n, "the environment variable "+m[1]+" is not UTF-8", "")
			return "", false
		}
		return value, true
	case source == "file" && rest != "":
		return r.content(n, rest)
	default:
		r.fault(n, "${ that begins no reference", "write "+r.references()+"; "+literalGuide)
	}
	return "", false
}

// references says what could be written.
func (r *reader) references() string {
	if r.options.Stored {
		return ofStored
	}
	return references
}

// secret returns a secret of the tenant. What is wrong with it is said without its value.
func (r *reader) secret(n *node, name string) (string, bool) {
	switch {
	case !secretName.MatchString(name):
		r.fault(n, "what stands after ${secret: cannot be the name of a secret", "write ${secret:NAME}, the name being 1 to 64 letters, digits, _, - and ., beginning with a letter")
		return "", false
	case r.sample:
		return "", true
	case r.options.Secret == nil:
		r.fault(n, "there are no secrets here: no store keeps any", "serve with a store, or write ${env:NAME} or ${file:path}")
		return "", false
	}
	value, err := r.options.Secret(name)
	if err != nil {
		e := core.AsError(err)
		message := "the secret " + quote(name) + " cannot be read"
		if e.Code != core.CodeInternal {
			message += ": " + e.Message
		}
		r.fault(n, message, e.Fix)
		return "", false
	}
	text := value.Reveal()
	if !utf8.ValidString(text) {
		r.fault(n, "the secret "+quote(name)+" is not UTF-8 text", "")
		return "", false
	}
	return text, true
}

// ownFile refuses the name of a file in a document that the store keeps.
func (r *reader) ownFile(n *node, s *shape) bool {
	if s.file == "" || !r.options.Stored || strings.HasPrefix(n.text, "oci://") || strings.HasPrefix(n.text, "store:") {
		return false
	}
	r.fault(n, "a document that the store keeps cannot name a file of the gateway", s.file)
	return true
}

// content reads the file of a reference, without the line break at its end.
func (r *reader) content(n *node, name string) (string, bool) {
	if r.sample {
		return "", true
	}
	path := name
	if !filepath.IsAbs(path) {
		path = filepath.Join(r.source.root, path)
	}
	b, err := readFile(path, maxReference)
	r.source.used = append(r.source.used, File{Path: path, Sum: sumOf(b, err), limit: maxReference})
	if err != nil {
		fix := "paths are taken from the directory of the document (" + r.source.root + ")"
		if errors.Is(err, errTooLarge) {
			fix = "a file that is referred to holds at most 1 MiB"
		}
		r.fault(n, "cannot read the file of "+quote("${file:"+name+"}")+": "+reason(err), fix)
		return "", false
	}
	if !utf8.Valid(b) || bytes.IndexByte(b, 0) >= 0 {
		r.fault(n, "the file of "+quote("${file:"+name+"}")+" is not UTF-8 text", "")
		return "", false
	}
	s := strings.TrimSuffix(string(b), "\n")
	return strings.TrimSuffix(s, "\r"), true
}

// forbidden reports a reference where none may stand.
func (r *reader) forbidden(n *node, s *shape) bool {
	if s.reference || !holdsReference.MatchString(n.text) {
		return false
	}
	r.fault(n, "a reference cannot stand here", r.allowed)
	return true
}

// literal returns the text of a place without references: only what would be
// taken for one is escaped there.
func (r *reader) literal(n *node) string {
	if strings.Contains(n.text, "$${") {
		return escaped.Replace(n.text)
	}
	return n.text
}

// check reports references in a value that is kept as JSON.
func (r *reader) check(n *node) {
	if n.sort == text {
		r.forbidden(n, anything)
	}
	for i, item := range n.items {
		if n.sort == object {
			r.at.push(n.keys[i].text)
		} else {
			r.at.index(i)
		}
		r.check(item)
		r.at.pop()
	}
}

// literals writes a value as JSON.
func (r *reader) literals(n *node) []byte { return n.appendJSON(nil, r.literal) }

// kindConfig returns the config of a kind as JSON, references put in where the
// schema of the kind says so.
func (r *reader) kindConfig(n, name *node, role string) []byte {
	var marks *node
	if name != nil && name.sort == text {
		marks = r.options.marks(role, name.text)
	}
	if marks == nil {
		r.check(n)
		return r.literals(n)
	}
	return r.appendConfig(nil, n, applied([]*node{marks}, marks), marks)
}

// markedText is the shape of a text that the schema of a kind marks.
var markedText = &shape{is: text, reference: true, secret: true}

func (r *reader) appendConfig(dst []byte, n *node, schemas []*node, root *node) []byte {
	switch n.sort {
	case text:
		s := anything
		for _, schema := range schemas {
			if mark := schema.get(markKey); mark != nil && mark.sort == boolean && mark.text == "true" {
				s = markedText
			}
		}
		value, _, _ := r.words(n, s)
		return (&node{sort: text, text: value}).appendJSON(dst, nil)
	case list:
		dst = append(dst, '[')
		for i, item := range n.items {
			if i > 0 {
				dst = append(dst, ',')
			}
			r.at.index(i)
			dst = r.appendConfig(dst, item, applied(below(schemas, "", i), root), root)
			r.at.pop()
		}
		return append(dst, ']')
	case object:
		dst = append(dst, '{')
		for i, item := range n.items {
			if i > 0 {
				dst = append(dst, ',')
			}
			name := n.keys[i].text
			dst = append((&node{sort: text, text: name}).appendJSON(dst, nil), ':')
			r.at.push(name)
			dst = r.appendConfig(dst, item, applied(below(schemas, name, -1), root), root)
			r.at.pop()
		}
		return append(dst, '}')
	}
	return n.appendJSON(dst, nil)
}
