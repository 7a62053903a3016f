package app

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/accounts"
	"github.com/sallyport/sallyport/core/audit"
	"github.com/sallyport/sallyport/core/authn"
	"github.com/sallyport/sallyport/core/authz"
	"github.com/sallyport/sallyport/core/config"
	"github.com/sallyport/sallyport/core/documents"
	"github.com/sallyport/sallyport/core/egress"
	"github.com/sallyport/sallyport/core/limits"
	"github.com/sallyport/sallyport/core/vault"
	"github.com/sallyport/sallyport/core/web"
	"github.com/sallyport/sallyport/plugins/hostcall"
	"github.com/sallyport/sallyport/plugins/registry"
	"github.com/sallyport/sallyport/store"
)

// Bounds of an exchange with an identity provider.
const (
	identityLimit   = 1 << 20
	identityTimeout = 10 * time.Second
)

// door is what stands between callers and servers: who they are, what they may, how
// much, and what is kept of it; and the store that all of it comes from. The zero value
// lets everybody do everything.
type door struct {
	authorizer core.Authorizer
	limiter    core.Limiter
	recorder   core.Recorder
	accounts   core.Accounts
	scopes     func(who core.Identity, need []string, asked *core.AuthRequest) error

	vault    *vault.Vault
	store    core.Store // what the admin API changes; nil = there is none
	late     *late
	keeper   *keeper
	snapshot *vault.Snapshot // nil = nowhere to keep one
	stock    *stock          // modules of plugins
	authn    *authn.Authn
	logins   *authn.Logins
	authz    *authz.Authz
	records  *audit.Recorder
	bounds   *limits.Limits
	callers  *accounts.Accounts // and the accounts that they connected
	desk     *documents.Desk
	identity *egress.Transport
	api      *web.API // nil where there is no admin API

	work []func(context.Context) // what runs while the gateway does
	end  []func() error
	open bool // callers are not asked who they are
}

// stored tells whether there is a store at all: a gateway that is open to everybody and
// has no admin API needs none.
func (h *gatehouse) stored() bool {
	return !h.settings.Access.Open() || h.settings.Admin.Listen != "off"
}

// openDoor puts the parts together that a State is handed to. Nothing is read yet.
func (h *gatehouse) openDoor(ctx context.Context) (err error) {
	d := &h.door
	d.authorizer, d.open = core.AllowAll{}, h.settings.Access.Open()
	if !h.stored() {
		return nil
	}
	if d.vault, err = h.openVault(ctx); err != nil {
		return err
	}
	d.late = &late{log: h.log, open: h.openStore, ready: func() {
		_ = d.keeper.refresh(ctx) // said already
		h.restoreQuotas(ctx)
	}}
	if d.stock, err = newStock(d.late, h.settings.Data, h.log); err != nil {
		return err
	}
	d.store = prompt{d.late, func(ctx context.Context) { _ = d.keeper.refresh(ctx) }}
	d.identity = egress.RoundTripper(h.egress, "identity provider", identityLimit, identityTimeout)
	d.authn = authn.New(authn.Options{
		Store: d.store, Sealer: d.vault, Transport: d.identity, Operator: h.settings.Admin.Token, ScopeSets: h.estate.scopeSets, Now: time.Now, Log: h.log,
	})
	d.logins = authn.NewLogins(d.authn, authn.LoginOptions{Idle: h.settings.Logins.Idle, Absolute: h.settings.Logins.Max})
	d.callers = accounts.New(accounts.Options{Store: d.store, Sealer: d.vault, Client: d.identity, Base: h.settings.Access.Public, Now: time.Now, Log: h.log})
	d.accounts = d.callers
	d.desk = documents.New(documents.Options{
		Store: d.store, Check: h.check, Now: time.Now, Log: h.log,
		Parse: func(name string, text []byte) (json.RawMessage, []string, []core.Problem) {
			return config.Tree(name, text, reading(h.kinds, h.console.lookup))
		},
		Mask: func(name string, text []byte) []byte {
			return config.Mask(name, text, reading(h.kinds, h.console.lookup))
		},
		Files: h.fileDocuments,
	})
	d.authz = authz.New(authz.Options{Log: h.log})
	d.keeper = &keeper{store: d.late, poll: h.settings.Store.Poll, log: h.log, use: h.use, heard: h.restock, saving: make(chan *core.State, 1)}
	if h.settings.Data != "" {
		d.snapshot = vault.NewSnapshot(vault.SnapshotOptions{Vault: d.vault, Path: filepath.Join(h.settings.Data, "state.sealed"), Now: time.Now, Log: h.log})
		d.keeper.save = d.snapshot.Save
	}
	d.work = append(d.work, d.late.run, d.keeper.run, d.authn.Run)
	d.end = append(d.end, d.callers.Close, d.late.Close, d.identity.Close, d.stock.close)
	if !d.open {
		d.authorizer = d.authz
		d.scopes = d.authn.Scopes
	}
	if err := h.openRecords(); err != nil {
		return err
	}
	h.telemetry.Gauge("sallyport_store_up", "1 while the store answers.", func() int64 {
		if d.keeper.up() {
			return 1
		}
		return 0
	})
	h.telemetry.Gauge("sallyport_config_age_seconds", "Seconds since the store last confirmed what is served; -1 = not since the start.", d.keeper.age)
	return h.openAPI()
}

