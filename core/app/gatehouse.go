package app

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/config"
	"github.com/sallyport/sallyport/core/egress"
	"github.com/sallyport/sallyport/core/gateway"
	"github.com/sallyport/sallyport/core/mcp"
	"github.com/sallyport/sallyport/core/session"
	"github.com/sallyport/sallyport/core/telemetry"
	"github.com/sallyport/sallyport/core/web"
)

// gatehouse is one running gateway: every part, put together once.
type gatehouse struct {
	settings  config.Settings
	console   console
	telemetry *telemetry.Telemetry
	log       *slog.Logger
	kinds     gateway.Kinds
	egress    *egress.Egress
	changed   chan struct{} // something outside the documents asks for another load
	replica   string        // random, for each start
	started   time.Time
	setup     core.Secret // token that makes the first administrator; "" = there is one
	quiet     bool        // nothing is printed but what is wrong
	serving   atomic.Bool // the tenants of the start are loaded: later ones are when they come
	door      door
	estate    *estate
	sessions  *web.Sessions
	edge      *web.Edge
}

// newGatehouse puts the parts together. Nothing listens yet.
func newGatehouse(ctx context.Context, s config.Settings, c console, all gateway.Kinds) (h *gatehouse, err error) {
	if err := web.CheckListen(s.Listen, !s.Access.Open()); err != nil {
		return nil, err
	}
	tuneMemory(c.lookup, limitFiles)
	endpoint, _ := c.lookup("OTEL_EXPORTER_OTLP_ENDPOINT")
	seen, err := telemetry.New(ctx, telemetry.Options{
		Output: c.err, Format: s.Log.Format, Level: s.Log.Level, Requests: s.Log.Requests,
		Version: version, Source: revisionOfBuild(), Endpoint: endpoint,
	})
	if err != nil {
		return nil, fmt.Errorf("set up telemetry: %w", err)
	}
	h = &gatehouse{
		settings: s, console: c, telemetry: seen, log: seen.Logger(), changed: make(chan struct{}, 1), estate: newEstate(),
		replica: "r-" + strings.ToLower(rand.Text()[:16]), started: time.Now(),
	}
	h.kinds = gateway.Kinds{
		Invokers: seen.Invokers(all.Invokers), Transformers: seen.Transformers(all.Transformers),
		Requests: seen.Requests(all.Requests), Authorizers: seen.Authorizers(all.Authorizers), Catalogues: seen.Catalogues(all.Catalogues),
	}
	h.egress = egress.New(egress.Options{Allow: s.Egress.Allow, Observer: seen, Log: h.log})
	seen.Plugins(h.estate.plugins)
	sealer, err := h.sealer()
	if err != nil {
		return nil, err
	}
	h.sessions = web.NewSessions(web.SessionOptions{
		Sealer: sealer, Idle: s.Sessions.Idle, Max: s.Sessions.Max, Limit: s.Sessions.Limit, Log: h.log,
	})
	if err := h.openDoor(ctx); err != nil {
		return nil, err
	}
	first := h.newTenant(core.DefaultTenant)
	if err := first.plugins.ready(); err != nil {
		return nil, errors.Join(err, h.door.close(ctx))
	}
	h.estate.add(first)
	if err := h.openEdge(sealer); err != nil {
		// Nothing was loaded: only the directory of the plugins goes.
		return nil, errors.Join(err, first.close(ctx), h.door.close(ctx))
	}
	seen.Gauge("sallyport_sessions", "Sessions in memory.", func() int64 { return int64(h.sessions.Len()) })
	return h, nil
}

// openPlugins makes the host of plugins of a tenant.
func (h *gatehouse) openPlugins(tenant string) (*pluginHouse, error) {
	dir := pluginDir(h.settings.Data)
	var observer core.Observer = ofTenant{h.telemetry, ""}
	if tenant != core.DefaultTenant {
		observer = ofTenant{h.telemetry, tenant + "/"}
		if dir != "" {
			dir = filepath.Join(dir, "tenants", tenant)
		}
	}
	return openPlugins(h.settings.Plugins, dir, h.egress, observer, h.log, h.door.kv(tenant), h.door.modules(tenant), h.lookAgain)
}

// ofTenant tells of plugins under the name of their tenant. The state of all plugins is
// registered once, for all tenants.
type ofTenant struct {
	core.Observer
	prefix string
}

