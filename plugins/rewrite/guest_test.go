package rewrite

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
)

// goGuest builds testdata/guest once.
var goGuest = sync.OnceValues(func() ([]byte, error) {
	folder, err := os.MkdirTemp("", "guest")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	file := filepath.Join(folder, "guest.wasm")
	build := exec.Command("go", "build", "-buildmode=c-shared", "-ldflags=-s -w", "-o", file, ".")
	build.Dir = filepath.Join("testdata", "guest")
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=", "GOWORK=off")
	if text, err := build.CombinedOutput(); err != nil {
		return nil, errors.New(string(text))
	}
	return os.ReadFile(file)
})

func buildGo(t testing.TB) []byte {
	t.Helper()
	wasm, err := goGuest()
	if err != nil {
		t.Fatal(err)
	}
	return wasm
}

// running is an instance with its host.
type running struct {
	api.Module
	runtime wazero.Runtime
	fuel    api.MutableGlobal
	stack   api.Global
	yields  int
	used    int64 // units of fuel
}

const slice = 10_000

var errStop = errors.New("stop")

// start compiles and instantiates a module. yield gives the next slice until
// there were limit of them, if limit is not 0.
func start(t testing.TB, wasm []byte, limit int) *running {
	t.Helper()
	r, err := tryStart(wasm, limit)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.runtime.Close(context.Background()) })
	return r
}

func tryStart(wasm []byte, limit int) (*running, error) {
	ctx := context.Background()
	r := &running{runtime: wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithMemoryLimitPages(1024))}
	wasi_snapshot_preview1.MustInstantiate(ctx, r.runtime)
	_, err := r.runtime.NewHostModuleBuilder(yieldModule).NewFunctionBuilder().
		WithGoModuleFunction(api.GoModuleFunc(func(_ context.Context, m api.Module, _ []uint64) {
			r.yields++
			if limit > 0 && r.yields > limit {
				panic(errStop)
			}
			g := m.ExportedGlobal(FuelExport).(api.MutableGlobal)
			r.used += slice - int64(int32(g.Get()))
			g.Set(slice)
		}), nil, nil).Export(yieldName).
		NewFunctionBuilder().WithFunc(func(x uint32) uint32 { return x*7 + 1 }).Export("host").
		Instantiate(ctx)
	if err == nil {
		r.Module, err = r.runtime.InstantiateWithConfig(ctx, wasm, wazero.NewModuleConfig().WithName("guest").WithStartFunctions("_initialize"))
	}
	if err != nil {
		r.runtime.Close(ctx)
		return nil, err
	}
	r.fuel, _ = r.ExportedGlobal(FuelExport).(api.MutableGlobal)
	r.stack = r.ExportedGlobal(StackExport)
	return r, nil
}

func (r *running) call(name string, args ...uint64) ([]uint64, error) {
	return r.ExportedFunction(name).Call(context.Background(), args...)
}

// text hands text to a Go guest's export and returns its answer.
func (r *running) text(t testing.TB, export, input string) string {
	t.Helper()
	ptr, err := r.call("alloc", uint64(len(input)))
	if err != nil {
		t.Fatal(err)
	}
	r.Memory().Write(uint32(ptr[0]), []byte(input))
	packed, err := r.call(export, uint64(len(input)))
	if err != nil {
		t.Fatal(err)
	}
	b, _ := r.Memory().Read(uint32(packed[0]>>32), uint32(packed[0]))
	return string(b)
}

func instrument(t testing.TB, wasm []byte, o Options) []byte {
	t.Helper()
	if _, err := Inspect(wasm, o.Limits); err != nil {
		t.Fatal(err)
	}
	out, err := Instrument(wasm, o)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

var all = Options{Fuel: true, Depth: true, Globals: true}
