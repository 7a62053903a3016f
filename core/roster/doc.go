// Package roster keeps the upstreams of one tenant connected from one load of documents to
// the next, and knows what they offer.
//
//	documents ─► Open ─► Set: what each offers, as it is now; it does not change
//	               │
//	               ▼
//	            entry (one for each configuration, secrets included)
//	               ├ upstream.Client      HTTP, or a process of package child
//	               ├ offers: asked for at the start, when the upstream says that they
//	               │         changed, and now and then
//	               └ pins:   what nobody approved is held back (security.md T24)
//
// When what clients get of an upstream is another thing than what an open Set says,
// Options.Changed is called: the documents are to be loaded again.
package roster
