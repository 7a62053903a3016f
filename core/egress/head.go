package egress

import (
	"errors"
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/core"
)

// head is the head of an HTTP/1.1 answer, parsed by RFC 9112 without any leniency:
// what two parsers could read in two ways is refused (security.md T2).
type head struct {
	status   int
	fields   []core.Field // without the hop-by-hop ones
	length   int64        // Content-Length; -1 = absent
	chunked  bool
	keep     bool   // the connection may be used again
	encoding string // Content-Encoding, lower case; "" = identity
	after    string // Retry-After
}

const (
	maxHead   = 16 << 10 // bytes, status line included
	maxFields = 256
)

// malformed is an answer that is not HTTP, or has more than one meaning.
type malformed struct{ what string }

func (m *malformed) Error() string { return m.what }

func bad1(format string, args ...any) error { return &malformed{fmt.Sprintf(format, args...)} }

var errHeadTooLarge = errors.New("the head of the answer is larger than 16 KiB")

// parse reads a head from text, which ends with the empty line. The fields are
// slices of text; they are appended to h.fields.
func (h *head) parse(text string) error {
	line, rest, ok := cutLine(text)
	if !ok {
		return bad1("no status line")
	}
	minor, err := h.parseStatus(line)
	if err != nil {
		return err
	}
	h.length, h.keep = -1, minor == 1
	for {
		line, rest, ok = cutLine(rest)
		if !ok {
			return bad1("a header line does not end with CR LF")
		}
		if line == "" {
			break
		}
		if len(h.fields) == maxFields {
			return errHeadTooLarge
		}
		if err := h.parseField(line, minor); err != nil {
			return err
		}
	}
	if rest != "" {
		return bad1("bytes after the empty line")
	}
	if h.chunked && h.length >= 0 {
		return bad1("both Content-Length and Transfer-Encoding")
	}
	return nil
}

// cutLine cuts at the first CR LF.
func cutLine(text string) (line, rest string, ok bool) {
	if i := strings.IndexByte(text, '\n'); i > 0 && text[i-1] == '\r' {
		return text[:i-1], text[i+1:], true
	}
	return strings.Cut(text, "\r\n") // a bare LF, which is refused as part of the line
}

// parseStatus reads "HTTP/1.1 200 reason" and returns the minor version.
func (h *head) parseStatus(line string) (minor int, err error) {
	if len(line) < 12 || line[:7] != "HTTP/1." || line[8] != ' ' || (len(line) > 12 && line[12] != ' ') {
		return 0, bad1("the status line is not one of HTTP/1.x")
	}
	switch line[7] {
	case '0':
	case '1':
		minor = 1
	default:
		return 0, bad1("the status line is not one of HTTP/1.x")
	}
	for _, c := range []byte(line[9:12]) {
		if c < '0' || c > '9' {
			return 0, bad1("the status is not a number of three digits")
		}
		h.status = h.status*10 + int(c-'0')
	}
	if h.status < 100 {
		return 0, bad1("the status is below 100")
	}
	if !fieldText(line) {
		return 0, bad1("a control character in the status line")
	}
	return minor, nil
}

func (h *head) parseField(line string, minor int) error {
	colon := strings.IndexByte(line, ':')
	if colon <= 0 || !token(line[:colon]) {
		return bad1("a header name is not a token")
	}
	name, value := line[:colon], strings.Trim(line[colon+1:], " \t")
	if !fieldText(value) {
		return bad1("a control character in a header value")
	}
	switch len(name) {
	case 14:
		if fold(name, "content-length") {
			return h.parseLength(value)
		}
	case 17:
		if fold(name, "transfer-encoding") {
			if minor == 0 || h.chunked || !fold(value, "chunked") {
				return bad1("a Transfer-Encoding that is not one chunked")
			}
			h.chunked = true
			return nil
		}
	case 10:
		if fold(name, "connection") {
			if listed(value, "close") {
				h.keep = false
			}
			return nil
		}
	case 16:
		if fold(name, "content-encoding") {
			if h.encoding != "" {
				return bad1("Content-Encoding twice")
			}
			h.encoding = strings.ToLower(value)
			return nil
		}
	case 11:
		if h.after == "" && fold(name, "retry-after") {
			h.after = value
		}
	}
	if hopByHop(name) {
		return nil
	}
	h.fields = append(h.fields, core.Field{Name: name, Value: value})
	return nil
}

func (h *head) parseLength(value string) error {
	if h.length >= 0 {
		return bad1("Content-Length twice")
	}
	if value == "" || len(value) > 18 {
		return bad1("a Content-Length that is not a number")
	}
	n := int64(0)
	for _, c := range []byte(value) {
		if c < '0' || c > '9' {
			return bad1("a Content-Length that is not a number")
		}
		n = n*10 + int64(c-'0')
	}
	h.length = n
	return nil
}

// bodyless tells whether the answer has no body whatever its fields say
// (RFC 9112 6.3).
func (h *head) bodyless(method string) bool {
	return method == "HEAD" || h.status == 204 || h.status == 304 || h.status < 200
}
