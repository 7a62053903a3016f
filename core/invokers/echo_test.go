package invokers

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

func TestEcho(t *testing.T) {
	for _, row := range []struct{ name, config, arguments, text, structured string }{
		{"all", `{}`, `{"b":1,"a":9007199254740993}`, `{"b":1,"a":9007199254740993}`, `{"b":1,"a":9007199254740993}`},
		{"no config", ``, `{}`, `{}`, `{}`},
		{"one", `{"argument":"say"}`, `{"say":"<hi> {{.}}"}`, `<hi> {{.}}`, ``},
		{"one number", `{"argument":"say"}`, `{"say":1.10}`, `1.10`, ``},
		{"absent", `{"argument":"say"}`, `{}`, `The argument "say" is needed.`, ``},
	} {
		t.Run(row.name, func(t *testing.T) {
			invoker, err := Echo.New(context.Background(), json.RawMessage(row.config), core.Env{})
			if err != nil {
				t.Fatal(err)
			}
			values, err := wire.DecodeObject([]byte(row.arguments))
			if err != nil {
				t.Fatal(err)
			}
			result, err := invoker.Invoke(context.Background(), &core.Call{Arguments: json.RawMessage(row.arguments), Values: values})
			if err != nil {
				t.Fatal(err)
			}
			if result.Content[0].Text != row.text || string(result.Structured) != row.structured || result.IsError != (row.name == "absent") {
				t.Errorf("got %q %s (error %v), want %q %s", result.Content[0].Text, result.Structured, result.IsError, row.text, row.structured)
			}
		})
	}
}

func TestEchoRefusesOtherSettings(t *testing.T) {
	for config, path := range map[string]string{`{"arguments":"a"}`: "/arguments", `{"argument":1}`: "/argument", `{"argument":""}`: "/argument"} {
		_, err := Echo.New(context.Background(), json.RawMessage(config), core.Env{})
		var problems core.Problems
		if !errors.As(err, &problems) || problems[0].Path != path {
			t.Errorf("%s: %v, want a problem at %s", config, err, path)
		}
	}
}

func TestKindsDescribeThemselves(t *testing.T) {
	for _, kind := range []core.Kind[core.Invoker]{REST, Echo} {
		if kind.Name == "" || kind.Summary == "" || kind.Example == "" || wire.Check(kind.Schema, wire.Default) != nil {
			t.Errorf("%s lacks a name, summary, example or schema", kind.Name)
		}
	}
}
