package store

import (
	"context"
	"database/sql"
	"errors"
	"sync"

	"github.com/uptrace/bun"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/audit"
)

// chain is the trail of this replica: its newest entry, as far as that is known. After a
// commit of which nobody knows whether it happened the database is asked.
type chain struct {
	mutex sync.Mutex // held from linking to the end of the transaction
	known bool
	seq   int64
	hash  string
}

// link gives entries their places in the trail, adds them in db, and returns what must be
// called when the transaction has ended: committed tells whether it is surely there.
// The chain is locked until then.
func (s *Store) link(ctx context.Context, db bun.IDB, entries []*core.AuditEntry) (settle func(committed bool), err error) {
	c := &s.chain
	c.mutex.Lock()
	before := make([]core.AuditEntry, len(entries))
	for i, e := range entries {
		before[i] = *e
	}
	end := func(committed bool) {
		c.known = committed
		if committed {
			last := entries[len(entries)-1]
			c.seq, c.hash = last.Seq, last.Hash
		} else {
			for i, e := range entries {
				*e = before[i]
			}
		}
		c.mutex.Unlock()
	}
	defer func() {
		if err != nil {
			end(false)
		}
	}()
	if !c.known {
		if c.seq, c.hash, err = s.head(ctx, db); err != nil {
			return nil, err
		}
	}
	seq, hash := c.seq, c.hash
	rows := make([]auditRow, len(entries))
	for i, e := range entries {
		if e.Time.IsZero() {
			e.Time = s.options.Now()
		}
		if e.Tenant == "" {
			e.Tenant = core.DefaultTenant
		}
		if e.Outcome == "" {
			e.Outcome = "ok"
		}
		seq++
		e.Replica, e.Seq, e.Prev, e.Hash = s.options.Replica, seq, hash, ""
		audit.Normalize(e)
		e.Hash = audit.Hash(s.options.AuditKey, e)
		hash = e.Hash
		if err = check("audit entry", e); err != nil {
			return nil, err
		}
		rows[i] = audits.model(e)
	}
	for start := 0; start < len(rows); start += batch {
		part := rows[start:min(start+batch, len(rows))]
		if _, err = db.NewInsert().Model(&part).Exec(ctx); err != nil {
			if s.dialect.duplicate(err) {
				err = errors.Join(errForked, err)
			}
			return nil, err
		}
	}
	return end, nil
}

// errForked: another entry stands where ours should. It is ours, of a commit that was
// thought lost; the head is read again.
var errForked = errors.New("the trail of this replica has gone on")

// head reads the newest entry of this replica, or its newest anchor when the entries have
// been pruned.
func (s *Store) head(ctx context.Context, db bun.IDB) (seq int64, hash string, err error) {
	entry, anchor := auditRow{}, anchorRow{}
	err = db.NewSelect().Model(&entry).Where("replica = ?", s.options.Replica).Order("seq DESC").Limit(1).Scan(ctx)
	if err == nil {
		return entry.Seq, entry.Hash, nil
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return 0, "", err
	}
	err = db.NewSelect().Model(&anchor).Where("replica = ?", s.options.Replica).Order("seq DESC").Limit(1).Scan(ctx)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, "", err
	}
	return anchor.Seq, anchor.Hash, nil
}
