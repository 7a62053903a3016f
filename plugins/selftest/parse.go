package selftest

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
	"github.com/sallyport/sallyport/plugins/abi"
	"github.com/sallyport/sallyport/plugins/manifest"
)

// calls are the words of `call`.
var calls = []string{"tool_call", "tools_list", "response_transform", "request_transform", "authorize", "configure"}

const callPrefix = "sallyport_" // call + prefix = the export

// statuses are the words of `status`.
var statuses = []string{"OK", "UNCHANGED", "TOOL_ERROR", "INVALID_ARGS", "UNKNOWN_TOOL", "DENIED", "UNAVAILABLE", "INTERNAL"}

// Parse reads one file of fixtures. file names it in errors and in reports. The error
// is a *manifest.InvalidError that lists every mistake.
func Parse(file string, text []byte) (*Suite, error) {
	r := &reader{file: file}
	s := &Suite{File: file, Text: text}
	if root, ok := r.document(text); ok {
		r.suite(root, s)
	}
	if len(r.problems) > 0 {
		return nil, &manifest.InvalidError{Problems: r.problems}
	}
	return s, nil
}

func (r *reader) suite(root part, s *Suite) {
	names := map[string]int{}
	r.object(root, shape{
		"selftest": r.truth(&s.SelfTest),
		"config":   r.jsonObject((*[]byte)(&s.Config)),
		"now":      r.moment(&s.Now),
		"secrets": func(p part) {
			s.Secrets = map[string]core.Secret{}
			r.members(p, func(name string, at part) {
				if v, ok := r.spelled(at); ok {
					s.Secrets[name] = core.Secret(v)
				}
			})
		},
		"cases": func(p part) {
			r.each(p, maxCases, func(item part) {
				c := Case{Line: item.node.Line, Expect: Expect{Status: statuses[0]}}
				r.oneCase(item, &c)
				if line := names[c.Name]; line > 0 && c.Name != "" {
					r.wrong(item, "another case has the name "+quoted(c.Name), fmt.Sprintf("give it a name of its own; the first is in line %d", line))
				}
				names[c.Name] = c.Line
				s.Cases = append(s.Cases, c)
			})
			if p.is() == aList && len(p.node.Content) == 0 {
				r.wrong(p, "no cases", "add one")
			}
		},
	}, "cases")
}

func (r *reader) oneCase(p part, c *Case) {
	var call string
	payload := r.payload(&c.Payload)
	r.object(p, shape{
		"name":    r.text(&c.Name),
		"call":    r.word(&call, calls...),
		"meta":    r.pairs(&c.Meta, abi.MaxPairs),
		"payload": payload.value,
		"text":    payload.text,
		"base64":  payload.base64,
		"json":    payload.exact,
		"config":  r.jsonObject((*[]byte)(&c.Config)),
		"now":     r.moment(&c.Now),
		"kv": func(p part) {
			c.KV = map[string][]byte{}
			r.members(p, func(key string, at part) {
				switch at.is() {
				case aNull:
					r.wrong(at, key+" has no value", "leave it out: the store is empty otherwise")
				case aText:
					c.KV[key] = []byte(at.node.Value)
				default:
					c.KV[key] = appendJSON(nil, at.node)
				}
			})
		},
		"http":   func(p part) { r.each(p, 100, func(item part) { c.HTTP = append(c.HTTP, r.exchange(item)) }) },
		"tools":  func(p part) { r.each(p, 100, func(item part) { c.Tools = append(c.Tools, r.toolCall(item)) }) },
		"expect": func(p part) { r.expect(p, &c.Expect) },
	}, "name", "call")
	c.Call = callPrefix + call
	if call == "configure" {
		for _, key := range []string{"payload", "text", "base64", "json", "meta"} {
			if at, found := find(p, key); found {
				r.wrong(at, "configure gets the configuration and nothing else", "write config: instead of "+key+":")
			}
		}
		e := &c.Expect
		if e.Status != statuses[0] && e.Status != Refused && e.Status != Trap {
			r.wrong(p, "configure comes to OK, REFUSED or TRAP", "expect one of these")
		}
	}
}

func find(p part, key string) (part, bool) {
	for i := 0; i+1 < len(p.node.Content); i += 2 {
		if p.node.Content[i].Value == key {
			return p.member(p.node.Content[i], p.node.Content[i+1]), true
		}
	}
	return part{}, false
}

// payload reads one of the four ways to write bytes; two of them beside each other are
// reported.
type payload struct{ value, text, base64, exact func(part) }

func (r *reader) payload(dst *[]byte) payload {
	given := ""
	once := func(name string, read func(part)) func(part) {
		return func(p part) {
			if given != "" {
				r.wrong(p, name+" beside "+given, "write one of payload, text, base64 and json")
				return
			}
			given = name
			read(p)
		}
	}
	return payload{
		value: once("payload", r.json(dst)),
		text: once("text", func(p part) {
			if r.want(p, aText) {
				*dst = []byte(p.node.Value)
			}
		}),
		base64: once("base64", r.bytes64(dst)),
		exact: once("json", func(p part) {
			if r.want(p, aText) {
				*dst = []byte(p.node.Value)
				if err := wire.Check(*dst, wire.Default); err != nil {
					r.wrong(p, "no JSON: "+err.Error(), "mend it, or write it as text: when it is meant to be wrong")
				}
			}
		}),
	}
}

