package accounts

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
)

func TestConnect(t *testing.T) {
	r := newRig(t)
	to, flow, err := r.Begin(t.Context(), ann, "hub", callback, "/admin/accounts?a=b")
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	for name, want := range map[string]string{
		"response_type": "code", "client_id": "gateway", "redirect_uri": callback, "scope": "a b", "resource": "https://api.hub.example/",
		"code_challenge_method": "S256", "prompt": "consent", "tenant": "7", "request_uri": "",
	} {
		if q.Get(name) != want || len(q[name]) > 1 {
			t.Errorf("%s is %q, want %q", name, q[name], want)
		}
	}
	if u.Host != "hub.example" || len(q.Get("state")) < 40 || len(q.Get("code_challenge")) != 43 {
		t.Errorf("goes to %s", to)
	}
	if all := fmt.Sprintf("%v %+v %#v", flow, flow, flow); strings.Contains(all, flow.Reveal()) || strings.Contains(flow.Reveal(), q.Get("state")) {
		t.Errorf("the flow is shown: %s", all)
	}
	_, err = r.Token(t.Context(), ann, "hub")
	wants(t, err, core.CodeConnect)
	answer := r.hub.consent(t, to)
	done, err := r.Finish(t.Context(), ann, flow, answer, callback)
	if want := (Connected{"hub", "The Hub", "/admin/accounts?a=b"}); err != nil || done != want {
		t.Fatalf("%+v, %v", done, err)
	}
	asked := r.hub.tokenRequests()[0]
	if asked.Get("resource") != "https://api.hub.example/" || asked.Has("client_secret") || asked.Get("grant_type") != "authorization_code" {
		t.Errorf("asked %v", asked)
	}
	for range 2 { // before and after the State has it
		if got, err := r.Token(t.Context(), ann, "hub"); err != nil || got.Reveal() != "canary-access-1" {
			t.Errorf("%q, %v", got.Reveal(), err)
		}
		r.reload()
	}
	_, err = r.Token(t.Context(), bob, "hub")
	wants(t, err, core.CodeConnect)
	_, err = r.Token(t.Context(), core.Identity{Tenant: "other", Subject: "ann"}, "hub")
	wants(t, err, core.CodeNotFound)

	row := newRow(account{"acme", "ann", "hub"})
	if err := r.shelf.Get(t.Context(), row); err != nil || row.Owner != "ann" || row.Connector != "hub" || row.Name != "hub" || strings.Contains(row.Sealed, "canary") {
		t.Errorf("%+v, %v", row, err)
	}
	if e := r.shelf.entries; len(e) != 1 || e[0].Action != "account.connect" || e[0].Actor != "ann" || e[0].Tenant != "acme" || e[0].Credential != "login-1" || e[0].Name != "hub" {
		t.Errorf("audit %+v", e)
	}
	if b, _ := json.Marshal(r.shelf.entries); strings.Contains(string(b)+r.logged.String(), "canary") {
		t.Errorf("%s %s", b, r.logged.String())
	}
}

// A browser that comes back from another site brings no cookie of its login
// (SameSite=Strict): the flow says who it is.
func TestFinishWithoutALogin(t *testing.T) {
	r := newRig(t)
	flow, answer := r.begin(t)
	if _, err := r.Finish(t.Context(), core.Identity{Address: "192.0.2.9"}, flow, answer, callback); err != nil {
		t.Fatal(err)
	}
	if got, err := r.Token(t.Context(), ann, "hub"); err != nil || got.Reveal() != "canary-access-1" {
		t.Errorf("%q, %v", got.Reveal(), err)
	}
	if e := r.shelf.entries[0]; e.Actor != "ann" || e.ActorName != "Ann" || e.Address != "192.0.2.9" {
		t.Errorf("audit %+v", e)
	}
}

