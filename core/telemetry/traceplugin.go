package telemetry

import (
	"context"

	"github.com/sallyport/sallyport/core"
)

// TracePlugins returns plugins that have a span around each call where they stand by
// their match. Where a document names them, the span is that of the kind. Without
// traces it returns them as they are.
func (t *Telemetry) TracePlugins(inner core.Plugins) core.Plugins {
	if t.tracer == nil || inner == nil {
		return inner
	}
	return tracedPlugins{inner, t}
}

type tracedPlugins struct {
	core.Plugins
	telemetry *Telemetry
}

func (p tracedPlugins) Open(ctx context.Context, configs []core.PluginConfig) (core.PluginSet, []core.Problem) {
	set, problems := p.Plugins.Open(ctx, configs)
	return tracedSet{set, p.telemetry}, problems
}

type tracedSet struct {
	core.PluginSet
	telemetry *Telemetry
}

func (s tracedSet) Matching(server, tool string) []core.Plugin {
	found := s.PluginSet.Matching(server, tool)
	traced := make([]core.Plugin, len(found))
	for i, one := range found {
		traced[i] = tracedPlugin{one, s.telemetry}
	}
	return traced
}

type tracedPlugin struct {
	core.Plugin
	telemetry *Telemetry
}

func (p tracedPlugin) span(does string) traceOf {
	return traceOf{p.telemetry.tracer, does + " " + p.Name()}
}

func (p tracedPlugin) Transformer() (core.Transformer, error) {
	inner, err := p.Plugin.Transformer()
	if err != nil {
		return nil, err
	}
	return tracedTransformer{inner, p.span("transform")}, nil
}

func (p tracedPlugin) RequestTransformer() (core.RequestTransformer, error) {
	inner, err := p.Plugin.RequestTransformer()
	if err != nil {
		return nil, err
	}
	return tracedRequest{inner, p.span("transform request")}, nil
}

func (p tracedPlugin) CallAuthorizer() (core.CallAuthorizer, error) {
	inner, err := p.Plugin.CallAuthorizer()
	if err != nil {
		return nil, err
	}
	return tracedAuthorizer{inner, p.span("authorize")}, nil
}
