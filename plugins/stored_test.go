package plugins

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/plugins/guests"
	"github.com/sallyport/sallyport/plugins/registry"
	"github.com/sallyport/sallyport/plugins/trust"
)

// An upload is a plugin, or every mistake says in which part it is.
func TestUploadRead(t *testing.T) {
	plain, text := guests.Echo(), yaml("invoker", oneTool, "capabilities: {progress: true}")
	whole := carrying(t, plain, text)
	k, digest := keyOf(t, 1, time.Time{}), pack(t, whole).Digest
	for _, row := range []struct {
		name   string
		up     Upload
		policy trust.Policy
		part   string // where the mistake is; "" = none
		says   string
	}{
		{"a manifest in the module", Upload{Module: whole}, off(), "", ""},
		{"the same beside it", Upload{Module: whole, Manifest: []byte(text)}, off(), "", ""},
		{"one beside it alone", Upload{Module: plain, Manifest: []byte(text)}, off(), "", ""},
		{"another one beside it", Upload{Module: whole, Manifest: []byte(strings.Replace(text, "1.0.0", "1.0.1", 1))}, off(), "/manifest", ""},
		{"none", Upload{Module: plain}, off(), "/module", "manifest"},
		{"no manifest", Upload{Module: plain, Manifest: []byte("name: [")}, off(), "/manifest", ""},
		{"no module", Upload{Module: []byte("#!/bin/sh")}, off(), "/module", "no WebAssembly"},
		{"half a module", Upload{Module: whole[:len(whole)-3]}, off(), "/module", ""},
		{"a kind that is not exported", Upload{Module: carrying(t, guests.With("", guests.Fine()), yaml("invoker, authorizer", oneTool))}, off(), "/module", "does not export"},
		{"signed", Upload{Module: whole, Signature: sign(t, k, digest, "acme/test", "1.0.0", time.Time{})}, trust.Policy{Keys: []trust.Trusted{{Key: k.Key}}, Now: func() time.Time { return today }}, "", ""},
		{"nobody signed it", Upload{Module: whole}, trust.Policy{Now: func() time.Time { return today }}, "/signature", "no valid signature"},
		{"no signature of cosign", Upload{Module: whole, Cosign: []byte("{")}, off(), "/cosign", "cannot be read"},
	} {
		t.Run(row.name, func(t *testing.T) {
			m, err := row.up.Read(row.policy)
			if row.part == "" {
				if err != nil || m.Name != "acme-test" || m.Plugin != "acme/test" || m.Release != "1.0.0" || len(m.Asks) != 1 || len(m.Kinds) != 1 || m.Approved != nil {
					t.Fatalf("%+v %v", m, err)
				}
				if a, err := Unpack(m); err != nil || a.Digest != m.Digest {
					t.Error(err)
				}
				return
			}
			e := core.AsError(err)
			if e.Code != core.CodeInvalid || len(e.Problems) != 1 || e.Problems[0].Path != row.part || e.Problems[0].Message == "" || !strings.Contains(e.Problems[0].Message, row.says) {
				t.Errorf("%v %+v", err, e.Problems)
			}
		})
	}
	a, err := (&Upload{Module: whole}).Read(off())
	if err != nil {
		t.Fatal(err)
	}
	b, err := (&Upload{Module: whole, Manifest: []byte(text)}).Read(off())
	if err != nil || a.Digest != b.Digest {
		t.Error("the digest depends on a file that came along", err)
	}
}

// storedRows is a store for a Host: modules by name.
type storedRows map[string]*core.Module

func (s storedRows) find(_ context.Context, name string) (*registry.Artifact, error) {
	m := s[name]
	if m == nil {
		return nil, &core.Error{Code: core.CodeNotFound, Message: "the store has no module " + name, Fix: "upload it"}
	}
	return Unpack(m)
}

// A document names a module of the store; what the store approved needs no other approval,
// and is held to digest, signature and grants like anything else.
func TestStoreSource(t *testing.T) {
	row := func(version, more string) *core.Module {
		t.Helper()
		text := strings.Replace(yaml("invoker", oneTool, more), "1.0.0", version, 1)
		m, err := (&Upload{Module: carrying(t, guests.Echo(), text)}).Read(off())
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	kept := storedRows{"acme-test": row("1.0.0", "")}
	h := newHost(t, func(o *Options) { o.Stored = kept.find })
	c := core.PluginConfig{Name: "p", Source: "store:acme-test"}
	problems := func(h *Host, c core.PluginConfig) string {
		t.Helper()
		s, problems := h.Open(t.Context(), []core.PluginConfig{c})
		t.Cleanup(func() { _ = s.Close() })
		return strings.Join(words(problems), "\n")
	}
	if said := problems(h, c); said != "" {
		t.Fatal(said)
	}
	kept["acme-test"] = row("0.9.0", "capabilities: {progress: true, call_tool: [x]}") // older, and asks for more: approved where it is kept
	if said := problems(h, c); strings.Contains(said, "error") || !strings.Contains(said, "more than it is granted") {
		t.Error(said)
	}
	if st := h.Status(); len(st) == 0 || st[len(st)-1].Version != "0.9.0" && st[0].Version != "0.9.0" {
		t.Errorf("%+v", st)
	}
	pinned := c
	pinned.Digest = kept["acme-test"].Digest
	if said := problems(h, pinned); strings.Contains(said, "error") {
		t.Error(said)
	}
	for name, change := range map[string]struct {
		change func(*core.PluginConfig)
		says   string
	}{
		"another digest":     {func(c *core.PluginConfig) { c.Digest = "sha256:" + strings.Repeat("0", 64) }, "/plugins/0/digest: the store has another content of module acme-test: " + kept["acme-test"].Digest},
		"a manifest beside":  {func(c *core.PluginConfig) { c.Manifest = "plugin.yaml" }, "holds its manifest"},
		"one that is not":    {func(c *core.PluginConfig) { c.Source = "store:acme-other" }, "the store has no module acme-other"},
		"one nobody signed":  {func(c *core.PluginConfig) { c.Trust = "required" }, "no valid signature"},
		"no name of anybody": {func(c *core.PluginConfig) { c.Source = "store:" }, "/source"},
	} {
		one := c
		one.At.Path = "/plugins/0"
		change.change(&one)
		if said := problems(h, one); !strings.Contains(said, "error") || !strings.Contains(said, change.says) {
			t.Errorf("%s: %s", name, said)
		}
	}
	if said := problems(newHost(t, nil), c); !strings.Contains(said, "only a gateway with its store") {
		t.Error(said)
	}
}

// What a row holds is what its digest says. The test of the test unpacks what was not
// changed.
func TestUnpack(t *testing.T) {
	whole := carrying(t, guests.Echo(), yaml("invoker", oneTool))
	good, err := (&Upload{Module: whole}).Read(off())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Unpack(good); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*core.Module){
		"bytes":      func(m *core.Module) { m.Bytes = carrying(t, guests.Roomy(), yaml("invoker", oneTool)) },
		"manifest":   func(m *core.Module) { m.Manifest = yaml("invoker", oneTool) },
		"digest":     func(m *core.Module) { m.Digest = "sha256:" + strings.Repeat("0", 64) },
		"no bytes":   func(m *core.Module) { m.Bytes = nil },
		"signatures": func(m *core.Module) { m.Signatures = "[" },
	} {
		m := *good
		change(&m)
		if _, err := Unpack(&m); err == nil || core.AsError(err).Fix == "" {
			t.Errorf("%s: %v", name, err)
		} else if name == "bytes" && !errors.Is(err, trust.ErrDigest) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
