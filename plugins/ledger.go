package plugins

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
	"github.com/sallyport/sallyport/plugins/manifest"
	"github.com/sallyport/sallyport/plugins/trust"
)

// ledger remembers what ran, so that neither a restart nor a refused reload makes a new
// version pass for a first one. It is written after a set was opened without mistakes.
type ledger struct {
	path    string
	written book
}

// book is what running.json holds.
type book struct {
	Plugins map[string]entry  `json:"plugins"` // by the name that documents call it
	Tags    map[string]string `json:"tags"`    // reference → digest that ran
}

// entry is the version of one plugin that ran last.
type entry struct {
	Digest   string          `json:"digest"`
	Manifest json.RawMessage `json:"manifest"` // canonical
}

const maxLedger = 64 << 20

func readLedger(path string) (*ledger, error) {
	l := &ledger{path: path, written: book{Plugins: map[string]entry{}, Tags: map[string]string{}}}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return l, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read which plugins ran: %w", err)
	}
	damaged := func(err error) error {
		return &core.Error{
			Code: core.CodeInvalid, Message: path + " is damaged", Err: err,
			Fix: "restore it, or remove it after a look at what every plugin asks for: without it whatever is configured counts as approved",
		}
	}
	if len(b) > maxLedger {
		return nil, damaged(errors.New("too large"))
	}
	if err := wire.Check(b, wire.Limits{Depth: 64, Keys: 10_000_000, String: 1 << 20, Number: 1024}); err != nil {
		return nil, damaged(err)
	}
	if err := json.Unmarshal(b, &l.written); err != nil {
		return nil, damaged(err)
	}
	for name, e := range l.written.Plugins {
		if _, err := manifest.Parse(name, e.Manifest); err != nil {
			return nil, damaged(err)
		}
		if err := trust.CheckDigest(e.Digest); err != nil {
			return nil, damaged(err)
		}
	}
	for _, digest := range l.written.Tags {
		if err := trust.CheckDigest(digest); err != nil {
			return nil, damaged(err)
		}
	}
	if l.written.Plugins == nil {
		l.written.Plugins = map[string]entry{}
	}
	return l, nil
}

// ran returns the version of a plugin that ran last; nil = none.
func (l *ledger) ran(name string) *manifest.Manifest {
	e, ok := l.written.Plugins[name]
	if !ok {
		return nil
	}
	m, err := manifest.Parse(name, e.Manifest)
	if err != nil {
		return nil // it was parsed before it was written, and when it was read: cannot be
	}
	return m
}

// write replaces what is remembered.
func (l *ledger) write(b book) error {
	if reflect.DeepEqual(b, l.written) {
		return nil
	}
	text, err := wire.Marshal(b)
	if err != nil {
		return fmt.Errorf("remember which plugins run: %w", err)
	}
	if err := replace(l.path, text); err != nil {
		return fmt.Errorf("remember which plugins run: %w", err)
	}
	l.written = book{Plugins: maps.Clone(b.Plugins), Tags: maps.Clone(b.Tags)}
	return nil
}

// replace makes a file hold text, or leaves it as it was, also when the machine stops.
func replace(path string, text []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	if _, err := f.Write(text); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer folder.Close()
	return folder.Sync()
}
