package toolchain

import (
	"context"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/core"
)

// Go builds a main package with the standard Go toolchain, 1.24 or newer.
func Go(ctx context.Context, dir, out string) error {
	dir, out, err := absolute(dir, out)
	if err != nil {
		return err
	}
	program, ok := find("go", "/usr/local/go/bin/go")
	if !ok {
		return missing("go", "install Go 1.24 or newer")
	}
	version, err := (&job{language: "Go", dir: dir, program: program, args: []string{"env", "GOVERSION"}}).run(ctx)
	if err != nil {
		return err
	}
	if old(strings.TrimSpace(string(version))) {
		return &core.Error{
			Code:    core.CodeUnavailable,
			Message: "a plugin needs Go 1.24, and this is " + strings.TrimSpace(string(version)),
			Fix:     "install a newer Go",
			Err:     &Missing{What: "Go 1.24"},
		}
	}
	return into(out, func(file string) error {
		_, err := (&job{
			language: "Go", dir: dir, program: program,
			args: []string{"build", "-buildmode=c-shared", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", file, "."},
			env:  []string{"GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0", "GOWASM", "GOEXPERIMENT"},
		}).run(ctx)
		return err
	})
}

// old reports whether a GOVERSION is one that has no //go:wasmexport.
func old(version string) bool {
	numbers := strings.Split(strings.TrimPrefix(version, "go"), ".")
	if len(numbers) < 2 || numbers[0] != "1" {
		return false // a development version
	}
	minor, _, _ := strings.Cut(strings.Replace(numbers[1], "rc", "-", 1), "-")
	n, err := strconv.Atoi(minor)
	return err == nil && n < 24
}
