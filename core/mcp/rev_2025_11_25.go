package mcp

// 2025-11-25 is the last revision with sessions. It brought icons, execution, modes
// of elicitation, tools in sampling, and streams that the server may close in the
// middle of a call.
var rev20251125 = revision{
	Name: "2025-11-25",
	Slot: 3,

	Sessions:     true,
	Resume:       true,
	PrimingEvent: true,
	Detach:       true,

	AudioContent:    true,
	ResourceLink:    true,
	Structured:      true,
	Titles:          true,
	ObjectMeta:      true,
	Icons:           true,
	ToolAnnotations: true,
	Execution:       true,
	Completions:     true,
	ProgressMessage: true,
	MismatchResult:  true,

	Elicitation:      true,
	ElicitationModes: true,
	ElicitationID:    true,
	SamplingTools:    true,

	ResourceNotFound: -32002,
}
