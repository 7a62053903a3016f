// Package manifest reads plugin.yaml: what a plugin is, what it offers and what it
// asks for.
//
//	plugin.yaml ───────────────┐
//	                           ├─► Parse ─► Manifest ─► Canonical ─► Hash
//	section sallyport.manifest ┘ (a bare .wasm)  │
//	                                             ├─ Capabilities (a REQUEST) ∩ the operator's policy = the grant
//	                                             ├─ Limits ∩ the operator's = what an instance gets
//	                                             └─ Grown(old, new): what the new version asks for beyond the old
//
// Nothing in a manifest gives a plugin anything: capabilities are a request and limits
// may only lower the operator's.
//
//	m, err := manifest.Load("plugin.yaml", text, wasm) // *manifest.InvalidError says where and how to fix it
//	if err != nil {
//		return err
//	}
//	granted, refused := m.Capabilities.Within(policy) // refused: in words, for `plugin inspect`
//	limits := m.Limits.Within(operator, manifest.Invoker)
//	if grown := manifest.Grown(running, m); len(grown) > 0 {
//		return keepOldUntilApproved(grown)
//	}
//	options.Grant = sandbox.Grant{HTTP: len(granted.HTTP) > 0, KV: granted.KV != nil, …}
//
// The format is YAML 1.2 (core schema; JSON is YAML) without anchors, aliases, merge
// keys and tags: a manifest reads the same to everybody who reviews it. The reader
// refuses unknown and repeated keys, and characters that do not show.
package manifest

import (
	"encoding/json"
	"slices"

	"github.com/sallyport/sallyport/plugins/abi"
)

// APIVersion is the version of the format, ABI the only abi that is run, Section the
// custom section of a module that holds its manifest.
const (
	APIVersion = "sallyport/v1"
	ABI        = "sallyport/1"
	Section    = "sallyport.manifest"
)

// MaxBytes is the largest manifest, in bytes.
const MaxBytes = 1 << 20

// Manifest is what plugin.yaml says, with every default filled in. It is not changed
// once it is read.
type Manifest struct {
	APIVersion   string          `json:"apiVersion"`
	Name         string          `json:"name"`                  // acme/weather
	Version      string          `json:"version"`               // semantic version 2.0.0
	Description  string          `json:"description,omitempty"` // one line for people
	ABI          string          `json:"abi"`
	Kinds        []Kind          `json:"kinds"`                   // sorted
	Tools        []Tool          `json:"tools,omitempty"`         // in the order of the file
	Context      []string        `json:"context,omitempty"`       // keys of abi.Meta…, sorted
	Capabilities Capabilities    `json:"capabilities,omitzero"`   // a request
	ConfigSchema json.RawMessage `json:"config_schema,omitempty"` // JSON Schema, order kept
	Limits       Limits          `json:"limits,omitzero"`         // a zero field was not given
	Isolation    string          `json:"isolation"`               // shared or call
	OnError      string          `json:"on_error"`                // closed or skip
}

// Tool is one tool of an invoker, as clients see it. Schemas and annotations are JSON
// in the order of the file.
type Tool struct {
	Name         string          `json:"name"`
	Title        string          `json:"title,omitempty"`
	Description  string          `json:"description,omitempty"`
	InputSchema  json.RawMessage `json:"inputSchema"` // {"type":"object"} when the file gives none
	OutputSchema json.RawMessage `json:"outputSchema,omitempty"`
	Annotations  json.RawMessage `json:"annotations,omitempty"`
}

// Isolation of the calls that one instance serves.
const (
	IsolationShared = "shared" // memory stays from call to call
	IsolationCall   = "call"   // memory and globals are restored after each call
)

// OnError says what happens when a response transformer fails. All other kinds are
// closed always.
const (
	OnErrorClosed = "closed" // the call fails
	OnErrorSkip   = "skip"   // the result goes on as it was
)

// Kind is what a plugin may be used as. One plugin may be of several.
type Kind string

// The kinds.
const (
	Invoker             Kind = "invoker"
	ToolCatalogue       Kind = "tool_catalogue" // an invoker that lists its tools at run time
	ResponseTransformer Kind = "response_transformer"
	RequestTransformer  Kind = "request_transformer"
	Authorizer          Kind = "authorizer" // may only narrow
)

// exports is the one list of kinds and the function each must export.
var exports = []struct {
	kind   Kind
	export string
}{
	{Invoker, abi.ToolCall},
	{ToolCatalogue, abi.ToolsList},
	{ResponseTransformer, abi.ResponseTransform},
	{RequestTransformer, abi.RequestTransform},
	{Authorizer, abi.Authorize},
}

// Export returns the function that a plugin of this kind must export, "" for an
// unknown kind.
func (k Kind) Export() string {
	for _, row := range exports {
		if row.kind == k {
			return row.export
		}
	}
	return ""
}

// Is reports whether the plugin may be used as k.
func (m *Manifest) Is(k Kind) bool { return slices.Contains(m.Kinds, k) }

// contexts lists the keys that `context` may hold.
var contexts = []string{
	abi.MetaTool, abi.MetaServer, abi.MetaCallID, abi.MetaSession, abi.MetaTenant,
	abi.MetaPrincipalSub, abi.MetaPrincipalRoles, abi.MetaTraceparent, abi.MetaDeadlineMS,
}
