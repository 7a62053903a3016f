// Bench measures a plugin's call beside what it must be compared with, and prints JSON.
//
//	guests/ ─► toolchain ─► .wasm ─┬─ sandbox with fuel      what the gateway runs
//	 Go, Rust, AssemblyScript, C   ├─ sandbox without fuel   what fuel costs
//	                               ├─ wazero by hand         what the sandbox costs
//	                               ├─ wazero, closing when the context is done
//	                               └─ Extism's go-sdk without and with a timeout
//	                                  (guests of its own: guests/extism-go, extism-c)
//
// The request is 1,024 bytes of JSON. The tool echo gives it back; json decodes it, puts
// its text into capitals and builds a CallToolResult. What each of them answers is
// compared before anything is measured.
//
//	cd plugins/bench && go run . > figures.json
//	go run . -quick -only go,c
//
// Times are CPU time of the calling thread: a machine that is busy with something else
// makes them worse by caches and not by waiting. The ways take turns in batches of a
// millisecond, so that what the machine does beside hits all of them alike.
//
// It is a module of its own, so that the gateway does not get the modules of what it is
// compared with. `make bench` runs it and writes docs/PERFORMANCE.md. A guest whose
// compiler is missing is left out, and the JSON says so.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/sallyport/sallyport/plugins/sandbox"
)

func main() {
	if code, ran := sandbox.CompileChild(os.Getenv, os.Stdin, os.Stdout); ran {
		os.Exit(code)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	}
}

// plan is how much is measured.
type plan struct {
	rounds  int           // batches of each way at most; a tenth of them at least
	batch   time.Duration // of CPU time, at least
	each    time.Duration // on the clock, for all batches of one way
	warm    int           // calls before
	pool    time.Duration // of throughput
	makes   int           // instances made
	warms   int           // loads with native code in the cache
	profile string
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	quick := flags.Bool("quick", false, "a short run: the figures are rough")
	only := flags.String("only", "", "comma-separated `guests`: go, rust, assemblyscript, c")
	keep := flags.String("keep", "", "leave the built modules in this `folder`")
	from := flags.String("from", "", "measure the modules in this `folder` instead of building them")
	p := plan{rounds: 150, batch: time.Millisecond, each: time.Second, warm: 4000, pool: time.Second, makes: 40, warms: 5}
	flags.StringVar(&p.profile, "profile", "", "write a CPU profile of the calls with fuel to this `file`")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *quick {
		p = plan{rounds: 30, batch: time.Millisecond, each: 300 * time.Millisecond, warm: 1000, pool: 300 * time.Millisecond, makes: 10, warms: 2, profile: p.profile}
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute) // whatever happens, it ends
	defer cancel()
	root, err := repository()
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "sallyport-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work) //nolint:errcheck // it is a temporary folder
	into := work
	if *keep != "" {
		if into, err = filepath.Abs(*keep); err != nil {
			return err
		}
		if err := os.MkdirAll(into, 0o750); err != nil {
			return err
		}
	}
	w := &workshop{root: root, work: work, into: into, from: *from}
	figures, err := p.measure(ctx, w, wanted(*only))
	if err != nil {
		return err
	}
	out := json.NewEncoder(os.Stdout)
	out.SetIndent("", " ")
	return out.Encode(figures)
}

// wanted tells whether a guest is to be measured.
func wanted(only string) func(name string) bool {
	return func(name string) bool {
		if only == "" {
			return true
		}
		for one := range strings.SplitSeq(only, ",") {
			if one == name {
				return true
			}
		}
		return false
	}
}
