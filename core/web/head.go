package web

import (
	"bytes"
	"encoding/binary"
	"strings"
	"sync/atomic"

	"github.com/sallyport/sallyport/core/mcp"
)

// maxHead keeps offsets into a head within 16 bits.
const maxHead = 60 << 10

// head is the request target and the header fields of one request, copied out of
// Fiber in one piece. Fields are found by offset; nothing is decoded or mapped.
type head struct {
	target string
	text   string // the header block as it came
	first  [20]span
	more   []span
	count  int
	lent   atomic.Uint32 // how many of single are handed out
	single [4]string     // single values; a place is used once, so that what Values returned stays

	host, origin string
	encoded      bool // a Content-Encoding other than identity
}

// span is one field of a head: text[name:nameEnd], text[value:valueEnd].
type span struct{ name, nameEnd, value, valueEnd uint16 }

// Get returns the first value of a header, name in any case; "" when absent.
func (h *head) Get(name string) string {
	for i := range h.count {
		if s := h.at(i); h.named(s, name) {
			return h.text[s.value:s.valueEnd]
		}
	}
	return ""
}

// Values returns all values of a header, nil when absent.
func (h *head) Values(name string) []string {
	var values []string
	for i := range h.count {
		s := h.at(i)
		if !h.named(s, name) {
			continue
		}
		value := h.text[s.value:s.valueEnd]
		if values == nil {
			if n := h.lent.Add(1); n <= uint32(len(h.single)) {
				h.single[n-1] = value
				values = h.single[n-1 : n : n]
				continue
			}
		}
		values = append(values, value)
	}
	return values
}

func (h *head) at(i int) *span {
	if i < len(h.first) {
		return &h.first[i]
	}
	return &h.more[i-len(h.first)]
}

func (h *head) named(s *span, name string) bool {
	return int(s.nameEnd-s.name) == len(name) && sameFold(h.text[s.name:s.nameEnd], name)
}

// sameFold compares two strings of equal length, ASCII letters in any case.
func sameFold(a, b string) bool {
	for i := range len(a) {
		x, y := a[i], b[i]
		if x == y {
			continue
		}
		if x|0x20 != y|0x20 || x|0x20 < 'a' || x|0x20 > 'z' {
			return false
		}
	}
	return true
}

func equalFold(a, b string) bool { return len(a) == len(b) && sameFold(a, b) }

// read copies a head and checks it harder than fasthttp does: what two parsers
// could read in two ways is refused (RFC 9112, sections 5, 6.1 and 11.2). block is
// the header block with its final empty line. forwarded says whether the peer is a
// proxy whose forwarding headers are believed.
func (h *head) read(target, block []byte, fields int, forwarded bool) *refusal {
	if len(block) > maxHead {
		return refuseHead
	}
	if len(target) == 0 {
		return refuseTarget
	}
	var b strings.Builder
	b.Grow(len(target) + len(block))
	b.Write(target)
	b.Write(block)
	all := b.String()
	h.target, h.text = all[:len(target)], all[len(target):]

	var hosts, lengths, encodings int
	nominated := ""
	for i := 0; i < len(block); {
		end := bytes.IndexByte(block[i:], '\n')
		if end < 1 || block[i+end-1] != '\r' {
			return refuseLine // a bare LF
		}
		line := block[i : i+end-1]
		from := i
		i += end + 1
		if len(line) == 0 {
			break
		}
		colon, under := 0, false
		for colon < len(line) && tokenBytes[line[colon]] {
			under = under || line[colon] == '_'
			colon++
		}
		if colon < 1 || colon == len(line) || line[colon] != ':' {
			return refuseLine // a folded line, or a name that is no token
		}
		start, stop := colon+1, len(line)
		for start < stop && (line[start] == ' ' || line[start] == '\t') {
			start++
		}
		for start < stop && (line[stop-1] == ' ' || line[stop-1] == '\t') {
			stop--
		}
		value := line[start:stop]
		if !printable(value) {
			return refuseLine
		}
		if h.count >= fields {
			return refuseFields
		}
		s := span{name: uint16(from), nameEnd: uint16(from + colon), value: uint16(from + start), valueEnd: uint16(from + stop)}
		name := h.text[s.name:s.nameEnd]

		switch name[0] | 0x20 {
		case 'h':
			if equalFold(name, "Host") {
				if hosts++; hosts > 1 {
					return refuseHosts
				}
				h.host = h.text[s.value:s.valueEnd]
			}
		case 'o':
			if equalFold(name, "Origin") {
				h.origin = h.text[s.value:s.valueEnd]
				if h.origin == "" {
					h.origin = "null" // present, and no origin
				}
			}
		case 'c':
			switch {
			case equalFold(name, "Content-Length"):
				lengths++
				if len(value) == 0 || !digits(value) {
					return refuseLength
				}
			case equalFold(name, "Content-Encoding"):
				h.encoded = h.encoded || !equalFold(string(value), "identity")
			case equalFold(name, "Connection"):
				if !bytes.EqualFold(value, keepAlive) && !bytes.EqualFold(value, closeWord) {
					nominated += "," + string(value)
				}
			}
		case 't':
			if equalFold(name, "Transfer-Encoding") {
				encodings++
				if !bytes.EqualFold(value, chunkedWord) {
					return refuseCoding
				}
			}
		case 'x', 'f':
			if !forwarded && forwarding(name) {
				continue
			}
		}
		if under {
			continue // X_Y and X-Y are one name to CGI-like readers behind us
		}
		if single(name) && h.has(name) {
			return refuseTwice
		}
		h.add(s)
	}
	switch {
	case lengths > 1 || encodings > 1 || lengths > 0 && encodings > 0:
		return refuseFraming
	case nominated != "":
		h.drop(nominated)
	}
	return nil
}

