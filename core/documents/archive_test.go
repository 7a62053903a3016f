package documents

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"maps"
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/core"
)

// texts draws documents that are right, written in many ways.
func texts() *rapid.Generator[map[string][]byte] {
	return rapid.Custom(func(t *rapid.T) map[string][]byte {
		all := map[string][]byte{}
		for i := range rapid.IntRange(0, 5).Draw(t, "documents") {
			name := fmt.Sprintf("%s-%d", rapid.StringMatching(`[a-z][a-z0-9]{0,7}`).Draw(t, "name"), i)
			said := rapid.SampledFrom([]string{"hello", `"costs $5 {each}"`, "'日本語 — ünïcode'", "|\n          two\n          lines", ">-\n          folded  \n          text", "&x said", "\"\\u00e9\\n\""}).Draw(t, "said")
			text := strings.Replace(shop(said), "name: shop", "name: "+name, 1)
			text = strings.Replace(text, "{kind: say, config: {text: "+said+"}}", "\n          kind: say\n          config:\n            text: plain\n        description: "+said, 1)
			text = strings.Replace(text, "        description: Greets.\n", "", 1)
			text = rapid.SampledFrom([]string{"", "# comment\n\n", "---\n", "\ufeff", "#é\n"}).Draw(t, "head") + text + rapid.SampledFrom([]string{"", "\n\n\n", "# end", "   # end\n"}).Draw(t, "tail")
			if rapid.Bool().Draw(t, "CRLF") {
				text = strings.ReplaceAll(text, "\n", "\r\n")
			}
			all[name] = []byte(text)
		}
		return all
	})
}

