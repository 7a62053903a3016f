// Command quickstart starts the bookshop, a small REST service, and a gateway
// before it that serves it over MCP. `make run` builds and runs it.
//
//	go run ./examples/quickstart [-dir examples/quickstart] [-listen 127.0.0.1:8080]
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/sallyport/sallyport/core/app"
	"github.com/sallyport/sallyport/examples/quickstart/bookshop"
)

func main() {
	if code, ran := app.Child(os.Getenv, os.Stdin, os.Stdout); ran {
		os.Exit(code)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run serves until ctx ends and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("quickstart", flag.ContinueOnError)
	flags.SetOutput(stderr)
	dir := flags.String("dir", filepath.Join("examples", "quickstart"), "folder with bookshop.yaml and settings.yaml")
	listen := flags.String("listen", "", "address of the gateway (default: as in settings.yaml, 127.0.0.1:8080)")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if _, err := os.Stat(filepath.Join(*dir, "bookshop.yaml")); err != nil {
		fmt.Fprintf(stderr, "quickstart: %v\n  how to mend it: run it in the root of the project, or name its folder with -dir\n", err)
		return 1
	}
	address, closeShop, err := openShop()
	if err != nil {
		fmt.Fprintln(stderr, "quickstart: start the bookshop:", err)
		return 1
	}
	defer closeShop()
	if err := os.Setenv("BOOKSHOP_URL", "http://"+address); err != nil {
		fmt.Fprintln(stderr, "quickstart:", err)
		return 1
	}
	serve := []string{
		"serve", "--config", filepath.Join(*dir, "bookshop.yaml"), "--settings", filepath.Join(*dir, "settings.yaml"),
		"--hints", "--try", `bookshop=search_books {"query":"sea"}`,
	}
	if *listen != "" {
		serve = append(serve, "--listen", *listen)
	}
	fmt.Fprintf(stdout, "the bookshop (REST) listens on http://%s/books\n", address)
	return app.Main(ctx, serve, stdout, stderr)
}

// openShop serves the bookshop on 127.0.0.1:8081, or on any free port when that
// one is taken.
func openShop() (address string, closeShop func(), err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:8081")
	if err != nil {
		if listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return "", nil, err
		}
	}
	server := &http.Server{Handler: bookshop.New(), ReadHeaderTimeout: 10 * time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			fmt.Fprintln(os.Stderr, "quickstart: the bookshop stopped:", err)
		}
	}()
	return listener.Addr().String(), func() { _ = server.Close(); <-done }, nil
}
