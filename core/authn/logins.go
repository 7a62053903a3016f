package authn

import (
	"context"
	"encoding/base64"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/text/unicode/norm"

	"github.com/sallyport/sallyport/core"
)

// LoginOptions are the options of NewLogins; the zero value works.
type LoginOptions struct {
	Passwords *Passwords    // nil = NewPasswords with defaults
	Idle      time.Duration // a login that nobody uses ends; 0 = 8 h
	Absolute  time.Duration // every login ends; 0 = 24 h
	Fresh     time.Duration // how long dangerous acts need no new proof; 0 = 10 min
	Keep      time.Duration // how long Find believes what it read; 0 = 3 s, at most 5 s
}

// Logins are the logins of people to the admin plane. It is safe for concurrent use.
//
// What it refuses has one error for each sort of refusal, whoever asks: CodeUnauthenticated
// where a name, password or cookie does not fit, CodeLimited after too many tries.
type Logins struct {
	a         *Authn
	passwords *Passwords
	throttle  *throttle
	idle      time.Duration
	absolute  time.Duration
	fresh     time.Duration
	keep      time.Duration

	mu    sync.Mutex
	found map[string]*foundLogin // by SHA-256 of the cookie
	used  map[string]time.Time   // states of OpenID Connect flows that came back → until when

	skip map[string]bool // for tests: which checks to leave out
}

// foundLogin is what Find keeps; callers get copies of login.
type foundLogin struct {
	Found
	login core.Login
	until time.Time
}

// maxFound bounds what Find keeps.
const maxFound = 10_000

// NewLogins returns Logins over the store, the clock and the providers of a.
func NewLogins(a *Authn, o LoginOptions) *Logins {
	if o.Passwords == nil {
		o.Passwords = NewPasswords(PasswordOptions{Rand: a.random})
	}
	orElse := func(d, otherwise time.Duration) time.Duration {
		if d <= 0 {
			return otherwise
		}
		return d
	}
	return &Logins{
		a: a, passwords: o.Passwords, throttle: newThrottle(),
		idle: orElse(o.Idle, 8*time.Hour), absolute: orElse(o.Absolute, 24*time.Hour), fresh: orElse(o.Fresh, 10*time.Minute),
		keep:  min(orElse(o.Keep, 3*time.Second), 5*time.Second),
		found: map[string]*foundLogin{}, used: map[string]time.Time{},
	}
}

func wrongPassword() error {
	return &core.Error{Code: core.CodeUnauthenticated, Message: "the name or the password is wrong", Fix: "check both; after several tries you must wait"}
}

func noLogin() error {
	return &core.Error{Code: core.CodeUnauthenticated, Message: "there is no such login, or it has ended", Fix: "log in again"}
}

// Password makes a login for whoever knows name and password.
func (l *Logins) Password(ctx context.Context, tenant, name string, password core.Secret, from From) (*Granted, error) {
	if tenant == "" {
		tenant = core.DefaultTenant
	}
	name = CanonicalName(name)
	try, err := l.begin(ctx, tenant, name, from)
	if err != nil {
		return nil, err
	}
	u, err := l.userNamed(ctx, tenant, name)
	if err != nil {
		return nil, err
	}
	weak, err := l.prove(ctx, u, password)
	if err == nil {
		err = l.mayLogIn(ctx, u)
	}
	if err != nil {
		return nil, l.failed(ctx, tenant, u, from, err)
	}
	try.forgive()
	var better string
	if weak {
		if better, err = l.passwords.Hash(ctx, password); err != nil {
			return nil, err
		}
	}
	return l.grant(ctx, u, "", from, "", func(u *core.User) bool {
		if better != "" {
			u.Password = better
		}
		return better != ""
	})
}

// CanonicalName writes the name of a user as it is stored: lower case, in Unicode's form
// NFC, without white space around it.
func CanonicalName(name string) string {
	if len(name) > 256 {
		return "" // nobody is called that
	}
	return strings.ToLower(norm.NFC.String(strings.TrimSpace(name)))
}

