// Package disclosure finds tools, so that a client of a server with a thousand of them reads
// three definitions and a page of hits instead of a thousand definitions.
//
//	[]*core.Tool ─► Build ─► Index: words of names, titles, descriptions, arguments
//	                           │     (immutable: one for each Catalog)
//	find_tools(query)     ─► Find ─► rank among the tools that the caller may see ─► a page under 2 KiB
//	describe_tool(name)   ─► the caller's tool ─► its definition, schemas as they were written
//	call_tool(name, args) ─► the caller's tool ─► the caller's call ─► its result
//
// Ranking is BM25F: the words of the name weigh more than those of the title, these more
// than those of the description and of arguments. Words are folded (case, accents, width),
// split at camelCase, underscores and digits, and English ones are cut to their stems; some
// verbs and short forms stand for each other (delete, remove). Scripts that are written
// without spaces are cut into pairs of characters. No model is needed.
//
// What a caller finds depends only on what the caller may see: how rare a word is, is
// counted among those tools, and lengths are compared with fixed ones instead of averages.
// So neither hits nor their order tell of tools that are hidden, and a tool that may not be
// seen is answered for as one that does not exist.
//
//	index := disclosure.Build(tools)
//	for _, m := range index.Find("open an issue", 3, nil) {
//		fmt.Println(m.Name, m.Summary)
//	}
//
//	// Serving the facade: disclosure.Tools() stand in tools/list in place of all others.
//	result, err := index.Answer(ctx, call.Tool, call.Arguments, disclosure.Caller{
//		Tool: func(name string) *core.Tool { return handler.Tool(ctx, call.Who, name) },
//		Call: func(ctx context.Context, name string, arguments json.RawMessage) (*core.Result, error) {
//			inner := *call
//			inner.Tool, inner.Arguments = name, arguments
//			return handler.CallTool(ctx, &inner)
//		},
//	})
package disclosure
