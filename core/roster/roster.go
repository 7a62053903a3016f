package roster

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/child"
	"github.com/sallyport/sallyport/core/upstream"
)

// Options says how a Roster works. The zero value works: no process may run, and what is
// approved is kept in memory.
type Options struct {
	Tenant  string      // whose pins they are; "" = core.DefaultTenant
	Allow   child.Allow // what may run, from the settings
	Version string      // of the gateway, which upstreams are told
	Limits  upstream.Limits

	// Pins returns what was approved, and Change writes to it, audited. nil = it is kept in
	// memory.
	Pins   func(ctx context.Context) ([]core.Pin, error)
	Change func(ctx context.Context, upstream string, f func(context.Context, core.Tx) error) error

	// Changed is told that the documents are to be loaded again; it must not block.
	Changed func()
	// Updated is told of a resource that changed; it must not block.
	Updated func(upstream, uri string)
	// Listed is told that an upstream says that a list of it changed, whether or not
	// that makes a difference to clients; it must not block.
	Listed func(upstream string, kind core.ChangeKind)

	Wait    time.Duration // how long Open waits for upstreams that it did not know; 0 = 3 s
	Refresh time.Duration // how often offers are looked at where nobody says that they changed; 0 = 5 min
	Offline bool          // nothing is connected: only mistakes count

	Log  *slog.Logger // nil = none
	Now  func() time.Time
	Rand io.Reader // nil = crypto/rand
}

// What needs no option.
const (
	defaultWait    = 3 * time.Second
	defaultRefresh = 5 * time.Minute
	offerTimeout   = time.Minute            // all lists of an upstream
	leastBetween   = time.Second            // between two looks at what it offers
	mostBetween    = 30 * time.Second       // likewise, for one that changes it again and again
	calm           = time.Minute            // without a change: the next one is looked at soon again
	soon           = 100 * time.Millisecond // changes that come together are one
	firstBackoff   = time.Second
	lastBackoff    = time.Minute
	stopTimeout    = 15 * time.Second
	never          = time.Duration(math.MaxInt64)
)

// Roster keeps upstreams. It is safe for concurrent use.
type Roster struct {
	o    Options
	pins pinned

	mu      sync.Mutex
	entries map[key]*entry
	sets    []*set // open; the last is what is served, or about to be
	closed  bool
	closing sync.WaitGroup // of entries that nobody has any more
}

var _ core.Remotes = (*Roster)(nil)

// key names an entry: another configuration is another one.
type key struct{ name, digest string }

// New makes a Roster without upstreams.
func New(o Options) *Roster {
	if o.Tenant == "" {
		o.Tenant = core.DefaultTenant
	}
	if o.Changed == nil {
		o.Changed = func() {}
	}
	if o.Updated == nil {
		o.Updated = func(string, string) {}
	}
	if o.Listed == nil {
		o.Listed = func(string, core.ChangeKind) {}
	}
	if o.Wait <= 0 {
		o.Wait = defaultWait
	}
	if o.Refresh <= 0 {
		o.Refresh = defaultRefresh
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	r := &Roster{o: o, entries: map[key]*entry{}}
	r.pins.r = r
	return r
}

// Open returns the upstreams that configs describe. Those that are connected already stay
// so. It waits a little for what the others offer.
func (r *Roster) Open(ctx context.Context, configs []core.UpstreamConfig, use core.RemoteEnv) (core.RemoteSet, []core.Problem) {
	s := &set{r: r, of: map[string]*remote{}}
	var problems []core.Problem
	var fresh []*entry
	for i := range configs {
		c := &configs[i]
		if c.Disabled {
			s.disabled = append(s.disabled, statusOf(c))
			continue
		}
		e, made, err := r.entry(c, use)
		if err != nil {
			problems = append(problems, c.Problem(placeOf(c), err.Message, err.Fix))
			continue
		}
		if e == nil {
			continue // its connection is wrong, which was said
		}
		s.entries = append(s.entries, e)
		if made {
			fresh = append(fresh, e)
		}
	}
	if !r.o.Offline {
		wait, cancel := context.WithTimeout(ctx, r.o.Wait)
		defer cancel()
		for _, e := range fresh {
			select {
			case <-e.tried:
			case <-wait.Done():
			}
		}
	}
	r.snapshot(s)
	return s, problems
}

// placeOf is where in its configuration an upstream says how it is reached.
func placeOf(c *core.UpstreamConfig) string {
	switch {
	case len(c.Command) > 0:
		return "/command"
	case c.Connection != "":
		return "/connection"
	}
	return "/url"
}

// entry returns the entry of a configuration, held once more, and whether it is new.
func (r *Roster) entry(c *core.UpstreamConfig, use core.RemoteEnv) (e *entry, made bool, failed *core.Error) {
	var connection *core.Connection
	if len(c.Command) == 0 {
		if use.Connection != nil {
			connection = use.Connection(c)
		}
		if connection == nil || connection.BaseURL == nil {
			return nil, false, nil
		}
	}
	k := key{c.Name, digestOf(c, connection)}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, false, &core.Error{Code: core.CodeUnavailable, Message: "the gateway is stopping", Fix: "start it again"}
	}
	if e := r.entries[k]; e != nil {
		e.held++
		return e, false, nil
	}
	e, err := newEntry(r, *c, connection, use.Dial)
	if err != nil {
		known := core.AsError(err)
		if known.Code == core.CodeInternal {
			known = &core.Error{Code: core.CodeInvalid, Message: "upstream " + c.Name + " cannot be used: " + err.Error(), Fix: "mend what it says"}
		}
		return nil, false, known
	}
	e.key, e.held = k, 1
	r.entries[k] = e
	if !r.o.Offline {
		e.begin()
	}
	return e, true, nil
}

