package accounts

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

const (
	flowPurpose = "account flow"
	flowLife    = 10 * time.Minute
	maxFlow     = 3800 // bytes; a cookie holds 4096
	maxReturn   = 1024
	maxCode     = 4096
	// flowSpace is where finished flows stand in the store until they end. No plugin can
	// be granted it: its name begins with a dot.
	flowSpace = ".accounts"
)

// flow is what a connection in progress must remember. It is sealed in a cookie of the
// browser that began it.
type flow struct {
	ID        string    `json:"id"`
	Tenant    string    `json:"tenant"`
	Subject   string    `json:"subject"`
	Name      string    `json:"name"`
	Connector string    `json:"connector"`
	Issuer    string    `json:"issuer"`
	Callback  string    `json:"callback"`
	Return    string    `json:"return"`
	State     string    `json:"state"`
	Verifier  string    `json:"verifier"`
	Until     time.Time `json:"until"`
}

// Connected tells which account a flow connected.
type Connected struct {
	Connector string // name
	Title     string // for people
	Return    string // local path where the browser goes now
}

// Begin starts to connect an account of who. It returns the URL to send the browser to,
// and the flow, which its cookie keeps (HttpOnly, Secure, __Host-, SameSite=Lax). redirectURI is the
// callback that the authorization server sends back to; returnTo is a path of ours to go
// to in the end, "" = /.
func (a *Accounts) Begin(ctx context.Context, who core.Identity, connector, redirectURI, returnTo string) (authorizeURL string, sealed core.Secret, err error) {
	if who.Anonymous() {
		return "", "", errAnonymous()
	}
	k, err := a.connector(who.In(), connector)
	if err != nil {
		return "", "", err
	}
	if err := a.checkCallback(redirectURI); err != nil {
		return "", "", err
	}
	if returnTo == "" {
		returnTo = "/"
	}
	if !local(returnTo) && !a.off.local {
		return "", "", &core.Error{Code: core.CodeInvalid, Message: "the place to return to is not a path of this gateway", Fix: "begin it with one /"}
	}
	m, err := a.metadata.of(ctx, k, &a.off)
	if err != nil {
		return "", "", err
	}
	f := flow{
		Tenant: who.In(), Subject: who.Subject, Name: who.Name, Connector: k.Name, Issuer: k.Issuer,
		Callback: redirectURI, Return: returnTo, Until: a.o.Now().Add(flowLife),
	}
	for _, random := range []*string{&f.ID, &f.State, &f.Verifier} {
		var b [32]byte // 43 characters, as RFC 7636 section 4.1 wants
		if _, err := io.ReadFull(a.o.Rand, b[:]); err != nil {
			return "", "", fmt.Errorf("begin to connect an account: read randomness: %w", err)
		}
		*random = base64.RawURLEncoding.EncodeToString(b[:])
	}
	text, err := wire.Marshal(f)
	if err != nil {
		return "", "", fmt.Errorf("begin to connect an account: %w", err)
	}
	token, err := a.o.Sealer.Seal(flowPurpose, text)
	if err != nil {
		return "", "", fmt.Errorf("begin to connect an account: %w", err)
	}
	if len(token) > maxFlow {
		return "", "", &core.Error{Code: core.CodeTooLarge, Message: "what the browser must keep is too long for a cookie", Fix: "return to a shorter path"}
	}
	return a.authorizeURL(k, m, &f), core.Secret(token), nil
}

