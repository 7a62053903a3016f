package web

import (
	"crypto/sha256"
	"crypto/subtle"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/core"
)

// The cookies. With __Host- a browser takes them over TLS only, from no other host and
// for no other path (RFC 6265bis, section 4.1.3.2). Over plain HTTP, which serves this
// machine alone, browsers refuse that prefix.
const (
	cookieSecure = "__Host-sallyport"
	cookiePlain  = "sallyport"
	flowSuffix   = "-flow" // of a login by a provider, or of a connection, on its way
)

var errUnknown = &core.Error{
	Code: core.CodeUnauthenticated, Message: "it is not known who calls",
	Fix: "log in, or send Authorization: Bearer TOKEN with an API token, or with the value of admin.token in the settings",
}

// cookieName returns the name of the login cookie for this request; "" when a browser may
// not log in this way.
func (r *apiRequest) cookieName() string {
	switch {
	case r.secure:
		return cookieSecure
	case r.near:
		return cookiePlain
	}
	return ""
}

// cookie returns the value of a cookie; more tells that there are two of that name, of
// which nobody can say which is ours.
func (r *apiRequest) cookie(name string) (value string, more bool) {
	if name == "" {
		return "", false
	}
	found := false
	for _, line := range r.header.Values("Cookie") {
		for line != "" {
			var pair string
			pair, line, _ = strings.Cut(line, ";")
			key, text, _ := strings.Cut(strings.Trim(pair, " \t"), "=")
			if key != name {
				continue
			}
			if found {
				return "", true
			}
			value, found = text, true
		}
	}
	return value, false
}

// setCookie hands a cookie to the browser; life 0 takes it away. A strict one is sent by
// no page of others; a lax one also when another page leads here, which a provider does.
func (c *apiCall) setCookie(name string, value core.Secret, life time.Duration, strict bool) {
	var b strings.Builder
	b.WriteString(name + "=" + value.Reveal() + "; Path=/; HttpOnly")
	if c.request.secure {
		b.WriteString("; Secure")
	}
	if strict {
		b.WriteString("; SameSite=Strict")
	} else {
		b.WriteString("; SameSite=Lax")
	}
	if life <= 0 {
		b.WriteString("; Max-Age=0")
	} else {
		b.WriteString("; Max-Age=" + decimal(int64(life/time.Second)))
	}
	c.cookies = slices.DeleteFunc(c.cookies, func(one string) bool { return strings.HasPrefix(one, name+"=") })
	c.cookies = append(c.cookies, b.String())
}

// identify fills in who calls: by the cookie of a login, or by a token, never by both. No
// credential is no error; one that is wrong is.
func (c *apiCall) identify() error {
	r := c.request
	name := r.cookieName()
	cookie, twice := r.cookie(name)
	header := r.header.Get("Authorization")
	switch {
	case twice:
		return &core.Error{Code: core.CodeUnauthenticated, Message: "there are two login cookies", Fix: "delete the cookies of this site and log in again"}
	case cookie != "" && header != "":
		return &core.Error{Code: core.CodeInvalid, Message: "there are a login cookie and a token", Fix: "send one of them"}
	case cookie != "":
		return c.identifyLogin(name, core.Secret(cookie))
	case header != "":
		return c.identifyToken(header)
	}
	return nil
}

func (c *apiCall) identifyLogin(name string, cookie core.Secret) error {
	if c.api.o.Logins == nil {
		return errUnknown
	}
	found, err := c.api.o.Logins.Find(c.ctx, cookie)
	if err != nil {
		if core.AsError(err).Code == core.CodeUnauthenticated {
			c.setCookie(name, "", 0, true)
		}
		return err
	}
	c.login, c.who, c.cookie = found, found.Who, cookie
	c.who.Address = c.request.address
	return nil
}

