package audit

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"time"

	"github.com/sallyport/sallyport/core"
)

const (
	mostBackoff = 5 * time.Second
	writeTime   = 10 * time.Second // that the store may take for one batch
	endTime     = 5 * time.Second  // for what is left at the end
	mostTries   = 3                // of a batch that the store refuses for what it is
)

// writer is the side of a Recorder that Run owns.
type writer struct {
	*Recorder
	ids      ids
	queue    []slot
	bytes    int
	batch    []slot // what is being written, and
	records  []*core.CallRecord
	rows     []core.Row // with its entry
	tries    int
	after    string // last id of the batch before
	retry    time.Time
	backoff  time.Duration
	unsaid   int64 // records that were lost and of which the trail knows nothing
	lostFrom time.Time
}

// Run writes records until ctx ends, and then what is left, for five seconds at most.
// Records that come later are lost. It runs once.
func (r *Recorder) Run(ctx context.Context) {
	w := &writer{Recorder: r, ids: newIDs(r.o.Replica)}
	r.running.Store(true)
	tick := time.NewTicker(r.o.Every)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-r.wake:
		case <-tick.C:
		}
		if ctx.Err() == nil {
			w.step(ctx)
		}
	}
	w.end(ctx)
}

// end writes what is left.
func (w *writer) end(ctx context.Context) {
	w.running.Store(false)
	w.buffer.close()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTime)
	defer cancel()
	for {
		w.retry = time.Time{}
		w.step(last)
		if len(w.batch) == 0 && len(w.queue) == 0 && w.unsaid == 0 || last.Err() != nil {
			break
		}
		select {
		case <-last.Done():
		case <-time.After(w.o.Every):
		}
	}
	left := slices.Concat(w.batch, w.queue)
	for i := range left {
		left[i].told(context.Canceled)
	}
	if len(left) > 0 {
		w.lost.Add(int64(len(left)))
		w.o.Log.LogAttrs(last, slog.LevelError, "call records lost at the end", slog.Int("count", len(left)))
	}
	w.queued.Store(0)
}

// step takes what has come, and writes all of it that the store takes.
func (w *writer) step(ctx context.Context) {
	w.take()
	if w.o.Now().Before(w.retry) {
		return
	}
	for {
		if len(w.batch) == 0 {
			if len(w.queue) == 0 {
				break
			}
			n := min(len(w.queue), mostBatch)
			w.batch = append(w.batch, w.queue[:n]...)
			clear(w.queue[:n])
			w.queue = w.queue[n:]
			for i := range w.batch {
				w.bytes -= w.batch[i].size
			}
			w.tries = 0
		}
		if err := w.write(ctx); err != nil {
			w.failed(ctx, err)
			return
		}
		w.wrote(ctx, nil)
		// Calls that are held back wait for this; others come together with those that
		// are still to come, since a commit costs the same for one as for many.
		if w.o.Strict {
			w.take()
		}
	}
	w.confess(ctx)
}

// take moves records from the buffer to the queue: here they get their ids.
func (w *writer) take() {
	full, lost := w.buffer.swap()
	now := w.o.Now()
	if lost > 0 {
		w.dropped(now, lost)
	}
	for i := range full {
		c := &full[i].record
		c.Replica = w.o.Replica
		NormalizeCall(c)
		c.ID = w.ids.next(now)
		w.bytes += full[i].size
	}
	if len(w.queue) == 0 {
		w.queue = w.queue[:0:0]
	}
	w.queue = append(w.queue, full...)
	w.buffer.free(full)
	drop := 0
	for !w.o.Strict && drop < len(w.queue) && (len(w.queue)-drop > w.o.Count || w.bytes > w.o.Bytes) {
		w.bytes -= w.queue[drop].size
		w.queue[drop] = slot{}
		drop++
	}
	if drop > 0 {
		w.queue = w.queue[drop:]
		w.dropped(now, int64(drop))
	}
	w.queued.Store(int64(len(w.queue) + len(w.batch)))
}

