package session

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/sallyport/sallyport/core"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clock stands still until it is told.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	c.now = c.now.Add(d)
	c.mu.Unlock()
}

// thing is what the tests keep in a store.
type thing struct {
	id, claims string
	closed     atomic.Int32
	busy       atomic.Bool
}

type world struct {
	clock  *clock
	sealer core.Sealer
	made   []*thing
	store  *Store[*thing]
}

func newSealer(t *testing.T) *Sealer {
	t.Helper()
	keys, err := NewKeyring(KeyringOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return NewSealer(keys, nil)
}

func newWorld(t *testing.T, sealer core.Sealer, change func(*Options[*thing])) *world {
	t.Helper()
	w := &world{clock: newClock(), sealer: sealer}
	o := Options[*thing]{
		Sealer: sealer,
		Now:    w.clock.Now,
		Make: func(id string, claims json.RawMessage) (*thing, error) {
			one := &thing{id: id, claims: string(claims)}
			w.made = append(w.made, one)
			return one, nil
		},
		Close: func(one *thing) { one.closed.Add(1) },
		Busy:  func(one *thing) bool { return one.busy.Load() },
	}
	if change != nil {
		change(&o)
	}
	w.store = New(o)
	return w
}

func (w *world) create(t *testing.T, claims string, bind ...string) (string, *thing) {
	t.Helper()
	id, one, err := w.store.Create(json.RawMessage(claims), bind...)
	if err != nil {
		t.Fatal(err)
	}
	return id, one
}

func notFound(err error) bool {
	var e *core.Error
	return errors.As(err, &e) && e.Code == core.CodeNotFound
}

var alice = []string{"bookshop", "acme", "alice"}

func TestCreateAndOpen(t *testing.T) {
	w := newWorld(t, newSealer(t), nil)
	id, one := w.create(t, `{"revision":"2025-11-25"}`, alice...)
	if len(id) > maxID {
		t.Errorf("the id has %d bytes", len(id))
	}
	for _, c := range []byte(id) {
		if c < 0x21 || c > 0x7e {
			t.Fatalf("the id holds byte %#x, which is not visible ASCII", c)
		}
	}
	again, err := w.store.Open(id, alice...)
	if err != nil || again != one {
		t.Errorf("Open: %v, %v; want what Create gave", again, err)
	}
	if one.id != id || one.claims != `{"revision":"2025-11-25"}` || w.store.Len() != 1 {
		t.Errorf("made %+v, %d in memory", one, w.store.Len())
	}
}

// Another replica, or this one after a restart, makes the session again.
func TestOpenElsewhere(t *testing.T) {
	sealer := newSealer(t)
	here, there := newWorld(t, sealer, nil), newWorld(t, sealer, nil)
	id, _ := here.create(t, `{"n":1}`, alice...)
	one, err := there.store.Open(id, alice...)
	if err != nil || one.claims != `{"n":1}` || one.id != id {
		t.Fatalf("elsewhere: %+v, %v", one, err)
	}
	again, err := there.store.Open(id, alice...)
	if err != nil || again != one || len(there.made) != 1 {
		t.Errorf("it was made %d times", len(there.made))
	}
}

// attacks are all the ways in which an id must not be usable. Each returns the
// error of Open.
var attacks = map[string]func(*testing.T, *world) error{
	"flipped bit": func(t *testing.T, w *world) error {
		id, _ := w.create(t, `{}`, alice...)
		for i := range id {
			for bit := range 8 {
				changed := []byte(id)
				changed[i] ^= 1 << bit
				if _, err := w.store.Open(string(changed), alice...); !notFound(err) {
					return fmt.Errorf("bit %d of byte %d: %w", bit, i, err)
				}
			}
		}
		return errNotFound("")
	},
	"other spelling": func(t *testing.T, w *world) error {
		for claims := range 3 { // all remainders of base64
			id, _ := w.create(t, strings.Repeat("1", claims), alice...)
			for _, changed := range []string{id + "=", id + "==", id + "\n", "\r\n" + id, id[:9] + "\n" + id[9:], " " + id, id + "A", id[:len(id)-1], strings.ToUpper(id), ""} {
				if _, err := w.store.Open(changed, alice...); !notFound(err) {
					return fmt.Errorf("%q: %w", changed, err)
				}
			}
		}
		return errNotFound("")
	},
	"other identity": func(t *testing.T, w *world) error {
		id, _ := w.create(t, `{}`, alice...)
		_, err := w.store.Open(id, "bookshop", "acme", "bob")
		return err
	},
	"other tenant": func(t *testing.T, w *world) error {
		id, _ := w.create(t, `{}`, alice...)
		_, err := w.store.Open(id, "bookshop", "evil", "alice")
		return err
	},
	"other server": func(t *testing.T, w *world) error {
		id, _ := w.create(t, `{}`, alice...)
		_, err := w.store.Open(id, "library", "acme", "alice")
		return err
	},
	"other identity elsewhere": func(t *testing.T, w *world) error {
		id, _ := w.create(t, `{}`, alice...)
		_, err := newWorld(t, w.sealer, nil).store.Open(id, "bookshop", "acme", "bob")
		return err
	},
	"shifted bind": func(t *testing.T, w *world) error {
		id, _ := w.create(t, `{}`, "ab", "c", "")
		for _, bind := range [][]string{{"a", "bc", ""}, {"abc", "", ""}, {"ab", "c"}, {"ab", "", "c"}, {"ab", "c", "", ""}, nil} {
			if _, err := newWorld(t, w.sealer, nil).store.Open(id, bind...); !notFound(err) {
				return fmt.Errorf("%q elsewhere: %w", bind, err)
			}
			if _, err := w.store.Open(id, bind...); !notFound(err) {
				return fmt.Errorf("%q: %w", bind, err)
			}
		}
		return errNotFound("")
	},
	"ended": func(t *testing.T, w *world) error {
		id, one := w.create(t, `{}`, alice...)
		w.store.End(id)
		w.store.End(id)
		if closed := one.closed.Load(); closed != 1 {
			return fmt.Errorf("closed %d times", closed)
		}
		_, err := w.store.Open(id, alice...)
		return err
	},
	"ended while elsewhere": func(t *testing.T, w *world) error {
		id, _ := newWorld(t, w.sealer, nil).create(t, `{}`, alice...)
		w.store.End(id, alice...)
		_, err := w.store.Open(id, alice...)
		return err
	},
	"idle": func(t *testing.T, w *world) error {
		id, one := w.create(t, `{}`, alice...)
		w.clock.pass(30*time.Minute + time.Second)
		if _, err := w.store.Open(id, alice...); !notFound(err) {
			return err
		}
		if one.closed.Load() != 1 {
			return errors.New("it was not closed")
		}
		_, err := w.store.Open(id, alice...) // and it is not made again
		return err
	},
	"idle and swept": func(t *testing.T, w *world) error {
		id, _ := w.create(t, `{}`, alice...)
		w.clock.pass(30*time.Minute + time.Second)
		if n := w.store.Sweep(); n == 0 {
			return errors.New("Sweep ended nothing")
		}
		_, err := w.store.Open(id, alice...)
		return err
	},
	"expired": func(t *testing.T, w *world) error {
		id, _ := w.create(t, `{}`, alice...)
		for range 24 * 6 {
			w.clock.pass(10 * time.Minute)
			_, _ = w.store.Open(id, alice...)
		}
		_, err := w.store.Open(id, alice...)
		return err
	},
	"expired elsewhere": func(t *testing.T, w *world) error {
		there := newWorld(t, w.sealer, nil)
		id, _ := there.create(t, `{}`, alice...)
		w.clock.pass(24 * time.Hour)
		_, err := w.store.Open(id, alice...)
		return err
	},
	"other keys": func(t *testing.T, w *world) error {
		id, _ := newWorld(t, newSealer(t), nil).create(t, `{}`, alice...)
		_, err := w.store.Open(id, alice...)
		return err
	},
	"other purpose": func(t *testing.T, w *world) error {
		token, err := w.sealer.Seal("requestState", sealed{expires: w.clock.Now().Add(time.Hour)}.bytes(), alice...)
		if err != nil {
			return err
		}
		_, err = w.store.Open(token, alice...)
		return err
	},
	"long": func(_ *testing.T, w *world) error {
		_, err := w.store.Open(strings.Repeat("A", 1<<20), alice...)
		return err
	},
}

func TestAttacks(t *testing.T) {
	for name, attack := range attacks {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, newSealer(t), nil)
			err := attack(t, w)
			if !notFound(err) {
				t.Fatalf("got %v, want not found", err)
			}
			if got := core.AsError(err).Public(); got != "session not found; start a new one" {
				t.Errorf("the client learns %q", got)
			}
		})
	}
}

