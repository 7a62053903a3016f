package accounts

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

const (
	maxAnswer     = 256 << 10 // bytes of what an authorization server answers
	answerTimeout = 15 * time.Second
)

// client asks authorization servers. It follows no redirect, and says nothing of what
// they answered in its errors.
type client struct{ http.RoundTripper }

// get reads a JSON document. found is false when there is none.
func (c *client) get(ctx context.Context, at string, into any) (found bool, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at, http.NoBody)
	if err != nil {
		return false, fmt.Errorf("ask an authorization server: %w", err)
	}
	status, err := c.do(request, into)
	return status == http.StatusOK && err == nil, err
}

// exchange asks a token endpoint. secret "" = a public client.
func (c *client) exchange(ctx context.Context, m *metadata, id string, secret core.Secret, form url.Values) (*grant, error) {
	header := http.Header{}
	switch {
	case secret == "":
		form.Set("client_id", id)
	case m.post:
		form.Set("client_id", id)
		form.Set("client_secret", secret.Reveal())
	default: // RFC 6749, section 2.3.1: both are escaped first
		header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id)+":"+url.QueryEscape(secret.Reveal()))))
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, m.token, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, errors.New("ask a token endpoint: its URL is none")
	}
	request.Header = header
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	var g grant
	status, err := c.do(request, &g)
	switch {
	case err != nil:
		return nil, err
	case status == http.StatusOK && g.Error == "":
		return &g, nil
	case g.Error == "":
		return nil, &core.Error{Code: core.CodeUnavailable, Message: fmt.Sprintf("the token endpoint answered with status %d", status)}
	}
	return nil, &refusedError{said(g.Error)}
}

// do sends a request and reads JSON, of an error too where there is some.
func (c *client) do(request *http.Request, into any) (status int, err error) {
	ctx, cancel := context.WithTimeout(request.Context(), answerTimeout)
	defer cancel()
	request.Header.Set("Accept", "application/json")
	response, err := c.RoundTrip(request.WithContext(ctx))
	if err != nil {
		return 0, &core.Error{Code: core.CodeUnavailable, Message: "the authorization server cannot be reached", Err: reason(err)}
	}
	defer response.Body.Close()
	b, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	defer clear(b)
	kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	isJSON := kind == "application/json" || strings.HasSuffix(kind, "+json")
	switch {
	case err != nil:
		return 0, &core.Error{Code: core.CodeUnavailable, Message: "the authorization server broke off its answer"}
	case len(b) > maxAnswer:
		return 0, &core.Error{Code: core.CodeTooLarge, Message: "the authorization server answered with more than 256 KiB"}
	case response.StatusCode != http.StatusOK && !isJSON:
		return response.StatusCode, nil
	case !isJSON:
		return 0, &core.Error{Code: core.CodeUnavailable, Message: "the authorization server did not answer with JSON"}
	}
	if err := wire.Unmarshal(b, into); err != nil && response.StatusCode == http.StatusOK {
		return 0, &core.Error{Code: core.CodeUnavailable, Message: "the authorization server answered with JSON that is wrong"}
	}
	return response.StatusCode, nil
}

// reason keeps what our own egress says, which holds no secret, and nothing else.
func reason(err error) error {
	var e *core.Error
	if errors.As(err, &e) {
		return e
	}
	return nil
}

// refusedError is the word of an authorization server.
type refusedError struct{ code string }

// Error returns its code.
func (e *refusedError) Error() string { return "the authorization server answered " + e.code }

// said returns an error code of RFC 6749 (sections 4.1.2.1 and 5.2), OpenID Connect and
// RFC 8707; any other text of a server is not repeated.
func said(code string) string {
	switch code {
	case "invalid_request", "unauthorized_client", "access_denied", "unsupported_response_type", "invalid_scope", "server_error",
		"temporarily_unavailable", "invalid_client", invalidID, "unsupported_grant_type", "invalid_target",
		"interaction_required", "login_required", "account_selection_required", "consent_required":
		return code
	}
	return "with an error"
}

// checkURL says what is wrong with the URL of an authorization server, or a callback.
// Plain http is for loopback only.
func checkURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || !u.IsAbs() || u.Host == "" || u.Opaque != "":
		return nil, errors.New("it is no URL")
	case u.User != nil || u.Fragment != "" || strings.Contains(text, "#"):
		return nil, errors.New("it holds a user or a fragment")
	case u.Scheme == "https", u.Scheme == "http" && loopback(u.Hostname()):
		return u, nil
	}
	return nil, errors.New("it does not begin with https://")
}

func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}