// authorizeURL writes the authorization request (RFC 6749, section 4.1.1).
func (a *Accounts) authorizeURL(k *core.Connector, m *metadata, f *flow) string {
	to, err := url.Parse(m.authorize)
	if err != nil {
		return "" // it was checked
	}
	q := to.Query()
	for name, value := range k.Extra {
		q.Set(name, value)
	}
	for _, name := range []string{"request", "request_uri", "response_mode", "nonce"} {
		q.Del(name) // with them a request would say something else, or the answer come elsewhere
	}
	q.Set("response_type", "code")
	q.Set("client_id", k.ClientID)
	q.Set("redirect_uri", f.Callback)
	q.Set("state", f.State)
	challenge := sha256.Sum256([]byte(f.Verifier))
	q.Set("code_challenge", base64.RawURLEncoding.EncodeToString(challenge[:]))
	q.Set("code_challenge_method", "S256")
	if a.off.verifier {
		q.Del("code_challenge")
		q.Del("code_challenge_method")
	}
	q.Del("scope")
	if len(k.Scopes) > 0 {
		q.Set("scope", strings.Join(k.Scopes, " "))
	}
	q.Del("resource")
	if k.Resource != "" {
		q.Set("resource", k.Resource)
	}
	to.RawQuery = q.Encode()
	return to.String()
}

// checkCallback refuses a callback that is not ours.
func (a *Accounts) checkCallback(text string) error {
	u, err := checkURL(text)
	if err == nil && a.o.Base != "" && !strings.HasPrefix(u.String(), a.o.Base+"/") {
		err = errors.New("it is not below the address of this gateway")
	}
	if err != nil {
		return &core.Error{Code: core.CodeInvalid, Message: "the callback cannot be used: " + err.Error(), Fix: "reach the gateway by the address that its settings give"}
	}
	return nil
}

// local tells whether a browser that is sent to s stays with us.
func local(s string) bool {
	if len(s) > maxReturn || !strings.HasPrefix(s, "/") || strings.HasPrefix(s, "//") {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' || c == '\\' {
			return false // browsers read \ as /, and pass over tabs and line breaks
		}
	}
	u, err := url.Parse(s)
	return err == nil && !u.IsAbs() && u.Host == "" && u.User == nil && !strings.HasPrefix(u.Path, "//")
}

// Finish takes what the authorization server sent back to redirectURI, with the flow of
// the same browser, and stores the account. who is whoever sends it; a browser that comes
// from another site brings no cookie of its login (SameSite=Strict), and then who is
// anonymous and the flow alone says whose account it is. Every refusal is CodeDenied.
func (a *Accounts) Finish(ctx context.Context, who core.Identity, sealed core.Secret, query url.Values, redirectURI string) (Connected, error) {
	f, err := a.openFlow(who, sealed, query, redirectURI)
	if err != nil {
		return Connected{}, err
	}
	k, err := a.connector(f.Tenant, f.Connector)
	if err != nil {
		return Connected{}, err
	}
	if k.Issuer != f.Issuer {
		return Connected{}, denied("the connector was changed meanwhile")
	}
	m, err := a.metadata.of(ctx, k, &a.off)
	if err != nil {
		return Connected{}, err
	}
	if iss, sent := one(query, "iss"); (sent || m.iss) && iss != k.Issuer && !a.off.iss {
		return Connected{}, denied("the answer is not from the authorization server that was asked (RFC 9207)")
	}
	if query.Has("error") {
		code, _ := one(query, "error")
		return Connected{}, denied("the authorization server answered " + said(code))
	}
	code, _ := one(query, "code")
	if code == "" || len(code) > maxCode {
		return Connected{}, denied("the answer brings no code")
	}
	if !a.claim(f) {
		return Connected{}, denied("this was finished already")
	}
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {f.Callback}, "code_verifier": {f.Verifier}}
	if a.off.verifier {
		form.Del("code_verifier")
	}
	t, err := a.ask(ctx, k, m, form, nil)
	if err != nil {
		return Connected{}, err
	}
	who.Tenant, who.Subject = f.Tenant, f.Subject
	if who.Name == "" {
		who.Name = f.Name
	}
	if err := a.connected(ctx, who, k, f, t); err != nil {
		return Connected{}, err
	}
	done := Connected{Connector: k.Name, Title: k.Title, Return: f.Return}
	if done.Title == "" {
		done.Title = k.Name
	}
	return done, nil
}

