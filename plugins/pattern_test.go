package plugins

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/plugins/guests"
	"github.com/sallyport/sallyport/plugins/hostcall"
)

// Expressions of a few kilobytes that compile to hundreds of megabytes are refused before
// they are compiled: in what a guest lists, all tools together, and in a manifest.
func TestLargePatterns(t *testing.T) {
	const large = `\\w{1000}`
	var log record
	store := listStore{hostcall.NewMemory(time.Now), t}
	h := newHost(t, func(o *Options) { o.KV, o.Log = store, slog.New(slog.NewTextHandler(&log, nil)) })
	var tools []string
	for i := range 250 {
		tools = append(tools, fmt.Sprintf(`{"name":"t%d","inputSchema":{"type":"object","properties":{"a":{"pattern":"%s"}}}}`, i, large))
	}
	store.set(`{"tools":[` + strings.Join(tools, ",") + `]}`)
	c, err := single(t, h, lister(t), grantsKV).Catalogue()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := c.Tools(t.Context()); err == nil || !strings.Contains(err.Error(), "regular expressions") {
		t.Errorf("250 tools with an expression each: %d, %v", len(got), err)
	}
	store.set(`{"tools":[` + strings.Join(tools[:150], ",") + `]}`)
	if got, err := c.Tools(t.Context()); err != nil || len(got) != 150 {
		t.Errorf("150 tools with an expression each: %d, %v", len(got), err)
	}

	dir := t.TempDir()
	declares := `tools: [{name: echo, description: D, inputSchema: {type: object, properties: {a: {pattern: '` + strings.Repeat(`\w{1000}`, 250) + `'}}}}]`
	write(t, filepath.Join(dir, "p.wasm"), carrying(t, guests.Echo(), yaml("invoker", declares)))
	s, problems := h.Open(t.Context(), []core.PluginConfig{{At: at(dir), Name: "p", Source: "p.wasm"}})
	defer s.Close()
	if got := words(problems); len(got) != 1 || !strings.Contains(got[0], "error /plugins/0/source: the regular expressions in its schemas come to more than 200000 steps together") {
		t.Errorf("a manifest: %v", got)
	}
	if _, err := compileSchema([]byte(`{"type":"object","$ref":"#/x/y","x":{"y":{"patternProperties":{"` + strings.Repeat(large, 250) + `":{}}}}}`)); err == nil || !strings.Contains(err.Error(), "too large") {
		t.Errorf("a pattern behind a reference: %v", err)
	}
}