// PluginCalled tells of a call.
func (o ofTenant) PluginCalled(e core.PluginEvent) {
	e.Plugin = o.prefix + e.Plugin
	o.Observer.PluginCalled(e)
}

// PluginMetric tells of a metric of a plugin.
func (o ofTenant) PluginMetric(plugin, name string, kind core.MetricKind, value float64) {
	o.Observer.PluginMetric(o.prefix+plugin, name, kind, value)
}

// Plugins does nothing: the gatehouse has registered the plugins of all tenants.
func (ofTenant) Plugins(func() []core.PluginStatus) {}

// lookAgain asks for another load of the documents. It does not wait for it.
func (h *gatehouse) lookAgain() {
	select {
	case h.changed <- struct{}{}:
	default: // one is asked for already, and has not begun
	}
}

// sealer seals what leaves the process for a while: session ids, states of logins.
func (h *gatehouse) sealer() (core.Sealer, error) {
	ring, err := h.keyring()
	if err != nil {
		return nil, err
	}
	return session.NewSealer(ring, nil), nil
}

// openEdge makes sessions, the MCP endpoint and the HTTP edge.
func (h *gatehouse) openEdge(sealer core.Sealer) (err error) {
	endpoint := mcp.New(mcp.Options{Sessions: h.sessions, Sealer: sealer, Observer: h.telemetry, Log: h.log, Now: time.Now})
	l := h.settings.Limits
	h.edge, err = web.New(web.Options{
		Servers: servers{h.telemetry.Traced(h.estate), h.estate}, Endpoint: endpoint, API: h.sameAPI(), Doorkeeper: h.door.doorkeeper(), Public: h.settings.Access.Public,
		Hosts: h.settings.AllowedHosts, Origins: h.settings.AllowedOrigins, TrustedProxies: h.settings.TrustedProxies,
		Ready: h.estate.first().state.readiness, Metrics: h.metrics, Watching: h.watching(), Observer: h.telemetry, Log: h.log,
		Limits: web.Limits{
			Body: int(l.Body), Head: int(l.Headers), Read: l.Read, Idle: l.Idle, Write: l.Write, InFlight: l.InFlight,
			Streams: l.Streams, Connections: l.Connections, PerIP: l.PerAddress, Heartbeat: l.KeepAlive,
		},
		Drain: web.DrainTimes{Lag: h.settings.Drain.Lag, Stop: h.settings.Drain.Stop},
	})
	return err
}

// watching tells who may read metrics from another machine: whoever may read the health
// of every tenant, since metrics name what all of them serve.
func (h *gatehouse) watching() func(core.HeaderSource, string) bool {
	d := &h.door
	if d.open {
		return nil // only callers on this machine come at all
	}
	return func(header core.HeaderSource, address string) bool {
		token, found := strings.CutPrefix(header.Get("Authorization"), "Bearer ")
		if !found {
			return false
		}
		who, err := d.authn.Identify(core.Secret(token), address)
		return err == nil && d.authz.Authorize(context.Background(), who, core.ActionRead, core.Object{Kind: "health", Tenant: core.EveryTenant}) == nil
	}
}

// sameAPI is the admin API where it stands beside the MCP servers.
func (h *gatehouse) sameAPI() *web.API {
	if h.settings.Admin.Same() {
		return h.door.api
	}
	return nil
}

// servers finds servers, and says whose they are.
type servers struct {
	telemetry.Finder
	*estate
}

// Find finds a server, with a span around its calls.
func (s servers) Find(prefix string) core.Handler { return s.Finder.Find(prefix) }

// keyring opens the keys that seal session ids: in the data directory, so that
// sessions outlive a restart; in memory when there is none.
func (h *gatehouse) keyring() (*session.Keyring, error) {
	if h.settings.Data == "" {
		return session.NewKeyring(session.KeyringOptions{})
	}
	ring, err := session.OpenKeyring(h.settings.Data, session.KeyringOptions{})
	if err != nil {
		return nil, &core.Error{
			Message: "open the keys in the data directory " + h.settings.Data, Err: err,
			Fix: "name a directory that the gateway may write with --data DIR, or keep nothing with --data ''",
		}
	}
	if time.Since(ring.Made()) > keyAge {
		if err := ring.Rotate(); err != nil {
			return nil, fmt.Errorf("rotate the keys in %s: %w", h.settings.Data, err)
		}
	}
	return ring, nil
}

