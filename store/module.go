package store

import (
	"github.com/uptrace/bun"

	"github.com/sallyport/sallyport/core"
)

type moduleRow struct {
	bun.BaseModel `bun:"table:modules"`

	Tenant     string `bun:",pk"`
	Name       string `bun:",pk"`
	Digest     string
	Manifest   string
	Content    []byte
	Size       int64
	Plugin     string
	Release    string
	Kinds      words
	Asks       words
	Signatures string
	Grants     words
	Approved   *moment
	ApprovedBy string
	stamp
}

// modules: Query.Equal takes name and digest. Lists and State leave Bytes out, and putting
// a row without any keeps those that stand there.
var modules = &shelf[core.Module, moduleRow]{
	kind: kind{
		name: "module", table: "modules", tenant: "tenant", shown: true, heavy: "content",
		equal: equal("name", "name", "digest", "digest"),
	},
	model: func(m *core.Module) moduleRow {
		return moduleRow{
			Tenant: m.Tenant, Name: m.Name, Digest: m.Digest, Manifest: m.Manifest, Content: bytesOf(m.Bytes), Size: int64(m.Size),
			Plugin: m.Plugin, Release: m.Release, Kinds: wordsOf(m.Kinds), Asks: wordsOf(m.Asks), Signatures: m.Signatures,
			Grants: wordsOf(m.Grants), Approved: maybeMoment(m.Approved), ApprovedBy: m.ApprovedBy, stamp: stampOf(m.Stamp),
		}
	},
	noun: func(m *moduleRow) core.Module {
		return core.Module{
			Tenant: m.Tenant, Name: m.Name, Digest: m.Digest, Manifest: m.Manifest, Bytes: m.Content, Size: int(m.Size),
			Plugin: m.Plugin, Release: m.Release, Kinds: m.Kinds.list(), Asks: m.Asks.list(), Signatures: m.Signatures,
			Grants: m.Grants.list(), Approved: m.Approved.maybe(), ApprovedBy: m.ApprovedBy, Stamp: m.stamp.of(),
		}
	},
	stamp: func(m *core.Module) *core.Stamp { return &m.Stamp },
	light: func(m *core.Module) bool { return len(m.Bytes) == 0 },
}

// bytesOf returns b, never nil: Bun would write NULL.
func bytesOf(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