// weak is a Sealer with a hole.
type weak struct {
	*Sealer
	noBind, noPurpose, noTag bool
}

func (s weak) Seal(purpose string, plain []byte, bind ...string) (string, error) {
	if s.noTag {
		return encoding.EncodeToString(plain), nil
	}
	purpose, bind = s.blur(purpose, bind)
	return s.Sealer.Seal(purpose, plain, bind...)
}

func (s weak) Open(purpose, token string, bind ...string) ([]byte, error) {
	if s.noTag {
		plain, err := encoding.DecodeString(token)
		if err != nil {
			return nil, errNoToken()
		}
		return plain, nil
	}
	purpose, bind = s.blur(purpose, bind)
	return s.Sealer.Open(purpose, token, bind...)
}

func (s weak) blur(purpose string, bind []string) (string, []string) {
	if s.noBind {
		bind = nil
	}
	if s.noPurpose {
		purpose = ""
	}
	return purpose, bind
}

// With a defence switched off, the attack on it is seen.
func TestAttacksSeeHoles(t *testing.T) {
	for name, row := range map[string]struct {
		hole weak
		sees string
	}{
		"bind":    {weak{noBind: true}, "other identity elsewhere"},
		"tag":     {weak{noTag: true}, "flipped bit"},
		"purpose": {weak{noPurpose: true}, "other purpose"},
	} {
		t.Run(name, func(t *testing.T) {
			row.hole.Sealer = newSealer(t)
			if err := attacks[row.sees](t, newWorld(t, row.hole, nil)); notFound(err) {
				t.Errorf("the attack %q does not notice a sealer without %s", row.sees, name)
			}
		})
	}
	if err := attacks["idle"](t, newWorld(t, newSealer(t), func(o *Options[*thing]) { o.Idle = time.Hour })); notFound(err) {
		t.Error(`the attack "idle" does not notice a longer idle time`)
	}
	if err := attacks["expired elsewhere"](t, newWorld(t, newSealer(t), func(o *Options[*thing]) {
		o.Now = newClock().Now // stands still
	})); notFound(err) {
		t.Error(`the attack "expired elsewhere" does not notice a clock that stands still`)
	}
}

