package mcp

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/core/wire"
)

// message is one JSON-RPC message. Everything in it aliases the body.
type message struct {
	id     json.RawMessage // as sent; nil when there is none
	method string          // "" for a response
	row    *method         // of that method; nil when it has none
	params json.RawMessage // an object, or nil
	result json.RawMessage // of a response
	fail   json.RawMessage // error of a response

	versioned bool            // jsonrpc is what it must be
	name      json.RawMessage // method as sent
	odd       string          // a member whose name is only almost one of ours
	named     string          // params.name of tools/call as the header Mcp-Name has it, once compared
	p         params
}

// params holds the members of params that some method knows, each as sent.
type params struct {
	meta json.RawMessage
	m    meta

	name, uri, arguments, cursor, level   json.RawMessage
	ref, argument, context, notifications json.RawMessage
	requestID                             json.RawMessage
	protocolVersion, capabilities, client json.RawMessage
	inputResponses, requestState          json.RawMessage
}

// meta holds the members of params._meta that the protocol defines.
type meta struct {
	revision, client, capabilities, level, progressToken json.RawMessage
}

// The keys of a request's envelope (2026-07-28, basic/index, _meta).
const (
	metaRevision     = "io.modelcontextprotocol/protocolVersion"
	metaClient       = "io.modelcontextprotocol/clientInfo"
	metaCapabilities = "io.modelcontextprotocol/clientCapabilities"
	metaLevel        = "io.modelcontextprotocol/logLevel"
	metaServer       = "io.modelcontextprotocol/serverInfo"
	metaSubscription = "io.modelcontextprotocol/subscriptionId"
)

func (m *message) request() bool  { return m.method != "" && m.id != nil }
func (m *message) response() bool { return m.method == "" }

// claim tells whether the message says its revision in its envelope.
func (m *message) claim() bool { return m.p.m.revision != nil }

// label names the message in logs and metrics, in words of ours only.
func (m *message) label() string {
	switch {
	case m.row != nil, m.method == "initialize", m.method == "subscriptions/listen":
		return m.method
	case m.method == "" && m.id != nil && (m.result != nil || m.fail != nil):
		return "response"
	case m.method == "":
		return ""
	case m.id == nil:
		return "notification"
	}
	return "unknown"
}

// parse reads one message. With a fault it still returns what it understood, so
// that the answer can carry the id.
func parse(body []byte) (*message, *fault) {
	m := new(message)
	return m, m.read(body)
}

// read is parse into a message of the zero value.
func (m *message) read(body []byte) *fault {
	if err := wire.Fields(body, m.member); err != nil {
		*m = message{}
		return syntaxFault(err)
	}
	return m.check()
}

// parseElement is parse for bytes that wire has already accepted.
func parseElement(b []byte) (*message, *fault) {
	m := new(message)
	if !wire.IsObject(b) {
		return m, invalidRequest("a message is a JSON object")
	}
	if err := wire.Walk(b, m.member); err != nil {
		return m, syntaxFault(err)
	}
	return m, m.check()
}

func syntaxFault(err error) *fault {
	var syntax *wire.SyntaxError
	if errors.As(err, &syntax) && syntax.Limit {
		return invalidRequest("the body is past a limit: " + syntax.Error())
	}
	return &fault{code: codeParse, message: "the body cannot be read: " + err.Error()}
}

func (m *message) member(name string, value json.RawMessage) error {
	switch name {
	case "jsonrpc":
		m.versioned = string(value) == `"2.0"`
	case "id":
		m.id = value
	case "method":
		m.name = value
	case "params":
		m.params = value
	case "result":
		m.result = value
	case "error":
		m.fail = value
	default:
		for _, ours := range [...]string{"jsonrpc", "id", "method", "params", "result", "error"} {
			if strings.EqualFold(name, ours) {
				m.odd = name
			}
		}
	}
	return nil
}

