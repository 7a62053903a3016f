package sandbox

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"
	"time"
	"unicode/utf16"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/plugins/abi"
	"github.com/sallyport/sallyport/plugins/rewrite"
)

// Modules that a plugin may import from, beside abi.Module.
const (
	wasiModule = "wasi_snapshot_preview1"
	envModule  = "env" // AssemblyScript's abort only
)

// hostFunctions serves abi.Imports. Guests put integers on the stack as u64; the
// low half of an i32 counts.
var hostFunctions = map[string]api.GoModuleFunc{
	abi.Log:      hostLog,
	abi.Read:     hostRead,
	abi.Config:   hostConfig,
	abi.HTTP:     hostHTTP,
	abi.KVGet:    hostKVGet,
	abi.KVSet:    hostKVSet,
	abi.KVDelete: hostKVDelete,
	abi.KVList:   hostKVList,
	abi.Secret:   hostSecret,
	abi.Metric:   hostMetric,
	abi.Progress: hostProgress,
	abi.CallTool: hostCallTool,
}

// checkImports refuses a module that wants what is not there or not granted, with
// what to do about it. All mistakes are named at once.
func checkImports(name string, module *rewrite.Module, grant Grant) error {
	var wrong []string
	missing := map[string]bool{}
	for _, i := range module.Imports {
		if i.Kind != rewrite.Function {
			wrong = append(wrong, fmt.Sprintf("it imports the %s %s.%s: a plugin imports functions only", i.Kind, i.Module, i.Name))
			continue
		}
		switch i.Module {
		case abi.Module:
			f, known := abi.FindImport(i.Name)
			switch {
			case !known:
				wrong = append(wrong, fmt.Sprintf("it imports %s.%s, which this gateway does not offer: build it with an SDK for ABI v1 of this version", i.Module, i.Name))
			case letters(i.Signature.Params) != f.Params || letters(i.Signature.Results) != f.Results:
				wrong = append(wrong, fmt.Sprintf("it imports %s.%s as %s: sdk/ABI.md has its signature", i.Module, i.Name, i.Signature))
			case !grant.Allows(f.Capability) && !missing[f.Capability]:
				missing[f.Capability] = true
				wrong = append(wrong, fmt.Sprintf("it imports %s.%s, and the capability %q is not granted: add %q to the plugin's grants, if it should have it, or use a build that does without", i.Module, i.Name, f.Capability, f.Capability))
			}
		case wasiModule:
			f, known := wasi[i.Name]
			switch {
			case !known:
				wrong = append(wrong, fmt.Sprintf("it imports %s.%s, which is no function of WASI preview 1", i.Module, i.Name))
			case letters(i.Signature.Params) != f.params || letters(i.Signature.Results) != f.results:
				wrong = append(wrong, fmt.Sprintf("it imports %s.%s as %s, which is not its signature", i.Module, i.Name, i.Signature))
			}
		case envModule:
			if i.Name != "abort" || letters(i.Signature.Params) != "iiii" || len(i.Signature.Results) > 0 {
				wrong = append(wrong, fmt.Sprintf("it imports %s.%s: only %s and %s are there; link it statically", i.Module, i.Name, abi.Module, wasiModule))
			}
		default:
			if strings.HasPrefix(i.Module, "sallyport_v") {
				wrong = append(wrong, fmt.Sprintf("it imports from %s; this gateway speaks %s: use the SDK of that version", i.Module, abi.Module))
				continue
			}
			wrong = append(wrong, fmt.Sprintf("it imports %s.%s: only %s and %s are there", i.Module, i.Name, abi.Module, wasiModule))
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	code := core.CodeInvalid
	if len(wrong) == len(missing) {
		code = core.CodeDenied
	}
	return &core.Error{Code: code, Message: "plugin " + name + ": " + strings.Join(wrong, "; ")}
}

// checkExports refuses a module that does not speak ABI v1, and returns the kinds
// that it has.
func checkExports(name string, module *rewrite.Module) ([]string, error) {
	refuse := func(message, fix string) ([]string, error) {
		return nil, &core.Error{Code: core.CodeInvalid, Message: "plugin " + name + ": " + message, Fix: fix}
	}
	if _, ok := module.Export(abi.Marker); !ok {
		for _, e := range module.Exports {
			if strings.HasPrefix(e.Name, "sallyport_abi_v") {
				return refuse("it speaks "+strings.TrimPrefix(e.Name, "sallyport_abi_")+" of the ABI, this gateway v1", "use the SDK of that version")
			}
		}
		return refuse("it does not export "+abi.Marker+", so it is no plugin of this gateway", "build it with one of the SDKs, or see sdk/ABI.md")
	}
	if !module.HasMemory {
		return refuse("it has no memory", "export one as "+abi.Memory)
	}
	if e, ok := module.Export(abi.Memory); !ok || e.Kind != rewrite.Memory {
		return refuse("it does not export its memory", "export it as "+abi.Memory)
	}
	var kinds []string
	for _, want := range []struct {
		name, params, results string
		must                  bool
	}{
		{abi.Marker, "", "", true},
		{abi.Alloc, "i", "i", true},
		{abi.Initialize, "", "", false},
		{abi.Configure, "ii", "l", false},
		{abi.ToolCall, "ii", "l", false},
		{abi.ToolsList, "ii", "l", false},
		{abi.ResponseTransform, "ii", "l", false},
		{abi.RequestTransform, "ii", "l", false},
		{abi.Authorize, "ii", "l", false},
	} {
		e, ok := module.Export(want.name)
		switch {
		case !ok && want.must:
			return refuse("it does not export "+want.name, "build it with one of the SDKs, or see sdk/ABI.md")
		case !ok:
			continue
		case e.Kind != rewrite.Function || letters(e.Signature.Params) != want.params || letters(e.Signature.Results) != want.results:
			return refuse(fmt.Sprintf("its export %s is a %s %s", want.name, e.Kind, e.Signature), "sdk/ABI.md has its signature")
		}
		for _, kind := range abi.Kinds {
			if kind == want.name {
				kinds = append(kinds, kind)
			}
		}
	}
	if len(kinds) == 0 {
		return refuse("it exports none of "+strings.Join(abi.Kinds[:], ", "), "export at least one")
	}
	return kinds, nil
}

// letters spells value types as abi.Import does.
func letters(types []rewrite.Type) string {
	b := make([]byte, len(types))
	for n, t := range types {
		switch t {
		case rewrite.I32:
			b[n] = 'i'
		case rewrite.I64:
			b[n] = 'l'
		case rewrite.F32:
			b[n] = 'f'
		case rewrite.F64:
			b[n] = 'd'
		default:
			b[n] = '?'
		}
	}
	return string(b)
}

func valueTypes(letters string) []api.ValueType {
	types := make([]api.ValueType, len(letters))
	for n := range letters {
		types[n] = map[byte]api.ValueType{'i': api.ValueTypeI32, 'l': api.ValueTypeI64, 'f': api.ValueTypeF32, 'd': api.ValueTypeF64}[letters[n]]
	}
	return types
}

// link defines the host modules that the module imports, with the granted
// functions and no other.
func link(ctx context.Context, runtime wazero.Runtime, module *rewrite.Module, grant Grant) error {
	ours := runtime.NewHostModuleBuilder(abi.Module)
	for _, f := range &abi.Imports {
		if grant.Allows(f.Capability) {
			ours.NewFunctionBuilder().WithGoModuleFunction(hostFunctions[f.Name], valueTypes(f.Params), valueTypes(f.Results)).Export(f.Name)
		}
	}
	ours.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(yield), nil, nil).Export(abi.Yield)
	if _, err := ours.Instantiate(ctx); err != nil {
		return fmt.Errorf("link %s: %w", abi.Module, err)
	}
	var preview, env wazero.HostModuleBuilder
	for _, i := range module.Imports {
		switch i.Module {
		case wasiModule:
			if preview == nil {
				preview = runtime.NewHostModuleBuilder(wasiModule)
			}
			f := wasi[i.Name]
			preview.NewFunctionBuilder().WithGoModuleFunction(f.serve(), valueTypes(f.params), valueTypes(f.results)).Export(i.Name)
		case envModule:
			env = runtime.NewHostModuleBuilder(envModule)
			env.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(abort), valueTypes("iiii"), nil).Export("abort")
		}
	}
	for _, b := range []wazero.HostModuleBuilder{preview, env} {
		if b == nil {
			continue
		}
		if _, err := b.Instantiate(ctx); err != nil {
			return fmt.Errorf("link: %w", err)
		}
	}
	return nil
}

