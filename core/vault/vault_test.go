package vault

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/core"
)

func TestSealAndOpen(t *testing.T) {
	v := openVault(t, Options{Dir: t.TempDir()})
	for _, plain := range []string{"", "x", strings.Repeat("long ", 10_000)} {
		token := seal(t, v, "row", plain, "a", "b")
		if !strings.HasPrefix(token, "sv1."+v.Kid()+".") || strings.Trim(token, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.") != "" {
			t.Errorf("%q is not of the form", token)
		}
		got, err := v.Open("row", token, "a", "b")
		if err != nil || string(got) != plain {
			t.Errorf("came back as %q, %v", got, err)
		}
		for _, bind := range [][]string{{"a"}, {"b", "a"}, {"ab"}, {"a", "b", ""}, nil} {
			_, err := v.Open("row", token, bind...)
			wants(t, err, core.CodeNotFound)
		}
		_, err = v.Open("other", token, "a", "b")
		wants(t, err, core.CodeNotFound)
	}
	if a, b := seal(t, v, "row", "x"), seal(t, v, "row", "x"); a == b {
		t.Error("two seals of one text are the same")
	}
	if _, err := openVault(t, Options{Dir: v.o.Dir, Rand: strings.NewReader("")}).Seal("row", nil); err == nil {
		t.Error("sealed without randomness")
	}
}

// What is sealed for one row opens in no other: not of another tenant, owner, kind,
// column or id (security.md T16). The test of the test opens all of them by sealing
// without what binds.
func TestSwappedCiphertexts(t *testing.T) {
	v := openVault(t, Options{Dir: t.TempDir()})
	places := map[string][]string{}
	for _, tenant := range []string{"default", "acme"} {
		for _, id := range []string{"1", "2", "1a"} {
			for _, owner := range []string{"", "ann", "nn", "bob"} {
				for _, connector := range []string{"", "github"} {
					c := &core.Credential{Tenant: tenant, ID: id, Owner: owner, Connector: connector}
					places[nameOf(c)+"/"+owner+"/"+connector] = core.CredentialBind(c)
				}
			}
			p, k := &core.Provider{Tenant: tenant, ID: id}, &core.Connector{Tenant: tenant, Name: id}
			s := &core.Setting{Tenant: tenant, Name: id}
			places[nameOf(p)], places[nameOf(k)], places[nameOf(s)] = core.ProviderBind(p), core.ConnectorBind(k), core.SettingBind(s)
		}
	}
	swapped := func(bind func([]string) []string) (opened int) {
		tokens := map[string]string{}
		for name, b := range places {
			tokens[name] = seal(t, v, core.SealedRow, name, bind(b)...)
		}
		for from, token := range tokens {
			for to, b := range places {
				plain, err := v.Open(core.SealedRow, token, bind(b)...)
				switch {
				case from == to && (err != nil || string(plain) != from):
					t.Fatalf("%s does not open at home: %v", from, err)
				case from != to && err == nil:
					opened++
				}
			}
		}
		return opened
	}
	if n := swapped(func(b []string) []string { return b }); n != 0 {
		t.Errorf("%d of them opened elsewhere", n)
	}
	t.Run("the test bites", func(t *testing.T) {
		if n := swapped(func([]string) []string { return nil }); n == 0 {
			t.Error("without what binds nothing opened elsewhere")
		}
		if n := swapped(func(b []string) []string { return []string{strings.Join(b, "")} }); n == 0 {
			t.Error("joined without lengths nothing opened elsewhere")
		}
	})
}

func TestEveryFlippedBit(t *testing.T) {
	for name, v := range map[string]*Vault{
		"file":    openVault(t, Options{Dir: t.TempDir()}),
		"command": openVault(t, Options{Command: command(t, "")}),
	} {
		t.Run(name, func(t *testing.T) {
			token := seal(t, v, "row", "plain", "a")
			for i := range len(token) {
				for bit := range 8 {
					if name == "command" && (bit != i%8 || i > 24 && i%11 != 0) {
						continue // each may start a program
					}
					other := []byte(token)
					other[i] ^= 1 << bit
					if plain, err := v.Open("row", string(other), "a"); err == nil {
						t.Fatalf("byte %d, bit %d: opened as %q", i, bit, plain)
					}
				}
			}
			for i := range len(token) {
				if _, err := v.Open("row", token[:i], "a"); err == nil {
					t.Errorf("opened when cut off at %d", i)
				}
			}
			for _, other := range []string{token + "A", token + "=", token + "\n", "\n" + token, token[:20] + "\r\n" + token[20:], strings.Replace(token, "sv1", "sv2", 1), strings.ToUpper(token)} {
				if _, err := v.Open("row", other, "a"); err == nil {
					t.Errorf("%q opened", other)
				}
			}
		})
	}
}

