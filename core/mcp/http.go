package mcp

import (
	"mime"
	"strings"

	"github.com/sallyport/sallyport/core"
)

// The headers of the protocol.
const (
	headerSession   = "Mcp-Session-Id"
	headerRevision  = "MCP-Protocol-Version"
	headerLastEvent = "Last-Event-ID"
	headerMethod    = "Mcp-Method"
	headerName      = "Mcp-Name"
	headerParam     = "Mcp-Param-"
)

// checkContentType wants JSON in UTF-8.
func checkContentType(h Header) *fault {
	value := h.Get("Content-Type")
	if value == typeJSON {
		return nil
	}
	kind, parameters, err := mime.ParseMediaType(value)
	if err == nil && kind == typeJSON {
		if charset := parameters["charset"]; charset == "" || strings.EqualFold(charset, "utf-8") {
			return nil
		}
	}
	return &fault{code: codeInvalidRequest, status: 415, message: "Content-Type must be application/json"}
}

// checkAccept wants that the client takes what any answer to a POST may be.
func checkAccept(h Header) *fault {
	if value := h.Get("Accept"); value == "application/json, text/event-stream" || value == "" {
		return nil
	}
	if accepts(h, "application", "json") && accepts(h, "text", "event-stream") {
		return nil
	}
	return &fault{
		code: codeInvalidRequest, status: 406,
		message: "Accept must list application/json and text/event-stream",
	}
}

// accepts tells whether a header Accept (RFC 9110, section 12.5.1) allows a type.
// None at all allows every type.
func accepts(h Header, kind, subtype string) bool {
	values := h.Values("Accept")
	if len(values) == 0 {
		return true
	}
	best, allowed := 0, false
	for _, value := range values {
		for part := range strings.SplitSeq(value, ",") {
			name, parameters, _ := strings.Cut(part, ";")
			k, s, _ := strings.Cut(strings.ToLower(strings.TrimSpace(name)), "/")
			rank := 0
			switch {
			case k == kind && s == subtype:
				rank = 3
			case k == kind && s == "*":
				rank = 2
			case k == "*" && s == "*":
				rank = 1
			}
			if rank > best { // the most specific one decides
				best, allowed = rank, !zeroQuality(parameters)
			}
		}
	}
	return allowed
}

func zeroQuality(parameters string) bool {
	for p := range strings.SplitSeq(parameters, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(p), "=")
		if strings.EqualFold(strings.TrimSpace(name), "q") {
			return strings.Trim(strings.TrimSpace(value), "0.") == ""
		}
	}
	return false
}

// once returns the value of a header that must not stand twice, without the white
// space around it (RFC 9110, section 5.5).
func once(h Header, name string) (value string, present bool, f *fault) {
	values := h.Values(name)
	switch len(values) {
	case 0:
		return "", false, nil
	case 1:
		value = values[0]
		if last := len(value) - 1; last >= 0 && (value[0] <= ' ' || value[last] <= ' ') {
			value = strings.Trim(value, " \t")
		}
		return value, true, nil
	}
	return "", true, &fault{code: codeHeaderMismatch, status: 400, message: "header " + name + " stands more than once"}
}

func notAllowed(allow string) (int, []core.Field) {
	return 405, []core.Field{{Name: "Allow", Value: allow}}
}