func (w *writer) dropped(now time.Time, n int64) {
	if w.unsaid == 0 {
		w.lostFrom = now
		w.o.Log.LogAttrs(context.Background(), slog.LevelError, "call records are being lost", slog.Int64("count", n))
	}
	w.unsaid += n
	w.lost.Add(n)
}

// write writes the batch: its records, and the entry that tells their sum, or neither.
func (w *writer) write(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, writeTime)
	defer cancel()
	w.records, w.rows = w.records[:0], w.rows[:0]
	for i := range w.batch {
		w.records = append(w.records, &w.batch[i].record)
		w.rows = append(w.rows, &w.batch[i].record)
	}
	details, err := json.Marshal(NewBatch(w.o.Replica, w.after, w.records))
	if err != nil {
		return err
	}
	w.rows = append(w.rows, w.entry(ActionCalls, details))
	return w.store.Append(ctx, w.rows...)
}

func (w *writer) entry(action string, details json.RawMessage) *core.AuditEntry {
	return &core.AuditEntry{Time: w.o.Now(), Tenant: core.DefaultTenant, Action: action, Kind: "call", Outcome: "ok", Details: details}
}

// wrote is done with the batch. It tells who waits; err is nil when it is durable.
func (w *writer) wrote(ctx context.Context, err error) {
	for i := range w.batch {
		w.batch[i].told(err)
	}
	if err == nil {
		w.after = w.batch[len(w.batch)-1].record.ID
		w.written.Add(int64(len(w.batch)))
		if w.away.Swap(false) {
			w.o.Log.LogAttrs(ctx, slog.LevelInfo, "call records are written again")
		}
	}
	clear(w.batch)
	w.batch = w.batch[:0]
	w.backoff, w.retry = 0, time.Time{}
	w.queued.Store(int64(len(w.queue)))
}

// failed waits before the next try. A batch that the store refuses for what it is, and
// not for being away, is given up, so that others come through.
func (w *writer) failed(ctx context.Context, err error) {
	w.tries++
	code := core.AsError(err).Code
	away := code == core.CodeUnavailable || code == core.CodeReadOnly || code == core.CodeFull || code == core.CodeTimeout ||
		code == core.CodeCancelled || ctx.Err() != nil
	if !away && w.tries >= mostTries {
		w.o.Log.LogAttrs(ctx, slog.LevelError, "call records refused by the store", slog.Int("count", len(w.batch)), slog.String("code", string(code)), slog.Any("error", err))
		n := int64(len(w.batch))
		w.wrote(ctx, err)
		w.dropped(w.o.Now(), n)
		return
	}
	if !w.away.Swap(true) {
		w.o.Log.LogAttrs(ctx, slog.LevelWarn, "call records wait for the store", slog.String("code", string(code)), slog.Any("error", err))
	}
	w.backoff = min(max(2*w.backoff, w.o.Every), mostBackoff)
	w.retry = w.o.Now().Add(w.backoff)
}

// confess writes into the trail how many records were lost.
func (w *writer) confess(ctx context.Context) {
	if w.unsaid == 0 {
		return
	}
	details, err := json.Marshal(struct {
		Count int64     `json:"count"`
		Since time.Time `json:"since"`
	}{w.unsaid, wholeTime(w.lostFrom)})
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, writeTime)
	defer cancel()
	entry := w.entry(ActionCallsLost, details)
	entry.Outcome = string(core.CodeUnavailable)
	if err := w.store.Audit(ctx, entry); err != nil {
		w.failed(ctx, err)
		return
	}
	w.o.Log.LogAttrs(ctx, slog.LevelError, "call records were lost", slog.Int64("count", w.unsaid))
	w.unsaid = 0
	w.away.Store(false)
	w.backoff, w.retry = 0, time.Time{}
}
