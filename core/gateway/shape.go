package gateway

import (
	"encoding/json"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

// The shapes of the parts that travel to clients as they were written:
// annotations, icons, execution, _meta (specification 2026-07-28, schema).

// shape checks one JSON value; "" means that it is right.
type shape func(value any) (message, fix string)

var toolAnnotations = map[string]shape{
	"title": isString, "readOnlyHint": isBool, "destructiveHint": isBool, "idempotentHint": isBool, "openWorldHint": isBool,
}

var resourceAnnotations = map[string]shape{"audience": isAudience, "priority": isPriority, "lastModified": isTime}

var executionMembers = map[string]shape{"taskSupport": func(value any) (string, string) {
	return isOneOf(value, "forbidden", "optional", "required")
}}

var iconMembers = map[string]shape{"src": isIconSource, "mimeType": isMIME, "sizes": isSizes, "theme": func(value any) (string, string) {
	return isOneOf(value, "light", "dark")
}}

// object checks a JSON object member by member and returns it compact. Members
// that are not known are warned of, and kept: a later revision may know them.
func (b *build) object(at core.At, rel string, raw json.RawMessage, members map[string]shape) (json.RawMessage, map[string]any) {
	value, ok := b.decode(at, rel, raw)
	if !ok {
		return nil, nil
	}
	object, ok := value.(map[string]any)
	if !ok {
		b.report(at, rel, "must be an object, not "+article(value), "")
		return nil, nil
	}
	b.members(at, rel, object, members)
	return compact(raw), object
}

func (b *build) members(at core.At, rel string, object map[string]any, members map[string]shape) {
	for _, name := range sortedKeys(object) {
		check, known := members[name]
		if !known {
			b.warn(at, rel+"/"+escape(name), quoted(name)+" is not known here; it is passed on as it is", suggest(name, sortedKeys(members)))
			continue
		}
		if message, fix := check(object[name]); message != "" {
			b.report(at, rel+"/"+escape(name), message, fix)
		}
	}
}

// decode returns a JSON value; false when there is none, or none that can be read.
func (b *build) decode(at core.At, rel string, raw json.RawMessage) (any, bool) {
	if len(raw) == 0 {
		return nil, false
	}
	value, err := wire.Decode(raw)
	if err != nil {
		b.report(at, rel, "is not JSON: "+err.Error(), "")
		return nil, false
	}
	return value, true
}

// icons checks a list of icons.
func (b *build) icons(at core.At, raw json.RawMessage) json.RawMessage {
	const rel = "/icons"
	value, ok := b.decode(at, rel, raw)
	if !ok {
		return nil
	}
	list, ok := value.([]any)
	if !ok {
		b.report(at, rel, "must be an array, not "+article(value), `for example [{"src": "https://example.com/icon.png"}]`)
		return nil
	}
	for i, one := range list {
		item := rel + "/" + strconv.Itoa(i)
		icon, ok := one.(map[string]any)
		if !ok {
			b.report(at, item, "must be an object, not "+article(one), `for example {"src": "https://example.com/icon.png"}`)
			continue
		}
		if _, ok := icon["src"]; !ok {
			b.report(at, item+"/src", "is required", "an https or data URL")
		}
		b.members(at, item, icon, iconMembers)
	}
	return compact(raw)
}

// meta checks the keys of a _meta object (specification, basic: _meta).
func (b *build) meta(at core.At, raw json.RawMessage) json.RawMessage {
	const rel = "/_meta"
	value, ok := b.decode(at, rel, raw)
	if !ok {
		return nil
	}
	object, ok := value.(map[string]any)
	if !ok {
		b.report(at, rel, "must be an object, not "+article(value), "")
		return nil
	}
	for _, key := range sortedKeys(object) {
		prefix, name, both := strings.Cut(key, "/")
		if !both {
			prefix, name = "", key
		}
		if !isMetaName(name) || both && !isMetaPrefix(prefix) {
			b.report(at, rel+"/"+escape(key), quoted(key)+" is not a key of _meta", "write name or prefix/name, for example example.com/owner")
			continue
		}
		labels := strings.Split(prefix, ".")
		if len(labels) > 1 && (labels[1] == "modelcontextprotocol" || labels[1] == "mcp") {
			b.warn(at, rel+"/"+escape(key), "the prefix of "+quoted(key)+" is reserved for the protocol", "use a domain of your own as the prefix")
		}
	}
	return compact(raw)
}

// isMetaName: empty, or begins and ends with a letter or digit, with -_. between.
func isMetaName(name string) bool {
	return name == "" || isName(name, 256) && isAlphanumeric(name[0]) && isAlphanumeric(name[len(name)-1])
}

// isMetaPrefix: labels with dots between; each begins with a letter, ends with a
// letter or digit, and has hyphens in between.
func isMetaPrefix(prefix string) bool {
	for label := range strings.SplitSeq(prefix, ".") {
		if !isName(label, 63) || strings.Contains(label, "_") || !isAlphanumeric(label[0]) || label[0] <= '9' || !isAlphanumeric(label[len(label)-1]) {
			return false
		}
	}
	return true
}

func isAlphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z'
}

