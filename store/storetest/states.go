package storetest

import (
	"bytes"
	"compress/gzip"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/core"
)

// filled puts samples of every kind into a store.
func filled(t *testing.T, s core.Store) {
	t.Helper()
	for _, kind := range kinds {
		for n := range 3 {
			row := sample(kind, "acme", n, 0)
			if tenant, ok := row.(*core.Tenant); ok {
				tenant.ID = []string{"acme", "b", "c"}[n]
			}
			put(t, s, row)
		}
	}
}

// state holds everything that answering calls takes, with what JSON hides, and no more.
func state(t *testing.T, open Open) {
	s := open(t)
	empty, err := s.State(t.Context())
	if err != nil || empty.Revision != 0 || len(empty.Users) != 0 {
		t.Fatalf("state of an empty store: %+v, %v", empty, err)
	}
	filled(t, s)
	put(t, s,
		&core.Document{Tenant: "acme", Name: "gone", Number: 3, Text: "x", Gone: true},
		&core.Document{Tenant: "acme", Name: "never served"},
		&core.Document{Tenant: "acme", Name: "served", Number: 1, Text: "x"},
	)
	got, err := s.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got.Revision != rev(t, s) || got.Loaded.IsZero() {
		t.Errorf("revision %d, loaded %v", got.Revision, got.Loaded)
	}
	v := reflect.ValueOf(got).Elem()
	for i := range v.NumField() {
		if v.Field(i).Kind() != reflect.Slice {
			continue
		}
		name, count := v.Type().Field(i).Name, v.Field(i).Len()
		if name == "Documents" {
			// of the samples one is gone: every second field is true
			for _, d := range got.Documents {
				if d.Gone || d.Number == 0 {
					t.Errorf("state shows document %s", d.Name)
				}
			}
			continue
		}
		if count != 3 {
			t.Errorf("%d %s, want 3", count, name)
		}
	}
	for _, u := range got.Users {
		if u.Password != "" {
			t.Error("a password stands in the state")
		}
		if u.Valid.IsZero() {
			t.Error("since when logins are valid does not stand in the state")
		}
	}
	for _, m := range got.Modules {
		if m.Bytes != nil {
			t.Error("a module stands in the state with its bytes")
		}
		if m.Size == 0 || m.Digest == "" {
			t.Error("a module stands in the state without its size or digest")
		}
	}
	for what, hidden := range map[string]string{
		"sum of a token": got.Tokens[0].Sum, "secret of a provider": got.Providers[0].ClientSecret,
		"secret of a connector": got.Connectors[0].ClientSecret, "sealed credential": got.Credentials[0].Sealed,
	} {
		if hidden == "" {
			t.Errorf("the %s does not stand in the state", what)
		}
	}
	if u := list[core.User](t, s, core.Query{Tenant: "acme"}); u[0].Password == "" {
		t.Error("a list of users lacks passwords, which logging in needs")
	}
}

// Copy moves everything from one store to another, which may be of another dialect.
func Copy(t *testing.T, from, to Open) {
	source, target := from(t), to(t)
	filled(t, source)
	want(t, "audit", source.Audit(t.Context(), entry("test.entry"), entry("test.entry")), "")
	put(t, source, &core.Module{Tenant: "acme", Name: "large", Bytes: bytes.Repeat([]byte{0, 1, 2}, 1<<20)})
	var backup bytes.Buffer
	want(t, "backup", source.Backup(t.Context(), &backup), "")
	want(t, "restore", target.Restore(t.Context(), bytes.NewReader(backup.Bytes())), "")
	if a, b := rev(t, source), rev(t, target); b < a {
		t.Errorf("revision %d, was %d", b, a)
	}
	for _, kind := range append([]core.Row{&core.AuditEntry{}}, kinds...) {
		a, err := listAll(t.Context(), source, kind, core.Query{Tenant: core.EveryTenant})
		if err != nil {
			t.Fatal(err)
		}
		b, err := listAll(t.Context(), target, kind, core.Query{Tenant: core.EveryTenant})
		if err != nil {
			t.Fatal(err)
		}
		if len(a) == 0 || !reflect.DeepEqual(a, b) {
			t.Errorf("%s: %d rows became %d, or others", kind.Key().Kind, len(a), len(b))
		}
	}
	m, n := &core.Module{Tenant: "acme", Name: "large"}, &core.Module{Tenant: "acme", Name: "large"}
	want(t, "get", source.Get(t.Context(), m), "")
	want(t, "get", target.Get(t.Context(), n), "")
	if !bytes.Equal(m.Bytes, n.Bytes) {
		t.Error("the bytes of a module are others")
	}
	trail(t, target)
	put(t, target, &core.Role{Tenant: "acme", Name: "after"})
	trail(t, target)
	want(t, "restore into a store that has something", target.Restore(t.Context(), bytes.NewReader(backup.Bytes())), core.CodeConflict)
	var again bytes.Buffer
	want(t, "backup", target.Backup(t.Context(), &again), "")
}

// damagedCopies change nothing.
func damagedCopies(t *testing.T, open Open) {
	source, target := open(t), open(t)
	filled(t, source)
	var backup bytes.Buffer
	want(t, "backup", source.Backup(t.Context(), &backup), "")
	zip, err := gzip.NewReader(bytes.NewReader(backup.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(zip)
	if err != nil {
		t.Fatal(err)
	}
	plain := string(text)
	lines := strings.SplitAfter(strings.TrimSuffix(plain, "\n"), "\n")
	last := len(lines) - 1
	pack := func(text string) []byte {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, _ = io.WriteString(w, text)
		_ = w.Close()
		return b.Bytes()
	}
	for what, damaged := range map[string][]byte{
		"nothing":            nil,
		"no gzip":            text,
		"cut off":            backup.Bytes()[:backup.Len()/2],
		"no end":             pack(strings.Join(lines[:last], "")),
		"a row is missing":   pack(strings.Join(append(append([]string{}, lines[:3]...), lines[4:]...), "")),
		"a letter is wrong":  pack(strings.Replace(plain, "ü", "ö", 1)),
		"something follows":  pack(plain + plain),
		"another format":     pack(strings.Replace(plain, `"format":1`, `"format":2`, 1)),
		"newer tables":       pack(strings.Replace(plain, `"tables":`, `"tables":99`, 1)),
		"another program's":  pack(strings.Replace(plain, `"backup"`, `"other"`, 1)),
		"an unknown kind":    pack(strings.Replace(plain, `["user"`, `["alien"`, 1)),
		"a NUL byte":         pack(strings.Replace(plain, "ü", `\u0000`, 1)),
		"empty lines":        pack("\n\n"),
		"a row that is none": pack(lines[0] + "[1]\n"),
	} {
		want(t, what, target.Restore(t.Context(), bytes.NewReader(damaged)), core.CodeInvalid)
		if rev(t, target) != 0 {
			t.Fatalf("%s: something was restored", what)
		}
	}
	want(t, "the whole backup", target.Restore(t.Context(), bytes.NewReader(pack(plain))), "")
}
