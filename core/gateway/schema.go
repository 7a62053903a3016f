package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

// Bounds of one JSON Schema (security.md T10). Checking a value is bounded apart
// from that, by the steps it takes: a small schema can still branch without end.
const (
	schemaDepth      = 32      // subschemas within subschemas
	schemaSubschemas = 1000    // all of them
	schemaBytes      = 1 << 20 // its text
	schemaPatterns   = 200_000 // instructions of all its regular expressions, of some 40 bytes each
	checkSteps       = 100_000 // of one check
	maxExponent      = 400     // of a number: more is outside of what any upstream can hold
)

// schemaURL names the document while it compiles. Nothing is ever read from it.
const schemaURL = "sallyport:///schema"

// schema is a JSON Schema, compiled once. Most values are judged by quick, which
// knows the common keywords and is about ten times as fast; the rest, and all
// that needs a message, by exact.
type schema struct {
	exact   *jsonschema.Schema
	quick   *rule
	headers []core.HeaderParam // from x-mcp-header
	object  bool               // the root has type object, and no other

	// anyObject: the schema asks for nothing but an object, so a value need not be
	// decoded to know that it fits.
	anyObject bool
}

// fault is a mistake in a schema, or in a value that does not fit one.
type fault struct {
	path, message, fix string

	meant string // path of the member that was probably meant by an unknown one
}

// check returns why value does not fit; nil means that it does. It says what
// value holds only when echo is true.
func (s *schema) check(value any, echo bool) []fault {
	steps := checkSteps
	if s.quick.test(value, &steps) == yes {
		return nil
	}
	if path, found := hugeNumber(value, ""); found {
		return []fault{{path: path, message: "is a number out of range", fix: fmt.Sprintf("exponents go up to %d", maxExponent)}}
	}
	steps = checkSteps
	if !affordable(s.exact, value, &steps) {
		return []fault{{message: "takes too many steps to check against the schema", fix: "send a smaller or less deeply nested value"}}
	}
	err := s.exact.Validate(value)
	if err == nil {
		return nil
	}
	var invalid *jsonschema.ValidationError
	if !errors.As(err, &invalid) {
		return []fault{{message: "cannot be checked against the schema"}}
	}
	w := wording{root: s.exact, value: value, echo: echo}
	return w.faults(invalid)
}

// Schemas keeps compiled schemas by their text, so that a reload compiles only
// what is new. It is safe for concurrent use.
type Schemas struct {
	mu   sync.Mutex
	kept map[[32]byte]*schema
}

// schemasKept bounds the cache; past it, it starts anew.
const schemasKept = 20_000

// NewSchemas returns an empty cache.
func NewSchemas() *Schemas { return &Schemas{kept: map[[32]byte]*schema{}} }

// compile returns the schema of a JSON text, or what is wrong with it.
func (c *Schemas) compile(raw json.RawMessage) (*schema, []fault) {
	key := sha256.Sum256(raw)
	c.mu.Lock()
	s := c.kept[key]
	c.mu.Unlock()
	if s != nil {
		return s, nil
	}
	s, faults := compileSchema(raw)
	if len(faults) > 0 {
		return nil, faults
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.kept) >= schemasKept {
		c.kept = map[[32]byte]*schema{}
	}
	c.kept[key] = s
	return s, nil
}

func compileSchema(raw json.RawMessage) (s *schema, faults []fault) {
	// The library is given only what was measured; a panic in it is still a mistake
	// of the document, not the end of the process.
	defer func() {
		if r := recover(); r != nil {
			s, faults = nil, []fault{{message: "schema does not compile: " + panicText(r)}}
		}
	}()
	if len(raw) > schemaBytes {
		return nil, []fault{{message: fmt.Sprintf("schema has %d bytes", len(raw)), fix: fmt.Sprintf("at most %d", schemaBytes)}}
	}
	doc, err := wire.Decode(raw)
	if err != nil {
		return nil, []fault{{message: "is not JSON: " + err.Error()}}
	}
	switch doc.(type) {
	case map[string]any, bool:
	default:
		return nil, []fault{{message: "must be a JSON Schema, not " + article(doc), fix: `write an object, for example {"type": "object"}`}}
	}
	outline := outlineOf(doc)
	if len(outline.faults) > 0 {
		return nil, outline.faults
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.UseLoader(nothing{})
	if err := compiler.AddResource(schemaURL, doc); err != nil {
		return nil, []fault{{message: "schema does not compile: " + err.Error()}}
	}
	exact, err := compiler.Compile(schemaURL)
	if err != nil {
		return nil, outline.explain(doc, err)
	}
	if path, found := endless(exact); found {
		return nil, []fault{{path: path, message: "refers back to itself without going into a property or an item", fix: "such a schema can never be checked: remove the circle"}}
	}
	root, _ := doc.(map[string]any)
	return &schema{
		exact: exact, quick: ruleOf(exact, map[*jsonschema.Schema]*rule{}),
		headers: outline.headers, object: root["type"] == "object", anyObject: asksOnlyForObject(root),
	}, nil
}

func asksOnlyForObject(root map[string]any) bool {
	for keyword := range root {
		switch keyword {
		case "type", "$schema", "$comment", "title", "description", "default", "examples", "deprecated", "readOnly":
		default:
			return false
		}
	}
	return root["type"] == "object"
}

// warm compiles many schemas at once, on all processors. What is wrong with them is
// found again, and reported, where they are used.
func (c *Schemas) warm(ctx context.Context, texts []json.RawMessage) {
	if len(texts) < 64 {
		return
	}
	var next atomic.Int64
	var work sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		work.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(texts) {
					return
				}
				_, _ = c.compile(compact(texts[i]))
			}
		})
	}
	work.Wait()
}

