package core

import (
	"context"
	"encoding/json"
)

// Discloser stands in lists for all tools of a server (progressive disclosure): with its few
// tools a client finds, looks at and calls the others. It is made for the tools of one Catalog,
// and safe for concurrent use.
type Discloser interface {
	// Tools are those that are listed in place of all others.
	Tools() []*Tool
	// Answer runs one of them with the arguments of its call. Another name is an *Error
	// with CodeNotFound; an error of ToolCaller.Call is returned as it is.
	Answer(ctx context.Context, tool string, arguments json.RawMessage, by ToolCaller) (*Result, error)
}

// ToolCaller is who uses a Discloser: what it may see, and how its calls are made, with no
// rights beyond its own.
type ToolCaller struct {
	// Tool returns a tool that the caller may see, or nil: there is none, or none for this
	// caller. It is asked about every tool of the server, so it must be quick.
	Tool func(name string) *Tool
	// Call calls a tool, with all checks that it has when it is called by its own name.
	// arguments is an object, byte for byte as the client wrote it.
	Call func(ctx context.Context, name string, arguments json.RawMessage) (*Result, error)
}
