package core

import (
	"encoding/json"
	"time"
)

// Call is one invocation of a tool, or of the invoker behind a prompt or a
// resource, free of any revision.
type Call struct {
	Server string // server name
	Tool   string // tool or prompt name; resource: its URI
	For    Object // what is being invoked (Kind tool, prompt or resource)

	// Arguments is the JSON object as sent, strictly parsed and re-encoded; never
	// nil (an absent object is {}). Values is the same, decoded once: numbers are
	// json.Number, so big integers survive. For a resource the values are "uri" and
	// the variables of the template. Values is nil where every part behind the
	// gateway is Frugal and needs none. Nobody writes into Arguments.
	Arguments json.RawMessage
	Values    map[string]any
	// Checked tells that package wire accepted Arguments, alone or as a part of a
	// message, so that nobody need check them again. It is always set where an
	// invoker finds no Values.
	Checked bool

	ID     string // of the request, for records and logs; "" where none is known
	Who    Identity
	Auth   *AuthRequest // how the caller came in; nil where nobody asked who it is
	Client Client
	Meta   json.RawMessage // params._meta as sent, nil when absent
	Header HeaderSource    // the client's HTTP headers, for invokers whose document names them; may be nil

	// Inside answers for the server that is called, on the Catalog of this call, so that
	// what runs behind one tool can call another with the rights of Who. Depth counts
	// how many calls this one is nested in; nil and 0 until a Handler sets them.
	Inside Handler
	Depth  int

	// InputResponses and RequestState are what the client brought back for an
	// earlier Result with InputRequests (MRTR, 2026-07-28). RequestState is the
	// invoker's own state, already unsealed and verified.
	InputResponses map[string]json.RawMessage
	RequestState   json.RawMessage
	// InputRefusals are the errors (JSON-RPC error objects) by which the client refused
	// some of the InputRequests. They are set only where the Result said TakesRefusals.
	InputRefusals map[string]json.RawMessage

	// Steps, when set, is told what the call passes, each step when it has ended; safe for
	// concurrent use. It is set only where somebody tries a draft.
	Steps func(Step)

	// Notify sends a notification that belongs to this call (progress, message).
	// Never nil; safe for concurrent use; drops what the client did not ask for.
	Notify func(Notification)
	// Progress tells whether the client gave a progress token, LogLevel the level
	// it asked for ("" = none): an invoker may skip work nobody sees.
	Progress bool
	LogLevel string
	LogUsual bool // it did not ask: LogLevel is what revisions with sessions begin with
	// Detach closes the client's stream in the middle of the call so that it comes
	// back with Last-Event-ID after retry. It returns false where the revision or
	// the transport has no resumption; then nothing happened.
	Detach func(retry time.Duration) bool
}

// Frugal is the optional second interface of an invoker or transformer that may do
// without Call.Values: it is asked once, when it is built. One that does not have it
// is given them. Decoding them is a large part of what a small call costs.
type Frugal interface{ NeedsValues() bool }

// HeaderSource reads a request header; name in any case, "" when absent.
type HeaderSource interface{ Get(name string) string }

// Client is what the client said of itself.
type Client struct {
	Name, Version string
	Revision      string          // the protocolVersion in use
	Info          json.RawMessage // clientInfo as sent, may be nil
	Capabilities  json.RawMessage // ClientCapabilities as sent, never nil ({} when absent)
}

// Notification is a message without an answer. Params is a JSON object without
// the fields that the wire adds (progressToken, subscriptionId).
type Notification struct {
	Method string // notifications/progress, notifications/message
	Params json.RawMessage
}

// Result is what an invoker returns and a transformer rewrites. Structured and the
// texts of Content and Contents may share memory, also with the answer of an
// upstream: transformers put other bytes in the place of Structured, and never write
// into it.
type Result struct {
	Content    []Content
	Structured json.RawMessage // structuredContent, any JSON value; nil = none
	IsError    bool            // the model should see that it failed
	Mismatch   bool            // with IsError: the arguments do not fit the input schema (old revisions answer with a protocol error)
	Meta       json.RawMessage // _meta, nil = none
	// Extra holds the members of a result of an upstream that nobody here knows, as one
	// JSON object, so that they pass through; nil = none.
	Extra json.RawMessage

	// Messages is used by prompts, Contents by resources. A prompt whose invoker
	// leaves Messages empty gets one user message per content block.
	Messages    []Message
	Description string
	Contents    []ResourceContents

	// InputRequests asks the client for more (MRTR): key → request. The call is
	// repeated with InputResponses and RequestState. RequestState is plain here;
	// the wire seals it.
	InputRequests []InputRequest
	RequestState  json.RawMessage
	// TakesRefusals tells that the call wants to be repeated also when the client answers
	// InputRequests with errors (Call.InputRefusals): whoever asked decides what then.
	TakesRefusals bool
	// Forget, when set on a result that asks for more, ends what waits for the answers. It
	// does not wait. Whoever knows that nobody comes back with them calls GiveUp.
	Forget func() `json:"-"`
}

// GiveUp tells what waits for the answers to InputRequests that none will come. r may be nil.
func (r *Result) GiveUp() {
	if r != nil && r.Forget != nil {
		r.Forget()
	}
}

// Size adds up the bytes of what a result holds, roughly and without encoding it; 0 for
// nil.
func (r *Result) Size() int {
	if r == nil {
		return 0
	}
	n := len(r.Structured) + len(r.Meta) + len(r.Extra) + len(r.Description) + len(r.RequestState)
	for i := range r.Content {
		n += r.Content[i].size()
	}
	for i := range r.Messages {
		n += r.Messages[i].Content.size()
	}
	for i := range r.Contents {
		n += len(r.Contents[i].Text) + len(r.Contents[i].Blob) + len(r.Contents[i].Raw)
	}
	return n
}

// InputRequest is one thing that an invoker needs from the client.
type InputRequest struct {
	Key    string
	Method string          // elicitation/create, sampling/createMessage, roots/list
	Params json.RawMessage // never nil
}

// Message is one message of a prompt.
type Message struct {
	Role    string // user, assistant
	Content Content
}

// TextResult returns a result of one text block.
func TextResult(text string) *Result {
	one := &struct {
		result  Result
		content [1]Content
	}{content: [1]Content{Text(text)}} // one piece of memory instead of two
	one.result.Content = one.content[:]
	return &one.result
}

// ErrorResult returns a result that the model sees as a failure.
func ErrorResult(text string) *Result {
	return &Result{Content: []Content{Text(text)}, IsError: true}
}