// import(export(x)) == x, byte for byte, also through the bytes of an archive.
func TestRoundtrip(t *testing.T) {
	outer := t
	rapid.Check(t, func(t *rapid.T) {
		want := texts().Draw(t, "texts")
		from, to := newRig(outer), newRig(outer)
		from.store.twice, to.store.twice = false, false
		ctx := context.Background()
		first, err := NewArchive(acme, from.at, want)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := from.Import(ctx, by("ada"), acme, first, Import{Publish: true}); err != nil {
			t.Fatalf("%v %v", err, core.AsError(err).Problems)
		}
		out, err := from.Export(ctx, by("ada"), acme)
		if err != nil {
			t.Fatal(err)
		}
		var packed, again bytes.Buffer
		if err := out.Write(&packed); err != nil {
			t.Fatal(err)
		}
		if err := out.Write(&again); err != nil || !bytes.Equal(packed.Bytes(), again.Bytes()) {
			t.Fatal("the same archive gives other bytes")
		}
		in, err := ReadArchive(bytes.NewReader(packed.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		published := rapid.Bool().Draw(t, "publish")
		result, err := to.Import(ctx, by("bob"), "other", in, Import{Publish: published})
		if err != nil || len(result.Documents) != len(want) {
			t.Fatalf("%+v %v", result, err)
		}
		if !published && len(want) > 0 {
			var p Publication
			for name := range want {
				p.Drafts = append(p.Drafts, Pick{Name: name})
			}
			if _, err := to.Publish(ctx, by("bob"), "other", p); err != nil {
				t.Fatal(err)
			}
		}
		back, err := to.Export(ctx, by("bob"), "other")
		if err != nil || !maps.EqualFunc(back.Texts, want, bytes.Equal) {
			t.Fatalf("%q\n%q\n%v", back.Texts, want, err)
		}
		// Once more changes nothing.
		result, err = to.Import(ctx, by("bob"), "other", in, Import{Publish: true})
		if err != nil || len(result.Versions) != 0 {
			t.Fatalf("%+v %v", result, err)
		}
	})
}

func TestImport(t *testing.T) {
	r, ctx := newRig(t), t.Context()
	r.put(t, "shop", shop("one"))
	r.put(t, "cellar", strings.ReplaceAll(shop("deep"), "name: shop", "name: cellar"))
	r.save(t, "attic", strings.ReplaceAll(shop("high"), "name: shop", "name: attic"))
	archive, err := NewArchive(acme, r.at, map[string][]byte{
		"shop":   []byte(shop("two")),
		"cellar": []byte(r.served(t, "cellar")),
		"attic":  []byte(strings.ReplaceAll(shop("higher"), "name: shop", "name: attic")),
		"garden": []byte(strings.ReplaceAll(shop("green"), "name: shop", "name: garden")),
	})
	if err != nil {
		t.Fatal(err)
	}
	before := maps.Clone(r.store.rows)
	plan, err := r.Import(ctx, by("bob"), acme, archive, Import{DryRun: true})
	if err != nil || len(r.store.rows) != len(before) {
		t.Fatal(err)
	}
	states := func(result *ImportResult) string {
		var all []string
		for _, one := range result.Documents {
			all = append(all, one.Name+" "+string(one.State))
			if (one.Diff == nil) != (one.State == IsSame) {
				t.Errorf("%+v", one)
			}
		}
		return strings.Join(all, ", ")
	}
	if got := states(plan); got != "attic conflict, cellar same, garden new, shop conflict" {
		t.Error(got)
	}
	if len(plan.Problems) != 0 || len(plan.Affected.Servers) != 3 {
		t.Errorf("%+v %+v", plan.Problems, plan.Affected)
	}
	for _, how := range []Import{{}, {Publish: true}} {
		_, err = r.Import(ctx, by("bob"), acme, archive, how)
		wantCode(t, err, core.CodeConflict, "attic, shop")
		if got := r.served(t, "shop"); got != shop("one") || len(r.store.rows) != len(before) {
			t.Fatal("something was imported beside a conflict")
		}
	}
	plan, err = r.Import(ctx, by("bob"), acme, archive, Import{DryRun: true, Replace: true})
	if got := states(plan); err != nil || got != "attic changes, cellar same, garden new, shop changes" {
		t.Error(got, err)
	}
	result, err := r.Import(ctx, by("bob"), acme, archive, Import{Replace: true})
	if err != nil || strings.Join(result.Drafts, " ") != "attic garden shop" {
		t.Fatalf("%+v %v", result, err)
	}
	if draft, err := r.Draft(ctx, acme, "shop"); err != nil || draft.Text != shop("two") || draft.Base != 1 || draft.By != "bob" {
		t.Fatalf("%+v %v", draft, err)
	}
	result, err = r.Import(ctx, by("bob"), acme, archive, Import{Publish: true, Replace: true})
	if err != nil || len(result.Versions) != 3 || result.Versions[2].Number != 2 {
		t.Fatalf("%+v %v", result, err)
	}
	if _, err := r.Draft(ctx, acme, "shop"); err == nil {
		t.Error("the draft that was published is still there")
	}
	if last := r.store.trail[len(r.store.trail)-1]; last.Action != "document.import" || last.Actor != "bob" {
		t.Errorf("%+v", last)
	}
	wrong, err := NewArchive(acme, r.at, map[string][]byte{"new": []byte("servers: 3")})
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.Import(ctx, by("bob"), acme, wrong, Import{Publish: true})
	wantCode(t, err, core.CodeInvalid, "mistakes")
	if result, err = r.Import(ctx, by("bob"), acme, wrong, Import{}); err != nil || !refused(result.Problems) {
		t.Errorf("%+v %v", result, err)
	}
}

// packed writes a tar.gz by hand.
func packed(files ...*tar.Header) []byte {
	var b bytes.Buffer
	zip := gzip.NewWriter(&b)
	out := tar.NewWriter(zip)
	for _, h := range files {
		text := h.PAXRecords["text"]
		h.PAXRecords = nil
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		if h.Typeflag == tar.TypeReg {
			h.Size = int64(len(text))
		}
		h.ModTime = time.Unix(0, 0)
		_ = out.WriteHeader(h)
		_, _ = io.WriteString(out, text)
	}
	_ = out.Close()
	_ = zip.Close()
	return b.Bytes()
}

func file(name, text string) *tar.Header {
	return &tar.Header{Name: name, PAXRecords: map[string]string{"text": text}}
}

func manifest(entries ...string) *tar.Header {
	return file(manifestFile, `{"format":"sallyport-documents/1","tenant":"acme","exported":"2026-12-01T08:00:00Z","documents":[`+strings.Join(entries, ",")+`]}`)
}

func listed(name, text string) string {
	return fmt.Sprintf(`{"name":%q,"file":%q,"size":%d,"sha256":%q,"number":1}`, name, name+".yaml", len(text), sumOf(text))
}

func TestForeignArchives(t *testing.T) {
	good := packed(manifest(listed("shop", "x")), file("shop.yaml", "x"))
	if a, err := ReadArchive(bytes.NewReader(good)); err != nil || string(a.Texts["shop"]) != "x" {
		t.Fatal(err)
	}
	if a, err := ReadArchive(bytes.NewReader(packed(manifest(listed("shop", "")), file("shop.yaml", "")))); err != nil || a.Texts["shop"] == nil {
		t.Fatal(err)
	}
	bomb := func(kind byte) []byte {
		var b bytes.Buffer
		zip := gzip.NewWriter(&b)
		out := tar.NewWriter(zip)
		_ = out.WriteHeader(&tar.Header{Typeflag: kind, Name: "shop.yaml", Size: 1 << 30})
		zeros := make([]byte, 1<<20)
		for range 80 {
			_, _ = out.Write(zeros)
		}
		_ = zip.Close()
		return b.Bytes()
	}
	var many []*tar.Header
	for i := range MaxDocuments + 1 {
		many = append(many, file(fmt.Sprintf("d%d.yaml", i), "x"))
	}
	tests := []struct {
		name  string
		bytes []byte
		says  string
	}{
		{"nothing", nil, "gzip"},
		{"text", []byte("servers: []"), "gzip"},
		{"cut off", good[:len(good)-20], "cut off"},
		{"no manifest", packed(file("shop.yaml", "x")), "manifest.json"},
		{"manifest twice", packed(manifest(), manifest()), "same name"},
		{"manifest of another format", packed(file(manifestFile, `{"format":"zip"}`)), "format"},
		{"manifest that is none", packed(file(manifestFile, `{"format":`)), "manifest"},
		{"manifest with a key twice", packed(file(manifestFile, `{"format":"x","format":"sallyport-documents/1"}`)), "manifest"},
		{"document twice", packed(manifest(listed("shop", "x")), file("shop.yaml", "x"), file("shop.yaml", "x")), "same name"},
		{"empty document twice", packed(manifest(listed("shop", "")), file("shop.yaml", ""), file("shop.yaml", "")), "same name"},
		{"listed twice", packed(manifest(listed("shop", "x"), listed("shop", "x")), file("shop.yaml", "x")), "twice"},
		{"not listed", packed(manifest(), file("shop.yaml", "x")), "does not list"},
		{"not there", packed(manifest(listed("shop", "x"))), "not in it"},
		{"another text", packed(manifest(listed("shop", "x")), file("shop.yaml", "y")), "not the one"},
		{"parent", packed(manifest(), file("../shop.yaml", "x")), "name"},
		{"absolute", packed(manifest(), file("/etc/shop.yaml", "x")), "name"},
		{"folder", packed(manifest(), file("a/shop.yaml", "x")), "name"},
		{"dot", packed(manifest(), file("./shop.yaml", "x")), "name"},
		{"backslash", packed(manifest(), file(`..\shop.yaml`, "x")), "name"},
		{"upper case", packed(manifest(), file("Shop.yaml", "x")), "name"},
		{"other ending", packed(manifest(), file("shop.sh", "x")), "name"},
		{"reserved", packed(manifest(), file("publish.yaml", "x")), "name"},
		{"symbolic link", packed(manifest(), &tar.Header{Typeflag: tar.TypeSymlink, Name: "shop.yaml", Linkname: "/etc/passwd"}), "regular"},
		{"hard link", packed(manifest(), &tar.Header{Typeflag: tar.TypeLink, Name: "shop.yaml", Linkname: "manifest.json"}), "regular"},
		{"directory", packed(manifest(), &tar.Header{Typeflag: tar.TypeDir, Name: "shop/"}), "regular"},
		{"device", packed(manifest(), &tar.Header{Typeflag: tar.TypeChar, Name: "shop.yaml"}), "regular"},
		{"NUL", packed(manifest(), file("shop.yaml", "a\x00")), "NUL"},
		{"not UTF-8", packed(manifest(), file("shop.yaml", "a\xff")), "UTF-8"},
		{"bomb", bomb(tar.TypeReg), "too large"},
		{"too many", packed(many...), "1000"},
		{"large manifest", packed(file(manifestFile, strings.Repeat(" ", maxManifest+1))), "too large"},
		{"large text", packed(manifest(), file("shop.yaml", strings.Repeat(" ", MaxText+1))), "too large"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ReadArchive(bytes.NewReader(tt.bytes))
			wantCode(t, err, core.CodeInvalid, tt.says)
		})
	}
	for _, name := range []string{"Shop", "../shop", ""} {
		if _, err := NewArchive(acme, time.Time{}, map[string][]byte{name: nil}); err == nil {
			t.Errorf("%q is a document", name)
		}
	}
}

// counting tells how much was read of what never ends.
type counting struct {
	io.Reader

	read int64
}

func (c *counting) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	c.read += int64(n)
	return n, err
}

