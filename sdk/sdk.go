// Package sdk holds the sources of the SDKs that are no Go modules, so that
// `sallyport plugin new` can put them beside a new plugin: that builds then outside of
// this project, and without a network.
//
//	text, err := sdk.Source.ReadFile("rust/src/lib.rs")
package sdk

import "embed"

// Source is the SDKs in C, Rust and AssemblyScript, as their folders hold them.
//
//go:embed c/sallyport.h rust/Cargo.toml rust/src assemblyscript/package.json assemblyscript/package-lock.json assemblyscript/sallyport
var Source embed.FS
