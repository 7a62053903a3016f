package mcp

// 2025-03-26 brought the one endpoint with Mcp-Session-Id and resumption, batches
// (and is the only revision that has them), audio, tool annotations, and the
// completions capability.
var rev20250326 = revision{
	Name: "2025-03-26",
	Slot: 1,

	Sessions: true,
	Batch:    true,
	Resume:   true,
	NullID:   true,

	AudioContent:    true,
	ToolAnnotations: true,
	Completions:     true,
	ProgressMessage: true,

	ResourceNotFound: -32002,
}
