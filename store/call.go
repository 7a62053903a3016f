package store

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/uptrace/bun"

	"github.com/sallyport/sallyport/core"
)

// callRow is a block of call records of one tenant and replica, and what is asked of it
// before it is read.
type callRow struct {
	bun.BaseModel `bun:"table:calls"`

	Tenant  string `bun:",pk"`
	LastID  string `bun:",pk"`
	Replica string `bun:",pk"`
	FirstID string
	FromAt  moment // the earliest and the latest of its records
	ToAt    moment
	Count   int64
	Packed  []byte
}

// callTable keeps call records, in blocks: SQL would spend more on a record than the call
// took. They are listed in the order of time. Query.Equal takes id, replica, subject, via,
// credential, server, kind, name, outcome, request and trace. Append adds records, and
// replaces those of the same replica and id; Prune goes by time.
type callTable struct{ rows *shelf[callRow, callRow] }

var calls = &callTable{&shelf[callRow, callRow]{
	kind: kind{
		name: "call", table: "calls", tenant: "tenant", time: "at", quiet: true, heavy: "packed",
		append: appendReplace, expires: "to_at", blank: []string{"replica"},
	},
	model: func(r *callRow) callRow { return *r },
	noun:  func(m *callRow) callRow { return *m },
}}

// callFields are what Query.Equal takes.
var callFields = []string{"credential", "id", "kind", "name", "outcome", "replica", "request", "server", "subject", "trace", "via"}

func (c *callTable) about() *kind { return &c.rows.kind }

func (c *callTable) makes(row any) bool { _, ok := row.(*core.CallRecord); return ok }

func (c *callTable) makesList(list any) bool { _, ok := list.(*[]core.CallRecord); return ok }

func (c *callTable) columns(db bun.IDB) []string { return c.rows.columns(db) }

func (c *callTable) dump(ctx context.Context, db bun.IDB, each func(any) error) error {
	return c.rows.dump(ctx, db, each)
}

// restore takes blocks that can be read only.
func (c *callTable) restore(ctx context.Context, db bun.IDB, lines []json.RawMessage) error {
	for _, line := range lines {
		var m callRow
		if json.Unmarshal(line, &m) != nil {
			return errBackup("a block of call records is not one")
		}
		if b, err := readBlock(m.Tenant, m.Replica, m.Packed); err != nil || len(b.calls) != int(m.Count) {
			return errBackup("a block of call records is damaged")
		}
	}
	return c.rows.restore(ctx, db, lines)
}

// whole refuses a record whose key has an empty part, and texts as check does: without
// reflection, because there are many.
func (c *callTable) whole(r *core.CallRecord) error {
	if r.Tenant == "" {
		return invalid("the call has no tenant", "every part of the key of a row is needed")
	}
	for _, text := range [...]string{
		r.ID, r.Replica, r.Tenant, r.Subject, r.Who, string(r.Via), r.Credential, r.Server, r.Kind, r.Name, r.Revision, r.Client,
		r.Outcome, r.Request, r.Trace, r.Arguments, r.Result,
	} {
		if len(text) > widest || strings.IndexByte(text, 0) >= 0 || !utf8.ValidString(text) {
			return check("call", r)
		}
	}
	return nil
}

// blockOf packs records, which are in the order of their ids.
func blockOf(records []*core.CallRecord) callRow {
	first, last := records[0], records[len(records)-1]
	m := callRow{
		Tenant: last.Tenant, LastID: last.ID, Replica: last.Replica, FirstID: first.ID, Count: int64(len(records)), Packed: packCalls(records),
		FromAt: momentOf(first.Time), ToAt: momentOf(first.Time),
	}
	for i := range records {
		m.FromAt, m.ToAt = min(m.FromAt, momentOf(records[i].Time)), max(m.ToAt, momentOf(records[i].Time))
	}
	return m
}