// The attacks. Each is refused, and nothing is stored; with its defence switched off each
// works, which is the test of the test.
func TestAttacks(t *testing.T) {
	for _, row := range []struct {
		name   string
		off    func(*defences)
		code   core.Code
		attack func(t *testing.T, r *rig) error
	}{
		{"an answer is replayed", func(d *defences) { d.once = true }, core.CodeDenied, func(t *testing.T, r *rig) error {
			r.hub.lenient = true
			flow, answer := r.begin(t)
			if _, err := r.Finish(t.Context(), ann, flow, answer, callback); err != nil {
				t.Fatal(err)
			}
			_, err := r.Finish(t.Context(), ann, flow, answer, callback)
			return err
		}},
		{"an answer is replayed at another replica", func(d *defences) { d.once = true }, core.CodeDenied, func(t *testing.T, r *rig) error {
			r.hub.lenient = true
			flow, answer := r.begin(t)
			if _, err := r.Finish(t.Context(), ann, flow, answer, callback); err != nil {
				t.Fatal(err)
			}
			off := r.off
			r.fresh(t, r.o.Sealer)
			r.off = off
			r.reload()
			_, err := r.Finish(t.Context(), ann, flow, answer, callback)
			return err
		}},
		{"an answer with another state", func(d *defences) { d.state = true }, core.CodeDenied, func(t *testing.T, r *rig) error {
			flow, answer := r.begin(t)
			answer.Set("state", "of the attacker")
			_, err := r.Finish(t.Context(), ann, flow, answer, callback)
			return err
		}},
		{"an answer without a state", func(d *defences) { d.state = true }, core.CodeDenied, func(t *testing.T, r *rig) error {
			flow, answer := r.begin(t)
			answer.Del("state")
			_, err := r.Finish(t.Context(), ann, flow, answer, callback)
			return err
		}},
		{"another user finishes", func(d *defences) { d.user = true }, core.CodeDenied, func(t *testing.T, r *rig) error {
			flow, answer := r.begin(t)
			_, err := r.Finish(t.Context(), bob, flow, answer, callback)
			return err
		}},
		{"a user of that name in another tenant finishes", func(d *defences) { d.user = true }, core.CodeDenied, func(t *testing.T, r *rig) error {
			flow, answer := r.begin(t)
			_, err := r.Finish(t.Context(), core.Identity{Tenant: "other", Subject: "ann"}, flow, answer, callback)
			return err
		}},
		// The user began at the attacker's server, which sent her on to the honest one: its
		// code comes back, and would go to the attacker (RFC 9207, section 1).
		{"servers are mixed up", func(d *defences) { d.iss = true }, core.CodeDenied, func(t *testing.T, r *rig) error {
			to, flow, err := r.Begin(t.Context(), ann, "evil", callback, "")
			if err != nil {
				t.Fatal(err)
			}
			answer := r.hub.consent(t, to)
			_, _ = r.Finish(t.Context(), ann, flow, answer, callback)
			for _, asked := range r.evil.tokenRequests() {
				if asked.Get("code") == answer.Get("code") {
					return nil // the attacker has the code
				}
			}
			return denied("the code went nowhere")
		}},
		{"a server leaves iss out that promised it", func(d *defences) { d.iss = true }, core.CodeDenied, func(t *testing.T, r *rig) error {
			flow, answer := r.begin(t)
			answer.Del("iss")
			_, err := r.Finish(t.Context(), ann, flow, answer, callback)
			return err
		}},
		{"a server without PKCE", func(d *defences) { d.s256 = true }, core.CodeUnavailable, func(t *testing.T, r *rig) error {
			r.hub.metadata["code_challenge_methods_supported"] = []string{"plain"}
			_, _, err := r.Begin(t.Context(), ann, "hub", callback, "")
			return err
		}},
		{"a server that says nothing of PKCE", func(d *defences) { d.s256 = true }, core.CodeUnavailable, func(t *testing.T, r *rig) error {
			delete(r.hub.metadata, "code_challenge_methods_supported")
			_, _, err := r.Begin(t.Context(), ann, "hub", callback, "")
			return err
		}},
		{"the answer comes to another address", func(d *defences) { d.callback = true }, core.CodeDenied, func(t *testing.T, r *rig) error {
			flow, answer := r.begin(t)
			_, err := r.Finish(t.Context(), ann, flow, answer, base+"/api/v1/connect/evil/callback")
			return err
		}},
		{"the code of another flow", func(d *defences) { d.verifier = true }, core.CodeDenied, func(t *testing.T, r *rig) error {
			_, stolen := r.begin(t)
			flow, answer := r.begin(t)
			answer.Set("code", stolen.Get("code"))
			_, err := r.Finish(t.Context(), ann, flow, answer, callback)
			return err
		}},
		{"metadata of another issuer", func(d *defences) { d.issuer = true }, core.CodeUnavailable, func(t *testing.T, r *rig) error {
			r.evil.metadata["issuer"] = r.hub.issuer
			_, _, err := r.Begin(t.Context(), ann, "evil", callback, "")
			return err
		}},
		{"a redirect to elsewhere", func(d *defences) { d.local = true }, core.CodeInvalid, func(t *testing.T, r *rig) error {
			_, _, err := r.Begin(t.Context(), ann, "hub", callback, "//evil.example/")
			return err
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := newRig(t)
			before := 0
			if strings.Contains(row.name, "replayed") {
				before = 1
			}
			wants(t, row.attack(t, r), row.code)
			if n := len(r.shelf.entries); n != before {
				t.Errorf("%d changes", n)
			}
			t.Run("the test bites", func(t *testing.T) {
				r := newRig(t)
				row.off(&r.off)
				if err := row.attack(t, r); err != nil {
					t.Errorf("without its defence the attack fails: %v", err)
				}
			})
		})
	}
}

