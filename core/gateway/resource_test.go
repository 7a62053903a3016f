package gateway

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/core"
)

func readResource(h core.Handler, uri string) (*core.Result, error) {
	return h.ReadResource(context.Background(), &core.Call{Tool: uri})
}

func TestReadResource(t *testing.T) {
	h := find(t, publish(t, testOptions(), good(t)), "bookshop")
	cases := []struct {
		uri, mimeType, text, blob string
	}{
		{"docs://readme", "text/markdown", "# read me", ""},
		{"docs://text", "text/plain", "hello", ""},
		{"docs://bytes", "application/octet-stream", "", "hello"},
		{"docs://files/a", "text/markdown", "# a", ""},
		{"docs://files/%61", "text/markdown", "# a", ""},
		{"docs://dynamic/x/y", "", "x", ""},
	}
	for _, one := range cases {
		r, err := readResource(h, one.uri)
		if err != nil || len(r.Contents) != 1 {
			t.Errorf("%s: %+v %v", one.uri, r, err)
			continue
		}
		c := r.Contents[0]
		if c.URI != one.uri || c.MIMEType != one.mimeType || c.Text != one.text || string(c.Blob) != one.blob || c.Binary != (one.blob != "") {
			t.Errorf("%s: %+v", one.uri, c)
		}
	}
	for _, uri := range []string{"", "docs://nope", "docs://files/", "docs://files/none", "docs://README", "docs://readme/", "\x00"} {
		_, err := readResource(h, uri)
		e := core.AsError(err)
		if e.Code != core.CodeResource || !strings.HasPrefix(string(e.Details), `{"uri":`) {
			t.Errorf("%q: %v %s", uri, err, e.Details)
		}
	}
}

