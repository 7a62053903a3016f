package sandbox

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/tetratelabs/wazero"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/plugins/abi"
	"github.com/sallyport/sallyport/plugins/rewrite"
)

// Plugin is one version of a plugin, compiled, linked and with its pool of
// instances. It is safe for concurrent use.
type Plugin struct {
	name     string
	grant    Grant
	limits   Limits
	host     Host
	log      *slog.Logger
	now      func() time.Time
	rand     io.Reader
	observe  func(Event)
	setting  []byte // configuration JSON for configure
	born     time.Time
	isolated bool

	kinds        []string
	has          [len(abi.Kinds)]bool
	mutables     []rewrite.Mutable
	instrumented bool

	cache    wazero.CompilationCache
	runtime  wazero.Runtime
	compiled wazero.CompiledModule
	config   wazero.ModuleConfig

	pool    *pool
	breaker breaker
	tally   tally
}

// Answer is what a guest answered. Status is abi.OK, abi.Unchanged or abi.ToolError:
// the other statuses are errors. Payload and Meta belong to the caller.
type Answer struct {
	Status  abi.Status
	Meta    []abi.Pair
	Payload []byte        // nil when empty
	CPU     time.Duration // of guest code
	Fuel    int64         // units; 0 without instrumentation
}

// Event tells of one call, for metrics.
type Event struct {
	Plugin, Export string
	Outcome        string        // ok, unchanged, tool_error, or a core.Code
	Wait           time.Duration // for an instance
	Duration       time.Duration // from the call to its answer, Wait included
	CPU            time.Duration
	Fuel           int64
	Memory         int64 // bytes of linear memory of the instance afterwards; 0 = it got none
	Discarded      bool  // the instance broke

	ended time.Time // of the guest's code; zero = none ran
}

// Stats are sums since Load, and what is now.
type Stats struct {
	Calls, Errors      uint64
	Discards, Recycled uint64
	CPU                time.Duration
	Fuel               int64
	Wait               time.Duration
	Instances, Free    int
	Waiting            int
	Memory             int64     // bytes that free and busy instances had after their last call, at most
	Degraded           time.Time // the breaker is open until then; zero = it is closed
}

type tally struct {
	calls, errors, discards, recycled atomic.Uint64
	cpu, fuel, wait                   atomic.Int64
}

// Exports returns the kinds that the module has: abi.ToolCall, ….
func (p *Plugin) Exports() []string { return append([]string(nil), p.kinds...) }

// Name returns Options.Name.
func (p *Plugin) Name() string { return p.name }

// Call runs one export on a pooled instance. Meta and payload are only read. Every
// error is a *core.Error:
//
//	invalid      the guest says that the arguments are wrong (its words, shortened)
//	not_found    it does not know the tool
//	denied       it refuses
//	unavailable  it asks to try later, or it is degraded; RetryAfter is set
//	timeout      wall clock or CPU budget used up
//	cancelled    ctx was cancelled
//	too_large    input or output past the limit
//	limited      all instances are busy and the queue is full
//	unsupported  the module has no such export
//	internal     a trap, an exit, a broken frame, or the guest says so
//
// After an error of its own making the instance is thrown away.
func (p *Plugin) Call(ctx context.Context, export string, meta []abi.Pair, payload []byte, budget Budget) (Answer, error) {
	begin := p.now()
	event := Event{Plugin: p.name, Export: export}
	a, err := p.call(ctx, export, meta, payload, &budget, begin, &event)
	p.tally.calls.Add(1)
	if err != nil {
		p.tally.errors.Add(1)
	}
	if p.observe != nil {
		if event.ended.IsZero() {
			event.ended = p.now()
		}
		event.Duration = event.ended.Sub(begin)
		event.CPU, event.Fuel = a.CPU, a.Fuel
		event.Outcome = a.Status.String()
		if err != nil {
			event.Outcome = string(core.AsError(err).Code)
		}
		p.observe(event)
	}
	if err != nil {
		return Answer{CPU: a.CPU, Fuel: a.Fuel}, err
	}
	return a, nil
}