func TestReturnsHome(t *testing.T) {
	for to, want := range map[string]bool{
		"/": true, "/admin/accounts?a=b#c": true, "/a//b": true, "/%2F%2Fevil.example": false, "": false, "admin": false, "//evil.example": false, "///evil.example": false,
		"/\\evil.example": false, "\\\\evil.example": false, "/\t/evil.example": false, "\n//evil.example": false, "https://evil.example": false, "javascript:alert(1)": false,
		"/\x00": false, "/ä": false, "/" + strings.Repeat("a", maxReturn): false, "/..//evil.example": true, "/@evil.example": true, " //evil.example": false,
	} {
		if local(to) != want {
			t.Errorf("%q: %v", to, !want)
		}
	}
}

func FuzzLocal(f *testing.F) {
	for _, s := range []string{"/", "//a", "/\\a", "/a?b#c", "/%5C", "/\t/a"} {
		f.Add(s)
	}
	here, _ := url.Parse(base + "/api")
	f.Fuzz(func(t *testing.T, s string) {
		if !local(s) {
			return
		}
		if u, err := here.Parse(s); err != nil || u.Host != here.Host || u.Scheme != here.Scheme {
			t.Errorf("%q leads to %v (%v)", s, u, err)
		}
	})
}

func TestBeginRefuses(t *testing.T) {
	r := newRig(t)
	disabled := &core.Connector{Tenant: "acme", Name: "off", Issuer: r.hub.issuer, ClientID: "gateway", Disabled: true}
	r.add(t, disabled)
	r.add(t, &core.Connector{Tenant: "acme", Name: "plain", Issuer: "http://hub.example/realm", ClientID: "gateway"})
	r.add(t, &core.Connector{Tenant: "acme", Name: "query", Issuer: "https://hub.example/realm?a=b", ClientID: "gateway"})
	r.add(t, &core.Connector{Tenant: "acme", Name: "user", Issuer: "https://a:b@hub.example/realm", ClientID: "gateway"})
	r.add(t, &core.Connector{Tenant: "acme", Name: "nowhere", Issuer: "https://nowhere.example", ClientID: "gateway"})
	r.add(t, &core.Connector{Tenant: "acme", Name: "half", Issuer: r.hub.issuer, Token: "http://hub.example/token", ClientID: "gateway"})
	r.reload()
	for _, row := range []struct {
		who             core.Identity
		connector, back string
		code            core.Code
	}{
		{core.Identity{}, "hub", callback, core.CodeUnauthenticated},
		{core.Identity{Tenant: "acme"}, "hub", callback, core.CodeUnauthenticated},
		{core.Identity{Tenant: "other", Subject: "ann"}, "hub", callback, core.CodeNotFound},
		{ann, "none", callback, core.CodeNotFound},
		{ann, "off", callback, core.CodeUnavailable},
		{ann, "plain", callback, core.CodeUnavailable},
		{ann, "query", callback, core.CodeUnavailable},
		{ann, "user", callback, core.CodeUnavailable},
		{ann, "nowhere", callback, core.CodeUnavailable},
		{ann, "half", callback, core.CodeUnavailable},
		{ann, "hub", "https://gw.example.evil.example/", core.CodeInvalid},
		{ann, "hub", "https://gw.example@evil.example/", core.CodeInvalid},
		{ann, "hub", "http://gw.example/callback", core.CodeInvalid},
		{ann, "hub", callback + "#x", core.CodeInvalid},
		{ann, "hub", "callback", core.CodeInvalid},
	} {
		_, _, err := r.Begin(t.Context(), row.who, row.connector, row.back, "")
		wants(t, err, row.code)
	}
	_, err := r.Token(t.Context(), core.Identity{Tenant: "acme"}, "hub")
	wants(t, err, core.CodeUnauthenticated)
	_, err = r.Token(t.Context(), ann, "off")
	wants(t, err, core.CodeUnavailable)
	wants(t, r.Disconnect(t.Context(), core.Identity{}, "hub"), core.CodeUnauthenticated)
	r.hub.metadata = nil
	_, _, err = r.Begin(t.Context(), ann, "hub", callback, "")
	if err != nil && strings.Contains(err.Error(), "RFC 8414") {
		err = nil
	}
	if err != nil {
		t.Error(err) // known for an hour
	}
}

