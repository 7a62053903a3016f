package core

import (
	"strconv"
	"time"
)

// Row is something that a Store keeps; each noun of the store is one, by pointer.
type Row interface{ Key() Key }

// Key is where a Row stands. Tenant is part of it, so no tenant can name a row of
// another.
type Key struct{ Kind, Tenant, ID string }

// Stamp is what every row that people change has. Version counts changes from 1; a row
// with Version 0 is new. Putting a row whose Version is not the stored one is an *Error
// with CodeChanged: the ETag of the admin plane.
type Stamp struct {
	Version int64     `json:"version"`
	Created time.Time `json:"created"`
	Updated time.Time `json:"updated"`
	By      string    `json:"by,omitempty"` // subject of who changed it last
}

// Tenant is a group of people with servers, users and policies of their own. Its servers
// stand at /{id}/{prefix}/mcp; those of DefaultTenant at /{prefix}/mcp.
type Tenant struct {
	ID       string `json:"id"` // a slug
	Title    string `json:"title,omitempty"`
	Disabled bool   `json:"disabled"`
	Stamp
}

// Key returns the tenant's own id: it stands in itself.
func (t *Tenant) Key() Key { return Key{"tenant", t.ID, t.ID} }

// User is a person, or with Service set a program.
type User struct {
	Tenant   string `json:"tenant"`
	ID       string `json:"id"`
	Name     string `json:"name"` // what is typed to log in; lower case, one of its tenant
	Title    string `json:"title,omitempty"`
	Email    string `json:"email,omitempty"`
	Service  bool   `json:"service"` // cannot log in; has tokens only
	Disabled bool   `json:"disabled"`
	// Password is an argon2id hash in PHC form; "" = no login by password.
	Password   string `json:"-"`
	MustChange bool   `json:"mustChangePassword"`
	// Provider and External say whom an identity provider knows this user as: the id of
	// a Provider and its subject. Empty for local users.
	Provider string   `json:"provider,omitempty"`
	External string   `json:"external,omitempty"`
	Groups   []string `json:"groups"` // of the last login or token
	Roles    []string `json:"roles"`  // given by hand; groups add theirs
	// Everywhere are roles in every tenant; only users of DefaultTenant have any.
	Everywhere []string `json:"everywhere"`
	// Valid: logins and tokens made before are no longer good.
	Valid     time.Time  `json:"-"`
	LastLogin *time.Time `json:"lastLogin,omitempty"`
	Stamp
}

// Key returns where the user stands.
func (u *User) Key() Key { return Key{"user", u.Tenant, u.ID} }

// Role is a hat of a tenant's own; the built-in ones are not stored. What it may stands in
// policies.
type Role struct {
	Tenant string `json:"tenant"`
	Name   string `json:"name"` // a slug
	Title  string `json:"title,omitempty"`
	Stamp
}

// Key returns where the role stands.
func (r *Role) Key() Key { return Key{"role", r.Tenant, r.Name} }

// Policy is one line: a role may, or may not, do something to objects that match.
// Without an allowing line nothing is allowed, and a denying one wins.
type Policy struct {
	Tenant string `json:"tenant"`
	ID     string `json:"id"`
	Role   string `json:"role"`
	Kind   string `json:"kind"` // of the object; * = every kind
	// Match is a glob over Object.Path in which * stands for any text: github/list_*
	Match  string `json:"match"`
	Action string `json:"action"` // * = every action
	Deny   bool   `json:"deny"`
	Note   string `json:"note,omitempty"`
	Stamp
}

// Key returns where the policy stands.
func (p *Policy) Key() Key { return Key{"policy", p.Tenant, p.ID} }

// GroupRole gives a role to the members of a group that an identity provider names.
type GroupRole struct {
	Tenant   string `json:"tenant"`
	ID       string `json:"id"`
	Provider string `json:"provider"` // id; * = any
	Group    string `json:"group"`
	Role     string `json:"role"`
	Stamp
}

// Key returns where the rule stands.
func (g *GroupRole) Key() Key { return Key{"group_role", g.Tenant, g.ID} }

// Token is an API token, of which only a hash is kept.
type Token struct {
	Tenant string `json:"tenant"`
	ID     string `json:"id"`
	User   string `json:"user"` // id
	Name   string `json:"name"`
	Hint   string `json:"hint"` // its beginning, for people
	Sum    string `json:"-"`    // SHA-256 of the whole token, hexadecimal
	// Scopes are permissions (kind:action or kind:action:match, * for any), such as
	// tool:call:github/*; empty = whatever its user may.
	Scopes   []string   `json:"scopes"`
	Expires  *time.Time `json:"expires,omitempty"`
	LastUsed *time.Time `json:"lastUsed,omitempty"` // to the minute
	Revoked  *time.Time `json:"revoked,omitempty"`
	Stamp
}

