package plugins

import (
	"bytes"
	"testing"

	"github.com/sallyport/sallyport/core/wire"
)

// What a guest lists is read without harm, and what is taken can be used.
func FuzzListedTool(f *testing.F) {
	for _, seed := range []string{
		`{"name":"a"}`, `{"name":"a","inputSchema":{"type":"object","properties":{"b":{"$ref":"#"}}}}`, `{"name":7}`, `[]`,
		`{"name":"a","inputSchema":{"type":"object","$ref":"#"}}`, `{"name":"a","outputSchema":{"type":"object","minimum":1e999}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if wire.Check(b, listLimits) != nil {
			return
		}
		tool, why := listedTool(b)
		if why != "" {
			return
		}
		if !toolName.MatchString(tool.Name) || !wire.IsObject(tool.InputSchema) {
			t.Errorf("taken: %+v", tool)
		}
		s, err := compileSchema(tool.InputSchema)
		if err != nil {
			t.Fatal(err)
		}
		checkSetting(s, []byte(`{"b":{"b":[1,{"b":"x"}]}}`)) // ends
	})
}

// Splitting a file of signatures loses nothing.
func FuzzStatements(f *testing.F) {
	f.Add([]byte("sallyport-signature/v1\na\nsallyport-signature/v1\nb\n"))
	f.Add([]byte("\nsallyport-signature/"))
	f.Fuzz(func(t *testing.T, b []byte) {
		parts := statements(b)
		if !bytes.Equal(bytes.Join(parts, nil), b) {
			t.Errorf("%q became %q", b, parts)
		}
	})
}
