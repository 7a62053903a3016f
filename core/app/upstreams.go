package app

import (
	"context"
	"slices"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/child"
	"github.com/sallyport/sallyport/core/config"
	"github.com/sallyport/sallyport/core/roster"
)

// allowed is what the settings let run.
func allowed(s config.Settings) child.Allow {
	return child.Allow{Commands: s.Upstreams.Allowed(), Env: s.Upstreams.Env}
}

// rosterOptions says how the upstreams of a tenant are kept.
func (h *gatehouse) rosterOptions(t *tenant) roster.Options {
	o := roster.Options{
		Tenant: t.id, Allow: allowed(h.settings), Version: version, Log: t.log, Now: time.Now,
		Changed: func() {
			select {
			case t.stale <- struct{}{}:
			default: // it is asked for already, and has not begun
			}
		},
		Updated: func(upstream, uri string) { t.gateway.UpstreamChanged(upstream, uri) },
		Listed:  func(upstream string, kind core.ChangeKind) { t.gateway.UpstreamListed(upstream, kind) },
	}
	if d := &h.door; d.late != nil {
		o.Pins, o.Change = h.pinsOf(t.id), h.pinning(t.id)
	}
	return o
}

// pinsOf reads what was approved of the upstreams of a tenant: from the store, and while
// that is away, what was read of it last.
func (h *gatehouse) pinsOf(tenant string) func(context.Context) ([]core.Pin, error) {
	return func(ctx context.Context) ([]core.Pin, error) {
		var list []core.Pin
		for after := ""; ; {
			var page []core.Pin
			next, err := h.door.late.List(ctx, &page, core.Query{Tenant: tenant, After: after, Limit: pinPage})
			if core.AsError(err).Code == core.CodeUnavailable && err != nil {
				if state := h.door.keeper.state(); state != nil {
					return slices.Clone(state.Pins), nil
				}
			}
			if err != nil {
				return nil, err
			}
			list = append(list, page...)
			if next == "" {
				return list, nil
			}
			after = next
		}
	}
}

const pinPage = 500

// pinning writes what upstreams offer, audited as the gateway's own doing. The store
// beneath the keeper is written: whoever is told of the change loads documents, and those
// may wait for this.
func (h *gatehouse) pinning(tenant string) func(context.Context, string, func(context.Context, core.Tx) error) error {
	return func(ctx context.Context, upstream string, f func(context.Context, core.Tx) error) error {
		return h.door.late.Change(ctx, &core.AuditEntry{Tenant: tenant, Actor: "gateway", Action: "pin.met", Kind: "pin", Name: upstream, Outcome: "ok"}, f)
	}
}

// samePins tells whether two lists of pins approve the same.
func samePins(a, b []core.Pin) bool {
	return slices.EqualFunc(a, b, func(x, y core.Pin) bool {
		return x.Key() == y.Key() && x.Sum == y.Sum && x.State == y.State
	})
}

// upstreamsOf tells how the upstreams of a tenant are.
func (h *gatehouse) upstreamsOf(tenant string) []core.RemoteStatus {
	if t := h.estate.get(tenant); t != nil {
		return t.remotes.Status()
	}
	return nil
}
