package web

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"mime/multipart"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
)

// fakeModules takes a text for a module: plugin, release, and what it asks for.
type fakeModules struct{}

func (fakeModules) Read(up ModuleUpload) (*core.Module, error) {
	words := strings.Fields(string(up.Module))
	if len(words) < 2 {
		return nil, invalid(wrong("/module", "this is no module", "send one"))
	}
	if string(up.Signature) == "wrong" {
		return nil, invalid(wrong("/signature", "nobody who is trusted signed it", "sign it"))
	}
	sum := sha256.Sum256(append(slices.Clone(up.Module), up.Manifest...))
	return &core.Module{
		Name: strings.ReplaceAll(words[0], "/", "-"), Plugin: words[0], Release: words[1], Asks: words[2:], Kinds: []string{"invoker"},
		Digest: "sha256:" + hex.EncodeToString(sum[:]), Manifest: string(up.Manifest), Bytes: up.Module, Size: len(up.Module), Signatures: string(up.Signature),
	}, nil
}

func (fakeModules) Users(_, module string, published []core.Document) (users []string) {
	for i := range published {
		if strings.Contains(published[i].Text, "store:"+module) {
			users = append(users, published[i].Name)
		}
	}
	return users
}

func (fakeModules) Refused(string) []core.Problem {
	return []core.Problem{{File: "talk.yaml", Path: "/plugins/0/grants", Message: "not granted", Fix: "grant it"}}
}

// digestOf is that of fakeModules.
func digestOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// form writes a body of parts: name, text, name, text, …
func form(parts ...string) (body, header string) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for i := 0; i+1 < len(parts); i += 2 {
		part, _ := w.CreateFormFile(parts[i], parts[i])
		_, _ = part.Write([]byte(parts[i+1]))
	}
	_ = w.Close()
	return b.String(), "Content-Type: " + w.FormDataContentType()
}

// sending is a row that sends a form.
func sending(s scenario, parts ...string) scenario {
	body, header := form(parts...)
	s.method, s.path, s.body, s.headers = "POST", "/modules", body, append(s.headers, header)
	s.withoutReplace = true
	return s
}

