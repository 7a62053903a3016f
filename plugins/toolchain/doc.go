// Package toolchain builds the folder of a plugin to a .wasm with the compiler that
// the author has: Go, Rust, C or AssemblyScript.
//
//	folder ─► Detect ─► Go | Rust | C | AssemblyScript ─► out.wasm
//	           go.mod, Cargo.toml, package.json, *.c
//
//	if err := toolchain.Build(ctx, "plugins/greet", "greet.wasm"); err != nil {
//		var missing *toolchain.Missing
//		if errors.As(err, &missing) {
//			// no compiler: err says what to install
//		}
//	}
//
// Compilers are run with a list of arguments, never through a shell, and with flags
// that make the same bytes of the same sources: no paths of the machine, no times, no
// names of a build. Nothing is fetched: what a plugin needs beyond the compiler lies
// in its folder or in the toolchain's own cache. A build that fails is a *core.Error of
// code invalid with the end of what the compiler said.
package toolchain
