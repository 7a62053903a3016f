package conformance

import (
	"fmt"
	"os"
	"testing"

	"github.com/sallyport/sallyport/plugins/sandbox"
)

// cache holds native code for all tests of one run.
var cache string

func TestMain(m *testing.M) {
	if code, ran := sandbox.CompileChild(os.Getenv, os.Stdin, os.Stdout); ran {
		os.Exit(code)
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	var err error
	if cache, err = os.MkdirTemp("", "sallyport-conformance-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(cache) }()
	return m.Run()
}
