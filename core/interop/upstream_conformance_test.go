package interop

import "testing"

// The suites judge the gateway in front of servers that nobody here wrote: what they offer
// must come through whole. Each server gets the suites that it passes itself; those of the
// extension for tasks no server passes (testdata/expected-failures.yml).

func TestProxiedConformanceGo20260728(t *testing.T) {
	proxied(t, everythingInGo(t, false), modernSuite)
}

func TestProxiedConformanceGo20251125(t *testing.T) {
	proxied(t, everythingInGo(t, true), legacySuite)
}

func TestProxiedConformanceGo20250618(t *testing.T) {
	proxied(t, everythingInGo(t, true), suite20250618)
}

func TestProxiedConformanceGo20250326(t *testing.T) {
	proxied(t, everythingInGo(t, true), suite20250326)
}

func TestProxiedConformanceGo01(t *testing.T) {
	proxied(t, everythingInGo(t, true), suite01)
}

func TestProxiedConformanceTypeScript20260728(t *testing.T) {
	proxied(t, everythingInTypeScript(t), modernSuite)
}

func TestProxiedConformanceTypeScript20251125(t *testing.T) {
	proxied(t, everythingInTypeScript(t), legacySuite, "2025-11-25")
}

func TestProxiedConformanceTypeScript20250618(t *testing.T) {
	proxied(t, everythingInTypeScript(t), suite20250618, "2025-06-18")
}

func TestProxiedConformanceTypeScript20250326(t *testing.T) {
	proxied(t, everythingInTypeScript(t), suite20250326, "2025-03-26")
}

func TestProxiedConformanceTypeScript01(t *testing.T) {
	proxied(t, everythingInTypeScript(t), suite01, "2025-11-25")
}

// proxied runs a suite against the route of an upstream that has everything under its own
// names, with that upstream held to a revision or not.
func proxied(t *testing.T, origin string, j judgement, revision ...string) {
	t.Helper()
	node(t)
	config := map[string]any{"name": "all", "url": origin + "/mcp"}
	if len(revision) > 0 {
		config["revision"] = revision[0]
	}
	gateway := serve(t, upstreams(t, config))
	reached(t, gateway, "all")
	j.url = gateway + "/all/mcp"
	judge(t, j)
}