// openRecords makes what keeps calls and counts them.
func (h *gatehouse) openRecords() (err error) {
	d, s := &h.door, h.settings.Audit
	d.records, err = audit.NewRecorder(d.store, audit.RecorderOptions{
		Replica: h.replica, Level: audit.Level(s.Calls), Strict: s.Strict, Observer: h.telemetry, Log: h.log, Now: time.Now,
	})
	if err != nil {
		return err
	}
	d.bounds = limits.New(limits.Options{
		Store: d.store, Observer: h.telemetry, Log: h.log, Now: time.Now,
		Default: core.Limit{ID: "settings", Per: "identity", Rate: float64(h.settings.Access.Rate), Burst: h.settings.Access.Burst, Note: "access.callsPerSecond of the settings"},
	})
	if !d.open {
		d.limiter = d.bounds
	}
	d.recorder = counting{d.records, d.bounds}
	beat := &pulse{store: d.store, about: h.aboutReplica, sessions: func() []core.LiveSession { return h.sessions.Live(h.replica) }, replicas: d.bounds.Replicas, log: h.log}
	old := audit.NewRetention(d.store, audit.RetentionOptions{
		Replica: h.replica, Calls: s.KeepCalls, Audit: s.Keep, Log: h.log, Now: time.Now,
		Others: map[string]time.Duration{"login": 0, "revocation": 0, "kv": 0, "replica": 24 * time.Hour},
	})
	d.work = append(d.work, h.keepRecords, d.bounds.Run, beat.run, old.Run)
	return nil
}

// keepRecords writes records, and anchors the trail for as long: the last anchor comes
// after the last record.
func (h *gatehouse) keepRecords(ctx context.Context) {
	d := &h.door
	anchoring, stop := context.WithCancel(context.WithoutCancel(ctx))
	var work sync.WaitGroup
	if key, err := d.vault.Derive(auditKey); err == nil { // else the store was never reached, and nothing was written
		anchors := audit.NewAnchors(d.store, audit.AnchorOptions{
			Key: key, Replica: h.replica, File: h.settings.Audit.Anchors, Observer: h.telemetry, Log: h.log, Now: time.Now,
		})
		work.Go(func() { anchors.Run(anchoring) })
	}
	d.records.Run(ctx)
	stop()
	work.Wait()
}

// counting adds up what calls use beside keeping them.
type counting struct {
	core.Recorder

	limits *limits.Limits
}

// Record keeps and counts a call.
func (c counting) Record(ctx context.Context, record *core.CallRecord, arguments json.RawMessage, result *core.Result) error {
	c.limits.Count(record)
	return c.Recorder.Record(ctx, record, arguments, result)
}

