package sandbox

import (
	"context"
	"errors"
	"time"

	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/plugins/abi"
)

// instance is one running copy of a module, used by one call at a time. It is the
// context.Context that wazero hands to the host functions, so that they find it
// with a type assertion and a call costs no context of its own.
type instance struct {
	plugin    *Plugin
	module    api.Module
	memory    api.Memory
	linear    *linear
	alloc     api.Function
	configure api.Function                 // nil = not exported
	kinds     [len(abi.Kinds)]api.Function // nil = not exported; looked up once
	fuel      api.MutableGlobal            // nil = not instrumented
	depth     api.Global                   // nil = not instrumented

	input    uint32 // the guest's input buffer, 0 = none yet
	inputCap uint32
	stack    [2]uint64 // parameters and result of an export
	calls    int
	image    *image    // what it was when it was made; nil unless isolated
	idle     time.Time // since when nothing runs on it
	size     int64     // bytes of memory when it went back

	// The call that runs now.
	scope  Scope
	caller context.Context //nolint:containedctx // of the one call that runs; wazero hands host functions the instance
	life   *core.Lifetime  // the context of host functions, made when one asks
	meter  meter
	slot   []byte // the pending result for `read`
	stdio  [2]lines
	stop   error // why the call was stopped; nil while it may run
}

// context of the instance, for wazero only.

// Deadline returns that of the call.
func (i *instance) Deadline() (time.Time, bool) { return i.scope.deadline, true }

// Done returns nil: wazero does not wait on it (close-on-done is off, fuel is used).
func (i *instance) Done() <-chan struct{} { return nil }

// Err returns why the call was stopped.
func (i *instance) Err() error { return i.stop }

// Value finds the instance itself behind contexts that wazero makes of it.
func (i *instance) Value(key any) any {
	if key == (instanceKey{}) {
		return i
	}
	return nil
}

type instanceKey struct{}

// running returns the instance whose guest called the host function.
func running(ctx context.Context) *instance {
	if i, ok := ctx.(*instance); ok {
		return i
	}
	i, _ := ctx.Value(instanceKey{}).(*instance)
	return i
}

// context returns the context of host functions: the caller's, ending with the
// call's deadline.
func (i *instance) context() context.Context {
	if i.life == nil {
		i.life = core.NewLifetime(i.caller, i.scope.deadline)
	}
	return i.life
}

// newInstance instantiates, initialises and configures. It is bounded by
// Limits.Start and by the call that wants it.
func (p *Plugin) newInstance(ctx context.Context, deadline time.Time) (_ *instance, err error) {
	i := &instance{plugin: p, caller: ctx, linear: &linear{limit: uint64(p.limits.Memory)}}
	now := p.now()
	i.scope = Scope{Plugin: p.name, Export: abi.Configure, Grant: p.grant, Log: p.log, now: p.now, deadline: earlier(ctx, now.Add(p.limits.Start))}
	if deadline.Before(i.scope.deadline) {
		i.scope.deadline = deadline
	}
	i.meter.begin(now, i.scope.deadline, p.limits.Start)
	defer func() {
		i.end()
		if err != nil {
			if i.module != nil {
				_ = i.module.Close(context.Background())
			}
			i.linear.Free()
		}
	}()
	i.module, err = p.runtime.InstantiateModule(experimental.WithMemoryAllocator(i, i.linear), p.compiled, p.config)
	if err != nil {
		return nil, i.fault("instantiate", err)
	}
	i.memory = i.module.Memory()
	i.alloc = i.module.ExportedFunction(abi.Alloc)
	i.configure = i.module.ExportedFunction(abi.Configure)
	for n, name := range abi.Kinds {
		i.kinds[n] = i.module.ExportedFunction(name)
	}
	if p.instrumented {
		i.fuel, _ = i.module.ExportedGlobal(fuelExport).(api.MutableGlobal)
		i.depth = i.module.ExportedGlobal(stackExport)
		if i.fuel == nil {
			return nil, &core.Error{Code: core.CodeInternal, Message: "plugin " + p.name + ": the instrumented module has no fuel"}
		}
	}
	if start := i.module.ExportedFunction(abi.Initialize); start != nil {
		if err := start.CallWithStack(i, i.stack[:]); err != nil {
			return nil, i.fault(abi.Initialize, err)
		}
	}
	if err := i.reserve(abi.InputBuffer); err != nil {
		return nil, err
	}
	if i.configure != nil {
		a, err := i.answer(abi.Configure, i.configure, nil, p.setting)
		if err != nil {
			return nil, err
		}
		if a.Status != abi.OK {
			why := sayable(a.Payload)
			if why == "" {
				why = "it answers " + a.Status.String()
			}
			return nil, &core.Error{Code: core.CodeInvalid, Message: "plugin " + p.name + " refuses its configuration: " + why}
		}
	}
	if p.isolated {
		i.image = capture(i)
	}
	return i, nil
}

