package authn

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
)

const password = "correct horse 1"

func (r *rig) login(name, password string) (*Granted, error) {
	return r.loginFrom(name, password, "192.0.2.7")
}

func (r *rig) loginFrom(name, password, address string) (*Granted, error) {
	return r.logins.Password(context.Background(), "", name, core.Secret(password), From{Address: address, Agent: "test"})
}

func (r *rig) mustLogin(name string) *Granted {
	r.t.Helper()
	g, err := r.login(name, password)
	if err != nil {
		r.t.Fatal(err)
	}
	return g
}

func (r *rig) find(cookie core.Secret) core.Code {
	_, err := r.logins.Find(context.Background(), cookie)
	return codeOf(err)
}

func TestPasswordLogin(t *testing.T) {
	r := newRig(t)
	r.user(core.User{ID: "u1", Name: "ada", Roles: []string{"viewer"}, Everywhere: []string{"admin"}, Groups: []string{"ops"}}, password)
	g, err := r.logins.Password(context.Background(), "", "  ADA ", password, From{Address: "192.0.2.7", Agent: strings.Repeat("é", 150)})
	if err != nil {
		t.Fatal(err)
	}
	if g.Who.Subject != "u1" || strings.Join(g.Who.Roles, " ") != "publisher viewer" || g.Who.Via != core.ViaLogin || g.Who.Credential != g.Login.ID || g.MustChange {
		t.Errorf("%+v", g.Who)
	}
	if len(g.Login.Agent) != 200 || g.Login.Address != "192.0.2.7" {
		t.Errorf("%+v", g.Login)
	}
	for _, secret := range []string{g.Cookie.Reveal(), g.CSRF.Reveal(), strings.Split(g.Cookie.Reveal(), ".")[0]} {
		if row := fmt.Sprintf("%+v", *g.Login); strings.Contains(row, secret) {
			t.Errorf("the row holds a secret: %s", row)
		}
	}
	found, err := r.logins.Find(context.Background(), g.Cookie)
	if err != nil || found.Who.Subject != "u1" || found.Login.ID != g.Login.ID {
		t.Fatalf("%+v %v", found, err)
	}
	if CSRF(g.Cookie) != g.CSRF || r.logins.CheckCSRF(found.Login, g.CSRF) != nil || codeOf(r.logins.CheckCSRF(found.Login, "x")) != core.CodeDenied || CSRF("x") != "" {
		t.Error("CSRF")
	}
	if !slices.Equal(r.store.actions(), []string{"login.ok"}) {
		t.Error(r.store.actions())
	}
	u := r.store.rows[core.Key{Kind: "user", Tenant: core.DefaultTenant, ID: "u1"}].(*core.User)
	if u.LastLogin == nil || u.Version != 1 {
		t.Errorf("a login changes the version of its user, or leaves no trace: %+v", u)
	}
}

