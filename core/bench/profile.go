package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/pprof"

	"github.com/sallyport/sallyport/core/app"
)

// runProfiled is the gateway with a CPU profile of itself: its first argument is the
// file, the others are those of sallyport. `make pgo` makes default.pgo with it,
// which the Go compiler reads when it builds the program (profile-guided
// optimisation: it inlines what the profile shows to be hot).
func runProfiled(ctx context.Context, args []string, out io.Writer) (err error) {
	if len(args) == 0 {
		return errors.New("name the file of the profile")
	}
	file, err := os.Create(args[0])
	if err != nil {
		return fmt.Errorf("write the profile: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if err := pprof.StartCPUProfile(file); err != nil {
		return fmt.Errorf("profile: %w", err)
	}
	code := app.Main(ctx, args[1:], out, os.Stderr)
	pprof.StopCPUProfile()
	if code != 0 {
		return fmt.Errorf("the gateway ended with exit code %d", code)
	}
	return nil
}
