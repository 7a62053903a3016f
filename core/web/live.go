package web

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/mcp"
)

// revoked are sessions and subjects that are refused although their ids are still good.
type revoked struct {
	sessions map[string]bool         // LiveSession.ID
	subjects map[[2]string]time.Time // tenant and subject → sessions made before then
	users    map[[2]string]bool      // tenant and subject of disabled users
}

// LiveID names a session to people: its own id is a secret.
func LiveID(sessionID string) string {
	sum := sha256.Sum256([]byte(sessionID))
	return hex.EncodeToString(sum[:16])
}

// Use takes the revocations of a state, and ends the sessions that they are about.
func (s *Sessions) Use(state *core.State) {
	r := &revoked{sessions: map[string]bool{}, subjects: map[[2]string]time.Time{}, users: map[[2]string]bool{}}
	for i := range state.Revocations {
		switch one := &state.Revocations[i]; one.Of {
		case "session":
			r.sessions[one.ID] = true
		case "subject":
			key := [2]string{one.Tenant, one.ID}
			if one.At.After(r.subjects[key]) {
				r.subjects[key] = one.At
			}
		}
	}
	for i := range state.Users {
		if u := &state.Users[i]; u.Disabled {
			r.users[[2]string{u.Tenant, u.ID}] = true
		}
	}
	s.revoked.Store(r)
	if len(r.sessions)+len(r.subjects)+len(r.users) == 0 {
		return
	}
	var gone []string
	s.store.List(func(one *mcp.Session, made, _, _ time.Time) {
		if r.refuses(one.ID(), one.Claims().Who, made) {
			gone = append(gone, one.ID())
		}
	})
	for _, id := range gone {
		s.store.End(id)
	}
}

// refuses tells whether a session may not go on. It is cheap where nothing is revoked.
func (r *revoked) refuses(id string, who core.Identity, made time.Time) bool {
	if r == nil {
		return false
	}
	if len(r.sessions) > 0 && r.sessions[LiveID(id)] {
		return true
	}
	if who.Subject == "" {
		return false
	}
	key := [2]string{who.In(), who.Subject}
	if len(r.users) > 0 && r.users[key] {
		return true
	}
	at, found := r.subjects[key]
	return found && made.Before(at)
}

// Live lists the sessions in memory, as a replica of that id tells them.
func (s *Sessions) Live(replica string) []core.LiveSession {
	var list []core.LiveSession
	s.store.List(func(one *mcp.Session, made, used, expires time.Time) {
		claims := one.Claims()
		tenant, server, found := strings.Cut(claims.Server, "/")
		if !found {
			tenant, server = core.DefaultTenant, claims.Server
		}
		client := claims.Client.Name
		if claims.Client.Version != "" {
			client += " " + claims.Client.Version
		}
		list = append(list, core.LiveSession{
			Tenant: tenant, ID: LiveID(one.ID()), Replica: replica, Server: server, Subject: claims.Who.Subject,
			Revision: claims.Revision, Client: client, Made: made, Seen: used, Expires: expires,
		})
	})
	return list
}

// EndLive ends the session with that LiveSession.ID; false when it is not here.
func (s *Sessions) EndLive(id string) bool {
	found := ""
	s.store.List(func(one *mcp.Session, _, _, _ time.Time) {
		if LiveID(one.ID()) == id {
			found = one.ID()
		}
	})
	if found == "" {
		return false
	}
	s.store.End(found)
	return true
}

var _ LiveSessions = (*Sessions)(nil)
