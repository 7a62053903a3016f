// Package vault keeps secrets: keys, and what they seal.
//
//	key file ─┐
//	settings ─┼─► key-encryption key ─wraps─► data key ─seals─► a secret, bound to its row
//	KMS hook ─┘        (kid)                  (one a record)
//	                                             │
//	                     sv1.<kid>.<base64url: wrapped key · seal of the head · nonce · sealed text>
//
// Each record has a random data key of its own (AES-256-GCM), wrapped by a
// key-encryption key that the kid names. Purpose and bind list (tenant, table, column,
// id; see core.CredentialBind) are authenticated with both, so what is copied to another
// row, column or tenant does not open there (security.md T16).
//
//	v, err := vault.Open(ctx, vault.Options{Dir: data, Keys: fromTheEnvironment, Log: log})
//	err = v.Check(ctx, store)                  // refuses a store that was sealed with other keys
//	sealed, err := v.Seal(core.SealedRow, value, core.CredentialBind(&c)...)
//	v.Use(state)                               // whenever the store changed
//	secret, err := v.Secret(tenant, "shop")    // ${secret:shop}
//	key, err := v.Derive("audit")              // the same on all replicas, whatever is rotated
//	last := vault.NewSnapshot(vault.SnapshotOptions{Vault: v, Path: data + "/state.sealed"})
//
// # Where keys come from
//
// Options.Keys are keys as text, kid:base64key[,kid:base64key…]; the first one seals, all
// open. Options.Command is a key management service behind a program. Without either
// there is a key file, vault-keys.json in Options.Dir, which is made at the first start,
// is for its owner alone and is refused when others may read it. Where Keys or Command
// are given and the file is there too, its keys go on opening: so one can move.
//
// Replicas of one store need the same keys: give them Keys, a Command, or one file.
//
// # The command
//
// It is an argument list without a shell; the program is an absolute path. It is started
// for each data key to wrap or unwrap, reads one line of JSON from its input and writes
// one to its output:
//
//	{"op": "wrap", "key": "<base64, 32 bytes>", "context": "<base64>"}
//	→ {"kid": "kms-2026", "wrapped": "<base64, at most 4 KiB>"}
//	{"op": "unwrap", "kid": "kms-2026", "wrapped": "<base64>", "context": "<base64>"}
//	→ {"key": "<base64, 32 bytes>"}
//
// The context is a digest of purpose and bind; a service that knows an encryption context
// should be given it. A kid is 1 to 64 letters, digits, - and _; a new key of the service
// has a new one. Another status than 0, more than 64 KiB or no answer in time fail the
// operation. What it writes to its error output is thrown away, since it may hold keys.
// Keys that were unwrapped are remembered in memory, so that opening again asks nobody.
//
// # Rotation
//
// Rotate puts a new key in front of the file (with Keys, put it in front of the text and
// start again; with a Command, the service does it). RotateStore then wraps the data keys
// of all rows anew while everything runs on; it can be stopped and started again. Unused
// says which old keys nothing in the store needs any more, and Forget takes one of those
// away. Nothing else ever deletes a key.
package vault