// Every refusal of a login takes the same work and says the same.
func TestRefusalsLookAlike(t *testing.T) {
	r := newRig(t)
	r.user(core.User{ID: "u1", Name: "ada"}, password)
	r.user(core.User{ID: "u2", Name: "off", Disabled: true}, password)
	r.user(core.User{ID: "u3", Name: "robot", Service: true}, password)
	r.user(core.User{ID: "u4", Name: "sso", Provider: "corp", External: "x"}, "")
	r.user(core.User{ID: "u5", Name: "lost", Tenant: "gone"}, password)
	var texts []string
	for i, tt := range []struct{ tenant, name, password string }{
		{"", "nobody", password},
		{"", "", password},
		{"", strings.Repeat("x", 10_000), password},
		{"", "ada", "wrong horse 2"},
		{"", "ada", ""},
		{"", "ada", strings.Repeat("x", 100_000)},
		{"", "off", password},
		{"", "robot", password},
		{"", "sso", ""},
		{"gone", "lost", password},
		{"nowhere", "ada", password},
		{"acme", "ada", password},
		{"*", "ada", password},
	} {
		before := r.hashes
		_, err := r.logins.Password(context.Background(), tt.tenant, tt.name, core.Secret(tt.password), From{Address: fmt.Sprintf("192.0.2.%d", i)})
		if codeOf(err) != core.CodeUnauthenticated || r.hashes != before+1 {
			t.Errorf("%.20v: %v, %d hashes", tt, err, r.hashes-before)
		}
		texts = append(texts, fmt.Sprintf("%+v", *core.AsError(err)))
	}
	if slices.Sort(texts); len(slices.Compact(texts)) != 1 {
		t.Errorf("%q", texts)
	}
	for _, action := range r.store.actions() {
		if action != "login.failed" {
			t.Error(action)
		}
	}
	// The work for nobody is that for somebody: the same cost, the same length.
	p := NewPasswords(PasswordOptions{})
	var costs []Cost
	p.hash = func(_, salt []byte, c Cost, size uint32) []byte {
		costs = append(costs, c)
		if len(salt) != saltBytes || size != sumBytes {
			t.Errorf("salt %d, sum %d", len(salt), size)
		}
		return make([]byte, size)
	}
	hash, _ := p.Hash(context.Background(), "x")
	for _, h := range []string{hash, ""} {
		_, _, _ = p.Verify(context.Background(), h, "x")
	}
	if costs[0] != DefaultCost || costs[1] != costs[0] || costs[2] != costs[0] {
		t.Errorf("%+v", costs)
	}
	if fits, _, _ := p.Verify(context.Background(), "", "x"); fits {
		t.Error("the decoy fits") // its sum is that of this fake hash
	}
}

func TestThrottle(t *testing.T) {
	r := newRig(t)
	r.user(core.User{ID: "u1", Name: "ada"}, password)
	wrong := func(name, address string) core.Code {
		_, err := r.loginFrom(name, "wrong horse 2", address)
		return codeOf(err)
	}
	for i := range pairTries {
		if code := wrong("ada", "192.0.2.7"); code != core.CodeUnauthenticated {
			t.Fatalf("try %d: %s", i, code)
		}
	}
	hashes := r.hashes
	_, err := r.login("ada", password) // also the right one
	if codeOf(err) != core.CodeLimited || core.AsError(err).RetryAfter != 15*60 || r.hashes != hashes {
		t.Fatalf("%v, %d", err, core.AsError(err).RetryAfter)
	}
	for range 10 {
		wrong("ada", "192.0.2.7")
	}
	if n := len(r.store.actions()); n != pairTries+1 || r.store.actions()[n-1] != "login.throttled" {
		t.Errorf("the trail: %v", r.store.actions())
	}
	if _, err := r.loginFrom("ada", password, "198.51.100.1"); err != nil {
		t.Errorf("from elsewhere: %v", err)
	}
	// The wait doubles.
	for _, minutes := range []int{15, 30, 60, 120, 240, 240} {
		r.clock.add(time.Duration(minutes)*time.Minute - time.Second)
		if code := wrong("ada", "192.0.2.7"); code != core.CodeLimited {
			t.Fatalf("after %d minutes but a second: %q", minutes, code)
		}
		r.clock.add(time.Second)
		for i := range pairTries {
			if code := wrong("ada", "192.0.2.7"); code != core.CodeUnauthenticated {
				t.Fatalf("after %d minutes, try %d: %q", minutes, i, code)
			}
		}
	}
	r.clock.add(4 * time.Hour)
	if _, err := r.login("ada", password); err != nil {
		t.Errorf("after the wait: %v", err)
	}
	for range pairTries - 1 { // being right begins again
		wrong("ada", "192.0.2.7")
	}
	if _, err := r.login("ada", password); err != nil {
		t.Errorf("after four wrong ones: %v", err)
	}
}

