// Package limits decides whether a call may run now, and counts what callers use.
//
//	core.State ─► Use ─► rules of a tenant
//
//	Admit(who, on, size) ─► rules that match ─► a bucket for each ─► all of them allow? ─► take from all
//	                                                              └► one refuses ─► take from none
//	Count(record) ─► sums of the day ─► Run: every 10 s ─► core.Store.Append
//
// A rule bounds a rate (GCRA: what is left is one moment in time, and no timer runs), calls
// at once, calls in a day of UTC, and the size of arguments. Of several that match, each
// holds. Whose use is counted together is the rule's Per; callers whom nobody knows are
// counted by address, those of IPv6 by their /64.
//
// Buckets are bounded in number. An idle one is dropped, which gives nothing away: it is as
// good as new. When all are busy, newcomers share one bucket for each rule: whoever comes
// from many addresses fills that one, and neither memory nor the buckets of others.
//
// Each replica counts for itself: it grants its share of a rate and of calls at once, which
// is the limit divided by the replicas that live (Replicas), rounded up to whole calls. Day
// quotas are whole; replicas learn of each other's use once a minute, and may together
// overshoot by what runs in that time.
//
//	l := limits.New(limits.Options{Store: store, Log: log, Default: core.Limit{Rate: 50, Burst: 100}})
//	if err := l.Use(state); err != nil {
//		return err
//	}
//	if err := l.Restore(ctx); err != nil {
//		log.Warn("day quotas begin anew", "error", err) // Run tries again
//	}
//	go l.Run(ctx)
//	release, err := l.Admit(who, object, len(arguments))
//	if err != nil {
//		return err // CodeLimited with RetryAfter, or CodeTooLarge
//	}
//	defer release()
package limits
