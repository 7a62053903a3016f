package mcp

// 2026-07-28 took the handshake, sessions, GET, DELETE and resumption away: each
// request stands alone, more input is returned as a request for it, and changes
// arrive on subscriptions/listen.
var rev20260728 = revision{
	Name: "2026-07-28",
	Slot: 4,

	Envelope: true,

	ResultType:      true,
	CacheHints:      true,
	ServerMeta:      true,
	AudioContent:    true,
	ResourceLink:    true,
	Structured:      true,
	AnyStructured:   true,
	Titles:          true,
	ObjectMeta:      true,
	Icons:           true,
	ToolAnnotations: true,
	Completions:     true,
	ProgressMessage: true,
	MismatchResult:  true,

	Elicitation:      true,
	ElicitationModes: true,
	SamplingTools:    true,

	ResourceNotFound: -32602,
}
