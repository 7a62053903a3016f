package plugins

import (
	"context"
	"errors"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/plugins/abi"
)

// authorizer lets calls pass, or not.
type authorizer struct{ plugin *Plugin }

// NeedsValues returns false: a guest gets the arguments as bytes.
func (*authorizer) NeedsValues() bool { return false }

// AuthorizeCall asks the guest. Only OK with nothing behind it lets the call pass; the
// text of DENIED is told to the caller, and every other cause to the log only.
func (z *authorizer) AuthorizeCall(ctx context.Context, call *core.Call) error {
	a, err := z.plugin.call(ctx, authorizes, call, call.Tool, call.Arguments)
	switch {
	case err == nil && a.Status == abi.OK && len(a.Payload) == 0, z.plugin.host.failOpen:
		return nil
	case err == nil:
		err = z.plugin.unexpected(authorizes, "answered "+a.Status.String()+" with a payload or where only OK and DENIED are answers")
	}
	var said *core.Error
	if errors.As(err, &said) && said.Code == core.CodeDenied {
		return &core.Error{Code: core.CodeDenied, Message: said.Message, Err: deniedError(z.plugin.name)}
	}
	log := z.plugin.host.log
	if v := z.plugin.version; v != nil {
		log = v.log
	}
	log.Warn("plugin did not decide: the call is denied", "plugin", z.plugin.name, "server", call.Server, "tool", call.Tool, "error", err)
	return &core.Error{Code: core.CodeDenied, Message: "denied: plugin " + z.plugin.name + " could not decide about this call", Err: err}
}

// deniedError is the cause of a refusal, for the log.
type deniedError string

func (e deniedError) Error() string { return "plugin " + string(e) + " denied it" }

var (
	_ core.CallAuthorizer = (*authorizer)(nil)
	_ core.Frugal         = (*authorizer)(nil)
)