func (p *Plugin) call(ctx context.Context, export string, meta []abi.Pair, payload []byte, budget *Budget, begin time.Time, event *Event) (Answer, error) {
	kind, ok := kindOf(export)
	if !ok || !p.has[kind] {
		return Answer{}, &core.Error{Code: core.CodeNotSupported, Message: "plugin " + p.name + " does not export " + export}
	}
	if size := int64(abi.SizeIn(meta, payload)); size > p.limits.Input {
		return Answer{}, &core.Error{Code: core.CodeTooLarge, Message: "plugin " + p.name + ": an input of " + bytes(size), Fix: "limits.max_input is " + bytes(p.limits.Input)}
	}
	// A Lifetime takes two locks and the clock to answer; its end is seen at the first yield.
	if _, ours := ctx.(*core.Lifetime); !ours && ctx.Err() != nil {
		return Answer{}, p.named(left(ctx))
	}
	if wait, ok := p.breaker.allow(begin); !ok {
		return Answer{}, p.resting(wait)
	}
	wall, cpu := budget.times()
	deadline := earlier(ctx, begin.Add(wall))

	i := p.pool.quick()
	if i == nil {
		var err error
		if i, err = p.pool.get(ctx, deadline, nested(budget.Call)); err != nil {
			return Answer{}, p.unserved(err)
		}
		now := p.now()
		event.Wait = now.Sub(begin)
		p.tally.wait.Add(int64(event.Wait))
		begin = now
	}
	a, err := i.call(ctx, kind, meta, payload, begin, deadline, cpu, budget)
	event.Memory, event.ended = int64(i.memory.Size()), i.idle
	p.tally.cpu.Add(int64(a.CPU))
	p.tally.fuel.Add(a.Fuel)
	if err != nil {
		event.Discarded = true
		p.discard(i, &a, err)
		return a, err
	}
	p.breaker.worked()
	p.back(i)
	if budget.Raw {
		return a, nil
	}
	if a.Status > abi.ToolError {
		return a, p.refused(ctx, export, &a)
	}
	if a.Status == abi.Unchanged && kind != kindResponse && kind != kindRequest {
		return a, &core.Error{Code: core.CodeInternal, Message: "plugin " + p.name + ": " + export + " answered unchanged, which only a transformer may"}
	}
	return a, nil
}

// nested reports whether a call was made by what runs in another call.
func nested(call *core.Call) bool { return call != nil && call.Depth > 0 }

// Places of kinds in abi.Kinds that are treated apart.
var (
	kindResponse, _ = kindOf(abi.ResponseTransform)
	kindRequest, _  = kindOf(abi.RequestTransform)
)

func kindOf(export string) (int, bool) {
	for n := range abi.Kinds {
		if abi.Kinds[n] == export {
			return n, true
		}
	}
	return 0, false
}

// back returns an instance after a call that went well.
func (p *Plugin) back(i *instance) {
	switch {
	case i.worn():
		go p.renew(i)
	case i.image != nil:
		go func() {
			if !i.image.restore(i) {
				p.renew(i)
				return
			}
			p.pool.put(i)
		}()
	default:
		p.pool.put(i)
	}
}

// renew replaces an instance, off the path of any call. The new one takes the
// place of the old in the pool.
func (p *Plugin) renew(i *instance) {
	p.tally.recycled.Add(1)
	p.pool.retire(i)
	fresh, err := p.pool.make(context.Background(), p.now().Add(p.limits.Start))
	if err != nil {
		p.log.Warn("plugin instance not replaced", "error", err)
		p.broke()
		return
	}
	p.pool.put(fresh)
}

// discard throws an instance away that broke. A caller that left and an upstream
// that was slow are not the plugin's fault, so the breaker does not count them.
func (p *Plugin) discard(i *instance, a *Answer, err error) {
	innocent := errors.Is(i.stop, errLeft) || errors.Is(i.stop, errWall) && a.CPU < i.meter.wall/2
	export, call := i.scope.Export, i.scope.CallID
	p.tally.discards.Add(1)
	p.pool.drop(i)
	if innocent {
		if !errors.Is(i.stop, errLeft) {
			p.log.Warn("plugin call out of time", "export", export, "call", call.String(), "cpu", a.CPU, "error", err)
		}
		p.breaker.undecided()
		return
	}
	p.log.Warn("plugin instance discarded", "export", export, "call", call.String(), "error", err)
	p.broke()
}

// broke counts a broken instance.
func (p *Plugin) broke() {
	if p.breaker.discarded(p.now()) {
		p.log.Error("plugin degraded", "until", p.breaker.degraded(p.now()))
	}
}