// text returns a piece of guest memory, without a copy.
func text(guest api.Module, ptr, size uint64) ([]byte, bool) {
	return guest.Memory().Read(uint32(ptr), uint32(size))
}

// give copies a result to dst if it fits, else keeps it for `read`; it returns its
// length, or the code.
func (i *instance) give(guest api.Module, value []byte, code int64, dst, capacity uint64) uint64 {
	if code < 0 {
		return negative(code)
	}
	i.slot = nil
	if uint64(len(value)) <= uint64(uint32(capacity)) {
		if !guest.Memory().Write(uint32(dst), value) {
			return negative(abi.ErrInvalid)
		}
		return uint64(len(value))
	}
	i.slot = value
	return uint64(len(value))
}

// keep puts a result into the slot and returns its length, or the code.
func (i *instance) keep(value []byte, code int64) uint64 {
	if code < 0 {
		return negative(code)
	}
	i.slot = value
	return uint64(len(value))
}

// negative is an i64 on the stack. An unknown code becomes ErrUnavailable, so that
// a Host cannot hand out lengths below zero that a guest does not know.
func negative(code int64) uint64 {
	if abi.ErrorName(code) == "error" {
		code = abi.ErrUnavailable
	}
	return uint64(code)
}

func hostLog(ctx context.Context, guest api.Module, stack []uint64) {
	i := running(ctx)
	if b, ok := text(guest, stack[1], stack[2]); ok {
		i.plugin.host.Log(i.context(), &i.scope, level(stack[0]), b)
	}
}

