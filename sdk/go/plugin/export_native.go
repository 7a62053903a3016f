//go:build !wasip1

package plugin

import "github.com/sallyport/sallyport/sdk/go/internal/host"

// Built natively there are no exports: plugintest calls here.
func init() { host.Call = answer }
