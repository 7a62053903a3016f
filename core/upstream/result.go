package upstream

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

// question is an answer that asks for more (2026-07-28, MRTR), as far as it was read.
type question struct {
	kind     string // resultType
	requests json.RawMessage
	state    json.RawMessage
}

var (
	errResultType = errors.New("the type of the result is unknown")
	errContent    = errors.New("content is not an array of objects")
	errMessages   = errors.New("messages is not an array of messages")
	errContents   = errors.New("contents is not an array of contents with a URI, and a text or a blob")
	errRequests   = errors.New("inputRequests is not an object of requests")
	errCompletion = errors.New("completion has no values")
)

// readResult makes a Result of the result of tools/call, prompts/get or resources/read.
// Blocks, structured content and _meta stay as they are; the members that are known to
// nobody go to Extra.
func readResult(raw json.RawMessage, method string) (*core.Result, error) {
	out := &core.Result{}
	var q question
	var wrong error
	extra := []byte{'{'}
	_ = wire.Walk(raw, func(name string, v json.RawMessage) error { // accepted
		known := true
		switch {
		case name == "_meta":
			out.Meta = ownMeta(v)
		case name == "resultType":
			q.kind, _ = text(v)
			if q.kind == "" {
				q.kind = "?"
			}
		case name == "inputRequests":
			q.requests = v
		case name == "requestState":
			q.state = v
		case name == "ttlMs", name == "cacheScope": // hints of the upstream for its own results
		case method == "tools/call":
			known, wrong = readToolMember(out, name, v, wrong)
		case method == "prompts/get":
			known, wrong = readPromptMember(out, name, v, wrong)
		case name == "contents":
			wrong = errors.Join(wrong, readContents(out, v))
		default:
			known = false
		}
		if !known {
			extra = putRaw(extra, name, v)
		}
		return nil
	})
	if len(extra) > 1 {
		extra = append(extra, '}')
		out.Extra = extra
	}
	switch q.kind {
	case "", "complete":
	case "input_required":
		return q.result(out.Meta)
	default:
		return nil, errResultType
	}
	return out, wrong
}

func readToolMember(out *core.Result, name string, v json.RawMessage, wrong error) (bool, error) {
	switch name {
	case "content":
		return true, errors.Join(wrong, readBlocks(out, v))
	case "structuredContent":
		if !wire.IsNull(v) || string(v) == "null" {
			out.Structured = v
		}
	case "isError":
		out.IsError = string(v) == "true"
	default:
		return false, wrong
	}
	return true, wrong
}

func readPromptMember(out *core.Result, name string, v json.RawMessage, wrong error) (bool, error) {
	switch name {
	case "messages":
		return true, errors.Join(wrong, readMessages(out, v))
	case "description":
		out.Description, _ = text(v)
	default:
		return false, wrong
	}
	return true, wrong
}

func readBlocks(out *core.Result, v json.RawMessage) error {
	if !wire.IsArray(v) {
		return errContent
	}
	return wire.WalkElements(v, func(b json.RawMessage) error {
		if !wire.IsObject(b) {
			return errContent
		}
		out.Content = append(out.Content, core.Content{Type: stringOf(b, "type"), Raw: b})
		return nil
	})
}

func readMessages(out *core.Result, v json.RawMessage) error {
	if !wire.IsArray(v) {
		return errMessages
	}
	out.Messages = []core.Message{}
	return wire.WalkElements(v, func(b json.RawMessage) error {
		block := member(b, "content")
		role := stringOf(b, "role")
		if !wire.IsObject(block) || role == "" {
			return errMessages
		}
		out.Messages = append(out.Messages, core.Message{Role: role, Content: core.Content{Type: stringOf(block, "type"), Raw: block}})
		return nil
	})
}