func level(v uint64) int {
	return int(min(uint32(v), abi.LogError))
}

func hostRead(ctx context.Context, guest api.Module, stack []uint64) {
	i := running(ctx)
	dst, off, capacity := uint32(stack[0]), uint64(uint32(stack[1])), uint64(uint32(stack[2]))
	if off >= uint64(len(i.slot)) {
		stack[0] = 0
		return
	}
	piece := i.slot[off:min(off+capacity, uint64(len(i.slot)))]
	if !guest.Memory().Write(dst, piece) {
		stack[0] = uint64(uint32(0xffff_ffff + abi.ErrInvalid + 1))
		return
	}
	stack[0] = uint64(len(piece))
}

func hostConfig(ctx context.Context, guest api.Module, stack []uint64) {
	i := running(ctx)
	key, ok := text(guest, stack[0], stack[1])
	if !ok {
		stack[0] = negative(abi.ErrInvalid)
		return
	}
	value, code := i.plugin.host.Config(i.context(), &i.scope, key)
	stack[0] = i.give(guest, value, code, stack[2], stack[3])
}

func hostHTTP(ctx context.Context, guest api.Module, stack []uint64) {
	i := running(ctx)
	request, ok := text(guest, stack[0], stack[1])
	if !ok {
		stack[0] = negative(abi.ErrInvalid)
		return
	}
	i.wait()
	frame, code := i.plugin.host.HTTP(i.context(), &i.scope, request)
	i.waited()
	stack[0] = i.keep(frame, code)
}

func hostKVGet(ctx context.Context, guest api.Module, stack []uint64) {
	i := running(ctx)
	key, ok := text(guest, stack[0], stack[1])
	if !ok {
		stack[0] = negative(abi.ErrInvalid)
		return
	}
	i.wait()
	value, version, code := i.plugin.host.KVGet(i.context(), &i.scope, key)
	i.waited()
	if code < 0 {
		stack[0] = negative(code)
		return
	}
	// u64 version, then the value: written in two pieces when both fit.
	dst, capacity := uint32(stack[2]), uint64(uint32(stack[3]))
	size := uint64(len(value)) + 8
	if size <= capacity {
		if out, ok := guest.Memory().Read(dst, uint32(size)); ok {
			binary.LittleEndian.PutUint64(out, version)
			copy(out[8:], value)
			i.slot = nil
			stack[0] = size
			return
		}
		stack[0] = negative(abi.ErrInvalid)
		return
	}
	stack[0] = i.keep(append(binary.LittleEndian.AppendUint64(make([]byte, 0, size), version), value...), 0)
}

