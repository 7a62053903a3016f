package plugins

import (
	"strings"
	"testing"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/plugins/abi"
	"github.com/sallyport/sallyport/plugins/guests"
)

// What a call costs beyond the sandbox: allocations are those of the answer, the id of
// the call, and of the result that is parsed from it.
func BenchmarkInvoke(b *testing.B) {
	bench := func(context string, arguments string) func(*testing.B) {
		return func(b *testing.B) {
			h := newHost(b, nil)
			p := single(b, h, carrying(b, guests.Echo(), yaml("invoker", oneTool, context)), nil)
			i := invokerOf(b, p, "echo")
			c := call(arguments)
			c.Who = core.Identity{Subject: "ada", Tenant: "north"}
			ctx := b.Context()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := i.Invoke(ctx, c); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	long := `{"content":[{"type":"text","text":"` + strings.Repeat("a", 980) + `"}]}`
	b.Run("1KB", bench("", long))
	b.Run("1KB/context", bench("context: [tool, call_id, tenant, principal.sub]", long))
	b.Run("small", bench("", hi))
}

func BenchmarkTransform(b *testing.B) {
	h := newHost(b, nil)
	p := single(b, h, says(b, core.PluginResponseTransformer, abi.Unchanged, ""), nil)
	t, err := p.Transformer()
	if err != nil {
		b.Fatal(err)
	}
	c, in, ctx := call("{}"), core.TextResult(strings.Repeat("a", 1000)), b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if out, err := t.Transform(ctx, c, in); err != nil || out != in {
			b.Fatal(err)
		}
	}
}

func BenchmarkAuthorize(b *testing.B) {
	h := newHost(b, nil)
	z := authorizerOf(b, single(b, h, says(b, core.PluginAuthorizer, abi.OK, ""), nil))
	c, ctx := call(`{"a":1}`), b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if err := z.AuthorizeCall(ctx, c); err != nil {
			b.Fatal(err)
		}
	}
}