func (c *apiCall) identifyToken(header string) error {
	token, found := strings.CutPrefix(header, "Bearer ")
	if !found || token == "" {
		return errUnknown
	}
	if c.api.operator != nil {
		sum := sha256.Sum256([]byte(token))
		if subtle.ConstantTimeCompare(sum[:], c.api.operator[:]) == 1 {
			c.who = core.Identity{
				Subject: operatorID, Name: operatorID, Via: core.ViaOperator, Credential: operatorID,
				Everywhere: []string{"admin"}, Address: c.request.address,
			}
			return nil
		}
	}
	if c.api.o.Tokens == nil {
		return errUnknown
	}
	who, err := c.api.o.Tokens.Identify(core.Secret(token), c.request.address)
	if err != nil {
		return err
	}
	c.who = who
	c.who.Address = c.request.address
	return nil
}

// safe tells whether a method changes nothing.
func safe(method string) bool { return method == "GET" || method == "HEAD" }

// checkOrigin refuses pages of others. Same host and another port is another origin.
func (c *apiCall) checkOrigin() error {
	r := c.request
	if r.origin == "" || c.api.lax.origin || r.origin == r.public || slices.Contains(c.api.o.Origins, r.origin) {
		return nil
	}
	scheme := "http://"
	if r.secure {
		scheme = "https://"
	}
	if strings.EqualFold(r.origin, scheme+r.host) {
		return nil
	}
	return &core.Error{Code: codeOrigin, Message: "web pages of this origin may not call the admin plane", Fix: "call it from its own pages or from a program, or add the origin to the allowed origins in the settings"}
}

// strays tells whether a page of others makes the browser ask, by a picture, a frame or a
// link, which come without an Origin (Fetch Metadata, W3C). Another port of this machine, or
// another host of our domain, is of the same site, and even strict cookies come along: what
// is read and written to the audit trail, such as an export, would be done in the name of
// whoever is logged in. Only what leads on to connect an account may be linked to.
func (c *apiCall) strays() bool {
	h := c.request.header
	if c.request.origin != "" { // checked already
		return false
	}
	switch h.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none": // no browser, our own page, or a person
		return false
	}
	return c.route.Status != 303 || h.Get("Sec-Fetch-Mode") != "navigate" || h.Get("Sec-Fetch-Dest") != "document"
}

// checkCSRF asks changes by cookie for what only our own pages have: the token, and the
// Origin that every browser sends with them.
func (c *apiCall) checkCSRF() error {
	if c.login == nil || c.route.Public != "" {
		return nil
	}
	if c.strays() && !c.api.lax.origin {
		return &core.Error{Code: codeOrigin, Message: "a page of another origin asks for this", Fix: "open it from the gateway's own pages, or type its address"}
	}
	if safe(c.request.method) {
		return nil
	}
	if c.request.origin == "" && !c.api.lax.origin {
		return &core.Error{Code: codeOrigin, Message: "a change by login needs an Origin", Fix: "send Origin as browsers do, or use an API token"}
	}
	if c.api.lax.csrf || c.api.o.Logins.CheckCSRF(c.login.Login, core.Secret(c.request.header.Get("X-CSRF-Token"))) == nil {
		return nil
	}
	return &core.Error{Code: codeCSRF, Message: "the X-CSRF-Token is missing or wrong", Fix: "send that of GET /api/v1/me"}
}

// proved tells whether whoever calls may do what is dangerous: the operator, and who was
// asked for a password lately. An API token cannot be asked.
func (c *apiCall) proved() error {
	if c.api.lax.proof || c.who.Via == core.ViaOperator {
		return nil
	}
	if c.login == nil {
		return &core.Error{Code: codeProof, Message: "an API token may not do this", Fix: "log in, or use the operator's token"}
	}
	if c.api.o.Now().Sub(c.login.Login.Proved) > c.api.o.Proof {
		return &core.Error{Code: codeProof, Message: "this needs your password once more", Fix: "POST /api/v1/login/prove, then try again"}
	}
	return nil
}
