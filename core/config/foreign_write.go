package config

import (
	"bytes"
	"maps"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

// Write writes a gateway document with the upstreams, and with one server of all of them
// when server names one.
func (f *Foreign) Write(server string) []byte {
	var b bytes.Buffer
	b.WriteString("upstreams:\n")
	for i := range f.Upstreams {
		u := &f.Upstreams[i]
		b.WriteString("  - name: " + scalar(u.Name) + "\n")
		line := func(key, value string) {
			if value != "" {
				b.WriteString("    " + key + ": " + scalar(value) + "\n")
			}
		}
		line("transport", u.Transport)
		line("url", u.URL)
		table(&b, "headers", u.Headers)
		if c := u.Credential; c != nil {
			b.WriteString("    credential:\n      type: " + c.Type + "\n")
			for _, one := range [][2]string{{"token", c.Token.Reveal()}, {"username", c.Username}, {"password", c.Password.Reveal()}, {"name", c.Name}, {"value", c.Value.Reveal()}} {
				if one[1] != "" {
					b.WriteString("      " + one[0] + ": " + scalar(one[1]) + "\n")
				}
			}
		}
		if len(u.Command) > 0 {
			b.WriteString("    command:\n")
			for _, word := range u.Command {
				b.WriteString("      - " + scalar(word) + "\n")
			}
		}
		table(&b, "env", u.Env)
		secrets := map[string]string{}
		for name, value := range u.Secrets {
			secrets[name] = value.Reveal()
		}
		table(&b, "secrets", secrets)
		line("directory", u.Directory)
		if u.Disabled {
			b.WriteString("    disabled: true\n")
		}
	}
	if server != "" {
		b.WriteString("servers:\n  - name: " + scalar(server) + "\n    upstreams:\n")
		for i := range f.Upstreams {
			b.WriteString("      - upstream: " + scalar(f.Upstreams[i].Name) + "\n")
			if first := f.Upstreams[i].Name[0]; first < 'a' || first > 'z' {
				prefix := "s" + f.Upstreams[i].Name
				for slices.ContainsFunc(f.Upstreams, func(u core.UpstreamConfig) bool { return u.Name == prefix }) {
					prefix = "s" + prefix
				}
				b.WriteString("        prefix: " + prefix + "\n")
			}
		}
	}
	return b.Bytes()
}

func table(b *bytes.Buffer, key string, values map[string]string) {
	if len(values) == 0 {
		return
	}
	b.WriteString("    " + key + ":\n")
	for _, name := range slices.Sorted(maps.Keys(values)) {
		b.WriteString("      " + scalar(name) + ": " + scalar(values[name]) + "\n")
	}
}

// scalar writes a text as YAML: plain where that is sure to be read as the same text, else
// as JSON, which YAML reads too.
func scalar(text string) string {
	plain := text != "" && !strings.ContainsFunc(text, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("/._-$", r)
	})
	first := byte(' ')
	if plain {
		first = text[0]
	}
	word := strings.ToLower(text)
	if plain && (first == '/' || first >= 'a' && first <= 'z' || first >= 'A' && first <= 'Z') && !slices.Contains([]string{"true", "false", "yes", "no", "on", "off", "null", "y", "n"}, word) {
		return text
	}
	return string(wire.AppendString(nil, text))
}

// withoutComments blanks out comments and trailing commas, outside of texts: VS Code
// and others write JSON with them. Every other byte stays where it was.
func withoutComments(text []byte) []byte {
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	out := bytes.Clone(text)
	comma := -1 // of a comma that only blanks and comments follow so far
	for i := 0; i < len(out); i++ {
		switch c := out[i]; {
		case c == '"':
			comma = -1
			for i++; i < len(out) && out[i] != '"'; i++ {
				if out[i] == '\\' {
					i++
				}
			}
		case c == '/' && i+1 < len(out) && out[i+1] == '/':
			for ; i < len(out) && out[i] != '\n'; i++ {
				out[i] = ' '
			}
		case c == '/' && i+1 < len(out) && out[i+1] == '*':
			end := bytes.Index(out[i+2:], []byte("*/"))
			stop := len(out)
			if end >= 0 {
				stop = i + 2 + end + 2
			}
			for ; i < stop; i++ {
				if out[i] != '\n' {
					out[i] = ' '
				}
			}
			i--
		case c == ',':
			comma = i
		case c == '}' || c == ']':
			if comma >= 0 {
				out[comma] = ' '
			}
			comma = -1
		case c != ' ' && c != '\t' && c != '\n' && c != '\r':
			comma = -1
		}
	}
	return out
}