func TestFinishRefuses(t *testing.T) {
	for name, row := range map[string]struct {
		code core.Code
		bend func(r *rig, flow *core.Secret, answer url.Values)
	}{
		"too late":       {core.CodeDenied, func(r *rig, _ *core.Secret, _ url.Values) { r.pass(flowLife) }},
		"no flow":        {core.CodeDenied, func(_ *rig, flow *core.Secret, _ url.Values) { *flow = "" }},
		"a foreign flow": {core.CodeDenied, func(_ *rig, flow *core.Secret, _ url.Values) { *flow = *flow + "x" }},
		"no code":        {core.CodeDenied, func(_ *rig, _ *core.Secret, answer url.Values) { answer.Del("code") }},
		"two codes":      {core.CodeDenied, func(_ *rig, _ *core.Secret, answer url.Values) { answer.Add("code", "x") }},
		"two issuers":    {core.CodeDenied, func(_ *rig, _ *core.Secret, answer url.Values) { answer.Add("iss", "https://evil.example/realm") }},
		"two states":     {core.CodeDenied, func(_ *rig, _ *core.Secret, answer url.Values) { answer.Add("state", "x") }},
		"no":             {core.CodeDenied, func(_ *rig, _ *core.Secret, answer url.Values) { answer.Set("error", "access_denied") }},
		"a strange no":   {core.CodeDenied, func(_ *rig, _ *core.Secret, answer url.Values) { answer.Set("error", "canary") }},
		"a disabled user": {core.CodeDenied, func(r *rig, _ *core.Secret, _ url.Values) {
			r.shelf.put(&core.User{Tenant: "acme", ID: "ann", Disabled: true})
			r.reload()
		}},
		"another issuer": {core.CodeDenied, func(r *rig, _ *core.Secret, _ url.Values) {
			r.held.Load().connectors[[2]string{"acme", "hub"}].Issuer = r.evil.issuer
		}},
		"wrong secret": {core.CodeDenied, func(r *rig, _ *core.Secret, _ url.Values) { r.hub.secret = "other" }},
		"no such secret": {core.CodeUnavailable, func(r *rig, _ *core.Secret, _ url.Values) {
			r.held.Load().connectors[[2]string{"acme", "hub"}].ClientSecret = "x"
		}},
		"the store is away": {core.CodeUnavailable, func(r *rig, _ *core.Secret, _ url.Values) { r.shelf.setAway(true) }},
		"no answer":         {core.CodeUnavailable, func(r *rig, _ *core.Secret, _ url.Values) { r.hub.fail = fmt.Errorf("canary of a transport") }},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			flow, answer := r.begin(t)
			row.bend(r, &flow, answer)
			_, err := r.Finish(t.Context(), ann, flow, answer, callback)
			wants(t, err, row.code)
			if len(r.shelf.entries) != 0 {
				t.Error("something was stored")
			}
			if strings.Contains(r.logged.String(), "canary") {
				t.Error(r.logged.String())
			}
		})
	}
}

