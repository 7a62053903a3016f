package accounts

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport/sallyport/core"
)

func (r *rig) want(t testing.TB, token string) {
	t.Helper()
	if got, err := r.Token(t.Context(), ann, "hub"); err != nil || got.Reveal() != token {
		t.Errorf("%q, %v; want %q", got.Reveal(), err, token)
	}
}

func TestRenewal(t *testing.T) {
	r := newRig(t)
	r.connected(t)
	r.reload()
	r.pass(time.Hour - leeway - time.Second)
	r.want(t, "canary-access-1")
	r.pass(time.Second)
	r.want(t, "canary-access-2")
	r.want(t, "canary-access-2")
	if n := len(r.hub.tokenRequests()); n != 2 {
		t.Errorf("%d requests", n)
	}
	e := r.shelf.entries
	if len(e) != 2 || e[1].Action != "account.refresh" || e[1].Actor != "ann" {
		t.Errorf("audit %+v", e)
	}
	// A State from before the renewal changes nothing; another process goes on from what
	// was stored.
	r.reload()
	r.want(t, "canary-access-2")
	r.fresh(t, r.o.Sealer)
	r.reload()
	r.want(t, "canary-access-2")
	r.pass(2 * time.Hour)
	r.want(t, "canary-access-3")
	if all := fmt.Sprint(r.logged.String(), r.Accounts) + fmt.Sprintf("%v %+v %#v", r.Accounts, r.Accounts, r.Accounts); strings.Contains(all, "canary") {
		t.Error(all)
	}
}

// Many callers at once make one renewal, also when the first one leaves; callers of
// other accounts do not wait with them.
func TestRenewedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		defer r.Close()
		r.connected(t)
		r.reload()
		r.pass(2 * time.Hour)
		hold := make(chan struct{})
		r.hub.with(func() { r.hub.hold = hold })
		leaving, leave := context.WithCancel(t.Context())
		first := make(chan error)
		go func() {
			_, err := r.Token(leaving, ann, "hub")
			first <- err
		}()
		synctest.Wait()
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() { r.want(t, "canary-access-2") })
		}
		synctest.Wait()
		leave()
		if err := <-first; err == nil {
			t.Error("who left has a token")
		}
		_, err := r.Token(t.Context(), bob, "hub")
		wants(t, err, core.CodeConnect)
		close(hold)
		all.Wait()
		if n := len(r.hub.tokenRequests()); n != 2 {
			t.Errorf("%d requests", n)
		}
	})
}

// The key of a renewal keeps accounts apart whatever their names hold.
func TestAccountKeys(t *testing.T) {
	seen := map[string]account{}
	names := []string{"", "a", "b", "ab", "a\x1f", "\x00\x00\x00\x01a", "a\x00\x00\x00\x01b"}
	for _, x := range names {
		for _, y := range names {
			for _, z := range names {
				of := account{x, y, z}
				if other, twice := seen[of.key()]; twice {
					t.Errorf("%q and %q meet", of, other)
				}
				seen[of.key()] = of
			}
		}
	}
	if newRow(account{"a", "b", "c"}).ID == newRow(account{"a", "bc", ""}).ID {
		t.Error("two accounts have one row")
	}
}

// While the store is away, tokens come from memory and are renewed; what was renewed is
// stored when it is back.
func TestStoreAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		defer r.Close()
		r.connected(t)
		r.reload()
		r.shelf.setAway(true)
		r.want(t, "canary-access-1")
		r.pass(2 * time.Hour)
		r.want(t, "canary-access-2")
		r.pass(2 * time.Hour)
		r.want(t, "canary-access-3")
		if n := len(r.shelf.entries); n != 1 {
			t.Errorf("%d changes", n)
		}
		time.Sleep(10 * time.Minute)
		r.shelf.setAway(false)
		time.Sleep(keepLast + time.Second)
		synctest.Wait()
		if n := len(r.shelf.entries); n != 2 {
			t.Errorf("%d changes", n)
		}
		r.fresh(t, r.o.Sealer)
		r.reload()
		r.want(t, "canary-access-3")
		if !strings.Contains(r.logged.String(), "kept in memory") || strings.Contains(r.logged.String(), "canary") {
			t.Error(r.logged.String())
		}
	})
}

