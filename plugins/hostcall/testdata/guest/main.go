// Command guest uses every host function once, and says what it got.
package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/sallyport/sallyport/sdk/go/plugin"
)

// Arguments say what to do and where.
type Arguments struct {
	Do  string `json:"do"`
	URL string `json:"url,omitempty"`
}

func init() { plugin.Tool("try", try) }

func main() {}

func try(c *plugin.Context, a Arguments) (string, error) {
	switch a.Do {
	case "http":
		answer, err := c.HTTP(plugin.Request{Method: "POST", URL: a.URL, Header: plugin.Header{{Name: "X-A", Value: "b"}, {Name: "Host", Value: "evil.example"}}, Body: []byte("from the guest")})
		if err != nil {
			return "", err
		}
		return fmt.Sprint(answer.Status, " ", answer.Header.Get("x-answer"), " ", len(answer.Body), " ", string(answer.Body[:min(len(answer.Body), 80)])), nil
	case "kv":
		first, err := c.KVSet("a", []byte("1"), time.Minute)
		if err != nil {
			return "", err
		}
		_, conflict := c.KVSwap("a", []byte("2"), 0, plugin.Absent)
		second, err := c.KVSwap("a", []byte(strings.Repeat("v", 2000)), 0, first)
		if err != nil {
			return "", err
		}
		value, version, err := c.KVGet("a")
		if err != nil {
			return "", err
		}
		list, err := c.KVList("", "")
		if err != nil {
			return "", err
		}
		gone := c.KVDelete("a")
		_, _, missing := c.KVGet("a")
		return fmt.Sprint(conflict != nil, second > first, len(value), version == second, len(list), list[0].Key, gone, missing != nil), nil
	case "secret":
		mine, err := c.Secret("mine")
		_, denied := c.Secret("hidden")
		return fmt.Sprint(mine, " ", err, " ", denied != nil), nil
	case "rest":
		c.Log(plugin.LevelWarn, "said by the guest\nin two lines")
		c.Count("calls", 2)
		c.Progress(1, 2, "half way")
		var units string
		err := c.Config("units", &units)
		return fmt.Sprint(units, " ", err), nil
	case "call":
		answer, err := c.CallTool("books.find", map[string]any{"id": 7})
		if err != nil {
			return "", err
		}
		return answer.Content[0].Text, nil
	case "denied":
		_, err := c.CallTool("secret.tool", nil)
		return fmt.Sprint(err != nil), nil
	}
	return "", plugin.InvalidArgs("do is unknown")
}
