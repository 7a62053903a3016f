// Package conformance holds one set of fixtures and runs it on a guest in each
// language that has an SDK: what README.md describes. It has tests only.
//
//	../go/examples/conformance             ┐
//	../rust/examples/conformance           ├─ toolchain.Build ─► .wasm ─► fixtures/*.yaml, and what no fixture can say
//	../c/examples/conformance              │
//	../assemblyscript/examples/conformance ┘
package conformance