func TestSecret(t *testing.T) {
	v := openVault(t, Options{Dir: t.TempDir()})
	row := func(tenant, id, name, value string) core.Credential {
		c := core.Credential{Tenant: tenant, ID: id, Name: name}
		c.Sealed = seal(t, v, core.SealedRow, value, core.CredentialBind(&c)...)
		return c
	}
	old := row("acme", "3", "old", "x")
	old.Expires = &noon
	personal := core.Credential{Tenant: "acme", ID: "4", Name: "mine", Owner: "ann", Connector: "github", Sealed: "x"}
	stolen := row("acme", "5", "stolen", "x")
	stolen.Tenant = "default"
	state := &core.State{Credentials: []core.Credential{row("default", "1", "shop", "canary-1"), row("acme", "1", "shop", "canary-2"), old, personal, stolen}}
	v.Use(state)
	for _, r := range []struct {
		tenant, name, want string
		code               core.Code
	}{
		{"", "shop", "canary-1", ""},
		{"default", "shop", "canary-1", ""},
		{"acme", "shop", "canary-2", ""},
		{"acme", "shop", "canary-2", ""},
		{"other", "shop", "", core.CodeNotFound},
		{"acme", "old", "x", ""},
		{"acme", "mine", "", core.CodeNotFound},
		{"default", "stolen", "", core.CodeDenied},
		{"default", "", "", core.CodeNotFound},
	} {
		got, err := v.Secret(r.tenant, r.name)
		if r.code != "" {
			wants(t, err, r.code)
		} else if err != nil || got.Reveal() != r.want {
			t.Errorf("%s %s: %q, %v", r.tenant, r.name, got.Reveal(), err)
		}
		if err != nil && strings.Contains(err.Error(), "canary") {
			t.Errorf("shown: %v", err)
		}
	}
	kept := v.held.Load().byName[secretName{"acme", "shop"}].value.Load()
	state = &core.State{Credentials: []core.Credential{row("default", "1", "shop", "canary-3"), state.Credentials[1]}}
	v.Use(state)
	if got, err := v.Secret("default", "shop"); err != nil || got.Reveal() != "canary-3" {
		t.Errorf("after the change: %q, %v", got.Reveal(), err)
	}
	if v.held.Load().byName[secretName{"acme", "shop"}].value.Load() != kept {
		t.Error("what did not change was closed")
	}
}

func TestKeyFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "data")
	v := openVault(t, Options{Dir: dir})
	path := filepath.Join(dir, "vault-keys.json")
	about, err := os.Stat(path)
	if err != nil || about.Mode().Perm() != 0o600 {
		t.Fatal(about.Mode(), err)
	}
	token := seal(t, v, "row", "x")
	if plain, err := openVault(t, Options{Dir: dir}).Open("row", token); err != nil || string(plain) != "x" {
		t.Errorf("the next start reads %q, %v", plain, err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string]struct {
		text string
		mode os.FileMode
		code core.Code
	}{
		"others may read it": {string(whole), 0o644, core.CodeDenied},
		"its group may":      {string(whole), 0o640, core.CodeDenied},
		"empty":              {"", 0o600, core.CodeInvalid},
		"no keys":            {`{"keys":[]}`, 0o600, core.CodeInvalid},
		"cut off":            {string(whole[:len(whole)/2]), 0o600, core.CodeInvalid},
		"a short key":        {`{"keys":[{"kid":"a","key":"c2hvcnQ="}]}`, 0o600, core.CodeInvalid},
		"zeros":              {`{"keys":[{"kid":"a","key":"` + base64.StdEncoding.EncodeToString(make([]byte, 32)) + `"}]}`, 0o600, core.CodeInvalid},
		"a bad id":           {strings.Replace(string(whole), v.Kid(), "a.b", 1), 0o600, core.CodeInvalid},
	} {
		if err := os.WriteFile(path, []byte(r.text), r.mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, r.mode); err != nil {
			t.Fatal(err)
		}
		_, err := Open(t.Context(), Options{Dir: dir})
		if err == nil || core.AsError(err).Code != r.code || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && strings.Contains(err.Error(), encodedKey(v)) {
			t.Errorf("%s: the error shows the key", name)
		}
	}
}

func encodedKey(v *Vault) string {
	return base64.StdEncoding.EncodeToString(v.ring.sealing().secret[:])
}

