package authz

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/sallyport/sallyport/core"
)

const (
	viewSlots     = 1 << 10 // views kept; more are made anew when asked for
	decisionSlots = 1 << 13 // decisions kept, at most 1 MiB
	maxKept       = 88      // bytes of a path in a kept decision
	maxHats       = 256     // sets of roles kept beside those that views hold
	maxWarned     = 1000    // roles and scopes that the log names in one snapshot's life
)

// snapshot is the policy of one core.State, compiled. Its tables are only read; its two
// caches are of fixed size, and what falls out is worked out again.
type snapshot struct {
	state *core.State
	log   *slog.Logger

	builtin map[string]*table            // by name
	own     map[string]map[string]*table // tenant → role: its own roles, and built-in ones with own lines
	casbin  *casbin

	seed      maphash.Seed
	views     [viewSlots]atomic.Pointer[view]
	decisions [decisionSlots]atomic.Pointer[decision]

	mu     sync.Mutex       // over what follows
	hats   map[string]*hats // by the roles, see makeHats
	warned map[string]bool
}

// decision is one answer that was given. Paths that do not fit are not kept, so entries
// never hold on to what a caller sent.
type decision struct {
	view    *view
	asked   uint64
	verdict verdict
	length  uint8
	path    [maxKept]byte
}

// compile makes a snapshot. It does not touch the one that is in use.
func compile(state *core.State, log *slog.Logger) (*snapshot, error) {
	s := &snapshot{
		state: state, log: log, seed: maphash.MakeSeed(),
		builtin: make(map[string]*table, len(builtIns)),
		own:     map[string]map[string]*table{},
		hats:    map[string]*hats{},
		warned:  map[string]bool{},
	}
	for i := range builtIns {
		t := newTable()
		for _, line := range builtIns[i].lines() {
			t.add(&line)
		}
		s.builtin[builtIns[i].Name] = t
	}
	for i := range state.Roles {
		r := &state.Roles[i]
		if !builtIn(r.Name) { // a row of that name is somebody's mistake; it changes nothing
			s.tables(r.Tenant)[r.Name] = newTable()
		}
	}
	for i := range state.Policies {
		if err := s.add(&state.Policies[i]); err != nil {
			return nil, err
		}
	}
	held, err := newCasbin(s)
	if err != nil {
		return nil, err
	}
	s.casbin = held
	return s, nil
}

func (s *snapshot) tables(tenant string) map[string]*table {
	if s.own[tenant] == nil {
		s.own[tenant] = map[string]*table{}
	}
	return s.own[tenant]
}

// add compiles a line of a tenant's own.
func (s *snapshot) add(p *core.Policy) error {
	if err := compiles(p); err != nil {
		return err
	}
	_, kind := kindPlaces[p.Kind]
	_, action := actionPlaces[core.Action(p.Action)]
	if !kind || !action {
		s.log.Warn("policy names a kind or action that this version does not know", "tenant", p.Tenant, "policy", p.ID)
		return nil
	}
	tables := s.tables(p.Tenant)
	if tables[p.Role] == nil {
		was := s.builtin[p.Role]
		if was == nil {
			s.log.Warn("policy names a role that is not there", "tenant", p.Tenant, "policy", p.ID)
			return nil
		}
		t := newTable()
		for i := range was.policy {
			t.add(&was.policy[i])
		}
		tables[p.Role] = t
	}
	tables[p.Role].add(p)
	return nil
}

// role returns what a role of a tenant may; nil = there is no such role.
func (s *snapshot) role(tenant, name string) *table {
	if t := s.own[tenant][name]; t != nil {
		return t
	}
	return s.builtin[name]
}

// held returns the roles of a caller that there are, and whose they are: those held
// everywhere are given, and therefore defined, by the default tenant.
func (s *snapshot) held(who *core.Identity) (everywhere, home []string) {
	if !nobody(who) {
		everywhere = s.known(core.DefaultTenant, who.Everywhere)
	}
	if who.In() == core.EveryTenant {
		return everywhere, nil // nobody's tenant
	}
	if nobody(who) {
		home = append(home, Anonymous)
	}
	return everywhere, append(home, s.known(who.In(), who.Roles)...)
}

func (s *snapshot) known(tenant string, names []string) []string {
	out := make([]string, 0, len(names))
	for _, name := range names {
		if s.role(tenant, name) == nil {
			s.once("role that is not there is ignored", tenant, name)
			continue
		}
		out = append(out, name)
	}
	return out
}