// openVault reads the keys that seal secrets.
func (h *gatehouse) openVault(ctx context.Context) (*vault.Vault, error) {
	s := h.settings.Store
	keys := s.Key
	if s.KeyFile != "" {
		text, err := os.ReadFile(s.KeyFile)
		if err != nil {
			return nil, &core.Error{Code: core.CodeInvalid, Message: "read the key of the store (store.keyFile)", Fix: "name a file with ID:KEY that the gateway may read", Err: err}
		}
		keys = core.Secret(strings.TrimSpace(string(text)))
	}
	if h.settings.Database() == "memory:" && keys == "" && len(s.KeyCommand) == 0 {
		// A store that ends with the process needs a key that does.
		var key [32]byte
		if _, err := rand.Read(key[:]); err != nil {
			return nil, err
		}
		keys = core.Secret("memory:" + base64.StdEncoding.EncodeToString(key[:]))
	}
	v, err := vault.Open(ctx, vault.Options{Dir: h.settings.Data, Keys: keys, Command: s.KeyCommand, Environment: foreign(h.console.environ()), Now: time.Now, Log: h.log})
	if err != nil {
		return nil, err
	}
	if h.settings.Data == "" && keys == "" && len(s.KeyCommand) == 0 {
		return nil, &core.Error{
			Code: core.CodeInvalid, Message: "there is no place for the key that seals secrets: there is no data directory",
			Fix: "name one with --data DIR, or give the key with SALLYPORT_STORE_KEY (ID:KEY, 32 bytes in base64)",
		}
	}
	return v, nil
}

// foreign leaves out our own variables: they hold secrets that a key command has no use for.
func foreign(environ []string) []string {
	return slices.DeleteFunc(environ, func(one string) bool { return strings.HasPrefix(one, "SALLYPORT_") })
}

// openStore opens the database, and refuses one that was sealed with other keys.
func (h *gatehouse) openStore(ctx context.Context) (core.Store, error) {
	v := h.door.vault
	if err := v.Propose(); err != nil { // of a new store; the first entry of its trail needs the key already
		return nil, err
	}
	for range 2 {
		key, err := v.Derive(auditKey)
		if err != nil {
			return nil, err
		}
		s, err := store.Open(ctx, h.settings.Database(), store.Options{Replica: h.replica, AuditKey: key, Log: h.log})
		if err != nil {
			return nil, err
		}
		if err := v.Check(ctx, s); err != nil {
			return nil, errors.Join(err, s.Close())
		}
		right, err := v.Derive(auditKey)
		if err != nil {
			return nil, errors.Join(err, s.Close())
		}
		if bytes.Equal(key, right) {
			return s, nil
		}
		if err := s.Close(); err != nil { // the store has another root than we thought
			return nil, err
		}
	}
	return nil, &core.Error{Code: core.CodeConflict, Message: "the root key of the store changes while it is opened", Fix: "start again"}
}

// auditKey names the key of the audit trail among those that are derived.
const auditKey = "audit"

// use hands a State to everybody who answers calls, then changes what is served.
func (h *gatehouse) use(ctx context.Context, before, state *core.State) error {
	d := &h.door
	if err := d.authz.Use(state); err != nil {
		return fmt.Errorf("policies: %w", err)
	}
	d.vault.Use(state)
	d.authn.Use(state)
	d.callers.Use(state)
	if err := d.bounds.Use(state); err != nil {
		h.log.Error("a limit of the store cannot be used and is left out", "error", err)
	}
	d.records.Use(state)
	h.sessions.Use(state)
	d.stock.use(state)
	h.settle(ctx, state)
	if before == nil || !samePins(before.Pins, state.Pins) {
		for _, t := range h.estate.all() {
			t.remotes.Rejudge()
		}
	}
	return nil
}

// restock loads documents again whose modules could not be had while the store was away.
func (h *gatehouse) restock() {
	if h.door.stock.again() {
		h.lookAgain()
	}
}

// settle makes the estate what a State says: tenants come and go, and documents that
// changed, or whose secrets did, are loaded again.
func (h *gatehouse) settle(ctx context.Context, state *core.State) {
	wanted := map[string][]core.Document{core.DefaultTenant: nil}
	for i := range state.Tenants {
		if t := &state.Tenants[i]; !t.Disabled {
			wanted[t.ID] = nil
		}
	}
	for i := range state.Documents {
		if one := state.Documents[i]; !one.Gone {
			if _, known := wanted[one.Tenant]; known {
				wanted[one.Tenant] = append(wanted[one.Tenant], one)
			}
		}
	}
	for id := range wanted {
		if h.estate.get(id) == nil {
			h.estate.add(h.newTenant(id))
		}
	}
	for _, t := range h.estate.all() {
		documents, keep := wanted[t.id]
		if !keep {
			h.evict(t)
			continue
		}
		switch changed := t.adopt(documents, state.Credentials, h.door.stock.approved(t.id)); {
		case changed && t.begun.Load():
			t.reload(ctx)
		case h.serving.Load() && !t.begun.Load():
			problems, _ := t.begin(ctx)
			logProblems(ctx, t.log, problems)
		}
	}
}

