package store

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/uptrace/bun"

	"github.com/sallyport/sallyport/core"
)

// How many blocks one List looks at: of the index at once, and in all. A page that had to
// pass over more ends early, with a cursor.
const (
	someBlocks = 32
	mostBlocks = 512
)

// place is where a record stands in a list: cursors name one.
type place struct {
	at         moment
	tenant, id string
}

func (p place) compare(o place) int {
	return cmp.Or(cmp.Compare(p.at, o.at), strings.Compare(p.tenant, o.tenant), strings.Compare(p.id, o.id))
}

func (p place) cursor() string {
	text, _ := json.Marshal([]any{"call", int64(p.at), p.tenant, p.id}) // texts and numbers always encode
	return base64.RawURLEncoding.EncodeToString(text)
}

func placeOf(cursor string) (p place, err error) {
	wrong := invalid("the cursor is not one of this list", "the cursor of the page before, unchanged")
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return p, wrong
	}
	var parts []json.RawMessage
	var kind string
	if json.Unmarshal(text, &parts) != nil || len(parts) != 4 || json.Unmarshal(parts[0], &kind) != nil || kind != "call" ||
		json.Unmarshal(parts[1], (*int64)(&p.at)) != nil || json.Unmarshal(parts[2], &p.tenant) != nil || json.Unmarshal(parts[3], &p.id) != nil {
		return p, wrong
	}
	return p, nil
}

// callList is one page that is being made: records of blocks whose times overlap wait until
// no block that is still to come can have one that stands before them.
type callList struct {
	table   *callTable
	q       core.Query
	limit   int
	with    [][]byte // what every block with such records has in it
	after   *place
	since   moment
	until   moment
	waiting []waitingCall
	page    []core.CallRecord
	end     place // of the page
}

type waitingCall struct {
	place
	block *callBlock
	call  *packedCall
}

func (c *callTable) list(ctx context.Context, db bun.IDB, into any, q core.Query) (string, error) {
	l := &callList{table: c, q: q, limit: q.Limit}
	if err := l.read(); err != nil {
		return "", err
	}
	next, err := l.walk(ctx, db)
	if err != nil {
		return "", err
	}
	if l.page == nil {
		l.page = []core.CallRecord{}
	}
	*into.(*[]core.CallRecord) = l.page //nolint:forcetypeassert // of this table
	return next, nil
}

// read takes the query apart.
func (l *callList) read() error {
	q := &l.q
	switch {
	case q.Limit == 0:
		l.limit = fewRows
	case q.Limit < 0 || q.Limit > mostRows:
		return invalid(fmt.Sprintf("a limit of %d rows", q.Limit), fmt.Sprintf("from 1 to %d", mostRows))
	}
	if q.Tenant == "" {
		return invalid("the query names no tenant", "a tenant, or * for all")
	}
	if err := checkText(q.Tenant, "query", "Tenant"); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(q.Equal)) {
		if !slices.Contains(callFields, name) {
			return invalid("call rows cannot be asked for by this field", "one of: "+strings.Join(callFields, ", "))
		}
		if err := checkText(q.Equal[name], "query", name); err != nil {
			return err
		}
		if name != "id" && name != "replica" { // which do not stand there as they are
			l.with = append(l.with, writtenText(q.Equal[name]))
		}
	}
	if q.After != "" {
		after, err := placeOf(q.After)
		if err != nil {
			return err
		}
		l.after = &after
	}
	if !q.Since.IsZero() {
		l.since = momentOf(q.Since)
	}
	if !q.Until.IsZero() {
		l.until = momentOf(q.Until)
	}
	return nil
}

// walk looks at blocks, the nearest first.
func (l *callList) walk(ctx context.Context, db bun.IDB) (next string, err error) {
	var last *callRow
	for seen := 0; ; {
		var blocks []callRow
		if err := l.blocks(db, &blocks, last).Scan(ctx); err != nil {
			return "", err
		}
		for i := range blocks {
			if l.settle(l.edge(&blocks[i]), false) {
				return l.end.cursor(), nil
			}
			if here := l.before(&blocks[i]); seen >= mostBlocks && (l.after == nil || here != *l.after) {
				return here.cursor(), nil
			}
			seen++
			b, err := l.table.load(ctx, db, &blocks[i], l.with...)
			if err != nil {
				return "", err
			}
			if b != nil {
				l.take(b)
			}
		}
		if len(blocks) < someBlocks {
			break
		}
		last = &blocks[len(blocks)-1]
	}
	if l.settle(0, true) {
		return l.end.cursor(), nil
	}
	return "", nil
}

