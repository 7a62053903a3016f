package rest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"

	"github.com/sallyport/sallyport/core"
)

// multipartBody sends multipart/form-data (RFC 7578): fields and files.
type multipartBody struct{ parts []partPlan }

// partPlan is one part; an array makes one part of each element.
type partPlan struct {
	source
	name        string // quoted for Content-Disposition
	file        bool
	filename    *source
	contentType *source
	base64      bool
}

func (r *reader) multipart(at string, raw json.RawMessage) bodyPlan {
	b := &multipartBody{}
	for _, m := range r.members(at, raw) {
		here := at + "/" + escape(m.name)
		s, rest := r.source(here, "form field \""+m.name+"\"", m.raw, "filename", "contentType", "encoding")
		part := partPlan{source: s, name: quoteName(m.name)}
		for _, option := range rest {
			there := here + "/" + option.name
			switch option.name {
			case "filename":
				name := source{label: "file name"}
				if text := []byte(option.raw); len(text) > 0 && text[0] == '"' {
					name.constant = r.text(there, option.raw)
				} else {
					name, _ = r.source(there, "file name", option.raw)
				}
				part.filename, part.file = &name, true
			case "contentType":
				kind := r.mediaType(there, option.raw)
				part.contentType = &kind
			case "encoding":
				part.base64 = r.choice(there, option.raw, "text", "base64") == "base64"
			}
		}
		b.parts = append(b.parts, part)
	}
	if len(b.parts) == 0 {
		r.problem(at, "the multipart body has no parts", "name at least one, like {note: {from: note}}")
	}
	return b
}

// chunk is a part ready to send.
type chunk struct {
	head string
	body []byte
}

func (b *multipartBody) body(call *core.Call) ([]byte, string, error) {
	var chunks []chunk
	size := 0
	for i := range b.parts {
		list, err := b.parts[i].chunks(call)
		if err != nil {
			return nil, "", err
		}
		for _, one := range list {
			size += len(one.head) + len(one.body) + 80
		}
		chunks = append(chunks, list...)
	}
	// The boundary is a digest of all parts: nobody can write a part that holds it.
	digest := sha256.New()
	for _, one := range chunks {
		digest.Write([]byte(one.head))
		digest.Write(one.body)
	}
	boundary := hex.EncodeToString(digest.Sum(nil)[:24])
	out := make([]byte, 0, size+64)
	for _, one := range chunks {
		out = append(append(append(out, "--"...), boundary...), "\r\n"...)
		out = append(append(out, one.head...), "\r\n"...)
		out = append(append(out, one.body...), "\r\n"...)
	}
	out = append(append(append(out, "--"...), boundary...), "--\r\n"...)
	return out, "multipart/form-data; boundary=" + boundary, nil
}

func (p *partPlan) chunks(call *core.Call) ([]chunk, error) {
	value, err := p.value(call)
	if err != nil || value == nil {
		return nil, err
	}
	values, isList := value.([]any)
	if !isList {
		values = []any{value}
	}
	contentType := ""
	if p.contentType != nil {
		if contentType, err = mediaType(p.contentType, call, ""); err != nil {
			return nil, err
		}
	}
	filename := ""
	if p.file {
		name, err := p.filename.value(call)
		if err != nil {
			return nil, err
		}
		text, ok := name.(string)
		if name != nil && !ok {
			return nil, refuse("The %s must be text.", p.filename.label)
		}
		filename = text
	}
	list := make([]chunk, 0, len(values))
	for _, element := range values {
		if element == nil {
			continue
		}
		body, err := content(element, p.base64, p.label)
		if err != nil {
			return nil, err
		}
		var head strings.Builder
		head.WriteString("Content-Disposition: form-data; name=\"" + p.name + "\"")
		kind := contentType
		if p.file {
			head.WriteString("; filename=\"" + quoteName(filename) + "\"")
			if kind == "" {
				kind = "application/octet-stream"
			}
		}
		head.WriteString("\r\n")
		if kind != "" {
			head.WriteString("Content-Type: " + kind + "\r\n")
		}
		list = append(list, chunk{head: head.String(), body: body})
	}
	return list, nil
}

// quoteName escapes a name for a quoted string as the HTML standard asks of
// multipart/form-data: quotes and line breaks as %XX, the rest as it is. Other
// control characters are dropped, no file name needs them.
func quoteName(name string) string {
	plain := true
	for i := range len(name) {
		if c := name[i]; c < 0x20 || c == '"' || c == 0x7F {
			plain = false
		}
	}
	if plain {
		return name
	}
	var b strings.Builder
	for i := range len(name) {
		switch c := name[i]; {
		case c == '"':
			b.WriteString("%22")
		case c == '\r':
			b.WriteString("%0D")
		case c == '\n':
			b.WriteString("%0A")
		case c < 0x20 || c == 0x7F:
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}
