package audit

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/sallyport/sallyport/core"
)

// SettingPruned is the Setting of the default tenant by which replicas agree who prunes.
const SettingPruned = "audit.pruned"

const day = 24 * time.Hour

// RetentionOptions say how long rows are kept. Zero fields take what is said; a negative
// age keeps for ever.
type RetentionOptions struct {
	Replica string        // that of the store
	Calls   time.Duration // records of calls; 0 = 30 days
	Audit   time.Duration // the trail, up to an anchor; 0 = 400 days
	Usage   time.Duration // sums of use; 0 = 400 days
	// Others are further kinds that core.Store.Prune takes, and how old their rows become:
	// 0 takes those that have expired.
	Others map[string]time.Duration
	Every  time.Duration // 0 = a day

	Log  *slog.Logger
	Now  func() time.Time
	Rand func(n int64) int64 // a number below n, so that replicas do not come at once; nil = rand.Int64N
}

// Retention deletes what is older than it should be. The trail says first what it deletes.
type Retention struct {
	store core.Store
	o     RetentionOptions
}

// NewRetention returns a Retention that prunes while Run runs.
func NewRetention(store core.Store, o RetentionOptions) *Retention {
	for _, age := range []struct {
		of    *time.Duration
		usual time.Duration
	}{{&o.Calls, 30 * day}, {&o.Audit, 400 * day}, {&o.Usage, 400 * day}, {&o.Every, day}} {
		if *age.of == 0 {
			*age.of = age.usual
		}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Int64N
	}
	return &Retention{store: store, o: o}
}

// Run prunes once a day, by one replica, until ctx ends.
func (r *Retention) Run(ctx context.Context) {
	// Each replica asks some times a day whether it is time, at times of its own.
	period := max(r.o.Every/24, time.Millisecond)
	for {
		wait := time.NewTimer(period/2 + time.Duration(r.o.Rand(int64(period))))
		select {
		case <-ctx.Done():
			wait.Stop()
			return
		case <-wait.C:
		}
		mine, err := r.claim(ctx)
		if err == nil && mine {
			err = r.Prune(ctx)
		}
		if err != nil && ctx.Err() == nil {
			r.o.Log.LogAttrs(ctx, slog.LevelWarn, "old rows not pruned", slog.Any("error", err))
		}
	}
}

// claimed is the value of SettingPruned.
type claimed struct {
	At      time.Time `json:"at"`
	Replica string    `json:"replica"`
}

var errNotYet = errors.New("not yet")

// claim tells whether it is time, and takes the turn: of two replicas that try, the store
// lets one through.
func (r *Retention) claim(ctx context.Context) (bool, error) {
	now := wholeTime(r.o.Now())
	entry := &core.AuditEntry{Time: now, Tenant: core.DefaultTenant, Action: "retention.claim", Kind: "setting", Name: SettingPruned, Outcome: "ok"}
	err := r.store.Change(ctx, entry, func(ctx context.Context, tx core.Tx) error {
		row := &core.Setting{Tenant: core.DefaultTenant, Name: SettingPruned}
		if err := tx.Get(ctx, row); err != nil && core.AsError(err).Code != core.CodeNotFound {
			return err
		}
		var before claimed
		if row.Value != "" && json.Unmarshal([]byte(row.Value), &before) == nil && now.Sub(before.At) < r.o.Every && !before.At.After(now) {
			return errNotYet
		}
		value, err := json.Marshal(claimed{now, r.o.Replica})
		if err != nil {
			return err
		}
		row.Value = string(value)
		return tx.Put(ctx, row)
	})
	code := core.Code("")
	if err != nil {
		code = core.AsError(err).Code
	}
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, errNotYet), code == core.CodeChanged, code == core.CodeConflict:
		return false, nil
	}
	return false, err
}

// Prune deletes now what is too old.
func (r *Retention) Prune(ctx context.Context) error {
	now := r.o.Now()
	var all error
	for _, one := range []struct {
		kind, action string
		age          time.Duration
		any          func(ctx context.Context, before time.Time) (bool, error)
	}{
		{"call", ActionCallsPruned, r.o.Calls, anyBefore[core.CallRecord](r.store)},
		{"audit", ActionAuditPruned, r.o.Audit, anyBefore[core.AuditEntry](r.store)},
		{"usage", ActionUsagePruned, r.o.Usage, nil},
	} {
		if one.age < 0 {
			continue
		}
		all = errors.Join(all, r.prune(ctx, one.kind, one.action, wholeTime(now.Add(-one.age)), one.any))
	}
	for kind, age := range r.o.Others {
		if age >= 0 {
			all = errors.Join(all, r.prune(ctx, kind, "", wholeTime(now.Add(-age)), nil))
		}
	}
	return all
}

// prune says in the trail what will go, and deletes it: rows that are gone without a word
// are a fault, words without a deletion are none.
func (r *Retention) prune(ctx context.Context, kind, action string, before time.Time, old func(context.Context, time.Time) (bool, error)) error {
	if old != nil {
		if found, err := old(ctx, before); err != nil || !found {
			return err
		}
	}
	if action != "" {
		details, err := json.Marshal(prunedDetails{before})
		if err != nil {
			return err
		}
		entry := &core.AuditEntry{Time: r.o.Now(), Tenant: core.DefaultTenant, Action: action, Kind: kind, Outcome: "ok", Details: details}
		if err := r.store.Audit(ctx, entry); err != nil {
			return err
		}
	}
	n, err := r.store.Prune(ctx, kind, before)
	if err != nil {
		return err
	}
	if n > 0 {
		r.o.Log.LogAttrs(ctx, slog.LevelInfo, "old rows pruned", slog.String("kind", kind), slog.Int64("count", n), slog.Time("before", before))
	}
	return nil
}

// anyBefore tells whether there is a row that is older.
func anyBefore[R any](reader core.Reader) func(context.Context, time.Time) (bool, error) {
	return func(ctx context.Context, before time.Time) (bool, error) {
		var rows []R
		_, err := reader.List(ctx, &rows, core.Query{Tenant: core.EveryTenant, Until: before, Limit: 1})
		return len(rows) > 0, err
	}
}