// begin counts a try, or says how long there may be none.
func (l *Logins) begin(ctx context.Context, tenant, account string, from From) (*attempt, error) {
	try, wait, first := l.throttle.begin(tenant, account, from.Address, l.a.now())
	if try != nil {
		return try, nil
	}
	if first { // the rest of a flood is not worth a line each
		if err := l.a.store.Audit(ctx, l.entry(tenant, nil, "login.throttled", core.CodeLimited, from)); err != nil {
			return nil, err
		}
	}
	seconds := int((wait + time.Second - 1) / time.Second)
	return nil, &core.Error{
		Code: core.CodeLimited, Message: "too many tries", RetryAfter: seconds,
		Fix: "wait " + strconv.Itoa(seconds) + " seconds, or ask an administrator for a new password",
	}
}

// prove tells whether a password is that of a user; nil and users without one take as
// long as any.
func (l *Logins) prove(ctx context.Context, u *core.User, password core.Secret) (weak bool, err error) {
	hash := ""
	if u != nil {
		hash = u.Password
	}
	fits, weak, err := l.passwords.Verify(ctx, hash, password)
	if err != nil {
		return false, err
	}
	if !fits || u == nil {
		return false, wrongPassword()
	}
	return weak, nil
}

// mayLogIn tells whether a user may have logins at all. Its refusal is that of a wrong
// password.
func (l *Logins) mayLogIn(ctx context.Context, u *core.User) error {
	if u.Disabled || u.Service {
		return wrongPassword()
	}
	return l.tenantOpen(ctx, u.Tenant, wrongPassword())
}

// tenantOpen returns refusal where there is no such tenant, or it is disabled.
func (l *Logins) tenantOpen(ctx context.Context, tenant string, refusal error) error {
	row := &core.Tenant{ID: tenant}
	switch err := l.a.store.Get(ctx, row); {
	case err == nil && row.Disabled:
		return refusal
	case err == nil:
		return nil
	case core.AsError(err).Code == core.CodeNotFound && tenant == core.DefaultTenant:
		return nil // it needs no row
	case core.AsError(err).Code == core.CodeNotFound:
		return refusal
	default:
		return err
	}
}

// failed records a login that was refused, and returns the refusal. What was typed is not
// recorded: it may be a password in the wrong field.
func (l *Logins) failed(ctx context.Context, tenant string, u *core.User, from From, refusal error) error {
	if code := core.AsError(refusal).Code; code != core.CodeUnauthenticated && code != core.CodeDenied {
		return refusal
	}
	if err := l.a.store.Audit(ctx, l.entry(tenant, u, "login.failed", core.AsError(refusal).Code, from)); err != nil {
		return err
	}
	return refusal
}

func (l *Logins) entry(tenant string, u *core.User, action string, outcome core.Code, from From) *core.AuditEntry {
	e := &core.AuditEntry{
		Time: l.a.now(), Tenant: tenant, Action: action, Kind: "login", Outcome: string(outcome),
		Address: from.Address, Request: from.Request,
	}
	if u != nil {
		e.Name = u.Name
	}
	return e
}

// ok makes an entry one of something that a user did.
func ok(e *core.AuditEntry, u *core.User, login string) *core.AuditEntry {
	e.Actor, e.ActorName, e.Via, e.Credential, e.Outcome = u.ID, u.Name, core.ViaLogin, login, "ok"
	return e
}

// userNamed returns the user of a name; nil when there is none.
func (l *Logins) userNamed(ctx context.Context, tenant, name string) (*core.User, error) {
	if name == "" || tenant == core.EveryTenant {
		return nil, nil
	}
	return l.oneUser(ctx, tenant, map[string]string{"name": name})
}

func (l *Logins) oneUser(ctx context.Context, tenant string, equal map[string]string) (*core.User, error) {
	var users []core.User
	if _, err := l.a.store.List(ctx, &users, core.Query{Tenant: tenant, Equal: equal, Limit: 2}); err != nil {
		return nil, err
	}
	if len(users) != 1 {
		return nil, nil
	}
	return &users[0], nil
}

