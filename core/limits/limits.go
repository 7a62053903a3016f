package limits

import (
	"cmp"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/core"
)

// Options are what Limits may be given. The zero value works: no limits but those of a
// State, and usage counted in memory for today.
type Options struct {
	Now      func() time.Time // nil = time.Now
	Log      *slog.Logger     // nil = nowhere
	Store    core.Store       // where usage is kept; nil = nowhere
	Observer core.Observer    // nil = none
	// Default holds in every tenant beside the limits of a State; zero = none. Its Per is
	// identity when empty, and its ID is "default".
	Default core.Limit
	Keys    int           // buckets at most, about 300 bytes each; 0 = 131,072
	Rows    int           // sums of usage at most that wait for the store; 0 = 50,000
	Every   time.Duration // how often Run writes usage; 0 = 10 s
}

// Limits is a core.Limiter, and counts usage. It is safe for concurrent use.
type Limits struct {
	o       Options
	start   time.Time
	rules   atomic.Pointer[rules]
	buckets *buckets
	usage   *usage
	refused atomic.Int64
	stale   atomic.Bool // a day quota has not been told of what was used before

	mu       sync.Mutex // over what rules are made of
	state    *core.State
	replicas int
	serials  map[[2]string]uint64 // by tenant and id
	serial   uint64
}

// rules are the rules of each tenant, sorted by serial.
type rules struct {
	every  []*rule            // of tenants that have none of their own
	of     map[string][]*rule // of those that have, with those of every
	lives  map[uint64]bool
	quotas bool // one of them is a day quota
}

func (r *rules) in(tenant string) []*rule {
	if own, found := r.of[tenant]; found {
		return own
	}
	return r.every
}

// New returns Limits that know the default limit only, until Use has given them a state.
func New(o Options) *Limits {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Keys = cmp.Or(o.Keys, 1<<17)
	o.Rows = cmp.Or(o.Rows, 50_000)
	o.Every = cmp.Or(o.Every, 10*time.Second)
	l := &Limits{
		o: o, start: o.Now(), state: &core.State{}, replicas: 1,
		buckets: newBuckets(o.Keys), usage: newUsage(o.Rows), serials: map[[2]string]uint64{},
	}
	l.compile()
	if o.Observer != nil {
		o.Observer.Gauge("sallyport_limit_buckets", "Callers, tenants, servers and tools that limits count now.", l.buckets.len)
		o.Observer.Gauge("sallyport_usage_waiting", "Sums of usage that the store does not have yet.", l.usage.len)
		o.Observer.Counter("sallyport_limited", "Calls refused for a limit.", l.refused.Load)
		o.Observer.Counter("sallyport_usage_coarse", "Calls counted without their tool, because too many sums wait for the store.", l.usage.coarse.Load)
	}
	return l
}