// Key returns where the token stands.
func (t *Token) Key() Key { return Key{"token", t.Tenant, t.ID} }

// Login is a person at the admin plane.
type Login struct {
	Tenant   string    `json:"tenant"`
	ID       string    `json:"id"`
	User     string    `json:"user"` // id
	Sum      string    `json:"-"`    // SHA-256 of the cookie, hexadecimal
	CSRF     string    `json:"-"`    // SHA-256 of the token that changes must carry, hexadecimal
	Provider string    `json:"provider,omitempty"`
	Address  string    `json:"address,omitempty"`
	Agent    string    `json:"agent,omitempty"` // User-Agent, at most 200 bytes
	Made     time.Time `json:"made"`
	Proved   time.Time `json:"proved"` // the last time that a password or the provider was asked
	Seen     time.Time `json:"seen"`   // to the minute
	Expires  time.Time `json:"expires"`
}

// Key returns where the login stands.
func (l *Login) Key() Key { return Key{"login", l.Tenant, l.ID} }

// Provider is an identity provider (OpenID Connect, or an OAuth authorization server).
type Provider struct {
	Tenant   string `json:"tenant"`
	ID       string `json:"id"` // a slug
	Title    string `json:"title,omitempty"`
	Issuer   string `json:"issuer"` // https URL
	Disabled bool   `json:"disabled"`

	Login        bool     `json:"login"` // offered where people log in
	ClientID     string   `json:"clientId,omitempty"`
	ClientSecret string   `json:"-"` // sealed; "" = a public client
	Scopes       []string `json:"scopes"`

	Resource      bool     `json:"resource"`                   // its access tokens open MCP servers
	Audiences     []string `json:"audiences"`                  // accepted beside the canonical URI of the server
	JWKS          string   `json:"jwksUri,omitempty"`          // "" = as its metadata says
	Introspection string   `json:"introspectionUri,omitempty"` // asked where tokens are not JWTs (RFC 7662)

	NameClaim  string `json:"nameClaim,omitempty"`  // "" = preferred_username, else email
	GroupClaim string `json:"groupClaim,omitempty"` // "" = groups; a.b.c goes into objects
	// Provision makes a user at the first login or token; otherwise only known ones
	// come in.
	Provision bool     `json:"provision"`
	Roles     []string `json:"roles"` // of users that are provisioned, beside those of their groups
	Stamp
}

// Key returns where the provider stands.
func (p *Provider) Key() Key { return Key{"provider", p.Tenant, p.ID} }

// Credential is a secret that gateway documents name (${secret:NAME}), or with Owner set
// one of a single user for upstreams (see Connector). Its value is write-only.
type Credential struct {
	Tenant    string     `json:"tenant"`
	ID        string     `json:"id"`
	Name      string     `json:"name"`                // one of its owner
	Owner     string     `json:"owner,omitempty"`     // id of a user; "" = the tenant
	Connector string     `json:"connector,omitempty"` // name; "" = a plain secret
	Sealed    string     `json:"-"`
	Note      string     `json:"note,omitempty"`
	Set       time.Time  `json:"set"` // when the value was last written
	Expires   *time.Time `json:"expires,omitempty"`
	Stamp
}

// Key returns where the credential stands.
func (c *Credential) Key() Key { return Key{"credential", c.Tenant, c.ID} }

// Connector is an OAuth client of ours at an upstream's authorization server: users
// connect their accounts through it, and calls go out with their own tokens.
type Connector struct {
	Tenant       string            `json:"tenant"`
	Name         string            `json:"name"` // a slug
	Title        string            `json:"title,omitempty"`
	Issuer       string            `json:"issuer"`
	Authorize    string            `json:"authorizationEndpoint,omitempty"` // "" = as the issuer's metadata says
	Token        string            `json:"tokenEndpoint,omitempty"`
	ClientID     string            `json:"clientId"`
	ClientSecret string            `json:"-"` // sealed
	Scopes       []string          `json:"scopes"`
	Resource     string            `json:"resource,omitempty"` // RFC 8707
	Extra        map[string]string `json:"extra,omitempty"`    // further parameters of the authorization request
	Disabled     bool              `json:"disabled"`
	Stamp
}