// Another replica renewed: its token is taken from the store, and the refresh token,
// good only once, is not used again.
func TestRenewedElsewhere(t *testing.T) {
	r := newRig(t)
	r.connected(t)
	r.reload()
	here := r.Accounts
	state := r.shelf.state(r.now)
	r.pass(2 * time.Hour)
	r.fresh(t, r.o.Sealer)
	r.Use(state)
	r.want(t, "canary-access-2")
	r.Accounts = here
	r.want(t, "canary-access-2")
	if n := len(r.hub.tokenRequests()); n != 2 {
		t.Errorf("%d requests", n)
	}
}

// A server that refuses to renew is not asked again: the account must be connected anew.
func TestEnded(t *testing.T) {
	r := newRig(t)
	r.connected(t)
	r.reload()
	r.pass(2 * time.Hour)
	r.hub.refuse = "invalid_grant"
	for range 3 {
		_, err := r.Token(t.Context(), ann, "hub")
		wants(t, err, core.CodeConnect)
		var details struct{ URL, Connector string }
		if e := core.AsError(err); json.Unmarshal(e.Details, &details) != nil || details.URL != base+"/api/v1/connect/hub" || details.Connector != "The Hub" {
			t.Errorf("details %s", e.Details)
		}
	}
	if n := len(r.hub.tokenRequests()); n != 2 {
		t.Errorf("%d requests", n)
	}
	r.hub.refuse = ""
	r.connected(t)
	r.want(t, "canary-access-2")
}

// A server that is away: the token is used as long as it is good.
func TestServerAway(t *testing.T) {
	r := newRig(t)
	r.connected(t)
	r.reload()
	r.hub.with(func() { r.hub.fail = &core.Error{Code: core.CodeUnavailable, Message: "down"} })
	r.pass(time.Hour - leeway)
	r.want(t, "canary-access-1")
	r.pass(leeway)
	_, err := r.Token(t.Context(), ann, "hub")
	wants(t, err, core.CodeUnavailable)
	r.hub.with(func() { r.hub.fail = nil })
	r.want(t, "canary-access-2")
}

