// Package audit keeps the trail of changes, linked by hashes, and the records of calls.
//
//	store ── Change, Audit ──→ entry 1 ←prev─ entry 2 ←prev─ entry 3   one trail a replica
//	                                                            ↑
//	Anchors ── hourly ──→ anchor row, log line, file ───────────┘
//	gateway ── Record ──→ buffer ── batch ──→ call rows, and one entry "calls" with their sum
//	Verify, Export, VerifyExport read all of it and name what does not fit.
//
// A store normalises and links each entry that it writes:
//
//	audit.Normalize(entry)
//	entry.Replica, entry.Seq, entry.Prev = replica, last.Seq+1, last.Hash
//	entry.Hash = audit.Hash(key, entry)
//
// Records of calls go through a Recorder, which runs beside the gateway:
//
//	recorder, err := audit.NewRecorder(store, audit.RecorderOptions{Replica: replica, Level: audit.LevelMetadata})
//	go recorder.Run(ctx)
//	report, err := audit.Verify(ctx, store, audit.VerifyOptions{Key: key})
package audit