// Key returns where the connector stands.
func (c *Connector) Key() Key { return Key{"connector", c.Tenant, c.Name} }

// Document is a gateway document as it is served: the newest version of its text.
type Document struct {
	Tenant string `json:"tenant"`
	Name   string `json:"name"`   // a slug
	Number int64  `json:"number"` // of the version that is served; 0 = none is yet
	Text   string `json:"text"`   // YAML, byte for byte as it was written
	Gone   bool   `json:"gone"`   // deleted: its versions stay, and nothing of it is served
	Stamp
}

// Key returns where the document stands.
func (d *Document) Key() Key { return Key{"document", d.Tenant, d.Name} }

// Draft is the text of a document before it is published. Every document has one at
// most.
type Draft struct {
	Tenant string `json:"tenant"`
	Name   string `json:"name"`
	Text   string `json:"text"`
	Base   int64  `json:"base"`   // number of the version that it began from; 0 = a new document
	Delete bool   `json:"delete"` // publishing it deletes the document
	Stamp
}

// Key returns where the draft stands.
func (d *Draft) Key() Key { return Key{"draft", d.Tenant, d.Name} }

// DocumentVersion is a text that was published. It is never changed.
type DocumentVersion struct {
	Tenant    string    `json:"tenant"`
	Document  string    `json:"document"`
	Number    int64     `json:"number"` // from 1
	Text      string    `json:"text"`
	Sum       string    `json:"sum"` // SHA-256 of Text, hexadecimal
	Delete    bool      `json:"delete"`
	By        string    `json:"by"`
	ByName    string    `json:"byName,omitempty"`
	Reason    string    `json:"reason,omitempty"`
	From      int64     `json:"from,omitempty"` // a rollback: the number whose text this is
	Published time.Time `json:"published"`
}

// Key returns where the version stands.
func (v *DocumentVersion) Key() Key {
	return Key{"version", v.Tenant, v.Document + "@" + strconv.FormatInt(v.Number, 10)}
}

// Module is a plugin that the store keeps. Documents name it (source: store:NAME) once
// somebody approved what it asks for; an upload stands beside what runs until then.
type Module struct {
	Tenant   string `json:"tenant"`
	Name     string `json:"name"`     // as its manifest says, with - for /; of an upload that waits, with ModuleWaits behind it
	Digest   string `json:"digest"`   // sha256:… of the artifact that Bytes and Manifest make: what is pinned and signed
	Manifest string `json:"manifest"` // YAML; "" = in the module
	Bytes    []byte `json:"-"`
	Size     int    `json:"size"`

	Plugin  string   `json:"plugin"`  // as its manifest says: acme/weather
	Release string   `json:"release"` // its version there
	Kinds   []string `json:"kinds"`
	Asks    []string `json:"asks"` // what its manifest asks for, in words
	// Signatures are those that came with it, as JSON: claims, until they are verified.
	Signatures string `json:"-"`
	// Grants is what was approved for this digest, in words; empty while nobody did.
	Grants     []string   `json:"grants"`
	Approved   *time.Time `json:"approved,omitempty"`
	ApprovedBy string     `json:"approvedBy,omitempty"` // subject
	Stamp
}

// ModuleWaits ends the name of a Module that was uploaded and that nobody approved yet. No
// plugin has an @ in its name.
const ModuleWaits = "@waiting"

// Key returns where the module stands.
func (m *Module) Key() Key { return Key{"module", m.Tenant, m.Name} }

// Pin holds the definition of a tool, prompt, resource or template of an upstream to what
// was seen and approved. Its Name is what it is called by: that of a resource is its URI. A
// changed definition waits in a row of its own, whose kind has PinWaits behind it.
type Pin struct {
	Tenant   string `json:"tenant"`
	Server   string `json:"server"`
	Of       string `json:"kind"` // tool, prompt, resource, template; with PinWaits behind it where it changed
	Name     string `json:"name"`
	Sum      string `json:"sum"`   // SHA-256 of the RFC 8785 form, hexadecimal
	Text     string `json:"text"`  // that form
	State    string `json:"state"` // approved, quarantined
	Approved string `json:"approvedBy,omitempty"`
	Stamp
}

// PinWaits ends the kind of a Pin that holds a changed definition, quarantined, beside the
// one that was approved.
const PinWaits = "@waiting"

// Key returns where the pin stands.
func (p *Pin) Key() Key {
	return Key{"pin", p.Tenant, p.Server + "\x1f" + p.Of + "\x1f" + p.Name}
}

