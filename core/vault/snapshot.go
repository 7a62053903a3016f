package vault

import (
	"bytes"
	"compress/gzip"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/core"
)

// A snapshot is a file: a line that names the format, a line that names the key, and a
// sealed text in its raw form. It holds a State in gob, which keeps the fields that JSON
// hides, compressed.
const (
	snapshotMark    = "sallyport snapshot "
	snapshotFormat  = "1"
	snapshotPurpose = "last known good state"
	maxSnapshot     = 256 << 20 // bytes of the file
	maxState        = 1 << 30   // bytes of the gob
	saveEvery       = 5 * time.Second
)

// SnapshotOptions of NewSnapshot. Vault and Path are needed.
type SnapshotOptions struct {
	Vault *Vault
	Path  string
	Every time.Duration // between two writes at least; 0 = 5 s
	Now   func() time.Time
	Log   *slog.Logger // of writes that nobody waits for; nil = none
}

// Snapshot keeps the last known good State on disk, sealed, so that a restart works
// while the database is away (security.md R5). It is safe for concurrent use.
type Snapshot struct {
	o SnapshotOptions

	mu     sync.Mutex
	newest *core.State // the last one that was given
	wrote  *core.State // the last one that was written
	last   time.Time   // when
	timer  *time.Timer // writes newest
	closed bool
}

// NewSnapshot returns the snapshot of a path. Nothing is read or written yet. Close it,
// so that what was given last is written.
func NewSnapshot(o SnapshotOptions) *Snapshot {
	if o.Every <= 0 {
		o.Every = saveEvery
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Snapshot{o: o}
}

// Save writes a State, or remembers it to be written soon when the last write was a
// moment ago: the newest one wins. A State that is older than the one given before is
// passed over. Its error is that of a write that happened now.
func (s *Snapshot) Save(state *core.State) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return &core.Error{Code: core.CodeUnavailable, Message: "the snapshot is closed"}
	}
	if s.newest != nil && state.Loaded.Before(s.newest.Loaded) {
		return nil
	}
	s.newest = state
	if wait := s.o.Every - s.o.Now().Sub(s.last); !s.last.IsZero() && wait > 0 {
		if s.timer == nil {
			s.timer = time.AfterFunc(min(wait, s.o.Every), s.late)
		}
		return nil
	}
	return s.write()
}

// late writes what had to wait.
func (s *Snapshot) late() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timer = nil
	if s.closed {
		return
	}
	if err := s.write(); err != nil {
		s.o.Log.Error("the last known good state cannot be written", "error", err)
	}
}

// Close writes what had to wait.
func (s *Snapshot) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
	return s.write()
}

// write writes the newest State unless it is there. The caller holds mu.
func (s *Snapshot) write() error {
	if s.newest == nil || s.newest == s.wrote {
		return nil
	}
	s.last = s.o.Now() // also of a write that fails: a full disk is not to be hammered
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	err := gob.NewEncoder(zip).Encode(s.newest)
	if err = errors.Join(err, zip.Close()); err != nil {
		return fmt.Errorf("pack the last known good state: %w", err)
	}
	sealed, err := s.o.Vault.seal(snapshotPurpose, packed.Bytes(), []string{snapshotFormat})
	if err != nil {
		return fmt.Errorf("seal the last known good state: %w", err)
	}
	b := append([]byte(snapshotMark+snapshotFormat+"\n"+sealed.kid+"\n"), sealed.raw()...)
	if len(b) > maxSnapshot {
		return &core.Error{Code: core.CodeTooLarge, Message: "the last known good state is larger than a snapshot may be"}
	}
	if err := writePrivate(s.o.Path, b, os.Rename); err != nil {
		return fmt.Errorf("write the last known good state: %w", err)
	}
	s.wrote = s.newest
	return nil
}

// Load returns the State that was written last, and when it was read from the store. No
// file is CodeNotFound. A file that was changed, cut off, written by another version or
// sealed with keys that the vault does not have is refused with what is wrong.
func (s *Snapshot) Load() (*core.State, time.Time, error) {
	b, err := readPrivate(s.o.Path, maxSnapshot)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, time.Time{}, &core.Error{Code: core.CodeNotFound, Message: "there is no snapshot of the last known good state"}
	}
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("read the last known good state: %w", err)
	}
	packed, err := s.unseal(b)
	if err != nil {
		return nil, time.Time{}, err
	}
	zip, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("unpack the last known good state: %w", err)
	}
	state := &core.State{}
	if err := gob.NewDecoder(io.LimitReader(zip, maxState)).Decode(state); err != nil {
		return nil, time.Time{}, fmt.Errorf("unpack the last known good state: %w", err)
	}
	return state, state.Loaded, nil
}

func (s *Snapshot) unseal(b []byte) ([]byte, error) {
	const fix = "let the database be reached, which makes a new one; or delete it"
	damaged := func(cause error) error {
		return &core.Error{Code: core.CodeInvalid, Message: "the snapshot " + s.o.Path + " was changed, cut off, or sealed with a key of the same id and another value", Fix: fix, Err: cause}
	}
	line, rest, found := bytes.Cut(b, []byte("\n"))
	format, ours := strings.CutPrefix(string(line), snapshotMark)
	switch {
	case !found || !ours:
		return nil, &core.Error{Code: core.CodeInvalid, Message: s.o.Path + " is not a snapshot", Fix: fix}
	case format != snapshotFormat:
		return nil, &core.Error{Code: core.CodeInvalid, Message: "the snapshot " + s.o.Path + " has another format than this version reads", Fix: fix}
	}
	kid, raw, found := bytes.Cut(rest, []byte("\n"))
	if !found || !isKid(string(kid)) {
		return nil, damaged(nil)
	}
	box, ok := parseRaw(string(kid), raw)
	if !ok {
		return nil, damaged(nil)
	}
	plain, err := s.o.Vault.open(&box, snapshotPurpose, []string{format})
	var missing *missingKeyError
	switch {
	case err == nil:
		return plain, nil
	case errors.As(err, &missing):
		return nil, refusal("the snapshot "+s.o.Path, err)
	case errors.Is(err, errNotOurs):
		return nil, damaged(err)
	}
	return nil, err
}
