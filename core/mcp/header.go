package mcp

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

func mismatch(message string) *fault {
	return &fault{code: codeHeaderMismatch, message: message, status: 400}
}

// checkMethodHeader compares Mcp-Method with the body.
func checkMethodHeader(h Header, m *message) *fault {
	value, present, f := once(h, headerMethod)
	switch {
	case f != nil:
		return f
	case !present:
		return mismatch("header " + headerMethod + " is missing")
	case value != m.method:
		return mismatch("header " + headerMethod + " differs from the method in the body")
	}
	return nil
}

// checkNameHeader compares Mcp-Name with params.name or params.uri, where the
// method has one.
func checkNameHeader(h Header, m *message) *fault {
	var raw json.RawMessage
	switch m.method {
	case "tools/call", "prompts/get":
		raw = m.p.name
	case "resources/read":
		raw = m.p.uri
	default:
		return nil
	}
	if !wire.IsString(raw) {
		return nil // the method itself says what is wrong with its parameters
	}
	value, present, f := once(h, headerName)
	switch {
	case f != nil:
		return f
	case !present:
		return mismatch("header " + headerName + " is missing")
	}
	got, ok := headerText(value)
	switch {
	case !ok:
		return mismatch("header " + headerName + " holds characters or an encoding that it may not")
	case !is(raw, got):
		return mismatch("header " + headerName + " differs from the name in the body")
	}
	if m.method == "tools/call" {
		m.named = got
	}
	return nil
}

// headerText decodes the =?base64?…?= form and refuses what a plain value may not
// hold (2026-07-28, streamable HTTP, value encoding).
func headerText(value string) (string, bool) {
	const prefix, suffix = "=?base64?", "?="
	if len(value) >= len(prefix)+len(suffix) && strings.HasPrefix(value, prefix) && strings.HasSuffix(value, suffix) {
		plain, err := base64.StdEncoding.Strict().DecodeString(value[len(prefix) : len(value)-len(suffix)])
		if err != nil || !utf8.Valid(plain) {
			return "", false
		}
		return string(plain), true
	}
	for i := range len(value) {
		if c := value[i]; c != '\t' && (c < ' ' || c > '~') {
			return "", false
		}
	}
	return value, true
}

// checkParamHeaders compares the Mcp-Param headers that a tool declares with the
// arguments.
func checkParamHeaders(h Header, declared []core.HeaderParam, arguments map[string]any) *fault {
	for i := range declared {
		d := &declared[i]
		name := headerParam + d.Header
		value, present, f := once(h, name)
		if f != nil {
			return f
		}
		body := d.In(arguments)
		switch {
		case body == nil && !present:
			continue
		case body == nil:
			return mismatch("header " + name + " is there, but the argument is not")
		case !present:
			return mismatch("header " + name + " is missing, but the argument is there")
		}
		got, ok := headerText(value)
		switch {
		case !ok:
			return mismatch("header " + name + " holds characters or an encoding that it may not")
		case !sameValue(got, body):
			return mismatch("header " + name + " differs from the argument in the body")
		}
	}
	return nil
}

// sameValue compares the text of a header with a JSON value; numbers by value.
func sameValue(header string, body any) bool {
	switch body := body.(type) {
	case string:
		return header == body
	case bool:
		return header == strconv.FormatBool(body)
	case json.Number:
		if header == string(body) {
			return true
		}
		if strings.Trim(header, "0123456789+-.eE") != "" || len(header) > 64 {
			return false
		}
		a, err := strconv.ParseFloat(header, 64)
		b, err2 := strconv.ParseFloat(string(body), 64)
		const safe = 1 << 53 // beyond it two integers may look alike
		return err == nil && err2 == nil && a == b && math.Abs(a) < safe
	}
	return false
}
