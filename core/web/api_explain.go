package web

import (
	"slices"

	"github.com/sallyport/sallyport/core"
)

// explainForm asks why somebody may, or may not.
type explainForm struct {
	Subject string        `json:"subject,omitempty"` // id of a user; …
	Token   string        `json:"token,omitempty"`   // … or of a token; neither = an anonymous caller
	Action  core.Action   `json:"action"`
	Object  explainObject `json:"object"`
}

// explainObject is what it would be done on.
type explainObject struct {
	Kind   string `json:"kind"`
	Server string `json:"server,omitempty"`
	Name   string `json:"name,omitempty"`
	Open   bool   `json:"open,omitempty"` // as a server that lets anonymous callers in
}

func explainRoutes() []apiRoute {
	return []apiRoute{{
		Method: "POST", Pattern: "/explain", Summary: "Tell why somebody may do something, or may not", Noun: "policies",
		On: "policy", Do: core.ActionRead, Stored: true, Body: explainForm{}, Answer: core.Explanation{},
		Needs: func(o *APIOptions) bool { _, ok := o.Authorizer.(core.Explainer); return ok }, Handle: explain,
	}}
}

func explain(c *apiCall) error {
	form := c.body.(*explainForm)
	var problems []core.Problem
	if !slices.Contains(core.ObjectKinds, form.Object.Kind) {
		problems = append(problems, wrong("/object/kind", "there is no such kind", suggest(form.Object.Kind, core.ObjectKinds)))
	}
	actions := make([]string, len(core.Actions))
	for i, a := range core.Actions {
		actions[i] = string(a)
	}
	if !slices.Contains(actions, string(form.Action)) {
		problems = append(problems, wrong("/action", "there is no such action", suggest(string(form.Action), actions)))
	}
	if form.Subject != "" && form.Token != "" {
		problems = append(problems, wrong("/token", "subject and token are two callers", "write one of them"))
	}
	if problems != nil {
		return invalid(problems...)
	}
	who, err := c.somebody(form)
	if err != nil {
		return err
	}
	on := core.Object{Kind: form.Object.Kind, Tenant: c.tenant, Server: form.Object.Server, Name: form.Object.Name, Open: form.Object.Open}
	answer, err := c.api.o.Authorizer.(core.Explainer).Explain(c.ctx, who, form.Action, on)
	if err != nil {
		return err
	}
	return c.reply(answer)
}

func suggest(word string, known []string) string {
	if near := closest(word, known); near != "" {
		return "write " + near
	}
	return "GET /api/v1/permissions lists them"
}

// somebody returns who would call.
func (c *apiCall) somebody(form *explainForm) (core.Identity, error) {
	who := core.Identity{Tenant: c.tenant}
	absent := func(err error, path string) error {
		if code := core.AsError(err).Code; code == core.CodeNotFound || code == core.CodeInvalid {
			return invalid(wrong(path, "this is not known in the tenant", "write an id as the lists show it"))
		}
		return err
	}
	subject := form.Subject
	if form.Token != "" {
		token := &core.Token{Tenant: c.tenant, ID: form.Token}
		if err := c.api.o.Store.Get(c.ctx, token); err != nil {
			return who, absent(err, "/token")
		}
		subject, who.Via, who.Credential = token.User, core.ViaToken, token.ID
		if len(token.Scopes) > 0 {
			who.Scopes = token.Scopes
		}
	}
	if subject == "" {
		return who, nil
	}
	user := &core.User{Tenant: c.tenant, ID: subject}
	if err := c.api.o.Store.Get(c.ctx, user); err != nil {
		return who, absent(err, "/subject")
	}
	roles, err := rolesOf(c.ctx, c.api.o.Store, user)
	if err != nil {
		return who, err
	}
	who.Subject, who.Name, who.Roles, who.Everywhere = user.ID, user.Name, roles, user.Everywhere
	return who, nil
}
