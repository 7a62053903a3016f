package sandbox

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/tetratelabs/wazero"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/plugins/rewrite"
)

// Isolation of the calls of one plugin.
const (
	// Shared lets an instance keep what earlier calls left in its memory.
	Shared = "shared"
	// PerCall makes the instance after each call what it was when it was made.
	PerCall = "call"
)

// Options of Load. Name is needed, everything else has a default.
type Options struct {
	Name      string
	Grant     Grant
	Limits    Limits
	Isolation string // Shared or PerCall; "" = Shared
	Config    []byte // JSON, given to configure; nil = {}
	Host      Host   // nil = NoHost
	CacheDir  string // for native code, made with mode 0700; "" = a temporary one for this load
	Log       *slog.Logger
	Now       func() time.Time // nil = time.Now
	Rand      io.Reader        // of random_get; nil = crypto/rand
	Observe   func(Event)      // told of every call; must not block; may be nil

	// InProcess compiles in this process, without limits of time and memory: for
	// modules that the program brings itself, and for benchmarks.
	InProcess bool
	// Plain leaves the instrumentation out: nothing stops the guest then. For
	// benchmarks and the test that instrumented and plain guests agree.
	Plain bool
}

// Load verifies, instruments, compiles and links a module, and makes its first
// instance, configure included. The error is a *core.Error, except when ctx ends:
// denied for a capability that was not granted, too_large past a static limit or the
// limits of compiling, invalid for everything else that is wrong with the module.
func Load(ctx context.Context, wasm []byte, o Options) (_ *Plugin, err error) {
	o.fill()
	if o.Isolation != Shared && o.Isolation != PerCall {
		return nil, &core.Error{Code: core.CodeInvalid, Message: "plugin " + o.Name + ": isolation " + strconv.Quote(o.Isolation) + " is unknown", Fix: "use " + Shared + " or " + PerCall}
	}
	p := &Plugin{
		name: o.Name, grant: o.Grant, limits: o.Limits, host: o.Host, log: o.Log, now: o.Now, rand: o.Rand, observe: o.Observe,
		setting: o.Config, born: o.Now(), isolated: o.Isolation == PerCall,
	}
	module, err := p.verify(wasm)
	if err != nil {
		return nil, err
	}
	if !o.Plain || p.isolated {
		wasm, err = rewrite.Instrument(wasm, rewrite.Options{Fuel: !o.Plain, Depth: !o.Plain, Globals: p.isolated, MaxStack: o.Limits.Stack})
		if err != nil {
			return nil, p.unfit(err)
		}
		p.instrumented = !o.Plain
	}
	wasm = boundTables(wasm)
	if err := p.compile(ctx, wasm, &o); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			p.release()
		}
	}()
	if err := link(ctx, p.runtime, module, p.grant); err != nil {
		return nil, &core.Error{Code: core.CodeInternal, Message: "plugin " + p.name, Err: err}
	}
	p.config = wazero.NewModuleConfig().WithName("").WithStartFunctions()
	p.pool = newPool(p)
	p.pool.total = 1
	first, err := p.newInstance(ctx, p.now().Add(p.limits.Start))
	if err != nil {
		return nil, err
	}
	p.pool.put(first)
	return p, nil
}

func (o *Options) fill() {
	o.Limits = o.Limits.orDefault()
	if o.Host == nil {
		o.Host = NoHost{}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Log = o.Log.With("plugin", o.Name)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.Config == nil {
		o.Config = []byte("{}")
	}
	if o.Isolation == "" {
		o.Isolation = Shared
	}
}

// verify checks everything that can be known without compiling.
func (p *Plugin) verify(wasm []byte) (*rewrite.Module, error) {
	limits := rewrite.Default
	limits.Module = int(p.limits.Module)
	module, err := rewrite.Inspect(wasm, limits)
	if err != nil {
		return nil, p.unfit(err)
	}
	kinds, err := checkExports(p.name, module)
	if err != nil {
		return nil, err
	}
	if err := checkImports(p.name, module, p.grant); err != nil {
		return nil, err
	}
	if need := int64(module.MinPages) << 16; need > p.limits.Memory {
		return nil, &core.Error{Code: core.CodeTooLarge, Message: fmt.Sprintf("plugin %s: it starts with %s of memory, the limit is %s", p.name, bytes(need), bytes(p.limits.Memory)), Fix: "raise limits.memory"}
	}
	if p.isolated {
		if len(module.Beyond) > 0 {
			return nil, &core.Error{Code: core.CodeInvalid, Message: fmt.Sprintf("plugin %s: isolation per call cannot restore its %s", p.name, module.Beyond[0]), Fix: "use isolation: shared, or build it without instructions that change them"}
		}
		if g, ok := whole(module.Mutables); !ok {
			return nil, &core.Error{Code: core.CodeInvalid, Message: fmt.Sprintf("plugin %s: isolation per call cannot restore its global %d of type %s", p.name, g.Index, g.Type), Fix: "use isolation: shared"}
		}
	}
	p.kinds, p.mutables = kinds, module.Mutables
	for _, k := range kinds {
		n, _ := kindOf(k)
		p.has[n] = true
	}
	return module, nil
}

// unfit is the error for what package rewrite refuses.
func (p *Plugin) unfit(err error) error {
	return &core.Error{Code: core.CodeInvalid, Message: "plugin " + p.name + ": " + err.Error()}
}

// compile makes runtime, cache and compiled module.
func (p *Plugin) compile(ctx context.Context, wasm []byte, o *Options) error {
	root := o.CacheDir
	if root == "" {
		temporary, err := os.MkdirTemp("", "sallyport-plugin-")
		if err != nil {
			return fmt.Errorf("make a cache for plugin %s: %w", p.name, err)
		}
		defer os.RemoveAll(temporary) //nolint:errcheck // the native code was read into memory
		root = temporary
	}
	root, err := filepath.Abs(root) // the process that compiles runs in another directory
	if err != nil {
		return fmt.Errorf("find the cache of plugin %s: %w", p.name, err)
	}
	dir, err := compile(ctx, wasm, root, o)
	if err != nil {
		return err
	}
	if p.cache, err = wazero.NewCompilationCacheWithDir(dir); err != nil {
		return fmt.Errorf("open the cache of plugin %s: %w", p.name, err)
	}
	p.runtime = wazero.NewRuntimeWithConfig(ctx, runtimeConfig(p.cache, uint32(o.Limits.Memory>>16)))
	if p.compiled, err = p.runtime.CompileModule(ctx, wasm); err != nil {
		_ = p.runtime.Close(ctx)
		_ = p.cache.Close(ctx)
		return &core.Error{Code: core.CodeInvalid, Message: "plugin " + p.name + ": it does not compile: " + sayable([]byte(err.Error()))}
	}
	return nil
}
