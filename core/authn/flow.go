package authn

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/sallyport/sallyport/core"
)

// flow is a login by OpenID Connect between its beginning and its end. It travels in a
// cookie, sealed; nothing of it is kept but that its state came back, here and, for the other
// replicas, in the store.
type flow struct {
	Tenant   string    `json:"tenant"`
	Provider string    `json:"provider"`
	Issuer   string    `json:"issuer"`
	State    string    `json:"state"`
	Nonce    string    `json:"nonce"`
	Verifier string    `json:"verifier"` // PKCE (RFC 7636)
	Redirect string    `json:"redirect"`
	Return   string    `json:"return"`
	Login    string    `json:"login,omitempty"` // of the login that is to be proved again
	User     string    `json:"user,omitempty"`  // and its user
	Expires  time.Time `json:"expires"`
}

const (
	flowPurpose = "oidc flow"
	flowTime    = 10 * time.Minute
	maxFlows    = 100_000 // that came back within flowTime
	maxReturn   = 2048
)

// refusedFlow is the one error of a flow that is not as it was begun.
func refusedFlow() error {
	return &core.Error{Code: core.CodeUnauthenticated, Message: "this login was not begun here, or has been finished or expired", Fix: "begin again"}
}

// Begin begins a login by a provider: redirect the browser to authorizeURL, with flow in a
// cookie (__Host-, Secure, HttpOnly, SameSite=Lax, 10 min: it must come along when the
// provider sends the browser back). returnTo is the local path where the browser goes in
// the end; redirectURI is our callback, exactly as the provider knows it. prove, where it
// is not nil, is a login to be proved again: the provider asks its user once more, and the
// login that Finish makes takes its place.
func (l *Logins) Begin(ctx context.Context, tenant, providerID, returnTo, redirectURI string, prove *core.Login) (authorizeURL string, flowCookie core.Secret, err error) {
	if tenant == "" {
		tenant = core.DefaultTenant
	}
	if !l.skip["return"] && !localPath(returnTo) {
		return "", "", &core.Error{Code: core.CodeInvalid, Message: "the place to return to is not a path of this site", Fix: "begin it with one slash"}
	}
	p, err := l.provider(ctx, tenant, providerID)
	if err != nil {
		return "", "", err
	}
	m, err := l.a.issuerOf(p).describe(ctx)
	if err != nil {
		return "", "", err
	}
	if !endpoint(m.Authorize) || !endpoint(m.Token) {
		return "", "", away("endpoints", nil)
	}
	b, err := randomBytes(l.a.random, 96)
	if err != nil {
		return "", "", err
	}
	f := flow{
		Tenant: tenant, Provider: p.ID, Issuer: p.Issuer, State: encode64(b[:32]), Nonce: encode64(b[32:64]), Verifier: encode64(b[64:]),
		Redirect: redirectURI, Return: returnTo, Expires: l.a.now().Add(flowTime),
	}
	config := l.client(p, m, redirectURI, "")
	options := []oauth2.AuthCodeOption{oidc.Nonce(f.Nonce)}
	if !l.skip["pkce"] {
		options = append(options, oauth2.S256ChallengeOption(f.Verifier))
	}
	if prove != nil {
		if prove.Tenant != tenant || prove.Provider != p.ID {
			return "", "", &core.Error{Code: core.CodeInvalid, Message: "the login was not made by this identity provider", Fix: "prove it the way it was made"}
		}
		f.Login, f.User = prove.ID, prove.User
		options = append(options, oauth2.SetAuthURLParam("prompt", "login"), oauth2.SetAuthURLParam("max_age", "0"))
	}
	plain, err := json.Marshal(f)
	if err != nil {
		return "", "", err
	}
	sealed, err := l.a.sealer.Seal(flowPurpose, plain)
	if err != nil {
		return "", "", err
	}
	return config.AuthCodeURL(f.State, options...), core.Secret(sealed), nil
}

// provider returns a provider that people may log in by.
func (l *Logins) provider(ctx context.Context, tenant, id string) (*core.Provider, error) {
	unknown := &core.Error{Code: core.CodeNotFound, Message: "there is no such identity provider to log in by", Fix: "choose another way"}
	if err := l.tenantOpen(ctx, tenant, unknown); err != nil {
		return nil, err
	}
	p := &core.Provider{Tenant: tenant, ID: id}
	missing, err := get(ctx, l.a.store, p)
	if err != nil {
		return nil, err
	}
	if missing || p.Disabled || !p.Login || p.ClientID == "" || p.Issuer == "" {
		return nil, unknown
	}
	return p, nil
}

func (l *Logins) client(p *core.Provider, m *metadata, redirect, secret string) *oauth2.Config {
	scopes := []string{oidc.ScopeOpenID}
	for _, s := range p.Scopes {
		if !slices.Contains(scopes, s) {
			scopes = append(scopes, s)
		}
	}
	return &oauth2.Config{
		ClientID: p.ClientID, ClientSecret: secret, RedirectURL: redirect, Scopes: scopes,
		Endpoint: oauth2.Endpoint{AuthURL: m.Authorize, TokenURL: m.Token, AuthStyle: authStyle(secret, m.AuthMethods)},
	}
}

