package store

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"testing"
	"time"
)

// A database that answers nobody trips the circuit; one whose client is late itself, or
// that answers somebody, does not.
func TestSQLiteNeedsNoCircuit(t *testing.T) {
	c := newCircuit(time.Nanosecond, nil, slog.New(slog.DiscardHandler))
	c.trip(errAway)
	if _, done, err := c.enter(t.Context()); err != nil {
		t.Error(err)
	} else {
		done()
	}
	c.stop()
}

func TestCircuit(t *testing.T) {
	hangs := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	for what, tt := range map[string]struct {
		ping   func(context.Context) error
		change func(c *circuit)
		trips  bool
	}{
		"silent":           {hangs, nil, true},
		"refuses":          {func(context.Context) error { return errors.New("refused") }, nil, true},
		"answers":          {func(context.Context) error { return nil }, nil, false},
		"answers somebody": {hangs, func(c *circuit) { go func() { time.Sleep(silence / 2); c.answers.Add(1) }() }, false},
		"we are late": {hangs, func(c *circuit) {
			now := time.Unix(0, 0)
			c.now = func() time.Time { now = now.Add(time.Second); return now }
			time.AfterFunc(4*silence, func() { c.answers.Add(1) })
		}, false},
	} {
		t.Run(what, func(t *testing.T) {
			c := newCircuit(time.Minute, tt.ping, slog.New(slog.DiscardHandler))
			defer c.stop()
			c.now = func() time.Time { return time.Unix(0, 0) } // never late
			c.warm.Store(true)
			if tt.change != nil {
				tt.change(c)
			}
			work, done, err := c.enter(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer done()
			c.suspect()
			if tripped := errors.Is(context.Cause(work), errAway); tripped != tt.trips {
				t.Errorf("tripped: %v", tripped)
			}
			if _, _, err := c.enter(t.Context()); errors.Is(err, errAway) != tt.trips {
				t.Errorf("enter afterwards: %v", err)
			}
		})
	}
}

func TestIdentifiersSortByTime(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	i := &identifier{now: func() time.Time { return now }, rand: rand.Reader}
	last := ""
	for n := range 1000 {
		if n%3 == 0 {
			now = now.Add(time.Duration(n%7-2) * time.Millisecond) // also back
		}
		id, err := i.next()
		if err != nil || len(id) != 26 || id <= last {
			t.Fatalf("%q after %q, %v", id, last, err)
		}
		last = id
	}
}
