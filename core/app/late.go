package app

import (
	"context"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/core"
)

// late is a store that may not be open yet: until it is, everything but calls is
// answered with CodeUnavailable, and it is tried again.
type late struct {
	open  func(ctx context.Context) (core.Store, error)
	log   *slog.Logger
	ready func() // called once when it was opened later

	is atomic.Pointer[core.Store]
}

// begin opens the store. When it is away and wait is true, that is no error: run tries
// on.
func (l *late) begin(ctx context.Context, wait bool) error {
	s, err := l.open(ctx)
	if err == nil {
		l.is.Store(&s)
		return nil
	}
	if wait && core.AsError(err).Code == core.CodeUnavailable {
		l.log.Error("the store is away; serving what was written to disk last", "error", err)
		return nil
	}
	return err
}

// run opens a store that was away, until ctx ends.
func (l *late) run(ctx context.Context) {
	for pause := time.Second; l.is.Load() == nil; pause = min(2*pause, 15*time.Second) {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		s, err := l.open(ctx)
		if err != nil {
			l.log.Warn("the store is still away", "error", err)
			continue
		}
		l.is.Store(&s)
		l.log.Info("the store is open")
		l.ready()
	}
}

func (l *late) get() (core.Store, error) {
	if s := l.is.Load(); s != nil {
		return *s, nil
	}
	return nil, &core.Error{Code: core.CodeUnavailable, Message: "the store is away", Fix: "try again when the database answers", RetryAfter: 5}
}

// Get reads a row.
func (l *late) Get(ctx context.Context, row core.Row) error {
	s, err := l.get()
	if err != nil {
		return err
	}
	return s.Get(ctx, row)
}

// List reads rows.
func (l *late) List(ctx context.Context, into any, q core.Query) (string, error) {
	s, err := l.get()
	if err != nil {
		return "", err
	}
	return s.List(ctx, into, q)
}

// Change changes rows, audited.
func (l *late) Change(ctx context.Context, entry *core.AuditEntry, f func(context.Context, core.Tx) error) error {
	s, err := l.get()
	if err != nil {
		return err
	}
	return s.Change(ctx, entry, f)
}

// Audit adds entries.
func (l *late) Audit(ctx context.Context, entries ...*core.AuditEntry) error {
	s, err := l.get()
	if err != nil {
		return err
	}
	return s.Audit(ctx, entries...)
}

// Append adds rows.
func (l *late) Append(ctx context.Context, rows ...core.Row) error {
	s, err := l.get()
	if err != nil {
		return err
	}
	return s.Append(ctx, rows...)
}

// Prune deletes old rows.
func (l *late) Prune(ctx context.Context, kind string, before time.Time) (int64, error) {
	s, err := l.get()
	if err != nil {
		return 0, err
	}
	return s.Prune(ctx, kind, before)
}

// Revision tells how often the store has changed.
func (l *late) Revision(ctx context.Context) (int64, error) {
	s, err := l.get()
	if err != nil {
		return 0, err
	}
	return s.Revision(ctx)
}

// State reads what calls run on.
func (l *late) State(ctx context.Context) (*core.State, error) {
	s, err := l.get()
	if err != nil {
		return nil, err
	}
	return s.State(ctx)
}

// Hints tells of changes, once the store is there.
func (l *late) Hints(ctx context.Context, f func()) {
	for {
		if s, err := l.get(); err == nil {
			s.Hints(ctx, f)
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Second):
		}
	}
}

// Ping tells whether the database answers.
func (l *late) Ping(ctx context.Context) error {
	s, err := l.get()
	if err != nil {
		return err
	}
	return s.Ping(ctx)
}

// Backup writes a copy.
func (l *late) Backup(ctx context.Context, w io.Writer) error {
	s, err := l.get()
	if err != nil {
		return err
	}
	return s.Backup(ctx, w)
}

// Restore reads one.
func (l *late) Restore(ctx context.Context, r io.Reader) error {
	s, err := l.get()
	if err != nil {
		return err
	}
	return s.Restore(ctx, r)
}

// Close closes the store, when it was opened.
func (l *late) Close() error {
	if s := l.is.Load(); s != nil {
		return (*s).Close()
	}
	return nil
}

var _ core.Store = (*late)(nil)
