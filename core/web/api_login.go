package web

import (
	"html"
	"strings"
	"time"

	"github.com/sallyport/sallyport/core"
)

// loginForm logs a local user in.
type loginForm struct {
	Tenant   string      `json:"tenant,omitempty"` // "" = the default one
	Name     string      `json:"name"`
	Password core.Secret `json:"password"`
}

// proofForm asks the password again.
type proofForm struct {
	Password core.Secret `json:"password"`
}

// loginState is a login that was made.
type loginState struct {
	Subject    string    `json:"subject"` // id of the user
	Tenant     string    `json:"tenant"`
	Name       string    `json:"name"`
	MustChange bool      `json:"mustChangePassword"` // nothing else is allowed until then
	CSRF       string    `json:"csrf"`               // for X-CSRF-Token; GET /me tells it too
	Expires    time.Time `json:"expires"`
}

// proofState tells until when dangerous acts pass.
type proofState struct {
	Until time.Time `json:"until"`
}

// loginProvider is offered where people log in.
type loginProvider struct {
	ID    string `json:"id"`
	Title string `json:"title,omitempty"`
	Path  string `json:"path"` // where the browser goes to log in
}

// loginProviders lists them.
type loginProviders struct {
	Items []loginProvider `json:"items"`
}

const (
	flowLife  = 10 * time.Minute
	htmlType  = "text/html; charset=utf-8"
	loginRoot = apiRoot + "/login/"
)

func loginRoutes() []apiRoute {
	const why = "whoever logs in is not known yet"
	inTenant := apiParam{Name: parameterName, About: "Of whom; the default tenant."}
	return []apiRoute{
		{
			Method: "POST", Pattern: "/login", Summary: "Log in with name and password", Public: why, Stored: true, Needs: logsIn,
			Body: loginForm{}, Answer: loginState{}, Also: []int{401, 429}, Handle: func(c *apiCall) error {
				if err := c.mayHaveCookie(); err != nil {
					return err
				}
				form := c.body.(*loginForm)
				made, err := c.api.o.Logins.Password(c.ctx, form.Tenant, form.Name, form.Password, c.from())
				if err != nil {
					return err
				}
				return c.logIn(made)
			},
		},
		{
			Method: "GET", Pattern: "/login/providers", Summary: "List the identity providers that people log in with", Public: why,
			Stored: true, Needs: logsIn, Query: []apiParam{inTenant}, Answer: loginProviders{}, Handle: listLoginProviders,
		},
		{
			Method: "POST", Pattern: "/login/prove", Summary: "Give the password again, before what is dangerous",
			Self: "it is about the login itself", Stored: true, Needs: logsIn, Body: proofForm{}, Answer: proofState{}, Also: []int{429},
			Handle: proveLogin,
		},
		{
			Method: "GET", Pattern: "/login/{provider}", Summary: "Send the browser to an identity provider", Public: why,
			Stored: true, Needs: logsIn, Status: 303, Also: []int{401, 404},
			Query: []apiParam{
				inTenant,
				{Name: "return", About: "The path of this site where the browser goes in the end."},
				{Name: "prove", About: "1: the login that is there is to be proved again.", Enum: []string{"1"}},
			},
			Handle: beginLogin,
		},
		{
			Method: "GET", Pattern: "/login/{provider}/callback", Summary: "Take the browser back from an identity provider", Public: why,
			Stored: true, Needs: logsIn, Also: []int{401, 404}, Type: htmlType, Query: callbackParams(), Handle: finishLogin,
		},
		{
			Method: "POST", Pattern: "/logout", Summary: "Log out", Noun: "login", Self: "it ends the login itself", Early: true,
			Stored: true, Needs: logsIn, Status: 204, Handle: func(c *apiCall) error {
				if c.login == nil {
					return errNoLogin
				}
				if err := c.api.o.Logins.End(c.ctx, c.who, c.login.Login, c.from()); err != nil {
					return err
				}
				c.setCookie(c.request.cookieName(), "", 0, true)
				return nil
			},
		},
	}
}

var errNoLogin = &core.Error{Code: core.CodeInvalid, Message: "there is no login: a token was sent", Fix: "tokens are revoked, not logged out: DELETE /api/v1/me/tokens/{id}"}

// callbackParams are what providers send browsers back with (RFC 6749, section 4.1.2; RFC
// 9207; OpenID Connect Session Management).
func callbackParams() []apiParam {
	var list []apiParam
	for _, name := range []string{"code", "state", "iss", "error", "error_description", "error_uri", "session_state", "scope", "authuser", "prompt", "hd"} {
		list = append(list, apiParam{Name: name, About: "As the provider sends it."})
	}
	return list
}

