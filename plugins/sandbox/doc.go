// Package sandbox runs WASM plugins so that neither a bug nor malice in one can
// stall, leak or take down the gateway. It is the only package that knows wazero.
//
//	.wasm ─► rewrite.Inspect      static limits, ABI v1, imports = capabilities
//	      ─► rewrite.Instrument   fuel at loops and calls, bounded stack
//	      ─► compile              a child process under limits → private disk cache
//	      ─► link by grant        host functions that were granted, WASI without files
//	      ─► *Plugin              a pool of instances, last used first
//	            │
//	            └ Call ─► instance ─► frame in ─► guest ─► frame out ─► Answer
//	                         │            └ every 20,000 units of fuel: yield
//	                         │               (ctx, deadline, CPU budget, Go's scheduler)
//	                         ├ went well: back to the pool, restored if isolated
//	                         └ any error: thrown away; 5 in 30 s: degraded
//
//	p, err := sandbox.Load(ctx, wasm, sandbox.Options{
//		Name:     "acme/weather",
//		Grant:    sandbox.Grant{HTTP: true},
//		Host:     host,             // package hostcall
//		CacheDir: data + "/plugins",
//	})
//	answer, err := p.Call(ctx, abi.ToolCall, meta, arguments, sandbox.InvokerBudget)
//	err = p.Close(ctx)             // waits for running calls
//
// A program that loads plugins calls CompileChild before anything else, see there.
//
// # What holds a guest
//
// Native code cannot be preempted by Go: without fuel one endless loop freezes the
// whole process, garbage collector first. wazero's own remedy, closing on the end
// of the context, costs 4 to 12 times the speed and misses recursion without loops,
// so it stays off. Instrumented code calls yield at least every millisecond or so;
// there the call's context, its deadline and its CPU budget are looked at, and other
// goroutines get their turn.
//
// The CPU budget counts the time between yields, less the waiting in host functions.
// That is time on the clock, so a process that the operating system holds up pays
// for it; a guest's own sleep and a slow upstream do not.
//
// # Memory
//
// Linear memory is mapped, not taken from the Go heap: growing copies nothing and
// closing gives it back at once. Tables are bounded too, which wazero does not do.
// A pooled call allocates once, for its answer.
package sandbox
