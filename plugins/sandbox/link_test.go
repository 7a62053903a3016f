package sandbox

import (
	"strings"
	"testing"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/plugins/abi"
	"github.com/sallyport/sallyport/plugins/guests"
)

func importing(module, name, params, results string) []byte {
	m := guests.New(func(m *guests.Module) { m.Import(module, name, params, results) })
	return m.Export(abi.ToolCall, m.Func("ii", "l", "", guests.Fine())).Bytes()
}

func all() Grant { return Grant{HTTP: true, KV: true, Secrets: true, Progress: true, CallTool: true} }

// Every host function links when granted; without the grant the refusal names the
// capability and what to do.
func TestLinkByGrant(t *testing.T) {
	for _, f := range abi.Imports {
		wasm := importing(abi.Module, f.Name, f.Params, f.Results)
		_ = load(t, wasm, func(o *Options) { o.Grant = all() })
		_, err := Load(t.Context(), wasm, Options{Name: "t", InProcess: true})
		if f.Capability == "" {
			if err != nil {
				t.Errorf("%s: %v", f.Name, err)
			}
			continue
		}
		wantCode(t, err, core.CodeDenied, `capability "`+f.Capability+`" is not granted: add "`+f.Capability+`" to the plugin's grants`)
	}
}

// All functions of WASI link with the types that the table names.
func TestLinkWASI(t *testing.T) {
	m := guests.New(func(m *guests.Module) {
		for name, f := range wasi {
			m.Import(wasiModule, name, f.params, f.results)
		}
	})
	wasm := m.Export(abi.ToolCall, m.Func("ii", "l", "", guests.Fine())).Bytes()
	p := load(t, wasm, nil)
	if _, err := p.Call(t.Context(), abi.ToolCall, nil, nil, InvokerBudget); err != nil {
		t.Error(err)
	}
}

func TestLinkRefusals(t *testing.T) {
	bare := func(change func(*guests.Module)) []byte {
		m := guests.Bare(1)
		change(m)
		return m.Bytes()
	}
	with := func(m *guests.Module, names ...string) {
		for _, n := range names {
			switch n {
			case abi.Marker:
				m.Export(n, m.Func("", "", ""))
			case abi.Alloc:
				m.Export(n, m.Func("i", "i", "", guests.Const(0)))
			default:
				m.Export(n, m.Func("ii", "l", "", guests.Const64(0)))
			}
		}
	}
	tests := []struct {
		name string
		wasm []byte
		part string
	}{
		{"no wasm", []byte("hello"), "plugin t"},
		{"component", []byte("\x00asm\x0d\x00\x01\x00"), "component"},
		{"no marker", bare(func(m *guests.Module) { with(m, abi.Alloc, abi.ToolCall) }), "does not export " + abi.Marker},
		{"another version", bare(func(m *guests.Module) { m.Export("sallyport_abi_v2", m.Func("", "", "")) }), "speaks v2"},
		{"no alloc", bare(func(m *guests.Module) { with(m, abi.Marker, abi.ToolCall) }), "does not export " + abi.Alloc},
		{"no kind", bare(func(m *guests.Module) { with(m, abi.Marker, abi.Alloc) }), "exports none of"},
		{"wrong type", bare(func(m *guests.Module) {
			with(m, abi.Marker, abi.Alloc)
			m.Export(abi.ToolCall, m.Func("i", "l", "", guests.Const64(0)))
		}), "its export sallyport_tool_call"},
		{"unknown host function", importing(abi.Module, "format_disk", "", ""), "does not offer"},
		{"host function of another type", importing(abi.Module, abi.Log, "ii", ""), "sdk/ABI.md has its signature"},
		{"next major", importing("sallyport_v2", abi.Log, "iii", ""), "this gateway speaks sallyport_v1"},
		{"env", importing("env", "system", "i", "i"), "link it statically"},
		{"another module", importing("extism:host/env", "length", "l", "l"), "only sallyport_v1"},
		{"no such WASI", importing(wasiModule, "fork", "", "i"), "no function of WASI"},
		{"yield", importing(abi.Module, abi.Yield, "", ""), "plugin t"},
	}
	for _, tt := range tests {
		_, err := Load(t.Context(), tt.wasm, Options{Name: "t", InProcess: true, Grant: all()})
		if err == nil {
			t.Errorf("%s: it was loaded", tt.name)
			continue
		}
		if e := core.AsError(err); e.Code != core.CodeInvalid || !strings.Contains(e.Public(), tt.part) {
			t.Errorf("%s: %s %q, want %q", tt.name, e.Code, e.Public(), tt.part)
		}
	}
	_, err := Load(t.Context(), guests.Echo(), Options{Name: "t", InProcess: true, Isolation: "tenant"})
	wantCode(t, err, core.CodeInvalid, `isolation "tenant" is unknown`)
	_, err = Load(t.Context(), guests.Grower(), Options{Name: "t", InProcess: true, Limits: Limits{Memory: 1 << 16}})
	wantCode(t, err, core.CodeTooLarge, "it starts with 128 KiB of memory, the limit is 64 KiB")
}
