package authn

import (
	"context"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/sallyport/sallyport/core"
)

// Bounds on every exchange with an issuer.
const (
	fetchTime  = 5 * time.Second
	fetchBytes = 512 << 10
)

// bounded is a RoundTripper whose exchanges end in time and whose answers are not longer
// than fetchBytes, whatever the one below allows. It follows nothing.
type bounded struct{ under http.RoundTripper }

// RoundTrip sends one request.
func (b bounded) RoundTrip(request *http.Request) (*http.Response, error) {
	if b.under == nil {
		return nil, &core.Error{Code: core.CodeUnavailable, Message: "no way out to identity providers was given"}
	}
	if !reachable(request.URL) {
		return nil, &core.Error{Code: core.CodeInvalid, Message: "an identity provider names a URL that is not https", Fix: "https; http only on this machine"}
	}
	answer, err := b.under.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	answer.Body = &boundedBody{ReadCloser: answer.Body, left: fetchBytes}
	return answer, nil
}

type boundedBody struct {
	io.ReadCloser
	left int
}

// Read fails where the answer is too long: half of one must not be taken for a whole.
func (b *boundedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.left -= n; b.left < 0 {
		return 0, &core.Error{Code: core.CodeTooLarge, Message: "the answer of an identity provider is longer than 512 KiB"}
	}
	return n, err
}

// exchange sends a request to an issuer and returns its answer, whose status must be 200.
func (a *Authn) exchange(ctx context.Context, what string, request *http.Request) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTime) // others may wait for the same answer
	defer cancel()
	request.Header.Set("Accept", "application/json")
	answer, err := a.out.RoundTrip(request.WithContext(ctx))
	if err != nil {
		return nil, away(what, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, away(what, nil)
	}
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, away(what, err)
	}
	return body, nil
}

func (a *Authn) get(ctx context.Context, what, from string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, away(what, err)
	}
	return a.exchange(ctx, what, request)
}

// away is the error of an issuer that cannot be asked. Nobody is let in because of it.
func away(what string, err error) error {
	return &core.Error{
		Code: core.CodeUnavailable, Message: "an identity provider cannot be asked for its " + what, Fix: "try again in a moment", RetryAfter: 5, Err: err,
	}
}

// reachable tells whether a URL may be asked: https, or http on this machine for
// development. What addresses are reached is the RoundTripper's to say.
func reachable(u *url.URL) bool {
	if u.Host == "" || u.User != nil || u.Fragment != "" {
		return false
	}
	switch u.Scheme {
	case "https":
		return true
	case "http":
		host := u.Hostname()
		ip, err := netip.ParseAddr(host)
		return host == "localhost" || err == nil && ip.IsLoopback()
	}
	return false
}

// endpoint tells whether a text is the URL of an endpoint that may be asked.
func endpoint(text string) bool {
	u, err := url.Parse(text)
	return err == nil && len(text) <= 2048 && reachable(u) && !strings.ContainsAny(text, " \t\r\n")
}
