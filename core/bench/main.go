// Bench measures the gateway beside what it must be compared with, in one run on one
// machine, and says which bars are met.
//
//	            ┌─ backend          raw fasthttp, 1 KB of JSON; counts connections and requests
//	bench ──────┼─ reverse          httputil.ReverseProxy that does nothing
//	(conductor) ├─ fiber            Fiber with the fasthttp client that does nothing
//	            ├─ sallyport serve  built from the tree; the backend as a REST tool
//	            └─ load, idle, leave   the clients
//
// Every box is a process of its own (this binary in another role, and the gateway),
// so the CPU time that the system accounts to it is its own. Rounds are interleaved:
// what the machine does beside hits all candidates alike, and ratios are taken within
// a round. The open loop sends on a schedule and counts latency from the moment a
// request was due, so that a stall is not left out (coordinated omission).
//
//	go run ./core/bench                                # the whole, about seven minutes
//	go run ./core/bench -quick                         # a minute
//	go run ./core/bench -write docs/PERFORMANCE.md     # and write it down
//	go run ./core/bench -strict                        # exit code 1 when a bar is missed
//
// MCP servers behind the gateway are measured with one of the official SDK in a process of
// its own (role upstream).
//
// Calls of plugins are measured by plugins/bench, a module of its own, which this
// program builds and runs; it needs the compilers of the guests, and leaves out, aloud,
// those that are missing.
//
// This is a program, not a room: by exception (arch_test.go) it may import Fiber,
// fasthttp and net/http and dial by itself. Nothing imports it. It stays on loopback,
// ends by itself, and ends only the processes that it started.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/sallyport/sallyport/core/app"
)

// roles are what this binary can be besides the conductor.
var roles = map[string]func(ctx context.Context, args []string, out io.Writer) error{
	"backend": runBackend,
	"reverse": runReverse,
	"fiber":   runFiber,
	"load":    runLoad,
	"idle":    runIdle,
	"leave":   runLeave,

	"upstream": runUpstream,

	"profiled": runProfiled,
}

func main() {
	if code, ran := app.Child(os.Getenv, os.Stdin, os.Stdout); ran { // of role profiled
		os.Exit(code)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errMissed):
		os.Exit(1)
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) > 0 {
		if role := roles[args[0]]; role != nil {
			return role(ctx, args[1:], os.Stdout)
		}
	}
	var p plan
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	quick := flags.Bool("quick", false, "a short run: the figures are rough")
	flags.StringVar(&p.write, "write", "", "write the result to this Markdown `file`")
	flags.StringVar(&p.gateway, "gateway", "", "measure this `binary` instead of building the tree")
	flags.StringVar(&p.profile, "profile", "", "write a CPU profile of the gateway to this `file` (see make pgo)")
	flags.StringVar(&p.only, "only", "", "comma-separated `parts`: calls, open, legacy, list, cancel, start, streams, plugins, guard, proxy, reload")
	flags.BoolVar(&p.strict, "strict", false, "exit with 1 when a bar is missed")
	flags.IntVar(&p.proxied, "proxied", 0, "how many calls of each MCP upstream to make for memory and descriptors, up to 1,000,000 (default 20000; 4000 with -quick)")
	flags.DurationVar(&p.reloadTime, "reload", 0, "how long to reload, at 1,000 a minute (default 1m; 6s with -quick)")
	if err := flags.Parse(args); err != nil {
		return err
	}
	p.settle(*quick)
	ctx, cancel := context.WithTimeout(ctx, 12*time.Minute+time.Duration(p.proxied)*2*time.Millisecond) // whatever happens, it ends
	defer cancel()
	return p.conduct(ctx, os.Stdout)
}

// errMissed is the end of a strict run with a missed bar.
var errMissed = errors.New("a bar was missed")