// check tells whether the parts make a message (JSON-RPC 2.0, and the narrower ids
// of MCP), and takes params apart.
func (m *message) check() *fault {
	id := m.id
	if m.id = nil; id != nil {
		if !goodID(id) {
			return invalidRequest("id must be a string or an integer, of " + strconv.Itoa(maxID) + " bytes at most")
		}
		m.id = canonicalID(id)
	}
	switch {
	case m.odd != "":
		return invalidRequest(fmt.Sprintf("member %q differs from ours in upper and lower case only: names are exact", m.odd))
	case !m.versioned:
		return invalidRequest(`jsonrpc must be "2.0"`)
	case m.name == nil && m.result == nil && m.fail == nil:
		return invalidRequest("a message has a method, or a result or an error")
	case m.name == nil:
		return m.checkResponse()
	case m.result != nil || m.fail != nil:
		return invalidRequest("a message with a method has no result or error")
	}
	if m.row = rowOf(m.name); m.row != nil {
		m.method = m.row.name
	} else if m.method, _ = text(m.name); m.method == "" {
		return invalidRequest("method must be a string")
	}
	if wire.IsNull(m.params) {
		m.params = nil
		return nil
	}
	if !wire.IsObject(m.params) {
		return invalidParams("params must be an object")
	}
	return m.p.read(m.params)
}

func (m *message) checkResponse() *fault {
	switch {
	case m.id == nil:
		return invalidRequest("a response has the id of its request")
	case m.result != nil && m.fail != nil:
		return invalidRequest("a response has a result or an error, not both")
	case m.result != nil && !wire.IsObject(m.result):
		return invalidRequest("result must be an object")
	case m.fail != nil && !wire.IsObject(m.fail):
		return invalidRequest("error must be an object")
	}
	return nil
}

func (p *params) read(b json.RawMessage) *fault {
	err := wire.Walk(b, func(name string, value json.RawMessage) error {
		switch name {
		case "_meta":
			p.meta = value
		case "name":
			p.name = value
		case "uri":
			p.uri = value
		case "arguments":
			p.arguments = value
		case "cursor":
			p.cursor = value
		case "level":
			p.level = value
		case "ref":
			p.ref = value
		case "argument":
			p.argument = value
		case "context":
			p.context = value
		case "notifications":
			p.notifications = value
		case "requestId":
			p.requestID = value
		case "protocolVersion":
			p.protocolVersion = value
		case "capabilities":
			p.capabilities = value
		case "clientInfo":
			p.client = value
		case "inputResponses":
			p.inputResponses = value
		case "requestState":
			p.requestState = value
		}
		return nil
	})
	if err != nil {
		return syntaxFault(err)
	}
	if wire.IsNull(p.meta) {
		p.meta = nil
		return nil
	}
	if !wire.IsObject(p.meta) {
		return invalidParams("params._meta must be an object")
	}
	return p.m.read(p.meta)
}

func (m *meta) read(b json.RawMessage) *fault {
	err := wire.Walk(b, func(name string, value json.RawMessage) error {
		switch name {
		case metaRevision:
			m.revision = value
		case metaClient:
			m.client = value
		case metaCapabilities:
			m.capabilities = value
		case metaLevel:
			m.level = value
		case "progressToken":
			m.progressToken = value
		}
		return nil
	})
	if err != nil {
		return syntaxFault(err)
	}
	if t := m.progressToken; t != nil && (len(t) > maxID || !wire.IsString(t) && !wire.IsNumber(t)) {
		return invalidParams("params._meta.progressToken must be a string or a number, of " + strconv.Itoa(maxID) + " bytes at most")
	}
	return nil
}

// goodID tells whether an id is a string or an integer: never null, no fraction.
func goodID(id json.RawMessage) bool {
	if len(id) > maxID {
		return false
	}
	if wire.IsString(id) {
		return true
	}
	return wire.IsNumber(id) && !bytes.ContainsAny(id, ".eE")
}

// canonicalID spells a string in one way, so that ids can be compared as bytes.
func canonicalID(id json.RawMessage) json.RawMessage {
	if bytes.IndexByte(id, '\\') < 0 {
		return id
	}
	plain, ok := text(id)
	if !ok {
		return id
	}
	return wire.AppendString(nil, plain)
}

// is tells whether raw holds the string s.
func is(raw json.RawMessage, s string) bool {
	if len(raw) < 2 || raw[0] != '"' {
		return false
	}
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1:len(raw)-1]) == s
	}
	plain, ok := text(raw)
	return ok && plain == s
}

// text returns the string that raw holds; false when it holds none.
func text(raw json.RawMessage) (string, bool) {
	if len(raw) < 2 || raw[0] != '"' {
		return "", false
	}
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1]), true
	}
	var s string
	err := wire.Unmarshal(raw, &s)
	return s, err == nil
}
