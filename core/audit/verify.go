package audit

import (
	"cmp"
	"context"
	"crypto/hmac"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sallyport/sallyport/core"
)

// VerifyOptions say how to verify. Key is required.
type VerifyOptions struct {
	Key []byte // that the store hashes entries with
	// Heads are places that somebody remembers outside the database (log lines, a file of
	// anchors, an earlier report): whoever cuts a trail and its anchors cannot cut these.
	Heads []Head
	Now   func() time.Time // nil = time.Now

	hash func([]byte, *core.AuditEntry) string // Hash; a test of the tests puts another one here
}

// pageSize is how many rows are read at a time.
const pageSize = 1000

// Verify reads every trail and every call record, and reports what was edited, deleted,
// reordered, inserted, cut off or is there twice. What runs meanwhile does not disturb it.
// Memory does not grow with the trails, only with the number of anchors. Its error is
// that of the reader: faults are in the report.
func Verify(ctx context.Context, reader core.Reader, o VerifyOptions) (*Report, error) {
	if len(o.Key) == 0 {
		return nil, &core.Error{Code: core.CodeInvalid, Message: "verify the audit trail: no key", Fix: "give the key that the store hashes entries with"}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.hash == nil {
		o.hash = Hash
	}
	v := &verifier{reader: reader, o: o, trails: map[string]*trail{}, anchors: map[string][]core.Anchor{}, pruned: map[string]time.Time{}}
	v.report.Time = wholeTime(o.Now())
	if err := v.run(ctx); err != nil {
		return nil, err
	}
	return &v.report, nil
}

type verifier struct {
	reader  core.Reader
	o       VerifyOptions
	anchors map[string][]core.Anchor
	trails  map[string]*trail
	pruned  map[string]time.Time // action → what is older may be gone
	calls   callCheck
	faults  faults
	report  Report
}

func (v *verifier) run(ctx context.Context) error {
	// Anchors come first, so that each is about entries that are there when they are read.
	if err := v.readAnchors(ctx); err != nil {
		return err
	}
	if err := v.readPruned(ctx); err != nil {
		return err
	}
	v.calls = callCheck{reader: v.reader, pending: map[string][]leaf{}, pruned: v.pruned}
	err := each(ctx, v.reader, core.Query{Tenant: core.EveryTenant}, func(e *core.AuditEntry) error {
		return v.entry(ctx, e)
	})
	if err != nil {
		return err
	}
	if err := v.calls.end(ctx, v.report.Time); err != nil {
		return err
	}
	if err := v.judge(ctx); err != nil {
		return err
	}
	// Pruning may have begun meanwhile.
	if err := v.readPruned(ctx); err != nil {
		return err
	}
	v.faults.all(&v.calls.faults)
	v.finish()
	return nil
}

func (v *verifier) entry(ctx context.Context, e *core.AuditEntry) error {
	v.report.Entries++
	t := v.trails[e.Replica]
	if t == nil {
		t = v.newTrail(e.Replica)
		v.trails[e.Replica] = t
	}
	if !t.add(e) || e.Action != ActionCalls {
		return nil
	}
	b := batchOf(e)
	if b == nil {
		return nil // not one of ours; the entry itself is whole
	}
	v.report.Batches++
	return v.calls.batch(ctx, e, b)
}

// batchOf returns what an entry says of call records, or nil.
func batchOf(e *core.AuditEntry) *Batch {
	var b Batch
	if json.Unmarshal(e.Details, &b) != nil || b.Count <= 0 {
		return nil
	}
	return &b
}

func (v *verifier) newTrail(replica string) *trail {
	t := &trail{key: v.o.Key, replica: replica, hash: v.o.hash, anchors: v.anchors[replica]}
	for i := range v.anchors[replica] {
		a := &v.anchors[replica][i]
		t.pins = append(t.pins, Head{a.Replica, a.Seq, a.Hash, a.Time})
	}
	for _, h := range v.o.Heads {
		if h.Replica == replica {
			t.pins = append(t.pins, h)
		}
	}
	slices.SortStableFunc(t.pins, func(a, b Head) int { return cmp.Compare(a.Seq, b.Seq) })
	return t
}

// judge ends the trails. One with gaps is read again by itself: an entry that was
// written with an earlier time while we read may have been missed.
func (v *verifier) judge(ctx context.Context) error {
	for _, h := range v.o.Heads {
		if v.trails[h.Replica] == nil {
			v.trails[h.Replica] = v.newTrail(h.Replica)
		}
	}
	for replica := range v.anchors {
		if v.trails[replica] == nil {
			v.trails[replica] = v.newTrail(replica)
		}
	}
	for replica, t := range v.trails {
		t.end()
		if t.faults.has(FaultDeleted, FaultTruncated, FaultReordered) {
			again := v.newTrail(replica)
			err := each(ctx, v.reader, core.Query{Tenant: core.EveryTenant, Equal: map[string]string{"replica": replica}}, func(e *core.AuditEntry) error {
				again.add(e)
				return nil
			})
			if err != nil {
				return err
			}
			again.end()
			t = again
			v.trails[replica] = t
		}
		v.faults.all(&t.faults)
	}
	return nil
}

func (v *verifier) finish() {
	v.faults.list = slices.DeleteFunc(v.faults.list, func(f Fault) bool {
		before, found := v.pruned[f.expired]
		return f.expired != "" && found && f.oldest.Before(before)
	})
	r := &v.report
	r.Faults, r.More = v.faults.sorted(), v.faults.more
	r.Warnings = v.calls.warnings.sorted()
	r.Calls = v.calls.rows
	for replica, t := range v.trails {
		r.Trails = append(r.Trails, Trail{
			Replica: replica, First: t.first.seq, Entries: t.entries, Anchors: len(v.anchors[replica]),
			Head: Head{replica, t.last.seq, t.last.hash, t.last.time},
		})
	}
	slices.SortFunc(r.Trails, func(a, b Trail) int {
		return cmp.Or(a.Head.Time.Compare(b.Head.Time), cmp.Compare(a.Replica, b.Replica))
	})
}

func (v *verifier) readAnchors(ctx context.Context) error {
	err := each(ctx, v.reader, core.Query{Tenant: core.EveryTenant}, func(a *core.Anchor) error {
		v.report.Anchors++
		if !hmac.Equal([]byte(AnchorMAC(v.o.Key, a)), []byte(a.MAC)) {
			v.faults.add(Fault{
				Kind: FaultAnchor, Replica: a.Replica, Seq: a.Seq, Count: 1, Time: a.Time,
				Message: "the anchor is not ours: it was changed, or written by somebody without the key",
			})
			return nil
		}
		v.anchors[a.Replica] = append(v.anchors[a.Replica], *a)
		return nil
	})
	if err != nil {
		return fmt.Errorf("read anchors: %w", err)
	}
	for _, list := range v.anchors {
		slices.SortFunc(list, func(a, b core.Anchor) int { return cmp.Compare(a.Seq, b.Seq) })
	}
	return nil
}

// readPruned learns from the trail itself what was deleted for its age.
func (v *verifier) readPruned(ctx context.Context) error {
	for _, action := range []string{ActionCallsPruned, ActionAuditPruned} {
		err := each(ctx, v.reader, core.Query{Tenant: core.EveryTenant, Equal: map[string]string{"action": action}}, func(e *core.AuditEntry) error {
			var details prunedDetails
			whole := e.Action == action && hmac.Equal([]byte(v.o.hash(v.o.Key, e)), []byte(e.Hash))
			if whole && json.Unmarshal(e.Details, &details) == nil && details.Before.After(v.pruned[action]) {
				v.pruned[action] = details.Before
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("read what was pruned: %w", err)
		}
	}
	return nil
}

// prunedDetails are the details of an entry that says what was pruned.
type prunedDetails struct {
	Before time.Time `json:"before"`
}

// each reads all rows that q says, page by page.
func each[T any](ctx context.Context, reader core.Reader, q core.Query, f func(*T) error) error {
	if q.Limit == 0 {
		q.Limit = pageSize
	}
	for {
		var page []T
		next, err := reader.List(ctx, &page, q)
		if err != nil {
			return err
		}
		for i := range page {
			if err := f(&page[i]); err != nil {
				return err
			}
		}
		if next == "" {
			return nil
		}
		if next == q.After {
			return errors.New("the reader gave the same page twice")
		}
		q.After = next
	}
}
