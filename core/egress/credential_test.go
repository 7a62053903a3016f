package egress_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/egress"
)

// The credential of one request goes to the origin of the connection, there and back
// again, and to no other; the next request does not have it.
func TestCredentialOfARequest(t *testing.T) {
	back := ""
	other := record(t, func(w http.ResponseWriter, q *http.Request) { http.Redirect(w, q, back, http.StatusFound) })
	other.Start()
	up := record(t, func(w http.ResponseWriter, q *http.Request) {
		if q.URL.Path == "/away" {
			http.Redirect(w, q, other.URL+"/there", http.StatusFound)
			return
		}
		ok(w, q)
	})
	up.Start()
	back = up.URL + "/home"
	u := open(t, newEgress(t, egress.Options{}), core.Connection{BaseURL: parse(t, up.URL), Redirects: 3})
	request := get("/away")
	request.Credential = "Bearer s3cret"
	if _, err := u.Do(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"/away", "/home"} {
		q := up.requests()[i]
		if q.RequestURI != want || q.Header.Get("Authorization") != "Bearer s3cret" {
			t.Errorf("request %d: %s with %q", i, q.RequestURI, q.Header.Get("Authorization"))
		}
	}
	if all := fmt.Sprint(other.requests()[0].RequestURI, other.requests()[0].Header); strings.Contains(all, "s3cret") {
		t.Errorf("the other origin saw %s", all)
	}
	if _, err := u.Do(t.Context(), get("/home")); err != nil {
		t.Fatal(err)
	}
	if got := up.requests()[2].Header.Get("Authorization"); got != "" {
		t.Errorf("the next request carries %q", got)
	}
}

func TestCredentialOfARequestIsChecked(t *testing.T) {
	up := record(t, ok)
	up.Start()
	plain := open(t, newEgress(t, egress.Options{}), core.Connection{BaseURL: parse(t, up.URL)})
	known := open(t, newEgress(t, egress.Options{}), core.Connection{BaseURL: parse(t, up.URL), Secret: map[string]core.Secret{"Authorization": "Basic x"}})
	for _, row := range []struct {
		u     core.Upstream
		value core.Secret
	}{{plain, "Bearer s3cret\r\nX-Evil: 1"}, {plain, "Bearer s3cret "}, {known, "Bearer s3cret"}} {
		request := get("/")
		request.Credential = row.value
		_, err := row.u.Do(t.Context(), request)
		wants(t, err, core.CodeInvalid)
		if strings.Contains(err.Error(), "s3cret") || strings.Contains(fmt.Sprintf("%v %+v %#v", request, *request, request), "s3cret") {
			t.Errorf("shown: %v", err)
		}
	}
	if n := len(up.requests()); n != 0 {
		t.Errorf("%d requests went out", n)
	}
}
