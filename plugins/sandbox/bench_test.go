package sandbox

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/plugins/abi"
	"github.com/sallyport/sallyport/plugins/guests"
)

// The rows of wasm.md section 2, for our own code. Run
//
//	go test -run - -bench . -benchtime 20000x ./plugins/sandbox
//
// A busy machine makes them worse by any factor: the lowest of several runs counts.

// request is 1,024 bytes of the measurements' JSON.
func request() []byte {
	in := `{"tool":"weather","id":"0123456789","arguments":{"text":"` + strings.Repeat("lorem ipsum ", 60) + `","city":"Berlin","n":42,"flag":true},"headers":{"accept":"application/json","x-request":"abcdef","user-agent":"bench"}}`
	return []byte(in + strings.Repeat(" ", max(0, 1024-len(in))))
}

func benchCall(b *testing.B, wasm []byte, change func(*Options), in []byte) {
	b.Helper()
	dir := b.TempDir() + "/cache"
	p := load(b, wasm, func(o *Options) {
		o.InProcess, o.CacheDir = false, dir
		if change != nil {
			change(o)
		}
	})
	ctx := context.Background()
	b.ReportAllocs()
	b.ResetTimer()
	for b.Loop() {
		if _, err := p.Call(ctx, abi.ToolCall, nil, in, InvokerBudget); err != nil {
			b.Fatal(err)
		}
	}
}

func plain(o *Options) { o.Plain = true }

func BenchmarkEcho(b *testing.B) {
	in := []byte(strings.Repeat("a", 1024))
	b.Run("asm/plain", func(b *testing.B) { benchCall(b, guests.Echo(), plain, in) })
	b.Run("asm/fuel", func(b *testing.B) { benchCall(b, guests.Echo(), nil, in) })
	b.Run("go/plain", func(b *testing.B) { benchCall(b, goWasm(b), plain, in) })
	b.Run("go/fuel", func(b *testing.B) { benchCall(b, goWasm(b), nil, in) })
}

func BenchmarkJSON(b *testing.B) {
	b.Run("go/plain", func(b *testing.B) { benchCall(b, goWasm(b), plain, request()) })
	b.Run("go/fuel", func(b *testing.B) { benchCall(b, goWasm(b), nil, request()) })
}

// BenchmarkHostCall is one call with 1,000 calls of kv_get in it, 5 bytes of value.
func BenchmarkHostCall(b *testing.B) {
	benchCall(b, guests.KVMany(1000), func(o *Options) { o.Grant.KV = true; o.Host = &fakeHost{} }, nil)
	b.ReportMetric(float64(b.Elapsed())/float64(b.N)/1000, "ns/hostcall")
}

func BenchmarkInstance(b *testing.B) {
	for name, wasm := range map[string][]byte{"asm": guests.Echo(), "go": goWasm(b)} {
		b.Run(name, func(b *testing.B) {
			dir := b.TempDir() + "/cache"
			p := load(b, wasm, func(o *Options) { o.InProcess, o.CacheDir = false, dir })
			b.ReportAllocs()
			b.ResetTimer()
			for b.Loop() {
				i, err := p.newInstance(context.Background(), time.Now().Add(time.Second))
				if err != nil {
					b.Fatal(err)
				}
				i.close()
			}
		})
	}
}

func BenchmarkRestore(b *testing.B) {
	for name, wasm := range map[string][]byte{"asm": guests.Echo(), "go": goWasm(b)} {
		b.Run(name, func(b *testing.B) {
			dir := b.TempDir() + "/cache"
			p := load(b, wasm, func(o *Options) { o.InProcess, o.CacheDir, o.Isolation = false, dir, PerCall })
			i, err := p.newInstance(context.Background(), time.Now().Add(time.Second))
			if err != nil {
				b.Fatal(err)
			}
			defer i.close()
			b.SetBytes(int64(len(i.image.memory)))
			b.ResetTimer()
			for b.Loop() {
				if !i.image.restore(i) {
					b.Fatal("it grew")
				}
			}
		})
	}
}

// BenchmarkLoad is a reload of a version whose native code is in the cache.
func BenchmarkLoad(b *testing.B) {
	for name, wasm := range map[string][]byte{"asm": guests.Echo(), "go": goWasm(b)} {
		b.Run(name, func(b *testing.B) {
			o := Options{Name: "bench", CacheDir: b.TempDir() + "/cache"}
			for b.Loop() {
				p, err := Load(context.Background(), wasm, o)
				if err != nil {
					b.Fatal(err)
				}
				if err := p.Close(context.Background()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
