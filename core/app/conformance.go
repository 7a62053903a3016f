package app

import (
	"context"
	"fmt"
	"log/slog"
	"net"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/config"
	"github.com/sallyport/sallyport/core/fixture"
)

type conformanceCommand struct {
	Listen string `help:"Address to listen on; port 0 takes a free one." default:"127.0.0.1:8090" placeholder:"HOST:PORT"`
}

// run serves the fixture at /mcp through the same parts as serve does.
func (k *conformanceCommand) run(ctx context.Context, c console) int {
	settings := config.Defaults()
	settings.Listen, settings.Data, settings.Drain.Lag = k.Listen, "", 0
	settings.Access.Callers, settings.Admin.Listen = "open", "off"
	settings.Log.Format = "text"
	settings.Log.Level = "warn"
	house, err := newGatehouse(ctx, settings, c, fixtureKinds())
	if err != nil {
		return c.complain("conformance-server", err)
	}
	docs := &documentSet{
		read: func() (core.Config, []core.Problem) {
			return config.ReadText("fixture.yaml", fixture.Document(), config.Options{Invokers: house.kinds.Invokers})
		},
		watch: func(context.Context, *slog.Logger, func()) {},
		also:  func(...string) {},
	}
	return house.run(ctx, docs, func(ln net.Listener) {
		fmt.Fprintf(c.out, "listening on %s\nthe fixtures of the MCP conformance suites are at %s/mcp\n", originOf(ln), originOf(ln))
	})
}