func TestThrottleByAddressAndAccount(t *testing.T) {
	tests := []struct {
		name  string
		limit int
		who   func(i int) (account, address string)
	}{
		{"one address, many accounts", addressTries, func(i int) (string, string) { return fmt.Sprint("user", i), "192.0.2.7" }},
		{"one network of IPv6", addressTries, func(i int) (string, string) { return fmt.Sprint("user", i), fmt.Sprintf("2001:db8::%x", i+1) }},
		{"one account, many addresses", accountTries, func(i int) (string, string) { return "ada", fmt.Sprintf("2001:db8:0:%x::1", i+1) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			th, now := newThrottle(), time.Unix(1e9, 0)
			for i := range tt.limit {
				account, address := tt.who(i)
				if a, _, _ := th.begin("default", account, address, now); a == nil {
					t.Fatalf("try %d is refused", i)
				}
			}
			account, address := tt.who(tt.limit)
			if a, wait, first := th.begin("default", account, address, now); a != nil || wait != tryWindow || !first {
				t.Errorf("one more: %v %v %v", a != nil, wait, first)
			}
			if a, _, _ := th.begin("default", "other", "203.0.113.9", now); a == nil {
				t.Error("others must wait too")
			}
		})
	}
	// Slow tries never come to it.
	th, now := newThrottle(), time.Unix(1e9, 0)
	for i := range 100 {
		if a, _, _ := th.begin("default", "ada", "192.0.2.7", now); a == nil {
			t.Fatalf("slow try %d is refused", i)
		}
		now = now.Add(4 * time.Minute)
	}
	// Who knows one password cannot use it to try others for ever.
	th = newThrottle()
	for i := range 3 * addressTries {
		a, _, _ := th.begin("default", "eve", "192.0.2.7", now)
		if a == nil {
			if i < addressTries-1 {
				t.Errorf("refused after %d", i)
			}
			break
		}
		a.forgive()
		if b, _, _ := th.begin("default", fmt.Sprint("victim", i), "192.0.2.7", now); b != nil && i > addressTries {
			t.Fatal("tries without end")
		}
	}
	// Right ones alone never come to it either.
	th = newThrottle()
	for i := range 10 * addressTries {
		a, _, _ := th.begin("default", "ada", "192.0.2.7", now)
		if a == nil {
			t.Fatalf("right try %d is refused", i)
		}
		a.forgive()
	}
	// And it stays small.
	for i := range maxTried + 1000 {
		th.begin("default", fmt.Sprint(i), fmt.Sprintf("2001:db8:%x:%x::", i>>16, i&0xffff), now)
	}
	if len(th.tried) > maxTried+3 {
		t.Errorf("%d are kept", len(th.tried))
	}
}

// A hundred at once are no way around the limit.
func TestThrottleInParallel(t *testing.T) {
	r := newRig(t)
	r.user(core.User{ID: "u1", Name: "ada"}, password)
	before := r.hashes
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() { _, _ = r.login("ada", "wrong horse 2") })
	}
	all.Wait()
	if n := r.hashes - before; n != pairTries {
		t.Errorf("%d passwords were tried", n)
	}
}

