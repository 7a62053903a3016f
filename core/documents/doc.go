// Package documents is where gateway documents are written and published: drafts become
// versions, and the newest version of each is what is served.
//
//	SaveDraft ─► Draft ─► Validate, Diff ─► Publish ─► DocumentVersion 1, 2, 3 … ─► core.State ─► served
//	   ▲                                       │               │
//	   └── who saves first wins (ETag)         │               └─ Rollback(2) ─► version 4, with the text of 2
//	                                           └─ refused: mistakes (invalid), the base moved (changed)
//	Export ─► tar.gz, one YAML a document, a manifest ─► ReadArchive ─► Import (what would change; then drafts, or published)
//
// Texts are kept byte for byte; nothing here ever writes one anew. Every change is one
// transaction with its line in the audit trail: who, when and why.
//
//	desk := documents.New(documents.Options{Store: store, Check: check, Parse: parse})
//	draft, problems, err := desk.SaveDraft(ctx, act, tenant, documents.Edit{Name: "shop", Text: text, Match: documents.Any})
//	diff, err := desk.Diff(ctx, tenant, "shop", documents.Served, documents.InDraft)
//	done, err := desk.Publish(ctx, act, tenant, documents.Publication{Drafts: []documents.Pick{{Name: "shop"}}})
//	_, err = desk.Rollback(ctx, act, tenant, "shop", 2)
//
// How a document is read and a tenant is built is handed in (Options.Check and Parse):
// this room knows no YAML and no kinds.
package documents
