package audit

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/core"
)

const canary = "c4n4ry-Zx81-never-seen"

func TestRedactJSON(t *testing.T) {
	jwt := "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.c2lnbmF0dXJlLXNpZ25hdHVyZQ"
	pem := "-----BEGIN RSA PRIVATE KEY-----\\nMIIEpAIBAAKCAQEA\\nabc\\n-----END RSA PRIVATE KEY-----"
	for name, c := range map[string]struct{ in, want string }{
		"harmless":               {`{"city":"Bern","n":12,"deep":[{"ok":true},null,1.50]}`, `{"city":"Bern","n":12,"deep":[{"ok":true},null,1.50]}`},
		"white space":            {" { \"a\" : [ 1 , 2 ] } ", `{"a":[1,2]}`},
		"names":                  {`{"Password":"x","API-Key":"x","x_auth_token":["x"],"clientSecret":{"a":"x"},"Set-Cookie":"x","authorization":"x"}`, `{"Password":"[redacted]","API-Key":"[redacted]","x_auth_token":"[redacted]","clientSecret":"[redacted]","Set-Cookie":"[redacted]","authorization":"[redacted]"}`},
		"a name that is escaped": {`{"pass\u0077ord":"x"}`, `{"password":"[redacted]"}`},
		"null":                   {`{"password":null}`, `{"password":null}`},
		"a number":               {`{"password":1234}`, `{"password":"[redacted]"}`},
		"counts of tokens":       {`{"max_tokens":100,"maxTokens":"x"}`, `{"max_tokens":100,"maxTokens":"[redacted]"}`},
		"JWT":                    {`{"a":"see ` + jwt + ` there"}`, `{"a":"see [redacted] there"}`},
		"a cut JWT":              {`{"a":"` + jwt[:40] + `"}`, `{"a":"[redacted]"}`},
		"a token of ours":        {`["spt_live_4kFj2hPqXw9s_0123456789012345678901234567890123456789012_abcdef"]`, `["[redacted]"]`},
		"bearer":                 {`["curl -H 'X: Bearer abcdefgh12345678'"]`, `["curl -H 'X: [redacted]'"]`},
		"basic":                  {`["Authorization: Basic dXNlcjpwYXNz"]`, `["[redacted]"]`},
		"basic information":      {`["basic information"]`, `["basic information"]`},
		"PEM":                    {`["` + pem + `"]`, `["[redacted]"]`},
		"a cut PEM":              {`["x -----BEGIN PRIVATE KEY-----\nMIIE"]`, `["x [redacted]"]`},
		"a card":                 {`["pay 4111 1111 1111 1111 now",4111111111111111,"4111-1111-1111-1111"]`, `["pay [redacted] now","[redacted]","[redacted]"]`},
		"no card":                {`["4111 1111 1111 1112",1234567890123,20261130123456780]`, `["4111 1111 1111 1112",1234567890123,20261130123456780]`},
		"in a URL":               {`["https://ada:pw@host/x?api_key=abc&x=1"]`, `["https://[redacted]@host/x?api_key=[redacted]&x=1"]`},
		"in an assignment":       {`["DB_PASSWORD='a b' other=1; token: abc"]`, `["DB_PASSWORD=[redacted] other=1; token: [redacted]"]`},
		"JSON in a text":         {`{"text":"{\"password\":\"x\",\"n\":1}"}`, `{"text":"{\"password\":\"[redacted]\",\"n\":1}"}`},
		"JSON in JSON in a text": {`["[\"{\\\"secret\\\":\\\"x\\\"}\"]"]`, `["[\"{\\\"secret\\\":\\\"[redacted]\\\"}\"]"]`},
		"broken JSON in a text":  {`["{\"password\":{\"a\":\"x\""]`, `["{\"password\":[redacted]"]`},
		"quoted once more":       {`["x \\\"api key\\\": \\\"a \\\\\\\"b\\\\\\\" c\\\", \\\"n\\\": 1"]`, `["x \\\"api key\\\": [redacted], \\\"n\\\": 1"]`},
		"a text in a text":       {`["\"{\\\"secret\\\":1}\""]`, `["\"{\\\"secret\\\":\\\"[redacted]\\\"}\""]`},
		"prose":                  {`["no secrets here, see https://host:8080/a at 12:30: all is well"]`, `["no secrets here, see https://host:8080/a at 12:30: all is well"]`},
		"a cookie":               {`["GET /\nCookie: a=b; c=d\nHost: x"]`, `["GET /\n[redacted]\nHost: x"]`},
		"mail stays":             {`["ada@example.com"]`, `["ada@example.com"]`},
		"not JSON":               {`{"password":"x"`, `"[15 bytes that are no JSON]"`},
		"a name twice":           {`{"a":1,"a":2}`, `"[13 bytes that are no JSON]"`},
		"a secret as a name":     {`{"Bearer abcdefgh12345678":1}`, `{"[redacted]":"[redacted]"}`},
	} {
		t.Run(name, func(t *testing.T) {
			if got := NewRedactor(RedactOptions{}).JSON(json.RawMessage(c.in)); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestRedactOptions(t *testing.T) {
	r := NewRedactor(RedactOptions{Deny: []string{"blood_type"}, Emails: true})
	if got, want := r.JSON(json.RawMessage(`{"BloodType":"A","x":"blood-type=A, mail ada@example.com"}`)), `{"BloodType":"[redacted]","x":"blood-type=[redacted], mail [redacted]"}`; got != want {
		t.Errorf("got %s", got)
	}
	t.Run("test of the test: without them it stays", func(t *testing.T) {
		if got := NewRedactor(RedactOptions{}).JSON(json.RawMessage(`{"BloodType":"A"}`)); got != `{"BloodType":"A"}` {
			t.Errorf("got %s", got)
		}
	})
}

func TestRedactBounds(t *testing.T) {
	r := NewRedactor(RedactOptions{})
	long := strings.Repeat("x y ", 10_000)
	deep := strings.Repeat(`{"a":[`, 90) + `"` + canary + `"` + strings.Repeat(`]}`, 90)
	many := `{` + strings.TrimSuffix(strings.Repeat(`"`+strings.Repeat("\\u0001", 30)+`K":"`+strings.Repeat("\\u0002", 900)+`",`, 1), ",") + `}`
	list := "[" + strings.TrimSuffix(strings.Repeat(`"`+strings.Repeat("\\u0002", 900)+`",`, 100), ",") + "]"
	nested := strings.Repeat(`[`, 60) + `"` + strings.Repeat("z ", 20_000) + `"` + strings.Repeat(`,"`+strings.Repeat("w ", 2000)+`"]`, 60)
	for name, in := range map[string]string{
		"long":   `{"a":"` + long + `"}`,
		"deep":   deep,
		"many":   many,
		"list":   list,
		"nested": nested,
		"quoted": string(mustQuote(`{"a":"` + long + `","b":"` + long + `"}`)),
	} {
		got := r.JSON(json.RawMessage(in))
		if len(got) > 16<<10 || !json.Valid([]byte(got)) {
			t.Errorf("%s: %d bytes, valid %v", name, len(got), json.Valid([]byte(got)))
		}
	}
	if got := r.JSON(json.RawMessage(`{"a":"` + long + `"}`)); !strings.Contains(got, "…") || len(got) < 1000 {
		t.Errorf("a long text became %q", got)
	}
	// A secret that the cut would halve.
	cutCard := strings.Repeat("x ", 1020) + "4111 1111 1111 1111"
	if got := r.JSON(mustQuote(cutCard)); strings.Contains(got, "4111") {
		t.Error("half of a card is left")
	}
}

func mustQuote(s string) json.RawMessage {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return b
}

// Texts that are all secrets shrink to little; how many are looked at is bounded too.
func TestRedactWork(t *testing.T) {
	r := NewRedactor(RedactOptions{})
	one := string(mustQuote(strings.Repeat("password=x ", 500)))
	count := func(w *rewrite) int {
		w.value(json.RawMessage("["+strings.Repeat(one+",", 300)+"1]"), 0)
		return strings.Count(string(w.out), "password")
	}
	work, endless := r.most*workFactor, 1<<30
	bounded, free := count(&rewrite{Redactor: r, most: 1 << 30, work: &work}), count(&rewrite{Redactor: r, most: 1 << 30, work: &endless})
	if bounded == 0 || bounded*5 > free {
		t.Errorf("%d were looked at, of %d", bounded, free)
	}
}

func TestRedactResult(t *testing.T) {
	image := []byte(strings.Repeat(canary, 100))
	result := &core.Result{
		Content: []core.Content{
			core.Text(`{"token":"` + canary + `"}`), core.Image(image, "image/png"),
			core.Embedded(core.ResourceContents{URI: "x:y", Blob: image, Binary: true}),
			{Raw: json.RawMessage(`{"type":"odd","secret":"` + canary + `"}`)},
			{Raw: json.RawMessage(`{"broken`)},
		},
		Structured:    json.RawMessage(`{"password":"` + canary + `","n":1}`),
		Messages:      []core.Message{{Role: "user", Content: core.Text("api_key=" + canary)}},
		Contents:      []core.ResourceContents{{URI: "a:b", Text: "hello"}},
		InputRequests: []core.InputRequest{{Method: "elicitation/create", Params: json.RawMessage(`{"message":"` + canary + `"}`)}},
		IsError:       true,
	}
	got := NewRedactor(RedactOptions{}).Result(result)
	if strings.Contains(got, canary) || !json.Valid([]byte(got)) {
		t.Errorf("%s", got)
	}
	for _, want := range []string{`"isError":true`, `[2200 bytes, sha256:`, `"n":1`, `"text":"hello"`, `"elicitation/create"`, `[8 bytes that are no JSON]`} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is not in %s", want, got)
		}
	}
	blob := strings.Repeat("QUJDabc0", 200)
	if got := NewRedactor(RedactOptions{}).JSON(json.RawMessage(`["` + blob + `","data:image/png;base64,` + blob + `"]`)); strings.Contains(got, "QUJD") || !strings.Contains(got, "1600 bytes") {
		t.Errorf("%s", got)
	}
}

func TestRedactRecord(t *testing.T) {
	r := NewRedactor(RedactOptions{})
	big := mustQuote(strings.Repeat("x y ", 100_000))
	many := json.RawMessage("[" + strings.Repeat(string(big)+",", 20) + "1]")
	var c core.CallRecord
	r.record(&c, many, &core.Result{Structured: many})
	if n := len(c.Arguments) + len(c.Result); n > 16<<10 || len(c.Arguments) < 4<<10 || len(c.Result) < 4<<10 {
		t.Errorf("%d and %d bytes", len(c.Arguments), len(c.Result))
	}
}

// No denied name lets its value through, wherever it stands, and what comes out is JSON
// of bounded size.
func FuzzRedact(f *testing.F) {
	f.Add(`{"a":[1,"x",{"b":null}]}`, "user_password", "x")
	f.Add(`"text"`, "X-API-Key", `\"`)
	f.Add(`{"password":{"a":1}}`, "Authorization", "\x00")
	f.Add(`[[["{\"a\":\"b\"}"]]]`, "my token", "a]}")
	r := NewRedactor(RedactOptions{Emails: true})
	f.Fuzz(func(t *testing.T, doc, name, around string) {
		got := r.JSON(json.RawMessage(doc))
		if !json.Valid([]byte(got)) || len(got) > 16<<10 {
			t.Fatalf("%d bytes, not JSON: %q", len(got), got)
		}
		inner := json.RawMessage(doc)
		if !json.Valid(inner) {
			inner = mustQuote(doc)
		}
		if !strings.Contains(fold(name), "token") {
			name += "_token"
		}
		secret, err := json.Marshal(map[string]any{"around": around, name: []any{inner, around + canary + around}})
		if err != nil {
			t.Skip()
		}
		for range 3 {
			got := r.JSON(secret)
			if !json.Valid([]byte(got)) || strings.Contains(got, canary) {
				t.Fatalf("%q of %q", got, secret)
			}
			secret = mustQuote(string(secret)) // JSON in a text, in a text, …
		}
		free := r.JSON(json.RawMessage(`{"harmless":"` + canary + `"}`))
		if !strings.Contains(free, canary) {
			t.Fatal("the canary is never seen: this test cannot fail")
		}
		if text := r.patterns.redact(around); len(text) > 0 && len(around) == 0 {
			t.Fatal("something of nothing")
		}
	})
}
