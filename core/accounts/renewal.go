package accounts

import (
	"context"
	"errors"
	"net/url"
	"time"

	"github.com/sallyport/sallyport/core"
)

const (
	renewTimeout = 30 * time.Second
	storeTimeout = 2 * time.Second // a renewal does not wait longer for the store
	keepFirst    = 2 * time.Second // between tries to store what was renewed
	keepLast     = time.Minute
)

// renewal is one that runs, for all who wait for it.
type renewal struct {
	done chan struct{}
	got  *open
	err  error
}

// renew renews the token of an account, once for all who ask meanwhile. It goes on when a
// caller leaves.
func (a *Accounts) renew(ctx context.Context, who core.Identity, k *core.Connector, of account) (*open, error) {
	key := of.key()
	a.mu.Lock()
	r := a.renewals[key]
	if r == nil {
		if a.closed {
			a.mu.Unlock()
			return nil, &core.Error{Code: core.CodeUnavailable, Message: "the gateway is shutting down"}
		}
		r = &renewal{done: make(chan struct{})}
		a.renewals[key] = r
		a.running.Go(func() {
			work, cancel := context.WithTimeout(a.end, renewTimeout)
			defer cancel()
			defer func() {
				if p := recover(); p != nil {
					r.err = &core.Error{Code: core.CodeInternal, Message: "internal error", Err: errors.New("a renewal panicked")}
				}
				a.mu.Lock()
				delete(a.renewals, key)
				a.mu.Unlock()
				close(r.done)
			}()
			r.got, r.err = a.renewNow(work, who, k, of)
		})
	}
	a.mu.Unlock()
	select {
	case <-r.done:
		return r.got, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// renewNow is one renewal. Another replica may have renewed the token already, and the
// refresh token is often good only once: so the row is read first, and again when the
// server refuses.
func (a *Accounts) renewNow(ctx context.Context, who core.Identity, k *core.Connector, of account) (*open, error) {
	before, err := a.current(of, k)
	if err != nil {
		return nil, err
	}
	if newer := a.newer(ctx, k, of, before); newer != nil {
		before = newer
	}
	switch {
	case before == nil:
		return nil, a.connect(k)
	case before.token.fresh(a.o.Now()):
		return before, nil
	case before.token.refresh == "":
		return nil, a.connect(k)
	}
	m, err := a.metadata.of(ctx, k, &a.off)
	if err != nil {
		return nil, err
	}
	t, err := a.ask(ctx, k, m, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {before.token.refresh.Reveal()}}, before.token)
	var refused *refusedError
	if errors.As(err, &refused) && refused.code == invalidID {
		if newer := a.newer(ctx, k, of, before); newer != nil && newer.token.good(a.o.Now()) {
			return newer, nil
		}
		// It is of no more use: nobody need ask again until the account is connected anew.
		ended := *before.token
		ended.refresh = ""
		a.remember(of, &open{token: &ended, sealed: before.sealed, version: before.version, at: before.at})
		a.o.Log.Info("an account must be connected again: its authorization server refuses to renew the token", "connector", k.Name, "tenant", of.tenant)
		return nil, a.connect(k)
	}
	if err != nil {
		return nil, err
	}
	return a.store(ctx, who, k, of, before, t)
}

// newer returns what the store has when that is newer than before; nil when it is not, or
// the store is away.
func (a *Accounts) newer(ctx context.Context, k *core.Connector, of account, before *open) *open {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	row := newRow(of)
	if known := a.held.Load().rows[of]; known != nil {
		row.ID = known.ID
	}
	if err := a.o.Store.Get(ctx, row); err != nil || row.Owner != of.user || row.Connector != of.connector {
		return nil
	}
	if before != nil && row.Version <= before.version {
		return nil
	}
	one, err := a.openRow(of, row)
	if err != nil || one.token.issuer != k.Issuer {
		return nil
	}
	return one
}

// store stores a renewed token. While the store is away it is good from memory, and
// stored later.
func (a *Accounts) store(ctx context.Context, who core.Identity, k *core.Connector, of account, before *open, t *token) (*open, error) {
	one := a.remember(of, &open{token: t, version: before.version, at: a.o.Now()})
	err := a.save(ctx, who, of, one)
	switch {
	case err == nil:
		return one, nil
	case hasCode(err, core.CodeNotFound): // disconnected meanwhile
		a.forget(of)
		return nil, a.connect(k)
	}
	a.o.Log.Warn("a renewed token could not be stored and is kept in memory", "connector", k.Name, "tenant", of.tenant, "error", err)
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.closed {
		a.running.Go(func() { a.keep(who, of, one) })
	}
	return one, nil
}

// save is one try to store an account that was renewed.
func (a *Accounts) save(ctx context.Context, who core.Identity, of account, one *open) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	row := newRow(of)
	if known := a.held.Load().rows[of]; known != nil {
		row.ID = known.ID
	}
	err := a.o.Store.Change(ctx, a.entry(who, "account.refresh", of.connector), func(ctx context.Context, tx core.Tx) error {
		if err := tx.Get(ctx, row); err != nil {
			return err
		}
		if err := a.fill(row, one.token); err != nil {
			return err
		}
		return tx.Put(ctx, row)
	})
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.opened[of] == one { // what is shared is replaced, not written into
		a.opened[of] = &open{token: one.token, sealed: row.Sealed, version: row.Version, at: a.o.Now()}
	}
	return nil
}

// keep tries to store a renewed token until it is stored, or something newer is known.
func (a *Accounts) keep(who core.Identity, of account, one *open) {
	for wait := keepFirst; ; wait = min(2*wait, keepLast) {
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-a.end.Done():
			timer.Stop()
			a.o.Log.Warn("a renewed token was never stored", "connector", of.connector, "tenant", of.tenant)
			return
		}
		a.mu.Lock()
		still := a.opened[of] == one
		a.mu.Unlock()
		if !still {
			return
		}
		if err := a.save(a.end, who, of, one); err == nil || hasCode(err, core.CodeNotFound) {
			return
		}
	}
}

// ask asks the token endpoint.
func (a *Accounts) ask(ctx context.Context, k *core.Connector, m *metadata, form url.Values, before *token) (*token, error) {
	var secret core.Secret
	if k.ClientSecret != "" {
		plain, err := a.o.Sealer.Open(core.SealedRow, k.ClientSecret, core.ConnectorBind(k)...)
		if err != nil {
			return nil, &core.Error{Code: core.CodeUnavailable, Message: "the client secret of the connector cannot be opened", Fix: "see to the keys of the vault, or write it again", Err: err}
		}
		secret = core.Secret(plain)
	}
	if k.Resource != "" {
		form.Set("resource", k.Resource)
	}
	g, err := a.metadata.client.exchange(ctx, m, k.ClientID, secret, form)
	var refused *refusedError
	switch {
	case errors.As(err, &refused):
		return nil, &core.Error{
			Code: core.CodeDenied, Message: "the authorization server gave no token: it answered " + refused.code,
			Fix: "begin again; if that does not help, see to client id and secret of the connector", Err: refused,
		}
	case err != nil:
		return nil, err
	}
	return g.token(k.Issuer, a.o.Now(), before)
}
