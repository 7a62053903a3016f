package web

import (
	"context"
	"net/netip"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"
)

// serveAPI gives a request below /api/ to the API.
func (c *call) serveAPI(rc *fasthttp.RequestCtx) {
	if c.edge.api == nil {
		c.refuse(rc, refusePath)
		return
	}
	r := &apiRequest{
		method: string(rc.Method()), header: &c.head, host: c.head.host, origin: c.head.origin, encoded: c.head.encoded,
		body: c.body(rc), id: c.id, address: c.address(), public: c.publicOrigin(), secure: c.secure(),
	}
	from, err := netip.ParseAddr(r.address)
	r.near = c.conn.local.IsLoopback() && err == nil && from.IsLoopback()
	r.path, r.query, _ = target(c.head.target, c.head.host) // accepted already
	c.edge.inFlight.Add(1)
	defer c.edge.inFlight.Add(-1)
	ctx := &c.life
	ctx.Begin(context.Background(), time.Time{})
	defer ctx.Cancel(nil)
	c.conn.begin(ctx)
	defer c.conn.end()
	c.edge.api.handle(ctx, r, c)
	c.settle(rc, ctx)
}

func decimal(n int64) string { return strconv.FormatInt(n, 10) }
