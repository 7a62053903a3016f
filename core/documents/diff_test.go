package documents

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/core"
)

var update = flag.Bool("update", false, "write what the golden files should hold")

// Each archive holds two texts, and what Diff says of them.
func TestDiffGolden(t *testing.T) {
	paths, err := filepath.Glob("testdata/diff/*.txtar")
	if err != nil || len(paths) < 6 {
		t.Fatalf("%v %v", paths, err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			files := map[string]string{}
			for _, f := range archive.Files {
				files[f.Name] = string(f.Data)
			}
			r := newRig(t)
			from, to := Served, InDraft
			before, there := files["before.yaml"]
			if there {
				r.save(t, "shop", before)
				r.publish(t, "shop")
			}
			if shared, there := files["shared.yaml"]; there {
				r.put(t, "shared", shared)
			}
			after, there := files["after.yaml"]
			edit := Edit{Name: "shop", Text: []byte(after), Match: Any, Delete: !there}
			if _, _, err := r.SaveDraft(t.Context(), by("ada"), acme, edit); err != nil {
				t.Fatal(err)
			}
			diff, err := r.Diff(t.Context(), acme, "shop", from, to)
			if err != nil {
				t.Fatal(err)
			}
			want := []txtar.File{}
			for _, f := range archive.Files {
				if strings.HasSuffix(f.Name, ".yaml") {
					want = append(want, f)
				}
			}
			got := &txtar.Archive{Comment: archive.Comment, Files: append(want,
				txtar.File{Name: "changes", Data: []byte(tell(diff))}, txtar.File{Name: "affected", Data: []byte(tellAffected(&diff.Affected))}, txtar.File{Name: "text", Data: []byte(diff.Text)})}
			if *update {
				if err := os.WriteFile(path, txtar.Format(got), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if a, b := string(txtar.Format(archive)), string(txtar.Format(got)); a != b {
				text, _ := unified("want", "got", a, b)
				t.Error(text)
			}
		})
	}
}

func tell(d *Diff) string {
	var b strings.Builder
	for _, c := range d.Changes {
		fmt.Fprintf(&b, "%s %s: %s -> %s\n", c.Op, c.Path, c.Before, c.After)
	}
	if d.Unread != "" {
		fmt.Fprintf(&b, "unread: %s\n", d.Unread)
	}
	return b.String()
}

func tellAffected(a *Affected) string {
	var b strings.Builder
	names := func(what string, n Names) {
		for _, one := range []struct {
			verb string
			list []string
		}{{"added", n.Added}, {"removed", n.Removed}, {"shown", n.Shown}, {"runs", n.Runs}} {
			if len(one.list) > 0 {
				fmt.Fprintf(&b, "  %s %s: %s\n", what, one.verb, strings.Join(one.list, " "))
			}
		}
	}
	for _, s := range a.Servers {
		fmt.Fprintf(&b, "%s %s in %s, %s -> %s, lists %v\n", s.Op, s.Name, s.Document, s.Was, s.Prefix, s.Lists)
		names("tools", s.Tools)
		names("prompts", s.Prompts)
		names("resources", s.Resources)
	}
	if !a.Connections.empty() || !a.Upstreams.empty() {
		b.WriteString("beside servers\n")
		names("connections", a.Connections)
		names("upstreams", a.Upstreams)
	}
	return b.String()
}

func TestDiffRefs(t *testing.T) {
	r, ctx := newRig(t), t.Context()
	for i := range 3 {
		r.put(t, "shop", shop(strconv.Itoa(i)+"x"))
	}
	tests := []struct {
		from, to string
		before   string
		after    string
	}{
		{"1", "2", `"0x"`, `"1x"`}, {"3", "1", `"2x"`, `"0x"`}, {"2", "served", `"1x"`, `"2x"`},
	}
	for _, tt := range tests {
		from, err := ParseRef(tt.from)
		if err != nil {
			t.Fatal(err)
		}
		to, err := ParseRef(tt.to)
		if err != nil {
			t.Fatal(err)
		}
		if from.String() != tt.from || to.String() != tt.to {
			t.Errorf("%s %s", from, to)
		}
		d, err := r.Diff(ctx, acme, "shop", from, to)
		want := []Change{{Path: "/servers/shop/tools/greet/invoker/config/text", Op: Replace, Before: tt.before, After: tt.after}}
		if err != nil || !reflect.DeepEqual(d.Changes, want) {
			t.Errorf("%s..%s: %+v %v", tt.from, tt.to, d, err)
		}
	}
	for _, bad := range []string{"", "0", "-1", "x", "99999999999999999999", "1.5"} {
		if _, err := ParseRef(bad); err == nil {
			t.Errorf("%q is a ref", bad)
		}
	}
	_, err := r.Diff(ctx, acme, "shop", Served, InDraft)
	wantCode(t, err, core.CodeNotFound, "draft")
	_, err = r.Diff(ctx, acme, "other", Served, Nothing)
	wantCode(t, err, core.CodeNotFound, "other")
	_, err = r.Diff(ctx, acme, "shop", Ref(9), Served)
	wantCode(t, err, core.CodeNotFound, "version 9")
}

// No secret of a document stands in what a diff says of its meaning.
func TestSecretsInChanges(t *testing.T) {
	document := func(token, password, more string) string {
		return "connections:\n  - name: up\n    baseUrl: https://up.example\n    headers: {X-Key: " + token + "h}\n    credential: {type: bearer, token: " + token + "}\n" +
			strings.Replace(shop("hello"), "text: hello", "text: hello, connection: up, password: "+password+more, 1)
	}
	r := newRig(t)
	r.put(t, "shop", document("canary1", "canary2", ""))
	r.save(t, "shop", document("canary3", "canary4", ""))
	diff, err := r.Diff(t.Context(), acme, "shop", Served, InDraft)
	if err != nil || len(diff.Changes) != 3 {
		t.Fatalf("%+v %v", diff.Changes, err)
	}
	whole, err := r.Diff(t.Context(), acme, "shop", Nothing, InDraft)
	if err != nil || len(whole.Changes) != 1 {
		t.Fatalf("%+v %v", whole.Changes, err)
	}
	for _, d := range []*Diff{diff, whole} {
		told, err := json.Marshal([]any{d.Changes, d.Affected})
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(told, []byte("canary")) || !bytes.Contains(told, []byte("***")) {
			t.Errorf("%s", told)
		}
	}
	t.Run("would be seen if they were not hidden", func(t *testing.T) {
		r.o.Parse = func(name string, text []byte) (json.RawMessage, []string, []core.Problem) {
			tree, _, problems := tree(name, text)
			return tree, nil, problems
		}
		d, err := r.Diff(t.Context(), acme, "shop", Served, InDraft)
		if told := fmt.Sprint(d.Changes); err != nil || !strings.Contains(told, "canary") {
			t.Errorf("the test sees nothing: %s %v", told, err)
		}
	})
}

// What unified says turns one text into the other.
func TestUnifiedApplies(t *testing.T) {
	line := rapid.SampledFrom([]string{"a\n", "b\n", "c\n", "\n", "-x\n", "+y\n", " z\n", "@@\n", "é\r\n"})
	texts := rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(line, 0, 40).Draw(t, "lines"), "") + rapid.SampledFrom([]string{"", "end"}).Draw(t, "end")
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := texts.Draw(t, "a"), texts.Draw(t, "b")
		text, cut := unified("a", "b", a, b)
		if cut {
			t.Fatal("cut")
		}
		if got := apply(t, a, text); got != b {
			t.Fatalf("%q with\n%s\ngives %q, want %q", a, text, got, b)
		}
	})
}

