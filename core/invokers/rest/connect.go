package rest

import (
	"encoding/json"
	"errors"
	"strings"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

// connectKey names the question whose answer is a connected account.
const connectKey = "connect"

// connect answers a call whose caller has no token for the connection. One that must
// connect an account first is asked to by its client, where that can open a page
// (elicitation in mode url, MCP 2025-11-25 and later), and once; elsewhere the model is
// told where, so that it can tell its user.
func (v *Invoker) connect(call *core.Call, err error) (*core.Result, error) {
	var e *core.Error
	if !errors.As(err, &e) {
		return nil, err
	}
	switch e.Code {
	case core.CodeConnect:
	case core.CodeUnauthenticated, core.CodeDenied, core.CodeNotFound:
		return nil, &refusal{text: e.Public() + ".", err: e}
	default:
		return nil, err
	}
	var at struct {
		URL       string `json:"url"`
		Connector string `json:"connector"`
	}
	if err := wire.Unmarshal(e.Details, &at); err != nil || at.URL == "" {
		return nil, &final{e}
	}
	_, asked := call.InputResponses[connectKey]
	switch {
	case asked:
		return nil, refuse("The account at %s is not connected yet. It can be connected at %s; after that, call again.", at.Connector, at.URL)
	case strings.Contains(at.URL, "://") && opensPages(call.Client.Capabilities):
		params := wire.AppendString([]byte(`{"mode":"url","message":`), "Connect your account at "+at.Connector+", which this takes.")
		params = append(wire.AppendString(append(params, `,"url":`...), at.URL), '}')
		return &core.Result{InputRequests: []core.InputRequest{{Key: connectKey, Method: "elicitation/create", Params: params}}}, nil
	case call.For.Kind != "" && call.For.Kind != "tool":
		return nil, &final{e}
	}
	return nil, refuse("This takes an account of the user's own at %s, which is not connected. The user can connect it at %s; after that, call again.", at.Connector, at.URL)
}

// opensPages tells whether a client takes elicitations in mode url.
func opensPages(capabilities json.RawMessage) bool {
	return holds(capabilities, "elicitation", func(elicitation json.RawMessage) bool {
		return holds(elicitation, "url", func(url json.RawMessage) bool { return wire.IsObject(url) })
	})
}

// holds tells whether an object has a member that passes.
func holds(object json.RawMessage, member string, passes func(json.RawMessage) bool) (found bool) {
	if !wire.IsObject(object) {
		return false
	}
	_ = wire.Fields(object, func(name string, value json.RawMessage) error { // accepted with its body
		found = found || name == member && passes(value)
		return nil
	})
	return found
}