// Processes that start at the same moment in one directory agree on one key.
func TestKeyFileIsMadeOnce(t *testing.T) {
	dir := t.TempDir()
	var all sync.WaitGroup
	kids := make([]string, 8)
	for i := range kids {
		all.Go(func() {
			v, err := Open(t.Context(), Options{Dir: dir})
			if err != nil {
				t.Error(err)
				return
			}
			kids[i] = v.Kid()
		})
	}
	all.Wait()
	if slices.Sort(kids); kids[0] == "" || kids[0] != kids[7] {
		t.Errorf("keys %v", kids)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".vault-*")); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
}

// randomKey makes a line of Options.Keys.
func randomKey(t testing.TB, kid string) string {
	t.Helper()
	k, err := makeKey(noon, openRand{})
	if err != nil {
		t.Fatal(err)
	}
	return kid + ":" + base64.StdEncoding.EncodeToString(k.secret[:])
}

func TestGivenKeys(t *testing.T) {
	one, two := randomKey(t, "one"), randomKey(t, "two")
	v := openVault(t, Options{Keys: core.Secret(one)})
	token := seal(t, v, "row", "x")
	both := openVault(t, Options{Keys: core.Secret(two + " ,\n" + one)})
	if plain, err := both.Open("row", token); err != nil || string(plain) != "x" || both.Kid() != "two" {
		t.Errorf("%q, %v, seals with %s", plain, err, both.Kid())
	}
	_, err := openVault(t, Options{Keys: core.Secret(two)}).Open("row", token)
	wants(t, err, core.CodeNotFound)
	_, secret, _ := strings.Cut(one, ":")
	for _, text := range []string{
		"one", "one:", ":" + secret, "a b:" + secret, "a.b:" + secret, one + "," + one, one + ",", "one:c2hvcnQ=", "one:" + secret + "!", "one:" + secret[1:],
		"one:" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("password"), 4)), strings.Repeat("k", 65) + ":" + secret,
	} {
		_, err := Open(t.Context(), Options{Keys: core.Secret(text)})
		wants(t, err, core.CodeInvalid)
		if err != nil && (strings.Contains(err.Error(), secret[4:20]) || strings.Contains(err.Error(), "c2hvcnQ")) {
			t.Errorf("shown: %v", err)
		}
	}
	for _, o := range []Options{{}, {Keys: core.Secret(one), Command: []string{"/bin/true"}}} {
		_, err := Open(t.Context(), o)
		wants(t, err, core.CodeInvalid)
	}
	for _, spelled := range []string{
		strings.TrimRight(secret, "="), strings.NewReplacer("+", "-", "/", "_").Replace(secret),
	} {
		if plain, err := openVault(t, Options{Keys: core.Secret("one:" + spelled)}).Open("row", token); err != nil || string(plain) != "x" {
			t.Errorf("%s: %v", spelled, err)
		}
	}
}

// Whoever had a key file and is given keys still opens what the file sealed.
func TestFromFileToGivenKeys(t *testing.T) {
	dir := t.TempDir()
	old := openVault(t, Options{Dir: dir})
	token := seal(t, old, "row", "x")
	v := openVault(t, Options{Dir: dir, Keys: core.Secret(randomKey(t, "new"))})
	if plain, err := v.Open("row", token); err != nil || string(plain) != "x" {
		t.Fatal(err)
	}
	fresh, changed, err := v.Rewrap(token, "row")
	if err != nil || !changed || !strings.HasPrefix(fresh, "sv1.new.") {
		t.Fatal(fresh, changed, err)
	}
	_, err = v.Rotate()
	wants(t, err, core.CodeReadOnly)
}

