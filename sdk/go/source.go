// Package sdk holds the sources of this module, so that `sallyport plugin new` can put
// them beside a new plugin: that builds then without a network.
package sdk

import "embed"

// Source is go.mod and the packages that a plugin imports.
//
//go:embed go.mod plugin plugintest internal
var Source embed.FS
