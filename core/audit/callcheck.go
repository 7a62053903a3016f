package audit

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/sallyport/sallyport/core"
)

// callCheck holds call records against the batches that the trail says they were written
// in. Both are read once, in the order of time; a record waits in pending for its batch.
type callCheck struct {
	reader  core.Reader
	pruned  map[string]time.Time
	pending map[string][]leaf // replica → records that no batch had yet

	page     []core.CallRecord
	next     string
	done     bool
	rows     int64
	faults   faults
	warnings faults
}

// settle is how young a record may be whose batch was not read: it came meanwhile. Clocks
// of replicas may differ by as much.
const settle = time.Minute

// batch checks the records of one.
func (c *callCheck) batch(ctx context.Context, e *core.AuditEntry, b *Batch) error {
	if err := c.read(ctx, b.To); err != nil {
		return err
	}
	mine := c.take(b)
	fits := len(mine) == b.Count && sumOf(mine) == b.Sum
	if fits {
		return nil
	}
	expired := b.From.Before(c.pruned[ActionCallsPruned])
	if len(mine) < b.Count && expired {
		return nil
	}
	// They may have been written after we read that far: a call that took long is listed
	// by the time when it began.
	mine, err := c.reread(ctx, b, mine)
	if err != nil || len(mine) == b.Count && sumOf(mine) == b.Sum {
		return err
	}
	one := Fault{Replica: e.Replica, Seq: e.Seq, Count: 1, Time: b.From}
	switch {
	case len(mine) < b.Count:
		one.Kind, one.Count = FaultDeleted, int64(b.Count-len(mine))
		one.Message = fmt.Sprintf("%d of %d call records between %s and %s are missing", one.Count, b.Count, b.First, b.Last)
		one.expired, one.oldest = ActionCallsPruned, b.From
	case len(mine) > b.Count:
		one.Kind, one.Count = FaultInserted, int64(len(mine)-b.Count)
		one.Message = fmt.Sprintf("%d call records between %s and %s are too many", one.Count, b.First, b.Last)
	default:
		one.Kind = FaultEdited
		one.Message = fmt.Sprintf("call records between %s and %s do not fit their sum: one was changed", b.First, b.Last)
	}
	c.faults.add(one)
	return nil
}

// take returns the records of a batch, in order, and leaves the others pending. What
// stood before it belongs to none.
func (c *callCheck) take(b *Batch) (mine []leaf) {
	rest := c.pending[b.Replica][:0]
	for _, l := range c.pending[b.Replica] {
		if b.holds(l.id) {
			mine = append(mine, l)
		} else {
			rest = append(rest, l)
		}
	}
	clear(c.pending[b.Replica][len(rest):])
	c.pending[b.Replica] = rest
	sortLeaves(mine)
	return mine
}

// read takes records until those that began after to.
func (c *callCheck) read(ctx context.Context, to time.Time) error {
	for {
		for len(c.page) > 0 {
			one := &c.page[0]
			if one.Time.After(to) {
				return nil
			}
			c.rows++
			c.pending[one.Replica] = append(c.pending[one.Replica], leafOf(one))
			c.page = c.page[1:]
		}
		if c.done {
			return nil
		}
		if err := c.turn(ctx); err != nil {
			return err
		}
	}
}

// turn reads the next page.
func (c *callCheck) turn(ctx context.Context) error {
	c.page = nil
	next, err := c.reader.List(ctx, &c.page, core.Query{Tenant: core.EveryTenant, After: c.next, Limit: pageSize})
	if err != nil {
		return fmt.Errorf("read call records: %w", err)
	}
	c.next, c.done = next, next == ""
	return nil
}

// reread adds to the records of a batch those that came meanwhile.
func (c *callCheck) reread(ctx context.Context, b *Batch, mine []leaf) ([]leaf, error) {
	known := map[string]bool{}
	for i := range mine {
		known[mine[i].id] = true
	}
	q := core.Query{Tenant: core.EveryTenant, Since: b.From, Until: b.To.Add(time.Microsecond), Equal: map[string]string{"replica": b.Replica}}
	err := each(ctx, c.reader, q, func(one *core.CallRecord) error {
		if one.Replica == b.Replica && b.holds(one.ID) && !known[one.ID] {
			mine = append(mine, leafOf(one))
		}
		return nil
	})
	sortLeaves(mine)
	return mine, err
}

// end looks at the records that no batch had: a batch and its entry are written together,
// so nobody of ours left them.
func (c *callCheck) end(ctx context.Context, now time.Time) error {
	// What is younger than that may have been written since the trail was read.
	if err := c.read(ctx, now.Add(-settle)); err != nil {
		return err
	}
	for replica, left := range c.pending {
		sortLeaves(left)
		left = slices.DeleteFunc(left, func(l leaf) bool {
			at := idTime(l.id)
			return at.After(now.Add(-settle)) && at.Before(now.Add(settle)) || at.Before(c.pruned[ActionAuditPruned])
		})
		if len(left) == 0 {
			continue
		}
		c.faults.add(Fault{
			Kind: FaultStray, Replica: replica, Count: int64(len(left)), Time: idTime(left[0].id),
			Message: fmt.Sprintf("%d call records from %s to %s stand in no batch: they were inserted, or the entries that told of them are gone", len(left), left[0].id, left[len(left)-1].id),
		})
	}
	return nil
}
