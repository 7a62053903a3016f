package main

import (
	"testing"

	"github.com/sallyport/sallyport/sdk/go/plugin"
	"github.com/sallyport/sallyport/sdk/go/plugintest"
)

func TestFixtures(t *testing.T) {
	plugintest.Run(t, "testdata/*.json")
}

func TestCountsWhatItConverts(t *testing.T) {
	host := plugintest.New(t)
	if a := host.Configure(`{"units":"imperial"}`); a.Status != plugin.StatusOK {
		t.Fatal(a)
	}
	host.Response(`{"content":[],"structuredContent":{"days":[{"high_c":20},{"high_c":25,"wind_kmh":10}]}}`)
	if got := host.Metrics["values_converted"]; got != 3 {
		t.Errorf("values_converted is %v, want 3", got)
	}
}
