package authn

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/oauth2"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

// Bounds on what introspection keeps and asks.
const (
	activeKept    = time.Minute      // at most, and not beyond exp
	inactiveKept  = 10 * time.Second // what a stranger sends twice is asked once
	maxIntrospect = 10_000           // answers
	introspectNow = 16               // questions that are out at a time
)

// introspections are the answers that issuers gave about opaque tokens (RFC 7662).
type introspections struct {
	turn chan struct{}

	mu      sync.Mutex
	answers map[introspection]*answer
}

// introspection is a token at a provider as it was configured when it was asked.
type introspection struct {
	tenant, provider, uri, client string
	version                       int64
	token                         string // SHA-256, hexadecimal
}

type answer struct {
	done   chan struct{} // closed when the rest stands
	claims claims        // nil = not active
	err    error
	until  time.Time
}

func newIntrospections() *introspections {
	return &introspections{turn: make(chan struct{}, introspectNow), answers: map[introspection]*answer{}}
}

// introspect believes an access token that only its issuer can read, or not.
func (a *Authn) introspect(ctx context.Context, ix *index, token string, to aim) (*access, error) {
	err := errRefused
	for _, p := range ix.providersFor(to.tenant, false) {
		if p.Introspection == "" {
			continue
		}
		says, failed := a.ask(ctx, p, token, to.now)
		if failed != nil {
			err = failed
			continue
		}
		if says == nil {
			continue
		}
		s := &access{claims: says, provider: p, id: TokenSum(token), expires: to.now.Add(activeKept)}
		if failed := a.believe(ix, s, nil, to); failed != nil {
			return nil, failed
		}
		if limit := to.now.Add(activeKept); s.expires.After(limit) {
			s.expires = limit
		}
		return s, nil
	}
	return nil, err
}

// ask returns what a provider says of a token; nil when it is not active.
func (a *Authn) ask(ctx context.Context, p *core.Provider, token string, now time.Time) (claims, error) {
	key := introspection{p.Tenant, p.ID, p.Introspection, p.ClientID, p.Version, TokenSum(token)}
	in := a.introspects
	in.mu.Lock()
	known := in.answers[key]
	if known != nil {
		select {
		case <-known.done:
			if !now.Before(known.until) {
				known = nil
			}
		default: // somebody asks now
		}
	}
	if known != nil {
		in.mu.Unlock()
		select {
		case <-known.done:
			return known.claims, known.err
		case <-ctx.Done():
			return nil, away("introspection", ctx.Err())
		}
	}
	if len(in.answers) >= maxIntrospect {
		in.forget(now)
	}
	mine := &answer{done: make(chan struct{})}
	in.answers[key] = mine
	in.mu.Unlock()

	mine.claims, mine.err = a.introspectAt(ctx, p, token)
	switch exp, limited := mine.claims.moment("exp"); {
	case mine.err != nil:
		mine.until = now // ask again
	case mine.claims == nil:
		mine.until = now.Add(inactiveKept)
	default:
		mine.until = now.Add(activeKept)
		if limited && exp.Before(mine.until) {
			mine.until = exp
		}
	}
	close(mine.done)
	return mine.claims, mine.err
}

// forget drops answers that are too old, or else all that are there: strangers can fill
// this.
func (in *introspections) forget(now time.Time) {
	for key, one := range in.answers {
		select {
		case <-one.done:
			if !now.Before(one.until) {
				delete(in.answers, key)
			}
		default:
		}
	}
	if len(in.answers) >= maxIntrospect {
		clear(in.answers)
	}
}

func (a *Authn) introspectAt(ctx context.Context, p *core.Provider, token string) (claims, error) {
	select {
	case a.introspects.turn <- struct{}{}:
	default: // a flood of strangers' tokens must not become a flood at the issuer
		return nil, away("introspection", nil)
	}
	defer func() { <-a.introspects.turn }()
	secret, err := a.clientSecret(p)
	if err != nil {
		return nil, err
	}
	form := url.Values{"token": {token}, "token_type_hint": {"access_token"}}
	if secret == "" && p.ClientID != "" {
		form.Set("client_id", p.ClientID)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.Introspection, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, away("introspection", nil) // its error would show the URL
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if secret != "" {
		request.SetBasicAuth(url.QueryEscape(p.ClientID), url.QueryEscape(secret)) // RFC 6749, section 2.3.1
	}
	body, err := a.exchange(ctx, "introspection", request)
	if err != nil {
		return nil, err
	}
	says, err := wire.DecodeObject(body)
	if err != nil {
		return nil, away("introspection", err)
	}
	if active, _ := says["active"].(bool); !active {
		return nil, nil
	}
	return says, nil
}

// clientSecret returns the secret of our client at a provider; "" for a public client.
func (a *Authn) clientSecret(p *core.Provider) (string, error) {
	if p.ClientSecret == "" {
		return "", nil
	}
	if a.sealer == nil {
		return "", &core.Error{Code: core.CodeUnavailable, Message: "the client secret of a provider cannot be opened: there is no key"}
	}
	plain, err := a.sealer.Open(core.SealedRow, p.ClientSecret, core.ProviderBind(p)...)
	if err != nil {
		return "", &core.Error{
			Code: core.CodeUnavailable, Message: "the client secret of provider " + p.ID + " cannot be opened",
			Fix: "set it again, or give the key that sealed it", Err: err,
		}
	}
	return string(plain), nil
}

// authStyle says how our client proves itself at a token endpoint.
func authStyle(secret string, methods []string) oauth2.AuthStyle {
	basic, post := len(methods) == 0, false // basic is the default (RFC 8414, section 2)
	for _, m := range methods {
		basic = basic || m == "client_secret_basic"
		post = post || m == "client_secret_post"
	}
	if secret == "" || post && !basic {
		return oauth2.AuthStyleInParams
	}
	return oauth2.AuthStyleInHeader
}