func moduleScenarios() []scenario {
	const first, second = "acme/weather 1.0.0 http:a", "acme/weather 1.1.0 http:a http:b"
	document := &core.Document{Tenant: core.DefaultTenant, Name: "user-of-modules", Number: 1, Text: "plugins: [{name: w, source: store:acme-weather}]\n"}
	return []scenario{
		{name: "none yet", as: "viewer", method: "GET", path: "/modules", status: 200, holds: []string{`{"items":[]}`}},
		sending(scenario{name: "upload as a viewer", as: "viewer", status: 403}, "module", first),
		sending(scenario{name: "upload nothing", as: "admin", status: 422, holds: []string{`"/module"`, "module is missing"}}, "manifest", "x"),
		sending(scenario{name: "upload what is none", as: "admin", status: 422, holds: []string{`"/module"`}}, "module", "x"),
		sending(scenario{name: "upload what nobody signed", as: "admin", status: 422, holds: []string{`"/signature"`}}, "module", first, "signature", "wrong"),
		sending(scenario{name: "upload a part twice", as: "admin", status: 422, holds: []string{"two parts module"}}, "module", first, "module", first),
		sending(scenario{name: "upload a part of no name", as: "admin", status: 422, holds: []string{"unknown part"}}, "module", first, "modul", first),
		sending(scenario{name: "upload parts without end", as: "admin", status: 422, holds: []string{"too many parts"}}, "module", first, "a", "", "b", "", "c", "", "d", "", "e", "", "f", ""),
		sending(scenario{name: "a part that is too large", as: "admin", status: 422, holds: []string{`"/signature"`, "too large"}}, "module", first, "signature", strings.Repeat("x", signatureMost+1)),
		{name: "upload JSON", as: "admin", method: "POST", path: "/modules", body: `{}`, status: 415},
		{name: "upload half a form", as: "admin", method: "POST", path: "/modules", body: "--x\r\nContent-Disposition: form-data; name=module\r\n\r\nabc", headers: []string{"Content-Type: multipart/form-data; boundary=x"}, status: 422, holds: []string{"does not end"}},
		{name: "upload no form", as: "admin", method: "POST", path: "/modules", body: "abc", headers: []string{"Content-Type: multipart/form-data; boundary=x"}, status: 422, holds: []string{"module is missing"}},
		{name: "upload a broken form", as: "admin", method: "POST", path: "/modules", body: "--x\r\nno header\r\n\r\nabc\r\n--x--\r\n", headers: []string{"Content-Type: multipart/form-data; boundary=x"}, status: 400, holds: []string{"cannot be read"}},
		sending(scenario{
			name: "upload", as: "admin", status: 201,
			holds: []string{`"name":"acme-weather","state":"waiting"`, `"release":"1.0.0"`, `"asks":["http:a"]`, `"grants":[]`, `"asksAnew":["http:a"]`, digestOf(first), `"version":1`, `"by":"$admin"`},
			after: recorded("plugin.upload", "new here", ""),
		}, "module", first, "reason", "new here"),
		{name: "read what waits", as: "viewer", method: "GET", path: "/modules/acme-weather", status: 200, holds: []string{`"state":"waiting"`}},
		{name: "nothing is approved", as: "viewer", method: "GET", path: "/modules/acme-weather?of=approved", status: 404},
		{name: "look at what waits", as: "viewer", method: "GET", path: "/modules/acme-weather/content?of=waiting", status: 200, holds: []string{first}},
		{name: "approve as a publisher", as: "publisher", method: "POST", path: "/modules/acme-weather/approve", body: `{"digest":"` + digestOf(first) + `"}`, status: 403},
		{name: "approve another content", as: "admin", method: "POST", path: "/modules/acme-weather/approve", body: `{"digest":"` + digestOf(second) + `"}`, status: 412},
		{
			name: "approve", as: "admin", method: "POST", path: "/modules/acme-weather/approve", body: `{"digest":"` + digestOf(first) + `","reason":"read it"}`, status: 200,
			holds: []string{`"state":"approved"`, `"grants":["http:a"]`, `"approvedBy":"$admin"`, `"approved":"2`, `"good":false`, "/plugins/0/grants"}, after: recorded("plugin.approve", "read it", ""),
		},
		{name: "approve again", as: "admin", method: "POST", path: "/modules/acme-weather/approve", body: `{"digest":"` + digestOf(first) + `"}`, status: 404},
		sending(scenario{name: "upload the same", as: "admin", status: 201, holds: []string{`"state":"approved"`, `"grants":["http:a"]`}}, "module", first, "signature", "sig"),
		sending(scenario{
			name: "upload another version", as: "admin", status: 201, holds: []string{`"state":"waiting"`, `"release":"1.1.0"`, `"grants":[]`, `"asksAnew":["http:b"]`},
			after: func(t *testing.T, r *apiRig, _ apiAnswer) {
				t.Helper()
				if got := r.ask("viewer", "GET", "/api/v1/modules/acme-weather", ""); !strings.Contains(got.body, digestOf(first)) || !strings.Contains(got.body, `"state":"approved"`) {
					t.Errorf("an upload replaced what runs: %s", got.body)
				}
			},
		}, "module", second),
		sending(scenario{name: "upload another plugin of that name", as: "admin", status: 409, holds: []string{"acme/weather"}}, "module", "acme-weather 1.0.0"),
		{name: "list", as: "viewer", method: "GET", path: "/modules", status: 200, holds: []string{`"state":"approved"`, `"state":"waiting"`, digestOf(first), digestOf(second)}, lacks: []string{"@"}},
		{name: "list in another tenant", as: "acme-admin", method: "GET", path: "/modules", status: 200, holds: []string{`{"items":[]}`}},
		{name: "read in another tenant", as: "acme-admin", method: "GET", path: "/modules/acme-weather", status: 404},
		{name: "download in another tenant", as: "acme-admin", method: "GET", path: "/modules/acme-weather/content", status: 404},
		{name: "approve in another tenant", as: "acme-admin", method: "POST", path: "/modules/acme-weather/approve", body: `{"digest":"` + digestOf(second) + `"}`, status: 404},
		{name: "download", as: "viewer", method: "GET", path: "/modules/acme-weather/content", status: 200, holds: []string{first}, lacks: []string{second}},
		{name: "the row of what waits has no path", as: "admin", method: "GET", path: "/modules/acme-weather@waiting", status: 404},
		{name: "read what waits beside it", as: "admin", method: "GET", path: "/modules/acme-weather?of=waiting", status: 200, holds: []string{digestOf(second)}},
		{name: "reject without If-Match", as: "admin", method: "DELETE", path: "/modules/acme-weather?of=waiting", status: 428},
		{name: "reject another", as: "admin", method: "DELETE", path: "/modules/acme-weather?of=waiting", headers: []string{`If-Match: "7"`}, status: 412},
		{name: "reject", as: "admin", method: "DELETE", path: "/modules/acme-weather?of=waiting", headers: []string{"If-Match: $etag"}, status: 204, after: recorded("plugin.delete", "", "")},
		{name: "read what is left", as: "admin", method: "GET", path: "/modules/acme-weather", status: 200, holds: []string{digestOf(first)}, before: func(r *apiRig) { r.put(document) }},
		{name: "delete what is in use", as: "admin", method: "DELETE", path: "/modules/acme-weather", headers: []string{"If-Match: $etag"}, status: 409, holds: []string{"user-of-modules", "store:acme-weather"}, after: func(t *testing.T, r *apiRig, _ apiAnswer) {
			t.Helper()
			document.Gone = true
			r.put(document)
		}},
		sending(scenario{name: "upload once more", as: "admin", status: 201}, "module", second),
		{name: "read it", as: "admin", method: "GET", path: "/modules/acme-weather", status: 200},
		{name: "delete", as: "admin", method: "DELETE", path: "/modules/acme-weather", headers: []string{"If-Match: $etag"}, status: 204},
		{name: "with what waited", as: "admin", method: "GET", path: "/modules", status: 200, holds: []string{`{"items":[]}`}},
	}
}

