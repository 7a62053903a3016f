// Package rewrite reads WASM binaries with bounds, and rewrites them at load so
// that no guest can keep a thread of the gateway for itself.
//
//	.wasm ─► Inspect ─► *Module: imports, exports, memory, what it costs
//	  │         └► *Refusal: what is wrong, and how to build it instead
//	  └────► Instrument ─► the same program, with
//	             a counter of fuel at loops and calls ─► import sallyport_v1.yield
//	             a counter of stack in recursive functions ─► trap past the bound
//	             every mutable global exported, so that a snapshot is whole
//
// What a plugin's file says is never trusted: every count is compared with the
// bytes that are there before anything is allocated for it.
//
//	module, err := rewrite.Inspect(wasm, rewrite.Default)
//	if err != nil {
//		return err // a *Refusal
//	}
//	// … are all of module.Imports granted? …
//	safe, err := rewrite.Instrument(wasm, rewrite.Options{Fuel: true, Depth: true, Globals: true})
//	compiled, err := runtime.CompileModule(ctx, safe)
//
// Compile only what Instrument returned, even with no option set: it carries no
// custom section but a name section that was written anew, and wazero's readers
// of those allocate what a count asks for.
//
// # Fuel
//
// The output exports the mutable i32 "sallyport_fuel", 0 at first, and imports
// the function sallyport_v1.yield, () -> (). Code subtracts from the fuel as it
// runs and calls yield when it is below zero; yield sets it to the next slice and
// returns, or panics to stop the guest. One unit is at most about 256 cheap
// instructions, and 10 to 20 in ordinary code. A host writes a slice of 5,000 to
// 20,000 before each call of an export, so that a yield comes every 0.1 ms or so.
//
// # Depth
//
// The output exports the mutable i32 "sallyport_stack": bytes of native stack
// that are left, Options.MaxStack at first. Functions that can come back to
// themselves take an upper bound of their frame from it and give it back when
// they return; below zero is the trap `unreachable`. After any trap the instance
// is to be discarded, so nothing repairs the counter; a negative value tells the
// host that recursion was the cause.
package rewrite

import "github.com/sallyport/sallyport/plugins/abi"

// Names that Instrument exports, and that a module must not export before.
// GlobalPrefix is followed by the index of the global in decimal.
const (
	FuelExport   = "sallyport_fuel"
	StackExport  = "sallyport_stack"
	GlobalPrefix = "sallyport_global_"
)

// The function that Instrument imports, () -> ().
const (
	yieldModule = abi.Module
	yieldName   = abi.Yield
)