// unserved says why a call got no instance.
func (p *Plugin) unserved(err error) error {
	if errors.Is(err, errClosed) {
		p.breaker.undecided()
		return &core.Error{Code: core.CodeUnavailable, Message: "plugin " + p.name + " is being closed", RetryAfter: 1}
	}
	switch core.AsError(err).Code {
	case core.CodeCancelled, core.CodeTimeout, core.CodeLimited:
		p.breaker.undecided()
	default:
		p.tally.discards.Add(1)
		p.broke()
	}
	return err
}

func (p *Plugin) resting(wait time.Duration) error {
	return &core.Error{
		Code: core.CodeUnavailable, Message: "plugin " + p.name + " is degraded: it failed " + strconv.Itoa(breakAfter) + " times in " + breakWithin.String(),
		Fix: "its log says why", RetryAfter: seconds(wait),
	}
}

// refused makes an error of a status that says no.
func (p *Plugin) refused(ctx context.Context, export string, a *Answer) error {
	said := sayable(a.Payload)
	with := func(code core.Code, or string) *core.Error {
		if said != "" {
			or = said
		}
		return &core.Error{Code: code, Message: or}
	}
	switch a.Status {
	case abi.InvalidArgs:
		return with(core.CodeInvalid, "the arguments are wrong")
	case abi.UnknownTool:
		return with(core.CodeNotFound, "unknown tool")
	case abi.Denied:
		return with(core.CodeDenied, "denied")
	case abi.Unavailable:
		e := with(core.CodeUnavailable, "not available now")
		if v, ok := abi.Get(a.Meta, abi.MetaRetryAfterMS); ok {
			if ms, err := strconv.ParseUint(v, 10, 32); err == nil {
				e.RetryAfter = seconds(time.Duration(ms) * time.Millisecond)
			}
		}
		return e
	case abi.OK, abi.Unchanged, abi.ToolError, abi.Internal: // the first three are no refusals
	}
	p.log.LogAttrs(ctx, slog.LevelError, "plugin answered with an internal error", slog.String("export", export), slog.String("said", said))
	return &core.Error{Code: core.CodeInternal, Message: "plugin " + p.name + " reports an internal error", Fix: "its log says more"}
}

// seconds rounds up.
func seconds(d time.Duration) int { return int((max(d, 0) + time.Second - 1) / time.Second) }

// maxSaid bounds what a guest may say in an error message.
const maxSaid = 1024

// sayable makes one line of what a guest said.
func sayable(b []byte) string {
	if len(b) > maxSaid {
		b = b[:maxSaid]
		for len(b) > 0 && !utf8.RuneStart(b[len(b)-1]) {
			b = b[:len(b)-1]
		}
		if len(b) > 0 {
			b = b[:len(b)-1]
		}
	}
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r == utf8.RuneError || unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(string(b), " ")))
}

// left is why a context ended.
func left(ctx context.Context) *core.Error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return errWall
	}
	return errLeft
}

// named puts the plugin's name before a message.
func (p *Plugin) named(e *core.Error) *core.Error {
	c := *e
	c.Message = "plugin " + p.name + ": " + e.Message
	return &c
}

// bytes spells a size for people.
func bytes(n int64) string {
	switch {
	case n >= mib && n%mib == 0:
		return strconv.FormatInt(n/mib, 10) + " MiB"
	case n >= 1<<10 && n%(1<<10) == 0:
		return strconv.FormatInt(n>>10, 10) + " KiB"
	}
	return strconv.FormatInt(n, 10) + " bytes"
}

// Stats returns sums since Load, and what is now.
func (p *Plugin) Stats() Stats {
	total, free, waiting, memory := p.pool.counts()
	return Stats{
		Calls: p.tally.calls.Load(), Errors: p.tally.errors.Load(),
		Discards: p.tally.discards.Load(), Recycled: p.tally.recycled.Load(),
		CPU: time.Duration(p.tally.cpu.Load()), Fuel: p.tally.fuel.Load(), Wait: time.Duration(p.tally.wait.Load()),
		Instances: total, Free: free, Waiting: waiting, Memory: memory,
		Degraded: p.breaker.degraded(p.now()),
	}
}

// Close refuses new calls, waits for the running ones, and then frees the code. When
// ctx ends first, it returns its error and the rest happens when the last call ends.
func (p *Plugin) Close(ctx context.Context) error {
	return p.pool.close(ctx)
}

// release frees what Load made; no instance runs any more.
func (p *Plugin) release() {
	ctx := context.Background()
	_ = p.compiled.Close(ctx)
	_ = p.runtime.Close(ctx)
	_ = p.cache.Close(ctx)
}