// call runs one export. Any error means that the instance must not be used again,
// except a refusal (see refused).
func (i *instance) call(ctx context.Context, kind int, meta []abi.Pair, payload []byte, begin, deadline time.Time, cpu time.Duration, b *Budget) (Answer, error) {
	i.calls++
	i.caller, i.life, i.stop, i.slot = ctx, nil, nil, nil
	i.scope = Scope{
		Plugin: i.plugin.name, Export: abi.Kinds[kind], CallID: b.CallID, Call: b.Call,
		Grant: i.plugin.grant, Log: i.plugin.log, now: i.plugin.now, deadline: deadline,
	}
	i.meter.begin(begin, deadline, cpu)
	a, err := i.answer(abi.Kinds[kind], i.kinds[kind], meta, payload)
	i.end()
	a.CPU, a.Fuel = i.meter.spent, i.meter.fuel
	return a, err
}

// end closes what a call leaves open.
func (i *instance) end() {
	for n := range i.stdio {
		i.stdio[n].flush(i, n)
	}
	if i.life != nil {
		i.life.Cancel(nil)
		i.life = nil
	}
	i.idle = i.plugin.now()
	i.meter.end(i.idle, i.fuel)
	i.caller, i.slot = nil, nil
	i.scope.Call = nil
}

// answer writes the frame, calls the export and copies its answer.
func (i *instance) answer(export string, f api.Function, meta []abi.Pair, payload []byte) (Answer, error) {
	size := abi.SizeIn(meta, payload)
	if size > int(i.inputCap) {
		if err := i.reserve(size); err != nil {
			return Answer{}, err
		}
	}
	in, ok := i.memory.Read(i.input, uint32(size))
	if !ok {
		return Answer{}, i.broken(export, "its input buffer lies outside its memory")
	}
	abi.AppendIn(in[:0], meta, payload)
	i.stack[0], i.stack[1] = uint64(i.input), uint64(size)
	i.refuel()
	if err := f.CallWithStack(i, i.stack[:]); err != nil {
		return Answer{}, i.fault(export, err)
	}
	packed := i.stack[0]
	if packed == 0 {
		return Answer{}, i.broken(export, "it gave up without an answer (returned 0)")
	}
	ptr, length := abi.Unpack(packed)
	if int64(length) > i.plugin.limits.Output {
		return Answer{}, &core.Error{Code: core.CodeTooLarge, Message: "plugin " + i.plugin.name + ": its answer is larger than " + bytes(i.plugin.limits.Output), Fix: "raise limits.max_output, or answer with less"}
	}
	out, ok := i.memory.Read(ptr, length)
	if !ok {
		return Answer{}, i.broken(export, "its answer lies outside its memory")
	}
	status, pairs, body, err := abi.ParseOut(out)
	if err != nil {
		return Answer{}, i.broken(export, err.Error())
	}
	a := Answer{Status: status.Known(), Meta: pairs}
	if said, ok := abi.Get(pairs, abi.MetaLog); ok {
		i.plugin.host.Log(i.context(), &i.scope, abi.LogInfo, []byte(said))
	}
	if len(body) > 0 {
		a.Payload = append([]byte(nil), body...)
	}
	return a, nil
}

// reserve has the guest make an input buffer of at least size bytes. The guest
// keeps it; the ABI has no free for it.
func (i *instance) reserve(size int) error {
	want := uint64(abi.InputBuffer)
	for want < uint64(size) {
		want *= 2
	}
	i.stack[0] = want
	i.refuel()
	if err := i.alloc.CallWithStack(i, i.stack[:]); err != nil {
		return i.fault(abi.Alloc, err)
	}
	ptr := uint32(i.stack[0])
	if ptr == 0 {
		return &core.Error{Code: core.CodeTooLarge, Message: "plugin " + i.plugin.name + ": its memory does not hold an input of " + bytes(int64(size)), Fix: "raise limits.memory"}
	}
	if _, ok := i.memory.Read(ptr, uint32(want)); !ok {
		return i.broken(abi.Alloc, "the buffer that it gave lies outside its memory")
	}
	i.input, i.inputCap = ptr, uint32(want)
	return nil
}

func (i *instance) refuel() {
	if i.fuel != nil {
		i.meter.refuel(i.fuel)
	}
}

// worn reports that the instance should be replaced although it works.
func (i *instance) worn() bool {
	return i.calls >= i.plugin.limits.Calls || int64(i.memory.Size()) > i.plugin.limits.Memory/4*3
}

func (i *instance) close() {
	_ = i.module.Close(context.Background())
	i.linear.Free()
}

// fault says what an error of wazero means.
func (i *instance) fault(doing string, err error) error {
	name := "plugin " + i.plugin.name
	if stop := i.stop; stop != nil {
		var e *core.Error
		if errors.As(stop, &e) {
			copied := *e
			copied.Message = name + ": " + e.Message
			copied.Err = err
			return &copied
		}
	}
	e := &core.Error{Code: core.CodeInternal, Message: name + ": its code failed in " + doing, Err: err}
	if i.depth != nil && int32(i.depth.Get()) < 0 {
		e.Message = name + ": its functions call themselves too deep in " + doing
		e.Fix = "the limit is " + bytes(int64(i.plugin.limits.Stack)) + " of stack"
	}
	return e
}

// broken says that the guest did not keep to the ABI.
func (i *instance) broken(doing, what string) error {
	return &core.Error{Code: core.CodeInternal, Message: "plugin " + i.plugin.name + ": " + doing + ": " + what}
}

// earlier returns the deadline of ctx if it comes before at.
func earlier(ctx context.Context, at time.Time) time.Time {
	if d, ok := ctx.Deadline(); ok && d.Before(at) {
		return d
	}
	return at
}

var _ context.Context = (*instance)(nil)
