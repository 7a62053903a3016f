package authn

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/core"
)

func TestMintToken(t *testing.T) {
	id, err := NewID(nil)
	if err != nil || len(id) != 19 {
		t.Fatal(id, err)
	}
	token, sum, hint, err := MintToken(nil, "live", id)
	if err != nil {
		t.Fatal(err)
	}
	text := token.Reveal()
	env, back, whole := ParseToken(text)
	if !whole || env != "live" || back != id || sum != TokenSum(text) || len(sum) != 64 {
		t.Errorf("%s: %v %q %q %q", text, whole, env, back, sum)
	}
	if !strings.HasPrefix(text, strings.TrimSuffix(hint, "…")) || len(hint) > len("spt_live_")+len(id)+1+hintChars+len("…") {
		t.Errorf("hint %q of %q", hint, text)
	}
	if found := regexp.MustCompile(TokenPattern).FindString("curl -H 'Authorization: Bearer " + text + "' https://x"); found != text {
		t.Errorf("a secret scanner finds %q", found)
	}
	for _, bad := range [][2]string{{"", id}, {"LIVE", id}, {"a_b", id}, {strings.Repeat("a", 17), id}, {"live", ""}, {"live", "a-b"}, {"live", strings.Repeat("a", 33)}} {
		if _, _, _, err := MintToken(nil, bad[0], bad[1]); codeOf(err) != core.CodeInvalid {
			t.Errorf("%v: %v", bad, err)
		}
	}
}

// Every typo is seen, and no two tokens are the same.
func TestTokenTypos(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		env := rapid.StringMatching(`[a-z0-9]{1,16}`).Draw(rt, "env")
		id := rapid.StringMatching(`[0-9A-Za-z]{1,32}`).Draw(rt, "id")
		token, _, _, err := MintToken(nil, env, id)
		if err != nil {
			rt.Fatal(err)
		}
		text := token.Reveal()
		if _, _, whole := ParseToken(text); !whole || !regexp.MustCompile("^"+TokenPattern+"$").MatchString(text) {
			rt.Fatalf("%s is not whole", text)
		}
		at := rapid.IntRange(0, len(text)-1).Draw(rt, "at")
		c := rapid.SampledFrom([]byte(digits+"_-.")).Draw(rt, "c")
		typo := text[:at] + string(c) + text[at+1:]
		if _, _, whole := ParseToken(typo); whole && typo != text {
			rt.Fatalf("%s is whole with a typo at %d", typo, at)
		}
	})
}

func FuzzParseToken(f *testing.F) {
	token, _, _, err := MintToken(nil, "live", "abc")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(token.Reveal())
	f.Add("spt_live_x_y_z")
	f.Add("spt_____")
	f.Fuzz(func(t *testing.T, text string) {
		env, id, whole := ParseToken(text)
		if whole != (tokenShape.MatchString(text) && crcOf(text[:len(text)-7]) == text[len(text)-6:]) {
			t.Errorf("%q: whole is %v", text, whole)
		}
		if whole && !strings.HasPrefix(text, "spt_"+env+"_"+id+"_") {
			t.Errorf("%q: env %q, id %q", text, env, id)
		}
	})
}

// strictBearer is what a request goes through whose credential the cache does not know.
func strictBearer(value string) (string, presented) {
	token, is := parseBearer(value)
	if is == bearer && !wellFormed(token) {
		return "", unfit
	}
	return token, is
}

func TestParseBearer(t *testing.T) {
	tests := []struct {
		value string
		want  string
		is    presented
	}{
		{"", "", nothing},
		{"Bearer abc", "abc", bearer},
		{"bearer abc==", "abc==", bearer},
		{"BEARER   a.b-c_d~e+f/g", "a.b-c_d~e+f/g", bearer},
		{"Bearer", "", unfit},
		{"Bearer ", "", unfit},
		{"Bearer ==", "", unfit},
		{"Bearer a b", "", unfit},
		{"Bearer a,b", "", unfit},
		{"Bearer a, Bearer b", "", unfit},
		{"Bearer\tabc", "", unfit},
		{"Basic YTpi", "", unfit},
		{"Bearerabc", "", unfit},
		{"Bearer é", "", unfit},
		{"Bearer a\x00", "", unfit},
		{"Bearer " + strings.Repeat("a", maxCredential), "", unfit},
	}
	for _, tt := range tests {
		if got, is := strictBearer(tt.value); got != tt.want || is != tt.is {
			t.Errorf("%.30q: %q %v, want %q %v", tt.value, got, is, tt.want, tt.is)
		}
	}
}

func FuzzParseBearer(f *testing.F) {
	f.Add("Bearer abc==")
	f.Add("bearer  x y")
	f.Fuzz(func(t *testing.T, value string) {
		token, is := strictBearer(value)
		if is == bearer && (token == "" || strings.ContainsAny(token, " ,\t\r\n\"") || !strings.HasSuffix(strings.TrimRight(value, " "), token)) {
			t.Errorf("%q: %q", value, token)
		}
		if is != bearer && token != "" || (is == nothing) != (value == "") {
			t.Errorf("%q: %q, %v", value, token, is)
		}
	})
}