// Where metadata may stand, and servers that have none.
func TestDiscovery(t *testing.T) {
	for _, at := range []string{"/.well-known/oauth-authorization-server/realm", "/.well-known/openid-configuration/realm", "/realm/.well-known/openid-configuration"} {
		r := newRig(t)
		r.hub.wellKnown = at
		if _, _, err := r.Begin(t.Context(), ann, "hub", callback, ""); err != nil {
			t.Errorf("%s: %v", at, err)
		}
	}
	r := newRig(t)
	r.hub.metadata = nil
	_, _, err := r.Begin(t.Context(), ann, "hub", callback, "")
	wants(t, err, core.CodeUnavailable)
	r.add(t, &core.Connector{Tenant: "acme", Name: "hub", Issuer: r.hub.issuer, Authorize: r.hub.issuer + "/authorize", Token: r.hub.issuer + "/token", ClientID: "gateway"})
	r.reload()
	r.connected(t)
	if got, err := r.Token(t.Context(), ann, "hub"); err != nil || got.Reveal() == "" {
		t.Error(err)
	}
	// A server that takes the secret in the body only.
	r = newRig(t)
	r.hub.metadata["token_endpoint_auth_methods_supported"] = []string{"client_secret_post"}
	r.connected(t)
	if asked := r.hub.tokenRequests()[0]; asked.Get("client_secret") != r.hub.secret || r.hub.headers[0].Get("Authorization") != "" {
		t.Errorf("asked %v", asked)
	}
}

func TestMetadataIsKeptForAnHour(t *testing.T) {
	r := newRig(t)
	r.begin(t)
	r.hub.metadata = nil
	r.pass(metadataLife - time.Second)
	r.begin(t)
	r.pass(time.Second)
	_, _, err := r.Begin(t.Context(), ann, "hub", callback, "")
	wants(t, err, core.CodeUnavailable)
}

func TestDisconnect(t *testing.T) {
	r := newRig(t)
	r.connected(t)
	r.reload()
	if err := r.Disconnect(t.Context(), ann, "hub"); err != nil {
		t.Fatal(err)
	}
	r.pass(time.Second)
	r.reload()
	_, err := r.Token(t.Context(), ann, "hub")
	wants(t, err, core.CodeConnect)
	wants(t, r.Disconnect(t.Context(), ann, "hub"), core.CodeNotFound)
	r.connected(t)
	if got, err := r.Token(t.Context(), ann, "hub"); err != nil || got.Reveal() != "canary-access-2" {
		t.Errorf("%q, %v", got.Reveal(), err)
	}
}
