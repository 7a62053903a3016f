// Command conformance is the guest that sdk/conformance describes, on the SDK of this
// folder.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/sdk/go/plugin"
)

// Typed is the arguments of the tool typed.
type Typed struct {
	City *string `json:"city"`
	Days *int    `json:"days,omitempty"`
}

// Config is the plugin's configuration.
type Config struct {
	Greeting *string `json:"greeting"`
	Refuse   bool    `json:"refuse"`
}

var (
	count    int
	greeting = "hello"
)

func init() {
	plugin.Tool("echo", func(_ *plugin.Context, payload []byte) (plugin.Result, error) { return plugin.Raw(payload), nil })
	plugin.Tool("text", func(_ *plugin.Context, payload []byte) (plugin.Result, error) {
		return plugin.PlainAs("text/markdown", payload), nil
	})
	plugin.Tool("call_tool", callTool)
	plugin.Tool("typed", typed)
	for name, f := range map[string]func(*plugin.Context, string) (string, error){
		"upper": upper, "empty": empty, "fail": fail, "panic": panics, "meta": meta, "pair": pair, "big": big, "length": length,
		"count": counted, "greeting": greet, "config": config, "secret": secret, "log": log, "metric": metric,
		"progress": progress, "http": http, "kv": kv,
	} {
		plugin.Tool(name, func(c *plugin.Context, payload []byte) (plugin.Result, error) {
			said, err := f(c, string(payload))
			return plugin.Plain([]byte(said)), err
		})
	}
	plugin.ToolsList(list)
	plugin.ResponseTransform(hide)
	plugin.RequestTransform(respell)
	plugin.Authorize(authorize)
	plugin.Configure(configure)
}

func main() {} // never called: a plugin is a library

func upper(_ *plugin.Context, payload string) (string, error) {
	b := []byte(payload)
	for n, c := range b {
		if 'a' <= c && c <= 'z' {
			b[n] = c - 'a' + 'A'
		}
	}
	return string(b), nil
}

func empty(*plugin.Context, string) (string, error) { return "", nil }

func fail(_ *plugin.Context, word string) (string, error) {
	message := "fail: " + word
	switch word {
	case "invalid_args":
		return "", plugin.InvalidArgs(message)
	case "unknown_tool":
		return "", &plugin.Error{Status: plugin.StatusUnknownTool, Message: message}
	case "denied":
		return "", plugin.Denied(message)
	case "unavailable":
		return "", plugin.Unavailable(1500*time.Millisecond, message)
	case "internal":
		return "", plugin.Internal(message)
	}
	return "", plugin.ToolError(message)
}

func panics(*plugin.Context, string) (string, error) { panic("boom: the inside of the plugin") }

func meta(c *plugin.Context, _ string) (string, error) {
	lines := []string{
		"tool=" + c.Tool(), "server=" + c.Server(), "call_id=" + c.CallID(), "session=" + c.Session(), "tenant=" + c.Tenant(),
		"principal.sub=" + c.Subject(), "principal.roles=" + strings.Join(c.Roles(), ","), "traceparent=" + c.Traceparent(), "deadline_ms=" + c.Meta("deadline_ms"),
	}
	return strings.Join(lines, "\n"), nil
}

func pair(c *plugin.Context, key string) (string, error) { return c.Meta(key), nil }

func big(_ *plugin.Context, payload string) (string, error) {
	n, err := strconv.Atoi(payload)
	if err != nil {
		return "", plugin.InvalidArgs("a number is wanted")
	}
	b := make([]byte, n)
	for i := range b {
		b[i] = 'a' + byte(i%26)
	}
	return string(b), nil
}

func length(_ *plugin.Context, payload string) (string, error) {
	return strconv.Itoa(len(payload)), nil
}

func counted(*plugin.Context, string) (string, error) {
	count++
	return strconv.Itoa(count), nil
}

func greet(*plugin.Context, string) (string, error) { return greeting, nil }

func typed(_ *plugin.Context, args Typed) (string, error) {
	if args.City == nil {
		return "", plugin.InvalidArgs("city is missing")
	}
	days := 1
	if args.Days != nil {
		days = *args.Days
	}
	return fmt.Sprintf("%s %d", *args.City, days), nil
}

func config(c *plugin.Context, key string) (string, error) {
	var value json.RawMessage
	if err := c.Config(key, &value); err != nil {
		return "", err
	}
	return string(value), nil
}

func secret(c *plugin.Context, name string) (string, error) { return c.Secret(name) }

