package app

import (
	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/fixture"
	"github.com/sallyport/sallyport/core/gateway"
	"github.com/sallyport/sallyport/core/invokers"
	"github.com/sallyport/sallyport/core/transformers"
	"github.com/sallyport/sallyport/plugins"
)

// kinds lists every kind that a document may name. A new kind is one line here.
func kinds() gateway.Kinds {
	return gateway.Kinds{
		Invokers: []core.Kind[core.Invoker]{
			invokers.REST,
			invokers.Echo,
			plugins.Invoker,
		},
		Transformers: []core.Kind[core.Transformer]{
			transformers.JQ,
			transformers.Truncate,
			transformers.Template,
			transformers.Redact,
			plugins.Transformer,
		},
		Requests:    []core.Kind[core.RequestTransformer]{plugins.RequestTransformer},
		Authorizers: []core.Kind[core.CallAuthorizer]{plugins.Authorizer},
		Catalogues:  []core.Kind[core.Catalogue]{plugins.Catalogue},
	}
}

// fixtureKinds adds what only the conformance server may use.
func fixtureKinds() gateway.Kinds {
	k := kinds()
	k.Invokers = append(k.Invokers, fixture.Kind)
	return k
}