// A change of a file is seen at the next read, without a reload.
func TestReadChangedFile(t *testing.T) {
	config := good(t)
	file := filepath.Join(rootOf(config.Servers[0].At), "readme.md")
	o := testOptions()
	o.Limits.FileBytes = 20
	h := find(t, publish(t, o, config), "bookshop")
	write := func(content string) {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("new")
	if r, err := readResource(h, "docs://readme"); err != nil || r.Contents[0].Text != "new" {
		t.Errorf("%+v %v", r, err)
	}
	write("\xff\xfe binary") // text by its type, and not text
	if r, err := readResource(h, "docs://readme"); err != nil || !r.Contents[0].Binary || len(r.Contents[0].Blob) != 9 {
		t.Errorf("%+v %v", r, err)
	}
	write(strings.Repeat("x", 21))
	if _, err := readResource(h, "docs://readme"); core.AsError(err).Code != core.CodeTooLarge {
		t.Errorf("too large: %v", err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if _, err := readResource(h, "docs://readme"); core.AsError(err).Code != core.CodeResource {
		t.Errorf("removed: %v", err)
	}
	outside := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(outside, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, file); err != nil {
		t.Fatal(err)
	}
	if r, err := readResource(h, "docs://readme"); err == nil {
		t.Errorf("a link that appeared later was followed: %+v", r)
	}
}

// traversals are ways that were tried against others.
var traversals = []string{
	"../secret", "..%2fsecret", "%2e%2e/secret", "%2e%2e%2fsecret", "..%5csecret", "..\\secret", "....//secret", "..;/secret", "%252e%252e%252fsecret",
	"..%c0%afsecret", "%c0%ae%c0%ae/secret", "..%ef%bc%8fsecret", "/etc/passwd", "%2fetc%2fpasswd", "//etc/passwd", "C:%5cWindows", "C:/x", "a%00.md", "a%00",
	".", "..", "./a", "a/.", "a/..", "a/../../secret", "sub/../../../secret", ".hidden", "sub/.hidden", "%2ehidden", "~root", "a%0a", "a%20", "CON", "a.md::$DATA",
	"sub", "sub/", "link", "linkdir/secret", "", "%", "%zz", strings.Repeat("a/", 200) + "a", strings.Repeat("a", 5000),
}

func TestTemplateTraversal(t *testing.T) {
	dir := t.TempDir()
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	root := filepath.Join(dir, "root")
	must(os.MkdirAll(filepath.Join(root, "docs", "sub"), 0o755))
	must(os.WriteFile(filepath.Join(dir, "secret"), []byte("SECRET outside"), 0o600))
	must(os.WriteFile(filepath.Join(root, "secret"), []byte("SECRET beside"), 0o600))
	must(os.WriteFile(filepath.Join(root, "docs", ".hidden"), []byte("SECRET hidden"), 0o600))
	must(os.WriteFile(filepath.Join(root, "docs", "sub", ".hidden"), []byte("SECRET hidden"), 0o600))
	must(os.WriteFile(filepath.Join(root, "docs", "ok"), []byte("fine"), 0o600))
	must(os.WriteFile(filepath.Join(root, "docs", "sub", "ok"), []byte("fine"), 0o600))
	must(os.Symlink(filepath.Join(dir, "secret"), filepath.Join(root, "docs", "link")))
	must(os.Symlink(dir, filepath.Join(root, "docs", "linkdir")))
	config := core.Config{Servers: []core.ServerConfig{{
		At: core.At{Source: source{root: root}}, Name: "s",
		Templates: []core.ResourceConfig{
			{URITemplate: "one://{name}", Name: "one", File: "docs/{name}"},
			{URITemplate: "all://{+path}", Name: "all", File: "docs/{path}"},
		},
	}}}
	h := find(t, publish(t, Options{}, config), "s")
	try := func(uri string) (*core.Result, error) {
		r, err := readResource(h, uri)
		if err == nil && strings.Contains(r.Contents[0].Text, "SECRET") {
			t.Errorf("%q gave %q", uri, r.Contents[0].Text)
		}
		return r, err
	}
	for _, way := range traversals {
		for _, scheme := range []string{"one://", "all://"} {
			if r, err := try(scheme + way); err == nil {
				t.Errorf("%s%s gave %+v", scheme, way, r.Contents[0])
			} else if core.AsError(err).Code != core.CodeResource {
				t.Errorf("%s%s: %v", scheme, way, err)
			}
		}
	}
	for _, uri := range []string{"one://ok", "all://ok", "all://sub/ok", "all://sub%2Fok", "one://%6Fk"} {
		if r, err := try(uri); err != nil || r.Contents[0].Text != "fine" {
			t.Errorf("%s: %v", uri, err)
		}
	}
	if _, err := try("one://sub/ok"); err == nil {
		t.Error("{name} took a slash")
	}
	if _, err := try("one://sub%2Fok"); err == nil {
		t.Error("{name} took an escaped slash")
	}
	// What os.Root refuses is there to be read: without it the link would give it.
	if content, err := os.ReadFile(filepath.Join(root, "docs", "link")); err != nil || !strings.Contains(string(content), "SECRET") {
		t.Errorf("the corpus proves nothing: %s %v", content, err)
	}
	pieces := []string{"..", ".", "/", "%2e", "%2f", "\\", "%5c", "secret", "sub", "ok", "link", "linkdir", "a", ":", "%00", ".hidden"}
	rapid.Check(t, func(rt *rapid.T) {
		way := strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 1, 6).Draw(rt, "pieces"), "")
		_, _ = try("one://" + way)
		_, _ = try("all://" + way)
	})
}

// What os.Root would let through, a variable does not: hidden files, and more than
// one name.
func TestFileOf(t *testing.T) {
	r := &resource{template: &uriTemplate{wide: map[string]bool{}}, pieces: []piece{{text: "docs/"}, {name: "n"}}}
	for value, want := range map[string]bool{"a": true, "..": false, ".git": false, "a/b": false, "a\\b": false, "a:b": false, "": false} {
		if _, ok := r.fileOf(map[string]string{"n": value}); ok != want {
			t.Errorf("%q: %v", value, ok)
		}
	}
}

func TestResourceInvokers(t *testing.T) {
	var got core.Call
	answer := func(f func() (*core.Result, error)) core.Kind[core.Invoker] {
		return kindOf("answers", func(_ context.Context, call *core.Call) (*core.Result, error) {
			got = *call
			return f()
		})
	}
	read := func(f func() (*core.Result, error)) (*core.Result, error) {
		config := core.Config{Servers: []core.ServerConfig{{Name: "s", Templates: []core.ResourceConfig{
			{URITemplate: "t://{id}/{+rest}", Name: "t", MIMEType: "text/x", Invoker: &core.KindConfig{Kind: "answers"}},
		}}}}
		h := find(t, publish(t, Options{Kinds: Kinds{Invokers: []core.Kind[core.Invoker]{answer(f)}}}, config), "s")
		return readResource(h, `t://a%22b/c/d`)
	}
	ok := func(r *core.Result) func() (*core.Result, error) {
		return func() (*core.Result, error) { return r, nil }
	}
	r, err := read(ok(core.TextResult("hi")))
	if err != nil || r.Contents[0].URI != `t://a%22b/c/d` || r.Contents[0].MIMEType != "text/x" || r.Contents[0].Text != "hi" {
		t.Errorf("%+v %v", r, err)
	}
	if string(got.Arguments) != `{"uri":"t://a%22b/c/d","id":"a\"b","rest":"c/d"}` || got.Values["id"] != `a"b` || got.For.Name != "t://{id}/{+rest}" || got.Tool != `t://a%22b/c/d` {
		t.Errorf("call %+v %s", got, got.Arguments)
	}
	r, err = read(ok(&core.Result{Content: []core.Content{core.Image([]byte{1}, "image/png"), core.Embedded(core.ResourceContents{URI: "x:y", Text: "z"})}}))
	if err != nil || len(r.Contents) != 2 || !r.Contents[0].Binary || r.Contents[0].MIMEType != "image/png" || r.Contents[1].URI != "x:y" {
		t.Errorf("%+v %v", r, err)
	}
	r, err = read(ok(&core.Result{Structured: raw(`{"a":1}`)}))
	if err != nil || r.Contents[0].Text != `{"a":1}` || r.Contents[0].MIMEType != "application/json" {
		t.Errorf("%+v %v", r, err)
	}
	if r, err = read(ok(&core.Result{InputRequests: []core.InputRequest{{Key: "k"}}})); err != nil || len(r.InputRequests) != 1 {
		t.Errorf("%+v %v", r, err)
	}
	for name, one := range map[string]struct {
		f    func() (*core.Result, error)
		code core.Code
	}{
		"empty":     {ok(&core.Result{}), core.CodeResource},
		"not found": {func() (*core.Result, error) { return nil, &core.Error{Code: core.CodeNotFound} }, core.CodeResource},
		"error":     {ok(core.ErrorResult("upstream said 500")), core.CodeUnavailable},
		"broken":    {func() (*core.Result, error) { return nil, errors.New("x") }, core.CodeInternal},
		"panic":     {func() (*core.Result, error) { panic("x") }, core.CodeInternal},
	} {
		if _, err := read(one.f); core.AsError(err).Code != one.code {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTypeOf(t *testing.T) {
	cases := []struct{ name, content, want string }{
		{"a.md", "", "text/markdown"}, {"A.PNG", "", "image/png"}, {"a", "text", "text/plain"}, {"a", "\x00", "application/octet-stream"}, {"a.unknown", "\xff", "application/octet-stream"},
	}
	for _, one := range cases {
		if got := typeOf(one.name, []byte(one.content)); got != one.want {
			t.Errorf("%s: %s", one.name, got)
		}
	}
	for mimeType, want := range map[string]bool{
		"text/plain": true, "application/json": true, "application/vnd.x+json": true, "image/svg+xml": true, "image/png": false, "": false, "TEXT/HTML; charset=utf-8": true,
	} {
		if got := isTextType(mimeType); got != want {
			t.Errorf("%s: %v", mimeType, got)
		}
	}
}
