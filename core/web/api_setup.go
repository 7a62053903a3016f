package web

import "github.com/sallyport/sallyport/core"

// setupState tells whether somebody must set the gateway up.
type setupState struct {
	Wanted bool `json:"wanted"` // there is no user yet: POST /setup makes the first
}

// setupForm makes the first administrator.
type setupForm struct {
	Token    core.Secret `json:"token"` // printed by the gateway at its last start
	Name     string      `json:"name"`
	Title    string      `json:"title,omitempty"`
	Email    string      `json:"email,omitempty"`
	Password core.Secret `json:"password"`
}

func logsIn(o *APIOptions) bool { return o.Logins != nil }

func setupRoutes() []apiRoute {
	const why = "nobody is known before the first user is made; the one-time token of the first start stands in"
	return []apiRoute{
		{
			Method: "GET", Pattern: "/setup", Summary: "Tell whether the first administrator is still to be made", Public: why,
			Stored: true, Needs: logsIn, Answer: setupState{}, Handle: func(c *apiCall) error {
				wanted, err := c.api.o.Logins.SetupWanted(c.ctx)
				if err != nil {
					return err
				}
				return c.reply(setupState{wanted})
			},
		},
		{
			Method: "POST", Pattern: "/setup", Summary: "Make the first administrator and log it in", Public: why,
			Stored: true, Needs: logsIn, Body: setupForm{}, Answer: loginState{}, Status: 201, Also: []int{401, 409, 429}, Handle: func(c *apiCall) error {
				if err := c.mayHaveCookie(); err != nil {
					return err
				}
				form := c.body.(*setupForm)
				made, err := c.api.o.Logins.Setup(c.ctx, form.Token, FirstUser{Name: form.Name, Title: form.Title, Email: form.Email, Password: form.Password}, c.from())
				if err != nil {
					return err
				}
				if c.api.o.Changed != nil {
					c.api.o.Changed()
				}
				return c.logIn(made)
			},
		},
	}
}
