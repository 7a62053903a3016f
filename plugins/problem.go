package plugins

import (
	"errors"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/plugins/manifest"
	"github.com/sallyport/sallyport/plugins/trust"
)

// mistakes collects what is wrong with one plugin of a document.
type mistakes struct {
	at     core.At
	list   []core.Problem
	failed bool // one of them is no warning
}

func (m *mistakes) add(rel, message, fix string) {
	m.list = append(m.list, m.at.Problem(rel, message, fix))
	m.failed = true
}

func (m *mistakes) warn(rel, message, fix string) {
	p := m.at.Problem(rel, message, fix)
	p.Warning = true
	m.list = append(m.list, p)
}

// fail adds what an error says. rel is where it belongs unless the error knows better.
func (m *mistakes) fail(rel string, err error) {
	var invalid *manifest.InvalidError
	if errors.As(err, &invalid) {
		for i := range invalid.Problems {
			p := &invalid.Problems[i]
			m.add(rel, strings.TrimPrefix(place(p)+": "+p.Message, ": "), p.Fix)
		}
		return
	}
	var e *core.Error
	if !errors.As(err, &e) {
		m.add(rel, err.Error(), "")
		return
	}
	message := e.Message
	if e.Code == core.CodeInternal && e.Err != nil {
		message += ": " + e.Err.Error() // the reader is the operator, and nothing else tells
	}
	m.add(rel, message, e.Fix)
}

// place says where a mistake of a manifest stands: the reader has one document open, and
// this is in another.
func place(p *core.Problem) string {
	s := p.File
	if p.Line > 0 {
		s += ":" + strconv.Itoa(p.Line) + ":" + strconv.Itoa(p.Column)
	}
	if p.Path != "" {
		s += ": " + p.Path
	}
	return strings.TrimPrefix(s, ": ")
}

// distrusted adds a refusal of package trust, with what the document can do about it.
func (m *mistakes) distrusted(err error, digest string) {
	var e *core.Error
	if !errors.As(err, &e) {
		m.fail("/source", err)
		return
	}
	switch {
	case errors.Is(err, trust.ErrGrowth):
		m.add("/digest", e.Message, "review what it asks for, then write digest: "+digest+"; until then the version that runs stays")
	case errors.Is(err, trust.ErrDowngrade):
		m.add("/digest", e.Message, "write digest: "+digest+" if going back is meant")
	case errors.Is(err, trust.ErrDigest):
		m.add("/digest", e.Message, e.Fix)
	default:
		m.add("/source", e.Message, e.Fix)
	}
}

// quote spells a text that a stranger may have chosen.
func quote(s string) string {
	if len(s) > 80 {
		s = strings.ToValidUTF8(s[:77], "") + "…"
	}
	return strconv.Quote(s)
}

// escape makes a token of a JSON Pointer (RFC 6901).
func escape(token string) string {
	return strings.ReplaceAll(strings.ReplaceAll(token, "~", "~0"), "/", "~1")
}
