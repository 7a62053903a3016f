package app

import (
	"context"
	"net"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/web"
)

// serveAdmin starts the admin plane where the settings want it. stop waits until it has
// ended, which it does with ctx.
func (h *gatehouse) serveAdmin(ctx context.Context, docs *documentSet) (stop func(), err error) {
	address := h.settings.Admin.Address()
	if address == "" {
		return func() {}, nil
	}
	api, err := web.NewAPI(web.APIOptions{
		Operator: h.settings.Admin.Token, Plugins: func(string) []core.PluginStatus { return h.plugins.Status() }, Log: h.log,
		Reload: func(ctx context.Context) web.Reloaded {
			h.plugins.Refresh() // which asks for a load: this one
			select {
			case <-h.changed:
			default:
			}
			problems, refused := h.reload(context.WithoutCancel(ctx), docs)
			return web.Reloaded{Applied: !refused, Revision: h.gateway.Revision(), Problems: problems}
		},
	})
	if err != nil {
		return nil, err
	}
	admin, err := web.New(web.Options{
		API: api, Hosts: h.settings.AllowedHosts, TrustedProxies: h.settings.TrustedProxies, Log: h.log,
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
