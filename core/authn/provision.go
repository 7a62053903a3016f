package authn

import (
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/core"
)

// maxProvisions bounds the users that wait to be made. Who finds no place is let in all
// the same and gets one with the next token.
const maxProvisions = 256

// provision is a user whom a provider vouches for, to be made or brought up to date.
type provision struct {
	user   core.User // what its row would be
	issued time.Time // of the token: an older one does not change groups
	via    core.Via
}

// Subject returns the id of the user whom a provider knows as sub: the same before and
// after there is a row. Nobody is ever found by name or e-mail address, which others can
// take.
func Subject(tenant, provider, sub string) string {
	h := sha256.New()
	for _, part := range []string{"sallyport subject", tenant, provider, sub} {
		h.Write([]byte{byte(len(part) >> 8), byte(len(part))})
		h.Write([]byte(part))
	}
	return pad62(new(big.Int).SetBytes(h.Sum(nil)[:14]), 19)
}

// openAccess says whose an access token is.
func (a *Authn) openAccess(ctx context.Context, ix *index, token string, to aim) (*believed, error) {
	if len(ix.providersFor(to.tenant, a.skip["tenant"])) == 0 || strings.HasPrefix(token, tokenHead+"_") {
		return nil, errRefused
	}
	var s *access
	var err error
	if strings.Count(token, ".") == 2 {
		s, err = a.openJWT(ctx, ix, token, to)
	} else {
		s, err = a.introspect(ctx, ix, token, to)
	}
	if err != nil {
		return nil, err
	}
	return a.mapUser(ctx, ix, s, to)
}

// mapUser says which user of ours the subject of an access token is.
func (a *Authn) mapUser(ctx context.Context, ix *index, s *access, to aim) (*believed, error) {
	p, sub := s.provider, s.text("sub")
	issued, _ := s.moment("iat")
	groups, said := s.groups(p)
	u := ix.external[[3]string{to.tenant, p.ID, sub}]
	switch {
	case u == nil && !p.Provision:
		return nil, errRefused
	case u == nil:
		u = newcomer(to.tenant, p, s.claims)
		if ix.users[[2]string{u.Tenant, u.ID}] != nil {
			return nil, errRefused // its row was taken from the provider by hand
		}
		a.enqueue(ctx, &provision{user: *u, issued: issued, via: core.ViaOAuth})
	case u.Disabled:
		return nil, errRefused
	case !said:
		groups = u.Groups
	case !sameGroups(u.Groups, groups) && issued.After(u.Updated):
		late := *u
		late.Groups = groups
		a.enqueue(ctx, &provision{user: late, issued: issued, via: core.ViaOAuth})
	}
	if !a.skip["revoked"] && !ix.since(to.tenant, u.ID, u.Valid, issued) {
		return nil, errRefused
	}
	who := identityOf(u, groups, ix.groups[to.tenant])
	who.Via, who.Credential, who.Scopes = core.ViaOAuth, s.id, s.scopes()
	return &believed{who: who, until: s.expires, audiences: s.audiences}, nil
}

// newcomer is the row of a user whom a provider vouches for and who has none yet.
func newcomer(tenant string, p *core.Provider, c claims) *core.User {
	id := Subject(tenant, p.ID, c.text("sub"))
	groups, _ := c.groups(p)
	name := c.name(p)
	if name == "" {
		name = strings.ToLower(id)
	}
	return &core.User{
		Tenant: tenant, ID: id, Name: name, Title: c.title(), Email: cut(quotable(c.text("email")), 254),
		Provider: p.ID, External: c.text("sub"), Groups: groups, Roles: slices.Clone(p.Roles),
	}
}

func sameGroups(a, b []string) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(slices.Compact(a), slices.Compact(b))
}

func (a *Authn) enqueue(ctx context.Context, p *provision) {
	select {
	case a.provisions <- p:
	default:
		a.log.WarnContext(ctx, "too many users wait to be made", slog.String("tenant", p.user.Tenant), slog.String("provider", p.user.Provider))
	}
}

// errNothing ends a change that has nothing to do.
var errNothing = errors.New("nothing to do")

// provision makes a user, or writes the groups of one.
func (a *Authn) provision(ctx context.Context, p *provision) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if _, err := a.keepUser(ctx, p); err != nil {
		a.log.WarnContext(ctx, "user not made", slog.String("tenant", p.user.Tenant), slog.String("provider", p.user.Provider), slog.String("code", string(core.AsError(err).Code)))
	}
}

// keepUser makes a user or writes the groups of one, and returns its row. A name that is
// taken is made one of its own.
func (a *Authn) keepUser(ctx context.Context, p *provision) (*core.User, error) {
	var err error
	name := p.user.Name
	for try := range 3 {
		if try > 0 {
			p.user.Name = cut(name, maxName-6) + "-" + strings.ToLower(p.user.ID[:min(len(p.user.ID), 5*try)])
		}
		var kept *core.User
		if kept, err = a.keepUserOnce(ctx, p); err == nil {
			return kept, nil
		}
		if code := core.AsError(err).Code; code != core.CodeConflict && code != core.CodeChanged {
			return nil, err
		}
	}
	return nil, err
}

func (a *Authn) keepUserOnce(ctx context.Context, p *provision) (*core.User, error) {
	kept := &core.User{}
	entry := &core.AuditEntry{
		Time: a.now(), Tenant: p.user.Tenant, Actor: p.user.ID, ActorName: p.user.Name, Via: p.via,
		Action: "user.provision", Kind: "user", Name: p.user.Name, Outcome: "ok",
	}
	err := a.store.Change(ctx, entry, func(ctx context.Context, tx core.Tx) error {
		*kept = core.User{Tenant: p.user.Tenant, ID: p.user.ID}
		switch err := tx.Get(ctx, kept); {
		case err == nil && kept.Provider == p.user.Provider && kept.External == p.user.External:
			if sameGroups(kept.Groups, p.user.Groups) || !p.issued.After(kept.Updated) {
				return errNothing
			}
			kept.Groups = p.user.Groups
		case err == nil:
			return errNothing // somebody took the row from the provider
		case core.AsError(err).Code == core.CodeNotFound:
			*kept = p.user
		default:
			return err
		}
		kept.By = kept.ID
		return tx.Put(ctx, kept)
	})
	if errors.Is(err, errNothing) {
		return kept, nil
	}
	return kept, err
}