// append adds records. Where some have the id of ones that stand there, the block that has
// those is written again.
func (c *callTable) append(ctx context.Context, t *tx, rows []core.Row) error {
	records := make([]*core.CallRecord, len(rows))
	for i, row := range rows {
		r := row.(*core.CallRecord) //nolint:forcetypeassert // of this table
		if err := c.whole(r); err != nil {
			return err
		}
		if r.ID == "" {
			id, err := t.store.identify.next()
			if err != nil {
				return err
			}
			r.ID = id
		}
		records[i] = r
	}
	// The last of one id counts.
	slices.SortStableFunc(records, func(a, b *core.CallRecord) int {
		return cmp.Or(strings.Compare(a.Tenant, b.Tenant), strings.Compare(a.Replica, b.Replica), strings.Compare(a.ID, b.ID))
	})
	kept := records[:0]
	for i := range records {
		if n := len(kept); n > 0 && kept[n-1].ID == records[i].ID && kept[n-1].Tenant == records[i].Tenant && kept[n-1].Replica == records[i].Replica {
			kept[n-1] = records[i]
			continue
		}
		kept = append(kept, records[i])
	}
	for len(kept) > 0 {
		n := 1
		for n < len(kept) && kept[n].Tenant == kept[0].Tenant && kept[n].Replica == kept[0].Replica {
			n++
		}
		if err := c.add(ctx, t, slices.Clip(kept[:n])); err != nil {
			return err
		}
		kept = kept[n:]
	}
	return nil
}

const insertBlock = "INSERT INTO calls (tenant, last_id, replica, first_id, from_at, to_at, count, packed) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"

// add adds records of one tenant and replica, in the order of their ids.
func (c *callTable) add(ctx context.Context, t *tx, records []*core.CallRecord) error {
	var there []callRow
	err := t.db.NewSelect().Model(&there).Where("tenant = ?", records[0].Tenant).Where("replica = ?", records[0].Replica).
		Where("last_id >= ?", records[0].ID).Where("first_id <= ?", records[len(records)-1].ID).Scan(ctx)
	if err != nil {
		return err
	}
	if len(there) > 0 {
		added := make(map[string]bool, len(records))
		for i := range records {
			added[records[i].ID] = true
		}
		for i := range there {
			b, err := readBlock(there[i].Tenant, there[i].Replica, there[i].Packed)
			if err != nil {
				return err
			}
			for _, r := range b.records() {
				if !added[r.ID] {
					records = append(records, &r)
				}
			}
			if err := c.drop(ctx, t, &there[i]); err != nil {
				return err
			}
		}
		slices.SortFunc(records, func(a, b *core.CallRecord) int { return strings.Compare(a.ID, b.ID) })
	}
	for len(records) > 0 {
		n, size := 0, 0
		for n < len(records) && n < blockRecords && (n == 0 || size < blockBytes) {
			size += len(records[n].Arguments) + len(records[n].Result) + 200
			n++
		}
		m := blockOf(records[:n])
		// Not by Bun, which would write the bytes into the statement for the database to
		// read them there.
		_, err := t.db.Tx.ExecContext(ctx, bound(t.store.dialect, insertBlock),
			m.Tenant, m.LastID, m.Replica, m.FirstID, int64(m.FromAt), int64(m.ToAt), m.Count, m.Packed)
		if err != nil {
			return err
		}
		records = records[n:]
	}
	return nil
}

func pointers(records []core.CallRecord) []*core.CallRecord {
	list := make([]*core.CallRecord, len(records))
	for i := range records {
		list[i] = &records[i]
	}
	return list
}

// drop deletes a block.
func (c *callTable) drop(ctx context.Context, t *tx, m *callRow) error {
	_, err := t.db.NewDelete().Model(m).WherePK().Exec(ctx)
	return err
}

// find returns the block that has a record, and where in it; nil = there is none.
func (c *callTable) find(ctx context.Context, db bun.IDB, tenant, id string) (*callRow, *callBlock, int, error) {
	if err := checkText(tenant+id, "call", "key"); err != nil {
		return nil, nil, 0, err
	}
	var may []callRow
	err := db.NewSelect().Model(&may).ExcludeColumn("packed").
		Where("tenant = ?", tenant).Where("last_id >= ?", id).Where("first_id <= ?", id).Scan(ctx)
	if err != nil {
		return nil, nil, 0, err
	}
	for i := range may {
		b, err := c.load(ctx, db, &may[i])
		if err != nil {
			return nil, nil, 0, err
		}
		if b == nil {
			continue
		}
		for n := range b.calls {
			if b.calls[n].id == id {
				return &may[i], b, n, nil
			}
		}
	}
	return nil, nil, 0, nil
}

