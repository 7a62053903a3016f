package egress_test

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/egress"
)

func TestRoundTripper(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/echo":
			body, _ := io.ReadAll(r.Body)
			w.Header().Set("X-Got", r.Header.Get("X-Sent")+" "+r.URL.RawQuery+" "+r.Method+" "+r.Host)
			w.WriteHeader(http.StatusCreated)
			_, _ = w.Write(body)
		case "/away":
			http.Redirect(w, r, "/echo", http.StatusTemporaryRedirect)
		case "/gzip":
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			_, _ = z.Write([]byte("unpacked"))
			_ = z.Close()
		case "/head":
			w.Header().Set("Content-Length", "123456")
		case "/large":
			_, _ = w.Write(make([]byte, 2000))
		case "/slow":
			select {
			case <-r.Context().Done():
			case <-time.After(5 * time.Second):
			}
		}
	}))
	defer server.Close()
	send := func(t *testing.T, tr *egress.Transport, method, path, body string) (*http.Response, string, error) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("X-Sent", "this")
		request.Header.Set("Connection", "keep-alive, X-Sent")
		response, err := tr.RoundTrip(request)
		if err != nil {
			return nil, "", err
		}
		text, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response, string(text), response.Body.Close()
	}
	tr := egress.RoundTripper(newEgress(t, egress.Options{}), "registry", 1000, time.Second)
	defer tr.Close()

	host := strings.TrimPrefix(server.URL, "http://")
	response, text, err := send(t, tr, "POST", "/echo?a=b%20c", "hello")
	if err != nil || response.StatusCode != 201 || text != "hello" || response.Header.Get("X-Got") != "this a=b%20c POST "+host {
		t.Errorf("echo: %v %+v %q", err, response, text)
	}
	if response, _, err = send(t, tr, "GET", "/away", ""); err != nil || response.StatusCode != 307 || response.Header.Get("Location") != "/echo" {
		t.Errorf("a redirect is followed: %v %+v", err, response)
	}
	if response, text, err = send(t, tr, "GET", "/gzip", ""); err != nil || text != "unpacked" || response.ContentLength != 8 || response.Header.Get("Content-Encoding") != "" {
		t.Errorf("gzip: %v %+v %q", err, response, text)
	}
	if response, text, err = send(t, tr, "HEAD", "/head", ""); err != nil || response.ContentLength != 123456 || text != "" {
		t.Errorf("head: %v %+v", err, response)
	}
	if _, _, err = send(t, tr, "GET", "/large", ""); core.AsError(err).Code != core.CodeTooLarge {
		t.Errorf("an answer past the limit: %v", err)
	}
	if _, _, err = send(t, tr, "PUT", "/echo", strings.Repeat("x", 1001)); core.AsError(err).Code != core.CodeTooLarge {
		t.Errorf("a body past the limit: %v", err)
	}
	if _, _, err = send(t, tr, "GET", "/slow", ""); core.AsError(err).Code != core.CodeTimeout {
		t.Errorf("past the time: %v", err)
	}
	guarded := egress.RoundTripper(egress.New(egress.Options{}), "registry", 1000, time.Second)
	if _, _, err = send(t, guarded, "GET", "/echo", ""); err == nil {
		t.Error("a private address was reached")
	}
}

// More origins than are kept: none in use is closed under an exchange.
func TestRoundTripperManyOrigins(t *testing.T) {
	tr := egress.RoundTripper(newEgress(t, egress.Options{}), "registry", 1000, 5*time.Second)
	defer tr.Close()
	var work sync.WaitGroup
	for i := range 24 {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, i) }))
		t.Cleanup(server.Close)
		work.Go(func() {
			for range 20 {
				request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, http.NoBody)
				if err != nil {
					t.Error(err)
					return
				}
				response, err := tr.RoundTrip(request)
				if err != nil {
					t.Error(err)
					return
				}
				if text, _ := io.ReadAll(response.Body); string(text) != fmt.Sprint(i) {
					t.Errorf("origin %d answered %q", i, text)
				}
				_ = response.Body.Close()
			}
		})
	}
	work.Wait()
}

// Registries answer who says who asks, and most of them nobody else: the credential of a
// request goes out with it and with no other. Two of them do not go out at all.
func TestRoundTripperAuthorization(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(w, r.Header.Values("Authorization"))
	}))
	defer server.Close()
	e := newEgress(t, egress.Options{})
	tr := egress.RoundTripper(e, "plugin registry", 1000, time.Second)
	defer tr.Close()
	for _, row := range []struct {
		sent []string
		want string
	}{
		{nil, "[]"},
		{[]string{"Bearer one"}, "[Bearer one]"},
		{[]string{"Basic two"}, "[Basic two]"},
		{nil, "[]"},
		{[]string{"Bearer one", "Bearer two"}, ""},
		{[]string{"Bearer a\r\nX: y"}, ""},
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		request.Header["Authorization"] = row.sent
		response, err := tr.RoundTrip(request)
		if err != nil {
			if row.want != "" || strings.Contains(err.Error(), "one") || strings.Contains(err.Error(), "Bearer") {
				t.Errorf("%q: %v", row.sent, err)
			}
			continue
		}
		text, err := io.ReadAll(response.Body)
		if err != nil || string(text) != row.want {
			t.Errorf("%q: %q, %v", row.sent, text, err)
		}
	}
}
