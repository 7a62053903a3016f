package authn

import (
	"context"
	"crypto"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

// How long what an issuer says of itself is believed, and how often it is asked.
const (
	keysRefresh  = 10 * time.Minute // in the background
	keysStale    = 24 * time.Hour   // kept while the issuer is away
	keysAgain    = 30 * time.Second // for a key that is not known
	firstAgain   = 5 * time.Second  // while nothing is known at all
	metadataKept = time.Hour
	maxIssuers   = 256
)

// issuer is an authorization server as far as we know it: its metadata and its keys. It
// is safe for concurrent use.
type issuer struct {
	a    *Authn
	url  string
	jwks string // where its keys are; "" = as its metadata says

	mu       sync.Mutex
	keys     []key
	fetched  time.Time // of keys
	tried    time.Time
	failed   error         // of the last try
	flight   chan struct{} // closed when the try that runs now has ended
	metadata *metadata
	known    time.Time // when metadata was read
}

// metadata is the part that we use of RFC 8414 and OpenID Connect Discovery 1.0.
type metadata struct {
	Issuer        string   `json:"issuer"`
	Authorize     string   `json:"authorization_endpoint"`
	Token         string   `json:"token_endpoint"`
	JWKS          string   `json:"jwks_uri"`
	AuthMethods   []string `json:"token_endpoint_auth_methods_supported"`
	IssParameter  bool     `json:"authorization_response_iss_parameter_supported"` // RFC 9207
	Introspection string   `json:"introspection_endpoint"`
}

// issuerOf returns what is known of a provider's issuer.
func (a *Authn) issuerOf(p *core.Provider) *issuer {
	key := [2]string{p.Issuer, p.JWKS}
	a.mu.Lock()
	defer a.mu.Unlock()
	is := a.issuers[key]
	if is == nil {
		if len(a.issuers) >= maxIssuers {
			clear(a.issuers) // more than anybody configures: begin again
		}
		is = &issuer{a: a, url: p.Issuer, jwks: p.JWKS}
		a.issuers[key] = is
	}
	return is
}

// find returns the public key that made a signature. A key that is not known makes us ask
// the issuer again, but not more often than keysAgain: strangers choose key ids too.
func (is *issuer) find(ctx context.Context, id, alg string) (crypto.PublicKey, error) {
	for asked := false; ; asked = true {
		is.mu.Lock()
		now := is.a.now()
		if now.Sub(is.fetched) < keysStale {
			if public := pick(is.keys, id, alg); public != nil {
				is.mu.Unlock()
				return public, nil
			}
		}
		again := keysAgain
		if is.fetched.IsZero() {
			again = firstAgain
		}
		failed, running := is.failed, is.flight != nil
		due := is.tried.IsZero() || now.Sub(is.tried) >= again
		is.mu.Unlock()
		if asked || !due && !running {
			if failed != nil {
				return nil, failed
			}
			return nil, errRefused
		}
		if err := is.refresh(ctx); err != nil {
			return nil, err
		}
	}
}

func pick(keys []key, id, alg string) crypto.PublicKey {
	var found crypto.PublicKey
	for _, k := range keys {
		if id != "" && k.id != id || !k.fits(alg) {
			continue
		}
		if found != nil {
			return nil // two could have made it: the token must say which
		}
		found = k.public
	}
	return found
}

// refresh asks for the keys, once for all who wait. Those that are known stay when the
// issuer does not answer.
func (is *issuer) refresh(ctx context.Context) error {
	is.mu.Lock()
	if flight := is.flight; flight != nil {
		is.mu.Unlock()
		select {
		case <-flight:
			return nil
		case <-ctx.Done():
			return away("keys", ctx.Err())
		}
	}
	flight := make(chan struct{})
	is.flight, is.tried = flight, is.a.now()
	is.mu.Unlock()

	keys, err := is.fetchKeys(ctx)

	is.mu.Lock()
	is.flight, is.failed = nil, err
	if err == nil {
		is.keys, is.fetched = keys, is.a.now()
	}
	is.mu.Unlock()
	close(flight)
	return nil
}

func (is *issuer) fetchKeys(ctx context.Context) ([]key, error) {
	from := is.jwks
	if from == "" {
		m, err := is.describe(ctx)
		if err != nil {
			return nil, err
		}
		from = m.JWKS
	}
	if !endpoint(from) {
		return nil, away("keys", nil)
	}
	body, err := is.a.get(ctx, "keys", from)
	if err != nil {
		return nil, err
	}
	return parseKeys(body)
}

// describe returns the issuer's metadata. What names another issuer is not believed
// (RFC 8414, section 3.3).
func (is *issuer) describe(ctx context.Context) (*metadata, error) {
	is.mu.Lock()
	known := is.metadata
	fresh := known != nil && is.a.now().Sub(is.known) < metadataKept
	is.mu.Unlock()
	if fresh {
		return known, nil
	}
	m, err := is.fetchMetadata(ctx)
	if err != nil {
		if known != nil {
			return known, nil
		}
		return nil, err
	}
	is.mu.Lock()
	is.metadata, is.known = m, is.a.now()
	is.mu.Unlock()
	return m, nil
}

func (is *issuer) fetchMetadata(ctx context.Context) (*metadata, error) {
	if !endpoint(is.url) {
		return nil, away("metadata", nil)
	}
	last := away("metadata", nil)
	for _, from := range wellKnown(is.url) {
		body, err := is.a.get(ctx, "metadata", from)
		if err != nil {
			last = err
			continue
		}
		var m metadata
		if err := wire.Unmarshal(body, &m); err != nil {
			last = away("metadata", err)
			continue
		}
		if m.Issuer != is.url {
			last = &core.Error{
				Code: core.CodeUnavailable, Message: "the metadata of an identity provider names another issuer than its settings do",
				Fix: "write the issuer exactly as its metadata does, to the last slash",
			}
			continue
		}
		return &m, nil
	}
	return nil, last
}

// wellKnown returns where the metadata of an issuer may be: OpenID Connect Discovery 1.0
// section 4, then RFC 8414 section 3.
func wellKnown(from string) []string {
	out := []string{strings.TrimSuffix(from, "/") + "/.well-known/openid-configuration"}
	u, err := url.Parse(from)
	if err != nil {
		return out
	}
	path := strings.TrimSuffix(u.EscapedPath(), "/")
	origin := u.Scheme + "://" + u.Host
	out = append(out, origin+"/.well-known/oauth-authorization-server"+path)
	if path != "" {
		out = append(out, origin+"/.well-known/openid-configuration"+path)
	}
	return out
}
