package authz

import (
	"slices"

	"github.com/sallyport/sallyport/core"
)

// Places of kinds and actions in a table; the last one is Any.
var (
	kindPlaces, anyKind     = places(core.ObjectKinds)
	actionPlaces, anyAction = places(core.Actions)
	tenantKind              = kindPlaces["tenant"]
)

func places[T ~string](names []T) (at map[T]int, anyPlace int) {
	at = make(map[T]int, len(names)+1)
	for i, name := range names {
		at[name] = i
	}
	at[Any] = len(names)
	return at, len(names)
}

// table is what one role may and may not, by kind and action. It is made once and then
// only read.
type table struct {
	rows   []*row // by place of the kind; nil = nothing is said of it
	policy []core.Policy
}

type row struct {
	cells []*cell // by place of the action
}

// cell is what is said of one kind and action.
type cell struct{ allow, deny lines }

func newTable() *table { return &table{rows: make([]*row, anyKind+1)} }

// add adds a line. Its kind and action are known.
func (t *table) add(p *core.Policy) {
	t.policy = append(t.policy, *p)
	kind, action := kindPlaces[p.Kind], actionPlaces[core.Action(p.Action)]
	if t.rows[kind] == nil {
		t.rows[kind] = &row{make([]*cell, anyAction+1)}
	}
	if t.rows[kind].cells[action] == nil {
		t.rows[kind].cells[action] = &cell{}
	}
	here := t.rows[kind].cells[action]
	if p.Deny {
		here.deny.add(p.Match)
	} else {
		here.allow.add(p.Match)
	}
}

// ask tells what the lines of the role say.
func (t *table) ask(kind, action int, path []byte) (allowed, denied bool) {
	for _, c := range t.cells(kind, action) {
		if c == nil {
			continue
		}
		if c.deny.match(path) {
			return false, true
		}
		allowed = allowed || c.allow.match(path)
	}
	return allowed, false
}

// cells returns where something may be said of a kind and an action; some are nil.
func (t *table) cells(kind, action int) (out [4]*cell) {
	if r := t.rows[kind]; r != nil {
		out[0], out[1] = r.cells[action], r.cells[anyAction]
	}
	if r := t.rows[anyKind]; r != nil {
		out[2], out[3] = r.cells[action], r.cells[anyAction]
	}
	return out
}

// lines are globs that say the same. Those without a star are looked up, the others are
// kept under the longer of their ends, so that one path is held against few of them.
type lines struct {
	all   bool // one of them is *
	exact map[string]struct{}
	heads ends
	tails ends
	cores map[gram][]core.Glob // *abc*: by the beginning of what stands between the stars
	other []core.Glob          // *a*, where that is too short
}

// gram is the beginning of a text to look for.
type gram [3]byte

// ends are globs by what their texts begin (or end) with.
type ends struct {
	globs   map[string][]core.Glob
	lengths []int // of the keys, sorted
}

func (l *lines) add(match string) {
	g := core.NewGlob(match)
	head, tail := g.Ends()
	switch {
	case g.All():
		l.all = true
	case g.Exact():
		if l.exact == nil {
			l.exact = map[string]struct{}{}
		}
		l.exact[match] = struct{}{}
	case head == "" && tail == "" && len(g.Core()) < len(gram{}):
		l.other = append(l.other, g)
	case head == "" && tail == "":
		if l.cores == nil {
			l.cores = map[gram][]core.Glob{}
		}
		start := gram([]byte(g.Core()))
		l.cores[start] = append(l.cores[start], g)
	case len(head) >= len(tail):
		l.heads.add(head, g)
	default:
		l.tails.add(tail, g)
	}
}

// merge adds all of other. What can match nothing new is left out.
func (l *lines) merge(other *lines) {
	if l.all || other.all {
		*l = lines{all: true}
		return
	}
	for match := range other.exact {
		if l.exact == nil {
			l.exact = map[string]struct{}{}
		}
		l.exact[match] = struct{}{}
	}
	for end, globs := range other.heads.globs {
		l.heads.add(end, globs...)
	}
	for end, globs := range other.tails.globs {
		l.tails.add(end, globs...)
	}
	for start, globs := range other.cores {
		if l.cores == nil {
			l.cores = map[gram][]core.Glob{}
		}
		l.cores[start] = append(l.cores[start], globs...)
	}
	l.other = append(l.other, other.other...)
}

func (e *ends) add(end string, g ...core.Glob) {
	if e.globs == nil {
		e.globs = map[string][]core.Glob{}
	}
	e.globs[end] = append(e.globs[end], g...)
	if at, found := slices.BinarySearch(e.lengths, len(end)); !found {
		e.lengths = slices.Insert(e.lengths, at, len(end))
	}
}

// match tells whether one of them matches. The zero value matches nothing.
func (l *lines) match(path []byte) bool {
	if l.all {
		return true
	}
	if l.exact != nil {
		if _, found := l.exact[string(path)]; found {
			return true
		}
	}
	for _, n := range l.heads.lengths {
		if n > len(path) {
			break
		}
		if some(l.heads.globs[string(path[:n])], path) {
			return true
		}
	}
	for _, n := range l.tails.lengths {
		if n > len(path) {
			break
		}
		if some(l.tails.globs[string(path[len(path)-n:])], path) {
			return true
		}
	}
	if l.cores != nil {
		for at := range len(path) - len(gram{}) + 1 {
			if some(l.cores[gram(path[at:])], path) {
				return true
			}
		}
	}
	return some(l.other, path)
}

func some(globs []core.Glob, path []byte) bool {
	for i := range globs {
		if globs[i].Match(path) {
			return true
		}
	}
	return false
}
