package egress

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/sallyport/sallyport/core"
)

// redirection tells whether a status sends the request elsewhere.
func redirection(status int) bool {
	switch status {
	case 301, 302, 303, 307, 308:
		return true
	}
	return false
}

// follow goes where an answer points, as often as the connection allows. Every hop
// is dialled through the same guard; what identifies us goes to our own origin only.
func (u *upstream) follow(ctx context.Context, m *message, answer *core.Response) (*core.Response, *fault) {
	asked := m
	defer func() { asked.source, asked.encoding, asked.ended = m.source, m.encoding, m.ended }()
	here := &url.URL{Scheme: u.profile.scheme, Host: u.authority, Path: "/"}
	here, err := here.Parse(string(m.appendTarget(nil)))
	if err != nil {
		return nil, u.astray(m, "a path that cannot be resolved")
	}
	for hops := 0; redirection(answer.Status); hops++ {
		location := answer.Get("Location")
		if location == "" {
			return answer, nil
		}
		if hops == u.redirects {
			return nil, u.astray(m, fmt.Sprintf("more than %d redirects", u.redirects))
		}
		next, err := here.Parse(location)
		if err != nil {
			return nil, u.astray(m, "a Location that is not a URL")
		}
		hop, problem := u.hop(m, here, next, answer.Status)
		if problem != "" {
			return nil, u.astray(m, problem)
		}
		m.drop()
		hop.source, hop.encoding = nil, ""
		var f *fault
		if answer, f = u.visit(ctx, hop, next); f != nil {
			return nil, f
		}
		here, m = next, hop
	}
	return answer, nil
}

// hop makes the request for the next URL, or says why it is not followed.
func (u *upstream) hop(m *message, here, next *url.URL, status int) (*message, string) {
	if here.Scheme == "https" && next.Scheme != "https" {
		return nil, "a redirect from https to http"
	}
	hop := *m
	hop.start = u.egress.o.Now()
	hop.base, hop.path = "", next.EscapedPath()
	if hop.path == "" {
		hop.path = "/"
	}
	hop.query = [3]string{next.RawQuery}
	hop.authority, hop.secure = next.Host, next.Scheme == "https"
	if checkPath(hop.path) != "" || checkQuery(next.RawQuery) != "" {
		return nil, "a Location with characters that are not escaped"
	}
	// 301 and 302 turn POST into GET, 303 all but HEAD (Fetch standard 4.4.12).
	if m.method == "POST" && status <= 302 || status == 303 && m.method != "HEAD" {
		hop.method, hop.body = "GET", nil
		hop.fields = without(m.fields, func(name string) bool { return strings.HasPrefix(strings.ToLower(name), "content-") })
	}
	if u.home(next) {
		hop.own = m.home
		hop.query[2] = u.secrets
		return &hop, ""
	}
	if len(hop.body) > 0 {
		return nil, "a redirect that would send the body to another origin"
	}
	hop.own = without(m.home, private)
	hop.fields = without(hop.fields, private)
	return &hop, ""
}

// home tells whether a URL has the origin of the connection.
func (u *upstream) home(to *url.URL) bool {
	p, err := profileOf(to, nil)
	return err == nil && p.scheme == u.profile.scheme && p.port == u.profile.port && strings.EqualFold(p.host, u.profile.host)
}

// visit sends one hop through the transport of its origin: the connection's own, or
// one without its TLS identity.
func (u *upstream) visit(ctx context.Context, hop *message, to *url.URL) (*core.Response, *fault) {
	if u.home(to) {
		return u.persist(ctx, hop, u.pool)
	}
	p, err := profileOf(to, u.profile.ranges)
	if err != nil {
		return nil, u.astray(hop, "a Location that may not be visited")
	}
	p.connect, p.first = u.profile.connect, u.profile.first
	t, quit, err := u.egress.visit(&p)
	if err != nil {
		return nil, u.astray(hop, "a Location that cannot be visited")
	}
	defer quit()
	return u.persist(ctx, hop, t)
}

// private tells whether a header stays with the origin it was meant for: all but
// those that say what we can read.
func private(name string) bool {
	switch strings.ToLower(name) {
	case "accept", "accept-encoding", "accept-language", "user-agent":
		return false
	}
	return true
}

func without(fields []core.Field, drop func(name string) bool) []core.Field {
	var left []core.Field
	for _, f := range fields {
		if !drop(f.Name) {
			left = append(left, f)
		}
	}
	return left
}

// astray is the fault of a redirect that is not followed.
func (u *upstream) astray(m *message, what string) *fault {
	f := &fault{outcome: "error", verdict: unknown}
	f.Code = core.CodeUnavailable
	f.Message = "connection " + m.name + ": the upstream answered with " + what
	return f
}