func TestLoginsEnd(t *testing.T) {
	by := core.Identity{Subject: "u1", Via: core.ViaLogin}
	tests := []struct {
		name string
		do   func(r *rig, g *Granted)
		want core.Code
	}{
		{"nothing", func(*rig, *Granted) {}, ""},
		{"idle", func(r *rig, _ *Granted) { r.clock.add(8 * time.Hour) }, core.CodeUnauthenticated},
		{"used", func(r *rig, g *Granted) {
			for range 4 {
				r.clock.add(5 * time.Hour)
				r.find(g.Cookie)
			}
		}, ""},
		{"a day", func(r *rig, g *Granted) {
			for range 5 {
				r.clock.add(5 * time.Hour)
				r.find(g.Cookie)
			}
		}, core.CodeUnauthenticated},
		{"ended", func(r *rig, g *Granted) { _ = r.logins.End(context.Background(), by, g.Login, From{}) }, core.CodeUnauthenticated},
		{"all ended", func(r *rig, _ *Granted) {
			r.mustLogin("ada")
			_ = r.logins.EndAll(context.Background(), by, core.DefaultTenant, "u1", From{})
		}, core.CodeUnauthenticated},
		{"those of another ended", func(r *rig, _ *Granted) {
			_ = r.logins.EndAll(context.Background(), by, core.DefaultTenant, "u2", From{})
		}, ""},
		{"disabled", func(r *rig, _ *Granted) { r.change(func(u *core.User) { u.Disabled = true }) }, core.CodeUnauthenticated},
		{"made a program", func(r *rig, _ *Granted) { r.change(func(u *core.User) { u.Service = true }) }, core.CodeUnauthenticated},
		{"no longer valid", func(r *rig, _ *Granted) {
			r.change(func(u *core.User) { u.Valid = r.clock.now().Add(time.Second) })
		}, core.CodeUnauthenticated},
		{"user gone", func(r *rig, _ *Granted) {
			r.store.mu.Lock()
			defer r.store.mu.Unlock()
			delete(r.store.rows, core.Key{Kind: "user", Tenant: core.DefaultTenant, ID: "u1"})
		}, core.CodeUnauthenticated},
		{"tenant disabled", func(r *rig, _ *Granted) { r.store.set(&core.Tenant{ID: core.DefaultTenant, Disabled: true}) }, core.CodeUnauthenticated},
		{"store down", func(r *rig, _ *Granted) { r.store.down = true }, core.CodeUnavailable},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			r.user(core.User{ID: "u1", Name: "ada"}, password)
			g := r.mustLogin("ada")
			if code := r.find(g.Cookie); code != "" {
				t.Fatal(code)
			}
			tt.do(r, g)
			r.clock.add(5 * time.Second) // what another replica believes is over by then
			if code := r.find(g.Cookie); code != tt.want {
				t.Errorf("%q, want %q", code, tt.want)
			}
			if err := r.logins.End(context.Background(), by, g.Login, From{}); err != nil && tt.name != "store down" {
				t.Errorf("end once more: %v", err)
			}
		})
	}
}

func (r *rig) change(f func(*core.User)) {
	u := *r.store.rows[core.Key{Kind: "user", Tenant: core.DefaultTenant, ID: "u1"}].(*core.User)
	f(&u)
	r.store.set(&u)
}

// Here, an end is seen at once, whatever Find has kept.
func TestEndIsSeenAtOnce(t *testing.T) {
	r := newRig(t)
	r.user(core.User{ID: "u1", Name: "ada"}, password)
	g := r.mustLogin("ada")
	r.find(g.Cookie)
	reads := r.store.reads
	r.find(g.Cookie)
	if r.store.reads != reads {
		t.Error("what was just read is read again")
	}
	if err := r.logins.End(context.Background(), g.Who, g.Login, From{}); err != nil {
		t.Fatal(err)
	}
	if r.find(g.Cookie) != core.CodeUnauthenticated {
		t.Error("an ended login is good")
	}
}

// Whatever cookie a browser brings, a login gets one of its own.
func TestSessionFixation(t *testing.T) {
	r := newRig(t)
	r.user(core.User{ID: "u1", Name: "ada"}, password)
	one, two := r.mustLogin("ada"), r.mustLogin("ada")
	if one.Cookie == two.Cookie || one.Login.ID == two.Login.ID || one.CSRF == two.CSRF || one.Login.Sum == two.Login.Sum {
		t.Error("two logins share something")
	}
	if len(one.Cookie.Reveal()) != cookieChars+1+len(core.DefaultTenant) {
		t.Errorf("cookie of %d bytes", len(one.Cookie.Reveal()))
	}
	secret := strings.Split(one.Cookie.Reveal(), ".")[0]
	for _, cookie := range []string{
		"", ".", "x.default", secret, secret + ".", secret + ".acme", secret + ".default.x", strings.Repeat("A", 43) + ".default", secret + "=.default",
		strings.ToUpper(secret) + ".default", secret[:42] + "_.default", one.Login.ID + ".default", one.Login.Sum + ".default", secret + ".default\n",
	} {
		if code := r.find(core.Secret(cookie)); code != core.CodeUnauthenticated {
			t.Errorf("%q: %q", cookie, code)
		}
	}
	// The row of one user does not open with the cookie of another.
	row := *two.Login
	row.ID = one.Login.ID
	r.store.set(&row)
	if r.find(one.Cookie) != core.CodeUnauthenticated {
		t.Error("a row with another sum is believed")
	}
}

