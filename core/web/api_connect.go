package web

import (
	"context"
	"maps"
	"net/url"

	"github.com/sallyport/sallyport/core"
)

// AccountFlow connects accounts at upstreams' authorization servers. core/accounts has it.
type AccountFlow interface {
	// Begin returns where to send the browser, and what its flow cookie must hold when it
	// comes back.
	Begin(ctx context.Context, who core.Identity, connector, redirectURI, returnTo string) (to string, flow core.Secret, err error)
	// Finish takes what the authorization server sent back, and stores the account.
	Finish(ctx context.Context, who core.Identity, flow core.Secret, query url.Values, redirectURI string) (AccountConnected, error)
	// Disconnect forgets an account.
	Disconnect(ctx context.Context, who core.Identity, connector string) error
}

// AccountConnected tells which account a flow connected.
type AccountConnected struct {
	Connector string // name
	Title     string // for people
	Return    string // local path where the browser goes now
}

const connectRoot = apiRoot + "/connect/"

func connectRoutes() []apiRoute {
	connects := func(o *APIOptions) bool { return o.Accounts != nil }
	again := apiParam{Name: "again", About: "1: the page that came first leads here.", Enum: []string{"1"}}
	return []apiRoute{
		{
			Method: "GET", Pattern: "/connect/{connector}", Summary: "Send the browser to an upstream's authorization server, to connect one's account",
			Self: "it is one's own account", Stored: true, Needs: connects, Status: 303, Also: []int{404},
			Query: []apiParam{{Name: "return", About: "The path of this site where the browser goes in the end."}}, Handle: beginAccount,
		},
		{
			Method: "GET", Pattern: "/connect/{connector}/callback", Summary: "Take the browser back from an upstream's authorization server",
			Public: "browsers send no strict cookie with the navigation of another site: the first time it is not known who comes back",
			Stored: true, Needs: connects, Also: []int{401, 404}, Type: htmlType, Query: append(callbackParams(), again), Handle: finishAccount,
		},
	}
}

func beginAccount(c *apiCall) error {
	if c.login == nil {
		return &core.Error{Code: core.CodeDenied, Message: "an account is connected in a browser", Fix: "log in there first"}
	}
	back := c.asked("return")
	if back == "" {
		back = c.api.o.Home
	}
	to, flow, err := c.api.o.Accounts.Begin(c.ctx, c.who, c.path("connector"), c.callback(connectRoot+c.path("connector")), back)
	if err != nil {
		return err
	}
	c.setCookie(c.request.cookieName()+flowSuffix, flow, flowLife, false)
	c.set("Location", to)
	return nil
}

// finishAccount stores an account for whoever this browser is logged in as. The navigation of
// the authorization server comes without the login cookie, so the first answer is a page
// of ours that goes on to the same place, with it.
func finishAccount(c *apiCall) error {
	name := c.request.cookieName()
	flow, twice := c.request.cookie(name + flowSuffix)
	if name == "" || flow == "" || twice {
		return errNoFlow
	}
	if c.login == nil || c.login.MustChange {
		if c.asked("again") != "" {
			return errUnknown
		}
		return c.lead(c.request.path + "?" + c.request.query + "&again=1")
	}
	query := maps.Clone(c.query)
	query.Del("again")
	c.setCookie(name+flowSuffix, "", 0, false)
	done, err := c.api.o.Accounts.Finish(c.ctx, c.who, core.Secret(flow), query, c.callback(connectRoot+c.path("connector")))
	if err != nil {
		return err
	}
	return c.lead(done.Return)
}
