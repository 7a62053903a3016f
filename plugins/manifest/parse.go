package manifest

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Bounds of lists and texts in a manifest.
const (
	maxTools       = 256
	maxRules       = 64
	maxNames       = 64
	maxDescription = 1024
)

var (
	pluginName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?/[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$`)
	toolName   = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,128}$`)
	plainName  = regexp.MustCompile(`^[a-z0-9]([a-z0-9_.-]{0,62}[a-z0-9])?$`)
	headerName = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$")
	methodName = regexp.MustCompile(`^[A-Z]{1,16}$`)
	hostLabels = regexp.MustCompile(`^([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$`)
)

// Parse reads plugin.yaml, or the section of a module. file names the text in errors.
// The error is an *InvalidError that lists every mistake.
func Parse(file string, b []byte) (*Manifest, error) {
	r := &reader{file: file}
	m := &Manifest{Isolation: IsolationShared, OnError: OnErrorClosed}
	if root, ok := r.document(b); ok {
		r.manifest(root, m)
		if len(r.problems) == 0 {
			r.whole(root, m)
		}
	}
	if len(r.problems) > 0 {
		return nil, &InvalidError{Problems: r.problems}
	}
	return m, nil
}

// ParsePolicy reads what an operator grants: the shape of `capabilities`, where names
// may end in * and where lists of methods and ports that are not given mean any.
func ParsePolicy(file string, b []byte) (Capabilities, error) {
	r := &reader{file: file}
	var c Capabilities
	if root, ok := r.document(b); ok {
		r.capabilities(&c, true)(root)
	}
	if len(r.problems) > 0 {
		return Capabilities{}, &InvalidError{Problems: r.problems}
	}
	return c, nil
}

func (r *reader) manifest(p part, m *Manifest) {
	kinds := make([]string, 0, len(exports))
	for _, row := range exports {
		kinds = append(kinds, string(row.kind))
	}
	var given []string
	r.object(p, fields{
		"apiVersion":    r.text(&m.APIVersion, oneOf(APIVersion)),
		"name":          r.text(&m.Name, match(pluginName, "write owner/plugin in small letters, digits and -, at most 64 each: acme/weather")),
		"version":       r.text(&m.Version, version),
		"description":   r.text(&m.Description, upTo(maxDescription)),
		"abi":           r.text(&m.ABI, oneOf(ABI)),
		"kinds":         r.set(&given, len(exports), oneOf(kinds...)),
		"tools":         r.tools(&m.Tools),
		"context":       r.set(&m.Context, len(contexts), oneOf(contexts...)),
		"capabilities":  r.capabilities(&m.Capabilities, false),
		"config_schema": r.schema(&m.ConfigSchema, false),
		"limits":        r.limits(&m.Limits),
		"isolation":     r.text(&m.Isolation, oneOf(IsolationShared, IsolationCall)),
		"on_error":      r.text(&m.OnError, oneOf(OnErrorClosed, OnErrorSkip)),
	}, "apiVersion", "name", "version", "abi", "kinds")
	for _, k := range given {
		m.Kinds = append(m.Kinds, Kind(k))
	}
}

// whole checks what several keys say together.
func (r *reader) whole(root part, m *Manifest) {
	at := func(key string) part {
		for i := 0; i+1 < len(root.node.Content); i += 2 {
			if root.node.Content[i].Value == key {
				return part{root.node.Content[i+1], "/" + key}
			}
		}
		return root
	}
	if len(m.Kinds) == 0 {
		r.wrong(at("kinds"), "no kind", "list at least one, such as invoker")
	}
	if len(m.Tools) > 0 && !m.Is(Invoker) {
		r.wrong(at("tools"), "tools without kind invoker", "add invoker to kinds, or remove tools")
	}
	if m.Is(ToolCatalogue) && !m.Is(Invoker) {
		r.wrong(at("kinds"), "tool_catalogue without invoker", "add invoker: somebody has to run the tools that are listed")
	}
	if m.OnError == OnErrorSkip && !m.Is(ResponseTransformer) {
		r.wrong(at("on_error"), "on_error: skip without kind response_transformer", "remove it: every other kind is closed always")
	}
	seen := map[string]bool{}
	for i := range m.Tools {
		if seen[m.Tools[i].Name] {
			r.wrong(part{at("tools").node.Content[i], "/tools/" + strconv.Itoa(i)}, "tool "+m.Tools[i].Name+" stands twice", "rename one")
		}
		seen[m.Tools[i].Name] = true
	}
	// The kinds of a plugin share its limits, each within its own cap; a manifest that
	// asks for more than any of its kinds may have is a mistake.
	var most Limits
	for _, k := range m.Kinds {
		c := Caps(k)
		most = Limits{
			max(most.Memory, c.Memory), max(most.Timeout, c.Timeout), max(most.CPU, c.CPU),
			max(most.MaxInput, c.MaxInput), max(most.MaxOutput, c.MaxOutput),
		}
	}
	limits := at("limits")
	if limits.node == root.node {
		return
	}
	over := func(key string, above bool, top fmt.Stringer) {
		if above {
			r.wrong(limits.child(key), "more than any operator may give", "at most "+top.String()+" for these kinds")
		}
	}
	over("memory", m.Limits.Memory > most.Memory, most.Memory)
	over("timeout", m.Limits.Timeout > most.Timeout, most.Timeout)
	over("cpu", m.Limits.CPU > most.CPU, most.CPU)
	over("max_input", m.Limits.MaxInput > most.MaxInput, most.MaxInput)
	over("max_output", m.Limits.MaxOutput > most.MaxOutput, most.MaxOutput)
	if m.Limits.Memory != 0 && m.Limits.Memory < MinMemory {
		r.wrong(limits.child("memory"), "less than one page", "at least "+MinMemory.String()+"; a Go plugin needs 16MiB")
	}
	if m.Limits.Timeout != 0 && m.Limits.Timeout < Duration(time.Millisecond) {
		r.wrong(limits.child("timeout"), "less than any call takes", "at least 1ms")
	}
	if m.Limits.CPU != 0 && m.Limits.CPU < Duration(time.Millisecond) {
		r.wrong(limits.child("cpu"), "less than can be measured", "at least 1ms")
	}
}