// keyAge is the age at which a start makes a new key; the old one still opens what
// it sealed until that has expired.
const keyAge = 30 * 24 * time.Hour

func (h *gatehouse) metrics() (body []byte, contentType string) {
	body, contentType, err := h.telemetry.Metrics()
	if err != nil {
		h.log.Error("collect metrics", "error", err)
	}
	return body, contentType
}

// run serves until ctx ends, and returns the exit code. ready is called once when
// connections are accepted.
func (h *gatehouse) run(ctx context.Context, docs *documentSet, ready func(net.Listener)) int {
	defer h.close(context.WithoutCancel(ctx))
	first := h.estate.first()
	first.files = docs
	var err error
	if h.setup, err = h.begin(ctx); err != nil {
		return h.console.complain("serve", err)
	}
	problems, refused := first.begin(ctx)
	if refused {
		report(h.console.err, problems)
		return exitWrong
	}
	logProblems(ctx, h.log, problems)
	for _, t := range h.estate.all() {
		if t != first {
			problems, _ := t.begin(ctx)
			logProblems(ctx, t.log, problems)
		}
	}
	h.serving.Store(true)
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", h.settings.Listen)
	if err != nil {
		return h.console.complain("serve", &core.Error{
			Message: "listen on " + h.settings.Listen, Err: err, Fix: "free the address, or name another with --listen HOST:PORT",
		})
	}
	// What the requests under way need outlives the signal: it ends after the drain.
	inner, stop := context.WithCancel(context.WithoutCancel(ctx))
	var work sync.WaitGroup
	work.Go(func() { h.sessions.Run(inner) })
	if docs != nil {
		work.Go(func() { docs.watch(inner, h.log, h.lookAgain) })
	}
	work.Go(func() { h.estate.run(inner) })
	work.Go(func() { h.reloads(inner) })
	work.Go(func() { h.door.run(inner) })
	stopAdmin, err := h.serveAdmin(inner)
	if err != nil {
		stop()
		work.Wait()
		_ = ln.Close() // nobody was accepted
		return h.console.complain("serve", err)
	}
	defer stopAdmin()
	served := make(chan error, 1)
	go func() { served <- h.edge.Serve(ctx, ln) }()
	h.log.Info("serving", "address", ln.Addr().String(), "revision", first.gateway.Revision(), "version", version)
	ready(ln)
	h.tellSetup(h.setup, ln)
	err = <-served
	stop()
	work.Wait()
	if err != nil && !errors.Is(err, net.ErrClosed) {
		return h.console.complain("serve", err)
	}
	return exitOK
}

// close lets go of everything, newest first.
func (h *gatehouse) close(ctx context.Context) {
	ctx, stop := context.WithTimeout(ctx, 5*time.Second)
	defer stop()
	if err := h.estate.close(ctx); err != nil {
		h.log.Warn("close the tenants", "error", err)
	}
	if err := h.door.close(ctx); err != nil {
		h.log.Warn("close the store", "error", err)
	}
	if err := h.egress.Close(); err != nil {
		h.log.Warn("close egress", "error", err)
	}
	if err := h.telemetry.Shutdown(ctx); err != nil {
		fmt.Fprintln(h.console.err, "sallyport: send the last traces:", err)
	}
}

// tellSetup prints how to make the first administrator: the token is shown here only.
func (h *gatehouse) tellSetup(token core.Secret, ln net.Listener) {
	if token == "" || h.quiet {
		return
	}
	origin := h.settings.Access.Public
	if origin == "" {
		origin = originOf(ln)
		if address := h.settings.Admin.Address(); address != "" {
			origin = "http://" + address
		}
	}
	fmt.Fprintf(h.console.out, "\nnobody can administer this gateway yet. Make the first administrator, once, with this setup token:\n\n"+
		"    %s\n\n  curl -s %s/api/v1/setup -H 'Content-Type: application/json' \\\n"+
		"    -d '{\"token\":\"%s\",\"name\":\"admin\",\"password\":\"…\"}'\n"+
		"  or: sallyport admin setup --url %s\n", token.Reveal(), origin, token.Reveal(), origin)
}
