package authn

import (
	"context"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
)

type benchHeader string

func (h benchHeader) Get(string) string { return string(h) }

// A token that is in the cache: what nearly every call costs.
func BenchmarkAuthenticate(b *testing.B) {
	token, sum, _, err := MintToken(nil, "live", "t1")
	if err != nil {
		b.Fatal(err)
	}
	a := New(Options{Now: time.Now})
	a.Use(&core.State{
		Users:  []core.User{{Tenant: core.DefaultTenant, ID: "u1", Roles: []string{"member"}}},
		Tokens: []core.Token{{Tenant: core.DefaultTenant, ID: "t1", User: "u1", Sum: sum}},
	})
	request := &core.AuthRequest{Server: &core.Server{}, Resource: resource, Header: benchHeader("Bearer " + token.Reveal())}
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := a.Authenticate(ctx, request); err != nil {
			b.Fatal(err)
		}
	}
}

// The same for an access token of some 800 bytes.
func BenchmarkAuthenticateOAuth(b *testing.B) {
	now := newClock()
	claims := map[string]any{"iss": "https://idp.example", "sub": "ada", "aud": resource, "exp": now.now().Add(time.Hour).Unix(), "pad": string(make([]byte, 100))}
	token := signWith(ecKey(), "ec", "at+jwt", claims)
	a := New(Options{Now: now.now})
	a.verify = func(context.Context, *issuer, string, *signed) error { return nil }
	a.Use(&core.State{Providers: []core.Provider{{Tenant: core.DefaultTenant, ID: "p", Issuer: "https://idp.example", Resource: true, Provision: true}}})
	request := &core.AuthRequest{Server: &core.Server{}, Resource: resource, Header: benchHeader("Bearer " + token)}
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := a.Authenticate(ctx, request); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyPassword(b *testing.B) {
	p := NewPasswords(PasswordOptions{})
	for b.Loop() {
		_, _, _ = p.Verify(context.Background(), "", "a password")
	}
}
