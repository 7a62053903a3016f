package plugins

import (
	"cmp"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/core"
)

// set is the plugins of one Catalog.
type set struct {
	host    *Host
	plugins map[string]*Plugin // nil = told by Open what is wrong with it
	order   []*Plugin          // of the documents
	matched []*Plugin          // those with a match, the outermost first
	files   []string
	closed  bool // under Host.mu
}

// Plugin returns a plugin by the name that documents call it.
func (s *set) Plugin(name string) (core.Plugin, error) {
	p, known := s.plugins[name]
	switch {
	case p != nil:
		return p, nil
	case known:
		return nil, core.ErrReported
	}
	fix := "declare it under plugins"
	if names := s.names(); len(names) > 0 {
		fix = "known plugins: " + strings.Join(names, ", ")
	}
	return nil, &core.Error{Code: core.CodeNotFound, Message: "there is no plugin " + quote(name), Fix: fix}
}

func (s *set) names() []string {
	names := make([]string, 0, len(s.plugins))
	for name := range s.plugins {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Matching returns the plugins whose match selects the tool. Disabled ones stand
// nowhere.
func (s *set) Matching(server, tool string) []core.Plugin {
	var found []core.Plugin
	for _, p := range s.matched {
		if anyGlob(p.match.Servers, server) && anyGlob(p.match.Tools, tool) {
			found = append(found, p)
		}
	}
	return found
}

// arrange fills in matched. Of equal priority, the one that is declared first is
// further out.
func (s *set) arrange() {
	for _, p := range s.order {
		if p.match != nil && p.version != nil {
			s.matched = append(s.matched, p)
		}
	}
	slices.SortStableFunc(s.matched, func(a, b *Plugin) int { return cmp.Compare(b.priority, a.priority) })
}

// Revision names the versions that are loaded, in the order of the documents.
func (s *set) Revision() string {
	var text strings.Builder
	for _, p := range s.order {
		if p.version != nil {
			text.WriteString(p.name + " " + p.version.digest + "\n")
		}
	}
	return text.String()
}

// Files lists what was read, and what would be if it were there.
func (s *set) Files() []string { return slices.Clone(s.files) }

// Close lets go of the plugins. It does not wait for running calls.
func (s *set) Close() error {
	h := s.host
	h.mu.Lock()
	defer h.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	h.sets = slices.DeleteFunc(h.sets, func(o *set) bool { return o == s })
	for _, p := range s.order {
		if p.version != nil {
			h.release(p.version)
		}
	}
	return nil
}

// anyGlob reports whether one of the patterns covers the name; none covers all.
func anyGlob(patterns []string, name string) bool {
	return len(patterns) == 0 || slices.ContainsFunc(patterns, func(p string) bool { return glob(p, name) })
}

// glob reports whether the pattern, in which * stands for any text, covers the name.
func glob(pattern, name string) bool {
	first, rest, wild := strings.Cut(pattern, "*")
	if !wild {
		return pattern == name
	}
	name, ok := strings.CutPrefix(name, first)
	if !ok {
		return false
	}
	for {
		part, more, again := strings.Cut(rest, "*")
		if !again {
			return strings.HasSuffix(name, part)
		}
		at := strings.Index(name, part)
		if at < 0 {
			return false
		}
		name, rest = name[at+len(part):], more
	}
}

var _ core.PluginSet = (*set)(nil)
