package web

import (
	"time"

	"github.com/sallyport/sallyport/core"
)

// pluginState is a plugin as the admin plane tells it.
type pluginState struct {
	Name      string            `json:"name"`
	Plugin    string            `json:"plugin"`
	Version   string            `json:"version"`
	Digest    string            `json:"digest"`
	Signer    string            `json:"signer,omitempty"`
	Kinds     []core.PluginKind `json:"kinds"`
	Granted   []string          `json:"granted"`
	Refused   []string          `json:"refused"`
	Isolation string            `json:"isolation"`
	Loaded    time.Time         `json:"loaded"`
	Degraded  *time.Time        `json:"degradedUntil,omitempty"`
	Calls     uint64            `json:"calls"`
	Errors    uint64            `json:"errors"`
	Discards  uint64            `json:"discards"`
	Recycled  uint64            `json:"recycled"`
	Fuel      int64             `json:"fuel"`
	CPU       float64           `json:"cpuSeconds"`
	Wait      float64           `json:"waitSeconds"`
	Instances int               `json:"instances"`
	Free      int               `json:"instancesFree"`
	Waiting   int               `json:"queued"`
	Memory    int64             `json:"memoryBytes"`
}

// pluginList lists plugins.
type pluginList struct {
	Plugins []pluginState `json:"plugins"`
}

func stateOf(s *core.PluginStatus) pluginState {
	p := pluginState{
		Name: s.Name, Plugin: s.Plugin, Version: s.Version, Digest: s.Digest, Signer: s.Signer, Kinds: s.Kinds,
		Granted: s.Granted, Refused: s.Refused, Isolation: s.Isolation, Loaded: s.Loaded.UTC(),
		Calls: s.Calls, Errors: s.Errors, Discards: s.Discards, Recycled: s.Recycled, Fuel: s.Fuel, CPU: s.CPU.Seconds(), Wait: s.Wait.Seconds(),
		Instances: s.Instances, Free: s.Free, Waiting: s.Waiting, Memory: s.Memory,
	}
	if !s.Degraded.IsZero() {
		until := s.Degraded.UTC()
		p.Degraded = &until
	}
	return p
}

func pluginRoutes() []apiRoute {
	loads := func(o *APIOptions) bool { return o.Plugins != nil }
	return []apiRoute{
		{
			Method: "GET", Pattern: "/plugins", Summary: "List the loaded plugins", On: "plugin", Do: core.ActionRead,
			Needs: loads, Answer: pluginList{}, Handle: func(c *apiCall) error {
				list := pluginList{Plugins: []pluginState{}}
				for _, s := range c.api.o.Plugins(c.tenant) {
					if c.reads("plugin", s.Name) {
						list.Plugins = append(list.Plugins, stateOf(&s))
					}
				}
				return c.reply(list)
			},
		},
		{
			Method: "GET", Pattern: "/plugins/{name}", Summary: "Read the state of a plugin", On: "plugin", Do: core.ActionRead, Name: "name",
			Needs: loads, Answer: pluginState{}, Handle: func(c *apiCall) error {
				for _, s := range c.api.o.Plugins(c.tenant) {
					if s.Name == c.path("name") {
						return c.reply(stateOf(&s))
					}
				}
				return missing("plugin")
			},
		},
	}
}
