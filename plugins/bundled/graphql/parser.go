package main

import (
	"errors"
	"unicode/utf8"
)

// parser reads an executable document (GraphQL specification, section 2). It keeps
// what is decided upon: operations, variables with their types, depth and fragments.
type parser struct {
	lexer
	token token // the next one
	depth int
}

// parse reads a whole document. It has at least one operation, names of operations and
// fragments stand once, and every fragment that is spread is there and not within
// itself.
func parse(source string) (*document, *lexer, error) {
	p := &parser{lexer: lexer{source: source}}
	switch {
	case len(source) > maxDocument:
		return nil, nil, errors.New("the document is larger than 128 KiB")
	case !utf8.ValidString(source):
		return nil, nil, errors.New("the document is not UTF-8")
	}
	d, err := p.document()
	return d, &p.lexer, err
}

func (p *parser) document() (*document, error) {
	if err := p.step(); err != nil {
		return nil, err
	}
	d := &document{fragments: map[string]*fragment{}}
	names := map[string]bool{}
	for p.token.class != end {
		at := p.token.at
		if p.is(name, "fragment") {
			f, err := p.fragment()
			if err != nil {
				return nil, err
			}
			if d.fragments[f.name] != nil {
				return nil, p.bad(at, "fragment %s stands twice", f.name)
			}
			if d.fragments[f.name] = f; len(d.fragments) > maxFragments {
				return nil, p.bad(at, "more than %d fragments", maxFragments)
			}
			continue
		}
		o, err := p.operation()
		if err != nil {
			return nil, err
		}
		if names[o.name] {
			return nil, p.bad(at, "operation %q stands twice", o.name)
		}
		names[o.name] = true
		d.operations = append(d.operations, o)
	}
	switch {
	case len(d.operations) == 0:
		return nil, p.bad(p.token.at, "no operation")
	case names[""] && len(d.operations) > 1:
		return nil, p.bad(0, "an operation without a name must be the only one")
	}
	for _, o := range d.operations {
		if _, err := d.measure(&p.lexer, o.fields); err != nil {
			return nil, err
		}
	}
	for _, f := range d.fragments {
		if _, err := d.measure(&p.lexer, f.fields); err != nil {
			return nil, err
		}
	}
	return d, nil
}

func (p *parser) operation() (*operation, error) {
	o := &operation{sort: "query"}
	if !p.is(mark, "{") {
		switch word := p.token; {
		case word.class == name && (word.text == "query" || word.text == "mutation" || word.text == "subscription"):
			o.sort = word.text
		case word.class == name:
			return nil, p.bad(word.at, "%s begins no operation: write query, mutation, subscription, fragment or {", word.text)
		default:
			return nil, p.bad(word.at, "%s where an operation should begin", word.text)
		}
		if err := p.step(); err != nil {
			return nil, err
		}
		if p.token.class == name {
			o.name = p.token.text
			if err := p.step(); err != nil {
				return nil, err
			}
		}
		if p.is(mark, "(") {
			if err := p.many("(", ")", func() error { return p.variable(o) }); err != nil {
				return nil, err
			}
		}
		if err := p.directives(&o.uses); err != nil {
			return nil, err
		}
	}
	var err error
	o.fields, err = p.selections()
	return o, err
}

func (p *parser) variable(o *operation) error {
	if err := p.expect("$"); err != nil {
		return err
	}
	v := &variable{}
	var err error
	if v.name, err = p.name(); err != nil {
		return err
	}
	if err := p.expect(":"); err != nil {
		return err
	}
	if v.kind, err = p.kind(); err != nil {
		return err
	}
	if p.is(mark, "=") {
		at := p.token.at
		if err := p.step(); err != nil {
			return err
		}
		var uses []use
		if v.value, err = p.value(&uses); err != nil {
			return err
		}
		if len(uses) > 0 {
			return p.bad(at, "the default of $%s is a variable", v.name)
		}
	}
	o.variables = append(o.variables, v)
	return p.directives(&o.uses)
}

func (p *parser) kind() (*kind, error) {
	k := &kind{}
	var err error
	if p.is(mark, "[") {
		if err := p.enter(); err != nil {
			return nil, err
		}
		if err := p.step(); err != nil {
			return nil, err
		}
		if k.of, err = p.kind(); err != nil {
			return nil, err
		}
		if err := p.expect("]"); err != nil {
			return nil, err
		}
		p.depth--
	} else if k.name, err = p.name(); err != nil {
		return nil, err
	}
	if p.is(mark, "!") {
		k.nonNull = true
		return k, p.step()
	}
	return k, nil
}

func (p *parser) fragment() (*fragment, error) {
	if err := p.step(); err != nil { // the word fragment
		return nil, err
	}
	f := &fragment{}
	at := p.token.at
	var err error
	if f.name, err = p.name(); err != nil {
		return nil, err
	}
	if f.name == "on" {
		return nil, p.bad(at, "a fragment cannot be called on")
	}
	if !p.is(name, "on") {
		return nil, p.bad(p.token.at, "%s where `on` and a type belong", p.token.text)
	}
	if err := p.step(); err != nil {
		return nil, err
	}
	if _, err := p.name(); err != nil {
		return nil, err
	}
	if err := p.directives(&f.uses); err != nil {
		return nil, err
	}
	f.fields, err = p.selections()
	return f, err
}

