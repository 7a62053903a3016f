package mcp

// 2025-06-18 took batches away and brought structured results, resource links,
// titles, _meta on objects, and elicitation.
var rev20250618 = revision{
	Name: "2025-06-18",
	Slot: 2,

	Sessions: true,
	Resume:   true,
	NullID:   true,

	AudioContent:    true,
	ResourceLink:    true,
	Structured:      true,
	Titles:          true,
	ObjectMeta:      true,
	ToolAnnotations: true,
	Completions:     true,
	ProgressMessage: true,

	Elicitation: true,

	ResourceNotFound: -32002,
}
