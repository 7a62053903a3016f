package toolchain

import (
	"context"
	"path/filepath"
	"slices"

	"github.com/sallyport/sallyport/core"
)

const cStack = "65536" // bytes

// C builds all *.c of a folder into one freestanding module, without a C library.
func C(ctx context.Context, dir, out string) error {
	dir, out, err := absolute(dir, out)
	if err != nil {
		return err
	}
	sources, err := filepath.Glob(filepath.Join(escape(dir), "*.c"))
	if err != nil || len(sources) == 0 {
		return &core.Error{Code: core.CodeInvalid, Message: dir + " holds no *.c"}
	}
	slices.Sort(sources)
	for n := range sources {
		sources[n] = "./" + filepath.Base(sources[n])
	}
	compiler, ok := find("clang-19", "clang", "clang-18", "clang-17", "clang-16", "clang-15", "clang-14")
	if !ok {
		return missing("clang", "install Debian's packages clang-19 lld-19")
	}
	linker, ok := find("wasm-ld-19", "wasm-ld", "wasm-ld-18", "wasm-ld-17", "wasm-ld-16", "wasm-ld-15", "wasm-ld-14")
	if !ok {
		return missing("a linker for WebAssembly (wasm-ld)", "install Debian's package lld-19")
	}
	return into(out, func(file string) error {
		_, err := (&job{
			language: "C", dir: dir, program: compiler,
			args: append([]string{
				"--target=wasm32-unknown-unknown", "-std=c11", "-O2", "-ffreestanding", "-nostdlib", "-fvisibility=hidden",
				"-mbulk-memory", "-msign-ext", "-mmutable-globals", "-Wall", "-Wextra", "-ffile-prefix-map=" + dir + "=.",
				"-fuse-ld=" + linker, "-Wl,--no-entry", "-Wl,--strip-all", "-Wl,--gc-sections", "-Wl,-z,stack-size=" + cStack, "-Wl,--stack-first",
				"-o", file,
			}, sources...),
		}).run(ctx)
		return err
	})
}
