package web

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
)

const adminToken = "0123456789abcdef0123456789abcdef"

// serveAdmin starts an admin plane and returns its address.
func serveAdmin(t *testing.T, o AdminOptions) string {
	t.Helper()
	o.Token = adminToken
	a, err := NewAdmin(o)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- a.Serve(ctx, ln) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return ln.Addr().String()
}

func TestAdmin(t *testing.T) {
	good := true
	addr := serveAdmin(t, AdminOptions{
		Plugins: func() []core.PluginStatus {
			return []core.PluginStatus{{
				Name: "weather", Plugin: "acme/weather", Version: "1.2.3", Digest: "sha256:00", Kinds: []core.PluginKind{core.PluginInvoker},
				Granted: []string{"http: GET"}, Calls: 3, CPU: 1500 * time.Millisecond, Degraded: time.Unix(5, 0), Loaded: time.Unix(1, 0),
			}}
		},
		Reload: func(context.Context) Reloaded {
			list := []core.Problem{{File: "gateway.yaml", Line: 2, Column: 3, Path: "/servers/0", Message: "wrong", Fix: "right"}}
			if good {
				list[0].Warning = true
			}
			return Reloaded{Applied: good, Revision: "abc", Problems: list}
		},
	})
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	tests := []struct {
		name, method, path string
		header             map[string]string
		status             int
		holds              []string
		lacks              string
	}{
		{"list", "GET", "/api/v1/plugins", nil, 200, []string{`"plugins":[{"name":"weather"`, `"cpuSeconds":1.5`, `"degradedUntil":"1970-01-01T00:00:05Z"`, `"refused":[]`}, ""},
		{"one", "GET", "/api/v1/plugins/weather", nil, 200, []string{`{"name":"weather"`, `"digest":"sha256:00"`}, ""},
		{"none of that name", "GET", "/api/v1/plugins/wether", nil, 404, []string{`"status":404`, `"fix":"GET /api/v1/plugins lists them"`}, ""},
		{"reload", "POST", "/api/v1/reload", nil, 200, []string{`"revision":"abc"`, `"warning":true`}, ""},
		{"no such route", "GET", "/api/v1/users", nil, 404, []string{`nothing here`}, ""},
		{"wrong method", "DELETE", "/api/v1/plugins", nil, 405, []string{`"status":405`}, ""},
		{"no token", "GET", "/api/v1/plugins", map[string]string{"Authorization": ""}, 401, []string{`admin.token`}, "weather"},
		{"wrong token", "GET", "/api/v1/plugins", map[string]string{"Authorization": "Bearer " + adminToken + "0"}, 401, []string{`admin.token`}, "weather"},
		{"a part of the token", "GET", "/api/v1/plugins", map[string]string{"Authorization": "Bearer " + adminToken[:31]}, 401, nil, "weather"},
		{"token as basic", "GET", "/api/v1/plugins", map[string]string{"Authorization": "Basic " + adminToken}, 401, nil, "weather"},
		{"unknown route without a token tells nothing", "GET", "/api/v1/users", map[string]string{"Authorization": ""}, 401, nil, "nothing here"},
		{"reload without a token", "POST", "/api/v1/reload", map[string]string{"Authorization": ""}, 401, nil, "abc"},
		{"web page", "POST", "/api/v1/reload", map[string]string{"Origin": "http://" + addr}, 403, []string{`web pages`}, "abc"},
		{"foreign host", "GET", "/api/v1/plugins", map[string]string{"Host": "evil.example"}, 403, []string{`Host`}, "weather"},
	}
	ask := func(t *testing.T, method, path string, header map[string]string) (*http.Response, string) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), method, "http://"+addr+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+adminToken)
		for name, value := range header {
			if name == "Host" {
				request.Host = value
				continue
			}
			request.Header.Set(name, value)
			if value == "" {
				request.Header.Del(name)
			}
		}
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response, string(body)
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			response, body := ask(t, tt.method, tt.path, tt.header)
			if response.StatusCode != tt.status {
				t.Errorf("status %d, want %d: %s", response.StatusCode, tt.status, body)
			}
			if !json.Valid([]byte(body)) || response.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("headers %v, body %s", response.Header, body)
			}
			if got := response.Header.Get("Content-Type"); (tt.status >= 400) != (got == "application/problem+json") {
				t.Errorf("Content-Type %q", got)
			}
			if (tt.status == 401) != (response.Header.Get("WWW-Authenticate") != "") {
				t.Error("WWW-Authenticate belongs to 401 and nothing else")
			}
			for _, part := range tt.holds {
				if !strings.Contains(body, part) {
					t.Errorf("%s\ndoes not hold %s", body, part)
				}
			}
			if tt.lacks != "" && strings.Contains(body, tt.lacks) {
				t.Errorf("%s\nholds %s", body, tt.lacks)
			}
		})
	}
	good = false
	response, body := ask(t, "POST", "/api/v1/reload", nil)
	if response.StatusCode != 422 || !strings.Contains(body, `"problems":[{"file":"gateway.yaml","line":2,"column":3,"path":"/servers/0","problem":"wrong","fix":"right"}]`) {
		t.Errorf("%d %s", response.StatusCode, body)
	}
}

