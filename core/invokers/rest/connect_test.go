package rest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/core"
)

// tokens is a core.Accounts of one function.
type tokens func(who core.Identity, connector string) (core.Secret, error)

func (f tokens) Token(_ context.Context, who core.Identity, connector string) (core.Secret, error) {
	return f(who, connector)
}

var errConnect = &core.Error{Code: core.CodeConnect, Message: "no account", Details: json.RawMessage(`{"url":"https://gw.example/api/v1/connect/hub","connector":"Hub \"1\""}`)}

// personal is an Env whose connection sends each caller's own token.
func personal(do func(*core.Request) (*core.Response, error), f tokens) core.Env {
	env := canned(do)
	env.Connections["shop"].Connector = "hub"
	env.Accounts = f
	return env
}

// Each call carries the token of its own caller, on every page, and none of what came in
// (security.md T9): the canary of the inbound header reaches nobody.
func TestOwnAccounts(t *testing.T) {
	var seen []core.Request
	env := personal(func(r *core.Request) (*core.Response, error) {
		seen = append(seen, *r)
		return &core.Response{Status: http.StatusOK, Header: []core.Field{{Name: "Content-Type", Value: jsonType}}, Body: []byte(`[1]`)}, nil
	}, func(who core.Identity, connector string) (core.Secret, error) {
		return core.Secret("token of " + who.Tenant + "-" + who.Subject + " at " + connector), nil
	})
	v := build(t, env, `{"connection":"shop","path":"/books","header":{"X-Trace":{"client":"X-Trace"}},"pagination":{"by":"page","query":"p","pages":2}}`)
	for _, who := range []core.Identity{{Tenant: "acme", Subject: "ann"}, {Tenant: "acme", Subject: "bob"}, {Tenant: "other", Subject: "ann"}} {
		seen = nil
		call := request(t, `{}`)
		call.Who = who
		call.Header = headers{"authorization": "Bearer canary", "cookie": "canary", "x-trace": "1"}
		if _, err := v.Invoke(t.Context(), call); err != nil {
			t.Fatal(err)
		}
		if len(seen) != 2 {
			t.Fatalf("%d requests", len(seen))
		}
		for _, r := range seen {
			if want := "Bearer token of " + who.Tenant + "-" + who.Subject + " at hub"; r.Credential.Reveal() != want {
				t.Errorf("sent %q, want %q", r.Credential.Reveal(), want)
			}
			if all := fmt.Sprint(r.Header, r.Path, r.Query, string(r.Body), r.Credential.Reveal()); strings.Contains(all, "canary") {
				t.Errorf("passed on: %s", all)
			}
			if all := fmt.Sprintf("%v %+v %#v", r, r, r); strings.Contains(all, "token of") {
				t.Errorf("shown: %s", all)
			}
		}
	}
}

// No document can pass the inbound credential on. The test of the test: another header
// does go through, so the canary would be seen.
func TestInboundCredentialCannotBeNamed(t *testing.T) {
	for _, name := range []string{"Authorization", "authorization", "Cookie", "Proxy-Authorization"} {
		env := canned(nil)
		if v, err := New(t.Context(), json.RawMessage(`{"connection":"shop","path":"/","header":{"X-Out":{"client":"`+name+`"}}}`), env); v != nil || err == nil {
			t.Errorf("%s can be passed on: %v", name, err)
		}
	}
	var sent string
	v := build(t, canned(func(r *core.Request) (*core.Response, error) {
		sent = fmt.Sprint(r.Header)
		return &core.Response{Status: http.StatusNoContent}, nil
	}), `{"connection":"shop","path":"/","header":{"X-Out":{"client":"X-In"}}}`)
	call := request(t, `{}`)
	call.Header = headers{"x-in": "canary"}
	if _, err := v.Invoke(t.Context(), call); err != nil || !strings.Contains(sent, "canary") {
		t.Errorf("%v: %s", err, sent)
	}
}

func TestConnectFirst(t *testing.T) {
	const page = `{"elicitation":{"url":{}}}`
	unavailable := &core.Error{Code: core.CodeUnavailable, Message: "the authorization server cannot be reached"}
	for _, row := range []struct {
		name, capabilities, kind string
		answered                 bool
		err                      error
		asks                     bool
		text                     string    // of a failure that the model sees
		code                     core.Code // of an error of the protocol
	}{
		{"a page", page, "tool", false, errConnect, true, "", ""},
		{"a page, for a prompt", page, "prompt", false, errConnect, true, "", ""},
		{"a page, answered", page, "tool", true, errConnect, false, "not connected yet", ""},
		{"forms only", `{"elicitation":{}}`, "tool", false, errConnect, false, "https://gw.example/api/v1/connect/hub", ""},
		{"nothing", `{}`, "tool", false, errConnect, false, "https://gw.example/api/v1/connect/hub", ""},
		{"odd capabilities", `{"elicitation":{"url":true},"url":{}}`, "tool", false, errConnect, false, "The user can connect it", ""},
		{"a resource", `{}`, "resource", false, errConnect, false, "", core.CodeConnect},
		{"no address", page, "tool", false, &core.Error{Code: core.CodeConnect, Details: json.RawMessage(`{"url":"/api/v1/connect/hub","connector":"Hub"}`)}, false, "/api/v1/connect/hub", ""},
		{"no details", page, "tool", false, &core.Error{Code: core.CodeConnect}, false, "", core.CodeConnect},
		{"away", page, "tool", false, unavailable, false, "cannot be reached", ""},
		{"anonymous", page, "tool", false, &core.Error{Code: core.CodeUnauthenticated, Message: "nobody knows who calls"}, false, "nobody knows who calls", ""},
		{"our own mistake", page, "tool", false, &core.Error{Code: core.CodeInternal, Message: "internal error"}, false, "", core.CodeInternal},
		{"another error", page, "tool", false, errors.New("x"), false, "", core.CodeInternal},
	} {
		t.Run(row.name, func(t *testing.T) {
			v := build(t, personal(func(*core.Request) (*core.Response, error) {
				t.Error("a request went out")
				return nil, unavailable
			}, func(core.Identity, string) (core.Secret, error) { return "", row.err }), `{"connection":"shop","path":"/books"}`)
			call := request(t, `{}`)
			call.For.Kind, call.Client.Capabilities = row.kind, json.RawMessage(row.capabilities)
			if row.answered {
				call.InputResponses = map[string]json.RawMessage{connectKey: json.RawMessage(`{"action":"accept"}`)}
			}
			result, err := v.Invoke(t.Context(), call)
			switch {
			case row.code != "":
				if err == nil || core.AsError(err).Code != row.code {
					t.Errorf("got %v, %v", result, err)
				}
			case err != nil:
				t.Error(err)
			case row.asks:
				if len(result.InputRequests) != 1 || result.InputRequests[0].Method != "elicitation/create" ||
					string(result.InputRequests[0].Params) != `{"mode":"url","message":"Connect your account at Hub \"1\", which this takes.","url":"https://gw.example/api/v1/connect/hub"}` {
					t.Errorf("asks %+v", result)
				}
			case !result.IsError || len(result.InputRequests) > 0 || !strings.Contains(result.Content[0].Text, row.text):
				t.Errorf("got %+v", result)
			}
		})
	}
}

func TestOwnAccountsTakeAStore(t *testing.T) {
	env := personal(nil, nil)
	env.Accounts = nil
	if v, err := New(t.Context(), json.RawMessage(`{"connection":"shop","path":"/"}`), env); v != nil || err == nil || !strings.Contains(err.Error(), "callers cannot connect accounts here") {
		t.Errorf("%v, %v", v, err)
	}
}