func (h *head) has(name string) bool {
	for i := range h.count {
		if h.named(h.at(i), name) {
			return true
		}
	}
	return false
}

func (h *head) add(s span) {
	if h.count < len(h.first) {
		h.first[h.count] = s
	} else {
		h.more = append(h.more, s)
	}
	h.count++
}

// drop hides the fields that Connection names as meant for this hop only
// (RFC 9110, section 7.6.1).
func (h *head) drop(nominated string) {
	kept := head{text: h.text}
	for i := range h.count {
		s := h.at(i)
		if !inList(nominated, h.text[s.name:s.nameEnd]) {
			kept.add(*s)
		}
	}
	h.first, h.more, h.count = kept.first, kept.more, kept.count
}

// inList reports whether a comma-separated list holds word, in any case.
func inList(list, word string) bool {
	for list != "" {
		var one string
		one, list, _ = strings.Cut(list, ",")
		if equalFold(strings.Trim(one, " \t"), word) {
			return true
		}
	}
	return false
}

// single reports whether two fields of this name would leave open which one counts.
// The Endpoint judges those of MCP itself.
func single(name string) bool {
	switch name[0] | 0x20 {
	case 'a':
		return equalFold(name, "Authorization")
	case 'c':
		return equalFold(name, "Content-Type")
	case 'o':
		return equalFold(name, "Origin")
	case 'l':
		return equalFold(name, "Last-Event-ID")
	}
	return false
}

// forwarding reports whether a header says where a request came from before the
// proxy in front of us.
func forwarding(name string) bool {
	return equalFold(name, "Forwarded") || equalFold(name, "X-Real-IP") ||
		len(name) > 12 && equalFold(name[:12], "X-Forwarded-") ||
		len(name) > 12 && equalFold(name[:12], "X_Forwarded_")
}

// printable reports whether a value has no control character but HTAB. It looks at
// eight bytes at once for one that is less than 0x20, or 0 when 0x7f is taken away
// bit by bit, and one by one only where there may be such a byte (Warren, Hacker's
// Delight, section 6-1: a borrow may also raise a false alarm, never hide one).
func printable(value []byte) bool {
	const each = 0x0101010101010101
	for len(value) >= 8 {
		w := binary.LittleEndian.Uint64(value)
		del := w ^ 0x7f*each
		if ((w-0x20*each)&^w|(del-each)&^del)&(0x80*each) != 0 && !printableBytes(value[:8]) {
			return false
		}
		value = value[8:]
	}
	return printableBytes(value)
}

func printableBytes(value []byte) bool {
	for _, c := range value {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

func digits(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// tokenBytes are the characters of a field name (RFC 9110, section 5.6.2).
var tokenBytes = func() (table [256]bool) {
	for c := '0'; c <= '9'; c++ {
		table[c] = true
	}
	for c := 'a'; c <= 'z'; c++ {
		table[c], table[c-'a'+'A'] = true, true
	}
	for _, c := range "!#$%&'*+-.^_`|~" {
		table[c] = true
	}
	return table
}()

func token[T string | []byte](s T) bool {
	for i := range len(s) {
		if !tokenBytes[s[i]] {
			return false
		}
	}
	return len(s) > 0
}

var (
	keepAlive   = []byte("keep-alive")
	closeWord   = []byte("close")
	chunkedWord = []byte("chunked")
)

var _ mcp.Header = (*head)(nil)
