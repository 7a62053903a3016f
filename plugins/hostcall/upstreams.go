package hostcall

import (
	"errors"
	"log/slog"
	"net/url"
	"strconv"
	"sync"

	"github.com/sallyport/sallyport/core"
)

// maxUpstreams is how many origins a plugin keeps connections to.
const maxUpstreams = 64

// upstreams keeps one core.Upstream for each origin and set of secrets, the latest
// used ones, opened when they are needed.
type upstreams struct {
	plugin string
	dial   core.Egress
	log    *slog.Logger

	mu     sync.Mutex
	open   map[string]*upstream
	clock  uint64
	closed bool
}

// upstream is one that requests may be using.
type upstream struct {
	core.Upstream
	of    *upstreams
	key   string
	users int
	used  uint64 // by the clock of upstreams
}

var errClosed = &core.Error{Code: core.CodeUnavailable, Message: "the plugin is being closed"}

// get lends an upstream; release it after use.
func (u *upstreams) get(to *target, g *grant, rules []rule) (*upstream, error) {
	key := to.origin()
	for _, n := range g.rules {
		key += " " + strconv.Itoa(n)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		return nil, errClosed
	}
	u.clock++
	one := u.open[key]
	if one == nil {
		opened, err := u.dial.Open(u.connection(to, g, rules))
		if err != nil {
			return nil, err
		}
		u.makeRoom()
		one = &upstream{Upstream: opened, of: u, key: key}
		u.open[key] = one
	}
	one.users++
	one.used = u.clock
	return one, nil
}

// with opens an upstream with a credential of the guest's own, for one request.
func (u *upstreams) with(to *target, g *grant, rules []rule, authorization string) (core.Upstream, error) {
	c := u.connection(to, g, rules)
	c.Secret["Authorization"] = core.Secret(authorization)
	return u.dial.Open(c)
}

// connection is the profile of an origin. Its name becomes a label of metrics, so it
// has the host of the rule and not what a guest made up.
func (u *upstreams) connection(to *target, g *grant, rules []rule) *core.Connection {
	secrets := make(map[string]core.Secret, len(g.rules)+1)
	for _, n := range g.rules {
		secrets[rules[n].Inject.Header] = rules[n].value
	}
	return &core.Connection{
		Name:    "plugin:" + u.plugin + " " + g.name,
		BaseURL: &url.URL{Scheme: to.scheme, Host: to.url.Host},
		Secret:  secrets, Timeout: httpTime, MaxBytes: maxBody, Redirects: 0, Retries: 0,
	}
}

// makeRoom gives up the upstream that nobody used for longest, when there are too
// many. Those that are in use stay, however many they are: calls bound them.
func (u *upstreams) makeRoom() {
	if len(u.open) < maxUpstreams {
		return
	}
	var oldest *upstream
	for _, one := range u.open {
		if one.users == 0 && (oldest == nil || one.used < oldest.used) {
			oldest = one
		}
	}
	if oldest != nil {
		u.drop(oldest)
	}
}

// drop gives up an upstream that nobody uses. The caller holds mu.
func (u *upstreams) drop(one *upstream) {
	delete(u.open, one.key)
	if err := one.Close(); err != nil {
		u.log.Warn("plugin upstream not closed", "plugin", u.plugin, "error", err)
	}
}

func (one *upstream) release() {
	u := one.of
	u.mu.Lock()
	defer u.mu.Unlock()
	one.users--
	switch {
	case one.users > 0:
	case u.closed, len(u.open) > maxUpstreams: // or more were in use than are kept
		u.drop(one)
	}
}

func (u *upstreams) close() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		return nil
	}
	u.closed = true
	var wrong []error
	for _, one := range u.open {
		if one.users == 0 {
			wrong = append(wrong, one.Close())
		}
	}
	u.open = nil
	return errors.Join(wrong...)
}
