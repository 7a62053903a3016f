package app

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/plugins/author"
	"github.com/sallyport/sallyport/plugins/manifest"
	"github.com/sallyport/sallyport/plugins/rewrite"
)

// pluginCommands are what people who write plugins need, in the order in which they need
// it.
type pluginCommands struct {
	New     pluginNewCommand     `cmd:"" help:"Write the folder of a new plugin that builds and passes its tests as it is."`
	Build   pluginBuildCommand   `cmd:"" help:"Build a plugin, and put its manifest and self-tests into the module."`
	Test    pluginTestCommand    `cmd:"" help:"Run the fixtures of a plugin as the gateway would, and look for leaks."`
	Bench   pluginBenchCommand   `cmd:"" help:"Measure what a call of a plugin costs."`
	Run     pluginRunCommand     `cmd:"" help:"Serve one plugin as an MCP server, to try it."`
	Inspect pluginInspectCommand `cmd:"" help:"Show what a plugin is, what it asks for and what a policy would refuse."`
	Keygen  pluginKeygenCommand  `cmd:"" help:"Make a key that signs plugins."`
	Sign    pluginSignCommand    `cmd:"" help:"Sign a plugin."`
	Verify  pluginVerifyCommand  `cmd:"" help:"Verify the signature of a plugin."`
	Push    pluginPushCommand    `cmd:"" help:"Push a plugin to an OCI registry."`
	Pull    pluginPullCommand    `cmd:"" help:"Pull a plugin from an OCI registry."`
}

// mistaken prints every mistake of an error: those of a file with their places, several
// that were joined one after the other.
func (c console) mistaken(doing string, err error) int {
	var invalid *manifest.InvalidError
	if errors.As(err, &invalid) {
		report(c.err, invalid.Problems)
		return exitWrong
	}
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		for _, one := range many.Unwrap() {
			c.complain(doing, one)
		}
		return exitWrong
	}
	var refusal *rewrite.Refusal
	if errors.As(err, &refusal) {
		fix := refusal.Fix
		r := *refusal
		r.Fix = ""
		err = &core.Error{Code: core.CodeInvalid, Message: r.Error(), Fix: fix}
	}
	return c.complain(doing, err)
}

// moment reads when something ends: a duration from now (720h, 365d), a day or a moment.
// Empty is never.
func moment(text string, now time.Time) (time.Time, error) {
	if text == "" || text == "never" {
		return time.Time{}, nil
	}
	if days, found := strings.CutSuffix(text, "d"); found {
		if n, err := strconv.Atoi(days); err == nil && n > 0 && n < 100_000 {
			return now.AddDate(0, 0, n), nil
		}
	}
	if d, err := time.ParseDuration(text); err == nil && d > 0 {
		return now.Add(d), nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, &core.Error{Code: core.CodeInvalid, Message: fmt.Sprintf("%q is no time", text), Fix: "write how long from now (365d, 12h), a day (2027-11-23) or never"}
}

type pluginNewCommand struct {
	Dir  string `arg:"" optional:"" help:"The folder to write; absent = the last part of the name."`
	Name string `help:"Who makes it and what it is, as in acme/weather." required:"" placeholder:"OWNER/PLUGIN"`
	Lang string `help:"The language: go, rust, as (AssemblyScript) or c. Default: go." default:"go" placeholder:"LANG"`
	Kind string `help:"What the plugin does: invoker (a tool), response_transformer, request_transformer, authorizer or tool_catalogue. Default: invoker." default:"invoker" placeholder:"KIND"`
}

func (k *pluginNewCommand) run(_ context.Context, c console) int {
	o := author.NewOptions{Dir: k.Dir, Name: k.Name, Lang: k.Lang, Kind: k.Kind}
	if err := o.Check(); err != nil {
		c.complain("plugin new", err)
		return exitUsage
	}
	dir, files, err := author.New(o)
	if err != nil {
		return c.mistaken("plugin new", err)
	}
	fmt.Fprintf(c.out, "wrote %s: a plugin of kind %s that builds and passes its tests as it is\n", dir, k.Kind)
	for _, file := range files {
		fmt.Fprintf(c.out, "  %s\n", file)
	}
	fmt.Fprintf(c.out, "next:\n  cd %s\n", dir)
	if k.Lang == "as" {
		fmt.Fprint(c.out, "  npm ci\n")
	}
	fmt.Fprint(c.out, "  sallyport plugin build\n  sallyport plugin test\n  sallyport plugin run\n")
	return exitOK
}

type pluginBuildCommand struct {
	Dir string `arg:"" optional:"" default:"." help:"The folder of the plugin, in which plugin.yaml stands."`
	Out string `short:"o" help:"The file to write; absent = NAME.wasm in the folder." placeholder:"FILE"`
}

func (k *pluginBuildCommand) run(ctx context.Context, c console) int {
	built, err := author.Build(ctx, author.BuildOptions{Dir: k.Dir, Out: k.Out})
	if err != nil {
		return c.mistaken("plugin build", err)
	}
	built.Print(c.out)
	return exitOK
}

type pluginTestCommand struct {
	Plugin string `arg:"" optional:"" default:"." help:"The folder of a plugin that is built, or its .wasm file."`
	Calls  int    `help:"Calls of the leak check; 0 = no check. Default: 20000." default:"20000" placeholder:"N"`
}

func (k *pluginTestCommand) run(ctx context.Context, c console) int {
	p, err := author.Open(k.Plugin)
	if err != nil {
		return c.mistaken("plugin test", err)
	}
	c.stale(p)
	tested, err := author.Test(ctx, p, author.TestOptions{Calls: k.Calls})
	if err != nil {
		return c.mistaken("plugin test", err)
	}
	tested.Print(c.out)
	if !tested.OK() {
		return exitWrong
	}
	return exitOK
}

// stale warns that a module is older than its sources.
func (c console) stale(p *author.Plugin) {
	if p.Stale != "" {
		fmt.Fprintf(c.err, "warning: %s is older than %s: build it again with `sallyport plugin build`\n", p.File, p.Stale)
	}
}

type pluginBenchCommand struct {
	Plugin  string `arg:"" optional:"" default:"." help:"The folder of a plugin that is built, or its .wasm file."`
	Case    string `help:"The case of the fixtures to call; absent = the first that comes to OK." placeholder:"NAME" xor:"what"`
	Export  string `help:"Call this instead of a case: tool_call, tools_list, response_transform, request_transform or authorize." placeholder:"EXPORT" xor:"what"`
	Payload string `help:"What to call it with. Default: {}." default:"{}" placeholder:"JSON"`
	Tool    string `help:"With --export tool_call: the tool; absent = the plugin's only one." placeholder:"NAME"`
	Calls   int    `help:"How many calls to make. Default: 10000." default:"10000" placeholder:"N"`
}

func (k *pluginBenchCommand) run(ctx context.Context, c console) int {
	p, err := author.Open(k.Plugin)
	if err != nil {
		return c.mistaken("plugin bench", err)
	}
	c.stale(p)
	benched, err := author.Bench(ctx, p, author.BenchOptions{Case: k.Case, Export: k.Export, Payload: []byte(k.Payload), Tool: k.Tool, Calls: k.Calls})
	if err != nil {
		return c.mistaken("plugin bench", err)
	}
	benched.Print(c.out)
	return exitOK
}