// apply does what patch does, strictly.
func apply(t *rapid.T, a, diff string) string {
	if diff == "" {
		return a
	}
	x := split(a)
	var out []string
	at := 0
	rows := split(diff)[2:]
	for i := 0; i < len(rows); i++ {
		row := rows[i]
		if strings.HasPrefix(row, "@@ -") {
			head := strings.Fields(row)[1]
			start, count, several := strings.Cut(strings.TrimPrefix(head, "-"), ",")
			from, err := strconv.Atoi(start)
			if err != nil {
				t.Fatal(err)
			}
			if !several || count != "0" {
				from--
			}
			out = append(out, x[at:from]...)
			at = from
			continue
		}
		body := row[1:]
		if i+1 < len(rows) && strings.HasPrefix(rows[i+1], "\\ ") {
			body = strings.TrimSuffix(body, "\n")
			i++
		}
		switch row[0] {
		case ' ', '-':
			if x[at] != body {
				t.Fatalf("line %d is %q, the diff says %q", at, x[at], body)
			}
			at++
			if row[0] == ' ' {
				out = append(out, body)
			}
		case '+':
			out = append(out, body)
		}
	}
	return strings.Join(append(out, x[at:]...), "")
}

func TestUnifiedIsShort(t *testing.T) {
	a := "1\n2\n3\n4\n5\n6\n7\n8\n9\n"
	got, _ := unified("a", "b", a, strings.Replace(a, "5\n", "five\n", 1))
	want := "--- a\n+++ b\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n"
	if got != want {
		t.Errorf("%s", got)
	}
	if got, _ := unified("a", "b", "", "x"); got != "--- a\n+++ b\n@@ -0,0 +1 @@\n+x\n\\ No newline at end of file\n" {
		t.Errorf("%s", got)
	}
}

