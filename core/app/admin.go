package app

import (
	"context"
	"encoding/json"
	"net"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/config"
	"github.com/sallyport/sallyport/core/web"
)

// serveAdmin starts the admin plane where the settings want it. stop waits until it has
// ended, which it does with ctx.
func (h *gatehouse) serveAdmin(ctx context.Context) (stop func(), err error) {
	address := h.settings.Admin.Address()
	if address == "" {
		return func() {}, nil
	}
	admin, err := web.New(web.Options{
		API: h.door.api, Hosts: h.settings.AllowedHosts, TrustedProxies: h.settings.TrustedProxies, Log: h.log,
		Limits: web.Limits{PerIP: 64, Connections: 256}, Drain: web.DrainTimes{Stop: 5 * time.Second},
	})
	if err != nil {
		return nil, err
	}
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, &core.Error{Message: "listen on " + address + " for the admin plane", Err: err, Fix: "free the address, or name another with --admin-listen HOST:PORT"}
	}
	ended := make(chan struct{})
	ctx, end := context.WithCancel(ctx)
	go func() {
		defer close(ended)
		if err := admin.Serve(ctx, ln); err != nil {
			h.log.Error("the admin plane ended", "error", err)
		}
	}()
	h.log.Info("serving the admin plane", "address", ln.Addr().String())
	return func() { end(); <-ended }, nil
}

// openAPI makes the admin API.
func (h *gatehouse) openAPI() (err error) {
	if h.settings.Admin.Listen == "off" {
		return nil
	}
	d := &h.door
	h.door.api, err = web.NewAPI(web.APIOptions{
		Store: d.store, Away: d.away, Authorizer: d.authz, Policies: policies{d.authz}, Logins: people{d.logins}, Tokens: d.authn,
		Operator: h.settings.Admin.Token, Sealer: d.vault, Keys: keys{d.vault, d.store}, Sessions: h.sessions,
		Trail:  trail{d.store, func() ([]byte, error) { return d.vault.Derive(auditKey) }},
		Health: h.health, Plugins: h.pluginsOf, Upstreams: h.upstreamsOf, Modules: modules{h},
		Used: d.used, Accounts: connecting{d.callers},
		Documents: d.desk, Trials: trials{h}, Served: h.servedIn,
		DocumentSchema: func() json.RawMessage { return config.Schema(reading(h.kinds, h.console.lookup)) },
		Reload:         func(ctx context.Context) web.Reloaded { return h.reloadNow(context.WithoutCancel(ctx)) },
		Origins:        h.settings.AllowedOrigins, Now: time.Now, Log: h.log,
	})
	return err
}

// away is an error while it is known that the store does not answer.
func (d *door) away() error {
	if d.keeper.up() {
		return nil
	}
	return &core.Error{Code: core.CodeUnavailable, Message: "the store does not answer", Fix: "try again when the database is back; MCP calls go on meanwhile", RetryAfter: 5}
}

// health tells how this process is.
func (h *gatehouse) health() web.Health {
	about := web.Health{
		Readiness: h.estate.first().state.readiness(), Version: version, Replica: h.replica, Started: h.started, StoreAway: !h.door.keeper.up(),
	}
	if state := h.door.keeper.state(); state != nil {
		about.StateRevision, about.StateLoaded = state.Revision, &state.Loaded
	}
	return about
}

// pluginsOf lists the plugins of a tenant.
func (h *gatehouse) pluginsOf(id string) []core.PluginStatus {
	if id == core.EveryTenant {
		return h.estate.plugins()
	}
	if t := h.estate.get(id); t != nil {
		return t.plugins.Status()
	}
	return nil
}

// reloadNow reads documents, plugins and the tags of registries of every tenant again.
func (h *gatehouse) reloadNow(ctx context.Context) web.Reloaded {
	done := web.Reloaded{Applied: true}
	for _, t := range h.estate.all() {
		t.plugins.Refresh() // which asks for a load: this one
		select {
		case <-h.changed:
		default:
		}
		problems, refused := t.reload(ctx)
		done.Applied = done.Applied && !refused
		done.Problems = append(done.Problems, problems...)
	}
	done.Revision = h.estate.first().gateway.Revision()
	return done
}
