package plugins

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/plugins/abi"
	"github.com/sallyport/sallyport/plugins/hostcall"
	"github.com/sallyport/sallyport/plugins/manifest"
	"github.com/sallyport/sallyport/plugins/sandbox"
	"github.com/sallyport/sallyport/plugins/selftest"
)

// load returns the version that is wanted: the one that is there, or a new one that was
// verified, linked and tested.
func (h *Host) load(ctx context.Context, w *wanted, m *mistakes) *version {
	k, err := w.key(h.salt[:])
	if err != nil {
		m.fail("", err)
		return nil
	}
	if v := h.known(k); v != nil {
		return v
	}
	select {
	case h.loads <- struct{}{}:
		defer func() { <-h.loads }()
	case <-ctx.Done():
		m.fail("", fmt.Errorf("load plugin %s: %w", w.name, ctx.Err()))
		return nil
	}
	v := &version{
		key: k, host: h, name: w.name, digest: w.digest, about: w.about, granted: w.granted,
		tools: toolsOf(w.about), context: w.about.Context, budgets: w.budgets, loaded: h.o.Now(),
		slow: w.isolation == manifest.IsolationCall,
	}
	v.outside, err = hostcall.New(hostcall.Options{
		Plugin: w.name, Granted: w.granted, Config: w.config, Secrets: w.secrets,
		Dial: h.o.Dial, KV: h.o.KV, Observer: h.o.Observer, Log: h.log, Now: h.o.Now,
	})
	if err != nil {
		m.fail("", fmt.Errorf("prepare plugin %s: %w", w.name, err))
		return nil
	}
	v.log = v.outside.Logger(h.log)
	v.code, err = sandbox.Load(ctx, w.module, sandbox.Options{
		Name: w.name, Grant: grantOf(w.granted), Limits: w.limits, Isolation: w.isolation, Config: w.config,
		Host: v.outside, CacheDir: h.cache(), Log: v.log, Now: h.o.Now, Rand: h.o.Rand, Observe: h.observe, InProcess: h.o.InProcess,
	})
	if err != nil {
		_ = v.outside.Close()
		said := len(m.list)
		m.unloadable(err)
		for i := range m.list[said:] { // a guest says why it refuses its configuration
			m.list[said+i].Message = v.outside.Hide(m.list[said+i].Message)
		}
		return nil
	}
	if !h.tested(ctx, w, m) {
		v.close()
		return nil
	}
	h.keep(v)
	h.log.Info("plugin loaded", "plugin", w.name, "name", w.about.Name, "version", w.about.Version, "digest", w.digest, "signer", w.signer,
		"granted", strings.Join(w.granted.Words(), "; "), "duration", h.o.Now().Sub(v.loaded))
	return v
}

// unloadable adds why the sandbox refused a module, where the document can mend it.
func (m *mistakes) unloadable(err error) {
	rel := "/source"
	var e *core.Error
	switch {
	case !errors.As(err, &e):
	case strings.Contains(e.Message, "refuses its configuration"):
		rel = "/config"
	case e.Fix == "raise limits.memory":
		rel = "/limits/memory"
	}
	m.fail(rel, err)
}

// tested runs the self-tests that the module carries.
func (h *Host) tested(ctx context.Context, w *wanted, m *mistakes) bool {
	suites, err := selftest.FromModule(w.module)
	if err != nil {
		m.fail("/source", err)
		return false
	}
	if len(suites) == 0 {
		return true
	}
	report, err := selftest.Run(ctx, w.module, w.about, suites, selftest.Options{CacheDir: h.cache(), Log: h.log, InProcess: h.o.InProcess})
	if err != nil {
		m.fail("/source", fmt.Errorf("self-test of plugin %s: %w", w.name, err))
		return false
	}
	if report.OK() {
		return true
	}
	m.add("/source", "the plugin fails its own tests: "+strings.ReplaceAll(strings.TrimSpace(report.String()), "\n", "; "),
		"use another version; `sallyport plugin test` says more")
	return false
}

// toolsOf returns the tools of a manifest.
func toolsOf(about *manifest.Manifest) []core.ToolConfig {
	tools := make([]core.ToolConfig, 0, len(about.Tools))
	for i := range about.Tools {
		t := &about.Tools[i]
		tools = append(tools, core.ToolConfig{
			Name: t.Name, Title: t.Title, Description: t.Description,
			InputSchema: clone(t.InputSchema), OutputSchema: clone(t.OutputSchema), Annotations: clone(t.Annotations),
		})
	}
	return tools
}

func clone(b json.RawMessage) json.RawMessage { return append(json.RawMessage(nil), b...) }

// observe passes on what the sandbox tells of a call.
func (h *Host) observe(e sandbox.Event) {
	h.o.Observer.PluginCalled(core.PluginEvent{
		Plugin: e.Plugin, Kind: kindOf(e.Export), Outcome: e.Outcome, Wait: e.Wait, Duration: e.Duration, CPU: e.CPU,
	})
}

// places of the kinds in abi.Kinds.
const (
	invokes = iota
	lists
	transforms
	requests
	authorizes
)

// kinds are the kinds in the order of abi.Kinds.
var kinds = [len(abi.Kinds)]core.PluginKind{
	invokes:    core.PluginInvoker,
	lists:      core.PluginCatalogue,
	transforms: core.PluginResponseTransformer,
	requests:   core.PluginRequestTransformer,
	authorizes: core.PluginAuthorizer,
}

func kindOf(export string) core.PluginKind {
	for i, name := range abi.Kinds {
		if name == export {
			return kinds[i]
		}
	}
	return core.PluginKind(export)
}

// placeOf returns where a kind stands in abi.Kinds, or -1.
func placeOf(k core.PluginKind) int {
	for i := range kinds {
		if kinds[i] == k {
			return i
		}
	}
	return -1
}
