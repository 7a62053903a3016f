package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/plugins"
	"github.com/sallyport/sallyport/plugins/registry"
)

// stock hands the modules of the store to those who load plugins. Which digest a name
// stands for says the State, as it does for everything that calls run on; the content
// comes from the database once and from disk from then on, checked against its digest
// each time, so that a restart works while the database is away.
type stock struct {
	store core.Store
	disk  *registry.Store
	dir   string // to remove at the end; "" = it stays
	log   *slog.Logger

	mu      sync.Mutex // of disk: nothing is swept that is being saved
	known   atomic.Pointer[map[core.Key]core.Module]
	missing atomic.Bool // content was wanted that could not be had
	load    func(digest string) (*registry.Artifact, error)
}

// fetchModule bounds reading the content of one module from the database.
const fetchModule = time.Minute

// newStock keeps content in a directory of data, or where there is none in a temporary
// one.
func newStock(store core.Store, data string, log *slog.Logger) (*stock, error) {
	s := &stock{store: store, log: log}
	s.known.Store(&map[core.Key]core.Module{})
	dir := filepath.Join(data, "modules")
	if data == "" {
		var err error
		if dir, err = os.MkdirTemp("", "sallyport-modules-"); err != nil {
			return nil, fmt.Errorf("make a directory for modules: %w", err)
		}
		s.dir = dir
	}
	disk, err := registry.OpenStore(dir)
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	s.disk, s.load = disk, disk.Load
	return s, nil
}

func (s *stock) close() error {
	if s.dir == "" {
		return nil
	}
	return os.RemoveAll(s.dir)
}

// use takes the modules of a State. What no row needs any more goes from disk.
func (s *stock) use(state *core.State) {
	known := make(map[core.Key]core.Module, len(state.Modules))
	keep := make([]string, 0, len(state.Modules))
	for i := range state.Modules {
		m := state.Modules[i]
		known[m.Key()] = m
		if m.Approved != nil {
			keep = append(keep, m.Digest)
		}
	}
	before := s.known.Swap(&known)
	gone := false
	for key, m := range *before {
		gone = gone || known[key].Digest != m.Digest
	}
	if len(*before) > 0 && !gone {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.disk.Sweep(keep); err != nil {
		s.log.Warn("modules that nobody needs any more stay on disk", "error", err)
	}
}

// approved lists the modules of a tenant that documents may name, by what makes another
// load necessary.
func (s *stock) approved(tenant string) map[string]string {
	list := map[string]string{}
	for key, m := range *s.known.Load() {
		if key.Tenant == tenant && m.Approved != nil {
			list[m.Name] = m.Digest + " " + m.Signatures
		}
	}
	return list
}

// again tells once that content may be had now that could not be had before.
func (s *stock) again() bool { return s.missing.Swap(false) }

// artifact returns the content of an approved module of a tenant.
func (s *stock) artifact(ctx context.Context, tenant, name string) (*registry.Artifact, error) {
	known := *s.known.Load()
	row, found := known[core.Key{Kind: "module", Tenant: tenant, ID: name}]
	if !found || row.Approved == nil {
		return nil, s.unknown(tenant, name)
	}
	s.mu.Lock()
	a, err := s.load(row.Digest)
	s.mu.Unlock()
	if err == nil {
		return a, plugins.Claim(a, &row)
	}
	if !errors.Is(err, registry.ErrMissing) {
		s.log.Error("the copy of a module on disk is not what it was; it is fetched again", "module", name, "tenant", tenant, "digest", row.Digest, "error", err)
	}
	return s.fetch(ctx, &row)
}

// fetch reads the content of a module from the database, and keeps it.
func (s *stock) fetch(ctx context.Context, row *core.Module) (*registry.Artifact, error) {
	ctx, stop := context.WithTimeout(ctx, fetchModule)
	defer stop()
	m := &core.Module{Tenant: row.Tenant, Name: row.Name}
	if err := s.store.Get(ctx, m); err != nil {
		s.missing.Store(true)
		return nil, &core.Error{
			Code: core.CodeUnavailable, Message: "the content of module " + row.Name + " is not on disk, and the store does not give it", Err: err,
			Fix: "try again when the database answers; it is loaded by itself then",
		}
	}
	if m.Digest != row.Digest {
		s.missing.Store(true)
		return nil, &core.Error{Code: core.CodeChanged, Message: "module " + row.Name + " was changed just now", Fix: "try again in a moment"}
	}
	a, err := plugins.Unpack(m)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.disk.Save(a); err != nil {
		s.log.Error("the content of a module could not be written to disk: a start while the store is away would not have it", "module", row.Name, "error", err)
	}
	return a, nil
}

// unknown says why a name stands for nothing. It names modules of the same tenant only.
func (s *stock) unknown(tenant, name string) error {
	if _, waits := (*s.known.Load())[core.Key{Kind: "module", Tenant: tenant, ID: name + core.ModuleWaits}]; waits {
		return &core.Error{Code: core.CodeDenied, Message: "module " + name + " is uploaded, and nobody approved what it asks for", Fix: "approve it: sallyport admin modules approve " + name}
	}
	fix := "upload it: sallyport admin modules upload FILE"
	var names []string
	for one := range s.approved(tenant) {
		names = append(names, one)
	}
	if slices.Sort(names); len(names) > 0 {
		fix += "; there are " + strings.Join(names, ", ")
	}
	return &core.Error{Code: core.CodeNotFound, Message: "the store has no module " + name, Fix: fix}
}
