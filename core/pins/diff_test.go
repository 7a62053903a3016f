package pins

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestCompare(t *testing.T) {
	tests := []struct {
		name, before, after string
		want                []Change
	}{
		{"same", `{"a":1,"b":[1,2]}`, `{"b":[1.0,2],"a":1e0}`, []Change{}},
		{"one character", `{"description":"Lists files"}`, `{"description":"Lists Files"}`, []Change{{"/description", `"Lists files"`, `"Lists Files"`}}},
		{"a field more", `{"name":"a"}`, `{"name":"a","_meta":{"x":1}}`, []Change{{"/_meta", ``, `{"x":1}`}}},
		{"a field less", `{"name":"a","title":"A"}`, `{"name":"a"}`, []Change{{"/title", `"A"`, ``}}},
		{"another type", `{"default":1}`, `{"default":"1"}`, []Change{{"/default", `1`, `"1"`}}},
		{"null is not absent", `{}`, `{"default":null}`, []Change{{"/default", ``, `null`}}},
		{"deep, by name", `{"p":{"z":{"a":1},"b":{"a":1}}}`, `{"p":{"z":{"a":2},"b":{"a":3}}}`, []Change{{"/p/b/a", `1`, `3`}, {"/p/z/a", `1`, `2`}}},
		{"escaped names", `{"a/b":{"c~d":1}}`, `{"a/b":{"c~d":2}}`, []Change{{"/a~1b/c~0d", `1`, `2`}}},
		{"inserted in a list", `{"enum":["a","b"]}`, `{"enum":["a","x","b"]}`, []Change{{"/enum/1", ``, `"x"`}}},
		{"taken from a list", `{"enum":["a","x","b"]}`, `{"enum":["a","b"]}`, []Change{{"/enum/1", `"x"`, ``}}},
		{"changed within a list", `[{"n":"a","d":"x"},{"n":"b"}]`, `[{"n":"a","d":"y"},{"n":"b"}]`, []Change{{"/0/d", `"x"`, `"y"`}}},
		{"other order of a list", `["a","b"]`, `["b","a"]`, []Change{{"/0", `"a"`, ``}, {"/1", ``, `"a"`}}},
		{"the whole", `1`, `[]`, []Change{{"", `1`, `[]`}}},
		{"what nobody sees", `{"t":"ab"}`, `{"t":"a\u200bb\ud83c\udff4\udb40\udc67"}`, []Change{{"/t", `"ab"`, `"a\u{200b}b🏴\u{e0067}"`}}},
		{"what looks like that", `{"t":"a\u200b"}`, `{"t":"a\\u{200b}"}`, []Change{{"/t", `"a\u{200b}"`, `"a\\u{200b}"`}}},
		{"a name that nobody sees", `{}`, `{"a\u202e":1}`, []Change{{`/a\u{202e}`, ``, `1`}}},
		{"past 2^53", `{"maximum":9007199254740992}`, `{"maximum":9007199254740993}`, []Change{{"/maximum", `9007199254740992`, `9007199254740993`}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, err := Compare(json.RawMessage(tt.before), json.RawMessage(tt.after))
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(d.Changes, tt.want) || d.Left != 0 {
				t.Errorf("got  %+q (%d more)\nwant %+q", d.Changes, d.Left, tt.want)
			}
		})
	}
}

func TestCompareIsBounded(t *testing.T) {
	long := strings.Repeat("é", 5000)
	d, err := Compare(json.RawMessage(`{"t":"`+long+`old`+long+`"}`), json.RawMessage(`{"t":"`+long+`new`+long+`"}`))
	if err != nil || len(d.Changes) != 1 {
		t.Fatal(d, err)
	}
	c := d.Changes[0]
	if !strings.HasPrefix(c.Before, "…éé") || !strings.Contains(c.Before, "old") || !strings.Contains(c.After, "new") || !strings.HasSuffix(c.After, "…") {
		t.Errorf("%q → %q", c.Before, c.After)
	}
	if n := utf8.RuneCountInString(c.After); n > maxText+1 {
		t.Errorf("%d characters", n)
	}

	d, err = Compare(json.RawMessage(`{}`), json.RawMessage(`{`+members(400)+`}`))
	if err != nil || len(d.Changes) != maxChanges || d.Left != 300 {
		t.Errorf("%d changes, %d left, %v", len(d.Changes), d.Left, err)
	}
	if !strings.HasSuffix(d.String(), "… and 300 more\n") {
		t.Error(d.String()[len(d.String())-100:])
	}

	// Lists too long to align are compared by index.
	var older, newer []int
	for i := range 2000 {
		older, newer = append(older, i), append(newer, i+1)
	}
	x, _ := json.Marshal(older)
	y, _ := json.Marshal(newer)
	if d, err = Compare(x, y); err != nil || len(d.Changes)+d.Left != 2000 {
		t.Errorf("%d changes, %d left, %v", len(d.Changes), d.Left, err)
	}

	if _, err := Compare(json.RawMessage(`{`), json.RawMessage(`{}`)); err == nil {
		t.Error("what is not JSON was compared")
	}
}

func TestDiffAsLines(t *testing.T) {
	d, err := Compare(json.RawMessage(`{"a":1,"b":2,"c":{"d":"x"}}`), json.RawMessage(`{"b":3,"c":{"d":"x","e":[]}}`))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := d.String(), "- /a: 1\n~ /b: 2 → 3\n+ /c/e: []\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// There is a change exactly where the sums differ, and the same ones each time.
func TestChangesWhereSumsDiffer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := value(3).Draw(t, "a"), value(3).Draw(t, "b")
		x, _ := Canonical(json.RawMessage(a.text))
		y, _ := Canonical(json.RawMessage(b.text))
		d, err := Compare(json.RawMessage(a.text), json.RawMessage(b.text))
		if err != nil {
			t.Fatal(err)
		}
		if (len(d.Changes) > 0) != (Sum(x) != Sum(y)) {
			t.Fatalf("%s and %s: %v", x, y, d.Changes)
		}
		again, _ := Compare(y, x)
		mirror, _ := Compare(json.RawMessage(a.text), json.RawMessage(b.text))
		if !reflect.DeepEqual(d, mirror) || (len(again.Changes) > 0) != (len(d.Changes) > 0) {
			t.Fatal("another answer the second time")
		}
		for _, c := range d.Changes {
			if strings.ContainsFunc(fmt.Sprint(c), invisible) {
				t.Fatalf("a change holds what nobody sees: %+q", c)
			}
		}
	})
}
