package main

import "errors"

// document is an executable document: operations and the fragments that they use.
type document struct {
	operations []*operation
	fragments  map[string]*fragment
}

// operation is a query, a mutation or a subscription.
type operation struct {
	sort      string // query, mutation, subscription
	name      string // "" = none
	variables []*variable
	uses      []use // variables in its directives
	fields    []*selection
}

// variable is one variable definition.
type variable struct {
	name  string
	kind  *kind
	value *value // the default; nil = none
}

// kind is a type as it stands in a variable definition: a name, or a list of kinds.
type kind struct {
	name    string // "" = a list
	of      *kind
	nonNull bool
}

// String writes the type as GraphQL has it.
func (k *kind) String() string {
	s := k.name
	if k.of != nil {
		s = "[" + k.of.String() + "]"
	}
	if k.nonNull {
		s += "!"
	}
	return s
}

// named is the kind within all lists.
func (k *kind) named() *kind {
	for k.of != nil {
		k = k.of
	}
	return k
}

// fragment is a fragment definition.
type fragment struct {
	name   string
	uses   []use
	fields []*selection
	// What measure found, and how far it is.
	measured state
	size     size
}

type state byte

const (
	untouched state = iota
	working
	done
)

// selection is one of a selection set: a field, a fragment spread, or an inline
// fragment, of which only what is measured is kept.
type selection struct {
	field  string // "" = not a field
	spread string // "" = not a spread
	at     int
	uses   []use // variables in its arguments and directives
	fields []*selection
}

// use is a variable where it is used.
type use struct {
	name string
	at   int
}

// value is a literal; a variable within it is no default.
type value struct {
	class  class // name = true, false, null or an enum value
	text   string
	list   []*value // with isList
	object []member // with isObject
	isList bool
	isObj  bool
}

type member struct {
	name  string
	value *value
}

// size is how much a selection set asks for, fragments spread out.
type size struct {
	depth  int  // fields within each other
	fields int  // fields, at most manyFields
	meta   bool // __schema or __type is among them
}

const manyFields = 1 << 30

// measure returns the size of a selection set. Fragments are measured once: a document
// that spreads two of them in each of thirty others has a billion fields in a page.
func (d *document) measure(l *lexer, set []*selection) (size, error) {
	var sum size
	for _, s := range set {
		var inner size
		var err error
		if s.spread != "" {
			inner, err = d.measureFragment(l, s)
		} else {
			inner, err = d.measure(l, s.fields)
		}
		if err != nil {
			return size{}, err
		}
		if s.field != "" {
			inner.depth++
			inner.fields++
			inner.meta = inner.meta || s.field == "__schema" || s.field == "__type"
		}
		sum.depth = max(sum.depth, inner.depth)
		sum.fields = min(sum.fields+inner.fields, manyFields)
		sum.meta = sum.meta || inner.meta
	}
	return sum, nil
}

func (d *document) measureFragment(l *lexer, s *selection) (size, error) {
	f := d.fragments[s.spread]
	switch {
	case f == nil:
		return size{}, l.bad(s.at, "there is no fragment %s", s.spread)
	case f.measured == working:
		return size{}, l.bad(s.at, "fragment %s spreads itself", s.spread)
	case f.measured == done:
		return f.size, nil
	}
	f.measured = working
	var err error
	f.size, err = d.measure(l, f.fields)
	f.measured = done
	return f.size, err
}

// check returns what is wrong with an operation's use of variables: those that are not
// defined, and those that are defined and never used, which servers refuse.
func (d *document) check(l *lexer, o *operation) error {
	defined := map[string]bool{}
	for _, v := range o.variables {
		if _, twice := defined[v.name]; twice {
			return errors.New("$" + v.name + " is defined twice")
		}
		defined[v.name] = false
	}
	seen := map[string]bool{}
	var walk func(uses []use, set []*selection) error
	walk = func(uses []use, set []*selection) error {
		for _, u := range uses {
			if _, ok := defined[u.name]; !ok {
				return l.bad(u.at, "$%s is not defined by the operation", u.name)
			}
			defined[u.name] = true
		}
		for _, s := range set {
			if err := walk(s.uses, s.fields); err != nil {
				return err
			}
			if f := d.fragments[s.spread]; f != nil && !seen[s.spread] {
				seen[s.spread] = true
				if err := walk(f.uses, f.fields); err != nil {
					return err
				}
			}
		}
		return nil
	}
	if err := walk(o.uses, o.fields); err != nil {
		return err
	}
	for _, v := range o.variables {
		if !defined[v.name] {
			return errors.New("$" + v.name + " is defined and never used")
		}
	}
	return nil
}

// operation returns the operation of that name; "" is the only one.
func (d *document) operation(name string) (*operation, error) {
	if name == "" {
		if len(d.operations) > 1 {
			return nil, errors.New("the document has more than one operation: say which with the name of one")
		}
		return d.operations[0], nil
	}
	for _, o := range d.operations {
		if o.name == name {
			return o, nil
		}
	}
	return nil, errors.New("the document has no operation " + name)
}
