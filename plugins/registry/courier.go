package registry

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"oras.land/oras-go/v2/registry/remote"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

const (
	maxHops  = 3
	maxToken = 64 << 10 // bytes of the answer of a token endpoint
)

// courier carries the requests of one repository: it adds credentials, answers a 401
// (distribution-spec; RFC 6750 tokens and RFC 7617 Basic), and follows the redirects
// that registries answer blob reads with. oras-go's own client needs an http.Client,
// which would follow redirects out of the caller's sight.
type courier struct {
	o        *Options
	host     string // as requests name it
	registry string // as the reference names it, for Credential
	plain    bool

	mu    sync.Mutex
	token string // value of Authorization
}

// Do sends a request to the registry.
func (c *courier) Do(request *http.Request) (*http.Response, error) {
	if request.URL.Host != c.host || request.URL.Scheme != c.scheme() {
		// An upload location on another host: the content goes there, who we are does not.
		return c.send(request, "")
	}
	c.mu.Lock()
	token := c.token
	c.mu.Unlock()
	response, err := c.send(request, token)
	if err != nil || response.StatusCode != http.StatusUnauthorized {
		return response, err
	}
	challenge := response.Header.Values("WWW-Authenticate")
	again, err := rewind(request)
	if err != nil {
		return response, nil //nolint:nilerr // a body that cannot be sent again: the 401 is the answer
	}
	drain(response)
	token, err = c.authorize(request.Context(), challenge)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	c.token = token
	c.mu.Unlock()
	return c.send(again, token)
}

func (c *courier) scheme() string {
	if c.plain {
		return "http"
	}
	return "https"
}

func rewind(request *http.Request) (*http.Request, error) {
	again := request.Clone(request.Context())
	if request.Body == nil || request.Body == http.NoBody {
		return again, nil
	}
	if request.GetBody == nil {
		return nil, errors.New("the body was sent")
	}
	body, err := request.GetBody()
	again.Body = body
	return again, err
}

func drain(response *http.Response) {
	_, _ = io.CopyN(io.Discard, response.Body, 4<<10)
	_ = response.Body.Close()
}

// send sends one request and follows the redirects of reads. Authorization leaves with
// the first hop only, unless the next is on the same host, and TLS is never left.
func (c *courier) send(request *http.Request, authorization string) (*http.Response, error) {
	request = request.Clone(request.Context())
	request.Header.Del("Authorization")
	if authorization != "" {
		request.Header.Set("Authorization", authorization)
	}
	for hop := 0; ; hop++ {
		response, err := c.o.Transport.RoundTrip(request)
		if err != nil {
			return nil, err
		}
		response.Request = request
		location := response.Header.Get("Location")
		read := request.Method == http.MethodGet || request.Method == http.MethodHead
		if !read || response.StatusCode < 301 || response.StatusCode > 308 || response.StatusCode == http.StatusNotModified || location == "" {
			return response, nil
		}
		drain(response)
		next, err := request.URL.Parse(location)
		switch {
		case err != nil || next.Host == "" || next.User != nil || next.Scheme != "https" && next.Scheme != "http":
			return nil, refusal("the registry redirects to no address")
		case next.Scheme == "http" && request.URL.Scheme == "https":
			return nil, refusal("the registry redirects from https to http")
		case hop == maxHops:
			return nil, refusal(fmt.Sprintf("the registry redirects more than %d times", maxHops))
		}
		onward := request.Clone(request.Context())
		onward.URL, onward.Host = next, ""
		if next.Host != request.URL.Host || next.Scheme != request.URL.Scheme {
			onward.Header.Del("Authorization")
		}
		request = onward
	}
}

func refusal(message string) error {
	return &core.Error{Code: core.CodeDenied, Message: message, Fix: "ask who runs the registry, or use another"}
}

// authorize answers a challenge with the value of Authorization.
func (c *courier) authorize(ctx context.Context, challenges []string) (string, error) {
	var who Credential
	if c.o.Credential != nil {
		var err error
		if who, err = c.o.Credential(ctx, c.registry); err != nil {
			return "", fmt.Errorf("credentials of %s: %w", c.registry, err)
		}
	}
	for _, text := range challenges {
		scheme, params := parseChallenge(text)
		switch {
		case scheme == "bearer":
			return c.exchange(ctx, params, who)
		case scheme == "basic" && who.User != "":
			return basic(who), nil
		}
	}
	return "", &core.Error{Code: core.CodeDenied, Message: c.registry + " wants to know who asks", Fix: "give credentials for it that may read the repository (and write, to push)"}
}

func basic(who Credential) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(who.User+":"+string(who.Password)))
}

// exchange fetches a token from the realm of a challenge.
func (c *courier) exchange(ctx context.Context, params map[string]string, who Credential) (string, error) {
	realm, err := url.Parse(params["realm"])
	if err != nil || realm.Host == "" || realm.User != nil || realm.Scheme != "https" && (realm.Scheme != "http" || !c.plain) {
		return "", refusal(fmt.Sprintf("%s names a token endpoint that is not https", c.registry))
	}
	query := realm.Query()
	for _, name := range []string{"service", "scope"} {
		if params[name] != "" {
			query.Set(name, params[name])
		}
	}
	realm.RawQuery = query.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, realm.String(), http.NoBody)
	if err != nil {
		return "", fmt.Errorf("ask for a token: %w", err)
	}
	authorization := ""
	if who.User != "" {
		authorization = basic(who)
	}
	response, err := c.send(request, authorization)
	if err != nil {
		return "", fmt.Errorf("ask for a token: %w", err)
	}
	defer drain(response)
	b, err := io.ReadAll(io.LimitReader(response.Body, maxToken+1))
	var answer struct {
		Token  string `json:"token"`
		Access string `json:"access_token"`
	}
	switch {
	case err != nil:
		return "", fmt.Errorf("ask for a token: %w", err)
	case response.StatusCode != http.StatusOK:
		return "", &core.Error{Code: core.CodeDenied, Message: fmt.Sprintf("the token endpoint of %s answered %d", c.registry, response.StatusCode), Fix: "check the credentials"}
	case len(b) > maxToken || wire.Unmarshal(b, &answer) != nil:
		return "", refusal("the token endpoint of " + c.registry + " answered something else than a token")
	}
	if answer.Token == "" {
		answer.Token = answer.Access
	}
	if answer.Token == "" || strings.ContainsFunc(answer.Token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", refusal("the token endpoint of " + c.registry + " answered something else than a token")
	}
	return "Bearer " + answer.Token, nil
}

// parseChallenge reads one challenge of RFC 9110, section 11.6.1: the scheme in small
// letters, and its parameters.
func parseChallenge(s string) (scheme string, params map[string]string) {
	scheme, rest, _ := strings.Cut(strings.TrimSpace(s), " ")
	params = map[string]string{}
	for len(rest) > 0 && len(params) < 16 {
		rest = strings.TrimLeft(rest, " ,\t")
		name, after, ok := strings.Cut(rest, "=")
		if !ok {
			break
		}
		var value strings.Builder
		if strings.HasPrefix(after, `"`) {
			i := 1
			for ; i < len(after) && after[i] != '"'; i++ {
				if after[i] == '\\' && i+1 < len(after) {
					i++
				}
				value.WriteByte(after[i])
			}
			rest = after[min(i+1, len(after)):]
		} else {
			plain, left, _ := strings.Cut(after, ",")
			value.WriteString(strings.TrimSpace(plain))
			rest = left
		}
		params[strings.ToLower(strings.TrimSpace(name))] = value.String()
	}
	return strings.ToLower(scheme), params
}

var _ remote.Client = (*courier)(nil)
