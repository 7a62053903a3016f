package mcp

import (
	"encoding/json"
	"slices"
)

// revision is one dated specification, told as traits. Code asks for a trait and
// never compares dates: a new revision is one file and one line in revisions.
type revision struct {
	Name string // protocolVersion on the wire
	Slot int    // in core.Encodings

	// How a conversation goes.
	Envelope     bool // every request brings revision and capabilities in _meta; the headers mirror the body
	Sessions     bool // initialize opens a session; GET and DELETE exist
	Batch        bool // a JSON array holds several messages
	Resume       bool // events carry ids; GET with Last-Event-ID goes on from one
	PrimingEvent bool // a stream begins with an id and empty data
	Detach       bool // the server may close a stream in the middle of a call
	NullID       bool // an error that answers no request in particular has "id":null, else it has no id

	// What results and lists hold.
	ResultType      bool // resultType on every result
	CacheHints      bool // ttlMs and cacheScope
	ServerMeta      bool // the server names itself in _meta of every result
	AudioContent    bool
	ResourceLink    bool
	Structured      bool // structuredContent, outputSchema
	AnyStructured   bool // structuredContent of any JSON type, outputSchema of any root type
	Titles          bool // title beside name
	ObjectMeta      bool // _meta of tools, prompts, resources and content blocks
	Icons           bool // icons; description and websiteUrl of the server
	ToolAnnotations bool
	Execution       bool // execution of a tool
	Completions     bool // the completions capability
	ProgressMessage bool // message of notifications/progress
	MismatchResult  bool // arguments that do not fit the schema are a result with isError, else an error

	// What a client can be asked.
	Elicitation      bool
	ElicitationModes bool // form and url are told apart
	ElicitationID    bool // a request of mode url carries an elicitationId
	SamplingTools    bool

	ResourceNotFound int // the error code of resources/read for an unknown URI
}

// revisions is every revision that is served, newest first.
var revisions = []*revision{
	&rev20260728,
	&rev20251125,
	&rev20250618,
	&rev20250326,
	&rev20241105,
}

// latestSession is what initialize answers when it cannot give what was asked for.
var latestSession = &rev20251125

// byName returns the revision of that name, or nil.
func byName(name string) *revision {
	for _, rev := range revisions {
		if rev.Name == name {
			return rev
		}
	}
	return nil
}

// revisionOf is text for the name of a revision.
func revisionOf(raw json.RawMessage) (name string, ok bool) {
	for _, rev := range revisions {
		if is(raw, rev.Name) {
			return rev.Name, true
		}
	}
	return text(raw)
}

// names lists the revisions that f picks, newest first.
func names(f func(*revision) bool) []string {
	var out []string
	for _, rev := range revisions {
		if f(rev) {
			out = append(out, rev.Name)
		}
	}
	return slices.Clip(out)
}
