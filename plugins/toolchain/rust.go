package toolchain

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/core"
)

const (
	rustTarget = "wasm32-unknown-unknown"
	rustStack  = "262144" // bytes; JSON as deep as the gateway lets it be takes a tenth
	rustFix    = "install Debian's packages rustc cargo libstd-rust-dev-wasm32 lld-14, or run `rustup target add " + rustTarget + "`"
)

// Rust builds the library crate of a folder with cargo, offline, with any rustc from
// 1.63 on that has the target wasm32-unknown-unknown. The folder's profile does not
// count: optimised, one unit, LTO, panic=abort, no symbols.
func Rust(ctx context.Context, dir, out string) error {
	dir, out, err := absolute(dir, out)
	if err != nil {
		return err
	}
	rust, err := findRust(ctx, dir)
	if err != nil {
		return err
	}
	keep, err := scratch(dir)
	if err != nil {
		return err
	}
	c, err := rust.crate(ctx, dir, keep)
	if err != nil {
		return err
	}
	target := os.Getenv("CARGO_TARGET_DIR")
	if target == "" {
		target = filepath.Join(keep, "target")
	}
	build := job{
		language: "Rust", dir: dir, program: rust.Cargo,
		args: []string{
			"build", "--manifest-path", c.manifest, "--release", "--lib", "--offline", "--target", rustTarget, "--target-dir", target,
			"--message-format=json-render-diagnostics",
		},
		env: rust.env(
			"CARGO_ENCODED_RUSTFLAGS="+strings.Join(rust.flags(c), "\x1f"),
			"RUSTFLAGS", "CARGO_BUILD_RUSTFLAGS", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER",
			"CARGO_INCREMENTAL=0",
			"CARGO_PROFILE_RELEASE_OPT_LEVEL=3", "CARGO_PROFILE_RELEASE_LTO=fat", "CARGO_PROFILE_RELEASE_CODEGEN_UNITS=1",
			"CARGO_PROFILE_RELEASE_PANIC=abort", "CARGO_PROFILE_RELEASE_STRIP=symbols", "CARGO_PROFILE_RELEASE_DEBUG=0",
			"CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS=false",
		),
	}
	messages, err := build.run(ctx)
	if err != nil {
		return err
	}
	module := artifact(messages, c.manifest)
	if module == "" {
		return &core.Error{
			Code: core.CodeInvalid, Message: "cargo made no .wasm of " + dir,
			Fix: `put crate-type = ["cdylib", "rlib"] under [lib] in Cargo.toml`,
		}
	}
	wasm, err := os.ReadFile(module)
	if err != nil {
		return &core.Error{Code: core.CodeInternal, Message: "cannot read what cargo wrote", Err: err}
	}
	return into(out, func(file string) error { return os.WriteFile(file, wasm, 0o600) })
}

// Installed is an installation of Rust that has the target.
type Installed struct {
	Rustc, Cargo string // paths
	linker       string // "" = its own
}

// FindRust looks for a rustc that has the target wasm32-unknown-unknown: the one that
// the variable RUSTC names, then all in the path. The first one may be without.
func FindRust(ctx context.Context) (*Installed, error) { return findRust(ctx, ".") }

func findRust(ctx context.Context, dir string) (*Installed, error) {
	compilers, cargos := everywhere("RUSTC", "rustc"), everywhere("CARGO", "cargo")
	if len(compilers) == 0 || len(cargos) == 0 {
		return nil, missing("Rust (rustc and cargo)", rustFix)
	}
	for _, rustc := range compilers {
		sysroot, err := (&job{language: "Rust", dir: dir, program: rustc, args: []string{"--print", "sysroot"}}).run(ctx)
		if ctx.Err() != nil {
			return nil, err
		}
		if err != nil {
			continue
		}
		lib := filepath.Join(strings.TrimSpace(string(sysroot)), "lib", "rustlib")
		if std, err := filepath.Glob(filepath.Join(escape(lib), rustTarget, "lib", "libstd-*.rlib")); err != nil || len(std) == 0 {
			continue
		}
		r := &Installed{Rustc: rustc, Cargo: beside(rustc, cargos)}
		if own, err := filepath.Glob(filepath.Join(escape(lib), "*", "bin", "rust-lld*")); err == nil && len(own) > 0 {
			return r, nil
		}
		linker, ok := find("wasm-ld", "wasm-ld-14", "wasm-ld-19", "wasm-ld-18", "wasm-ld-17", "wasm-ld-16", "wasm-ld-15")
		if !ok {
			return nil, missing("a linker for WebAssembly (wasm-ld)", "install Debian's package lld-14")
		}
		r.linker = linker
		return r, nil
	}
	return nil, missing("rustc with the target "+rustTarget, rustFix)
}

// everywhere returns the program that the environment names and all of that name in
// the path: the first one may lack the target.
func everywhere(variable, name string) []string {
	var found []string
	if named := os.Getenv(variable); named != "" {
		if path, ok := find(named); ok {
			found = append(found, path)
		}
	}
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	for _, folder := range append(filepath.SplitList(os.Getenv("PATH")), "/usr/bin") {
		if folder == "" {
			continue
		}
		if path, ok := find(filepath.Join(folder, name)); ok && !slices.Contains(found, path) {
			found = append(found, path)
		}
	}
	return found
}

// beside returns the cargo of the same installation, else the first.
func beside(rustc string, cargos []string) string {
	for _, cargo := range cargos {
		if filepath.Dir(cargo) == filepath.Dir(rustc) {
			return cargo
		}
	}
	return cargos[0]
}

func (r *Installed) env(more ...string) []string {
	return append([]string{"RUSTC=" + r.Rustc, "CARGO_NET_OFFLINE=true", "CARGO_TERM_COLOR=never"}, more...)
}
