// Command sallyport is an MCP gateway: MCP clients on one side, REST services and
// more on the other, and one guarded chamber between them.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/sallyport/sallyport/core/app"
)

func main() {
	if code, ran := app.Child(os.Getenv, os.Stdin, os.Stdout); ran {
		os.Exit(code)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	code := app.Main(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