// once warns of a name one time.
func (s *snapshot) once(message, tenant, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := message + "\x1f" + tenant + "\x1f" + name
	if s.warned[key] || len(s.warned) >= maxWarned {
		return
	}
	s.warned[key] = true
	s.log.Warn(message, "tenant", tenant, "name", shorten(name)) //nolint:sloglint // two messages, both fixed, stand at the callers
}

// view returns what a caller may, from those made before if it is there.
func (s *snapshot) view(who *core.Identity) *view {
	const odd = 0x9e3779b97f4a7c15
	hash := maphash.String(s.seed, who.In())
	for _, role := range who.Roles {
		hash = hash*odd ^ maphash.String(s.seed, role)
	}
	hash = hash*odd ^ uint64(len(who.Roles))
	for _, role := range who.Everywhere {
		hash = hash*odd ^ maphash.String(s.seed, role)
	}
	hash *= odd
	for _, scope := range scopesOf(who) {
		hash = hash*odd ^ maphash.String(s.seed, scope)
	}
	first, second := &s.views[hash%viewSlots], &s.views[(hash>>32)%viewSlots]
	if v := first.Load(); v != nil && v.of(who) {
		return v
	}
	if v := second.Load(); v != nil && v.of(who) {
		return v
	}
	v := s.makeView(who)
	v.hash = hash
	if first.Load() != nil && second.Load() == nil {
		first = second
	}
	first.Store(v)
	return v
}

// makeView works out what a caller may.
func (s *snapshot) makeView(who *core.Identity) *view {
	v := &view{
		tenant: who.In(), anonymous: nobody(who),
		roles: who.Roles, everywhere: who.Everywhere, scopes: scopesOf(who),
	}
	v.hats = s.makeHats(who)
	if v.scopes == nil {
		return v
	}
	v.narrow = newTable()
	for _, text := range v.scopes {
		p, err := ParsePermission(text)
		if err != nil {
			s.once("scope of a token that says nothing is ignored", who.In(), text)
			continue
		}
		if p.Match == "" {
			p.Match = Any
		}
		v.narrow.add(&core.Policy{Kind: p.Kind, Action: p.Action, Match: p.Match})
	}
	return v
}

// makeHats returns what the roles of a caller say, from those made before if it is there:
// many tokens differ in their scopes only.
func (s *snapshot) makeHats(who *core.Identity) *hats {
	everywhere, home := s.held(who)
	everywhere, home = sortedSet(everywhere), sortedSet(home)
	key := fmt.Sprintf("%q %q %q", everywhere, who.In(), home)
	s.mu.Lock()
	defer s.mu.Unlock()
	if h := s.hats[key]; h != nil {
		return h
	}
	h := &hats{wide: len(everywhere), merged: make([]atomic.Pointer[cell], anyKind*anyAction)}
	for _, name := range everywhere {
		h.tables = append(h.tables, s.role(core.DefaultTenant, name))
	}
	for _, name := range home {
		h.tables = append(h.tables, s.role(who.In(), name))
	}
	if len(s.hats) >= maxHats {
		clear(s.hats)
	}
	s.hats[key] = h
	return h
}

// ask decides, from the decisions made before if it is there.
func (s *snapshot) ask(who *core.Identity, do core.Action, on *core.Object) verdict {
	kind, known := kindPlaces[on.Kind]
	action, knownToo := actionPlaces[do]
	if !known || !knownToo || kind == anyKind || action == anyAction {
		return silent
	}
	q := question{kind, action, who.In() == on.In() && who.In() != core.EveryTenant, on.Open}
	v := s.view(who)
	var buffer [maxKept]byte
	path := appendPath(buffer[:0], on)
	if len(path) > maxKept {
		return v.decide(q, path)
	}
	asked := q.pack()
	slot := &s.decisions[(maphash.Bytes(s.seed, path)^v.hash^asked*0x9e3779b97f4a7c15>>16)%decisionSlots]
	if d := slot.Load(); d != nil && d.view == v && d.asked == asked && bytes.Equal(d.path[:d.length], path) {
		return d.verdict
	}
	d := &decision{view: v, asked: asked, verdict: v.decide(q, path), length: uint8(len(path))}
	copy(d.path[:], path)
	slot.Store(d)
	return d.verdict
}

// appendPath appends core.Object.Path.
func appendPath(to []byte, on *core.Object) []byte {
	to = append(to, on.Server...)
	if on.Server != "" && on.Name != "" {
		to = append(to, '/')
	}
	return append(to, on.Name...)
}
