package main

import (
	"strings"
	"testing"

	"github.com/sallyport/sallyport/sdk/go/plugintest"
)

func TestFixtures(t *testing.T) {
	plugintest.Run(t, "testdata/*.json")
}

func TestTools(t *testing.T) {
	tools := plugintest.New(t).Tools()
	if len(tools) != 3 {
		t.Fatalf("%d tools, want 3", len(tools))
	}
	for _, want := range []string{`"text":{"type":"string","description":"what to say back"}`, `"required":["text"]`} {
		if !strings.Contains(string(tools[0].InputSchema), want) {
			t.Errorf("the schema of %s has no %s: %s", tools[0].Name, want, tools[0].InputSchema)
		}
	}
}