func TestForeignIsLogged(t *testing.T) {
	var log bytes.Buffer
	w := newWorld(t, newSealer(t), func(o *Options[*thing]) { o.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	id, _ := w.create(t, `{}`, alice...)
	_, _ = w.store.Open(id, "bookshop", "acme", "bob")
	if text := log.String(); !strings.Contains(text, "session refused") || strings.Contains(text, id) {
		t.Errorf("log: %s", text)
	}
}

func TestUseKeepsAlive(t *testing.T) {
	w := newWorld(t, newSealer(t), nil)
	id, one := w.create(t, `{}`, alice...)
	for range 40 {
		w.clock.pass(29 * time.Minute)
		if _, err := w.store.Open(id, alice...); err != nil {
			t.Fatal(err)
		}
	}
	one.busy.Store(true)
	w.clock.pass(2 * time.Hour)
	if n := w.store.Sweep(); n != 0 {
		t.Error("Sweep ended a session with an open stream")
	}
	if _, err := w.store.Open(id, alice...); err != nil {
		t.Errorf("busy: %v", err)
	}
	w.clock.pass(24 * time.Hour)
	if n := w.store.Sweep(); n != 1 || one.closed.Load() != 1 {
		t.Error("being busy does not lengthen the whole life")
	}
}

func TestLimit(t *testing.T) {
	w := newWorld(t, newSealer(t), func(o *Options[*thing]) { o.Limit = 3 })
	var ids []string
	var ones []*thing
	for i := range 3 {
		id, one := w.create(t, fmt.Sprint(i), alice...)
		ids, ones = append(ids, id), append(ones, one)
	}
	_, _, err := w.store.Create(nil, alice...)
	if e := core.AsError(err); e.Code != core.CodeLimited || e.RetryAfter == 0 {
		t.Fatalf("full of fresh sessions: %v, want limited", err)
	}

	w.clock.pass(2 * time.Minute)
	ones[0].busy.Store(true)
	w.create(t, `3`, alice...)
	if ones[0].closed.Load() != 0 || ones[1].closed.Load() != 1 || ones[2].closed.Load() != 0 || w.store.Len() != 3 {
		t.Error("the one used longest ago that is not busy gives way, and only it")
	}

	w.clock.pass(2 * time.Minute)
	back, err := w.store.Open(ids[1], alice...)
	if err != nil || back.claims != "1" || back == ones[1] {
		t.Errorf("what was pushed out is made again: %v, %v", back, err)
	}
	if w.store.Len() != 3 || ones[2].closed.Load() != 1 {
		t.Error("making it again keeps to the limit")
	}
	w.clock.pass(31 * time.Minute)
	if _, err := w.store.Open(ids[2], alice...); !notFound(err) {
		t.Errorf("idle while pushed out: %v", err)
	}
}

func TestClaimsTooLongForAnID(t *testing.T) {
	sealer := newSealer(t)
	w := newWorld(t, sealer, func(o *Options[*thing]) { o.Limit = 1 })
	claims := `"` + strings.Repeat("x", 5000) + `"`
	id, one := w.create(t, claims, alice...)
	if len(id) > maxID || one.claims != claims {
		t.Fatalf("id of %d bytes, claims of %d", len(id), len(one.claims))
	}
	if again, err := w.store.Open(id, alice...); err != nil || again != one {
		t.Errorf("in memory: %v", err)
	}
	if _, err := newWorld(t, sealer, nil).store.Open(id, alice...); !notFound(err) {
		t.Errorf("elsewhere: %v", err)
	}
	for n := range 900 {
		id, _, err := newWorld(t, sealer, nil).store.Create(bytes.Repeat([]byte("1"), n), alice...)
		if err != nil || len(id) > maxID {
			t.Fatalf("claims of %d bytes: an id of %d, %v", n, len(id), err)
		}
	}
}

func TestManyEndedIDs(t *testing.T) {
	w := newWorld(t, newSealer(t), func(o *Options[*thing]) { o.Limit = 10 })
	there := newWorld(t, w.sealer, nil)
	old, _ := there.create(t, `{}`, alice...)
	first, _ := w.create(t, `{}`, alice...)
	w.store.End(first)
	kept, one := w.create(t, `{}`, alice...)
	for range maxEnded {
		w.store.mu.Lock()
		var text sealed
		text.expires = w.clock.Now().Add(time.Hour)
		text.serial[0], text.serial[1], text.serial[2] = byte(len(w.store.ended)), byte(len(w.store.ended)>>8), byte(len(w.store.ended)>>16)
		w.store.remember(text, w.clock.Now(), w.clock.Now())
		w.store.mu.Unlock()
	}
	if n := len(w.store.ended); n >= maxEnded {
		t.Fatalf("%d ended ids are remembered", n)
	}
	for name, id := range map[string]string{"ended": first, "older than the floor": old} {
		if _, err := w.store.Open(id, alice...); !notFound(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if again, err := w.store.Open(kept, alice...); err != nil || again != one {
		t.Errorf("in memory it stays good: %v", err)
	}
	w.clock.pass(2 * time.Second)
	fresh, _ := newWorld(t, w.sealer, func(o *Options[*thing]) { o.Now = w.clock.Now }).create(t, `{}`, alice...)
	if _, err := w.store.Open(fresh, alice...); err != nil {
		t.Errorf("issued after the floor rose: %v", err)
	}
	w.clock.pass(25 * time.Hour)
	w.store.Sweep()
	if n := len(w.store.ended); n > 1 { // the session that expired just now is gone too
		t.Errorf("%d ended ids are left after all have expired", n)
	}
}

func TestErrorsOfParts(t *testing.T) {
	broken := errors.New("broken")
	w := newWorld(t, newSealer(t), func(o *Options[*thing]) {
		o.Make = func(string, json.RawMessage) (*thing, error) { return nil, broken }
	})
	if _, _, err := w.store.Create(nil, alice...); !errors.Is(err, broken) || w.store.Len() != 0 {
		t.Errorf("Make fails: %v", err)
	}
	w = newWorld(t, newSealer(t), func(o *Options[*thing]) { o.Rand = strings.NewReader("short") })
	if _, _, err := w.store.Create(nil, alice...); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("no randomness: %v", err)
	}
	func() {
		defer func() { _ = recover() }()
		w = newWorld(t, newSealer(t), func(o *Options[*thing]) {
			o.Make = func(string, json.RawMessage) (*thing, error) { panic("make") }
		})
		_, _, _ = w.store.Create(nil, alice...)
	}()
	if w.store.Len() != 0 { // and the lock is free
		t.Error("a panic in Make left something")
	}
}

func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newSealer(t), func(o *Options[*thing]) { o.Now = time.Now })
		_, first := w.create(t, `{}`, alice...)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { w.store.Run(ctx); close(done) }()
		time.Sleep(31 * time.Minute)
		synctest.Wait()
		if first.closed.Load() != 1 || w.store.Len() != 0 {
			t.Error("Run did not sweep")
		}
		id, second := w.create(t, `{}`, alice...)
		stop()
		<-done
		if second.closed.Load() != 1 || w.store.Len() != 0 {
			t.Error("Run did not let go at its end")
		}
		if _, err := w.store.Open(id, alice...); err != nil {
			t.Errorf("the id stays good: %v", err)
		}
	})
}

