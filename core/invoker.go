package core

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"
)

// Invoker runs a tool, and also what stands behind a prompt or a resource. It is
// safe for concurrent use. A failure that the model should see is a Result with
// IsError; a Go error becomes a protocol error.
type Invoker interface {
	Invoke(ctx context.Context, call *Call) (*Result, error)
}

// Closer is the optional second interface of an invoker or transformer that holds
// something. Close is called once, after the last call of its Catalog.
type Closer interface{ Close() error }

// Transformer rewrites a result. It may change in and return it.
type Transformer interface {
	Transform(ctx context.Context, call *Call, in *Result) (*Result, error)
}

// Kind makes invokers or transformers of one sort; built-in ones and WASM alike.
// Schema is the JSON Schema (2020-12) of its config: it draws the form, checks the
// document and makes the reference page. A property that may take ${env:NAME} or
// ${file:path} carries "x-sallyport-reference": true there; "x-sallyport-secret":
// true marks one that must not be shown.
type Kind[T any] struct {
	Name    string
	Summary string
	Schema  json.RawMessage
	Example string // YAML, a worked example of config
	New     func(ctx context.Context, config json.RawMessage, env Env) (T, error)
	// Tool, when set, returns what is known of the tool that an invoker of this config
	// runs: texts, schemas and annotations that the document leaves out are taken from
	// it. nil = nothing is known.
	Tool func(config json.RawMessage, env Env) *ToolConfig
}

// Env is what a kind may use while it builds. Path is where its config stands in
// the document, for Problems.
type Env struct {
	Server      string
	Tool        string
	Timeout     time.Duration // the deadline that calls will have
	Connections map[string]*Connection
	Dial        Egress
	Root        string // directory of the document; relative files are read under it
	Log         *slog.Logger
	Now         func() time.Time
	Declares    Declares
	Changes     Changer   // never nil
	Plugins     PluginSet // nil where documents cannot have plugins
	Accounts    Accounts  // nil where callers cannot connect accounts of theirs
}

// Declares is what the document says of the tool that an invoker will serve.
type Declares struct {
	InputSchema  json.RawMessage
	OutputSchema json.RawMessage
	ReadOnly     bool // annotations.readOnlyHint
	Idempotent   bool // annotations.idempotentHint
}

// Problems is an error of New that carries positions: Path of each is relative to
// the config that New was given.
type Problems []Problem

// Error joins the messages.
func (p Problems) Error() string {
	s := ""
	for i, one := range p {
		if i > 0 {
			s += "\n"
		}
		if one.Path != "" {
			s += one.Path + ": "
		}
		s += one.Message
		if one.Fix != "" {
			s += "; " + one.Fix
		}
	}
	return s
}

// Func makes an Invoker of a function.
type Func func(ctx context.Context, call *Call) (*Result, error)

// Invoke calls f.
func (f Func) Invoke(ctx context.Context, call *Call) (*Result, error) { return f(ctx, call) }

var _ Invoker = Func(nil)