func readContents(out *core.Result, v json.RawMessage) error {
	if !wire.IsArray(v) {
		return errContents
	}
	out.Contents = []core.ResourceContents{}
	return wire.WalkElements(v, func(b json.RawMessage) error {
		if !wire.IsObject(b) {
			return errContents
		}
		one := core.ResourceContents{Raw: b}
		texts, err := false, error(nil)
		_ = wire.Walk(b, func(name string, v json.RawMessage) error { // accepted
			switch name {
			case "uri":
				one.URI, _ = text(v)
			case "mimeType":
				one.MIMEType, _ = text(v)
			case "text":
				one.Text, texts = text(v)
			case "blob":
				encoded, ok := text(v)
				if !ok {
					return nil
				}
				one.Binary = true
				one.Blob, err = base64.RawStdEncoding.DecodeString(strings.TrimRight(encoded, "="))
			case "_meta":
				one.Meta = v
			}
			return nil
		})
		if err != nil || one.URI == "" || texts == one.Binary {
			return errContents
		}
		out.Contents = append(out.Contents, one)
		return nil
	})
}

// ownMeta is the _meta of a result without what the protocol says there of the
// conversation with the upstream.
func ownMeta(meta json.RawMessage) json.RawMessage {
	if !wire.IsObject(meta) {
		return nil
	}
	n, ours := 0, 0
	_ = wire.Walk(meta, func(name string, _ json.RawMessage) error { // accepted
		n++
		if name == metaServer || name == metaSubscription {
			ours++
		}
		return nil
	})
	switch ours {
	case 0:
		return meta
	case n:
		return nil
	}
	return without(without(meta, metaServer), metaSubscription)
}

// result makes the Result of an answer that asks for more.
func (q *question) result(meta json.RawMessage) (*core.Result, error) {
	out := &core.Result{Meta: meta, InputRequests: []core.InputRequest{}}
	if q.state != nil {
		if !wire.IsString(q.state) {
			return nil, errRequests
		}
		out.RequestState = q.state
	}
	if q.requests != nil {
		if !wire.IsObject(q.requests) {
			return nil, errRequests
		}
		const most = 64
		if err := wire.Walk(q.requests, func(key string, v json.RawMessage) error {
			method, params := stringOf(v, "method"), member(v, "params")
			if params == nil {
				params = json.RawMessage("{}")
			}
			if needOf(method, nil) == 0 || !wire.IsObject(params) || len(out.InputRequests) >= most {
				return errRequests
			}
			out.InputRequests = append(out.InputRequests, core.InputRequest{Key: key, Method: method, Params: params})
			return nil
		}); err != nil {
			return nil, err
		}
	}
	if len(out.InputRequests) == 0 && out.RequestState == nil {
		return nil, errRequests
	}
	return out, nil
}

// urlRequests makes questions of the error that says: visit these addresses first
// (2025-11-25, -32042). false when it names none.
func urlRequests(data json.RawMessage) (*core.Result, bool) {
	out := &core.Result{}
	list := member(data, "elicitations")
	if !wire.IsArray(list) {
		return nil, false
	}
	const most = 64
	_ = wire.WalkElements(list, func(v json.RawMessage) error { // accepted
		if wire.IsObject(v) && stringOf(v, "url") != "" && len(out.InputRequests) < most {
			if member(v, "mode") == nil {
				v = append(putString(bytes.Clone(v[:len(v)-1]), "mode", "url"), '}')
			}
			out.InputRequests = append(out.InputRequests, core.InputRequest{
				Key: fmt.Sprintf("url-%d", len(out.InputRequests)+1), Method: "elicitation/create", Params: v,
			})
		}
		return nil
	})
	return out, len(out.InputRequests) > 0
}

// readCompletion reads the result of completion/complete.
func readCompletion(raw json.RawMessage) (*core.Completion, error) {
	inner := member(raw, "completion")
	values := member(inner, "values")
	if !wire.IsArray(values) {
		return nil, errCompletion
	}
	out := &core.Completion{Values: stringsOf(values)}
	const most = 100 // says the specification
	if len(out.Values) > most {
		out.Values, out.HasMore = out.Values[:most], true
	}
	if string(member(inner, "hasMore")) == "true" {
		out.HasMore = true
	}
	if n, err := json.Number(member(inner, "total")).Int64(); err == nil && 0 <= n && n < 1<<53 {
		out.Total = int(n)
	}
	return out, nil
}

func code(f *failure) string { return strconv.Itoa(f.code) }

func askKey(method string, n int) string {
	word, _, _ := strings.Cut(method, "/")
	return fmt.Sprintf("%s-%d", word, n)
}
