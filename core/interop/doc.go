// Package interop lets others judge the built program: clients and conformance
// suites that nobody here wrote, driven from outside as a stranger would.
//
//	conformance 0.1 and 0.2 ──┐
//	TypeScript SDK 1 and 2 ───┤                 ┌─ sallyport conformance-server
//	Go SDK ───────────────────┼── HTTP ──→ ─────┤
//	Inspector CLI ────────────┘                 └─ examples/quickstart
//	pages of others in Chromium ── HTTP ──→ sallyport serve
//
// As a client of upstreams it is judged from both sides:
//
//	conformance 0.1 and 0.2 ──→ sallyport serve ──→ everything servers in Go and TypeScript
//	Go SDK, five revisions  ──→ sallyport serve ──→ Go SDK, five revisions, three transports
//	Go SDK as a driver      ──→ sallyport serve ──→ servers of the client suite, which judge
//	plain clients, crowds   ──→ sallyport serve ──→ echoes, and upstreams that misbehave
//
// It holds tests only. They build the programs once, start them on free ports of
// 127.0.0.1 and stop them at the end, which must go well too: exit code 0, and with
// SALLYPORT_RACE=1 no report of the race detector.
//
//	make test                                      # installs the peers, runs everything
//	go test ./core/interop -run GoSDK              # needs nothing but Go
//	go test ./core/interop -run Browser            # needs Chromium, and the peers
//	go test ./core/interop -run Matrix -v          # prints what works between revisions
//	SALLYPORT_CALLS=1000000 go test ./core/interop -run Identity -timeout 1h -v
//	SALLYPORT_CONFORMANCE_URL=http://127.0.0.1:3000/mcp \
//		go test ./core/interop -run Conformance    # judges another server
//
// What clients do with the quickstart stands in testdata/quickstart.json, once for all
// of them: each calls every tool, prompt and resource that it is shown, and fails when
// one of them is missing there.
package interop
