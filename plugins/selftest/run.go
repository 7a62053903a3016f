package selftest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/plugins/abi"
	"github.com/sallyport/sallyport/plugins/manifest"
	"github.com/sallyport/sallyport/plugins/sandbox"
)

// Run runs every case of the suites, one after the other, in a sandbox of its own. Each
// case gets an instance of its own. The plugin is granted all that its manifest asks
// for. The error is one of the module, which cannot be loaded at all, or that of ctx: a
// case that fails is no error.
func Run(ctx context.Context, wasm []byte, m *manifest.Manifest, suites []*Suite, o Options) (*Report, error) {
	if o.Real == nil {
		o.Real = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Time <= 0 {
		o.Time = defaultTime
	}
	if o.CacheDir == "" && !o.InProcess {
		dir, remove, err := temporary()
		if err != nil {
			return nil, err
		}
		defer remove()
		o.CacheDir = dir
	}
	// The deadline of ctx is one of the real clock, and must not meet the plugin's.
	inner, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, cancel)
	defer stop()

	r := &runner{ctx: inner, wasm: wasm, manifest: m, options: o, clock: newClock(o.Real), pure: true}
	defer r.unload()
	report := &Report{}
	begin := o.Real()
	for _, s := range suites {
		for i := range s.Cases {
			if err := ctx.Err(); err != nil {
				return report, err
			}
			if o.Real().Sub(begin) > o.Time {
				return report, &core.Error{Code: core.CodeTimeout, Message: "the fixtures take longer than " + o.Time.String(), Fix: "make them fewer or quicker: set selftest: true on those alone that the gateway shall run"}
			}
			one, err := r.run(s, &s.Cases[i])
			if ctx.Err() != nil {
				return report, ctx.Err()
			}
			if err != nil {
				return report, err
			}
			report.Cases = append(report.Cases, one)
		}
	}
	return report, nil
}

// runner runs cases; it keeps the plugin loaded while the configuration stays the same.
type runner struct {
	ctx      context.Context //nolint:containedctx // of the one Run
	wasm     []byte
	manifest *manifest.Manifest
	options  Options
	clock    *clock
	pure     bool // a start asks nothing of the outside, so instances may be made ahead

	plugin *sandbox.Plugin // nil = none is loaded
	stage  *stage
	config []byte
	event  atomic.Pointer[sandbox.Event]
}

// run runs one case.
func (r *runner) run(s *Suite, c *Case) (CaseResult, error) {
	config := firstOf(c.Config, s.Config, json.RawMessage("{}"))
	scene, err := newScene(r.ctx, r.manifest, s, c, config, r.clock.now)
	if err != nil {
		return CaseResult{}, err
	}
	defer func() { _ = scene.host.Close() }()
	res := CaseResult{Suite: s.File, Name: c.Name, Line: c.Line}
	got, err := r.play(c, scene, config, r.moment(s, c), &res)
	if err != nil {
		return CaseResult{}, err
	}
	r.compare(c, scene, got, &res)
	return res, nil
}

// moment is what the clock shows when a case begins.
func (r *runner) moment(s *Suite, c *Case) time.Time {
	for _, t := range []time.Time{c.Now, s.Now} {
		if !t.IsZero() {
			return t
		}
	}
	return Beginning
}

// outcome is what a case came to.
type outcome struct {
	status  string
	meta    []abi.Pair
	payload []byte
	words   string // of the gateway, when there was no answer
}

// play brings an instance to the scene and makes the call.
func (r *runner) play(c *Case, o *scene, config []byte, now time.Time, res *CaseResult) (outcome, error) {
	begin := r.options.Real()
	defer func() { res.Duration = r.options.Real().Sub(begin) }()
	if !r.ready(c, o, config) {
		got, err := r.load(o, config, now)
		if err != nil || got.status != "" {
			return got, err
		}
	}
	if c.Call == abi.Configure {
		r.stage.begin()
		r.unload()
		return outcome{status: "OK"}, nil
	}
	r.clock.set(now)
	r.stage.begin()
	r.event.Store(nil)
	begin = r.options.Real()
	a, err := r.plugin.Call(r.ctx, c.Call, c.Meta, c.Payload, r.budget(c, o))
	if e := r.event.Load(); e != nil {
		res.CPU, res.Fuel, res.Memory = e.CPU, e.Fuel, e.Memory
	}
	if err != nil {
		r.unload()
		return outcome{status: Trap, words: core.AsError(err).Public()}, nil
	}
	return outcome{status: strings.ToUpper(a.Status.String()), meta: a.Meta, payload: a.Payload}, nil
}