// nothing is a loader that refuses every URL and every file: a schema that reads
// from elsewhere would be a way out for whoever wrote it (security.md T10).
type nothing struct{}

var errOutside = errors.New("a schema may only refer to its own parts")

func (nothing) Load(string) (any, error) { return nil, errOutside }

// explain turns an error of the compiler into faults with places.
func (o *outline) explain(doc any, err error) []fault {
	var invalid *jsonschema.SchemaValidationError
	if errors.As(err, &invalid) {
		var why *jsonschema.ValidationError
		if errors.As(invalid.Err, &why) {
			w := wording{value: doc, echo: true}
			return w.faults(why)
		}
	}
	var pattern *jsonschema.InvalidRegexError
	if errors.As(err, &pattern) {
		return []fault{{
			path:    pointerOf(pattern.URL),
			message: fmt.Sprintf("pattern %s does not compile: %v", quoted(pattern.Regex), pattern.Err),
			fix:     "patterns are RE2: there is no lookahead, lookbehind or backreference",
		}}
	}
	var load *jsonschema.LoadURLError
	if errors.As(err, &load) {
		for _, ref := range o.refs {
			if base, _, _ := strings.Cut(ref.text, "#"); base != "" && strings.HasSuffix(load.URL, strings.TrimLeft(base, "./")) {
				return []fault{outside(ref)}
			}
		}
		return []fault{{message: "refers to " + quoted(load.URL), fix: "a schema may only refer to its own parts, for example #/$defs/name"}}
	}
	path, text := "", err.Error()
	var pointer *jsonschema.JSONPointerNotFoundError
	var anchor *jsonschema.AnchorNotFoundError
	switch {
	case errors.As(err, &pointer):
		path, text = o.refTo(pointerOf(pointer.URL)), "refers to "+quoted("#"+pointerOf(pointer.URL))+", which is not there"
	case errors.As(err, &anchor):
		path, text = o.refTo(anchor.Reference), "refers to "+quoted(strings.TrimPrefix(anchor.Reference, schemaURL))+", which is not there"
	}
	return []fault{{path: path, message: text}}
}

// refTo finds the $ref whose target ends like this one.
func (o *outline) refTo(target string) string {
	for _, ref := range o.refs {
		_, fragment, _ := strings.Cut(ref.text, "#")
		if plain, err := url.PathUnescape(fragment); err == nil && plain != "" && strings.HasSuffix(target, plain) {
			return ref.path
		}
	}
	return ""
}

// pointerOf returns the JSON Pointer in the fragment of a schema URL.
func pointerOf(location string) string {
	_, fragment, _ := strings.Cut(location, "#")
	if plain, err := url.PathUnescape(fragment); err == nil {
		return plain
	}
	return fragment
}

// hugeNumber finds a number whose exponent is beyond reason. The library would
// work it out digit by digit.
func hugeNumber(value any, path string) (string, bool) {
	switch v := value.(type) {
	case json.Number:
		return path, exponent(string(v)) > maxExponent
	case map[string]any:
		for name, member := range v {
			if p, found := hugeNumber(member, path+"/"+escape(name)); found {
				return p, true
			}
		}
	case []any:
		for i, item := range v {
			if p, found := hugeNumber(item, fmt.Sprintf("%s/%d", path, i)); found {
				return p, true
			}
		}
	}
	return "", false
}

// exponent returns the absolute exponent of a JSON number, maxExponent+1 when it
// is larger than that.
func exponent(text string) int {
	at := strings.IndexAny(text, "eE")
	if at < 0 {
		return 0
	}
	digits := strings.TrimLeft(strings.TrimLeft(text[at+1:], "+-"), "0")
	if len(digits) > 3 {
		return maxExponent + 1
	}
	n := 0
	for _, d := range digits {
		n = n*10 + int(d-'0')
	}
	return n
}

// escape makes a token of a JSON Pointer (RFC 6901).
func escape(token string) string {
	if strings.IndexByte(token, '~') < 0 && strings.IndexByte(token, '/') < 0 {
		return token
	}
	return strings.ReplaceAll(strings.ReplaceAll(token, "~", "~0"), "/", "~1")
}