func TestProveAndChangePassword(t *testing.T) {
	r := newRig(t)
	ctx := context.Background()
	r.user(core.User{ID: "u1", Name: "ada", MustChange: true, Roles: []string{"editor"}, Everywhere: []string{"admin"}}, password)
	token := r.mint(core.Token{ID: "t1", User: "u1"})
	g, other := r.mustLogin("ada"), r.mustLogin("ada")
	if !g.MustChange || g.Who.Roles != nil || g.Who.Everywhere != nil {
		t.Errorf("a first password gives roles: %+v", g.Who)
	}
	if found, err := r.logins.Find(ctx, g.Cookie); err != nil || !found.MustChange || found.Who.Everywhere != nil {
		t.Errorf("%+v %v", found, err)
	}
	if !r.logins.Proved(g.Login) {
		t.Error("a new login is proved")
	}
	r.clock.add(10 * time.Minute)
	if r.logins.Proved(g.Login) {
		t.Error("proved for ever")
	}
	if err := r.logins.Prove(ctx, g.Login, "wrong horse 2", From{Address: "192.0.2.7"}); codeOf(err) != core.CodeUnauthenticated || r.logins.Proved(g.Login) {
		t.Errorf("%v", err)
	}
	if err := r.logins.Prove(ctx, g.Login, password, From{Address: "192.0.2.7"}); err != nil || !r.logins.Proved(g.Login) {
		t.Errorf("%v", err)
	}
	if found, err := r.logins.Find(ctx, g.Cookie); err != nil || !r.logins.Proved(found.Login) {
		t.Errorf("%+v %v", found, err)
	}
	for _, tt := range []struct {
		old, new core.Secret
		want     core.Code
	}{
		{"wrong horse 2", "another horse 3", core.CodeUnauthenticated},
		{password, "short", core.CodeInvalid},
		{password, password, core.CodeInvalid},
	} {
		if _, err := r.logins.ChangePassword(ctx, g.Login, tt.old, tt.new, From{Address: "192.0.2.7"}); codeOf(err) != tt.want {
			t.Errorf("%v", err)
		}
	}
	next, err := r.logins.ChangePassword(ctx, g.Login, password, "another horse 3", From{Address: "192.0.2.7"})
	if err != nil {
		t.Fatal(err)
	}
	if next.MustChange || strings.Join(next.Who.Everywhere, "") != "admin" || next.Cookie == g.Cookie {
		t.Errorf("%+v", next)
	}
	for _, tt := range []struct {
		cookie core.Secret
		want   core.Code
	}{{next.Cookie, ""}, {g.Cookie, core.CodeUnauthenticated}, {other.Cookie, core.CodeUnauthenticated}} {
		if code := r.find(tt.cookie); code != tt.want {
			t.Errorf("%q, want %q", code, tt.want)
		}
	}
	if r.code(request(token)) != "" {
		t.Error("API tokens end with a password")
	}
	if _, err := r.login("ada", password); codeOf(err) != core.CodeUnauthenticated {
		t.Error("the old password is good")
	}
	if _, err := r.login("ada", "another horse 3"); err != nil {
		t.Error(err)
	}
	// Proving is throttled like logging in.
	for range pairTries {
		_ = r.logins.Prove(ctx, next.Login, "wrong horse 2", From{Address: "192.0.2.9"})
	}
	if err := r.logins.Prove(ctx, next.Login, "another horse 3", From{Address: "192.0.2.9"}); codeOf(err) != core.CodeLimited {
		t.Errorf("%v", err)
	}
}