// Whatever comes in as a form: it is read or refused, and no part is larger than its bound.
func FuzzForm(f *testing.F) {
	good, header := form("module", "acme/a 1.0.0", "reason", "x")
	_, boundary, _ := strings.Cut(header, "boundary=")
	f.Add([]byte(strings.ReplaceAll(good, boundary, "x")))
	f.Add([]byte("--x\r\nContent-Disposition: form-data; name=module\r\nContent-Transfer-Encoding: base64\r\n\r\nQQ==\r\n--x--"))
	f.Add([]byte("--x\r\nContent-Disposition: form-data; name=module; name=signature\r\n\r\n--x--"))
	f.Add([]byte("--x--"))
	var route apiRoute
	for _, r := range moduleRoutes() {
		if r.Parts != nil {
			route = r
		}
	}
	route.Parts = slices.Clone(route.Parts)
	for i := range route.Parts {
		route.Parts[i].Limit = 8
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		c := &apiCall{route: &route, request: &apiRequest{header: contentType("multipart/form-data; boundary=x"), body: body}}
		err := c.decodeForm()
		for name, part := range c.form {
			if err == nil && len(part) > 8 || !slices.ContainsFunc(route.Parts, func(p apiPart) bool { return p.Name == name }) {
				t.Errorf("part %q of %d bytes, %v", name, len(part), err)
			}
		}
		if err == nil && len(c.form["module"]) == 0 {
			t.Error("a form without what is needed passes")
		}
		if err != nil && core.AsError(err).Code == core.CodeInternal {
			t.Error(err)
		}
	})
}

// contentType is a head with one field.
type contentType string

func (c contentType) Get(name string) string {
	if name == "Content-Type" {
		return string(c)
	}
	return ""
}

func (c contentType) Values(name string) []string { return []string{c.Get(name)} }

