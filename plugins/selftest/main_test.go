package selftest

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/sallyport/sallyport/plugins/sandbox"
)

func TestMain(m *testing.M) {
	if code, ran := sandbox.CompileChild(os.Getenv, os.Stdin, os.Stdout); ran {
		os.Exit(code)
	}
	goleak.VerifyTestMain(m)
}
