package result

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

func seven() *int64 { n := int64(7); return &n }

// whole is a result with everything that a CallToolResult can hold.
func whole() *core.Result {
	return &core.Result{
		Content: []core.Content{
			{Type: "text", Text: "a \"quoted\"\n\\line\t\x01 Ω 𝄞 <b>", Annotations: json.RawMessage(`{"audience":["user"]}`), Meta: json.RawMessage(`{"k":1.50}`)},
			{Type: "text"},
			{Type: "image", Data: []byte{0, 255, 1}, MIMEType: "image/png"},
			{Type: "audio", Data: []byte{}, MIMEType: ""},
			{Type: "resource", Resource: &core.ResourceContents{URI: "a:b", MIMEType: "text/plain", Text: "x\ny", Meta: json.RawMessage(`{}`)}},
			{Type: "resource", Resource: &core.ResourceContents{URI: "a:c", Blob: []byte{}, Binary: true}},
			{Type: "resource_link", URI: "u:v", Name: "n", Title: "t", Description: "d", MIMEType: "m/n", Size: seven(), Icons: json.RawMessage(`[{"src":"s"}]`)},
			{Type: "hologram", Raw: json.RawMessage(`{"type":"hologram", "depth":1.0}`)},
			{Type: "text", Text: "z", Raw: json.RawMessage(`{"text":"z","type":"text","new":[{}]}`)},
		},
		Structured: json.RawMessage(`{"n":9007199254740993}`),
		IsError:    true,
		Meta:       json.RawMessage(`{"a/b":null}`),
	}
}

const wholeJSON = `{"content":[` +
	`{"type":"text","text":"a \"quoted\"\n\\line\t\u0001 Ω 𝄞 <b>","annotations":{"audience":["user"]},"_meta":{"k":1.50}},` +
	`{"type":"text","text":""},` +
	`{"type":"image","data":"AP8B","mimeType":"image/png"},` +
	`{"type":"audio","data":"","mimeType":""},` +
	`{"type":"resource","resource":{"uri":"a:b","mimeType":"text/plain","text":"x\ny","_meta":{}}},` +
	`{"type":"resource","resource":{"uri":"a:c","blob":""}},` +
	`{"type":"resource_link","uri":"u:v","name":"n","title":"t","description":"d","mimeType":"m/n","size":7,"icons":[{"src":"s"}]},` +
	`{"type":"hologram", "depth":1.0},` +
	`{"text":"z","type":"text","new":[{}]}` +
	`],"structuredContent":{"n":9007199254740993},"isError":true,"_meta":{"a/b":null}}`

func TestAppendWritesAllOfIt(t *testing.T) {
	got, err := Append([]byte("before"), whole())
	if err != nil || string(got) != "before"+wholeJSON {
		t.Errorf("%v\n got %s\nwant %s", err, got, "before"+wholeJSON)
	}
	if err := wire.Check(got[len("before"):], wire.Default); err != nil {
		t.Error(err)
	}
}

func TestParseReadsAllOfIt(t *testing.T) {
	got, err := Parse([]byte(wholeJSON))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, whole()) {
		t.Errorf("got  %+v\nwant %+v", got, whole())
	}
}