// Each session is closed once, whatever happens at the same time.
func TestConcurrent(t *testing.T) {
	var mu sync.Mutex
	var made []*thing
	sealer := newSealer(t)
	store := New(Options[*thing]{
		Sealer: sealer, Limit: 50,
		Make: func(id string, _ json.RawMessage) (*thing, error) {
			one := &thing{id: id}
			mu.Lock()
			made = append(made, one)
			mu.Unlock()
			return one, nil
		},
		Close: func(one *thing) { one.closed.Add(1) },
	})
	foreign, _ := newWorld(t, sealer, func(o *Options[*thing]) { o.Now = time.Now }).create(t, `{}`, alice...)
	var wait sync.WaitGroup
	for i := range 8 {
		wait.Go(func() {
			bind := []string{"s", "", fmt.Sprint(i)}
			for range 60 {
				id, _, err := store.Create(json.RawMessage(`{}`), bind...)
				if core.AsError(err).Code == core.CodeLimited {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := store.Open(id, bind...); err != nil {
					t.Error(err)
				}
				_, _ = store.Open(foreign, alice...)
				store.Sweep()
				store.End(id)
				if _, err := store.Open(id, bind...); !notFound(err) {
					t.Errorf("after End: %v", err)
				}
			}
		})
	}
	wait.Wait()
	store.clear()
	for _, one := range made {
		if n := one.closed.Load(); n != 1 {
			t.Errorf("closed %d times", n)
		}
	}
	if n := slices.IndexFunc(made, func(one *thing) bool { return one.id == foreign }); n < 0 {
		t.Error("the id of another replica was never opened")
	}
}

func TestEach(t *testing.T) {
	w := newWorld(t, newSealer(t), nil)
	w.create(t, `1`, alice...)
	w.create(t, `2`, alice...)
	var seen []string
	w.store.Each(func(one *thing) { seen = append(seen, one.claims) })
	slices.Sort(seen)
	if !slices.Equal(seen, []string{"1", "2"}) {
		t.Errorf("saw %q", seen)
	}
}

// Nothing that was not made here opens, and what opens was made for this bind.
func FuzzID(f *testing.F) {
	keys, err := NewKeyring(KeyringOptions{})
	if err != nil {
		f.Fatal(err)
	}
	sealer := NewSealer(keys, nil)
	store := New(Options[string]{Sealer: sealer, Make: func(string, json.RawMessage) (string, error) { return "", nil }})
	id, _, err := store.Create(json.RawMessage(`{"a":1}`), alice...)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(id, "bookshop", "acme", "alice")
	f.Add(id, "bookshop", "acme", "bob")
	f.Add("", "", "", "")
	f.Add(id+"\n", "bookshop", "acme", "alice")
	f.Fuzz(func(t *testing.T, text, server, tenant, subject string) {
		_, err := store.Open(text, server, tenant, subject)
		ours := text == id && slices.Equal([]string{server, tenant, subject}, alice)
		if ours != (err == nil) {
			t.Errorf("Open(%q, %q, %q, %q): %v", text, server, tenant, subject, err)
		}
		if err != nil && !notFound(err) {
			t.Errorf("not a plain not found: %v", err)
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	keys, err := NewKeyring(KeyringOptions{})
	if err != nil {
		b.Fatal(err)
	}
	store := New(Options[int]{Sealer: NewSealer(keys, nil), Make: func(string, json.RawMessage) (int, error) { return 1, nil }})
	id, _, err := store.Create(json.RawMessage(`{"server":"bookshop","revision":"2025-11-25","client":{"name":"x","version":"1"}}`), alice...)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := store.Open(id, "bookshop", "acme", "alice"); err != nil {
			b.Fatal(err)
		}
	}
}
