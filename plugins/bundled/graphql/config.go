package main

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/sallyport/sallyport/sdk/go/plugin"
)

// Config is the plugin's configuration; config_schema in plugin.yaml says the same with
// more words.
type Config struct {
	Endpoint      string            `json:"endpoint"`
	Headers       map[string]string `json:"headers"`
	Operations    []OperationConfig `json:"operations"`
	Introspect    bool              `json:"introspect"`
	Introspection IntrospectConfig  `json:"introspection"`
	Free          *FreeConfig       `json:"free_query"`
}

// OperationConfig is one operation that is a tool.
type OperationConfig struct {
	Tool        string                    `json:"tool"`
	Title       string                    `json:"title"`
	Description string                    `json:"description"`
	Query       string                    `json:"query"`
	Operation   string                    `json:"operation"`
	Variables   map[string]VariableConfig `json:"variables"`
	Pick        string                    `json:"pick"`
	Annotations json.RawMessage           `json:"annotations"`
}

// VariableConfig says more about one variable of an operation.
type VariableConfig struct {
	Argument    string          `json:"argument"`    // the argument's name, if it is not the variable's
	Description string          `json:"description"` // for the model
	Default     json.RawMessage `json:"default"`     // sent when the argument is not given
	Value       json.RawMessage `json:"value"`       // always sent: the variable is no argument
	Schema      json.RawMessage `json:"schema"`      // members of a JSON Schema, laid over that of the type
}

// IntrospectConfig says which root fields become tools.
type IntrospectConfig struct {
	Prefix string   `json:"prefix"` // put before the name of each field
	Fields []string `json:"fields"` // names, may end in *; absent = all
	TTL    string   `json:"ttl"`    // Go duration; absent = 10m
}

// FreeConfig is the tool that takes any query.
type FreeConfig struct {
	Tool          string `json:"tool"` // absent = graphql.query
	Description   string `json:"description"`
	Mutations     bool   `json:"mutations"`
	Introspection bool   `json:"introspection"` // __schema and __type
	MaxDepth      int    `json:"max_depth"`     // absent = 8
	MaxFields     int    `json:"max_fields"`    // absent = 200
	MaxBytes      int    `json:"max_bytes"`     // absent = 16384
}

// The tools and settings of this instance. They are the operator's, not a caller's.
var (
	settings  Config
	tools     []*tool
	byName    map[string]*tool
	retention time.Duration
)

// tool is one operation that can be called.
type tool struct {
	info     plugin.ToolInfo
	head     []byte // of the request's body, up to the variables
	bindings []binding
	pick     path
	free     *FreeConfig // the tool takes any query
}

func configure(_ *plugin.Context, c Config) error {
	host, ok := strings.CutPrefix(c.Endpoint, "https://")
	if !ok {
		host, ok = strings.CutPrefix(c.Endpoint, "http://")
	}
	if !ok || host == "" || strings.HasPrefix(host, "/") || strings.ContainsAny(c.Endpoint, " \t\r\n\"<>#@") {
		return plugin.InvalidArgs("endpoint must be an absolute address such as https://api.example.com/graphql, not %q", c.Endpoint)
	}
	for name, value := range c.Headers {
		if !headerName(name) || strings.ContainsAny(value, "\r\n\x00") {
			return plugin.InvalidArgs("headers: %q is no header that can be sent", name)
		}
		switch strings.ToLower(name) {
		case "content-type", "accept":
			return plugin.InvalidArgs("headers: %s is set by the plugin", name)
		}
	}
	made := make([]*tool, 0, len(c.Operations)+1)
	names := map[string]*tool{}
	add := func(t *tool) error {
		if !toolName(t.info.Name) {
			return plugin.InvalidArgs("%q is no name of a tool: letters, digits, _, - and ., at most 128", t.info.Name)
		}
		if names[t.info.Name] != nil {
			return plugin.InvalidArgs("the tool %s stands twice", t.info.Name)
		}
		names[t.info.Name] = t
		made = append(made, t)
		return nil
	}
	for i := range c.Operations {
		t, err := c.Operations[i].tool()
		if err != nil {
			return plugin.InvalidArgs("operations[%d] (%s): %w", i, c.Operations[i].Tool, err)
		}
		if err := add(t); err != nil {
			return err
		}
	}
	if c.Free != nil {
		if err := add(c.Free.tool()); err != nil {
			return err
		}
	}
	if len(made) == 0 && !c.Introspect {
		return plugin.InvalidArgs("the configuration has no operations, no introspect: true and no free_query: there would be no tools")
	}
	retention = 10 * time.Minute
	if c.Introspection.TTL != "" {
		d, err := time.ParseDuration(c.Introspection.TTL)
		if err != nil || d < time.Second {
			return plugin.InvalidArgs("introspection.ttl must be a duration of at least a second such as 10m, not %q", c.Introspection.TTL)
		}
		retention = d
	}
	settings, tools, byName, cached = c, made, names, nil
	return nil
}

// tool checks one operation and makes what a call needs of it.
func (c *OperationConfig) tool() (*tool, error) {
	d, l, err := parse(c.Query)
	if err != nil {
		return nil, plugin.InvalidArgs("query: %w", err)
	}
	o, err := d.operation(c.Operation)
	if err != nil {
		return nil, plugin.InvalidArgs("query: %w", err)
	}
	if o.sort == "subscription" {
		return nil, plugin.InvalidArgs("query: a subscription has no one answer, so it cannot be a tool")
	}
	if err := d.check(l, o); err != nil {
		return nil, plugin.InvalidArgs("query: %w", err)
	}
	t := &tool{info: plugin.ToolInfo{Name: c.Tool, Title: c.Title, Description: c.Description, Annotations: c.Annotations}}
	if t.bindings, err = bind(o, c.Variables); err != nil {
		return nil, err
	}
	if t.pick, err = parsePath(c.Pick); err != nil {
		return nil, plugin.InvalidArgs("pick: %w", err)
	}
	t.info.InputSchema = inputSchema(t.bindings)
	if t.info.Annotations == nil && o.sort == "query" {
		t.info.Annotations = readOnly
	}
	t.head = bodyHead(c.Query, o.name)
	return t, nil
}

var readOnly = json.RawMessage(`{"readOnlyHint":true}`)

// bodyHead is the body of a request up to its variables.
func bodyHead(query, operation string) []byte {
	b := append([]byte(`{"query":`), quote(query)...)
	if operation != "" {
		b = append(append(b, `,"operationName":`...), quote(operation)...)
	}
	return append(b, `,"variables":`...)
}

// headerName says whether s is a token of HTTP (RFC 9110, section 5.6.2).
func headerName(s string) bool {
	for i := range len(s) {
		if c := s[i]; !letter(c) && !digit(c) && !strings.ContainsRune("!#$%&'*+-.^`|~", rune(c)) {
			return false
		}
	}
	return s != ""
}

func toolName(s string) bool {
	for i := range len(s) {
		if c := s[i]; !letter(c) && !digit(c) && c != '-' && c != '.' {
			return false
		}
	}
	return s != "" && len(s) <= 128
}
