package web

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/mcp"
	"github.com/sallyport/sallyport/core/session"
)

// Sessions keeps the sessions of an Endpoint in a session.Store: their ids are
// sealed, and bound to server, tenant and subject.
type Sessions struct {
	store   *session.Store[*mcp.Session]
	revoked atomic.Pointer[revoked]
}

// SessionOptions configures Sessions. Sealer is required; zero values take the
// defaults of package session and of mcp.Limits.
type SessionOptions struct {
	Sealer core.Sealer
	Idle   time.Duration // life without use: 30 min
	Max    time.Duration // life in all: 24 h
	Limit  int           // sessions in memory
	Limits mcp.Limits    // of each session
	Now    func() time.Time
	Rand   io.Reader
	Log    *slog.Logger
}

// NewSessions makes an empty store.
func NewSessions(o SessionOptions) *Sessions {
	return &Sessions{store: session.New(session.Options[*mcp.Session]{
		Sealer: o.Sealer, Idle: o.Idle, Max: o.Max, Limit: o.Limit, Now: o.Now, Rand: o.Rand, Log: o.Log,
		Make: func(id string, text json.RawMessage) (*mcp.Session, error) {
			claims, err := readClaims(text)
			if err != nil {
				return nil, fmt.Errorf("make a session again from its id: %w", err)
			}
			return mcp.NewSession(id, claims, o.Limits), nil
		},
		Close: (*mcp.Session).Close,
		Busy:  (*mcp.Session).Busy,
	})}
}

// Create makes a session and its id.
func (s *Sessions) Create(_ context.Context, claims mcp.Claims) (*mcp.Session, error) {
	text, err := writeClaims(claims)
	if err != nil {
		return nil, fmt.Errorf("create session: %w", err)
	}
	_, made, err := s.store.Create(text, claims.Server, claims.Who.Tenant, claims.Who.Subject)
	return made, err
}

// Find returns the session of an id, for this server and this caller.
func (s *Sessions) Find(_ context.Context, id, server string, who core.Identity) (*mcp.Session, error) {
	found, err := s.store.Open(id, server, who.Tenant, who.Subject)
	if err != nil {
		return nil, err
	}
	if r := s.revoked.Load(); r != nil {
		if made, _ := s.store.Made(id); r.refuses(id, who, made) {
			s.store.End(id, server, who.Tenant, who.Subject)
			return nil, &core.Error{Code: core.CodeNotFound, Message: "not found"}
		}
	}
	return found, nil
}

// End ends a session that is in memory.
func (s *Sessions) End(_ context.Context, id string) { s.store.End(id) }

// Len returns how many sessions are in memory.
func (s *Sessions) Len() int { return s.store.Len() }

// Run ends sessions whose time is up, until ctx ends; then it lets go of all. Ids
// stay good for a process with the same keys.
func (s *Sessions) Run(ctx context.Context) { s.store.Run(ctx) }

// claimsText is how claims are sealed into an id. Names are short: an id holds
// little.
type claimsText struct {
	Server       string          `json:"s"`
	Subject      string          `json:"u,omitempty"`
	Tenant       string          `json:"t,omitempty"`
	Roles        []string        `json:"o,omitempty"`
	Revision     string          `json:"r"`
	Name         string          `json:"n,omitempty"`
	Version      string          `json:"v,omitempty"`
	Agreed       string          `json:"p,omitempty"`
	Info         json.RawMessage `json:"i,omitempty"` // holds name and version
	Capabilities json.RawMessage `json:"c,omitempty"`
	SSE          bool            `json:"e,omitempty"`
}

func writeClaims(c mcp.Claims) (json.RawMessage, error) {
	t := claimsText{
		Server: c.Server, Subject: c.Who.Subject, Tenant: c.Who.Tenant, Roles: c.Who.Roles, Revision: c.Revision,
		Name: c.Client.Name, Version: c.Client.Version, Agreed: c.Client.Revision,
		Info: c.Client.Info, Capabilities: c.Client.Capabilities, SSE: c.SSE,
	}
	if len(t.Info) > 0 {
		t.Name, t.Version = "", ""
	}
	if t.Agreed == t.Revision {
		t.Agreed = ""
	}
	return json.Marshal(t)
}

func readClaims(text json.RawMessage) (mcp.Claims, error) {
	var t claimsText
	if err := json.Unmarshal(text, &t); err != nil {
		return mcp.Claims{}, err
	}
	if len(t.Info) > 0 {
		var named struct{ Name, Version string }
		if err := json.Unmarshal(t.Info, &named); err != nil {
			return mcp.Claims{}, fmt.Errorf("read clientInfo: %w", err)
		}
		t.Name, t.Version = named.Name, named.Version
	}
	if t.Agreed == "" {
		t.Agreed = t.Revision
	}
	return mcp.Claims{
		Server: t.Server, Who: core.Identity{Subject: t.Subject, Tenant: t.Tenant, Roles: t.Roles}, Revision: t.Revision, SSE: t.SSE,
		Client: core.Client{Name: t.Name, Version: t.Version, Revision: t.Agreed, Info: t.Info, Capabilities: t.Capabilities},
	}, nil
}

var _ mcp.Sessions = (*Sessions)(nil)
