package app

import (
	"context"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/web"
	"github.com/sallyport/sallyport/plugins/hostcall"
)

// door is what stands between callers and servers: who they are, what they may, how
// much, and what is kept of it. The zero value lets everybody do everything.
type door struct {
	authorizer core.Authorizer
	limiter    core.Limiter
	recorder   core.Recorder
	accounts   core.Accounts
	scopes     func(who core.Identity, server *core.Server, need []string) error
	vault      core.Vault
	api        *web.API // nil where there is no admin API
}

func (h *gatehouse) openDoor(context.Context, core.Sealer) error {
	h.door.authorizer = core.AllowAll{}
	return nil
}

func (d *door) doorkeeper() web.Doorkeeper { return nil }

func (d *door) kv(string) hostcall.Store { return nil }

func (d *door) begin(context.Context) error { return nil }

func (d *door) run(ctx context.Context) { <-ctx.Done() }

func (d *door) close(context.Context) error { return nil }