// Entry is a value of the key-value store of plugins.
type Entry struct {
	Tenant    string     `json:"tenant"`
	Namespace string     `json:"namespace"`
	Name      string     `json:"name"`
	Value     []byte     `json:"value"`
	Expires   *time.Time `json:"expires,omitempty"`
	Stamp
}

// Key returns where the entry stands.
func (e *Entry) Key() Key { return Key{"kv", e.Tenant, e.Namespace + "\x1f" + e.Name} }

// LiveSession is an MCP session that some replica has in memory.
type LiveSession struct {
	Tenant   string    `json:"tenant"`
	ID       string    `json:"id"` // a hash of the session id, which is a secret
	Replica  string    `json:"replica"`
	Server   string    `json:"server"`
	Subject  string    `json:"subject,omitempty"`
	Revision string    `json:"revision"`
	Client   string    `json:"client,omitempty"` // name and version, as it says
	Made     time.Time `json:"made"`
	Seen     time.Time `json:"seen"`
	Expires  time.Time `json:"expires"`
}

// Key returns where the session stands.
func (s *LiveSession) Key() Key { return Key{"session", s.Tenant, s.ID} }

// Revocation refuses something that would otherwise still be good. It is forgotten when
// what it refuses has expired.
type Revocation struct {
	Tenant  string    `json:"tenant"`
	Of      string    `json:"of"` // session (LiveSession.ID), jwt (hash of an access token, or issuer and jti), subject (sessions and access tokens issued before At)
	ID      string    `json:"id"`
	At      time.Time `json:"at"`
	Until   time.Time `json:"until"`
	Reason  string    `json:"reason,omitempty"`
	Revoker string    `json:"by,omitempty"`
}

// Key returns where the revocation stands.
func (r *Revocation) Key() Key { return Key{"revocation", r.Tenant, r.Of + "\x1f" + r.ID} }

// Limit bounds what callers may use. Of several that match, each holds.
type Limit struct {
	Tenant string `json:"tenant"`
	ID     string `json:"id"`
	// Per says whose use is counted together: identity (each on its own), tenant (all
	// of the tenant), server (each server), tool (each tool).
	Per string `json:"per"`
	// Subjects, Objects narrow whom and what it is about: globs over the id of the user
	// and over Object.Path; "" = all.
	Subjects string  `json:"subjects,omitempty"`
	Objects  string  `json:"objects,omitempty"`
	Rate     float64 `json:"rate,omitempty"`  // calls a second; 0 = no limit, as everywhere here
	Burst    int     `json:"burst,omitempty"` // at once; 0 = one second of Rate, at least 1
	AtOnce   int     `json:"atOnce,omitempty"`
	PerDay   int64   `json:"perDay,omitempty"` // calls in a day of UTC
	Bytes    int64   `json:"bytes,omitempty"`  // of the arguments of one call
	Note     string  `json:"note,omitempty"`
	Stamp
}

// Key returns where the limit stands.
func (l *Limit) Key() Key { return Key{"limit", l.Tenant, l.ID} }

// Usage adds up one day (UTC) of one caller on one tool.
type Usage struct {
	Tenant  string `json:"tenant"`
	Day     string `json:"day"` // 2006-01-02
	Subject string `json:"subject"`
	Server  string `json:"server"`
	Name    string `json:"name"`
	Calls   int64  `json:"calls"`
	Errors  int64  `json:"errors"`
	Refused int64  `json:"refused"` // for a limit
	In      int64  `json:"bytesIn"`
	Out     int64  `json:"bytesOut"`
	Millis  int64  `json:"millis"` // of all calls together
}

// Key returns where the sum stands.
func (u *Usage) Key() Key {
	return Key{"usage", u.Tenant, u.Day + "\x1f" + u.Subject + "\x1f" + u.Server + "\x1f" + u.Name}
}

// Setting is a value that the admin plane keeps: JSON under a key.
type Setting struct {
	Tenant string `json:"tenant"`
	Name   string `json:"name"`
	Value  string `json:"value"` // JSON
	Stamp
}

// Key returns where the setting stands.
func (s *Setting) Key() Key { return Key{"setting", s.Tenant, s.Name} }

// Replica is one process that serves from the store.
type Replica struct {
	ID       string    `json:"id"`   // random for each start
	Name     string    `json:"name"` // host name
	Version  string    `json:"version"`
	Revision int64     `json:"revision"` // that it serves
	Started  time.Time `json:"started"`
	Seen     time.Time `json:"seen"`
}

// Key returns where the replica stands.
func (r *Replica) Key() Key { return Key{"replica", EveryTenant, r.ID} }
