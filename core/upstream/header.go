package upstream

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

// The headers of the protocol.
const (
	headerSession   = "Mcp-Session-Id"
	headerRevision  = "MCP-Protocol-Version"
	headerLastEvent = "Last-Event-ID"
	headerMethod    = "Mcp-Method"
	headerName      = "Mcp-Name"
	headerParam     = "Mcp-Param-"

	headerKeyword = "x-mcp-header"
)

// headerValue spells a value for a header: as it is where it may, else encoded
// (2026-07-28, streamable HTTP, value encoding).
func headerValue(s string) string {
	const prefix, suffix = "=?base64?", "?="
	plain := !strings.HasPrefix(s, prefix) || !strings.HasSuffix(s, suffix)
	for i := 0; plain && i < len(s); i++ {
		plain = ' ' <= s[i] && s[i] <= '~'
	}
	if plain && s != "" && (s[0] == ' ' || s[len(s)-1] == ' ') {
		plain = false
	}
	if plain {
		return s
	}
	return prefix + base64.StdEncoding.EncodeToString([]byte(s)) + suffix
}

// paramHeaders appends the Mcp-Param headers that a tool wants.
func paramHeaders(dst []core.Field, declared []core.HeaderParam, arguments map[string]any) []core.Field {
	for i := range declared {
		value, ok := scalar(declared[i].In(arguments))
		if ok {
			dst = append(dst, core.Field{Name: headerParam + declared[i].Header, Value: headerValue(value)})
		}
	}
	return dst
}

// scalar is the text of a value that a header may hold: a string, a boolean, or an
// integer that every reader takes for the same.
func scalar(value any) (string, bool) {
	switch v := value.(type) {
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	case json.Number:
		const safe = 1<<53 - 1
		if n, err := strconv.ParseInt(string(v), 10, 64); err == nil {
			return strconv.FormatInt(n, 10), -safe <= n && n <= safe
		}
		f, err := strconv.ParseFloat(string(v), 64)
		if err != nil || f < -safe || f > safe || f != float64(int64(f)) {
			return "", false
		}
		return strconv.FormatInt(int64(f), 10), true
	}
	return "", false
}

// headersOf reads the x-mcp-header of an input schema that was accepted. A tool whose
// headers are wrong must not be used (2026-07-28, tools): the error says why.
func headersOf(schema json.RawMessage) ([]core.HeaderParam, error) {
	if !strings.Contains(string(schema), headerKeyword) && !strings.Contains(string(schema), `\u`) {
		return nil, nil
	}
	h := headers{seen: map[string]bool{}}
	h.object(schema, nil)
	return h.found, h.err
}

type headers struct {
	found []core.HeaderParam
	seen  map[string]bool
	err   error
}

// object looks at a schema that properties lead to.
func (h *headers) object(schema json.RawMessage, path []string) {
	if !wire.IsObject(schema) {
		return
	}
	var keyword, properties json.RawMessage
	kind := ""
	_ = wire.Walk(schema, func(name string, v json.RawMessage) error { // accepted
		switch name {
		case headerKeyword:
			keyword = v
		case "properties":
			properties = v
		case "type":
			kind, _ = text(v)
		case "enum", "const", "default", "examples", "description", "title", "$comment":
		default:
			h.elsewhere(v)
		}
		return nil
	})
	if keyword != nil {
		h.add(keyword, kind, path)
	}
	if wire.IsObject(properties) {
		_ = wire.Walk(properties, func(name string, v json.RawMessage) error { // accepted
			h.object(v, append(slices.Clip(path), name))
			return nil
		})
	}
}

// elsewhere finds headers where no chain of properties leads.
func (h *headers) elsewhere(v json.RawMessage) {
	switch {
	case wire.IsObject(v):
		_ = wire.Walk(v, func(name string, v json.RawMessage) error { // accepted
			if name == headerKeyword && wire.IsString(v) {
				h.fail("stands where properties alone do not lead")
			}
			h.elsewhere(v)
			return nil
		})
	case wire.IsArray(v):
		_ = wire.WalkElements(v, func(v json.RawMessage) error { // accepted
			h.elsewhere(v)
			return nil
		})
	}
}

func (h *headers) add(keyword json.RawMessage, kind string, path []string) {
	name, ok := text(keyword)
	lower := strings.ToLower(name)
	switch {
	case !ok || !token(name) || len(name) > 128:
		h.fail("is no name of a header")
	case len(path) == 0:
		h.fail("stands at the root")
	case kind != "string" && kind != "integer" && kind != "boolean":
		h.fail("stands on an argument that is no string, integer or boolean")
	case h.seen[lower]:
		h.fail("names a header twice")
	default:
		h.seen[lower] = true
		h.found = append(h.found, core.HeaderParam{Header: name, Path: path, Type: kind})
	}
}

func (h *headers) fail(what string) {
	if h.err == nil {
		h.err = fmt.Errorf("%s %s", headerKeyword, what)
	}
}

// token tells whether s is a token of RFC 9110 section 5.6.2.
func token(s string) bool {
	for i := range len(s) {
		c := s[i]
		if ('0' > c || c > '9') && ('a' > c || c > 'z') && ('A' > c || c > 'Z') && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}