// ready puts the scene before the plugin that is loaded, and reports whether it can
// serve: it has the configuration, and an instance that nobody has used.
func (r *runner) ready(c *Case, o *scene, config []byte) bool {
	if r.plugin == nil || !r.pure || c.Call == abi.Configure || !bytes.Equal(r.config, config) {
		return false
	}
	r.stage.enter(o)
	for range 10_000 { // an instance is made within Limits.Start, 2 s
		switch s := r.plugin.Stats(); {
		case s.Free > 0:
			return true
		case s.Instances == 0 || r.ctx.Err() != nil:
			return false
		}
		time.Sleep(200 * time.Microsecond)
	}
	return false
}

// load loads the plugin for this scene. The outcome has a status when the instance did
// not come to be.
func (r *runner) load(o *scene, config []byte, now time.Time) (outcome, error) {
	r.unload()
	r.stage = newStage(r.ctx)
	r.stage.enter(o)
	r.clock.set(now)
	limits := r.sandboxLimits()
	if r.pure {
		limits.Calls = 1 // each case begins with an instance of its own
	}
	p, err := sandbox.Load(r.ctx, r.wasm, sandbox.Options{
		Name: r.manifest.Name, Config: config, Host: r.stage, Limits: limits, CacheDir: r.options.CacheDir,
		Grant: o.host.Grant(), Log: r.options.Log, Now: r.clock.now, Rand: rand.NewChaCha8([32]byte{}),
		Observe:   func(e sandbox.Event) { r.event.Store(&e) },
		InProcess: r.options.InProcess, Plain: r.options.Plain,
	})
	if err != nil {
		var e *core.Error
		switch {
		case r.ctx.Err() != nil || !errors.As(err, &e):
			return outcome{}, err
		case e.Code == core.CodeInvalid && strings.Contains(e.Message, refuses):
			_, said, _ := strings.Cut(e.Message, refuses)
			return outcome{status: Refused, payload: []byte(said), words: e.Public()}, nil
		case e.Code == core.CodeInternal || e.Code == core.CodeTimeout:
			return outcome{status: Trap, words: e.Public()}, nil
		}
		return outcome{}, err
	}
	r.plugin, r.config = p, config
	if o.busy() {
		r.pure = false
	}
	return outcome{}, nil
}

func (r *runner) sandboxLimits() sandbox.Limits {
	l := r.manifest.Limits.Within(manifest.Limits{}, manifest.Invoker) // what is used of it is the same for all kinds
	return sandbox.Limits{Memory: int64(l.Memory), Input: int64(l.MaxInput), Output: int64(l.MaxOutput), Instances: 1}
}

// refuses stands in the sandbox's error between the plugin's name and its words.
const refuses = " refuses its configuration: "

func (r *runner) unload() {
	if r.plugin == nil {
		return
	}
	r.stage.close()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.ctx), 5*time.Second)
	defer cancel()
	if err := r.plugin.Close(ctx); err != nil {
		r.options.Log.Warn("close the plugin under test", "error", err)
	}
	r.plugin = nil
}

// budget of a call. Kinds on the hot path get four times the time that they will have:
// fixtures say what a plugin does, and not how fast a busy machine is.
func (r *runner) budget(c *Case, o *scene) sandbox.Budget {
	kind := kindOf(c.Call)
	l := r.manifest.Limits.Within(manifest.Limits{}, kind)
	times := time.Duration(1)
	if kind != manifest.Invoker && kind != manifest.ToolCatalogue {
		times = 4
	}
	return sandbox.Budget{Wall: times * time.Duration(l.Timeout), CPU: times * time.Duration(l.CPU), Raw: true, CallID: sandbox.CallID{Prefix: "selftest"}, Call: o.call()}
}

