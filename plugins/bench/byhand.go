package main

import (
	"context"
	"errors"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/sallyport/sallyport/plugins/abi"
)

// byHand is wazero with the least around it: one instance, one buffer, no limits.
type byHand struct {
	runtime wazero.Runtime
	memory  api.Memory
	call    api.Function
	input   uint32
	stack   [2]uint64
	closing bool // when the context is done, by wazero's own means
}

var errGuest = errors.New("the guest did not answer")

func newByHand(ctx context.Context, wasm []byte, closing bool) (h *byHand, err error) {
	h = &byHand{runtime: wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithCloseOnContextDone(closing)), closing: closing}
	defer func() {
		if err != nil {
			_ = h.runtime.Close(ctx)
		}
	}()
	if _, err = wasi_snapshot_preview1.Instantiate(ctx, h.runtime); err != nil {
		return nil, err
	}
	compiled, err := h.runtime.CompileModule(ctx, wasm)
	if err != nil {
		return nil, err
	}
	if err = h.imports(ctx, compiled); err != nil {
		return nil, err
	}
	module, err := h.runtime.InstantiateModule(ctx, compiled, wazero.NewModuleConfig().WithStartFunctions(abi.Initialize))
	if err != nil {
		return nil, err
	}
	h.memory, h.call = module.Memory(), module.ExportedFunction(abi.ToolCall)
	at, err := module.ExportedFunction(abi.Alloc).Call(ctx, abi.InputBuffer)
	if err != nil {
		return nil, err
	}
	h.input = uint32(at[0])
	return h, nil
}

// imports gives the guest the host functions that it imports; they do nothing.
func (h *byHand) imports(ctx context.Context, compiled wazero.CompiledModule) error {
	hosts := map[string]wazero.HostModuleBuilder{}
	for _, f := range compiled.ImportedFunctions() {
		module, name, _ := f.Import()
		if module == wasi_snapshot_preview1.ModuleName {
			continue
		}
		if hosts[module] == nil {
			hosts[module] = h.runtime.NewHostModuleBuilder(module)
		}
		hosts[module].NewFunctionBuilder().WithGoModuleFunction(
			api.GoModuleFunc(func(context.Context, api.Module, []uint64) {}), f.ParamTypes(), f.ResultTypes()).Export(name)
	}
	for _, host := range hosts {
		if _, err := host.Instantiate(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (h *byHand) do(ctx context.Context, tool string, payload []byte) ([]byte, error) {
	if h.closing {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
	}
	meta := [1]abi.Pair{{Key: abi.MetaTool, Value: tool}}
	size := abi.SizeIn(meta[:], payload)
	in, ok := h.memory.Read(h.input, uint32(size))
	if !ok {
		return nil, errGuest
	}
	abi.AppendIn(in[:0], meta[:], payload)
	h.stack[0], h.stack[1] = uint64(h.input), uint64(size)
	if err := h.call.CallWithStack(ctx, h.stack[:]); err != nil {
		return nil, err
	}
	ptr, length := abi.Unpack(h.stack[0])
	out, ok := h.memory.Read(ptr, length)
	if !ok {
		return nil, errGuest
	}
	status, _, body, err := abi.ParseOut(out)
	if err != nil || status != abi.OK {
		return nil, errGuest
	}
	return append([]byte(nil), body...), nil
}
