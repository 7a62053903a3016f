package telemetry

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

func (t *Telemetry) startTraces(ctx context.Context, o Options) error {
	to := o.exporter
	if to == nil {
		if o.Endpoint == "" {
			return nil
		}
		var err error
		to, err = otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(strings.TrimRight(o.Endpoint, "/")+"/v1/traces"))
		if err != nil {
			return fmt.Errorf("OTLP exporter: %w", err)
		}
	}
	about, err := resource.New(ctx,
		resource.WithAttributes(attribute.String("service.name", "sallyport"), attribute.String("service.version", o.Version)),
		resource.WithFromEnv(), // OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES win
	)
	if err != nil {
		return fmt.Errorf("resource: %w", err)
	}
	t.complain()
	t.traces = sdktrace.NewTracerProvider(sdktrace.WithBatcher(to), sdktrace.WithResource(about))
	t.tracer = t.traces.Tracer("sallyport")
	return nil
}

// Finder finds the Handler of a server, nil when there is none.
type Finder interface {
	Find(prefix string) core.Handler
}

// Traced returns a Finder whose handlers have a span around each call of a tool,
// prompt or resource. Its parent is what the client sent in params._meta
// (traceparent, W3C Trace Context). Without traces it returns f.
func (t *Telemetry) Traced(f Finder) Finder {
	if t.tracer == nil {
		return f
	}
	return traced{f, t.tracer}
}

type traced struct {
	Finder
	tracer trace.Tracer
}

func (f traced) Find(prefix string) core.Handler {
	h := f.Finder.Find(prefix)
	if h == nil {
		return nil
	}
	return tracedHandler{h, f.tracer}
}

type tracedHandler struct {
	core.Handler
	tracer trace.Tracer
}

func (h tracedHandler) CallTool(ctx context.Context, call *core.Call) (*core.Result, error) {
	return h.around(ctx, "tools/call", call, h.Handler.CallTool)
}

func (h tracedHandler) GetPrompt(ctx context.Context, call *core.Call) (*core.Result, error) {
	return h.around(ctx, "prompts/get", call, h.Handler.GetPrompt)
}

func (h tracedHandler) ReadResource(ctx context.Context, call *core.Call) (*core.Result, error) {
	return h.around(ctx, "resources/read", call, h.Handler.ReadResource)
}

func (h tracedHandler) around(ctx context.Context, method string, call *core.Call, next func(context.Context, *core.Call) (*core.Result, error)) (*core.Result, error) {
	ctx, span := h.tracer.Start(parent(ctx, call.Meta), method, trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(
		attribute.String("mcp.method.name", method),
		attribute.String("mcp.protocol.version", call.Client.Revision),
		attribute.String("sallyport.server", h.Server().Name),
	))
	defer span.End()
	// A name that the client made up becomes no attribute.
	if method == "tools/call" && h.Tool(ctx, call.Who, call.Tool) != nil {
		span.SetAttributes(attribute.String("gen_ai.tool.name", call.Tool))
		span.SetName(method + " " + call.Tool)
	}
	result, err := next(ctx, call)
	finish(span, result, err)
	return result, err
}

// Invokers returns kinds whose invokers have a span around each Invoke. Without
// traces it returns them as they are.
func (t *Telemetry) Invokers(kinds []core.Kind[core.Invoker]) []core.Kind[core.Invoker] {
	return wrap(t, kinds, func(kind string, inner core.Invoker) core.Invoker {
		return tracedInvoker{inner, traceOf{t.tracer, "invoke " + kind}}
	})
}

// Transformers returns kinds whose transformers have a span around each Transform.
func (t *Telemetry) Transformers(kinds []core.Kind[core.Transformer]) []core.Kind[core.Transformer] {
	return wrap(t, kinds, func(kind string, inner core.Transformer) core.Transformer {
		return tracedTransformer{inner, traceOf{t.tracer, "transform " + kind}}
	})
}

// Requests returns kinds whose request transformers have a span.
func (t *Telemetry) Requests(kinds []core.Kind[core.RequestTransformer]) []core.Kind[core.RequestTransformer] {
	return wrap(t, kinds, func(kind string, inner core.RequestTransformer) core.RequestTransformer {
		return tracedRequest{inner, traceOf{t.tracer, "transform request " + kind}}
	})
}

// Authorizers returns kinds whose authorizers have a span.
func (t *Telemetry) Authorizers(kinds []core.Kind[core.CallAuthorizer]) []core.Kind[core.CallAuthorizer] {
	return wrap(t, kinds, func(kind string, inner core.CallAuthorizer) core.CallAuthorizer {
		return tracedAuthorizer{inner, traceOf{t.tracer, "authorize " + kind}}
	})
}

// Catalogues returns kinds whose tools have a span around each Invoke.
func (t *Telemetry) Catalogues(kinds []core.Kind[core.Catalogue]) []core.Kind[core.Catalogue] {
	return wrap(t, kinds, func(kind string, inner core.Catalogue) core.Catalogue {
		return tracedCatalogue{inner, traceOf{t.tracer, "invoke " + kind}}
	})
}

func wrap[T any](t *Telemetry, kinds []core.Kind[T], around func(kind string, inner T) T) []core.Kind[T] {
	if t.tracer == nil {
		return kinds
	}
	wrapped := make([]core.Kind[T], len(kinds))
	for i, kind := range kinds {
		wrapped[i] = kind
		wrapped[i].New = func(ctx context.Context, config json.RawMessage, env core.Env) (T, error) {
			inner, err := kind.New(ctx, config, env)
			if err != nil {
				return inner, err
			}
			return around(kind.Name, inner), nil
		}
	}
	return wrapped
}