func TestParse(t *testing.T) {
	tests := map[string]struct {
		in   string
		want *core.Result
	}{
		"empty content":          {`{"content":[]}`, &core.Result{}},
		"structured only":        {`{"structuredContent":[1]}`, &core.Result{Structured: json.RawMessage(`[1]`)}},
		"structured null":        {`{"structuredContent":null}`, &core.Result{Structured: json.RawMessage(`null`)}},
		"not an error":           {`{"content":[],"isError":false}`, &core.Result{}},
		"unknown members":        {`{"content":[],"later":{"x":1}}`, &core.Result{}},
		"type last":              {" {\n\"content\" : [ { \"text\" : \"a\" , \"type\" : \"text\" } ] } ", core.TextResult("a")},
		"escaped names":          {`{"c\u006fntent":[{"type":"te\u0078t","te\u0078t":"\ud834\udd1e\/"}]}`, core.TextResult("𝄞/")},
		"escaped base64":         {`{"content":[{"type":"image","data":"\/\/8=","mimeType":"a"}]}`, &core.Result{Content: []core.Content{core.Image([]byte{255, 255}, "a")}}},
		"member of another type": {`{"content":[{"type":"text","text":"a","data":7}]}`, &core.Result{Content: []core.Content{{Type: "text", Text: "a", Raw: json.RawMessage(`{"type":"text","text":"a","data":7}`)}}}},
		"unknown in a resource": {`{"content":[{"type":"resource","resource":{"uri":"u","text":"a","x":1}}]}`, &core.Result{Content: []core.Content{{
			Type: "resource", Resource: &core.ResourceContents{URI: "u", Text: "a"}, Raw: json.RawMessage(`{"type":"resource","resource":{"uri":"u","text":"a","x":1}}`),
		}}}},
		"broken size": {`{"content":[{"type":"resource_link","uri":"u","name":"n","size":1.5}]}`, &core.Result{Content: []core.Content{{
			Type: "resource_link", URI: "u", Name: "n", Raw: json.RawMessage(`{"type":"resource_link","uri":"u","name":"n","size":1.5}`),
		}}}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := Parse([]byte(tt.in))
			if err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %+v %v, want %+v", got, err, tt.want)
			}
		})
	}
}

// Text above the limit that wire has for clients passes: frames bound it.
func TestParseTakesLongTexts(t *testing.T) {
	text := strings.Repeat("a\n", 1<<20)
	b, err := Append(nil, core.TextResult(text))
	if err != nil {
		t.Fatal(err)
	}
	r, err := Parse(b)
	if err != nil || len(r.Content) != 1 || r.Content[0].Text != text {
		t.Errorf("the text did not come back: %v", err)
	}
}

func TestParseRefuses(t *testing.T) {
	block := func(b string) string { return `{"content":[{"type":"text","text":"fine"},` + b + `]}` }
	tests := []struct{ in, want string }{
		{``, "JSON"},
		{`{"content":[]} x`, "JSON"},
		{`{"content":[],"content":[]}`, "twice"},
		{"{\"content\":[{\"type\":\"text\",\"text\":\"\xff\"}]}", "UTF-8"},
		{`{"content":` + strings.Repeat("[", 64) + strings.Repeat("]", 64) + `}`, "deeper than 64"},
		{`[]`, "it must be an object, not an array"},
		{`null`, "it must be an object, not null"},
		{`{}`, "neither content nor structuredContent"},
		{`{"isError":true}`, "neither content nor structuredContent"},
		{`{"Content":[]}`, "neither content nor structuredContent"},
		{`{"content":null}`, "/content must be an array, not null"},
		{`{"content":[],"isError":"true"}`, "/isError must be true or false, not a string"},
		{`{"content":[],"isError":null}`, "/isError must be true or false, not null"},
		{`{"content":[],"_meta":[]}`, "/_meta must be an object, not an array"},
		{block(`"a"`), "/content/1 must be an object, not a string"},
		{block(`{}`), "/content/1 has no type"},
		{block(`{"type":""}`), "/content/1 has no type"},
		{block(`{"type":7}`), "/content/1/type must be a string, not a number"},
		{block(`{"type":"text"}`), "/content/1 has no text"},
		{block(`{"type":"text","text":7}`), "/content/1/text must be a string, not a number"},
		{block(`{"type":"text","text":"a","annotations":null}`), "/content/1/annotations must be an object, not null"},
		{block(`{"type":"text","text":"a","_meta":true}`), "/content/1/_meta must be an object, not a boolean"},
		{block(`{"type":"image","data":"AA=="}`), "/content/1 has no mimeType"},
		{block(`{"type":"audio","mimeType":"a"}`), "/content/1 has no data"},
		{block(`{"type":"image","data":"AA","mimeType":"a"}`), "/content/1/data must be base64"},
		{block(`{"type":"image","data":"AB==","mimeType":"a"}`), "/content/1/data must be base64"},
		{block(`{"type":"image","data":"AA\n==","mimeType":"a"}`), "/content/1/data must be base64"},
		{block(`{"type":"image","data":"__8=","mimeType":"a"}`), "/content/1/data must be base64"},
		{block(`{"type":"image","data":[1],"mimeType":"a"}`), "/content/1/data must be a string in base64, not an array"},
		{block(`{"type":"resource"}`), "/content/1 has no resource"},
		{block(`{"type":"resource","resource":"u"}`), "/content/1/resource must be an object, not a string"},
		{block(`{"type":"resource","resource":{"text":"a"}}`), "/content/1/resource has no uri"},
		{block(`{"type":"resource","resource":{"uri":"a"}}`), "/content/1/resource has no text and no blob"},
		{block(`{"type":"resource","resource":{"uri":"a","text":"","blob":""}}`), "/content/1/resource has both text and blob"},
		{block(`{"type":"resource","resource":{"uri":"a","blob":"?"}}`), "/content/1/resource/blob must be base64"},
		{block(`{"type":"resource","resource":{"uri":1,"blob":""}}`), "/content/1/resource/uri must be a string, not a number"},
		{block(`{"type":"resource_link","uri":"a"}`), "/content/1 has no name"},
		{block(`{"type":"resource_link","name":"a"}`), "/content/1 has no uri"},
		{block(`{"type":"resource_link","name":"a","uri":"u","size":"7"}`), "/content/1/size must be a number, not a string"},
		{block(`{"type":"resource_link","name":"a","uri":"u","icons":{}}`), "/content/1/icons must be an array, not an object"},
		{`{"content":[` + strings.Repeat(`{"type":"a"},`, maxBlocks) + `{"type":"a"}]}`, "more than 10000 blocks"},
	}
	for _, tt := range tests {
		r, err := Parse([]byte(tt.in))
		if r != nil || err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%.80s: %v, want %q", tt.in, err, tt.want)
		}
	}
}

