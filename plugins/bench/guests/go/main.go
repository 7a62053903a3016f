// Command go is the guest of the measurements in Go, on sdk/go: echo gives back what
// it gets, text as a block of text, json decodes, puts a text into capitals and encodes, and std does the same
// with encoding/json, as a guest does that has no SDK.
package main

import (
	"encoding/json"
	"strings"

	"github.com/sallyport/sallyport/sdk/go/plugin"
)

// Request is what all guests read.
type Request struct {
	Tool      string    `json:"tool"`
	ID        string    `json:"id"`
	Arguments Arguments `json:"arguments"`
	Headers   Headers   `json:"headers"`
}

// Arguments are those of the request.
type Arguments struct {
	Text string `json:"text"`
	City string `json:"city"`
	N    int    `json:"n"`
	Flag bool   `json:"flag"`
}

// Headers are those of the request.
type Headers struct {
	Accept  string `json:"accept"`
	Agent   string `json:"user-agent"`
	Request string `json:"x-request-id"`
}

// Answer is the structured content that all guests write.
type Answer struct {
	Tool    string `json:"tool"`
	ID      string `json:"id"`
	City    string `json:"city"`
	N       int    `json:"n"`
	Flag    bool   `json:"flag"`
	Agent   string `json:"agent"`
	Request string `json:"request"`
}

func init() {
	plugin.Tool("echo", func(_ *plugin.Context, arguments json.RawMessage) (plugin.Result, error) {
		return plugin.Raw(arguments), nil
	})
	plugin.Tool("text", func(_ *plugin.Context, arguments json.RawMessage) (plugin.Result, error) {
		return plugin.Plain(arguments), nil
	})
	plugin.Tool("json", func(_ *plugin.Context, r Request) (plugin.Result, error) {
		answer, err := plugin.JSON(answerTo(&r))
		if err != nil {
			return plugin.Result{}, err
		}
		answer.Content[0].Text = strings.ToUpper(r.Arguments.Text)
		return answer, nil
	})
	plugin.Tool("std", func(_ *plugin.Context, arguments json.RawMessage) (plugin.Result, error) {
		var r Request
		if err := json.Unmarshal(arguments, &r); err != nil {
			return plugin.Result{}, err
		}
		b, err := json.Marshal(Result{
			Content:    []Block{{Type: "text", Text: strings.ToUpper(r.Arguments.Text)}},
			Structured: answerTo(&r),
		})
		return plugin.Raw(b), err
	})
}

// Result is a CallToolResult for encoding/json.
type Result struct {
	Content    []Block `json:"content"`
	Structured Answer  `json:"structuredContent"`
}

// Block is one of its blocks.
type Block struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

func answerTo(r *Request) Answer {
	return Answer{
		Tool: r.Tool, ID: r.ID, City: r.Arguments.City, N: r.Arguments.N, Flag: r.Arguments.Flag,
		Agent: r.Headers.Agent, Request: r.Headers.Request,
	}
}

func main() {} // never called: a plugin is a library