func kindOf(export string) manifest.Kind {
	for _, k := range []manifest.Kind{manifest.Invoker, manifest.ToolCatalogue, manifest.ResponseTransformer, manifest.RequestTransformer, manifest.Authorizer} {
		if k.Export() == export {
			return k
		}
	}
	return ""
}

// compare notes what is not as it was expected.
func (r *runner) compare(c *Case, o *scene, got outcome, res *CaseResult) {
	var d differences
	if kind := kindOf(c.Call); kind != "" && !r.manifest.Is(kind) {
		d.add("/call: the manifest does not list the kind %s, so the gateway never makes this call", kind)
	}
	for _, p := range c.Meta {
		if !contains(r.manifest.Context, p.Key) {
			d.add("/meta/%s: the manifest does not list it under context, so the gateway never sends it", pointer(p.Key))
		}
	}
	want := &c.Expect
	if want.Status != got.status {
		said := got.words
		if said == "" && len(got.payload) > 0 {
			said = shown(got.payload)
		}
		if said != "" {
			said = " (" + said + ")"
		}
		d.add("/expect/status: expected %s, got %s%s", want.Status, got.status, said)
	} else {
		r.compareAnswer(want, got, &d)
	}
	o.unused(&d)
	r.compareStore(want, o, &d)
	o.mu.Lock()
	res.Logs = o.logs
	if want.Progress != nil && *want.Progress != o.progress {
		d.add("/expect/progress: expected %d, got %d", *want.Progress, o.progress)
	}
	o.mu.Unlock()
	for n, line := range want.Logs {
		if !containsPart(res.Logs, line) {
			d.add("/expect/logs/%d: expected a line with %s, got %s", n, strconv.Quote(line), lines(res.Logs))
		}
	}
	res.Differences = d.lines
	res.Passed = len(d.lines) == 0
}

func (r *runner) compareAnswer(want *Expect, got outcome, d *differences) {
	d.content("/expect/payload", want.Payload, got.payload)
	text := string(got.payload)
	if len(got.payload) == 0 {
		text = got.words
	}
	for n, part := range want.Contains {
		if !strings.Contains(text, part) {
			d.add("/expect/contains/%d: expected %s somewhere, got %s", n, strconv.Quote(part), shown([]byte(text)))
		}
	}
	for n, part := range want.Lacks {
		if strings.Contains(text, part) {
			d.add("/expect/lacks/%d: expected %s nowhere, got %s", n, strconv.Quote(part), shown([]byte(text)))
		}
	}
	same := func(a, b string) bool { return a == b }
	d.pairs("/expect/meta", want.Meta, got.meta, same)
	if want.Mime != nil {
		if mime, _ := abi.Get(got.meta, abi.MetaMime); mime != *want.Mime {
			d.add("/expect/mime: expected %s, got %s", strconv.Quote(*want.Mime), strconv.Quote(mime))
		}
	}
}

func (r *runner) compareStore(want *Expect, o *scene, d *differences) {
	if want.KV == nil {
		return
	}
	have, err := o.store.all(r.ctx)
	if err != nil {
		d.add("/expect/kv: read the store: %v", err)
		return
	}
	for _, key := range sorted(want.KV) {
		value, there := have[key]
		at := "/expect/kv/" + pointer(key)
		switch content := want.KV[key]; {
		case content == nil && there:
			d.add("%s: expected nothing, got %s", at, shown(value))
		case content == nil:
		case !there:
			d.add("%s: expected %s, got nothing", at, shown(firstOf([]byte(content.JSON), content.Exact)))
		default:
			d.content(at, content, value)
		}
	}
	for _, key := range sorted(have) {
		if _, expected := want.KV[key]; !expected {
			d.add("/expect/kv/%s: expected nothing, got %s", pointer(key), shown(have[key]))
		}
	}
}
