package upstream

import (
	"slices"
	"strings"
)

// revision is one dated specification, told as traits, as a client needs them.
type revision struct {
	Name string // protocolVersion on the wire

	Envelope      bool // every request brings revision and capabilities in _meta; no handshake, no session
	Batch         bool // a JSON array holds several messages
	VersionHeader bool // MCP-Protocol-Version on every request over HTTP
	Resume        bool // GET with Last-Event-ID goes on from an event

	Elicitation      bool
	ElicitationModes bool // form and url are told apart
	SamplingTools    bool
}

var (
	rev20241105 = revision{Name: "2024-11-05"}
	rev20250326 = revision{Name: "2025-03-26", Batch: true, Resume: true}
	rev20250618 = revision{Name: "2025-06-18", VersionHeader: true, Resume: true, Elicitation: true}
	rev20251125 = revision{Name: "2025-11-25", VersionHeader: true, Resume: true, Elicitation: true, ElicitationModes: true, SamplingTools: true}
	rev20260728 = revision{Name: "2026-07-28", Envelope: true, VersionHeader: true, Elicitation: true, ElicitationModes: true, SamplingTools: true}
)

// revisions is every revision that an upstream may speak, newest first.
var revisions = []*revision{&rev20260728, &rev20251125, &rev20250618, &rev20250326, &rev20241105}

// latestEnvelope and latestSession are what is asked for when nothing is known.
var (
	latestEnvelope = &rev20260728
	latestSession  = &rev20251125
)

// byName returns the revision of that name, or nil.
func byName(name string) *revision {
	for _, rev := range revisions {
		if rev.Name == name {
			return rev
		}
	}
	return nil
}

// pick returns the newest revision of a list that is spoken here, or nil.
func pick(names []string) *revision {
	for _, rev := range revisions {
		if slices.Contains(names, rev.Name) {
			return rev
		}
	}
	return nil
}

// Revisions lists what may stand in Options.Revision, newest first.
func Revisions() []string {
	names := make([]string, len(revisions))
	for i, rev := range revisions {
		names[i] = rev.Name
	}
	return names
}

func allRevisions() string { return strings.Join(Revisions(), ", ") }
