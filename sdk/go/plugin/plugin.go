// Package plugin is the guest side of Sallyport plugins: tools, transformers and
// authorizers written as plain Go functions and built to WebAssembly by the
// standard Go toolchain.
//
//	gateway                          this module
//	  │ arguments, who calls  ─────►  your handler(ctx, args)
//	  │ ◄───── log, http, kv …         ctx.Log, ctx.HTTP, ctx.KVGet …
//	  │ result, or a status   ◄─────  return result, err
//
// A whole plugin:
//
//	package main
//
//	import "github.com/sallyport/sallyport/sdk/go/plugin"
//
//	type Args struct {
//		Name string `json:"name" description:"whom to greet"`
//	}
//
//	func init() {
//		plugin.Tool("greet", func(ctx *plugin.Context, args Args) (string, error) {
//			return "Hello, " + args.Name + "!", nil
//		})
//	}
//
//	func main() {} // never called: a plugin is a library
//
// Build it with
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -o greet.wasm .
//
// Handlers are registered in init functions: main does not run. One instance of a
// plugin serves one call at a time and many calls one after the other, of different
// callers: package variables are a cache, not a place for what belongs to a caller.
// Between two calls goroutines stand still.
//
// The module imports only those host functions that the plugin uses, so what it may
// need can be read off the file. Package plugintest runs handlers under go test.
package plugin