func TestAppendRefuses(t *testing.T) {
	tests := map[string]*core.Result{
		"no result":   nil,
		"no resource": {Content: []core.Content{core.Text("a"), {Type: "resource"}}},
		"/content/1":  {Content: []core.Content{core.Text("a"), {Type: "hologram"}}},
		"input":       {InputRequests: []core.InputRequest{{Key: "k"}}},
	}
	for want, r := range tests {
		dst := []byte("before")
		got, err := Append(dst, r)
		if want == "no resource" {
			want = "without its resource"
		}
		if err == nil || !strings.Contains(err.Error(), want) || string(got) != "before" {
			t.Errorf("%q %v, want %q", got, err, want)
		}
	}
	if _, err := Append(nil, tests["input"]); !errors.Is(err, ErrInput) {
		t.Error(err)
	}
}

// What r shares with b is only what it keeps as JSON.
func TestParseCopiesText(t *testing.T) {
	b := []byte(`{"content":[{"type":"text","text":"plain"},{"type":"text","text":"es\"caped"},{"type":"text","text":"la\"ter"}]}`)
	r, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	clear(b)
	if r.Content[0].Text != "plain" || r.Content[1].Text != `es"caped` || r.Content[2].Text != `la"ter` {
		t.Errorf("%+v", r.Content)
	}
}

// What is accepted comes back as it was, in Go and as bytes.
func FuzzParse(f *testing.F) {
	f.Add([]byte(wholeJSON))
	for _, s := range []string{
		`{"content":[]}`, `{"structuredContent":null}`, `{"content":[{"type":"text","text":"\ud834\udd1e"}]}`,
		`{"content":[{"type":"x"}],"_meta":{}}`, `{"content":[{"type":"resource_link","uri":"","name":"","size":-0}]}`,
		`{"content":[{"type":"image","data":"AA==","mimeType":"\u0000","data ":1}]}`, ` [{}]`, `{"content":[{"type":"resource","resource":{"uri":"","blob":""}}]}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		r, err := Parse(b)
		if !bytes.Equal(b, before) {
			t.Fatal("Parse wrote into its input")
		}
		if err != nil {
			if r != nil {
				t.Error("an error came with a result")
			}
			return
		}
		first, err := Append(nil, r)
		if err != nil {
			t.Fatalf("%q: %v", b, err)
		}
		again, err := Parse(first)
		if err != nil {
			t.Fatalf("%q became %q: %v", b, first, err)
		}
		if !reflect.DeepEqual(r, again) {
			t.Fatalf("%q\n%+v became\n%+v", b, r, again)
		}
		second, err := Append(nil, again)
		if err != nil || !bytes.Equal(first, second) {
			t.Errorf("%q became %q (%v)", first, second, err)
		}
	})
}