func isString(value any) (string, string) {
	if _, ok := value.(string); ok {
		return "", ""
	}
	return "must be a string, not " + article(value), ""
}

func isBool(value any) (string, string) {
	if _, ok := value.(bool); ok {
		return "", ""
	}
	return "must be true or false, not " + article(value), ""
}

func isOneOf(value any, allowed ...string) (string, string) {
	text, ok := value.(string)
	if !ok {
		return "must be a string, not " + article(value), "one of " + strings.Join(allowed, ", ")
	}
	if slices.Contains(allowed, text) {
		return "", ""
	}
	return quoted(text) + " is not allowed here", suggest(text, allowed)
}

func isAudience(value any) (string, string) {
	list, ok := value.([]any)
	if !ok {
		return "must be an array, not " + article(value), `for example ["user", "assistant"]`
	}
	for _, one := range list {
		if message, fix := isOneOf(one, "user", "assistant"); message != "" {
			return message, fix
		}
	}
	return "", ""
}

func isPriority(value any) (string, string) {
	n, ok := value.(json.Number)
	if ok {
		if f, err := n.Float64(); err == nil && !math.IsNaN(f) && f >= 0 && f <= 1 {
			return "", ""
		}
	}
	return "must be a number from 0 to 1", ""
}

func isTime(value any) (string, string) {
	if text, ok := value.(string); ok {
		if _, err := time.Parse(time.RFC3339, text); err == nil {
			return "", ""
		}
	}
	return "must be a time of ISO 8601", "for example 2026-11-22T15:04:05Z"
}

func isMIME(value any) (string, string) {
	text, ok := value.(string)
	if !ok {
		return "must be a string, not " + article(value), ""
	}
	if f := checkMIME(text); f != nil {
		return f.message, f.fix
	}
	return "", ""
}

func isSizes(value any) (string, string) {
	const fix = `for example ["48x48"] or ["any"]`
	list, ok := value.([]any)
	if !ok {
		return "must be an array, not " + article(value), fix
	}
	for _, one := range list {
		text, _ := one.(string)
		wide, high, both := strings.Cut(text, "x")
		_, errWide := strconv.ParseUint(wide, 10, 16)
		_, errHigh := strconv.ParseUint(high, 10, 16)
		if text != "any" && (!both || errWide != nil || errHigh != nil) {
			return "has a size that is not of the form 48x48", fix
		}
	}
	return "", ""
}

// isIconSource: clients fetch icons over https or read them from a data URL, and
// must refuse anything else.
func isIconSource(value any) (string, string) {
	const fix = "an https or data URL"
	text, ok := value.(string)
	if !ok {
		return "must be a string, not " + article(value), fix
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return "is not a URL", fix
	case u.Scheme == "data":
		if !strings.Contains(u.Opaque, ",") {
			return "is not a data URL", "for example data:image/png;base64,…"
		}
	case u.Scheme != "https" || u.Host == "":
		return "is neither an https nor a data URL", fix
	case u.User != nil:
		return "has a user name or a password", fix
	}
	return "", ""
}
