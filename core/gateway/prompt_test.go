package gateway

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/core"
)

func promptConfig(t testing.TB) core.Config {
	config := good(t)
	config.Servers[0].Prompts = []core.PromptConfig{{
		Name: "all", Description: "everything",
		Arguments: []core.PromptArgumentConfig{{Name: "a", Required: true}, {Name: "b"}, {Name: "uri"}},
		Messages: []core.MessageConfig{
			{Role: "user", Text: "A {{a}} B {{b}}"},
			{Role: "assistant", Image: &core.BinaryConfig{File: "pixel.png"}},
			{Role: "user", Audio: &core.BinaryConfig{Base64: "aGk=", MIMEType: "audio/wav"}},
			{Role: "user", Resource: &core.EmbeddedConfig{URI: "docs://readme"}},
			{Role: "user", Resource: &core.EmbeddedConfig{URI: "test://{{uri}}", Text: "text of {{a}}"}},
		},
	}, {
		Name: "chosen", Arguments: []core.PromptArgumentConfig{{Name: "uri", Required: true}},
		Messages: []core.MessageConfig{{Role: "user", Resource: &core.EmbeddedConfig{URI: "{{uri}}"}}},
	}, {
		Name: "invoked", Description: "by an invoker", Arguments: []core.PromptArgumentConfig{{Name: "x"}},
		Invoker: &core.KindConfig{Kind: "echo", Config: raw(`{"text":"from the invoker"}`)},
	}, {
		Name: "failing", Invoker: &core.KindConfig{Kind: "echo", Config: raw(`{"fail":"tool"}`)},
	}, {
		Name: "slow", Timeout: "10ms", Invoker: &core.KindConfig{Kind: "echo", Config: raw(`{"fail":"wait"}`)},
	}}
	return config
}

func getPrompt(h core.Handler, name, arguments string) (*core.Result, error) {
	return h.GetPrompt(context.Background(), &core.Call{Tool: name, Arguments: raw(arguments)})
}

func TestGetPrompt(t *testing.T) {
	h := find(t, publish(t, testOptions(), promptConfig(t)), "bookshop")
	r, err := getPrompt(h, "all", `{"a":"{{b}}","b":"\\{{a}}","uri":"x","unknown":"y"}`)
	if err != nil {
		t.Fatal(err)
	}
	if r.Description != "everything" || len(r.Messages) != 5 {
		t.Fatalf("result %+v", r)
	}
	if got := r.Messages[0].Content.Text; got != `A {{b}} B \{{a}}` {
		t.Errorf("arguments are not taken literally: %q", got)
	}
	if m := r.Messages[1]; m.Role != "assistant" || m.Content.Type != "image" || m.Content.MIMEType != "image/png" || !strings.HasPrefix(string(m.Content.Data), "\x89PNG") {
		t.Errorf("image %+v", m)
	}
	if m := r.Messages[2].Content; m.Type != "audio" || string(m.Data) != "hi" {
		t.Errorf("audio %+v", m)
	}
	if m := r.Messages[3].Content; m.Type != "resource" || m.Resource.URI != "docs://readme" || m.Resource.Text != "# read me" || m.Resource.MIMEType != "text/markdown" {
		t.Errorf("resource %+v", m.Resource)
	}
	if m := r.Messages[4].Content.Resource; m.URI != "test://x" || m.Text != "text of {{b}}" || m.MIMEType != "text/plain" {
		t.Errorf("embedded %+v", m)
	}
	if r, err := getPrompt(h, "chosen", `{"uri":"docs://files/a"}`); err != nil || r.Messages[0].Content.Resource.Text != "# a" {
		t.Errorf("chosen: %+v %v", r, err)
	}
	r, err = getPrompt(h, "invoked", `{"x":"1"}`)
	if err != nil || len(r.Messages) != 1 || r.Messages[0].Role != "user" || r.Messages[0].Content.Text != "from the invoker" || r.Description != "by an invoker" {
		t.Errorf("invoked: %+v %v", r, err)
	}
}

