package accounts

import (
	"context"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/core"
)

const (
	metadataLife = time.Hour
	maxMetadata  = 1000
)

// metadata is what we need to know of an authorization server.
type metadata struct {
	issuer, authorize, token string
	iss                      bool // answers carry iss (RFC 9207)
	post                     bool // the secret goes into the body, since it takes no header
	read                     time.Time
}

// document is metadata as it is served (RFC 8414, section 2; OpenID Connect Discovery 1.0).
type document struct {
	Issuer    string   `json:"issuer"`
	Authorize string   `json:"authorization_endpoint"`
	Token     string   `json:"token_endpoint"`
	Methods   []string `json:"code_challenge_methods_supported"`
	Iss       bool     `json:"authorization_response_iss_parameter_supported"`
	Clients   []string `json:"token_endpoint_auth_methods_supported"`
}

// catalogue keeps metadata for an hour.
type catalogue struct {
	client *client
	now    func() time.Time

	mu    sync.Mutex
	known map[string]*metadata
}

// of returns the metadata for a connector. Endpoints that the connector names win; with
// both of them nobody is asked, for servers that have no metadata.
func (c *catalogue) of(ctx context.Context, k *core.Connector, off *defences) (*metadata, error) {
	m := &metadata{issuer: k.Issuer}
	if k.Authorize == "" || k.Token == "" {
		found, err := c.read(ctx, k.Issuer, off)
		if err != nil {
			return nil, err
		}
		copied := *found
		m = &copied
	}
	if k.Authorize != "" {
		m.authorize = k.Authorize
	}
	if k.Token != "" {
		m.token = k.Token
	}
	for what, at := range map[string]string{"authorization endpoint": m.authorize, "token endpoint": m.token} {
		if _, err := checkURL(at); err != nil {
			return nil, unfit(k.Issuer, "its "+what+" cannot be used: "+err.Error())
		}
	}
	return m, nil
}

// read returns the metadata of an issuer.
func (c *catalogue) read(ctx context.Context, issuer string, off *defences) (*metadata, error) {
	c.mu.Lock()
	known := c.known[issuer]
	c.mu.Unlock()
	if known != nil && c.now().Sub(known.read) < metadataLife {
		return known, nil
	}
	u, err := checkURL(issuer)
	if err == nil && (u.RawQuery != "" || u.ForceQuery) {
		err = unfit(issuer, "it holds a query")
	}
	if err != nil {
		return nil, unfit(issuer, err.Error())
	}
	var found *document
	for _, at := range places(u) {
		var d document
		ok, err := c.client.get(ctx, at, &d)
		if err != nil {
			return nil, err
		}
		if ok {
			found = &d
			break
		}
	}
	switch {
	case found == nil:
		return nil, unfit(issuer, "it has no metadata (RFC 8414); write the endpoints into the connector")
	case found.Issuer != issuer && !off.issuer:
		return nil, unfit(issuer, "its metadata is that of another issuer (RFC 8414, section 3.3)")
	case !slices.Contains(found.Methods, "S256") && !off.s256:
		return nil, unfit(issuer, "its metadata does not name S256 in code_challenge_methods_supported (PKCE)")
	}
	m := &metadata{issuer: issuer, authorize: found.Authorize, token: found.Token, iss: found.Iss, read: c.now()}
	// Without a list it is client_secret_basic (RFC 8414, section 2).
	m.post = len(found.Clients) > 0 && !slices.Contains(found.Clients, "client_secret_basic") && slices.Contains(found.Clients, "client_secret_post")
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.known) >= maxMetadata {
		clear(c.known)
	}
	c.known[issuer] = m
	return m, nil
}

// places lists where metadata of an issuer may be, in the order that the authorization
// part of MCP gives.
func places(issuer *url.URL) []string {
	origin, path := issuer.Scheme+"://"+issuer.Host, strings.TrimRight(issuer.EscapedPath(), "/")
	all := []string{origin + "/.well-known/oauth-authorization-server" + path, origin + "/.well-known/openid-configuration" + path}
	if path != "" {
		all = append(all, origin+path+"/.well-known/openid-configuration")
	}
	return all
}

func unfit(issuer, what string) error {
	return &core.Error{Code: core.CodeUnavailable, Message: "the authorization server " + strconv.Quote(issuer) + " cannot be used: " + what, Fix: "see to the connector, or to the server"}
}
