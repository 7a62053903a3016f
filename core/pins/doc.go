// Package pins holds what an upstream says of its tools, prompts, resources and templates
// to what was seen and approved, so that a definition cannot change unseen after somebody
// trusted it.
//
//	raw definition ─► Read ─► Definition ─┐
//	[]core.Pin (approved, waiting) ───────┼► Judge(policy) ─► Outcome: unchanged, changed, new, gone, refused
//	                                      │                     ├ Show: what clients get; nil = hidden, calls refused
//	                                      │                     ├ Diff: what changed, for people
//	                                      │                     └ Findings: characters that nobody sees
//	                                      └─────────────────► Put, Delete: rows for the store
//	Canonical ─► Sum        one text and one sum for one meaning (RFC 8785)
//	Clean ─► text without invisible characters, everything else byte for byte
//
// A pin is over the definition as the upstream sent it, invisible characters included: a
// change of those is a change. What clients are shown is cleaned.
//
// A definition that is new or changed waits in a row of its own until somebody approves it
// (see core.Pin): the approved text stays, so there is something to compare with, and an
// upstream that goes back to it is served again at once. Under Quarantine what waits is
// hidden and its calls are refused; the old text is not shown in its place, because it
// would describe something that the upstream no longer is. Under Alert it is shown,
// cleaned, and Outcome.News asks for an alert once. Off shows and writes nothing.
//
//	var offered []pins.Definition
//	for _, raw := range tools {
//		d, err := pins.Read("tool", raw)
//		if err != nil {
//			log.Warn("a definition of an upstream is left out", "error", err)
//			continue
//		}
//		offered = append(offered, d)
//	}
//	j := pins.Judge(state.Pins, tenant, server, offered, pins.Quarantine)
//	for _, o := range j.Outcomes {
//		show(o.Of, o.Name, o.Show) // nil: not in lists, and calls find nothing
//	}
//	err := store.Change(ctx, entry, func(ctx context.Context, tx core.Tx) error { return j.Write(ctx, tx) })
package pins