// load reads the records of a block; nil = it has gone meanwhile, or has none with all of
// some texts.
func (c *callTable) load(ctx context.Context, db bun.IDB, m *callRow, with ...[]byte) (*callBlock, error) {
	var packed [][]byte
	err := db.NewSelect().Model((*callRow)(nil)).Column("packed").
		Where("tenant = ?", m.Tenant).Where("last_id = ?", m.LastID).Where("replica = ?", m.Replica).Scan(ctx, &packed)
	if err != nil || len(packed) == 0 {
		return nil, err
	}
	for _, text := range with { // which is much faster than reading the records
		if !bytes.Contains(packed[0], text) {
			return nil, nil
		}
	}
	return readBlock(m.Tenant, m.Replica, packed[0])
}

func (c *callTable) get(ctx context.Context, db bun.IDB, row core.Row) error {
	r := row.(*core.CallRecord) //nolint:forcetypeassert // of this table
	_, b, n, err := c.find(ctx, db, r.Tenant, r.ID)
	if err != nil {
		return err
	}
	if b == nil {
		return c.rows.missing()
	}
	*r = b.record(&b.calls[n])
	return nil
}

// put adds a record, or replaces it, whatever replica it was of.
func (c *callTable) put(ctx context.Context, t *tx, row core.Row) error {
	r := row.(*core.CallRecord) //nolint:forcetypeassert // of this table
	before := *r
	t.undo(func() { *r = before })
	if r.ID != "" {
		if _, err := c.remove(ctx, t, r); err != nil {
			return err
		}
	}
	r.Time = momentOf(r.Time).time()
	return c.append(ctx, t, []core.Row{r})
}

func (c *callTable) delete(ctx context.Context, t *tx, row core.Row) error {
	r := row.(*core.CallRecord) //nolint:forcetypeassert // of this table
	there, err := c.remove(ctx, t, r)
	if err == nil && !there {
		return c.rows.missing()
	}
	return err
}

// remove writes the block that has a record without it.
func (c *callTable) remove(ctx context.Context, t *tx, r *core.CallRecord) (there bool, err error) {
	m, b, n, err := c.find(ctx, t.db, r.Tenant, r.ID)
	if err != nil || b == nil {
		return false, err
	}
	if err := c.drop(ctx, t, m); err != nil {
		return false, err
	}
	rest := slices.Delete(pointers(b.records()), n, n+1)
	if len(rest) == 0 {
		return true, nil
	}
	return true, c.add(ctx, t, rest)
}

// prune deletes records from before a moment: some blocks of them, and how many records
// those were. Of a block that has later ones, too, these stay.
func (c *callTable) prune(ctx context.Context, t *tx, before moment) (int64, error) {
	var old []callRow
	err := t.db.NewSelect().Model(&old).ExcludeColumn("packed").Where("from_at < ?", before).OrderExpr("from_at").Limit(prunedBlocks).Scan(ctx)
	if err != nil {
		return 0, err
	}
	gone := int64(0)
	for i := range old {
		m := &old[i]
		if m.ToAt < before {
			gone += m.Count
			if err := c.drop(ctx, t, m); err != nil {
				return 0, err
			}
			continue
		}
		b, err := c.load(ctx, t.db, m)
		if err != nil {
			return 0, err
		}
		if b == nil {
			continue
		}
		if err := c.drop(ctx, t, m); err != nil {
			return 0, err
		}
		rest := slices.DeleteFunc(pointers(b.records()), func(r *core.CallRecord) bool { return momentOf(r.Time) < before })
		gone += m.Count - int64(len(rest))
		if err := c.add(ctx, t, rest); err != nil {
			return 0, err
		}
	}
	return gone, nil
}

// prunedBlocks is how many blocks one transaction deletes.
const prunedBlocks = 100