// Use makes the limits of a state those that hold. What was used so far is remembered. A
// limit that means nothing is told in the log and left out: the others still hold.
func (l *Limits) Use(state *core.State) error {
	if state == nil {
		return &core.Error{Code: core.CodeInvalid, Message: "no limits were given", Fix: "read them from the store"}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state = state
	l.compile()
	return nil
}

// Replicas says how many replicas share the rates and calls at once, from 1 to 1,000.
func (l *Limits) Replicas(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n = min(max(1, n), 1000); n != l.replicas {
		l.replicas = n
		l.compile()
	}
}

// compile makes the rules anew. l.mu is locked, or l is new.
func (l *Limits) compile() {
	made := &rules{of: map[string][]*rule{}, lives: map[uint64]bool{}}
	add := func(limit *core.Limit) *rule {
		at := [2]string{limit.Tenant, limit.ID}
		serial, known := l.serials[at]
		if !known {
			l.serial++
			serial = l.serial
			l.serials[at] = serial
		}
		if limit.PerDay > 0 {
			made.quotas = true
			if !known {
				l.stale.Store(true)
			}
		}
		made.lives[serial] = true
		return newRule(*limit, serial, l.replicas)
	}
	for _, limit := range l.written() {
		if wrong := CheckLimit(&limit); len(wrong) > 0 {
			l.o.Log.Warn("limit is left out", "tenant", limit.Tenant, "limit", limit.ID, "path", wrong[0].Path, "problem", wrong[0].Message)
			continue
		}
		if limit.Tenant == core.EveryTenant {
			made.every = append(made.every, add(&limit))
		} else {
			made.of[limit.Tenant] = append(made.of[limit.Tenant], add(&limit))
		}
	}
	bySerial := func(a, b *rule) int { return cmp.Compare(a.serial, b.serial) }
	slices.SortFunc(made.every, bySerial)
	for tenant, own := range made.of {
		own = append(own, made.every...)
		slices.SortFunc(own, bySerial)
		made.of[tenant] = own
	}
	// Numbers of limits that are gone are not used again.
	maps.DeleteFunc(l.serials, func(_ [2]string, serial uint64) bool { return !made.lives[serial] })
	l.rules.Store(made)
}

// written returns the default limit, if there is one, and those of the state.
func (l *Limits) written() []core.Limit {
	standard := l.o.Default
	if empty(&standard) {
		return l.state.Limits
	}
	standard.Tenant, standard.ID = core.EveryTenant, "default"
	standard.Per = cmp.Or(standard.Per, perIdentity)
	return append([]core.Limit{standard}, l.state.Limits...)
}

// now reads the clock once.
func (l *Limits) now() moment {
	t := l.o.Now()
	seconds := t.Unix()
	day := seconds / int64(dayLong/time.Second)
	since := time.Duration(seconds%int64(dayLong/time.Second))*time.Second + time.Duration(t.Nanosecond())
	return moment{tick: int64(t.Sub(l.start)), day: day, midnight: dayLong - since}
}

// claim is a bucket that a call wants to take from.
type claim struct {
	rule   *rule
	key    key
	bucket *bucket
}

// Admit counts one call of size bytes of arguments, or refuses it and counts nothing. The
// error has CodeLimited, and RetryAfter in whole seconds, at least 1; or CodeTooLarge.
// release ends the call; what it does a second time is nothing.
func (l *Limits) Admit(who core.Identity, on core.Object, size int) (release func(), err error) {
	rules := l.rules.Load().in(on.In())
	if len(rules) == 0 {
		return nothing, nil
	}
	var pathSpace [128]byte
	var path []byte
	var space [4]claim
	claims := space[:0]
	for _, r := range rules {
		if r.objects != nil && path == nil {
			path = appendPath(pathSpace[:0], &on)
		}
		if !r.covers(who.Subject, path) {
			continue
		}
		if r.limit.Bytes > 0 && int64(size) > r.limit.Bytes {
			l.refused.Add(1)
			return nil, tooLarge(r, size)
		}
		if r.counts() {
			claims = append(claims, claim{rule: r, key: r.key(who.Subject, who.Address, on.In(), on.Server, on.Name)})
		}
	}
	if len(claims) == 0 {
		return nothing, nil
	}
	now := l.now()
	for i := range claims {
		claims[i].bucket = l.buckets.get(claims[i].key, now)
	}
	// The order of rules is the same for every call, so none waits for another in a circle.
	for i := range claims {
		claims[i].bucket.mu.Lock()
	}
	var longest time.Duration
	var because *rule
	var why reason
	for i := range claims {
		if wait, reason := claims[i].bucket.check(claims[i].rule, now); wait > longest {
			longest, because, why = wait, claims[i].rule, reason
		}
	}
	held := 0
	for i := range claims {
		if because == nil {
			claims[i].bucket.take(claims[i].rule, now)
			if claims[i].rule.atOnce > 0 {
				held++
			}
		}
		claims[i].bucket.letGo()
	}
	switch {
	case because != nil:
		l.refused.Add(1)
		return nil, limited(because, why, longest)
	case held == 0:
		return nothing, nil
	}
	return lease(claims, held), nil
}

// nothing is the release of a call that nothing is held for.
func nothing() {}

// lease returns what gives back the places of a call, once.
func lease(claims []claim, held int) func() {
	buckets := make([]*bucket, 0, held)
	for i := range claims {
		if claims[i].rule.atOnce > 0 {
			buckets = append(buckets, claims[i].bucket)
		}
	}
	var done atomic.Bool
	return func() {
		if done.Swap(true) {
			return
		}
		for _, b := range buckets {
			b.mu.Lock()
			b.inUse--
			b.mu.Unlock()
		}
	}
}

// appendPath appends core.Object.Path.
func appendPath(to []byte, on *core.Object) []byte {
	to = append(to, on.Server...)
	if on.Server != "" && on.Name != "" {
		to = append(to, '/')
	}
	return append(to, on.Name...)
}

// tooLarge and limited say which limit refused, in the words of who made it.
func tooLarge(r *rule, size int) error {
	return &core.Error{
		Code:    core.CodeTooLarge,
		Message: fmt.Sprintf("limit %q: the arguments have %d bytes, more than %d", r.name(), size, r.limit.Bytes),
		Fix:     "send less, or ask an administrator to raise the limit",
	}
}

func limited(r *rule, why reason, wait time.Duration) error {
	seconds := max(1, int((wait+time.Second-1)/time.Second))
	var what string
	switch why {
	case rate:
		what = strconv.FormatFloat(r.limit.Rate, 'f', -1, 64) + " calls a second"
	case concurrency:
		what = strconv.Itoa(r.limit.AtOnce) + " calls at once"
	case dayQuota:
		what = strconv.FormatInt(r.limit.PerDay, 10) + " calls a day"
	}
	return &core.Error{
		Code:       core.CodeLimited,
		Message:    fmt.Sprintf("limit %q is reached: %s for each %s", r.name(), what, r.limit.Per),
		Fix:        fmt.Sprintf("try again in %d s, or ask an administrator to raise the limit", seconds),
		RetryAfter: seconds,
	}
}

var _ core.Limiter = (*Limits)(nil)
