package authn

import (
	"crypto/sha256"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

// unauthenticated is the one error of every credential that is missing (sent is false) or
// wrong.
func (a *Authn) unauthenticated(ix *index, request *core.AuthRequest, sent bool) error {
	err := &core.Error{
		Code: core.CodeUnauthenticated, Message: "a credential is needed",
		Fix:       "send an access token or an API token as Authorization: Bearer",
		Challenge: a.challenge(ix, request, "", a.scopesOf(request)),
	}
	if sent {
		err.Message = "the credential is not valid here"
		err.Challenge = a.challenge(ix, request, "invalid_token", a.scopesOf(request))
	}
	return err
}

// challenge writes a value of WWW-Authenticate (RFC 6750 section 3, RFC 9728 section 5.1).
func (a *Authn) challenge(ix *index, request *core.AuthRequest, problem string, scopes []string) string {
	var parts []string
	if problem != "" {
		parts = append(parts, `error="`+problem+`"`)
	}
	if len(ix.providersFor(tenantOf(request), false)) > 0 {
		if request.Metadata != "" {
			parts = append(parts, `resource_metadata="`+quotable(request.Metadata)+`"`)
		}
		if scopes := offered(scopes); len(scopes) > 0 {
			parts = append(parts, `scope="`+strings.Join(scopes, " ")+`"`)
		}
	}
	if len(parts) == 0 {
		return "Bearer"
	}
	return "Bearer " + strings.Join(parts, ", ")
}

func tenantOf(request *core.AuthRequest) string {
	if request.Tenant == "" {
		return core.DefaultTenant
	}
	return request.Tenant
}

// quotable leaves out of a URL what could end the quotes around it.
func quotable(text string) string {
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r == '"' || r == '\\' || r >= 0x7f {
			return -1
		}
		return r
	}, text)
}

// offered are the scopes that a challenge or metadata may name: scope-tokens of RFC 6749
// section 3.3, and never offline_access, which is the client's affair.
func offered(scopes []string) []string {
	out := []string{}
	for _, s := range scopes {
		bad := strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == '"' || r == '\\' || r >= 0x7f })
		if s != "" && !bad && s != "offline_access" && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// scopesOf returns what a server asks for. One that does not exist asks for what some
// server of the tenant asks for, always the same for the same path.
func (a *Authn) scopesOf(request *core.AuthRequest) []string {
	if request.Server != nil {
		return request.Server.Access.Scopes
	}
	if a.scopeSets == nil {
		return nil
	}
	sets := a.scopeSets(tenantOf(request))
	if len(sets) == 0 {
		return nil
	}
	sum := sha256.Sum256([]byte(request.Resource))
	return sets[(int(sum[0])<<8|int(sum[1]))%len(sets)]
}

// Metadata returns the RFC 9728 metadata of an endpoint. ok is false where the tenant has
// no authorization server whose tokens open anything; then there is none. It is the same
// whether or not there is such a server.
func (a *Authn) Metadata(request *core.AuthRequest) (body []byte, ok bool) {
	ix := a.index.Load()
	if ix == nil || !ix.tenants[tenantOf(request)] {
		return nil, false
	}
	var issuers []string
	for _, p := range ix.providersFor(tenantOf(request), false) {
		if !slices.Contains(issuers, p.Issuer) {
			issuers = append(issuers, p.Issuer)
		}
	}
	if len(issuers) == 0 {
		return nil, false
	}
	out := struct {
		Resource string   `json:"resource"`
		Issuers  []string `json:"authorization_servers"`
		Scopes   []string `json:"scopes_supported,omitempty"`
		Methods  []string `json:"bearer_methods_supported"`
	}{request.Resource, issuers, offered(a.scopesOf(request)), []string{"header"}}
	body, err := wire.Marshal(out)
	return body, err == nil
}

// Scopes tells whether the access token of who was granted what an operation needs: need
// (what a tool asks for) and the scopes of the server itself. The error has CodeScope and
// a challenge that names all of them, so that one step up is enough; that of an anonymous
// caller has CodeUnauthenticated. API tokens, logins and the operator's token have other
// scopes, which core.Authorizer holds against the operation.
func (a *Authn) Scopes(who core.Identity, need []string, request *core.AuthRequest) error {
	if who.Via != core.ViaOAuth && !who.Anonymous() || a.skip["scope"] {
		return nil
	}
	all := need
	if request.Server != nil && !who.Anonymous() {
		all = slices.Concat(request.Server.Access.Scopes, need)
	}
	enough := true
	for _, one := range all {
		enough = enough && one != "" && granted(who.Scopes, one)
	}
	if enough {
		return nil
	}
	ix := a.index.Load()
	if ix == nil {
		ix = newIndex(&core.State{})
	}
	if who.Anonymous() {
		if request.Server != nil {
			all = slices.Concat(request.Server.Access.Scopes, need)
		}
		return &core.Error{
			Code: core.CodeUnauthenticated, Message: "a credential is needed", Fix: "send an access token as Authorization: Bearer",
			Challenge: a.challenge(ix, request, "", all),
		}
	}
	return &core.Error{
		Code: core.CodeScope, Message: "the access token was granted too little for this", Fix: "ask the authorization server for the scopes: " + strings.Join(offered(all), " "),
		Challenge: a.challenge(ix, request, "insufficient_scope", all),
	}
}

// granted tells whether one of the scopes of a token covers what is needed: it is the
// same, or ends with a star behind a separator and begins the needed one (files:* covers
// files:read). A star alone covers nothing.
func granted(scopes []string, need string) bool {
	for _, s := range scopes {
		if s == need {
			return true
		}
		stem, star := strings.CutSuffix(s, "*")
		if star && len(stem) > 1 && strings.ContainsRune(":./", rune(stem[len(stem)-1])) && len(need) > len(stem) && strings.HasPrefix(need, stem) {
			return true
		}
	}
	return false
}
