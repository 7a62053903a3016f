package disclosure

import (
	"cmp"
	"math"
	"slices"
	"strings"
)

// Match is a tool that fits a query.
type Match struct {
	Name, Title string
	Summary     string  // one line: the first sentence of the description, at most 120 characters
	Score       float64 // compares within one answer only; 0 where the query was empty
}

// What of a query counts.
const (
	maxQuery    = 512 // bytes
	maxConcepts = 32  // words
)

// Weights of what stands for a word of the query.
const (
	asSynonym = 0.35
	asPrefix  = 0.6 // config for configuration; where no tool has the word itself
	asPart    = 0.6 // hub of GitHub
	asVerb    = 0.6
	// asName is added where the query is the name of a tool: more than words can say.
	asName      = 1000
	minPrefix   = 3 // letters
	maxPrefixes = 16
)

// Find returns at most limit tools that fit a query, best first, those that fit alike by
// name. filter says which may be seen; nil = all. An empty query finds all, by name.
func (x *Index) Find(query string, limit int, filter func(name string) bool) []Match {
	all, _ := x.find(query, filter)
	return all[:max(0, min(limit, len(all)))]
}

// find returns all that fit, and how many tools may be seen.
func (x *Index) find(query string, filter func(name string) bool) (matches []Match, visible int) {
	s := search{index: x, seen: make([]bool, len(x.tools))}
	for i := range x.tools {
		if filter == nil || filter(x.tools[i].name) {
			s.seen[i] = true
			s.visible++
		}
	}
	if strings.TrimSpace(query) == "" {
		for i, seen := range s.seen {
			if seen {
				matches = append(matches, x.match(uint32(i), 0))
			}
		}
		return matches, s.visible
	}
	if len(query) > maxQuery {
		query = strings.ToValidUTF8(query[:maxQuery], "")
	}
	s.total, s.best = make([]float64, len(x.tools)), make([]float64, len(x.tools))
	for _, c := range concepts(query) {
		s.score(c)
	}
	for _, id := range x.exact[exactKey(query)] {
		s.total[id] += asName
	}
	for i, score := range s.total {
		if score > 0 && s.seen[i] {
			matches = append(matches, x.match(uint32(i), score))
		}
	}
	slices.SortStableFunc(matches, func(a, b Match) int { return cmp.Compare(b.Score, a.Score) }) // they come by name
	return matches, s.visible
}

func (x *Index) match(id uint32, score float64) Match {
	e := &x.tools[id]
	return Match{Name: e.name, Title: e.title, Summary: e.summary, Score: score}
}

// concept is a word of a query.
type concept struct {
	term   string
	weight float64
}

// concepts splits a query. Words that say nothing are left out, unless there are no others.
func concepts(query string) []concept {
	var list, empty []concept
	split(query, false, func(w word) bool {
		c := concept{w.text, 1}
		if w.part {
			c.weight = asPart
		}
		if verbs[w.text] {
			c.weight *= asVerb
		}
		if slices.ContainsFunc(list, func(o concept) bool { return o.term == c.term }) {
			return true
		}
		if stopWords[w.text] {
			empty = append(empty, c)
			return len(empty) < maxConcepts
		}
		list = append(list, c)
		return len(list) < maxConcepts
	})
	if list == nil {
		return empty
	}
	return list
}

// search is one run of find.
type search struct {
	index       *Index
	seen        []bool // by tool
	visible     int
	total, best []float64 // by tool; best is of one concept
	touched     []uint32
}

// score adds what a concept says of each tool: the best of the word itself and of what
// stands for it, so that two words for one thing do not count twice.
func (s *search) score(c concept) {
	s.touched = s.touched[:0]
	if !s.term(c.term, c.weight) && len(c.term) >= minPrefix {
		s.prefixes(c)
	}
	for _, other := range synonyms[c.term] {
		s.term(other, c.weight*asSynonym)
	}
	for _, id := range s.touched {
		s.total[id] += s.best[id]
		s.best[id] = 0
	}
}

// term weighs one term, and tells whether a tool that may be seen has it.
func (s *search) term(term string, weight float64) bool {
	list := s.index.of(term)
	df := 0
	for _, p := range list {
		if s.seen[p.tool] {
			df++
		}
	}
	if df == 0 {
		return false
	}
	// How rare it is among the tools that may be seen; never negative.
	idf := math.Log(1 + (float64(s.visible-df)+0.5)/(float64(df)+0.5))
	for _, p := range list { // find leaves out those that may not be seen
		score := weight * idf * float64(p.weight)
		if s.best[p.tool] == 0 {
			s.touched = append(s.touched, p.tool)
		}
		s.best[p.tool] = max(s.best[p.tool], score)
	}
	return true
}

// prefixes weighs the terms that begin with one that no tool has.
func (s *search) prefixes(c concept) {
	i, _ := slices.BinarySearch(s.index.terms, c.term)
	for n := 0; i < len(s.index.terms) && n < maxPrefixes && strings.HasPrefix(s.index.terms[i], c.term); i++ {
		if s.term(s.index.terms[i], c.weight*asPrefix) {
			n++
		}
	}
}