// child returns the value of a key, p itself when there is none.
func (p part) child(key string) part {
	for i := 0; i+1 < len(p.node.Content); i += 2 {
		if p.node.Content[i].Value == key {
			return part{p.node.Content[i+1], p.path + "/" + pointer(key)}
		}
	}
	return p
}

func (r *reader) tools(dst *[]Tool) func(part) {
	return func(p part) {
		r.each(p, maxTools, func(item part) {
			t := Tool{InputSchema: json.RawMessage(`{"type":"object"}`)}
			r.object(item, fields{
				"name":         r.text(&t.Name, match(toolName, "letters, digits, _, - and ., at most 128")),
				"title":        r.text(&t.Title, upTo(maxDescription)),
				"description":  r.text(&t.Description, upTo(16*maxDescription)),
				"inputSchema":  r.schema(&t.InputSchema, true),
				"outputSchema": r.schema(&t.OutputSchema, true),
				"annotations":  r.annotations(&t.Annotations),
			}, "name")
			*dst = append(*dst, t)
		})
	}
}

// annotations are those of the specification: a title and four hints.
func (r *reader) annotations(dst *json.RawMessage) func(part) {
	hint := func(p part) { r.want(p, isBool) }
	return func(p part) {
		var title string
		r.object(p, fields{
			"title":        r.text(&title, upTo(maxDescription)),
			"readOnlyHint": hint, "destructiveHint": hint, "idempotentHint": hint, "openWorldHint": hint,
		})
		*dst = r.json(nil, p.node)
	}
}

// schema reads a JSON Schema; whether it compiles is found out where it is used.
func (r *reader) schema(dst *json.RawMessage, object bool) func(part) {
	return func(p part) {
		if !r.want(p, isObject) {
			return
		}
		if t := p.child("type"); object && (t.node == p.node || t.sort() != isText || t.node.Value != "object") {
			r.wrong(t, "a schema of a tool whose type is not object", "write type: object")
			return
		}
		*dst = r.json(nil, p.node)
	}
}

func (r *reader) capabilities(c *Capabilities, policy bool) func(part) {
	name := pattern(plainName, policy, "small letters, digits, _, - and ., at most 64")
	return func(p part) {
		r.object(p, fields{
			"http": func(p part) {
				r.each(p, maxRules, func(item part) { r.http(item, c, policy) })
			},
			"kv": func(p part) {
				kv := &KV{}
				required := []string{"namespace"}
				if policy {
					required = nil
				}
				r.object(p, fields{
					"namespace": r.text(&kv.Namespace, name),
					"max_bytes": r.size(&kv.MaxBytes, MaxKV),
				}, required...)
				if !policy && kv.MaxBytes == 0 {
					kv.MaxBytes = DefaultKV
				}
				c.KV = kv
			},
			"secrets":   r.set(&c.Secrets, maxNames, name),
			"progress":  r.flag(&c.Progress),
			"call_tool": r.set(&c.CallTool, maxNames, pattern(toolName, true, "a tool's name, or the beginning of names and *")),
		})
	}
}

func (r *reader) http(p part, c *Capabilities, policy bool) {
	h := HTTP{Scheme: "https"}
	r.object(p, fields{
		"host":    r.text(&h.Host, host),
		"scheme":  r.text(&h.Scheme, oneOf("https", "http")),
		"methods": r.set(&h.Methods, 16, match(methodName, "write the method in capitals: GET")),
		"ports": func(p part) {
			r.each(p, 16, func(item part) {
				if !r.want(item, isNumber) {
					return
				}
				port, err := strconv.Atoi(item.node.Value)
				switch {
				case err != nil || port < 1 || port > 65535:
					r.wrong(item, "no port", "write a number from 1 to 65535")
				case slices.Contains(h.Ports, port):
					r.wrong(item, "the port stands twice", "remove one")
				default:
					h.Ports = append(h.Ports, port)
				}
			})
			slices.Sort(h.Ports)
		},
		"inject": func(p part) {
			h.Inject = &Inject{}
			r.object(p, fields{
				"header": r.text(&h.Inject.Header, injectable),
				"secret": r.text(&h.Inject.Secret, pattern(plainName, policy, "small letters, digits, _, - and ., at most 64")),
			}, "header", "secret")
		},
	}, "host")
	for _, key := range []string{"methods", "ports"} {
		if list := p.child(key); list.node != p.node && list.sort() == isList && len(list.node.Content) == 0 {
			r.wrong(list, key+" is empty", "list at least one, or remove the line")
		}
	}
	if !policy {
		if len(h.Methods) == 0 {
			h.Methods = []string{"GET"}
		}
		if len(h.Ports) == 0 {
			h.Ports = []int{443}
			if h.Scheme == "http" {
				h.Ports = []int{80}
			}
		}
	}
	c.HTTP = append(c.HTTP, h)
}