func hostKVSet(ctx context.Context, guest api.Module, stack []uint64) {
	i := running(ctx)
	key, ok := text(guest, stack[0], stack[1])
	value, fine := text(guest, stack[2], stack[3])
	ttl := stack[4]
	if !ok || !fine || ttl > uint64(1<<63-1)/uint64(time.Millisecond) {
		stack[0] = negative(abi.ErrInvalid)
		return
	}
	i.wait()
	version := i.plugin.host.KVSet(i.context(), &i.scope, key, value, time.Duration(ttl)*time.Millisecond, int64(stack[5]))
	i.waited()
	stack[0] = result(version)
}

func hostKVDelete(ctx context.Context, guest api.Module, stack []uint64) {
	i := running(ctx)
	key, ok := text(guest, stack[0], stack[1])
	if !ok {
		stack[0] = negative(abi.ErrInvalid)
		return
	}
	i.wait()
	code := i.plugin.host.KVDelete(i.context(), &i.scope, key, int64(stack[2]))
	i.waited()
	stack[0] = result(code)
}

func result(v int64) uint64 {
	if v < 0 {
		return negative(v)
	}
	return uint64(v)
}

func hostKVList(ctx context.Context, guest api.Module, stack []uint64) {
	i := running(ctx)
	prefix, ok := text(guest, stack[0], stack[1])
	after, fine := text(guest, stack[2], stack[3])
	if !ok || !fine {
		stack[0] = negative(abi.ErrInvalid)
		return
	}
	i.wait()
	frame, code := i.plugin.host.KVList(i.context(), &i.scope, prefix, after)
	i.waited()
	stack[0] = i.keep(frame, code)
}

func hostSecret(ctx context.Context, guest api.Module, stack []uint64) {
	i := running(ctx)
	name, ok := text(guest, stack[0], stack[1])
	if !ok {
		stack[0] = negative(abi.ErrInvalid)
		return
	}
	i.wait()
	value, code := i.plugin.host.Secret(i.context(), &i.scope, name)
	i.waited()
	stack[0] = i.give(guest, value, code, stack[2], stack[3])
}

func hostMetric(ctx context.Context, guest api.Module, stack []uint64) {
	i := running(ctx)
	kind := uint32(stack[2])
	if name, ok := text(guest, stack[0], stack[1]); ok && kind <= abi.MetricHistogram {
		i.plugin.host.Metric(i.context(), &i.scope, name, int(kind), api.DecodeF64(stack[3]))
	}
}

func hostProgress(ctx context.Context, guest api.Module, stack []uint64) {
	i := running(ctx)
	if frame, ok := text(guest, stack[0], stack[1]); ok {
		i.plugin.host.Progress(i.context(), &i.scope, frame)
	}
}

func hostCallTool(ctx context.Context, guest api.Module, stack []uint64) {
	i := running(ctx)
	frame, ok := text(guest, stack[0], stack[1])
	if !ok {
		stack[0] = negative(abi.ErrInvalid)
		return
	}
	i.wait()
	answer, code := i.plugin.host.CallTool(i.context(), &i.scope, frame)
	i.waited()
	stack[0] = i.keep(answer, code)
}

// abort serves AssemblyScript's env.abort(message, file, line, column): the message
// goes to the log, the call fails. Strings there are UTF-16, their length in bytes
// stands before them.
func abort(ctx context.Context, guest api.Module, stack []uint64) {
	i := running(ctx)
	read := func(ptr uint64) string {
		p := uint32(ptr)
		if p < 4 {
			return ""
		}
		size, ok := guest.Memory().ReadUint32Le(p - 4)
		if !ok {
			return ""
		}
		b, ok := guest.Memory().Read(p, min(size, 1024)&^1)
		if !ok {
			return ""
		}
		units := make([]uint16, len(b)/2)
		for n := range units {
			units[n] = binary.LittleEndian.Uint16(b[2*n:])
		}
		return string(utf16.Decode(units))
	}
	line := fmt.Appendf(nil, "abort: %s at %s:%d:%d", read(stack[0]), read(stack[1]), uint32(stack[2]), uint32(stack[3]))
	i.plugin.host.Log(i.context(), &i.scope, abi.LogError, line)
	i.halt(&core.Error{Code: core.CodeInternal, Message: "its code aborted", Fix: "its log says why"})
}
