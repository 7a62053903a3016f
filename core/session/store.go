package session

import (
	"container/list"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/sallyport/sallyport/core"
)

const (
	maxEnded   = 100_000          // ended ids that are remembered
	grace      = time.Minute      // a session used within it is not pushed out for another
	sweepEvery = 30 * time.Second // how often Run sweeps
)

// Options configures a Store. Sealer and Make are required.
type Options[T any] struct {
	Sealer core.Sealer
	Idle   time.Duration // life without use: 30m
	Max    time.Duration // life in all: 24h
	Limit  int           // sessions in memory: 10,000
	Now    func() time.Time
	Rand   io.Reader
	Log    *slog.Logger

	// Make makes a session, at Create and again when an id comes back that is not in
	// memory. It is quick, and does not call the store.
	Make func(id string, claims json.RawMessage) (T, error)
	// Close is called once for each T that Make made, when it leaves memory. May be
	// nil. It is called outside the lock of the store.
	Close func(T)
	// Busy tells that a session is in use although nobody opens it (a parked
	// stream): it then neither idles out nor gives way. May be nil.
	Busy func(T) bool
}

// Store keeps sessions. Safe for concurrent use.
type Store[T any] struct {
	o Options[T]

	mu      sync.Mutex
	entries map[string]*list.Element // id → *entry[T]
	order   *list.List               // most recently used first
	ended   map[[serialSize]byte]end
	floor   time.Time // an id issued earlier that is not in memory counts as ended
}

// end says from when on an id is refused, and until when that must be remembered.
type end struct{ from, until time.Time }

type entry[T any] struct {
	id     string
	bind   string
	value  T
	sealed sealed
	used   time.Time
}