// grant makes a login for a user, with a new id and a new cookie, in the place of the login
// instead when that is not "". also may change the user's row in the same transaction, and
// tells whether it did.
func (l *Logins) grant(ctx context.Context, u *core.User, provider string, from From, instead string, also func(*core.User) bool) (*Granted, error) {
	g, err := l.fresher(u.Tenant, u.ID, provider, from)
	if err != nil {
		return nil, err
	}
	entry := ok(l.entry(u.Tenant, u, "login.ok", "", from), u, g.Login.ID)
	var kept core.User
	err = l.a.store.Change(ctx, entry, func(ctx context.Context, tx core.Tx) error {
		kept = core.User{Tenant: u.Tenant, ID: u.ID}
		if err := tx.Get(ctx, &kept); err != nil {
			return err
		}
		if kept.Disabled || kept.Password != u.Password { // changed while we computed
			return wrongPassword()
		}
		if also(&kept) {
			if err := tx.Put(ctx, &kept); err != nil {
				return err
			}
		}
		if instead != "" {
			if err := tx.Delete(ctx, &core.Login{Tenant: u.Tenant, ID: instead}); err != nil {
				return err
			}
		}
		return tx.Put(ctx, g.Login)
	})
	if err != nil {
		return nil, err
	}
	if instead != "" {
		l.forget(func(f *core.Login) bool { return f.Tenant == u.Tenant && f.ID == instead })
	}
	seen := kept
	seen.LastLogin = &g.Login.Made
	if err := l.a.store.Append(ctx, &seen); err != nil { // sets that one time only
		l.a.log.WarnContext(ctx, "time of a login not written", slog.String("login", g.Login.ID))
	}
	return l.dress(ctx, g, &kept)
}

// fresher returns a login that is not stored yet.
func (l *Logins) fresher(tenant, user, provider string, from From) (*Granted, error) {
	b, err := randomBytes(l.a.random, 32)
	if err != nil {
		return nil, err
	}
	secret := base64.RawURLEncoding.EncodeToString(b)
	cookie := core.Secret(secret + "." + tenant)
	csrf := CSRF(cookie)
	now := l.a.now().UTC()
	return &Granted{Cookie: cookie, CSRF: csrf, Found: Found{Login: &core.Login{
		Tenant: tenant, ID: loginID(secret), User: user, Sum: hexSum(cookie.Reveal()), CSRF: hexSum(csrf.Reveal()),
		Provider: provider, Address: from.Address, Agent: cut(strings.ToValidUTF8(from.Agent, ""), 200),
		Made: now, Proved: now, Seen: now, Expires: now.Add(l.absolute),
	}}}, nil
}

// dress gives a login the identity of its user.
func (l *Logins) dress(ctx context.Context, g *Granted, u *core.User) (*Granted, error) {
	who, err := l.identity(ctx, u, g.Login)
	if err != nil {
		return nil, err
	}
	g.Who, g.MustChange = who, u.MustChange
	return g, nil
}

func (l *Logins) identity(ctx context.Context, u *core.User, login *core.Login) (core.Identity, error) {
	var rules []groupRole
	if len(u.Groups) > 0 {
		for after := ""; ; {
			var rows []core.GroupRole
			next, err := l.a.store.List(ctx, &rows, core.Query{Tenant: u.Tenant, Limit: 1000, After: after})
			if err != nil {
				return core.Identity{}, err
			}
			for i := range rows {
				rules = append(rules, groupRole{rows[i].Provider, rows[i].Group, rows[i].Role})
			}
			if after = next; after == "" {
				break
			}
		}
	}
	who := identityOf(u, u.Groups, rules)
	who.Via, who.Credential, who.Address = core.ViaLogin, login.ID, login.Address
	if u.MustChange {
		who.Roles, who.Everywhere = nil, nil
	}
	return who, nil
}

// Find returns whose login a cookie is. The error has CodeUnauthenticated; one of the
// store when it cannot be asked. What was read is believed for some seconds.
func (l *Logins) Find(ctx context.Context, cookie core.Secret) (*Found, error) {
	secret, tenant, fits := parseCookie(cookie.Reveal())
	if !fits {
		return nil, noLogin()
	}
	sum, now := hexSum(cookie.Reveal()), l.a.now()
	l.mu.Lock()
	if f := l.found[sum]; f != nil && now.Before(f.until) && l.alive(&f.login, now) {
		found, login := f.Found, f.login
		l.mu.Unlock()
		found.Login = &login
		return &found, nil
	}
	l.mu.Unlock()

	login := &core.Login{Tenant: tenant, ID: loginID(secret)}
	if err := l.a.store.Get(ctx, login); err != nil {
		if core.AsError(err).Code == core.CodeNotFound {
			err = noLogin()
		}
		return nil, err
	}
	if !equal(login.Sum, sum) || !l.alive(login, now) {
		return nil, noLogin()
	}
	u := &core.User{Tenant: tenant, ID: login.User}
	if err := l.a.store.Get(ctx, u); err != nil {
		if core.AsError(err).Code == core.CodeNotFound {
			err = noLogin()
		}
		return nil, err
	}
	if u.Disabled || u.Service || !u.Valid.IsZero() && login.Made.Before(u.Valid) {
		return nil, noLogin()
	}
	if err := l.tenantOpen(ctx, tenant, noLogin()); err != nil {
		return nil, err
	}
	who, err := l.identity(ctx, u, login)
	if err != nil {
		return nil, err
	}
	l.see(ctx, login, now)
	l.mu.Lock()
	if len(l.found) >= maxFound {
		clear(l.found)
	}
	found := Found{Who: who, Login: login, MustChange: u.MustChange}
	l.found[sum] = &foundLogin{Found: found, login: *login, until: now.Add(l.keep)}
	l.mu.Unlock()
	return &found, nil
}

