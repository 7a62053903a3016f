package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

// RedactOptions say what is taken out of payloads beside what always is.
type RedactOptions struct {
	Deny   []string // more parts of names whose values are never kept; case and separators do not matter
	Emails bool     // take out addresses of mail too
	Bytes  int      // of arguments and result together; 0 = 16 KiB
	Text   int      // of one text; 0 = 2 KiB
}

// Redactor takes secrets out of arguments and results, and cuts them. It knows names that
// promise a secret, and values that look like one; it cannot know a secret that looks like
// anything else under a harmless name.
type Redactor struct {
	names    []string // lower case, without separators
	patterns *patterns
	most     int
	mostText int
}

const (
	redacted  = "[redacted]"
	leastText = 64
	deepest   = 64 // levels of values, and of JSON within texts together
)

// denied are parts of names whose values are never kept. Case and separators do not matter.
var denied = []string{
	"password", "passwd", "passphrase", "passcode", "pwd", "secret", "token", "authorization", "authentication", "api_key", "access_key",
	"private_key", "signing_key", "encryption_key", "account_key", "shared_key", "master_key", "client_assertion", "cookie", "credential", "bearer", "jwt",
	"session_id", "csrf", "xsrf", "totp", "cvv", "cvc", "card_number", "pin_code", "connection_string", "dsn",
}

// counts are names with a denied part whose numbers are harmless and worth keeping.
var counts = []string{
	"maxtokens", "maxoutputtokens", "maxcompletiontokens", "totaltokens", "inputtokens", "outputtokens", "prompttokens", "completiontokens", "tokencount",
}

// NewRedactor returns a Redactor.
func NewRedactor(o RedactOptions) *Redactor {
	r := &Redactor{most: o.Bytes, mostText: o.Text}
	if r.most <= 0 {
		r.most = 16 << 10
	}
	if r.mostText <= 0 {
		r.mostText = 2 << 10
	}
	r.most, r.mostText = max(r.most, 8<<10), max(r.mostText, leastText)
	for _, list := range [][]string{denied, o.Deny} {
		for _, name := range list {
			if folded := fold(name); folded != "" {
				r.names = append(r.names, folded)
			}
		}
	}
	r.patterns = newPatterns(r.names, o.Emails)
	return r
}

// fold returns a name as names are compared: lower case, letters and digits only.
func fold(name string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c >= 'A' && c <= 'Z':
			return c + 'a' - 'A'
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c >= 0x80:
			return c
		}
		return -1
	}, name)
}

// denies tells whether the value of a name is never kept.
func (r *Redactor) denies(name string, value json.RawMessage) bool {
	folded := fold(name)
	for _, part := range r.names {
		if !strings.Contains(folded, part) {
			continue
		}
		if wire.IsNumber(value) {
			if slices.Contains(counts, folded) {
				return false
			}
		}
		return !wire.IsNull(value)
	}
	return false
}

// record puts arguments and result into a record, of which arguments get at most half
// of the room.
func (r *Redactor) record(c *core.CallRecord, arguments json.RawMessage, result *core.Result) {
	if len(arguments) > 0 {
		c.Arguments = r.within(arguments, r.most/2)
	}
	if result != nil {
		c.Result = r.within(rawResult(result), r.most-len(c.Arguments))
	}
}

// JSON returns a value without secrets, as valid JSON of bounded size.
func (r *Redactor) JSON(raw json.RawMessage) string { return r.within(raw, r.most) }

// Result returns a result likewise.
func (r *Redactor) Result(result *core.Result) string { return r.within(rawResult(result), r.most) }

// within returns at most about n bytes.
func (r *Redactor) within(raw json.RawMessage, n int) string {
	if wire.Check(raw, wire.Answer) != nil {
		return string(wire.AppendString(nil, fmt.Sprintf("[%d bytes that are no JSON]", len(raw))))
	}
	work := r.most * workFactor
	w := &rewrite{Redactor: r, most: n - closing, work: &work}
	w.value(raw, 0)
	return string(w.out)
}

// closing is room for what ends a value that was cut.
const closing = 1536

// workFactor says how many bytes of texts are looked at for each that may be kept: texts
// that are all secrets shrink, and would otherwise be looked at for ever.
const workFactor = 8

// rewrite writes one value anew.
type rewrite struct {
	*Redactor
	out  []byte
	most int
	work *int // bytes of texts that may still be looked at
}

// clean returns a text without secrets, or none when enough was looked at.
func (w *rewrite) clean(s string) string {
	if *w.work -= len(s); *w.work < 0 {
		return "…"
	}
	return w.patterns.redact(s)
}

var errCut = errors.New("cut")

// full tells whether nothing more should come.
func (w *rewrite) full() bool { return len(w.out) >= w.most }

func (w *rewrite) value(raw json.RawMessage, depth int) {
	switch {
	case depth >= deepest && (wire.IsObject(raw) || wire.IsArray(raw)):
		w.text("[too deep]")
	case wire.IsObject(raw):
		w.object(raw, depth)
	case wire.IsArray(raw):
		w.array(raw, depth)
	case wire.IsString(raw):
		w.string(string(wire.AppendUnquoted(nil, trim(raw))), depth)
	case wire.IsNumber(raw):
		number := string(trim(raw))
		switch {
		case len(number) > leastText:
			w.text("[long number]")
		case isCard(number):
			w.text(redacted)
		default:
			w.out = append(w.out, number...)
		}
	default: // true, false, null
		w.out = append(w.out, trim(raw)...)
	}
}