func TestAdminWantsALongToken(t *testing.T) {
	for _, token := range []core.Secret{"", "short", "012345678901234"} {
		if _, err := NewAdmin(AdminOptions{Token: token}); core.AsError(err).Code != core.CodeInvalid {
			t.Errorf("%d characters: %v", len(token), err)
		}
	}
}

// What net/http would not send: several of a header that counts once, an empty one that
// stands before it, a host in the request line.
func TestAdminByHand(t *testing.T) {
	reloads := 0
	addr := serveAdmin(t, AdminOptions{
		Plugins: func() []core.PluginStatus { return nil },
		Reload:  func(context.Context) Reloaded { reloads++; return Reloaded{Applied: true} },
	})
	token := "Authorization: Bearer " + adminToken + "\r\n"
	tests := []struct{ name, line, header, status string }{
		{"good", "POST /api/v1/reload", token, "200"},
		{"an empty Origin", "POST /api/v1/reload", token + "Origin:\r\n", "403"},
		{"an empty Origin before another", "POST /api/v1/reload", token + "Origin:\r\nOrigin: http://evil.example\r\n", "403"},
		{"the token twice", "POST /api/v1/reload", token + token, "401"},
		{"the token before another", "POST /api/v1/reload", token + "Authorization: Bearer x\r\n", "401"},
		{"the token behind another", "POST /api/v1/reload", "Authorization: Bearer x\r\n" + token, "401"},
		{"a foreign host in the line", "POST http://evil.example/api/v1/reload", token, "400"},
		{"two hosts", "POST /api/v1/reload", token + "Host: evil.example\r\n", "400"},
	}
	for _, test := range tests {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.WriteString(c, test.line+" HTTP/1.1\r\nHost: "+addr+"\r\nConnection: close\r\nContent-Length: 0\r\n"+test.header+"\r\n")
		if err == nil {
			err = c.SetReadDeadline(time.Now().Add(5 * time.Second))
		}
		if err != nil {
			t.Fatal(err)
		}
		answer, _ := io.ReadAll(c)
		c.Close()
		if status, _, _ := strings.Cut(strings.TrimPrefix(string(answer), "HTTP/1.1 "), " "); status != test.status {
			t.Errorf("%s: %s, want %s", test.name, status, test.status)
		}
	}
	if reloads != 1 {
		t.Errorf("%d reloads", reloads)
	}
}

// A panic ends its request.
func TestAdminPanics(t *testing.T) {
	var log safeBuffer
	addr := serveAdmin(t, AdminOptions{
		Log:     slog.New(slog.NewTextHandler(&log, nil)),
		Plugins: func() []core.PluginStatus { panic("a secret") },
		Reload:  func(context.Context) Reloaded { return Reloaded{Applied: true, Revision: "abc"} },
	})
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for _, test := range []struct {
		method, path string
		status       int
	}{{"GET", "/api/v1/plugins", 500}, {"GET", "/api/v1/plugins/a", 500}, {"POST", "/api/v1/reload", 200}} {
		request, err := http.NewRequestWithContext(t.Context(), test.method, "http://"+addr+test.path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+adminToken)
		answer, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(answer.Body)
		answer.Body.Close()
		if answer.StatusCode != test.status || strings.Contains(string(body), "secret") {
			t.Errorf("%s: %d %s", test.path, answer.StatusCode, body)
		}
	}
	if got := log.String(); strings.Contains(got, "a secret") || !strings.Contains(got, "a value of type string") {
		t.Errorf("the log: %s", got)
	}
}
