package main

import (
	"encoding/json"
	"strings"

	"github.com/sallyport/sallyport/sdk/go/plugin"
)

// freeArguments is the arguments of the tool that takes any query.
type freeArguments struct {
	query, operation string
	variables        json.RawMessage
}

const freeSchema = `{"type":"object","properties":{` +
	`"query":{"type":"string","description":"a GraphQL document"},` +
	`"operation_name":{"type":"string","description":"which operation to run, when the document has several"},` +
	`"variables":{"type":"object","description":"values of the operation's variables"}},` +
	`"required":["query"],"additionalProperties":false}`

func (c *FreeConfig) tool() *tool {
	limits := *c
	fill := func(n *int, or int) {
		if *n <= 0 {
			*n = or
		}
	}
	fill(&limits.MaxDepth, 8)
	fill(&limits.MaxFields, 200)
	fill(&limits.MaxBytes, 16<<10)
	if limits.Tool == "" {
		limits.Tool = "graphql.query"
	}
	info := plugin.ToolInfo{Name: limits.Tool, InputSchema: json.RawMessage(freeSchema), Description: "Runs a GraphQL query and returns its data. Mutations are refused."}
	if limits.Mutations {
		info.Description = "Runs a GraphQL query or mutation and returns its data."
	} else {
		info.Annotations = readOnly
	}
	if limits.Description != "" {
		info.Description = limits.Description
	}
	return &tool{info: info, free: &limits}
}

func (c *FreeConfig) call(ctx *plugin.Context, raw json.RawMessage) (plugin.Result, error) {
	arguments, err := readFree(raw)
	if err != nil {
		return plugin.Result{}, err
	}
	operation, err := c.allow(arguments)
	if err != nil {
		return plugin.Result{}, err
	}
	body := append(bodyHead(arguments.query, operation), arguments.variables...)
	return send(ctx, append(body, '}'), nil)
}

func readFree(raw json.RawMessage) (a freeArguments, err error) {
	a.variables = json.RawMessage("{}")
	var wrong error
	text := func(name string, value json.RawMessage, into *string) {
		if json.Unmarshal(value, into) != nil || string(value) == "null" {
			wrong = plugin.InvalidArgs("%s must be a string, not %s", name, sortOf(value))
		}
	}
	err = members(raw, func(name string, value json.RawMessage) {
		switch name {
		case "query":
			text(name, value, &a.query)
		case "operation_name":
			text(name, value, &a.operation)
		case "variables":
			if a.variables = value; value[0] != '{' {
				wrong = plugin.InvalidArgs("variables must be an object, not %s", sortOf(value))
			}
		default:
			wrong = plugin.InvalidArgs("there is no argument %s; there are: query, operation_name, variables", name)
		}
	})
	switch {
	case err != nil:
		return a, plugin.InvalidArgs("%w", err)
	case wrong != nil:
		return a, wrong
	case strings.TrimSpace(a.query) == "":
		return a, plugin.InvalidArgs("query is missing: it is a GraphQL document")
	}
	return a, nil
}

// allow checks a document against the limits and returns the name of the operation
// that is run.
func (c *FreeConfig) allow(a freeArguments) (string, error) {
	if len(a.query) > c.MaxBytes {
		return "", plugin.InvalidArgs("query has %d bytes, at most %d are allowed", len(a.query), c.MaxBytes)
	}
	d, l, err := parse(a.query)
	if err != nil {
		return "", plugin.InvalidArgs("query: %w", err)
	}
	o, err := d.operation(a.operation)
	if err != nil {
		return "", plugin.InvalidArgs("query: %w; give operation_name", err)
	}
	// All operations of the document are checked, not only the one that is named: what
	// is run is the server's decision.
	for _, each := range d.operations {
		switch {
		case each.sort == "subscription":
			return "", plugin.Denied("subscriptions are not allowed: a call has one answer")
		case each.sort == "mutation" && !c.Mutations:
			return "", plugin.Denied("mutations are not allowed here")
		}
		if err := d.check(l, each); err != nil {
			return "", plugin.InvalidArgs("query: %w", err)
		}
		s, err := d.measure(l, each.fields)
		switch {
		case err != nil:
			return "", plugin.InvalidArgs("query: %w", err)
		case s.meta && !c.Introspection:
			return "", plugin.Denied("introspection (__schema, __type) is not allowed here")
		case s.depth > c.MaxDepth:
			return "", plugin.InvalidArgs("query is %d fields deep, at most %d are allowed", s.depth, c.MaxDepth)
		case s.fields > c.MaxFields:
			return "", plugin.InvalidArgs("query asks for more than %d fields", c.MaxFields)
		}
	}
	return o.name, nil
}