func (p *parser) selections() ([]*selection, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	var set []*selection
	err := p.many("{", "}", func() error {
		s, err := p.selection()
		set = append(set, s)
		return err
	})
	return set, err
}

func (p *parser) selection() (*selection, error) {
	s := &selection{at: p.token.at}
	var err error
	if p.is(mark, "...") {
		if err := p.step(); err != nil {
			return nil, err
		}
		if p.token.class == name && p.token.text != "on" {
			s.spread = p.token.text
			if err := p.step(); err != nil {
				return nil, err
			}
			return s, p.directives(&s.uses)
		}
		if p.is(name, "on") {
			if err := p.step(); err != nil {
				return nil, err
			}
			if _, err := p.name(); err != nil {
				return nil, err
			}
		}
		if err := p.directives(&s.uses); err != nil {
			return nil, err
		}
		s.fields, err = p.selections()
		return s, err
	}
	if s.field, err = p.name(); err != nil {
		return nil, err
	}
	if p.is(mark, ":") { // what came was an alias
		if err := p.step(); err != nil {
			return nil, err
		}
		if s.field, err = p.name(); err != nil {
			return nil, err
		}
	}
	if err := p.arguments(&s.uses); err != nil {
		return nil, err
	}
	if err := p.directives(&s.uses); err != nil {
		return nil, err
	}
	if p.is(mark, "{") {
		s.fields, err = p.selections()
	}
	return s, err
}

func (p *parser) arguments(uses *[]use) error {
	if !p.is(mark, "(") {
		return nil
	}
	return p.many("(", ")", func() error {
		if _, err := p.name(); err != nil {
			return err
		}
		if err := p.expect(":"); err != nil {
			return err
		}
		_, err := p.value(uses)
		return err
	})
}

func (p *parser) directives(uses *[]use) error {
	for p.is(mark, "@") {
		if err := p.step(); err != nil {
			return err
		}
		if _, err := p.name(); err != nil {
			return err
		}
		if err := p.arguments(uses); err != nil {
			return err
		}
	}
	return nil
}

func (p *parser) value(uses *[]use) (*value, error) {
	v := &value{class: p.token.class, text: p.token.text}
	at := p.token.at
	switch {
	case p.is(mark, "$"):
		if err := p.step(); err != nil {
			return nil, err
		}
		id, err := p.name()
		*uses = append(*uses, use{id, at})
		return v, err
	case p.is(mark, "["):
		v.isList = true
		if err := p.enter(); err != nil {
			return nil, err
		}
		defer func() { p.depth-- }()
		return v, p.any("[", "]", func() error {
			element, err := p.value(uses)
			v.list = append(v.list, element)
			return err
		})
	case p.is(mark, "{"):
		v.isObj = true
		if err := p.enter(); err != nil {
			return nil, err
		}
		defer func() { p.depth-- }()
		return v, p.any("{", "}", func() error {
			id, err := p.name()
			if err != nil {
				return err
			}
			if err := p.expect(":"); err != nil {
				return err
			}
			inner, err := p.value(uses)
			v.object = append(v.object, member{id, inner})
			return err
		})
	case v.class == end || v.class == mark:
		return nil, p.bad(at, "%s where a value belongs", v.text)
	}
	return v, p.step()
}

// many reads a list in brackets that is not empty, any one that may be.
func (p *parser) many(open, shut string, each func() error) error {
	at := p.token.at
	first := true
	err := p.any(open, shut, func() error {
		first = false
		return each()
	})
	if err == nil && first {
		return p.bad(at, "nothing between %s and %s", open, shut)
	}
	return err
}

func (p *parser) any(open, shut string, each func() error) error {
	if err := p.expect(open); err != nil {
		return err
	}
	for !p.is(mark, shut) {
		if p.token.class == end {
			return p.bad(p.token.at, "%s is missing", shut)
		}
		if err := each(); err != nil {
			return err
		}
	}
	return p.step()
}

func (p *parser) enter() error {
	if p.depth++; p.depth > maxNesting {
		return p.bad(p.token.at, "nested more than %d deep", maxNesting)
	}
	return nil
}

func (p *parser) step() (err error) {
	p.token, err = p.next()
	return err
}

func (p *parser) is(c class, s string) bool { return p.token.class == c && p.token.text == s }

func (p *parser) expect(s string) error {
	if !p.is(mark, s) {
		return p.bad(p.token.at, "%s where %s belongs", p.token.text, s)
	}
	return p.step()
}

func (p *parser) name() (string, error) {
	if p.token.class != name {
		return "", p.bad(p.token.at, "%s where a name belongs", p.token.text)
	}
	s := p.token.text
	return s, p.step()
}