func TestRehashAndReset(t *testing.T) {
	r := newRig(t)
	r.user(core.User{ID: "u1", Name: "ada"}, password)
	stronger := Cost{Memory: 128, Time: 1, Threads: 1}
	r.logins.passwords = NewPasswords(PasswordOptions{Cost: stronger})
	r.mustLogin("ada")
	u := *r.store.rows[core.Key{Kind: "user", Tenant: core.DefaultTenant, ID: "u1"}].(*core.User)
	if !strings.Contains(u.Password, "m=128,") {
		t.Errorf("%s", u.Password)
	}
	r.mustLogin("ada")
	temporary, err := r.logins.Reset(context.Background(), &u)
	if err != nil || !u.MustChange || CheckPassword("ada", temporary) != nil {
		t.Fatal(err)
	}
	r.store.set(&u)
	if g, err := r.login("ada", temporary.Reveal()); err != nil || !g.MustChange {
		t.Errorf("%v", err)
	}
}

func TestSetup(t *testing.T) {
	r := newRig(t)
	ctx := context.Background()
	first := FirstUser{Name: " Ada ", Title: "Ada", Email: "ada@example.com", Password: password}
	if _, err := r.logins.Setup(ctx, "", first, From{}); codeOf(err) != core.CodeUnauthenticated {
		t.Errorf("before there is a token: %v", err)
	}
	old, needed, err := r.logins.EnsureSetup(ctx)
	if err != nil || !needed || len(old.Reveal()) != secretChars {
		t.Fatal(needed, err)
	}
	token, needed, err := r.logins.EnsureSetup(ctx) // the next start
	if err != nil || !needed || token == old {
		t.Fatal(needed, err)
	}
	if row := fmt.Sprintf("%+v", r.store.rows[core.Key{Kind: "setting", Tenant: core.DefaultTenant, ID: setupName}]); strings.Contains(row, token.Reveal()) {
		t.Error("the token is kept")
	}
	for _, tt := range []struct {
		token core.Secret
		first FirstUser
		want  core.Code
	}{
		{old, first, core.CodeUnauthenticated},
		{"", first, core.CodeUnauthenticated},
		{token, FirstUser{Name: "ada", Password: "password"}, core.CodeInvalid},
		{token, FirstUser{Name: "", Password: password}, core.CodeInvalid},
	} {
		if _, err := r.logins.Setup(ctx, tt.token, tt.first, From{Address: "192.0.2.7"}); codeOf(err) != tt.want {
			t.Errorf("%v, want %s", err, tt.want)
		}
	}
	if wanted, err := r.logins.SetupWanted(ctx); !wanted || err != nil {
		t.Error(wanted, err)
	}
	// Many at once: one gets it.
	var all sync.WaitGroup
	var mu sync.Mutex
	var made []*Granted
	for i := range 8 {
		all.Go(func() {
			mine := first
			mine.Name = fmt.Sprint("ada", i)
			if g, err := r.logins.Setup(ctx, token, mine, From{Address: "192.0.2.8"}); err == nil {
				mu.Lock()
				made = append(made, g)
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if len(made) != 1 || strings.Join(made[0].Who.Everywhere, "") != "admin" || made[0].Who.In() != core.DefaultTenant || r.find(made[0].Cookie) != "" {
		t.Fatalf("%d were made", len(made))
	}
	if _, err := r.logins.Setup(ctx, token, first, From{Address: "192.0.2.9"}); codeOf(err) != core.CodeUnauthenticated {
		t.Errorf("a second time: %v", err)
	}
	if token, needed, err := r.logins.EnsureSetup(ctx); needed || err != nil || token != "" {
		t.Error("needed again")
	}
	if wanted, _ := r.logins.SetupWanted(ctx); wanted {
		t.Error("still wanted")
	}
	// A token that was left over is no door beside the first user.
	r.store.set(&core.Setting{Tenant: core.DefaultTenant, Name: setupName, Value: `{"sum":"` + hexSum("x") + `"}`, Stamp: core.Stamp{Version: 1}})
	if _, err := r.logins.Setup(ctx, "x", first, From{Address: "192.0.2.10"}); codeOf(err) != core.CodeUnauthenticated {
		t.Errorf("%v", err)
	}
	if _, _, err := r.logins.EnsureSetup(ctx); err != nil || r.store.rows[core.Key{Kind: "setting", Tenant: core.DefaultTenant, ID: setupName}] != nil {
		t.Error("left over", err)
	}
}