// mayHaveCookie refuses logins over plain HTTP from other machines: the password and the
// cookie would be there for everybody on the way.
func (c *apiCall) mayHaveCookie() error {
	if c.request.cookieName() != "" {
		return nil
	}
	return &core.Error{Code: core.CodeDenied, Message: "people log in over https only", Fix: "call the gateway over https, or from its own machine; behind a proxy name it in the trusted proxies, and let it send X-Forwarded-Proto"}
}

// logIn hands out the cookie of a new login. One that came with the request is no longer
// sent: so nobody can put a cookie of their own under a login to come.
func (c *apiCall) logIn(made *LoginMade) error {
	c.setCookie(c.request.cookieName(), made.Cookie, made.Login.Expires.Sub(c.api.o.Now()), true)
	return c.reply(loginState{
		Subject: made.Who.Subject, Tenant: made.Who.In(), Name: made.Who.Name, MustChange: made.MustChange,
		CSRF: made.CSRF.Reveal(), Expires: made.Login.Expires.UTC(),
	})
}

func listLoginProviders(c *apiCall) error {
	providers, err := c.api.o.Logins.Providers(c.ctx, c.asked(parameterName))
	if err != nil {
		return err
	}
	list := loginProviders{Items: []loginProvider{}}
	for i := range providers {
		p := &providers[i]
		path := loginRoot + p.ID
		if p.Tenant != core.DefaultTenant {
			path += "?" + parameterName + "=" + p.Tenant
		}
		list.Items = append(list.Items, loginProvider{ID: p.ID, Title: p.Title, Path: path})
	}
	return c.reply(list)
}

func proveLogin(c *apiCall) error {
	if c.login == nil {
		return errNoLogin
	}
	if err := c.api.o.Logins.Prove(c.ctx, c.login.Login, c.body.(*proofForm).Password, c.from()); err != nil {
		return err
	}
	return c.reply(proofState{c.login.Login.Proved.Add(c.api.o.Proof).UTC()})
}

// callback returns where a provider sends the browser back to.
func (c *apiCall) callback(path string) string {
	if c.api.o.Base != "" {
		return strings.TrimSuffix(c.api.o.Base, "/") + path + "/callback"
	}
	return c.request.public + path + "/callback"
}

func beginLogin(c *apiCall) error {
	if err := c.mayHaveCookie(); err != nil {
		return err
	}
	back := c.asked("return")
	if back == "" {
		back = c.api.o.Home
	}
	tenant := c.asked(parameterName)
	var prove *core.Login
	if c.asked("prove") != "" {
		if c.login == nil {
			return errUnknown
		}
		prove, tenant = c.login.Login, c.login.Login.Tenant
	}
	to, flow, err := c.api.o.Logins.Begin(c.ctx, tenant, c.path("provider"), back, c.callback(loginRoot+c.path("provider")), prove)
	if err != nil {
		return err
	}
	c.setCookie(c.request.cookieName()+flowSuffix, flow, flowLife, false)
	c.set("Location", to)
	return nil
}

func finishLogin(c *apiCall) error {
	name := c.request.cookieName()
	flow, twice := c.request.cookie(name + flowSuffix)
	if name == "" || flow == "" || twice {
		return errNoFlow
	}
	c.setCookie(name+flowSuffix, "", 0, false)
	made, to, err := c.api.o.Logins.Finish(c.ctx, core.Secret(flow), c.query, c.callback(loginRoot+c.path("provider")), c.from())
	if err != nil {
		return err
	}
	c.setCookie(name, made.Cookie, made.Login.Expires.Sub(c.api.o.Now()), true)
	return c.lead(to)
}

var errNoFlow = &core.Error{Code: core.CodeUnauthenticated, Message: "this was not begun in this browser, or too long ago", Fix: "begin again"}

// lead answers a page that leads to another of our own. A redirect would not do: it would
// still belong to the provider's navigation, and browsers send no SameSite=Strict cookie
// with that.
func (c *apiCall) lead(to string) error {
	if !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") || strings.ContainsAny(to, "\\\r\n\t") {
		to = c.api.o.Home
	}
	to = html.EscapeString(to)
	c.contentType = htmlType
	c.answer = []byte(`<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0;url='` + to + `'"><title>Sallyport</title><a href="` + to + `">Go on</a>` + "\n")
	return nil
}
