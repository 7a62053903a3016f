// Command aws-sigv4 makes tools of the REST APIs of AWS, and of everything else that
// asks for AWS Signature Version 4.
//
//	operations in the configuration ──► tools_list
//
//	tool_call ──► path, query, headers and body filled in ──► signed ──► endpoint
//	result ◄── JSON, text or a file; errors with their code; throttling says when to try again
//
// The credentials are secrets that the operator grants: access_key_id,
// secret_access_key and, for temporary ones, session_token. They are read for each
// call, so that new ones count at once.
package main

import (
	"encoding/json"
	"errors"
	"runtime/debug"
	"strings"
	"time"

	"github.com/sallyport/sallyport/sdk/go/plugin"
)

func init() {
	debug.SetMemoryLimit(24 << 20) // three quarters of what plugin.yaml asks for
	plugin.Configure(configure)
	plugin.ToolsList(list)
	plugin.AnyTool(call)
}

func main() {} // never called: a plugin is a library

// now is the clock; tests hold it.
var now = time.Now

func list(*plugin.Context) ([]plugin.ToolInfo, error) {
	infos := make([]plugin.ToolInfo, 0, len(operations))
	for _, o := range operations {
		infos = append(infos, o.info)
	}
	return infos, nil
}

func call(ctx *plugin.Context, raw json.RawMessage) (plugin.Result, error) {
	id := ctx.Tool()
	if id == "" && len(operations) == 1 {
		id = operations[0].info.Name
	}
	o := byName[id]
	if o == nil {
		return plugin.Result{}, plugin.UnknownTool(id)
	}
	given, err := o.arguments(raw)
	if err != nil {
		return plugin.Result{}, err
	}
	r, err := o.request(given)
	if err != nil {
		return plugin.Result{}, err
	}
	keys, err := secrets(ctx)
	if err != nil {
		return plugin.Result{}, err
	}
	place.signer.sign(r, keys, now())
	address := place.origin + r.path
	if r.query != "" {
		address += "?" + r.query
	}
	response, err := ctx.HTTP(plugin.Request{Method: r.method, URL: address, Header: r.header, Body: r.body})
	if err != nil {
		return plugin.Result{}, unreached(err)
	}
	return answer(ctx, response, address)
}

func secrets(ctx *plugin.Context) (credentials, error) {
	read := func(name string) (string, error) {
		v, err := ctx.Secret(name)
		if err != nil {
			return "", err
		}
		v = strings.TrimSpace(v) // files end with a new line
		if strings.ContainsAny(v, " \t\r\n,") {
			return "", plugin.Internal("the secret %s has white space or a comma within it", name)
		}
		return v, nil
	}
	var c credentials
	var err error
	if c.id, err = read("access_key_id"); err != nil {
		return c, plugin.Internal("read the credentials: %w", err)
	}
	if c.secret, err = read("secret_access_key"); err != nil {
		return c, plugin.Internal("read the credentials: %w", err)
	}
	if c.id == "" || c.secret == "" {
		return c, plugin.Internal("the secrets access_key_id and secret_access_key must not be empty")
	}
	c.session, err = read("session_token")
	if err != nil && !errors.Is(err, plugin.ErrNotFound) && !errors.Is(err, plugin.ErrDenied) {
		return c, plugin.Internal("read the credentials: %w", err)
	}
	return c, nil
}

// unreached makes the answer to a call whose request was not answered.
func unreached(err error) error {
	var code plugin.Code
	errors.As(err, &code)
	switch code {
	case plugin.ErrDenied:
		return plugin.Denied("the gateway does not let this plugin send the request: the operator has to grant the method to the endpoint's host and port")
	case plugin.ErrTimeout:
		return plugin.Unavailable(0, "the endpoint took too long to answer")
	case plugin.ErrUnavailable, plugin.ErrQuota:
		return plugin.Unavailable(time.Second, "the endpoint cannot be reached now")
	case plugin.ErrTooLarge:
		return plugin.ToolError("the request or the answer is too large: ask for a part of it")
	}
	return plugin.Internal("%w", err)
}
