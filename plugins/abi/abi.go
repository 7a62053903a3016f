// Package abi is the contract between the gateway and a WASM plugin: names of
// imports and exports, status codes, and the frames that cross the boundary.
// sdk/ABI.md says the same in words.
//
//	host                                              guest (linear memory)
//	AppendIn(meta, payload) ─copy─► sallyport_alloc'd input buffer
//	          call sallyport_tool_call(ptr, len) ───► …
//	ParseOut ◄─copy─ ptr<<32|len ◄─────────────────── output, owned by the guest
//
// A frame in is `u32 n; n × (u32 length, key, u32 length, value); payload`, a
// frame out the same after `u16 status, u16 0`. All numbers are little endian;
// the payload runs to the end of the frame and is never looked into.
//
//	in := abi.AppendIn(buffer[:0], []abi.Pair{{Key: abi.MetaTool, Value: "weather"}}, arguments)
//	// … write in to the guest, call the export, which returns packed …
//	ptr, size := abi.Unpack(packed)
//	if packed == 0 {
//		// the guest failed: nothing to read
//	}
//	status, meta, payload, err := abi.ParseOut(frame) // frame is a copy of size bytes at ptr
//
// Frames come from strangers: parsing checks every length before it is used and
// never allocates more than the frame holds.
package abi

// Marker is the exported function that says which ABI a module speaks. It is
// never called. Module is the name under which host functions are imported. A
// new major version gets a new name of both.
const (
	Marker = "sallyport_abi_v1"
	Module = "sallyport_v1"
)

// Names of exports. Memory, Alloc and Marker must be there; a plugin exports at
// least one of the kinds.
const (
	Memory     = "memory"
	Initialize = "_initialize"         // () -> (); optional, called first, once per instance
	Alloc      = "sallyport_alloc"     // (size i32) -> i32; 0 = no memory
	Configure  = "sallyport_configure" // (ptr i32, len i32) -> i64; optional, once per instance, payload = configuration JSON

	// The kinds: (ptr i32, len i32) -> i64.
	ToolCall          = "sallyport_tool_call"
	ToolsList         = "sallyport_tools_list"
	ResponseTransform = "sallyport_response_transform"
	RequestTransform  = "sallyport_request_transform"
	Authorize         = "sallyport_authorize"
)

// Kinds lists the exports that a plugin may have one or more of.
var Kinds = [...]string{ToolCall, ToolsList, ResponseTransform, RequestTransform, Authorize}

// Keys of the meta pairs that the host sends; only those that the manifest
// lists under `context` are sent.
const (
	MetaTool           = "tool"
	MetaServer         = "server"
	MetaCallID         = "call_id"
	MetaSession        = "session"
	MetaTenant         = "tenant"
	MetaPrincipalSub   = "principal.sub"
	MetaPrincipalRoles = "principal.roles" // separated by commas
	MetaTraceparent    = "traceparent"     // W3C Trace Context
	MetaDeadlineMS     = "deadline_ms"     // milliseconds left, decimal
)

// Keys of the meta pairs that a guest answers with; others are ignored.
const (
	MetaMime         = "mime"           // text/* = the host makes the payload one text content block
	MetaRetryAfterMS = "retry_after_ms" // with Unavailable, decimal milliseconds
	MetaLog          = "log"            // one line for the plugin's log
)

// Status is what a guest answers a call with.
type Status uint16

// The statuses. A guest that answers with any other number is read as Internal.
const (
	OK          Status = 0 // payload is the answer
	Unchanged   Status = 1 // transformers: take what came in; the payload is empty
	ToolError   Status = 2 // the tool failed; the payload is shown to the model
	InvalidArgs Status = 3 // the arguments are wrong (JSON-RPC -32602)
	UnknownTool Status = 4
	Denied      Status = 5
	Unavailable Status = 6 // try again; see MetaRetryAfterMS
	Internal    Status = 7 // the payload goes to the log only (JSON-RPC -32603)
)

var statusNames = [...]string{"ok", "unchanged", "tool_error", "invalid_args", "unknown_tool", "denied", "unavailable", "internal"}

// Known returns s, or Internal when s is no status of this version.
func (s Status) Known() Status {
	if s > Internal {
		return Internal
	}
	return s
}

// String returns the name as sdk/ABI.md spells it.
func (s Status) String() string {
	return statusNames[s.Known()]
}

// Negative returns of host functions. A host function never traps because of
// its surroundings: it answers with one of these.
const (
	ErrDenied      = -1 // not granted, or refused by policy
	ErrNotFound    = -2 // no such key, secret, tool
	ErrInvalid     = -3 // an argument makes no sense, or points outside memory
	ErrTooLarge    = -4 // past a limit on size
	ErrTimeout     = -5 // the call's time, or the request's, is over
	ErrUnavailable = -6 // cannot be reached now
	ErrQuota       = -7 // past a limit on number
	ErrConflict    = -8 // kv_set, kv_delete: the version is another one
)

// ErrorName returns the name of a negative return, "error" when it is none of
// the list.
func ErrorName(code int64) string {
	names := [...]string{"", "denied", "not_found", "invalid", "too_large", "timeout", "unavailable", "quota", "conflict"}
	if code < 0 && code > -int64(len(names)) {
		return names[-code]
	}
	return "error"
}

// Levels of the log import.
const (
	LogDebug = 0
	LogInfo  = 1
	LogWarn  = 2
	LogError = 3
)

// Kinds of the metric import.
const (
	MetricCounter   = 0 // value is added; never negative
	MetricGauge     = 1 // value is set
	MetricHistogram = 2 // value is observed
)

// InputBuffer is the size in bytes that the host first asks sallyport_alloc for.
// It keeps that buffer over all calls and asks again only for more.
const InputBuffer = 64 << 10

// Pack makes the return value of an export or import: where a frame is and how
// long. A length of 0 with a pointer of 0 says failure.
func Pack(ptr, size uint32) uint64 { return uint64(ptr)<<32 | uint64(size) }

// Unpack is the inverse of Pack.
func Unpack(v uint64) (ptr, size uint32) { return uint32(v >> 32), uint32(v) }