// New makes a store.
func New[T any](o Options[T]) *Store[T] {
	if o.Idle == 0 {
		o.Idle = 30 * time.Minute
	}
	if o.Max == 0 {
		o.Max = 24 * time.Hour
	}
	if o.Limit == 0 {
		o.Limit = 10_000
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Close == nil {
		o.Close = func(T) {}
	}
	if o.Busy == nil {
		o.Busy = func(T) bool { return false }
	}
	return &Store[T]{
		o:       o,
		entries: map[string]*list.Element{},
		order:   list.New(),
		ended:   map[[serialSize]byte]end{},
	}
}

// Create makes a session for whoever bind names. The id is visible ASCII, at most
// 1 KiB. Claims that do not fit into it stay in memory: such a session cannot be
// made again elsewhere. The error has core.CodeLimited when the store is full of
// sessions in use.
func (s *Store[T]) Create(claims json.RawMessage, bind ...string) (string, T, error) {
	var none T
	now := s.o.Now()
	text := sealed{issued: now, expires: now.Add(s.o.Max), claims: claims}
	if _, err := io.ReadFull(s.o.Rand, text.serial[:]); err != nil {
		return "", none, fmt.Errorf("create session: read randomness: %w", err)
	}
	if headSize+payload+len(claims)+tagSize > maxID/4*3 {
		text.flags, text.claims = local, nil
	}
	id, err := s.o.Sealer.Seal(purpose, text.bytes(), bind...)
	if err != nil {
		return "", none, fmt.Errorf("create session: %w", err)
	}

	text.claims = nil // they are not needed while the session is in memory
	value, pushed, err := s.add(&entry[T]{id: id, bind: join(bind), sealed: text, used: now}, claims)
	s.close(pushed)
	if err != nil {
		return "", none, err
	}
	return id, value, nil
}

func (s *Store[T]) add(e *entry[T], claims json.RawMessage) (value T, pushed []T, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if pushed, err = s.room(e.used); err != nil {
		return value, pushed, err
	}
	if value, err = s.o.Make(e.id, claims); err != nil {
		return value, pushed, err
	}
	e.value = value
	s.entries[e.id] = s.order.PushFront(e)
	return value, pushed, nil
}

// Open returns the session of id, and makes it again from the sealed claims when
// it is not in memory. Whatever is wrong with an id (unknown, changed, expired,
// ended, of another bind), the error is the same, with core.CodeNotFound.
func (s *Store[T]) Open(id string, bind ...string) (T, error) {
	var none T
	if len(id) > maxID {
		return none, errNotFound("longer than any of ours")
	}
	now := s.o.Now()
	value, why, gone := s.recall(id, bind, now)
	s.close(gone)
	switch why {
	case "":
		return value, nil
	case unknown:
	default:
		if why == foreign {
			s.o.Log.Warn("session refused", "reason", why)
		}
		return none, errNotFound(why)
	}

	plain, err := s.o.Sealer.Open(purpose, id, bind...)
	if err != nil {
		if core.AsError(err).Code != core.CodeNotFound {
			return none, fmt.Errorf("open session: %w", err)
		}
		return none, errNotFound("not sealed here for this caller")
	}
	text, ok := parse(plain)
	if !ok {
		return none, errNotFound("its text is not ours")
	}
	value, pushed, err := s.remake(id, text, bind, now)
	s.close(pushed)
	return value, err
}

// Why an id is refused, for the log; clients are not told.
const (
	unknown = "not in memory"
	foreign = "it belongs to someone else"
	expired = "expired"
)

// recall finds a session in memory; why is "" when it may be used.
func (s *Store[T]) recall(id string, bind []string, now time.Time) (value T, why string, gone []T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	element, found := s.entries[id]
	if !found {
		return value, unknown, nil
	}
	e := element.Value.(*entry[T])
	if !bound(e.bind, bind) {
		return value, foreign, nil
	}
	if s.over(e, now) {
		s.drop(element)
		s.remember(e.sealed, now, now)
		return value, expired, []T{e.value}
	}
	e.used = now
	s.order.MoveToFront(element)
	return e.value, "", nil
}

func (s *Store[T]) remake(id string, text sealed, bind []string, now time.Time) (value T, pushed []T, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if element, found := s.entries[id]; found { // someone was faster
		e := element.Value.(*entry[T])
		e.used = now
		s.order.MoveToFront(element)
		return e.value, nil, nil
	}
	end, over := s.ended[text.serial]
	switch {
	case over && !now.Before(end.from):
		return value, nil, errNotFound("ended")
	case !now.Before(text.expires):
		return value, nil, errNotFound(expired)
	case text.issued.Before(s.floor):
		return value, nil, errNotFound("older than what we remember")
	case text.flags&local != 0:
		return value, nil, errNotFound("made by another process, or pushed out")
	}
	if pushed, err = s.room(now); err != nil {
		return value, pushed, err
	}
	if value, err = s.o.Make(id, text.claims); err != nil {
		return value, pushed, err
	}
	delete(s.ended, text.serial)
	text.claims = nil
	s.entries[id] = s.order.PushFront(&entry[T]{id: id, bind: join(bind), value: value, sealed: text, used: now})
	return value, pushed, nil
}

// End ends the session: Open refuses its id from now on. An id that is not ours,
// or of another bind, is ignored; without bind it must be in memory.
func (s *Store[T]) End(id string, bind ...string) {
	if len(id) > maxID {
		return
	}
	now := s.o.Now()
	found, gone := s.endHere(id, bind, now)
	s.close(gone)
	if found {
		return
	}
	plain, err := s.o.Sealer.Open(purpose, id, bind...)
	if err != nil {
		return
	}
	if text, ok := parse(plain); ok {
		s.mu.Lock()
		s.remember(text, now, now)
		s.mu.Unlock()
	}
}

func (s *Store[T]) endHere(id string, bind []string, now time.Time) (found bool, gone []T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	element, found := s.entries[id]
	if !found {
		return false, nil
	}
	e := element.Value.(*entry[T])
	if len(bind) > 0 && !bound(e.bind, bind) {
		return true, nil
	}
	s.drop(element)
	s.remember(e.sealed, now, now)
	return true, []T{e.value}
}

// Sweep ends what has been idle or has lived too long, and forgets ended ids that
// nobody could use any more. It returns how many sessions it ended.
func (s *Store[T]) Sweep() int {
	now := s.o.Now()
	var gone []T
	s.mu.Lock()
	for element := s.order.Back(); element != nil; {
		e, before := element.Value.(*entry[T]), element.Prev()
		if s.over(e, now) {
			s.drop(element)
			s.remember(e.sealed, now, now)
			gone = append(gone, e.value)
		}
		element = before
	}
	for serial, end := range s.ended {
		if !now.Before(end.until) {
			delete(s.ended, serial)
		}
	}
	s.mu.Unlock()
	s.close(gone)
	return len(gone)
}

// Len returns how many sessions are in memory.
func (s *Store[T]) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.entries)
}