// A body that is larger than the edge takes of everybody is read from who may use a route
// that takes it, and of nobody else: not one byte beyond the limit is kept.
func TestRoomForLargeBodies(t *testing.T) { //nolint:tparallel // the rig fails through one test at a time
	t.Parallel()
	r := startAPI(t, func(_ *APIOptions, o *Options) { o.Limits.Body = 64 << 10 })
	r.strict = false // 413 is the edge's
	large := "acme/large 1.0.0 " + strings.Repeat("x", 300<<10)
	body, header := form("module", large)
	chunked := func(who string) int {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), "POST", "http://"+r.addr+"/api/v1/modules", struct{ *strings.Reader }{strings.NewReader(body)})
		if err != nil {
			t.Fatal(err)
		}
		request.ContentLength = -1
		name, value, _ := strings.Cut(header, ": ")
		request.Header.Set(name, value)
		for name, value := range r.as(who) {
			request.Header.Set(name, value)
		}
		response, err := apiClient.Do(request)
		if err != nil {
			return 413 // the edge closed the connection while the body was sent
		}
		defer response.Body.Close()
		return response.StatusCode
	}
	for _, row := range []struct {
		who  string
		want int
	}{{"admin", 201}, {"operator", 201}, {"viewer", 413}, {"", 413}} {
		if got := r.ask(row.who, "POST", "/api/v1/modules", body, header); got.status != row.want {
			t.Errorf("%q: %d %s", row.who, got.status, got.body)
		} else if row.want == 413 && (got.problem().Status != 413 || !strings.Contains(got.problem().Fix, "token or login")) {
			t.Errorf("%q: %s", row.who, got.body)
		}
		if got := chunked(row.who); got != row.want {
			t.Errorf("%q, chunked: %d", row.who, got)
		}
	}
	t.Run("by a login", func(t *testing.T) {
		headers, _ := r.login("admin")
		if got := r.ask("", "POST", "/api/v1/modules", body, append(headers, header)...); got.status != 201 {
			t.Errorf("%d %s", got.status, got.body)
		}
	})
	t.Run("with 100-continue", func(t *testing.T) {
		for who, want := range map[string]string{"admin": "HTTP/1.1 100", "viewer": "HTTP/1.1 413"} {
			c, err := net.Dial("tcp", r.addr)
			if err != nil {
				t.Fatal(err)
			}
			_ = c.SetDeadline(time.Now().Add(10 * time.Second))
			_, _ = c.Write([]byte("POST /api/v1/modules HTTP/1.1\r\nHost: " + r.addr + "\r\nAuthorization: " + r.as(who)["Authorization"] +
				"\r\nExpect: 100-continue\r\nContent-Length: 300000\r\n" + header + "\r\n\r\n"))
			b := make([]byte, len(want))
			n, _ := c.Read(b)
			if _ = c.Close(); string(b[:n]) != want {
				t.Errorf("%s: %q", who, b[:n])
			}
		}
	})
	t.Run("elsewhere nobody has it", func(t *testing.T) {
		for _, path := range []string{"/api/v1/users", "/api/v1/nothing", "/shop/mcp", "/api/v2/modules", "/api/v1/modules/../users"} {
			if got := r.ask("operator", "POST", path, strings.Repeat(" ", 100<<10)); got.status != 413 {
				t.Errorf("%s: %d %s", path, got.status, got.body)
			}
		}
	})
	t.Run("more than the route takes", func(t *testing.T) {
		if got := r.ask("admin", "POST", "/api/v1/servers/x/tools/y/call", strings.Repeat(" ", 2<<20)); got.status != 413 {
			t.Errorf("%d", got.status)
		}
	})
}

// The rows above prove something: without the question who asks, a viewer's body is read,
// and refused only then.
func TestRoomForLargeBodiesBites(t *testing.T) {
	t.Parallel()
	r := startAPI(t, func(_ *APIOptions, o *Options) { o.Limits.Body = 64 << 10 })
	r.strict = false
	r.api.lax.permission = true
	body, header := form("module", "acme/large 1.0.0 "+strings.Repeat("x", 300<<10))
	if got := r.ask("viewer", "POST", "/api/v1/modules", body, header); got.status != 201 {
		t.Errorf("%d %s", got.status, got.body)
	}
	var m core.Module
	m.Tenant, m.Name = core.DefaultTenant, "acme-large"+core.ModuleWaits
	if err := r.store.Get(context.Background(), &m); err != nil || len(m.Bytes) < 300<<10 {
		t.Error(err, len(m.Bytes))
	}
}
