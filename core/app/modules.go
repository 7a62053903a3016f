package app

import (
	"slices"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/config"
	"github.com/sallyport/sallyport/core/web"
	"github.com/sallyport/sallyport/plugins"
)

// modules gives the admin API what plugins know of modules.
type modules struct{ house *gatehouse }

// Read checks an upload as a load would that runs nothing: also its signatures, by the keys
// of the settings.
func (m modules) Read(upload web.ModuleUpload) (*core.Module, error) {
	policy, err := trustPolicy(m.house.settings.Plugins)
	if err != nil {
		return nil, err
	}
	up := plugins.Upload(upload)
	return up.Read(policy)
}

// Users lists the documents that name a module: those of the store by their names, those of
// files by their paths.
func (m modules) Users(tenant, module string, published []core.Document) []string {
	var users []string
	names := func(cfg core.Config) bool {
		return slices.ContainsFunc(cfg.Plugins, func(p core.PluginConfig) bool { return plugins.StoredName(p.Source) == module })
	}
	o := m.house.reading(tenant)
	if t := m.house.estate.get(tenant); t != nil && t.files != nil {
		cfg, _ := config.Read(t.files.paths, o) // past the watcher: what it reads counts as loaded
		for i := range cfg.Plugins {
			if p := &cfg.Plugins[i]; plugins.StoredName(p.Source) == module && p.At.Source != nil {
				users = append(users, p.At.Source.Name())
			}
		}
	}
	o.Stored = true
	for i := range published {
		cfg, _ := config.ReadText(published[i].Name+".yaml", []byte(published[i].Text), o) // with mistakes it says what it can
		if names(cfg) {
			users = append(users, published[i].Name)
		}
	}
	slices.Sort(users)
	return slices.Compact(users)
}

// Refused tells the mistakes of the last load of a tenant.
func (m modules) Refused(tenant string) []core.Problem {
	t := m.house.estate.get(tenant)
	if t == nil {
		return nil
	}
	t.state.mu.Lock()
	defer t.state.mu.Unlock()
	if !t.state.failed {
		return nil
	}
	return slices.Clone(t.state.problems)
}

var _ web.Modules = modules{}
