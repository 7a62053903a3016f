package config

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/core"
)

// What is written and read again is the same, byte for byte, whatever it is.
func TestTextsRoundtrip(t *testing.T) {
	root := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp(root, "") //nolint:usetesting // one for each draw, and rapid.T has none
		if err != nil {
			t.Fatal(err)
		}
		all := rapid.MapOfN(rapid.StringMatching(`[a-z]([a-z0-9-]{0,8}[a-z0-9])?`), rapid.SliceOfN(rapid.Byte(), 0, 200), 1, 5).Draw(t, "texts")
		delete(all, "settings")
		var want []Text
		for name, text := range all {
			want = append(want, Text{Name: name, Path: filepath.Join(dir, name+".yaml"), Text: text})
		}
		slices.SortFunc(want, func(a, b Text) int { return strings.Compare(a.Path, b.Path) })
		for _, written := range []int{len(want), 0} { // the second time there is nothing to do
			paths, err := WriteTexts(dir, want, false)
			if err != nil || len(paths) != written {
				t.Fatalf("%v %v", paths, err)
			}
		}
		got, problems := Texts([]string{dir})
		same := func(a, b Text) bool { return a.Name == b.Name && a.Path == b.Path && bytes.Equal(a.Text, b.Text) }
		if len(want) > 0 && len(problems) > 0 || !slices.EqualFunc(got, want, same) {
			t.Fatalf("%v\n%v\n%v", got, want, problems)
		}
	})
}

func TestWriteTextsRefuses(t *testing.T) {
	dir := t.TempDir()
	if _, err := WriteTexts(dir, []Text{{Name: "shop", Text: []byte("a")}}, false); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name  string
		texts []Text
		code  core.Code
	}{
		{"another content", []Text{{Name: "other", Text: []byte("x")}, {Name: "shop", Text: []byte("b")}}, core.CodeConflict},
		{"a path", []Text{{Name: "../shop"}}, core.CodeInvalid},
		{"a file that is no document", []Text{{Name: "settings"}}, core.CodeInvalid},
		{"twice", []Text{{Name: "a"}, {Name: "a"}}, core.CodeInvalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if paths, err := WriteTexts(dir, tt.texts, false); err == nil || core.AsError(err).Code != tt.code || len(paths) > 0 {
				t.Errorf("%v %v", paths, err)
			}
			if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
				t.Errorf("something was written: %v %v", entries, err)
			}
		})
	}
	if paths, err := WriteTexts(dir, []Text{{Name: "shop", Text: []byte("b")}}, true); err != nil || len(paths) != 1 {
		t.Errorf("%v %v", paths, err)
	}
}

func TestTextsRefuses(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"Shop.yaml": "a", "one.yaml": "a", "one.yml": "b", "settings.yaml": "c"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	texts, problems := Texts([]string{dir})
	if len(texts) != 1 || texts[0].Name != "one" || len(problems) != 2 {
		t.Errorf("%v %v", texts, problems)
	}
}

func TestTreeHides(t *testing.T) {
	tests := []struct{ token, warning string }{
		{"plain", "a secret stands in the text"}, {"${env:TOKEN}", ""}, {"${secret:token}", ""}, {"Bearer ${secret:token}", ""}, {"${env:TOKEN:-fallback}", ""},
	}
	for _, tt := range tests {
		_, hidden, problems := Tree("a.yaml", []byte("connections:\n  - name: up\n    credential: {type: bearer, token: \""+tt.token+"\"}\n"), Options{})
		shown := onlyRefers.MatchString(tt.token)
		if (len(hidden) == 0) != shown || len(hidden) == 1 && hidden[0] != "/connections/0/credential/token" {
			t.Errorf("%s: hidden %v", tt.token, hidden)
		}
		if (tt.warning != "") != (len(problems) == 1) || len(problems) == 1 && (!problems[0].Warning || problems[0].Line != 3 || !strings.Contains(problems[0].Message, tt.warning)) {
			t.Errorf("%s: %v", tt.token, problems)
		}
	}
	if onlyRefers.MatchString("${env:TOKEN:-fallback}") || onlyRefers.MatchString("plain") || !onlyRefers.MatchString("${secret:a}") {
		t.Error("a default is shown, or a reference is not")
	}
}
