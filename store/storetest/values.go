package storetest

import (
	"bytes"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
)

// oddValues come back byte for byte.
func oddValues(t *testing.T, open Open) {
	s := open(t)
	for i, text := range []string{
		"", " ", "'", "''", `\'`, `\`, `"`, "?", "?0", "?name", "??", "$1", "$$", "--", "/*", "; DROP TABLE users", "%_", "\n\r\t", "\x01\x7f",
		"ü", "e\u0301", "日本", "🙂", "\u202e", "\ufffd", "null", "NULL", "{}", `{"a": 1,"a":2}`, strings.Repeat("x", 5<<20), strings.Repeat("'", 1<<20),
	} {
		doc := &core.Document{Tenant: "acme", Name: fmt.Sprint("d", i), Text: text}
		put(t, s, doc)
		got := &core.Document{Tenant: "acme", Name: doc.Name}
		want(t, "get", s.Get(t.Context(), got), "")
		if got.Text != text {
			t.Errorf("%.40q came back as %.40q", text, got.Text)
		}
	}
	for i, value := range [][]byte{{}, {0}, bytes.Repeat([]byte{0, 0xff, '\''}, 3<<20)} {
		m := &core.Module{Tenant: "acme", Name: fmt.Sprint("m", i), Bytes: value, Size: len(value)}
		put(t, s, m)
		got := &core.Module{Tenant: "acme", Name: m.Name}
		want(t, "get", s.Get(t.Context(), got), "")
		if !bytes.Equal(got.Bytes, value) {
			t.Errorf("%d bytes came back as %d others", len(value), len(got.Bytes))
		}
		// A list has no bytes; what is put from it keeps them.
		for _, light := range list[core.Module](t, s, core.Query{Tenant: "acme", Equal: map[string]string{"name": m.Name}}) {
			if len(light.Bytes) > 0 {
				t.Error("a list of modules has their bytes")
			}
			light.Grants = []string{"http"}
			put(t, s, &light)
		}
		want(t, "get", s.Get(t.Context(), got), "")
		if !bytes.Equal(got.Bytes, value) || len(got.Grants) != 1 {
			t.Error("putting a module of a list lost its bytes")
		}
	}
	far := time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC)
	for i, at := range []time.Time{{}, time.Unix(0, 0).UTC(), far, begin.In(time.FixedZone("", 7200))} {
		l := &core.Login{Tenant: "acme", ID: fmt.Sprint("l", i), Sum: strconv.Itoa(i), Made: at, Expires: at}
		put(t, s, l)
		got := &core.Login{Tenant: "acme", ID: l.ID}
		want(t, "get", s.Get(t.Context(), got), "")
		if !got.Made.Equal(at) || got.Made.IsZero() != at.IsZero() || got.Made.Location() != time.UTC {
			t.Errorf("%v came back as %v", at, got.Made)
		}
	}
}

// refusedValues: no database gets what another would not keep.
func refusedValues(t *testing.T, open Open) {
	s := open(t)
	for _, kind := range kinds {
		fields := reflect.TypeOf(kind).Elem()
		for i := range fields.NumField() {
			if fields.Field(i).Type.Kind() != reflect.String {
				continue
			}
			for _, text := range []string{"a\x00b", "a\xffb"} {
				row := sample(kind, "acme", 1, 0)
				reflect.ValueOf(row).Elem().Field(i).SetString(text)
				want(t, fmt.Sprintf("put %q as %s of %T", text, fields.Field(i).Name, row), tryPut(t.Context(), s, row), core.CodeInvalid)
				if fields.Field(i).Name == "ID" {
					want(t, "get", s.Get(t.Context(), row), core.CodeInvalid)
				}
			}
		}
	}
	for what, row := range map[string]core.Row{
		"a role":          &core.User{Tenant: "acme", Name: "x", Roles: []string{"ok", "\x00"}},
		"a parameter":     &core.Connector{Tenant: "acme", Name: "x", Extra: map[string]string{"a": "\x00"}},
		"no tenant":       &core.User{Name: "x"},
		"no name":         &core.Role{Tenant: "acme"},
		"no name of many": &core.Pin{Tenant: "acme", Server: "s", Of: "tool"},
	} {
		want(t, what, tryPut(t.Context(), s, row), core.CodeInvalid)
	}
	want(t, "a row beyond all bounds", tryPut(t.Context(), s, &core.Document{Tenant: "acme", Name: "d", Text: strings.Repeat("x", 64<<20+1)}), core.CodeTooLarge)
	for _, kind := range kinds {
		all, err := listAll(t.Context(), s, kind, core.Query{Tenant: core.EveryTenant})
		if err != nil || len(all) > 0 {
			t.Errorf("%s: %v, %v", kind.Key().Kind, all, err)
		}
	}
}