// The largest texts, made to be hard, are compared within bounds: without them this takes
// hours.
func TestBigTexts(t *testing.T) {
	hard := func(seed uint32) string {
		var b strings.Builder
		for b.Len() < MaxText-2 {
			seed = seed*1664525 + 1013904223
			b.WriteByte('a' + byte(seed>>24)%7)
			b.WriteByte('\n')
		}
		return b.String()
	}
	text, cut := unified("a", "b", hard(1), hard(2))
	if !cut || len(text) > maxUnified+100 {
		t.Errorf("%d bytes, cut %v", len(text), cut)
	}
	var many strings.Builder
	many.WriteString("servers:\n  - name: shop\n    tools:\n")
	for i := range 3000 {
		fmt.Fprintf(&many, "      - {name: t%d, description: d, invoker: {kind: say}}\n", i)
	}
	a := many.String()
	b := strings.ReplaceAll(a, "description: d,", "description: e,")
	x, _ := (&Desk{o: Options{Parse: tree}}).tree(change{name: "a", text: a})
	y, _ := (&Desk{o: Options{Parse: tree}}).tree(change{name: "b", text: b})
	changes, left := compare(x, y)
	if len(changes) != maxChanges || left != 3000-maxChanges {
		t.Errorf("%d changes, %d left", len(changes), left)
	}
	long := shop(strings.Repeat("é", maxShow))
	z, _ := (&Desk{o: Options{Parse: tree}}).tree(change{name: "c", text: long})
	changes, _ = compare(nil, z)
	if len(changes) != 1 || len(changes[0].After) > maxShow+len("…") || !strings.HasSuffix(changes[0].After, "…") {
		t.Errorf("%d bytes", len(changes[0].After))
	}
}

func TestIncreasing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.Permutation([]int{0, 1, 2, 3, 4, 5, 6}).Draw(t, "list")
		kept := increasing(list)
		last, n := -1, 0
		for _, value := range list {
			if kept[value] {
				if value < last {
					t.Fatalf("%v: %v falls", list, kept)
				}
				last, n = value, n+1
			}
		}
		if n != len(kept) || n != longest(list) {
			t.Fatalf("%v: %d kept, %d possible", list, n, longest(list))
		}
	})
}

// longest tries every subset.
func longest(list []int) int {
	best := 0
	for set := range 1 << len(list) {
		var run []int
		for i, value := range list {
			if set>>i&1 == 1 {
				run = append(run, value)
			}
		}
		if slices.IsSorted(run) {
			best = max(best, len(run))
		}
	}
	return best
}

func FuzzDiff(f *testing.F) {
	f.Add([]byte(shop("a")), []byte(shop("b")))
	f.Add([]byte("servers: [{name: a}, {name: a}]"), []byte("servers: {name: a}"))
	f.Add([]byte("a: &x [1]\nb: *x\n"), []byte("servers:\n- name: s\n  resources: [{uri: 'a/~b'}]\n"))
	f.Add([]byte("\r\n"), []byte("connections: [{name: c, credential: {type: bearer, token: t}}]"))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		if len(a)+len(b) > 1<<14 {
			t.Skip() // bounds have a test of their own
		}
		d := &Desk{o: Options{Parse: tree}}
		x, okX := d.tree(change{name: "a", text: string(a)})
		y, okY := d.tree(change{name: "b", text: string(b)})
		if text, _ := unified("a", "b", string(a), string(b)); (text == "") != bytes.Equal(a, b) {
			t.Fatalf("%q", text)
		}
		if !okX || !okY {
			return
		}
		changes, left := compare(x, y)
		if none := len(changes)+left == 0; none != equal(x, y) {
			t.Fatalf("%v, equal %v", changes, equal(x, y))
		}
		if back, more := compare(y, x); (len(back)+more == 0) != (len(changes)+left == 0) {
			t.Fatalf("one way %v, the other %v", changes, back)
		}
		for _, c := range changes {
			for _, value := range []string{c.Before, c.After} {
				if value != "" && !strings.HasSuffix(value, "…") && !json.Valid([]byte(value)) {
					t.Fatalf("%+v is no JSON", c)
				}
			}
		}
		one := []core.Document{{Name: "one", Text: string(a)}}
		two := []core.Document{{Name: "one", Text: string(b)}}
		d.affected(one, two)
		if still := d.affected(one, one); len(still.Servers) != 0 || !still.Connections.empty() || !still.Plugins.empty() {
			t.Fatalf("%+v", still)
		}
	})
}
