package limits

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/core"
)

const (
	dayForm  = "2006-01-02"
	batch    = 500             // rows in one transaction
	farewell = 5 * time.Second // to write what is left at the end
)

// usage holds the sums that the store does not have yet.
type usage struct {
	rows   int // at most, but for one of each tenant and day
	coarse atomic.Int64
	today  atomic.Pointer[daysName] // the day that was written last

	mu      sync.Mutex
	waiting map[sum]*core.Usage
	flying  map[sum]*core.Usage // on their way to the store
}

// sum is what a row adds up.
type sum struct{ tenant, day, subject, server, name string }

func newUsage(rows int) *usage { return &usage{rows: rows, waiting: map[sum]*core.Usage{}} }

func (u *usage) len() int64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	return int64(len(u.waiting) + len(u.flying))
}

// add adds numbers to the sum they belong to. When too many wait, they go where the tool is
// not told apart, and at last where the caller is not either: no number is lost.
func (u *usage) add(n *core.Usage) {
	at := sum{n.Tenant, n.Day, n.Subject, n.Server, n.Name}
	row := u.waiting[at]
	if row == nil && len(u.waiting)+len(u.flying) >= u.rows {
		u.coarse.Add(n.Calls + n.Refused)
		at.name = ""
		if row = u.waiting[at]; row == nil {
			at.subject, at.server = "", ""
			row = u.waiting[at]
		}
	}
	if row == nil {
		// The strings may be parts of a request.
		at = sum{strings.Clone(at.tenant), strings.Clone(at.day), strings.Clone(at.subject), strings.Clone(at.server), strings.Clone(at.name)}
		row = &core.Usage{Tenant: at.tenant, Day: at.day, Subject: at.subject, Server: at.server, Name: at.name}
		u.waiting[at] = row
	}
	plus(row, n)
}

func plus(to, n *core.Usage) {
	to.Calls += n.Calls
	to.Errors += n.Errors
	to.Refused += n.Refused
	to.In += n.In
	to.Out += n.Out
	to.Millis += n.Millis
}

// Count adds a call to the usage of its day. Calls are those that no limit refused, Errors
// those of them whose outcome is not ok. A name longer than 256 bytes is cut.
func (l *Limits) Count(record *core.CallRecord) {
	when := record.Time
	if when.IsZero() {
		when = l.o.Now()
	}
	n := core.Usage{
		Tenant: record.Tenant, Day: l.usage.day(when), Subject: record.Subject, Server: record.Server, Name: record.Name,
		In: int64(record.In), Out: int64(record.Out), Millis: record.Duration.Milliseconds(),
	}
	if n.Tenant == "" {
		n.Tenant = core.DefaultTenant
	}
	if len(n.Name) > maxNamed {
		n.Name = strings.ToValidUTF8(n.Name[:maxNamed], "")
	}
	switch record.Outcome {
	case "ok":
		n.Calls = 1
	case string(core.CodeLimited), string(core.CodeTooLarge):
		n.Refused = 1
	default:
		n.Calls, n.Errors = 1, 1
	}
	l.usage.mu.Lock()
	defer l.usage.mu.Unlock()
	l.usage.add(&n)
}

// day returns the day of UTC.
// day returns the name of the day of t, in UTC.
func (u *usage) day(t time.Time) string {
	number := t.Unix() / int64(24*time.Hour/time.Second)
	if d := u.today.Load(); d != nil && d.number == number {
		return d.name
	}
	d := &daysName{number, t.UTC().Format(dayForm)}
	u.today.Store(d)
	return d.name
}

// daysName is a day: its number since 1970, and its name.
type daysName struct {
	number int64
	name   string
}

// Run writes usage to the store now and then until ctx ends, and then what is left. It
// also drops idle buckets, and with more than one replica learns what the others count
// against day quotas.
func (l *Limits) Run(ctx context.Context) {
	ticker := time.NewTicker(l.o.Every)
	defer ticker.Stop()
	for turn := 1; ; turn++ {
		select {
		case <-ctx.Done():
			l.finish(ctx)
			return
		case <-ticker.C:
			l.turn(ctx, turn)
		}
	}
}

// finish writes what is left, though ctx has ended.
func (l *Limits) finish(ctx context.Context) {
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	l.flush(last)
}

// turn is what Run does each time.
func (l *Limits) turn(ctx context.Context, turn int) {
	l.flush(ctx)
	l.buckets.sweep(l.now(), func(serial uint64) bool { return l.rules.Load().lives[serial] })
	l.mu.Lock()
	shared := l.replicas > 1
	l.mu.Unlock()
	if l.stale.Load() || shared && turn%6 == 0 {
		if err := l.Restore(ctx); err != nil {
			l.o.Log.Warn("day quotas do not know what was used elsewhere", "error", err)
		}
	}
}

// flush writes the sums that wait. What the store did not take waits on.
func (l *Limits) flush(ctx context.Context) {
	u := l.usage
	if l.o.Store == nil {
		u.forget(u.day(l.o.Now()))
		return
	}
	u.mu.Lock()
	u.flying, u.waiting = u.waiting, map[sum]*core.Usage{}
	left := u.flying
	u.mu.Unlock()

	var wrong error
	rows := make([]core.Row, 0, min(batch, len(left)))
	keys := make([]sum, 0, cap(rows))
	send := func() {
		if len(rows) == 0 || wrong != nil {
			return
		}
		if wrong = l.o.Store.Append(ctx, rows...); wrong == nil {
			u.mu.Lock()
			for _, k := range keys {
				delete(left, k)
			}
			u.mu.Unlock()
		}
		rows, keys = rows[:0:0], keys[:0]
	}
	for k, row := range left {
		rows, keys = append(rows, row), append(keys, k)
		if len(rows) == batch {
			send()
		}
		if wrong != nil {
			break
		}
	}
	send()

	u.mu.Lock()
	defer u.mu.Unlock()
	u.flying = nil
	for _, row := range left {
		u.add(row)
	}
	if wrong != nil {
		l.o.Log.Warn("usage waits for the store", "rows", len(left), "error", wrong)
	}
}

// forget drops the sums of other days than today: nobody keeps them.
func (u *usage) forget(today string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for k := range u.waiting {
		if k.day != today {
			delete(u.waiting, k)
		}
	}
}

// of adds up what waits, for a caller of a tenant on a day.
func (u *usage) of(tenant, subject, day string) (n core.Usage) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, rows := range []map[sum]*core.Usage{u.waiting, u.flying} {
		for k, row := range rows {
			if k.tenant == tenant && k.subject == subject && k.day == day {
				plus(&n, row)
			}
		}
	}
	return n
}