func log(c *plugin.Context, _ string) (string, error) {
	c.Log(plugin.LevelDebug, "a debug line")
	c.Log(plugin.LevelInfo, "an info line")
	c.Log(plugin.LevelWarn, "a warn line")
	c.Log(plugin.LevelError, "an error line")
	return "ok", nil
}

func metric(c *plugin.Context, _ string) (string, error) {
	c.Count("calls", 1)
	c.Gauge("level", 0.5)
	c.Observe("size", 12)
	return "ok", nil
}

func progress(c *plugin.Context, _ string) (string, error) {
	c.Progress(1, 4, "a quarter")
	c.Progress(2, 0, "")
	return "ok", nil
}

func http(c *plugin.Context, payload string) (string, error) {
	head, body, _ := strings.Cut(payload, "\n\n")
	lines := append(strings.Split(head, "\n"), "")
	r := plugin.Request{Method: lines[0], URL: lines[1], Body: []byte(body)}
	for _, line := range lines[2:] {
		if name, value, ok := strings.Cut(line, ": "); ok {
			r.Header = append(r.Header, plugin.Field{Name: name, Value: value})
		}
	}
	answer, err := c.HTTP(r)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d\n%s\n%s", answer.Status, answer.Header.Get("content-type"), answer.Body), nil
}

func callTool(c *plugin.Context, payload []byte) (plugin.Result, error) {
	name, arguments, _ := strings.Cut(string(payload), "\n")
	r, err := c.CallTool(name, json.RawMessage(arguments))
	if err != nil {
		return plugin.Result{}, err
	}
	b, err := r.MarshalJSON()
	return plugin.Raw(b), err
}

func kv(c *plugin.Context, payload string) (said string, err error) {
	lines := append(strings.SplitN(payload, "\n", 3), "", "")
	key, value := lines[1], []byte(lines[2])
	switch lines[0] {
	case "get":
		b, _, err := c.KVGet(key)
		return string(b), err
	case "set":
		_, err = c.KVSet(key, value, 0)
	case "ttl":
		_, err = c.KVSet(key, value, time.Second)
	case "new":
		_, err = c.KVSwap(key, value, 0, plugin.Absent)
	case "delete":
		err = c.KVDelete(key)
	case "stale", "swap":
		var version uint64
		if _, version, err = c.KVGet(key); err != nil {
			return "", err
		}
		if lines[0] == "stale" {
			if _, err = c.KVSet(key, []byte("other"), 0); err != nil {
				return "", err
			}
		}
		_, err = c.KVSwap(key, value, 0, version)
	case "list":
		for after := ""; ; {
			page, err := c.KVList(key, after)
			if err != nil || len(page) == 0 {
				return said, err
			}
			for _, e := range page {
				said += e.Key + "\n"
			}
			after = page[len(page)-1].Key
		}
	default:
		err = errors.New("there is no " + lines[0])
	}
	return "ok", err
}

func list(*plugin.Context) ([]plugin.ToolInfo, error) {
	return []plugin.ToolInfo{
		{Name: "echo", Description: "Gives back what it gets."},
		{Name: "typed", InputSchema: json.RawMessage(`{"type":"object","properties":{"city":{"type":"string"},"days":{"type":"integer"}},"required":["city"]}`)},
	}, nil
}

func hide(_ *plugin.Context, result *json.RawMessage) (bool, error) {
	if bytes.Contains(*result, []byte("explode")) {
		return false, plugin.Internal("it exploded")
	}
	changed := bytes.ReplaceAll(*result, []byte("hunter2"), []byte("*******"))
	if bytes.Equal(changed, *result) {
		return false, nil
	}
	*result = changed
	return true, nil
}

func respell(_ *plugin.Context, arguments *json.RawMessage) (bool, error) {
	switch {
	case bytes.Contains(*arguments, []byte("forbidden")):
		return false, plugin.Denied("a forbidden word")
	case bytes.Contains(*arguments, []byte("nonsense")):
		return false, plugin.InvalidArgs("a word without sense")
	case !bytes.Contains(*arguments, []byte("colour")):
		return false, nil
	}
	*arguments = bytes.ReplaceAll(*arguments, []byte("colour"), []byte("color"))
	return true, nil
}

func authorize(c *plugin.Context, _ []byte) error {
	switch c.Subject() {
	case "ada":
		return nil
	case "mallory":
		return plugin.Denied("mallory may not")
	}
	return plugin.Denied("who are you?")
}

func configure(c *plugin.Context, config Config) error {
	if config.Refuse {
		return plugin.InvalidArgs("refuse must not be set")
	}
	if config.Greeting != nil {
		greeting = *config.Greeting
	}
	c.Log(plugin.LevelDebug, "configured")
	return nil
}