// openFlow opens a flow and holds the answer against it.
func (a *Accounts) openFlow(who core.Identity, sealed core.Secret, query url.Values, redirectURI string) (*flow, error) {
	plain, err := a.o.Sealer.Open(flowPurpose, sealed.Reveal())
	var f flow
	if err == nil {
		err = wire.Unmarshal(plain, &f)
	}
	clear(plain)
	if err != nil {
		return nil, denied("this browser began nothing here")
	}
	state, _ := one(query, "state")
	user := a.held.Load().users[[2]string{f.Tenant, f.Subject}]
	switch {
	case !a.o.Now().Before(f.Until):
		return nil, denied("it took longer than ten minutes")
	case !who.Anonymous() && (who.Subject != f.Subject || who.In() != f.Tenant) && !a.off.user:
		return nil, denied("somebody else began this")
	case user != nil && user.Disabled:
		return nil, denied("the user is disabled")
	case redirectURI != f.Callback && !a.off.callback:
		return nil, denied("the answer came to another address than was given")
	case subtle.ConstantTimeCompare([]byte(state), []byte(f.State)) != 1 && !a.off.state:
		return nil, denied("the answer is not to what this browser asked")
	}
	return &f, nil
}

// claim takes a flow for good; false when it was taken before. Whoever finishes the same
// one in another process is found when the account is stored.
func (a *Accounts) claim(f *flow) bool {
	if a.off.once {
		return true
	}
	now := a.o.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	for id, until := range a.flows {
		if !now.Before(until) {
			delete(a.flows, id)
		}
	}
	if _, taken := a.flows[f.ID]; taken {
		return false
	}
	a.flows[f.ID] = f.Until
	return true
}

// connected stores a new account.
func (a *Accounts) connected(ctx context.Context, who core.Identity, k *core.Connector, f *flow, t *token) error {
	of := account{f.Tenant, f.Subject, k.Name}
	row := newRow(of)
	entry := a.entry(who, "account.connect", k.Name)
	err := a.o.Store.Change(ctx, entry, func(ctx context.Context, tx core.Tx) error {
		if !a.off.once {
			sum := sha256.Sum256([]byte(f.ID))
			claim := &core.Entry{Tenant: f.Tenant, Namespace: flowSpace, Name: hex.EncodeToString(sum[:]), Value: []byte{1}, Expires: &f.Until}
			if err := tx.Put(ctx, claim); hasCode(err, core.CodeConflict, core.CodeChanged) {
				return denied("this was finished already")
			} else if err != nil {
				return err
			}
		}
		return a.put(ctx, tx, row, t)
	})
	if err != nil {
		return err
	}
	a.remember(of, &open{token: t, sealed: row.Sealed, version: row.Version, at: a.o.Now()})
	return nil
}

// Disconnect forgets an account of who. One that is not there is CodeNotFound.
func (a *Accounts) Disconnect(ctx context.Context, who core.Identity, connector string) error {
	if who.Anonymous() {
		return errAnonymous()
	}
	of := account{who.In(), who.Subject, connector}
	err := a.o.Store.Change(ctx, a.entry(who, "account.disconnect", connector), func(ctx context.Context, tx core.Tx) error {
		row := newRow(of)
		if err := tx.Get(ctx, row); err != nil {
			return err
		}
		return tx.Delete(ctx, row)
	})
	if err == nil {
		a.forget(of)
	}
	return err
}

func denied(what string) error {
	return &core.Error{Code: core.CodeDenied, Message: "the account was not connected: " + what, Fix: "begin again"}
}

// one returns the value of a parameter that stands there once.
func one(query url.Values, name string) (value string, sent bool) {
	values := query[name]
	if len(values) != 1 {
		return "", len(values) > 0
	}
	return values[0], true
}

func hasCode(err error, codes ...core.Code) bool {
	var e *core.Error
	return errors.As(err, &e) && slices.Contains(codes, e.Code)
}