// An archive without end, of documents that are allowed one by one, is given up in time.
func TestEndlessArchive(t *testing.T) {
	r, w := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		zip, _ := gzip.NewWriterLevel(w, gzip.NoCompression)
		out := tar.NewWriter(zip)
		text := bytes.Repeat([]byte("#"), MaxText)
		for i := range math.MaxInt32 {
			if out.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: fmt.Sprintf("d%d.yaml", i), Size: int64(len(text))}) != nil {
				return
			}
			if _, err := out.Write(text); err != nil {
				return
			}
		}
	}()
	in := &counting{Reader: r}
	_, err := ReadArchive(in)
	_ = r.Close()
	<-done
	wantCode(t, err, core.CodeInvalid, "64 MiB")
	if in.read > MaxTotal+2*MaxText {
		t.Errorf("%d bytes were read", in.read)
	}
}

func FuzzArchive(f *testing.F) {
	f.Add(packed(manifest(listed("shop", "x")), file("shop.yaml", "x")))
	f.Add(packed(manifest(), file("../shop.yaml", "x")))
	f.Add(packed(manifest(listed("a", ""), listed("b", "é\r\n")), file("b.yaml", "é\r\n"), file("a.yaml", "")))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := ReadArchive(bytes.NewReader(b))
		if err != nil {
			if core.AsError(err).Code == core.CodeInternal {
				t.Fatal(err)
			}
			return
		}
		var out bytes.Buffer
		if err := a.Write(&out); err != nil {
			t.Fatal(err)
		}
		again, err := ReadArchive(&out)
		if err != nil || !maps.EqualFunc(a.Texts, again.Texts, bytes.Equal) {
			t.Fatalf("%v", err)
		}
		for name := range a.Texts {
			if err := CheckName(name); err != nil {
				t.Fatal(err)
			}
		}
	})
}