// pairs reads an object of texts; a list gives one key several values.
func (r *reader) pairs(dst *[]abi.Pair, most int) func(part) {
	return func(p part) {
		r.members(p, func(key string, at part) {
			if at.is() == aList {
				r.each(at, most, func(item part) {
					if v, ok := r.spelled(item); ok {
						*dst = append(*dst, abi.Pair{Key: key, Value: v})
					}
				})
			} else if v, ok := r.spelled(at); ok {
				*dst = append(*dst, abi.Pair{Key: key, Value: v})
			}
		})
		if len(*dst) > most {
			r.wrong(p, fmt.Sprintf("%d pairs", len(*dst)), fmt.Sprintf("at most %d", most))
		}
	}
}

func (r *reader) moment(dst *time.Time) func(part) {
	return func(p part) {
		if !r.want(p, aText) {
			return
		}
		t, err := time.Parse(time.RFC3339Nano, p.node.Value)
		if err != nil || t.Year() < 1970 || t.Year() > 2200 {
			r.wrong(p, quoted(p.node.Value)+" is no moment between 1970 and 2200", `write it as "2026-11-23T12:00:00Z"`)
			return
		}
		*dst = t
	}
}

func (r *reader) exchange(p part) Exchange {
	e := Exchange{Status: 200}
	answered := false
	r.object(p, shape{
		"request": func(p part) {
			var body []byte
			content := r.payload(&body)
			r.object(p, shape{
				"method": func(p part) {
					r.text(&e.Method)(p)
					if e.Method != strings.ToUpper(e.Method) {
						r.wrong(p, "a method in small letters", "write "+strings.ToUpper(e.Method))
					}
				},
				"url": func(p part) {
					r.text(&e.URL)(p)
					if u, err := url.Parse(e.URL); err != nil || u.Scheme == "" || u.Host == "" {
						r.wrong(p, quoted(e.URL)+" is no absolute URL", "begin with https://")
					}
				},
				"headers": r.pairs(&e.Headers, abi.MaxPairs),
				"body":    func(p part) { content.text(p); e.Body = &Content{Exact: body} },
				"json":    func(p part) { content.value(p); e.Body = &Content{JSON: body} },
				"base64":  func(p part) { content.base64(p); e.Body = &Content{Exact: body} },
			})
		},
		"response": func(p part) {
			answered = true
			content := r.payload(&e.Response)
			r.object(p, shape{
				"status":  r.whole(&e.Status, 100, 599),
				"headers": r.pairs(&e.Answer, abi.MaxPairs),
				"body":    content.text,
				"json":    content.value,
				"base64":  content.base64,
			})
		},
		"error": r.word(&e.Fails, "denied", "timeout", "unavailable", "too_large"),
	}, "request")
	if answered == (e.Fails != "") && p.is() == anObj {
		r.wrong(p, "either a response or an error answers a request", "write one of response: {status: 200, …} and error: timeout")
	}
	return e
}

func (r *reader) toolCall(p part) ToolCall {
	var t ToolCall
	var status string
	r.object(p, shape{
		"tool":      r.text(&t.Tool),
		"arguments": r.jsonObject((*[]byte)(&t.Arguments)),
		"result":    r.jsonObject((*[]byte)(&t.Result)),
		"status":    r.word(&status, statuses...),
		"text":      r.text(&t.Text),
	}, "tool")
	if status != "" {
		t.Status = statusOf(status)
	}
	switch failed := t.Status != abi.OK; {
	case t.Status == abi.Unchanged:
		r.wrong(p, "a tool cannot answer UNCHANGED", "write OK with a result, or another status with a text")
	case failed && t.Result != nil, !failed && t.Text != "":
		r.wrong(p, "a result belongs to OK, a text to the other statuses", "write result: {content: […]}, or status: and text:")
	case !failed && t.Result == nil && p.is() == anObj:
		r.wrong(p, "the tool has no answer", "add result: {content: [{type: text, text: …}]}, or status: and text:")
	}
	return t
}

func statusOf(name string) abi.Status {
	return abi.Status(max(slices.Index(statuses, name), 0))
}

func (r *reader) expect(p part, e *Expect) {
	var body []byte
	content := r.payload(&body)
	var mime string
	var progress int
	r.object(p, shape{
		"status":   r.word(&e.Status, append(slices.Clone(statuses), Trap, Refused)...),
		"mime":     func(p part) { r.text(&mime)(p); e.Mime = &mime },
		"payload":  func(p part) { content.value(p); e.Payload = &Content{JSON: body} },
		"text":     func(p part) { content.text(p); e.Payload = &Content{Exact: body} },
		"base64":   func(p part) { content.base64(p); e.Payload = &Content{Exact: body} },
		"contains": r.texts(&e.Contains),
		"lacks":    r.texts(&e.Lacks),
		"meta":     r.pairs(&e.Meta, abi.MaxPairs),
		"kv": func(p part) {
			e.KV = map[string]*Content{}
			r.members(p, func(key string, at part) {
				switch at.is() {
				case aNull:
					e.KV[key] = nil
				case aText:
					e.KV[key] = &Content{Exact: []byte(at.node.Value)}
				default:
					e.KV[key] = &Content{JSON: json.RawMessage(appendJSON(nil, at.node))}
				}
			})
		},
		"logs":     r.texts(&e.Logs),
		"progress": func(p part) { r.whole(&progress, 0, 1_000_000)(p); e.Progress = &progress },
	})
}
