package app

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
)

// Set by the linker: -X github.com/sallyport/sallyport/core/app.version=…
var (
	version = "0.1.0-dev"
	commit  = ""
)

type versionCommand struct{}

func (versionCommand) run(_ context.Context, c console) int {
	fmt.Fprintf(c.out, "sallyport %s (%s, %s %s/%s)\n", version, revisionOfBuild(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return exitOK
}

// revisionOfBuild is the commit that the binary was built from, as far as it is known.
func revisionOfBuild() string {
	if commit != "" {
		return commit
	}
	if built, ok := debug.ReadBuildInfo(); ok {
		for _, s := range built.Settings {
			if s.Key == "vcs.revision" {
				return s.Value
			}
		}
	}
	return "unknown commit"
}