func (r *reader) limits(l *Limits) func(part) {
	return func(p part) {
		r.object(p, fields{
			"memory":     r.size(&l.Memory, 0),
			"timeout":    r.duration(&l.Timeout),
			"cpu":        r.duration(&l.CPU),
			"max_input":  r.size(&l.MaxInput, 0),
			"max_output": r.size(&l.MaxOutput, 0),
		})
	}
}

func (r *reader) size(dst *Size, most Size) func(part) {
	return func(p part) {
		if p.sort() == isNumber {
			r.wrong(p, "a number without a unit", "write "+p.node.Value+"B, or KiB, MiB, GiB")
			return
		}
		if !r.want(p, isText) {
			return
		}
		v, err := ParseSize(p.node.Value)
		switch {
		case err != nil:
			r.wrong(p, quote(p.node.Value)+" is no size", err.Error())
		case most > 0 && v > most:
			r.wrong(p, "more than any operator may give", "at most "+most.String())
		default:
			*dst = v
		}
	}
}

func (r *reader) duration(dst *Duration) func(part) {
	return func(p part) {
		if p.sort() == isNumber {
			r.wrong(p, "a number without a unit", "write "+p.node.Value+"s, or ms, us, m")
			return
		}
		if !r.want(p, isText) {
			return
		}
		v, err := ParseDuration(p.node.Value)
		if err != nil {
			r.wrong(p, quote(p.node.Value)+" is no duration", err.Error())
			return
		}
		*dst = v
	}
}

func (r *reader) flag(dst *bool) func(part) {
	return func(p part) {
		if r.want(p, isBool) {
			*dst = p.node.Value == "true"
		}
	}
}

func oneOf(words ...string) func(string) string {
	return func(s string) string {
		switch {
		case slices.Contains(words, s):
			return ""
		case len(words) == 1:
			return "write " + words[0]
		}
		return "write one of " + strings.Join(words, ", ")
	}
}

func match(pattern *regexp.Regexp, fix string) func(string) string {
	return func(s string) string {
		if pattern.MatchString(s) {
			return ""
		}
		return fix
	}
}

// pattern is match, where with wild set the text may be or end in *.
func pattern(name *regexp.Regexp, wild bool, fix string) func(string) string {
	return func(s string) string {
		prefix, starred := strings.CutSuffix(s, "*")
		if wild && starred && (prefix == "" || name.MatchString(strings.TrimRight(prefix, "._-"))) {
			return ""
		}
		return match(name, fix)(s)
	}
}

func upTo(bytes int) func(string) string {
	return func(s string) string {
		if len(s) <= bytes {
			return ""
		}
		return fmt.Sprintf("at most %d bytes", bytes)
	}
}

func version(s string) string {
	if ValidVersion(s) {
		return ""
	}
	return "write a semantic version without v: 1.4.0, 2.0.0-rc.1"
}

// host checks a host pattern; addresses are allowed (the operator decides on private
// ones), names are in lower case and ASCII.
func host(s string) string {
	const fix = "write a host in small letters without scheme, port and path (api.weather.example), *.weather.example, an address, or * for what the operator allows"
	if s == "*" {
		return ""
	}
	if address, err := netip.ParseAddr(s); err == nil {
		if address.Zone() != "" || address.String() != s {
			return "write the address as " + address.WithZone("").String()
		}
		return ""
	}
	name, wild := strings.CutPrefix(s, "*.")
	if len(s) > 253 || !hostLabels.MatchString(name) || wild && !strings.Contains(name, ".") {
		return fix
	}
	if last := name[strings.LastIndexByte(name, '.')+1:]; strings.Trim(last, "0123456789") == "" || strings.HasPrefix(last, "0x") {
		return fix // 127.1 and 0x7f000001 are addresses to some resolvers
	}
	return ""
}

// injectable refuses headers that steer the exchange itself.
func injectable(s string) string {
	if !headerName.MatchString(s) {
		return "write the name of a header: X-Api-Key"
	}
	switch strings.ToLower(s) {
	case "host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer", "keep-alive", "proxy-connection", "proxy-authorization", "expect":
		return "this header steers the exchange and is the gateway's own: use Authorization or a header of the API"
	}
	return ""
}