// Keys and secrets are in no text that anybody could print by mistake.
func TestNothingIsShown(t *testing.T) {
	log, out := written()
	dir := t.TempDir()
	given := randomKey(t, "one")
	o := Options{Dir: dir, Keys: core.Secret(given), Log: log}
	file := openVault(t, Options{Dir: dir, Log: log})
	v := openVault(t, o)
	c := core.Credential{Tenant: "default", ID: "1", Name: "shop"}
	c.Sealed = seal(t, v, core.SealedRow, "canary", core.CredentialBind(&c)...)
	v.Use(&core.State{Credentials: []core.Credential{c}})
	if _, err := v.Secret("default", "shop"); err != nil {
		t.Fatal(err)
	}
	store := newShelf()
	if err := v.Check(t.Context(), store); err != nil {
		t.Fatal(err)
	}
	snapshot := NewSnapshot(SnapshotOptions{Vault: v, Path: filepath.Join(dir, "state")})
	if err := snapshot.Save(&core.State{Credentials: []core.Credential{c}}); err != nil {
		t.Fatal(err)
	}
	log.Info("all", "vault", v, "options", o)
	inside := struct{ V *Vault }{v}
	text := out.String()
	for _, value := range []any{v, o, &o, inside, &inside, snapshot, v.ring.given[0], file, v.ring.sealing(), store.entries} {
		text += verbs(value)
		if b, err := json.Marshal(value); err == nil {
			text += string(b)
		}
	}
	for _, part := range []string{given[4:20], "canary", hex.EncodeToString([]byte("canary"))} {
		if strings.Contains(text, part) {
			t.Errorf("%s is shown", part)
		}
	}
	for _, k := range []*key{v.ring.given[0], file.ring.sealing()} {
		for _, form := range []string{base64.StdEncoding.EncodeToString(k.secret[:])[:12], hex.EncodeToString(k.secret[:8]), strings.Trim(strings.ReplaceAll(verbs(k.secret[:4])[:10], "]", ""), "[")} {
			if strings.Contains(text, form) {
				t.Errorf("a key is shown as %s", form)
			}
		}
	}
	for _, name := range []string{"vault-keys.json", "vault-root.json", "state"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		root := v.root.Load()
		if bytes.Contains(b, []byte("canary")) || bytes.Contains(b, root[:]) || strings.Contains(string(b), base64.StdEncoding.EncodeToString(root[:])) {
			t.Errorf("%s holds something open", name)
		}
	}
	t.Run("the test bites", func(t *testing.T) {
		naked := struct{ Keys string }{given}
		if !strings.Contains(verbs(naked), given[4:20]) {
			t.Error("a text that shows is not seen")
		}
	})
}

// An unknown key id makes the file be read again, so that a rotation elsewhere is
// noticed, but not for every foreign token.
func TestRotationElsewhere(t *testing.T) {
	dir := t.TempDir()
	now := noon
	v := openVault(t, Options{Dir: dir, Now: func() time.Time { return now }})
	other := openVault(t, Options{Dir: dir})
	first, err := other.Rotate()
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := v.Open("row", seal(t, other, "row", "x")); err != nil || string(plain) != "x" || v.Kid() != first {
		t.Errorf("%q, %v, seals with %s", plain, err, v.Kid())
	}
	if _, err := other.Rotate(); err != nil {
		t.Fatal(err)
	}
	token := seal(t, other, "row", "x")
	_, err = v.Open("row", token)
	wants(t, err, core.CodeNotFound)
	now = now.Add(rereadEvery)
	if _, err := v.Open("row", token); err != nil {
		t.Error(err)
	}
}

func TestAnythingComesBack(t *testing.T) {
	v := openVault(t, Options{Dir: t.TempDir()})
	rapid.Check(t, func(t *rapid.T) {
		plain := rapid.SliceOf(rapid.Byte()).Draw(t, "plain")
		purpose, bind := rapid.String().Draw(t, "purpose"), rapid.SliceOfN(rapid.String(), 0, 4).Draw(t, "bind")
		token, err := v.Seal(purpose, plain, bind...)
		if err != nil {
			t.Fatal(err)
		}
		got, err := v.Open(purpose, token, bind...)
		if err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("%q, %v", got, err)
		}
		other := rapid.SliceOfN(rapid.String(), 0, 4).Draw(t, "other")
		if _, err := v.Open(purpose, token, other...); (err == nil) != slices.Equal(bind, other) {
			t.Fatalf("bound to %q, with %q: %v", bind, other, err)
		}
	})
}

// What is parsed and written again is the same text, and nothing panics.
func FuzzParse(f *testing.F) {
	v := openVault(f, Options{Dir: f.TempDir()})
	f.Add(seal(f, v, "row", "x", "a"))
	f.Add(seal(f, v, "row", "", "a"))
	for _, s := range []string{"", "sv1.", "sv1.a", "sv1.a.", "sv1.a.AAAA", "sv1..AAAA", "sv1.a.AAA\n", "sv1.a.//8", "sv2.a.AAAA"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, token string) {
		s, ok := parse(token)
		if ok && s.String() != token {
			t.Errorf("%q is written as %q", token, s.String())
		}
		_, err := v.Open("fuzz", token)
		wants(t, err, core.CodeNotFound)
		_, _, _ = v.Rewrap(token, "fuzz")
	})
}

func BenchmarkSeal(b *testing.B) {
	v := openVault(b, Options{Dir: b.TempDir()})
	for b.Loop() {
		seal(b, v, "row", "a secret of some length", "default", "credential", "sealed", "1")
	}
}

func BenchmarkOpen(b *testing.B) {
	v := openVault(b, Options{Dir: b.TempDir()})
	token := seal(b, v, "row", "a secret of some length", "a")
	for b.Loop() {
		if _, err := v.Open("row", token, "a"); err != nil {
			b.Fatal(err)
		}
	}
}