// evict takes a tenant off the air, and closes it when its calls have ended.
func (h *gatehouse) evict(t *tenant) {
	h.estate.remove(t.id)
	h.estate.work.Go(func() {
		ctx, stop := context.WithTimeout(context.Background(), drainTenant)
		defer stop()
		if err := t.close(ctx); err != nil {
			t.log.Warn("close a tenant", "error", err)
		}
	})
}

// drainTenant is how long the calls of a tenant that is gone may still run.
const drainTenant = time.Minute

// doorkeeper is nil where callers are not asked who they are.
func (d *door) doorkeeper() web.Doorkeeper {
	if d.open {
		return nil
	}
	return d.authn
}

// begin reads the State, from disk where the store is away, and says whether the first
// administrator is still to be made.
func (h *gatehouse) begin(ctx context.Context) (setup core.Secret, err error) {
	d := &h.door
	if d.store == nil {
		return "", nil
	}
	last, at, lost := h.lastKnown()
	if err := d.late.begin(ctx, last != nil); err != nil {
		return "", err
	}
	err = d.keeper.refresh(ctx)
	switch {
	case err == nil:
	case last == nil:
		if lost != nil {
			h.log.Error("what was written to disk last cannot be read", "error", lost)
		}
		return "", err
	default:
		h.log.Warn("serving the state that was written to disk last", "read", at)
		if err := d.keeper.restore(ctx, last); err != nil {
			return "", err
		}
		return "", nil
	}
	h.restoreQuotas(ctx)
	setup, needed, err := d.logins.EnsureSetup(ctx)
	if err != nil || !needed {
		return "", err
	}
	return setup, nil
}

// restoreQuotas counts what was used today before this process began.
func (h *gatehouse) restoreQuotas(ctx context.Context) {
	if err := h.door.bounds.Restore(ctx); err != nil {
		h.log.Warn("quotas begin anew: what was used today could not be read", "error", err)
	}
}

// lastKnown reads the State that was written to disk last; nil when there is none.
func (h *gatehouse) lastKnown() (*core.State, time.Time, error) {
	if h.door.snapshot == nil {
		return nil, time.Time{}, nil
	}
	state, at, err := h.door.snapshot.Load()
	if err != nil {
		return nil, time.Time{}, err
	}
	return state, at, nil
}

// run looks after all of it until ctx ends.
func (d *door) run(ctx context.Context) {
	var work sync.WaitGroup
	for _, f := range d.work {
		work.Go(func() { f(ctx) })
	}
	<-ctx.Done()
	work.Wait()
}

// close lets go of the store, when everybody who writes has ended.
func (d *door) close(context.Context) error {
	var errs []error
	if d.snapshot != nil {
		errs = append(errs, d.snapshot.Close())
	}
	for _, f := range d.end {
		errs = append(errs, f())
	}
	return errors.Join(errs...)
}

// kv is where the plugins of a tenant keep things; nil = in memory.
func (d *door) kv(tenant string) hostcall.Store {
	if d.store == nil {
		return nil
	}
	return hostcall.NewRows(d.late, tenant, time.Now) // what they keep changes nothing that is served
}

// modules is where the plugins of a tenant find modules of the store; nil = there is none.
func (d *door) modules(tenant string) storedModules {
	if d.stock == nil {
		return nil
	}
	return func(ctx context.Context, name string) (*registry.Artifact, error) {
		return d.stock.artifact(ctx, tenant, name)
	}
}

// adopt takes the documents of the store, and tells whether they, or the secrets and
// modules that they may name, are others than before.
func (t *tenant) adopt(documents []core.Document, credentials []core.Credential, modules map[string]string) bool {
	type part struct {
		Name   string
		Number int64
		Text   string
		Set    time.Time
		Sealed string
	}
	var all []part
	for i := range documents {
		all = append(all, part{Name: documents[i].Name, Number: documents[i].Number, Text: documents[i].Text})
	}
	for i := range credentials {
		if c := &credentials[i]; c.Tenant == t.id && c.Owner == "" {
			all = append(all, part{Name: c.Name, Set: c.Set, Sealed: c.Sealed})
		}
	}
	text, err := json.Marshal([]any{all, modules})
	same := err == nil && t.stored.Load() != nil && bytes.Equal(text, t.adopted)
	t.adopted = text
	t.stored.Store(&documents)
	return !same
}