func (l *Logins) alive(login *core.Login, now time.Time) bool {
	return now.Before(login.Expires) && now.Before(login.Made.Add(l.absolute)) && now.Sub(login.Seen) < l.idle
}

// see notes that a login is used. A store that cannot be written ends no login.
func (l *Logins) see(ctx context.Context, login *core.Login, now time.Time) {
	minute := now.UTC().Truncate(time.Minute)
	if !minute.After(login.Seen) {
		return
	}
	login.Seen = minute
	if err := l.a.store.Append(ctx, login); err != nil {
		l.a.log.WarnContext(ctx, "use of a login not written", slog.String("login", login.ID))
	}
}

// CheckCSRF tells whether a change that came with a login carries the login's own token.
// The error has CodeDenied.
func (l *Logins) CheckCSRF(login *core.Login, token core.Secret) error {
	if !l.skip["csrf"] && (token == "" || !equal(hexSum(token.Reveal()), login.CSRF)) {
		return &core.Error{Code: core.CodeDenied, Message: "the request does not come from a page of ours", Fix: "reload the page, and send its token"}
	}
	return nil
}

// Proved tells whether a login was proved lately enough for dangerous acts.
func (l *Logins) Proved(login *core.Login) bool { return l.a.now().Sub(login.Proved) < l.fresh }

// Prove asks for the password of a login again, before a dangerous act.
func (l *Logins) Prove(ctx context.Context, login *core.Login, password core.Secret, from From) error {
	u, err := l.again(ctx, login, password, from)
	if err != nil {
		return err
	}
	now := l.a.now().UTC()
	err = l.a.store.Change(ctx, ok(l.entry(u.Tenant, u, "login.proved", "", from), u, login.ID), func(ctx context.Context, tx core.Tx) error {
		row := &core.Login{Tenant: login.Tenant, ID: login.ID}
		if err := tx.Get(ctx, row); err != nil {
			return err
		}
		row.Proved = now
		return tx.Put(ctx, row)
	})
	if err != nil {
		return err
	}
	login.Proved = now
	l.forget(func(f *core.Login) bool { return f.ID == login.ID })
	return nil
}

// again proves the password of a login's user, counting tries.
func (l *Logins) again(ctx context.Context, login *core.Login, password core.Secret, from From) (*core.User, error) {
	u := &core.User{Tenant: login.Tenant, ID: login.User}
	if err := l.a.store.Get(ctx, u); err != nil {
		return nil, err
	}
	try, err := l.begin(ctx, u.Tenant, u.Name, from)
	if err != nil {
		return nil, err
	}
	if _, err := l.prove(ctx, u, password); err != nil {
		return nil, l.failed(ctx, u.Tenant, u, from, err)
	}
	if err := l.mayLogIn(ctx, u); err != nil {
		return nil, l.failed(ctx, u.Tenant, u, from, err)
	}
	try.forgive()
	return u, nil
}

