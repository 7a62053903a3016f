package main

import (
	"strings"
	"testing"
)

var good = []string{
	`{a}`, `{ a, b , c }`, "\ufeff# comment\n{ a # more\n }", `query { a }`, `query A { a }`, `mutation { a }`, `subscription S { a }`,
	`{ a: b(c: 1, d: -2.5e+3, e: "x\u00e9\n\u{1F600}\ud83d\ude00", f: """b " \""" """, g: [1 2], h: {i: J, k: null}, l: true, m: $n, o: [], p: {}) @q(r: 1) @s { t } }`,
	`query Q($a: Int, $b: [String!]! = ["x"], $c: T = {d: [E]} @f) @g { h }`,
	`{ ...F ... on T { a } ... @include(if: $x) { b } ...G @skip(if: true) } fragment F on T { c } fragment G on U @d { e }`,
	`{ on query fragment mutation true: null }`, `query on { on }`, `query query { query }`, `{ fragment }`,
	strings.Repeat(`{a`, 60) + strings.Repeat(`}`, 60),
}

var bad = map[string]string{
	``: "no operation", `   # nothing`: "no operation", `fragment F on T { a }`: "no operation",
	`{`: "} is missing", `{}`: "nothing between { and }", `{ a() }`: "nothing between ( and )", `query () { a }`: "nothing between",
	`{ a } }`: "} where an operation should begin", `{ a } { b }`: "stands twice", `{ a } query B { b }`: "without a name must be the only one",
	`query A { a } query A { a }`: "stands twice", `fragment F on T {a} fragment F on T {a} {...F}`: "fragment F stands twice",
	`{ a(b: 01) }`: "a number", `{ a(b: 1.) }`: "a number", `{ a(b: -) }`: "a number", `{ a(b: 1e) }`: "a number", `{ a(b: 1x) }`: "a number", `{ a(b: 1.2.3) }`: "a number",
	`{ a(b: "x) }`: "does not end", "{ a(b: \"x\ny\") }": "in its line", `{ a(b: "\x") }`: "an escape", `{ a(b: "\u12") }`: "an escape", `{ a(b: "\ud800") }`: "an escape", `{ a(b: "\udc00") }`: "an escape", `{ a(b: "\u{110000}") }`: "an escape", `{ a(b: "\`: "an escape",
	`{ a(b: """x) }`: "does not end", "{ a(b: \"\x01\") }": "a control character",
	`{ a ? }`: `'?' begins nothing`, `{ .a }`: `'.' begins nothing`, `{ ... on }`: "where a name belongs", `{ a: }`: "where a name belongs", `{ ...on T }`: "where { belongs",
	`fragment on on T { a } { b }`: "cannot be called on", `fragment F T { a } { b }`: "`on` and a type",
	`query($a: Int = $b) { c }`: "is a variable", `query($a Int) { c }`: "where : belongs", `query($a: [Int) { c }`: "where ] belongs", `query(a: Int) { c }`: "where $ belongs",
	`extend type T { a: Int }`: "extend begins no operation", `"text"`: "where an operation should begin",
	"{ a(b: \"\xff\") }":        "not UTF-8",
	strings.Repeat(`{a`, 100):   "nested more than 64 deep",
	strings.Repeat(`{ a } `, 1): "",
}

func TestParse(t *testing.T) {
	for _, s := range good {
		if strings.Contains(s, "...F") && !strings.Contains(s, "fragment F") {
			t.Fatal(s)
		}
		if _, _, err := parse(s); err != nil {
			t.Errorf("%s: %v", s, err)
		}
	}
	for s, want := range bad {
		_, _, err := parse(s)
		if want == "" {
			if err != nil {
				t.Errorf("%s: %v", s, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", s, err, want)
		}
	}
	deep := `query($a: ` + strings.Repeat("[", 100) + "Int" + strings.Repeat("]", 100) + `) { b(a: $a) }`
	values := `{ b(a: ` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `) }`
	objects := `{ b(a: ` + strings.Repeat("{x:", 100) + "1" + strings.Repeat("}", 100) + `) }`
	for _, s := range []string{deep, values, objects} {
		if _, _, err := parse(s); err == nil || !strings.Contains(err.Error(), "nested more than") {
			t.Errorf("%.40s: %v", s, err)
		}
	}
	for _, s := range []string{`{ a } ` + strings.Repeat("#", maxDocument), `{ ` + strings.Repeat("a ", maxTokens) + `}`} {
		if _, _, err := parse(s); err == nil {
			t.Errorf("%.20s: no error", s)
		}
	}
	many := "{ a }"
	for i := range maxFragments + 1 {
		many += " fragment F" + strings.Repeat("x", i) + " on T { a }"
	}
	if _, _, err := parse(many); err == nil || !strings.Contains(err.Error(), "more than 200 fragments") {
		t.Error(err)
	}
}

func TestMeasure(t *testing.T) {
	for s, want := range map[string]size{
		`{a}`: {1, 1, false}, `{a{b c{d}}}`: {3, 4, false}, `{...F ...F} fragment F on T {a{b}}`: {2, 4, false},
		`{a{... on T{b ... {c}}}}`: {2, 3, false}, `{__typename}`: {1, 1, false}, `{x:__type(name:"a"){name}}`: {2, 2, true},
	} {
		d, l, err := parse(s)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := d.measure(l, d.operations[0].fields); err != nil || got != want {
			t.Errorf("%s: %+v %v, want %+v", s, got, err, want)
		}
	}
}

func TestBlockStrings(t *testing.T) {
	for in, want := range map[string]string{
		"a": "a", "\n    a\n      b\n    c\n  ": "a\n  b\nc", "  a\n  b": "  a\nb", "\r\n\ta\r\n\r\n\tb\r\n": "a\n\nb", "": "", " \n ": "",
	} {
		l := lexer{source: `"""` + in + `"""`}
		if got, err := l.next(); err != nil || got.text != want {
			t.Errorf("%q: %q %v, want %q", in, got.text, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range good {
		f.Add(s)
	}
	for s := range bad {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, l, err := parse(s)
		if err != nil {
			return
		}
		for _, o := range d.operations {
			if sum, err := d.measure(l, o.fields); err != nil || sum.depth < 1 || sum.depth > len(s) || sum.fields < 1 {
				// A selection of fragments without fields in them cannot be written.
				t.Errorf("%q: %+v %v", s, sum, err)
			}
			_ = d.check(l, o)
			for _, v := range o.variables {
				if again, _, err := parse("query($v: " + v.kind.String() + ") { a(v: $v) }"); err != nil || again.operations[0].variables[0].kind.String() != v.kind.String() {
					t.Errorf("%q: the type %s is written otherwise than it is read: %v", s, v.kind, err)
				}
			}
		}
	})
}
