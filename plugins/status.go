package plugins

import (
	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/plugins/manifest"
)

// Status returns the state of each plugin of the set that was opened last and is still
// open, in the order of the documents. Plugins that are disabled have a name and nothing
// else.
func (h *Host) Status() []core.PluginStatus {
	h.mu.Lock()
	if len(h.sets) == 0 {
		h.mu.Unlock()
		return nil
	}
	order := h.sets[len(h.sets)-1].order
	h.mu.Unlock()
	all := make([]core.PluginStatus, 0, len(order))
	for _, p := range order {
		all = append(all, p.status())
	}
	return all
}

func (p *Plugin) status() core.PluginStatus {
	v := p.version
	if v == nil {
		return core.PluginStatus{Name: p.name}
	}
	s := v.code.Stats()
	isolation := manifest.IsolationShared
	if v.slow {
		isolation = manifest.IsolationCall
	}
	status := core.PluginStatus{
		Name: p.name, Plugin: v.about.Name, Version: v.about.Version, Digest: v.digest, Signer: p.signer,
		Granted: v.granted.Words(), Refused: p.refused, Isolation: isolation,
		Calls: s.Calls, Errors: s.Errors, Discards: s.Discards, Recycled: s.Recycled,
		Fuel: s.Fuel, CPU: s.CPU, Wait: s.Wait, Instances: s.Instances, Free: s.Free, Waiting: s.Waiting,
		Memory: s.Memory, Degraded: s.Degraded, Loaded: v.loaded,
	}
	for _, k := range v.about.Kinds {
		status.Kinds = append(status.Kinds, core.PluginKind(k))
	}
	return status
}