// ChangePassword sets a new password for the user of a login, who must know the old one.
// Every login of the user ends; the one that is returned takes the place of this one. API
// tokens stay.
func (l *Logins) ChangePassword(ctx context.Context, login *core.Login, old, password core.Secret, from From) (*Granted, error) {
	u, err := l.again(ctx, login, old, from)
	if err != nil {
		return nil, err
	}
	if err := CheckPassword(u.Name, password); err != nil {
		return nil, err
	}
	if norm.NFC.String(old.Reveal()) == norm.NFC.String(password.Reveal()) {
		return nil, &core.Error{Code: core.CodeInvalid, Message: "the new password is the old one", Fix: "use another one"}
	}
	hash, err := l.passwords.Hash(ctx, password)
	if err != nil {
		return nil, err
	}
	g, err := l.fresher(u.Tenant, u.ID, "", from)
	if err != nil {
		return nil, err
	}
	var kept core.User
	entry := ok(l.entry(u.Tenant, u, "user.password", "", from), u, g.Login.ID)
	entry.Kind = "user"
	err = l.a.store.Change(ctx, entry, func(ctx context.Context, tx core.Tx) error {
		kept = core.User{Tenant: u.Tenant, ID: u.ID}
		if err := tx.Get(ctx, &kept); err != nil {
			return err
		}
		if kept.Disabled || kept.Password != u.Password {
			return wrongPassword()
		}
		kept.Password, kept.MustChange, kept.By = hash, false, u.ID
		if err := tx.Put(ctx, &kept); err != nil {
			return err
		}
		if err := endAll(ctx, tx, u.Tenant, u.ID); err != nil {
			return err
		}
		return tx.Put(ctx, g.Login)
	})
	if err != nil {
		return nil, err
	}
	l.forget(func(f *core.Login) bool { return f.Tenant == u.Tenant && f.User == u.ID })
	return l.dress(ctx, g, &kept)
}

// End ends a login. by is who does it: its user, or somebody who may.
func (l *Logins) End(ctx context.Context, by core.Identity, login *core.Login, from From) error {
	return l.end(ctx, by, login.Tenant, "login.end", login.ID, from, func(ctx context.Context, tx core.Tx) error {
		err := tx.Delete(ctx, &core.Login{Tenant: login.Tenant, ID: login.ID})
		if err != nil && core.AsError(err).Code == core.CodeNotFound {
			return errNothing
		}
		return err
	}, func(f *core.Login) bool { return f.Tenant == login.Tenant && f.ID == login.ID })
}

// EndAll ends every login of a user. Other replicas notice within 5 s.
func (l *Logins) EndAll(ctx context.Context, by core.Identity, tenant, user string, from From) error {
	return l.end(ctx, by, tenant, "login.end_all", user, from, func(ctx context.Context, tx core.Tx) error {
		return endAll(ctx, tx, tenant, user)
	}, func(f *core.Login) bool { return f.Tenant == tenant && f.User == user })
}

func (l *Logins) end(ctx context.Context, by core.Identity, tenant, action, name string, from From, f func(context.Context, core.Tx) error, which func(*core.Login) bool) error {
	entry := &core.AuditEntry{
		Time: l.a.now(), Tenant: tenant, Actor: by.Subject, ActorName: by.Name, Via: by.Via, Credential: by.Credential,
		Address: from.Address, Request: from.Request, Action: action, Kind: "login", Name: name, Outcome: "ok",
	}
	l.forget(which)
	err := l.a.store.Change(ctx, entry, f)
	l.forget(which) // one that was found meanwhile
	if errors.Is(err, errNothing) {
		return nil
	}
	return err
}

// Reset puts a temporary password that must be changed into a user, which the caller
// stores, and returns it. It ends no login: see EndAll.
func (l *Logins) Reset(ctx context.Context, u *core.User) (core.Secret, error) {
	text, err := randomText(l.a.random, 15, 20) // 119 bits
	if err != nil {
		return "", err
	}
	hash, err := l.passwords.Hash(ctx, core.Secret(text))
	if err != nil {
		return "", err
	}
	u.Password, u.MustChange = hash, true
	return core.Secret(text), nil
}

// endAll deletes the logins of a user.
func endAll(ctx context.Context, tx core.Tx, tenant, user string) error {
	for {
		var logins []core.Login
		if _, err := tx.List(ctx, &logins, core.Query{Tenant: tenant, Equal: map[string]string{"user": user}, Limit: 1000}); err != nil {
			return err
		}
		if len(logins) == 0 {
			return nil
		}
		for i := range logins {
			if err := tx.Delete(ctx, &core.Login{Tenant: tenant, ID: logins[i].ID}); err != nil && core.AsError(err).Code != core.CodeNotFound {
				return err
			}
		}
	}
}

func (l *Logins) forget(which func(*core.Login) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for sum, f := range l.found {
		if which(&f.login) {
			delete(l.found, sum)
		}
	}
}