// blocks asks for some that may have what is wanted, after last.
func (l *callList) blocks(db bun.IDB, into *[]callRow, last *callRow) *bun.SelectQuery {
	q := db.NewSelect().Model(into).ExcludeColumn("packed").Limit(someBlocks)
	if l.q.Tenant != core.EveryTenant {
		q.Where("tenant = ?", l.q.Tenant)
	}
	if replica, ok := l.q.Equal["replica"]; ok {
		q.Where("replica = ?", replica)
	}
	if id, ok := l.q.Equal["id"]; ok {
		q.Where("last_id >= ? AND first_id <= ?", id, id)
	}
	if !l.q.Since.IsZero() {
		q.Where("to_at >= ?", l.since)
	}
	if !l.q.Until.IsZero() {
		q.Where("from_at < ?", l.until)
	}
	if l.q.Newest {
		if l.after != nil {
			q.Where("from_at <= ?", l.after.at)
		}
		if last != nil {
			q.Where("(to_at, tenant, last_id, replica) < (?, ?, ?, ?)", last.ToAt, last.Tenant, last.LastID, last.Replica)
		}
		return q.OrderExpr("to_at DESC, tenant DESC, last_id DESC, replica DESC")
	}
	if l.after != nil {
		q.Where("to_at >= ?", l.after.at)
	}
	if last != nil {
		q.Where("(from_at, tenant, last_id, replica) > (?, ?, ?, ?)", last.FromAt, last.Tenant, last.LastID, last.Replica)
	}
	return q.OrderExpr("from_at, tenant, last_id, replica")
}

// edge is the time that no record of the block, or of one after it, stands before.
func (l *callList) edge(m *callRow) moment {
	if l.q.Newest {
		return m.ToAt
	}
	return m.FromAt
}

// before is the place before all records of a block and those after it.
func (l *callList) before(m *callRow) place {
	if l.q.Newest {
		return place{at: m.ToAt + 1}
	}
	return place{at: m.FromAt}
}

// take adds the records of a block that are asked for to those that wait.
func (l *callList) take(b *callBlock) {
	wanted := map[int]uint32{}
	for name, text := range l.q.Equal {
		if n, ok := wordPlaces[name]; ok {
			at := slices.Index(b.words, text)
			if at < 0 {
				return
			}
			wanted[n] = uint32(at)
		}
	}
	for i := range b.calls {
		c := &b.calls[i]
		at := place{c.at, b.tenant, c.id}
		if !l.wants(c, at, wanted) {
			continue
		}
		l.waiting = append(l.waiting, waitingCall{at, b, c})
	}
	slices.SortFunc(l.waiting, func(a, b waitingCall) int {
		if l.q.Newest {
			return b.compare(a.place)
		}
		return a.compare(b.place)
	})
}

// wants tells whether a record is asked for.
func (l *callList) wants(c *packedCall, at place, wanted map[int]uint32) bool {
	for n, word := range wanted {
		if c.words[n] != word {
			return false
		}
	}
	if !l.q.Since.IsZero() && c.at < l.since || !l.q.Until.IsZero() && c.at >= l.until {
		return false
	}
	if l.after != nil {
		if order := at.compare(*l.after); order == 0 || order < 0 != l.q.Newest {
			return false
		}
	}
	for name, text := range l.q.Equal {
		switch name {
		case "id":
			if c.id != text {
				return false
			}
		case "request":
			if !c.request.is(text) {
				return false
			}
		case "trace":
			if !c.trace.is(text) {
				return false
			}
		}
	}
	return true
}

// settle puts what waits before an edge, or all of it, on the page. It tells whether there
// is more than the page holds.
func (l *callList) settle(edge moment, all bool) bool {
	n := 0
	for ; n < len(l.waiting); n++ {
		w := &l.waiting[n]
		if !all && (l.q.Newest && w.at <= edge || !l.q.Newest && w.at >= edge) {
			break
		}
		if len(l.page) == l.limit {
			return true
		}
		l.page = append(l.page, w.block.record(w.call))
		l.end = w.place
	}
	l.waiting = slices.Delete(l.waiting, 0, n)
	return false
}