// jittered is at least half of d, and at most d: upstreams that went together do not come
// back together.
func (r *Roster) jittered(d time.Duration) time.Duration {
	var b [2]byte
	if _, err := io.ReadFull(r.o.Rand, b[:]); err != nil {
		return d
	}
	return d/2 + d/2*time.Duration(binary.BigEndian.Uint16(b[:]))/(1<<16)
}

// drop lets go of an entry, and closes it when nobody has it any more.
func (r *Roster) drop(e *entry) error {
	r.mu.Lock()
	e.held--
	last, ours := e.held == 0, !r.closed // else Close has it
	if last && ours {
		delete(r.entries, e.key)
		r.closing.Add(1)
		defer r.closing.Done()
	}
	r.mu.Unlock()
	if !last {
		return nil
	}
	return e.close()
}

// snapshot says what a set offers, and watches it from then on.
func (r *Roster) snapshot(s *set) {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := sha256.New()
	for _, e := range s.entries {
		s.of[e.config.Name] = &remote{e: e, offer: e.offer, digest: e.digest}
		if e.digest != "" {
			fmt.Fprintf(h, "%s %s\n", e.config.Name, e.digest)
			s.revision = hex.EncodeToString(h.Sum(nil))
		}
	}
	r.sets = append(r.sets, s)
}

// Rejudge holds what upstreams offered last to the pins again, because somebody changed
// those.
func (r *Roster) Rejudge() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.entries {
		e.judgeAgain()
	}
}

// Status says how the upstreams are, by their names.
func (r *Roster) Status() []core.RemoteStatus {
	r.mu.Lock()
	entries := slices.Collect(maps.Values(r.entries))
	var list []core.RemoteStatus
	if newest := r.newest(); newest != nil {
		list = slices.Clone(newest.disabled)
		entries = slices.Clone(newest.entries) // others go as soon as their last call is done
	}
	r.mu.Unlock()
	for _, e := range entries {
		list = append(list, e.status())
	}
	slices.SortFunc(list, func(a, b core.RemoteStatus) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

// newest is the set that was opened last; nil = none is open. The lock is held.
func (r *Roster) newest() *set {
	if len(r.sets) == 0 {
		return nil
	}
	return r.sets[len(r.sets)-1]
}

// Close ends every upstream, also those of sets that are still open, and returns when they
// are gone.
func (r *Roster) Close() error {
	r.mu.Lock()
	r.closed = true
	entries := slices.Collect(maps.Values(r.entries))
	clear(r.entries)
	r.mu.Unlock()
	var all sync.WaitGroup
	errs := make([]error, len(entries))
	for i, e := range entries {
		all.Go(func() { errs[i] = e.close() })
	}
	all.Wait()
	r.closing.Wait()
	return errors.Join(errs...)
}