func (w *rewrite) object(raw json.RawMessage, depth int) {
	first := true
	w.out = append(w.out, '{')
	_ = wire.Walk(raw, func(name string, value json.RawMessage) error {
		if !first {
			w.out = append(w.out, ',')
		}
		first = false
		if w.full() {
			w.out = append(w.out, `"…":"cut"`...)
			return errCut
		}
		w.name(name)
		w.out = append(w.out, ':')
		if w.denies(name, value) {
			w.text(redacted)
		} else {
			w.value(value, depth+1)
		}
		return nil
	})
	w.out = append(w.out, '}')
}

// name writes the name of a member: names may hold secrets as texts do.
func (w *rewrite) name(name string) {
	const longest = 128
	w.cutText(w.clean(cut(name, w.mostText)), longest)
}

func (w *rewrite) array(raw json.RawMessage, depth int) {
	first := true
	w.out = append(w.out, '[')
	_ = wire.WalkElements(raw, func(value json.RawMessage) error {
		if !first {
			w.out = append(w.out, ',')
		}
		first = false
		if w.full() {
			w.text("…")
			return errCut
		}
		w.value(value, depth+1)
		return nil
	})
	w.out = append(w.out, ']')
}

// string writes a text: JSON within it is redacted as JSON, binary content becomes its
// size and hash.
func (w *rewrite) string(s string, depth int) {
	if sum, binary := binaryText(s); binary {
		w.text(sum)
		return
	}
	room := min(w.mostText, max(leastText, w.most-len(w.out)))
	if inner := json.RawMessage(s); depth < deepest && (wire.IsObject(inner) || wire.IsArray(inner) || wire.IsString(inner)) && wire.Check(inner, wire.Answer) == nil {
		in := &rewrite{Redactor: w.Redactor, most: room, work: w.work}
		in.value(inner, depth+1)
		w.cutText(string(in.out), room)
		return
	}
	// A secret that is cut in the middle no longer looks like one: more than the room is
	// looked at.
	const beyond = 4 << 10
	w.cutText(w.clean(cut(s, room+beyond)), room)
}

// cutText writes at most about n bytes of a text, as they stand in the output.
func (w *rewrite) cutText(s string, n int) {
	short := cut(s, n)
	if len(wire.AppendString(nil, short)) > n+2 {
		short = cut(short, n/6) // no character is written with more
		if len(s) <= n && len(wire.AppendString(nil, s)) <= 2*n {
			short = cut(s, n/2)
		}
	}
	if len(short) < len(s) {
		short += "…"
	}
	w.text(short)
}

func (w *rewrite) text(s string) { w.out = wire.AppendString(w.out, s) }

func trim(raw []byte) []byte { return bytes.Trim(raw, " \t\r\n") }

// rawResult writes a result as JSON, images and the like as size and hash.
func rawResult(result *core.Result) json.RawMessage {
	type block struct {
		Type     string          `json:"type,omitempty"`
		Text     string          `json:"text,omitempty"`
		URI      string          `json:"uri,omitempty"`
		Name     string          `json:"name,omitempty"`
		MIMEType string          `json:"mimeType,omitempty"`
		Data     string          `json:"data,omitempty"`
		Raw      json.RawMessage `json:"raw,omitempty"`
		Meta     json.RawMessage `json:"_meta,omitempty"`
		Role     string          `json:"role,omitempty"`
		Resource *block          `json:"resource,omitempty"`
	}
	contents := func(c *core.ResourceContents) *block {
		b := &block{URI: c.URI, MIMEType: c.MIMEType, Text: c.Text, Meta: sound(c.Meta)}
		if c.Binary || len(c.Blob) > 0 {
			b.Data = sizeAndHash(c.Blob)
		}
		return b
	}
	content := func(c *core.Content, role string) block {
		if len(c.Raw) > 0 {
			return block{Raw: sound(c.Raw), Role: role}
		}
		b := block{Type: c.Type, Text: c.Text, URI: c.URI, Name: c.Name, MIMEType: c.MIMEType, Meta: sound(c.Meta), Role: role}
		if len(c.Data) > 0 {
			b.Data = sizeAndHash(c.Data)
		}
		if c.Resource != nil {
			b.Resource = contents(c.Resource)
		}
		return b
	}
	var all struct {
		IsError    bool            `json:"isError,omitempty"`
		Content    []block         `json:"content,omitempty"`
		Messages   []block         `json:"messages,omitempty"`
		Contents   []*block        `json:"contents,omitempty"`
		Structured json.RawMessage `json:"structuredContent,omitempty"`
		Asks       []string        `json:"inputRequests,omitempty"`
	}
	all.IsError, all.Structured = result.IsError, sound(result.Structured)
	for i := range result.Content {
		all.Content = append(all.Content, content(&result.Content[i], ""))
	}
	for i := range result.Messages {
		all.Messages = append(all.Messages, content(&result.Messages[i].Content, result.Messages[i].Role))
	}
	for i := range result.Contents {
		all.Contents = append(all.Contents, contents(&result.Contents[i]))
	}
	for i := range result.InputRequests {
		all.Asks = append(all.Asks, result.InputRequests[i].Method)
	}
	raw, err := json.Marshal(all)
	if err != nil {
		return nil
	}
	return raw
}

// sound returns raw, or where it is no JSON a text that says so: one bad part does not
// hide the others.
func sound(raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 || wire.Check(raw, wire.Answer) == nil {
		return raw
	}
	return wire.AppendString(nil, fmt.Sprintf("[%d bytes that are no JSON]", len(raw)))
}

func sizeAndHash(b []byte) string {
	sum := sha256.Sum256(b)
	return fmt.Sprintf("[%d bytes, sha256:%s]", len(b), hex.EncodeToString(sum[:]))
}