type traceOf struct {
	tracer trace.Tracer
	name   string
}

func (s traceOf) start(ctx context.Context, call *core.Call) (context.Context, trace.Span) {
	ctx, span := s.tracer.Start(parent(ctx, call.Meta), s.name, trace.WithAttributes(attribute.String("sallyport.server", call.Server)))
	if call.For.Kind == "tool" || call.For.Kind == "prompt" { // the URI of a resource may hold arguments
		span.SetAttributes(attribute.String("sallyport."+call.For.Kind, call.Tool))
	}
	return ctx, span
}

type tracedInvoker struct {
	core.Invoker
	span traceOf
}

func (i tracedInvoker) Invoke(ctx context.Context, call *core.Call) (*core.Result, error) {
	ctx, span := i.span.start(ctx, call)
	defer span.End()
	result, err := i.Invoker.Invoke(ctx, call)
	finish(span, result, err)
	return result, err
}

func (i tracedInvoker) Close() error { return closeInner(i.Invoker) }

// NeedsValues asks the invoker: a trace reads none.
func (i tracedInvoker) NeedsValues() bool { return needsValues(i.Invoker) }

type tracedTransformer struct {
	core.Transformer
	span traceOf
}

func (t tracedTransformer) Transform(ctx context.Context, call *core.Call, in *core.Result) (*core.Result, error) {
	ctx, span := t.span.start(ctx, call)
	defer span.End()
	result, err := t.Transformer.Transform(ctx, call, in)
	finish(span, result, err)
	return result, err
}

func (t tracedTransformer) Close() error { return closeInner(t.Transformer) }

// NeedsValues asks the transformer.
func (t tracedTransformer) NeedsValues() bool { return needsValues(t.Transformer) }

type tracedRequest struct {
	core.RequestTransformer
	span traceOf
}

func (r tracedRequest) TransformRequest(ctx context.Context, call *core.Call) error {
	ctx, span := r.span.start(ctx, call)
	defer span.End()
	err := r.RequestTransformer.TransformRequest(ctx, call)
	finish(span, nil, err)
	return err
}

func (r tracedRequest) Close() error { return closeInner(r.RequestTransformer) }

// NeedsValues asks the transformer.
func (r tracedRequest) NeedsValues() bool { return needsValues(r.RequestTransformer) }

type tracedAuthorizer struct {
	core.CallAuthorizer
	span traceOf
}

func (a tracedAuthorizer) AuthorizeCall(ctx context.Context, call *core.Call) error {
	ctx, span := a.span.start(ctx, call)
	defer span.End()
	err := a.CallAuthorizer.AuthorizeCall(ctx, call)
	finish(span, nil, err)
	return err
}

func (a tracedAuthorizer) Close() error { return closeInner(a.CallAuthorizer) }

// NeedsValues asks the authorizer.
func (a tracedAuthorizer) NeedsValues() bool { return needsValues(a.CallAuthorizer) }

type tracedCatalogue struct {
	core.Catalogue
	span traceOf
}

func (c tracedCatalogue) Invoker(tool string) (core.Invoker, error) {
	inner, err := c.Catalogue.Invoker(tool)
	if err != nil {
		return nil, err
	}
	return tracedInvoker{inner, c.span}, nil
}

func (c tracedCatalogue) Close() error { return closeInner(c.Catalogue) }

func needsValues(inner any) bool {
	frugal, ok := inner.(core.Frugal)
	return !ok || frugal.NeedsValues()
}

func closeInner(inner any) error {
	if c, ok := inner.(core.Closer); ok {
		return c.Close()
	}
	return nil
}

// finish says how it ended, by its code: messages may quote what a client sent.
func finish(span trace.Span, result *core.Result, err error) {
	switch {
	case err != nil:
		code := string(core.AsError(err).Code)
		span.SetAttributes(attribute.String("error.type", code))
		span.SetStatus(codes.Error, code)
	case result != nil && result.IsError:
		span.SetAttributes(attribute.String("error.type", "tool_error"))
		span.SetStatus(codes.Error, "tool_error")
	}
}

// parent puts the trace context of params._meta into ctx, unless a span is there
// already.
func parent(ctx context.Context, meta json.RawMessage) context.Context {
	if len(meta) == 0 || trace.SpanContextFromContext(ctx).IsValid() {
		return ctx
	}
	carrier := propagation.MapCarrier{}
	_ = wire.Walk(meta, func(name string, value json.RawMessage) error {
		if name == "traceparent" || name == "tracestate" {
			var text string
			if wire.Unmarshal(value, &text) == nil && len(text) <= 512 {
				carrier[name] = text
			}
		}
		return nil
	})
	return propagation.TraceContext{}.Extract(ctx, carrier)
}

// Propagate returns the header fields that carry the trace of ctx to an upstream
// (W3C Trace Context); nil when there is none.
func (t *Telemetry) Propagate(ctx context.Context) []core.Field {
	if t.tracer == nil || !trace.SpanContextFromContext(ctx).IsValid() {
		return nil
	}
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	var fields []core.Field
	for _, name := range []string{"traceparent", "tracestate"} {
		if value := carrier[name]; value != "" {
			fields = append(fields, core.Field{Name: name, Value: value})
		}
	}
	return fields
}
