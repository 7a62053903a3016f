package app

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
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
	plugins   *pluginHouse
	changed   chan struct{} // something outside the documents asks for another load
	gateway   *gateway.Gateway
	sessions  *web.Sessions
	edge      *web.Edge
	state     state
	loading   sync.Mutex
	resources []string                                  // files of resources in what is served; used by load only
	fileSums  map[gateway.WatchedFile][sha256.Size]byte // used by load only
}

// newGatehouse puts the parts together. Nothing listens yet.
func newGatehouse(ctx context.Context, s config.Settings, c console, all gateway.Kinds) (*gatehouse, error) {
	if err := web.CheckListen(s.Listen, false); err != nil {
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
	h := &gatehouse{settings: s, console: c, telemetry: seen, log: seen.Logger(), changed: make(chan struct{}, 1)}
	h.kinds = gateway.Kinds{
		Invokers: seen.Invokers(all.Invokers), Transformers: seen.Transformers(all.Transformers),
		Requests: seen.Requests(all.Requests), Authorizers: seen.Authorizers(all.Authorizers), Catalogues: seen.Catalogues(all.Catalogues),
	}
	h.egress = egress.New(egress.Options{Allow: s.Egress.Allow, Observer: seen, Log: h.log})
	if h.plugins, err = openPlugins(s.Plugins, pluginDir(s.Data), h.egress, seen, h.log, h.lookAgain); err != nil {
		return nil, err
	}
	h.gateway = gateway.New(gateway.Options{
		Kinds: h.kinds, Plugins: seen.TracePlugins(h.plugins.Host), Dial: h.egress, Authorizer: core.AllowAll{}, Observer: seen, Log: h.log, Now: time.Now,
	})
	if err := h.openEdge(); err != nil {
		_ = h.plugins.close(ctx) // nothing was loaded: only its directory goes
		return nil, err
	}
	seen.Gauge("sallyport_sessions", "Sessions in memory.", func() int64 { return int64(h.sessions.Len()) })
	return h, nil
}

// lookAgain asks for another load of the documents. It does not wait for it.
func (h *gatehouse) lookAgain() {
	select {
	case h.changed <- struct{}{}:
	default: // one is asked for already, and has not begun
	}
}

// openEdge makes sessions, the MCP endpoint and the HTTP edge.
func (h *gatehouse) openEdge() error {
	ring, err := h.keyring()
	if err != nil {
		return err
	}
	sealer := session.NewSealer(ring, nil)
	h.sessions = web.NewSessions(web.SessionOptions{
		Sealer: sealer, Idle: h.settings.Sessions.Idle, Max: h.settings.Sessions.Max, Limit: h.settings.Sessions.Limit, Log: h.log,
	})
	endpoint := mcp.New(mcp.Options{Sessions: h.sessions, Sealer: sealer, Observer: h.telemetry, Log: h.log, Now: time.Now})
	l := h.settings.Limits
	h.edge, err = web.New(web.Options{
		Servers: h.telemetry.Traced(h.gateway), Endpoint: endpoint,
		Hosts: h.settings.AllowedHosts, Origins: h.settings.AllowedOrigins, TrustedProxies: h.settings.TrustedProxies,
		Ready: h.state.readiness, Metrics: h.metrics, Observer: h.telemetry, Log: h.log,
		Limits: web.Limits{
			Body: int(l.Body), Head: int(l.Headers), Read: l.Read, Idle: l.Idle, Write: l.Write, InFlight: l.InFlight,
			Streams: l.Streams, Connections: l.Connections, PerIP: l.PerAddress, Heartbeat: l.KeepAlive,
		},
		Drain: web.DrainTimes{Lag: h.settings.Drain.Lag, Stop: h.settings.Drain.Stop},
	})
	return err
}

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
	problems, refused := h.load(ctx, docs)
	if refused {
		report(h.console.err, problems)
		return exitWrong
	}
	h.logProblems(ctx, problems)
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
	work.Go(func() { docs.watch(inner, h.log, h.lookAgain) })
	work.Go(func() { h.plugins.Run(inner) })
	work.Go(func() { h.reloads(inner, docs) })
	stopAdmin, err := h.serveAdmin(inner, docs)
	if err != nil {
		stop()
		work.Wait()
		_ = ln.Close() // nobody was accepted
		return h.console.complain("serve", err)
	}
	defer stopAdmin()
	served := make(chan error, 1)
	go func() { served <- h.edge.Serve(ctx, ln) }()
	h.log.Info("serving", "address", ln.Addr().String(), "revision", h.gateway.Revision(), "version", version)
	ready(ln)
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
	if err := h.gateway.Close(ctx); err != nil {
		h.log.Warn("close the gateway", "error", err)
	}
	if err := h.plugins.close(ctx); err != nil {
		h.log.Warn("close plugins", "error", err)
	}
	if err := h.egress.Close(); err != nil {
		h.log.Warn("close egress", "error", err)
	}
	if err := h.telemetry.Shutdown(ctx); err != nil {
		fmt.Fprintln(h.console.err, "sallyport: send the last traces:", err)
	}
}
