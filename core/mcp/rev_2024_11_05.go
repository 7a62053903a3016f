package mcp

// 2024-11-05 is the first revision. Its own transport is HTTP+SSE (transport_sse.go);
// clients also negotiate it on the later endpoint, with a session but without
// resumption.
var rev20241105 = revision{
	Name: "2024-11-05",
	Slot: 0,

	Sessions: true,
	NullID:   true,

	ResourceNotFound: -32002,
}
