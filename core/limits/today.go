package limits

import (
	"context"
	"math"
	"time"

	"github.com/sallyport/sallyport/core"
)

// Today is what a caller has used since midnight UTC, and what is left.
type Today struct {
	core.Usage           // Server and Name are empty: of all
	Limits     []Left    `json:"limits"`
	Resets     time.Time `json:"resets"` // the next midnight UTC
}

// Left is one limit that a caller stands under, and what is left of it. Those that are
// counted by server or tool are told by what they allow only.
type Left struct {
	ID     string  `json:"id"`
	Note   string  `json:"note,omitempty"`
	Per    string  `json:"per"`
	On     string  `json:"objects,omitempty"` // glob; "" = all
	Rate   float64 `json:"rate,omitempty"`
	Burst  int     `json:"burst,omitempty"`
	AtOnce int     `json:"atOnce,omitempty"`
	PerDay int64   `json:"perDay,omitempty"`
	Bytes  int64   `json:"bytes,omitempty"`

	Counted bool  `json:"counted"`   // what follows is known
	Used    int64 `json:"used"`      // of PerDay
	LeftDay int64 `json:"leftToday"` // of PerDay
	LeftNow int   `json:"leftNow"`   // calls that the rate allows this moment, on this replica
	Running int   `json:"running"`   // of AtOnce, on this replica
}

// Usage returns what a caller has used today: what the store has, and what waits for it.
// What others of several replicas have counted in the last seconds is not in it. Callers
// whom nobody knows (subject "") are told together, and without what is left.
func (l *Limits) Usage(ctx context.Context, tenant, subject string) (Today, error) {
	now := l.now()
	day := l.usage.day(l.o.Now())
	out := Today{
		Usage:  core.Usage{Tenant: tenant, Day: day, Subject: subject},
		Limits: []Left{},
		Resets: time.Unix((now.day+1)*int64(dayLong/time.Second), 0).UTC(),
	}
	waiting := l.usage.of(tenant, subject, day)
	plus(&out.Usage, &waiting)
	err := l.eachUsage(ctx, core.Query{Tenant: tenant, Equal: map[string]string{"day": day, "subject": subject}}, func(row *core.Usage) {
		plus(&out.Usage, row)
	})
	if err != nil {
		return Today{}, err
	}
	for _, r := range l.rules.Load().in(tenant) {
		if r.about(subject) {
			out.Limits = append(out.Limits, l.left(r, tenant, subject, now))
		}
	}
	return out, nil
}

// left tells what is left of a rule.
func (l *Limits) left(r *rule, tenant, subject string, now moment) Left {
	out := Left{
		ID: r.limit.ID, Note: r.limit.Note, Per: r.limit.Per, On: r.limit.Objects,
		Rate: r.limit.Rate, Burst: r.limit.Burst, AtOnce: r.limit.AtOnce, PerDay: r.limit.PerDay, Bytes: r.limit.Bytes,
	}
	mine := r.limit.Per == perIdentity && subject != "" || r.limit.Per == perTenant
	if !mine {
		return out
	}
	out.Counted = true
	var was struct{ tat, day, count int64 }
	if b := l.buckets.find(r.key(subject, "", tenant, "", "")); b != nil {
		b.mu.Lock()
		was.tat, was.day, was.count = b.tat, b.day, b.count
		out.Running = int(b.inUse)
		b.mu.Unlock()
	}
	if r.limit.PerDay > 0 {
		if was.day >= now.day {
			out.Used = was.count
		}
		out.LeftDay = max(0, r.limit.PerDay-out.Used)
	}
	if r.interval > 0 {
		out.LeftNow = int(min(math.MaxInt32, max(0, (now.tick+r.ahead-max(was.tat, now.tick))/r.interval)))
	}
	return out
}

// Restore tells day quotas what was used today before this process began, and by other
// replicas. Calls of callers whom nobody knows are in no quota by address afterwards: usage
// does not hold addresses.
func (l *Limits) Restore(ctx context.Context) error {
	l.stale.Store(false)
	rules := l.rules.Load()
	if l.o.Store == nil || !rules.quotas {
		return nil
	}
	now := l.now()
	used := map[key]int64{}
	err := l.eachUsage(ctx, core.Query{Tenant: core.EveryTenant, Equal: map[string]string{"day": l.usage.day(l.o.Now())}}, func(row *core.Usage) {
		if row.Name == "" {
			return // there was no such thing, so no limit counted it
		}
		on := core.Object{Server: row.Server, Name: row.Name}
		for _, r := range rules.in(row.Tenant) {
			if r.limit.PerDay == 0 || row.Calls == 0 || !r.covers(row.Subject, appendPath(nil, &on)) {
				continue
			}
			if k := r.key(row.Subject, "", row.Tenant, row.Server, row.Name); k.sort != ofAddress {
				used[k] += row.Calls
			}
		}
	})
	if err != nil {
		l.stale.Store(true)
		return err
	}
	for k, n := range used {
		l.buckets.atLeast(k, n, now)
	}
	return nil
}

// atLeast raises the count of a day to what is known from elsewhere.
func (b *buckets) atLeast(k key, n int64, now moment) {
	one := b.get(k, now)
	one.mu.Lock()
	defer one.letGo()
	if now.day > one.day {
		one.day, one.count = now.day, 0
	}
	if one.day == now.day {
		one.count = max(one.count, n)
	}
}

// eachUsage calls f for every row of usage in the store.
func (l *Limits) eachUsage(ctx context.Context, q core.Query, f func(*core.Usage)) error {
	if l.o.Store == nil {
		return nil
	}
	for q.Limit = 1000; ; {
		var rows []core.Usage
		next, err := l.o.Store.List(ctx, &rows, q)
		if err != nil {
			return err
		}
		for i := range rows {
			f(&rows[i])
		}
		if next == "" {
			return nil
		}
		q.After = next
	}
}