// localPath tells whether a text is a path on this site and nothing else: browsers take
// // and /\ for the beginning of another one.
func localPath(text string) bool {
	if len(text) > maxReturn || !strings.HasPrefix(text, "/") || strings.HasPrefix(text, "//") || strings.ContainsRune(text, '\\') {
		return false
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return false
	}
	u, err := url.Parse(text)
	return err == nil && u.Scheme == "" && u.Host == "" && u.User == nil && !strings.HasPrefix(u.Path, "//") && !strings.HasPrefix(u.Path, `/\`)
}

// Finish ends a login that Begin began: flowCookie is its cookie, query what the provider
// sent the browser back with, redirectURI where to. Users are found by provider and
// subject only. Delete the cookie whatever comes out.
func (l *Logins) Finish(ctx context.Context, flowCookie core.Secret, query url.Values, redirectURI string, from From) (*Granted, string, error) {
	f, err := l.openFlow(flowCookie, query, redirectURI)
	if err == nil {
		err = l.claim(ctx, f)
	}
	if err != nil {
		return nil, "", l.failed(ctx, core.DefaultTenant, nil, from, err)
	}
	p, err := l.provider(ctx, f.Tenant, f.Provider)
	if err != nil {
		return nil, "", err
	}
	if p.Issuer != f.Issuer {
		return nil, "", refusedFlow() // it was changed meanwhile
	}
	is := l.a.issuerOf(p)
	m, err := is.describe(ctx)
	if err != nil {
		return nil, "", err
	}
	if iss := query.Get("iss"); !l.skip["iss"] && (iss != "" && iss != p.Issuer || iss == "" && m.IssParameter) {
		return nil, "", l.failed(ctx, f.Tenant, nil, from, refusedFlow()) // RFC 9207, section 2.4
	}
	if query.Has("error") {
		return nil, "", l.failed(ctx, f.Tenant, nil, from, &core.Error{Code: core.CodeDenied, Message: "the identity provider did not let you in", Fix: "try again, or choose another way"})
	}
	says, err := l.exchange(ctx, p, is, m, f, query.Get("code"))
	if err != nil {
		return nil, "", l.failed(ctx, f.Tenant, nil, from, err)
	}
	g, err := l.admit(ctx, p, f, says, from)
	if err != nil {
		return nil, "", err
	}
	return g, f.Return, nil
}

// openFlow opens a flow, and holds what came back against it. Its state is used up.
func (l *Logins) openFlow(cookie core.Secret, query url.Values, redirectURI string) (*flow, error) {
	plain, err := l.a.sealer.Open(flowPurpose, cookie.Reveal())
	if err != nil {
		return nil, refusedFlow()
	}
	var f flow
	if err := json.Unmarshal(plain, &f); err != nil {
		return nil, refusedFlow()
	}
	for _, name := range []string{"state", "code", "iss", "error"} {
		if len(query[name]) > 1 {
			return nil, refusedFlow()
		}
	}
	now := l.a.now()
	if !now.Before(f.Expires) ||
		!l.skip["redirect"] && f.Redirect != redirectURI ||
		!l.skip["state"] && (f.State == "" || !equal(f.State, query.Get("state"))) {
		return nil, refusedFlow()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, again := l.used[f.State]; again && !l.skip["replay"] {
		return nil, refusedFlow()
	}
	if len(l.used) >= maxFlows {
		for state, until := range l.used {
			if !now.Before(until) {
				delete(l.used, state)
			}
		}
		if len(l.used) >= maxFlows {
			return nil, &core.Error{Code: core.CodeLimited, Message: "too many logins at once", Fix: "try again in a minute", RetryAfter: 60}
		}
	}
	l.used[f.State] = f.Expires
	return &f, nil
}

// flowSpace holds the states that came back. The dot keeps it apart from plugins.
const flowSpace = ".logins"

// claim uses up the state of a flow for every replica: the first that comes back with it
// has it.
func (l *Logins) claim(ctx context.Context, f *flow) error {
	if l.skip["replay"] {
		return nil
	}
	row := &core.Entry{Tenant: f.Tenant, Namespace: flowSpace, Name: hexSum(f.State), Value: []byte{1}, Expires: &f.Expires}
	err := l.a.store.Change(ctx, nil, func(ctx context.Context, tx core.Tx) error { return tx.Put(ctx, row) })
	if core.AsError(err).Code == core.CodeConflict {
		return refusedFlow()
	}
	return err
}

// exchange gets the ID token for a code and believes it, or not (OpenID Connect Core 1.0,
// section 3.1.3.7).
func (l *Logins) exchange(ctx context.Context, p *core.Provider, is *issuer, m *metadata, f *flow, code string) (claims, error) {
	secret, err := l.a.clientSecret(p)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*fetchTime)
	defer cancel()
	ctx = context.WithValue(ctx, oauth2.HTTPClient, &http.Client{
		Transport:     l.a.out,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	})
	var options []oauth2.AuthCodeOption
	if !l.skip["pkce"] {
		options = append(options, oauth2.VerifierOption(f.Verifier))
	}
	token, err := l.client(p, m, f.Redirect, secret).Exchange(ctx, code, options...)
	if err != nil {
		var answered *oauth2.RetrieveError
		if errors.As(err, &answered) && answered.Response != nil && answered.Response.StatusCode < 500 {
			return nil, refusedFlow()
		}
		return nil, away("tokens", nil) // the error may show what was sent
	}
	raw, _ := token.Extra("id_token").(string)
	t, fits := takeApart(raw)
	if !fits {
		return nil, refusedFlow()
	}
	verifier := oidc.NewVerifier(p.Issuer, keySet{l.a, is}, &oidc.Config{ClientID: p.ClientID, SupportedSigningAlgs: algorithms, Now: l.a.now})
	id, err := verifier.Verify(ctx, raw)
	if err != nil {
		if core.AsError(err).Code == core.CodeUnavailable {
			return nil, err
		}
		return nil, refusedFlow()
	}
	says := t.claims
	azp := says.text("azp")
	switch {
	case !l.skip["nonce"] && (f.Nonce == "" || !equal(id.Nonce, f.Nonce)),
		azp != "" && azp != p.ClientID || azp == "" && len(id.Audience) > 1,
		id.Subject == "" || len(id.Subject) > maxSubject,
		id.IssuedAt.After(l.a.now().Add(leeway)),
		id.AccessTokenHash != "" && id.VerifyAccessToken(token.AccessToken) != nil:
		return nil, refusedFlow()
	}
	return says, nil
}

// keySet lets go-oidc ask our keys.
type keySet struct {
	a  *Authn
	is *issuer
}

// VerifySignature returns the payload of a JWT that the issuer signed.
func (k keySet) VerifySignature(ctx context.Context, raw string) ([]byte, error) {
	t, fits := takeApart(raw)
	if !fits || t.header.has("crit") {
		return nil, errRefused
	}
	if err := k.a.verify(ctx, k.is, raw, t); err != nil {
		return nil, err
	}
	return decode64(strings.Split(raw, ".")[1]), nil
}

// admit makes a login for whom a provider vouches for, and first a user where the provider
// may make some.
func (l *Logins) admit(ctx context.Context, p *core.Provider, f *flow, says claims, from From) (*Granted, error) {
	stranger := &core.Error{Code: core.CodeDenied, Message: "your account is not known here, or may not log in", Fix: "ask an administrator"}
	u, err := l.oneUser(ctx, p.Tenant, map[string]string{"provider": p.ID, "external": says.text("sub")})
	if err != nil {
		return nil, err
	}
	if u == nil && p.Provision {
		u, err = l.a.keepUser(ctx, &provision{user: *newcomer(p.Tenant, p, says), via: core.ViaLogin})
		if err != nil {
			return nil, err
		}
	}
	if u == nil || u.Disabled || u.Service || u.Provider != p.ID || u.External != says.text("sub") {
		return nil, l.failed(ctx, p.Tenant, u, from, stranger)
	}
	if f.Login != "" {
		// Somebody else logged in there, or nobody was asked (OpenID Connect Core 1.0,
		// section 2: auth_time is there when max_age was).
		if at, found := says.moment("auth_time"); f.User != u.ID || !found || l.a.now().Sub(at) > leeway+flowTime {
			return nil, l.failed(ctx, p.Tenant, u, from, refusedFlow())
		}
	}
	groups, said := says.groups(p)
	return l.grant(ctx, u, p.ID, from, f.Login, func(u *core.User) bool {
		changed := said && !sameGroups(u.Groups, groups)
		if changed {
			u.Groups = groups
		}
		return changed
	})
}

// Providers returns those that people of a tenant log in by, without their secrets.
func (l *Logins) Providers(ctx context.Context, tenant string) ([]core.Provider, error) {
	switch tenant {
	case "":
		tenant = core.DefaultTenant
	case core.EveryTenant:
		return nil, nil // it is no tenant
	}
	var out []core.Provider
	for after := ""; ; {
		var rows []core.Provider
		next, err := l.a.store.List(ctx, &rows, core.Query{Tenant: tenant, Limit: 1000, After: after})
		if err != nil {
			return nil, err
		}
		for i := range rows {
			if rows[i].Login && !rows[i].Disabled && rows[i].ClientID != "" {
				rows[i].ClientSecret = ""
				out = append(out, rows[i])
			}
		}
		if after = next; after == "" {
			return out, nil
		}
	}
}