func TestNoRefreshToken(t *testing.T) {
	r := newRig(t)
	r.hub.answer = func(w http.ResponseWriter) bool {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"access_token":"canary-only","token_type":"Bearer","expires_in":"60"}`)
		return true
	}
	r.connected(t)
	row := newRow(account{"acme", "ann", "hub"})
	if err := r.shelf.Get(t.Context(), row); err != nil || row.Expires == nil || !row.Expires.Equal(r.now.Add(time.Minute)) {
		t.Errorf("%+v, %v", row.Expires, err)
	}
	r.pass(59 * time.Second)
	r.want(t, "canary-only")
	r.pass(time.Second)
	_, err := r.Token(t.Context(), ann, "hub")
	wants(t, err, core.CodeConnect)
}

// A connector that is pointed at another issuer has no accounts; one row cannot be put in
// the place of another.
func TestOtherIssuerAndStolenRows(t *testing.T) {
	r := newRig(t)
	r.connected(t)
	stolen := newRow(account{"acme", "ann", "hub"})
	if err := r.shelf.Get(t.Context(), stolen); err != nil {
		t.Fatal(err)
	}
	stolen.ID, stolen.Owner = newRow(account{"acme", "bob", "hub"}).ID, "bob"
	r.shelf.put(stolen)
	r.reload()
	_, err := r.Token(t.Context(), bob, "hub")
	wants(t, err, core.CodeUnavailable)
	k := *r.held.Load().connectors[[2]string{"acme", "hub"}]
	k.Issuer = r.evil.issuer
	r.shelf.put(&k)
	r.reload()
	_, err = r.Token(t.Context(), ann, "hub")
	wants(t, err, core.CodeConnect)
}

// What a token endpoint may answer. Nothing of it is repeated.
func TestOddAnswers(t *testing.T) {
	for answer, ok := range map[string]bool{
		`{"access_token":"canary","token_type":"Bearer"}`:                             true,
		`{"access_token":"canary","token_type":"BEARER","expires_in":3600.5}`:         true,
		`{"access_token":"canary","token_type":"Bearer","expires_in":"canary"}`:       true,
		`{"access_token":"canary","token_type":"Bearer","expires_in":-1}`:             true,
		`{"access_token":"canary","token_type":"Bearer","expires_in":1e300}`:          true,
		`{"access_token":"canary","token_type":"mac"}`:                                false,
		`{"access_token":"canary"}`:                                                   false,
		`{"access_token":"","token_type":"Bearer"}`:                                   false,
		`{"access_token":"canary\r\nX: y","token_type":"Bearer"}`:                     false,
		`{"access_token":"canary canary","token_type":"Bearer"}`:                      false,
		`{"access_token":"canary","refresh_token":"canary\n","token_type":"Bearer"}`:  false,
		`{"access_token":"` + strings.Repeat("a", maxToken+1) + `","token_type":"x"}`: false,
		`{"access_token":"canary","access_token":"other","token_type":"Bearer"}`:      false,
		`{"access_token":"canary","token_type":"Bearer"`:                              false,
		`"canary"`:                            false,
		``:                                    false,
		`{"error":"canary"}`:                  false,
		strings.Repeat(" ", maxAnswer) + "{}": false,
	} {
		r := newRig(t)
		r.hub.answer = func(w http.ResponseWriter) bool {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, answer)
			return true
		}
		flow, query := r.begin(t)
		_, err := r.Finish(t.Context(), ann, flow, query, callback)
		if (err == nil) != ok {
			t.Errorf("%.80s: %v", answer, err)
		}
		if err != nil && strings.Contains(err.Error()+r.logged.String(), "canary") {
			t.Errorf("shown: %v", err)
		}
	}
	for status, kind := range map[int]string{200: "text/html", 302: "application/json", 500: "text/plain", 201: "application/json"} {
		r := newRig(t)
		r.hub.answer = func(w http.ResponseWriter) bool {
			w.Header().Set("Content-Type", kind)
			w.Header().Set("Location", "https://evil.example/")
			w.WriteHeader(status)
			fmt.Fprint(w, `{"access_token":"canary","token_type":"Bearer"}`)
			return true
		}
		flow, query := r.begin(t)
		_, err := r.Finish(t.Context(), ann, flow, query, callback)
		wants(t, err, core.CodeUnavailable)
	}
}

// Use drops what is gone or newer, and what was closed says so.
func TestClose(t *testing.T) {
	r := newRig(t)
	r.connected(t)
	r.pass(2 * time.Hour)
	r.reload()
	r.Close()
	_, err := r.Token(t.Context(), ann, "hub")
	wants(t, err, core.CodeUnavailable)
}

func FuzzGrant(f *testing.F) {
	f.Add([]byte(`{"access_token":"a","token_type":"Bearer","expires_in":1}`))
	f.Add([]byte(`{"expires_in":"1"}`))
	now := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, b []byte) {
		var g grant
		if json.Unmarshal(b, &g) != nil {
			return
		}
		made, err := g.token("https://a", now, nil)
		if err != nil {
			return
		}
		if strings.ContainsFunc(made.access.Reveal(), func(c rune) bool { return c <= ' ' || c > '~' }) || made.expires.Before(made.renew) {
			t.Errorf("%+v", made)
		}
		text, err := made.text()
		if err != nil {
			t.Fatal(err)
		}
		back, err := parseToken(text)
		if err != nil || back.access != made.access || !back.expires.Equal(made.expires) || !slices.Equal([]byte(back.refresh), []byte(made.refresh)) {
			t.Errorf("%v: %s", err, text)
		}
	})
}