// Each calls f for every session in memory at this moment, outside the lock.
func (s *Store[T]) Each(f func(T)) {
	s.mu.Lock()
	values := make([]T, 0, len(s.entries))
	for element := s.order.Front(); element != nil; element = element.Next() {
		values = append(values, element.Value.(*entry[T]).value)
	}
	s.mu.Unlock()
	for _, value := range values {
		f(value)
	}
}

// Run sweeps until ctx ends, then lets go of everything in memory. Ids stay good
// for a process that has the same keys.
func (s *Store[T]) Run(ctx context.Context) {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			s.clear()
			return
		case <-ticker.C:
			if n := s.Sweep(); n > 0 {
				s.o.Log.Debug("sessions expired", "count", n, "left", s.Len())
			}
		}
	}
}

func (s *Store[T]) clear() {
	s.mu.Lock()
	gone := make([]T, 0, len(s.entries))
	for element := s.order.Front(); element != nil; element = s.order.Front() {
		gone = append(gone, element.Value.(*entry[T]).value)
		s.drop(element)
	}
	s.mu.Unlock()
	s.close(gone)
}

// over tells whether a session's time is up.
func (s *Store[T]) over(e *entry[T], now time.Time) bool {
	if !now.Before(e.sealed.expires) {
		return true
	}
	if now.Sub(e.used) <= s.o.Idle {
		return false
	}
	if s.o.Busy(e.value) {
		e.used = now
		return false
	}
	return true
}

// room makes place for one more session. What it pushes out was used longest ago
// and can be made again from its id.
func (s *Store[T]) room(now time.Time) (pushed []T, err error) {
	if len(s.entries) < s.o.Limit {
		return nil, nil
	}
	for range 32 { // busy ones are passed over, but not without end
		element := s.order.Back()
		e := element.Value.(*entry[T])
		if now.Sub(e.used) < grace {
			break
		}
		if s.o.Busy(e.value) {
			e.used = now
			s.order.MoveToFront(element)
			continue
		}
		s.drop(element)
		s.remember(e.sealed, now, e.used.Add(s.o.Idle)) // away, it goes on growing idle
		return append(pushed, e.value), nil
	}
	return nil, &core.Error{Code: core.CodeLimited, Message: "too many sessions", Fix: "try again later", RetryAfter: int(grace / time.Second)}
}

func (s *Store[T]) drop(element *list.Element) {
	s.order.Remove(element)
	delete(s.entries, element.Value.(*entry[T]).id)
}

// remember keeps that an id is refused from a time on, until it would have expired
// by itself. When there are too many, the floor rises instead: then every older
// id that is not in memory counts as ended, which costs its client a new session
// and nothing else.
func (s *Store[T]) remember(text sealed, now, from time.Time) {
	if !now.Before(text.expires) {
		return
	}
	if len(s.ended) >= maxEnded {
		clear(s.ended)
		s.floor = now.Add(time.Second) // issued is kept in whole seconds
	}
	s.ended[text.serial] = end{from: from, until: text.expires}
}

func (s *Store[T]) close(values []T) {
	for _, value := range values {
		s.o.Close(value)
	}
}

func errNotFound(why string) error {
	return &core.Error{Code: core.CodeNotFound, Message: "session not found", Fix: "start a new one", Err: errors.New(why)}
}

// List calls f for every session in memory at this moment, outside the lock, with when
// it was made, last used, and when it ends in any case.
func (s *Store[T]) List(f func(value T, made, used, expires time.Time)) {
	s.mu.Lock()
	all := make([]*entry[T], 0, len(s.entries))
	used := make([]time.Time, 0, len(s.entries))
	for element := s.order.Front(); element != nil; element = element.Next() {
		e := element.Value.(*entry[T])
		all, used = append(all, e), append(used, e.used)
	}
	s.mu.Unlock()
	for i, e := range all {
		f(e.value, e.sealed.issued, used[i], e.sealed.expires)
	}
}

// Made tells when a session in memory was made.
func (s *Store[T]) Made(id string) (made time.Time, found bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	element := s.entries[id]
	if element == nil {
		return time.Time{}, false
	}
	return element.Value.(*entry[T]).sealed.issued, true
}
