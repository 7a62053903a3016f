// Command echo is the smallest useful plugin: three tools that give back what they
// get, each with a different amount of work, for trying things out and for
// measuring.
package main

import (
	"encoding/json"
	"strings"

	"github.com/sallyport/sallyport/sdk/go/plugin"
)

// Echo is the arguments of echo.
type Echo struct {
	Text  string `json:"text" description:"what to say back"`
	Times int    `json:"times,omitempty" description:"how often; 1 if it is left out"`
}

// Request is the arguments of shout.
type Request struct {
	Tool      string            `json:"tool,omitempty"`
	ID        int               `json:"id,omitempty"`
	Arguments Arguments         `json:"arguments"`
	Headers   map[string]string `json:"headers,omitempty"`
}

// Arguments is what shout shouts.
type Arguments struct {
	Text string  `json:"text"`
	City string  `json:"city,omitempty"`
	N    float64 `json:"n,omitempty"`
	Flag bool    `json:"flag,omitempty"`
}

// Shouted is what shout answers with.
type Shouted struct {
	ID   int     `json:"id"`
	Text string  `json:"text"`
	City string  `json:"city,omitempty"`
	N    float64 `json:"n"`
}

func init() {
	plugin.Tool("echo", echo, plugin.Description("Says the text back."), plugin.ReadOnly())
	plugin.Tool("raw", raw, plugin.Description("Gives back the arguments as they came."), plugin.ReadOnly())
	plugin.Tool("shout", shout, plugin.Description("Decodes, puts the text into capitals and encodes."), plugin.ReadOnly())
}

func main() {} // never called: a plugin is a library

// echo is how most tools look: typed arguments in, text out.
func echo(_ *plugin.Context, args Echo) (string, error) {
	switch {
	case args.Times == 0:
		args.Times = 1
	case args.Times < 0 || args.Times > 100:
		return "", plugin.InvalidArgs("times must be from 1 to 100, not %d", args.Times)
	}
	return strings.Repeat(args.Text, args.Times), nil
}

// raw looks at nothing: the least that a call can cost.
func raw(_ *plugin.Context, args json.RawMessage) (plugin.Result, error) {
	return plugin.Plain(args), nil
}

// shout has structured content, which old clients read as text.
func shout(_ *plugin.Context, r Request) (Shouted, error) {
	return Shouted{ID: r.ID, Text: strings.ToUpper(r.Arguments.Text), City: r.Arguments.City, N: r.Arguments.N}, nil
}
