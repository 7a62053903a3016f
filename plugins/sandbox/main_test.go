package sandbox

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if code, ran := CompileChild(os.Getenv, os.Stdin, os.Stdout); ran {
		os.Exit(code)
	}
	if name := os.Getenv(hostileVariable); name != "" {
		os.Exit(hostileChild(name))
	}
	goleak.VerifyTestMain(m)
}

// load loads a guest in this process and closes it with the test.
func load(t testing.TB, wasm []byte, change func(*Options)) *Plugin {
	t.Helper()
	o := Options{Name: "test", InProcess: true}
	if change != nil {
		change(&o)
	}
	p, err := Load(t.Context(), wasm, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return p
}

var goGuest = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "goguest")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	out := filepath.Join(dir, "guest.wasm")
	cmd := exec.Command("go", "build", "-buildmode=c-shared", "-ldflags=-s -w", "-o", out, "../guests/goguest")
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=", "CGO_ENABLED=0")
	if said, err := cmd.CombinedOutput(); err != nil {
		return said, err
	}
	return os.ReadFile(out)
})

// goWasm builds the Go guest once.
func goWasm(t testing.TB) []byte {
	t.Helper()
	wasm, err := goGuest()
	if err != nil {
		t.Fatalf("build the Go guest: %v\n%s", err, wasm)
	}
	return wasm
}