func TestGetPromptErrors(t *testing.T) {
	h := find(t, publish(t, testOptions(), promptConfig(t)), "bookshop")
	cases := []struct {
		name, arguments string
		code            core.Code
		says            string
	}{
		{"nope", `{}`, core.CodeNotFound, `there is no prompt "nope"`},
		{"all", `{}`, core.CodeInvalid, `prompt "all": missing a`},
		{"all", ``, core.CodeInvalid, `missing a`},
		{"all", `{"a":1}`, core.CodeInvalid, "not a string: a"},
		{"all", `{"a":null}`, core.CodeInvalid, "not a string: a"},
		{"all", `[]`, core.CodeInvalid, "arguments"},
		{"chosen", `{"uri":"docs://nope"}`, core.CodeInvalid, `embeds "docs://nope", and there is no such resource`},
		{"failing", `{}`, core.CodeUnavailable, "it said no"},
		{"slow", `{}`, core.CodeTimeout, "no answer within 10ms"},
	}
	for _, one := range cases {
		_, err := getPrompt(h, one.name, one.arguments)
		if e := core.AsError(err); err == nil || e.Code != one.code || !strings.Contains(e.Public(), one.says) {
			t.Errorf("%s %s: %v", one.name, one.arguments, err)
		}
	}
}

func TestComplete(t *testing.T) {
	config := good(t)
	var many []string
	for i := range 150 {
		many = append(many, fmt.Sprintf("Value%03d", i))
	}
	config.Servers[0].Prompts[0].Arguments[0].Values = append(many, "Éclair", "other")
	h := find(t, publish(t, testOptions(), config), "bookshop")
	ask := func(refType, ref, argument, value string) (*core.Completion, error) {
		return h.Complete(context.Background(), core.Identity{}, &core.CompleteRequest{RefType: refType, Ref: ref, Argument: argument, Value: value})
	}
	c, err := ask("ref/prompt", "sum_up", "topic", "vaLUE")
	if err != nil || len(c.Values) != 100 || c.Total != 150 || !c.HasMore || c.Values[0] != "Value000" {
		t.Errorf("%+v %v", c, err)
	}
	c, err = ask("ref/prompt", "sum_up", "topic", "value14")
	if err != nil || len(c.Values) != 10 || c.Total != 10 || c.HasMore {
		t.Errorf("%+v %v", c, err)
	}
	if c, err = ask("ref/prompt", "sum_up", "topic", "é"); err != nil || !slices.Equal(c.Values, []string{"Éclair"}) {
		t.Errorf("%+v %v", c, err)
	}
	if c, err = ask("ref/prompt", "sum_up", "topic", "zzz"); err != nil || c.Values == nil || len(c.Values) != 0 {
		t.Errorf("%+v %v", c, err)
	}
	if c, err = ask("ref/resource", "docs://files/{name}", "name", ""); err != nil || !slices.Equal(c.Values, []string{"a", "b"}) {
		t.Errorf("%+v %v", c, err)
	}
	if c, err = ask("ref/resource", "docs://dynamic/{+path}", "path", "x"); err != nil || len(c.Values) != 0 {
		t.Errorf("an argument without values: %+v %v", c, err)
	}
	for _, bad := range [][4]string{
		{"ref/prompt", "nope", "topic", ""}, {"ref/prompt", "sum_up", "topci", ""}, {"ref/resource", "docs://readme", "x", ""}, {"ref/tool", "get_book", "id", ""},
	} {
		if _, err := ask(bad[0], bad[1], bad[2], bad[3]); core.AsError(err).Code != core.CodeInvalid {
			t.Errorf("%v: %v", bad, err)
		}
	}
	if _, err := ask("ref/prompt", "sum_up", "topci", ""); !strings.Contains(err.Error(), `did you mean "topic"?`) {
		t.Errorf("%v", err)
	}
}
