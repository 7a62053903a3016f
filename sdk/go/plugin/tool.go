package plugin

import (
	"encoding/json"
	"strconv"
	"unsafe"
)

// handler answers one call: it appends a whole frame out to dst, which is empty. An
// error is answered instead of what it appended.
type handler func(c *Context, payload, dst []byte) ([]byte, error)

type tool struct {
	info ToolInfo
	run  handler
}

// registered is what the plugin's init functions named.
var registered struct {
	tools     map[string]*tool
	order     []*tool
	anyTool   handler
	toolsList handler
	configure handler
	request   handler
	response  handler
	authorize handler
}

// ToolInfo is one tool as tools/list shows it.
type ToolInfo struct {
	Name         string          `json:"name"`
	Title        string          `json:"title,omitempty"`
	Description  string          `json:"description,omitempty"`
	InputSchema  json.RawMessage `json:"inputSchema"`
	OutputSchema json.RawMessage `json:"outputSchema,omitempty"`
	Annotations  json.RawMessage `json:"annotations,omitempty"`
}

// ToolOption says more about a tool for tools/list.
type ToolOption func(*ToolInfo)

// Title is the name for people.
func Title(s string) ToolOption { return func(i *ToolInfo) { i.Title = s } }

// Description tells the model what the tool does.
func Description(s string) ToolOption { return func(i *ToolInfo) { i.Description = s } }

// InputSchema is a JSON Schema that is used instead of the one made of the
// arguments' type.
func InputSchema(schema string) ToolOption {
	return func(i *ToolInfo) { i.InputSchema = json.RawMessage(schema) }
}

// OutputSchema is the JSON Schema of structured content.
func OutputSchema(schema string) ToolOption {
	return func(i *ToolInfo) { i.OutputSchema = json.RawMessage(schema) }
}

// ReadOnly says that the tool changes nothing.
func ReadOnly() ToolOption {
	return func(i *ToolInfo) { i.Annotations = json.RawMessage(`{"readOnlyHint":true}`) }
}

// Annotations are MCP's tool annotations, in JSON.
func Annotations(object string) ToolOption {
	return func(i *ToolInfo) { i.Annotations = json.RawMessage(object) }
}

// Tool registers the handler of a tool; call it in an init function.
//
// Args is decoded from the arguments by the names of its json tags, in exact case;
// an argument that does not fit is answered with InvalidArgs and the handler does
// not run. With json.RawMessage or []byte the handler gets the arguments as they
// came, valid until it returns.
//
// A handler may return a Result, a string (one block of text), json.RawMessage or
// []byte (structured content that is encoded already), or anything that
// encoding/json takes (structured content).
//
// It panics when the name is empty or taken, or when an option's JSON is none.
func Tool[Args, Out any](name string, f func(*Context, Args) (Out, error), options ...ToolOption) {
	info := ToolInfo{Name: name}
	for _, o := range options {
		o(&info)
	}
	if info.InputSchema == nil {
		info.InputSchema = schemaFor[Args]()
	}
	addTool(info, toolHandler(f))
}

// AnyTool registers what runs the tools that no Tool names: the tools of a
// catalogue that ToolsList makes. Context.Tool says which one is called.
func AnyTool[Args, Out any](f func(*Context, Args) (Out, error)) {
	once("AnyTool", &registered.anyTool, toolHandler(f))
}

// ToolsList registers what lists the tools. Without it the list is that of Tool.
func ToolsList(f func(*Context) ([]ToolInfo, error)) {
	once("ToolsList", &registered.toolsList, func(c *Context, _, dst []byte) ([]byte, error) {
		list, err := f(c)
		if err != nil {
			return nil, err
		}
		return appendTools(dst, list)
	})
}

// Configure registers what takes the plugin's configuration: it is called once in
// each instance, before any other handler. An error refuses the configuration, and
// the gateway goes on with the former version of the plugin.
func Configure[Config any](f func(*Context, Config) error) {
	decode := decoderFor[Config]()
	once("Configure", &registered.configure, func(c *Context, payload, dst []byte) ([]byte, error) {
		var config Config
		if err := decode(payload, &config); err != nil {
			return nil, InvalidArgs("configuration: %w", err)
		}
		if err := f(c, config); err != nil {
			return nil, err
		}
		return append(dst, okHead...), nil
	})
}

func addTool(info ToolInfo, run handler) {
	switch {
	case info.Name == "":
		panic("plugin: a tool needs a name")
	case registered.tools[info.Name] != nil:
		panic("plugin: tool " + strconv.Quote(info.Name) + " is registered twice")
	}
	for _, raw := range []json.RawMessage{info.InputSchema, info.OutputSchema, info.Annotations} {
		if raw != nil && !json.Valid(raw) {
			panic("plugin: tool " + strconv.Quote(info.Name) + ": an option is no JSON")
		}
	}
	if registered.tools == nil {
		registered.tools = map[string]*tool{}
	}
	t := &tool{info: info, run: run}
	registered.tools[info.Name] = t
	registered.order = append(registered.order, t)
}

func once(what string, at *handler, h handler) {
	if *at != nil {
		panic("plugin: " + what + " is registered twice")
	}
	*at = h
}

// toolHandler decodes, runs and encodes. What a type needs is decided here, once.
func toolHandler[Args, Out any](f func(*Context, Args) (Out, error)) handler {
	if bare, ok := any(f).(func(*Context, json.RawMessage) (Result, error)); ok {
		return func(c *Context, payload, dst []byte) ([]byte, error) { // nothing to decode
			r, err := bare(c, payload)
			if err != nil {
				return nil, err
			}
			return r.appendFrame(dst), nil
		}
	}
	decode := decoderFor[Args]()
	if plain, ok := any(f).(func(*Context, Args) (Result, error)); ok {
		return func(c *Context, payload, dst []byte) ([]byte, error) {
			var args Args
			if err := decode(payload, &args); err != nil {
				return nil, InvalidArgs("%w", err)
			}
			r, err := plain(c, args)
			if err != nil {
				return nil, err
			}
			return r.appendFrame(dst), nil
		}
	}
	return func(c *Context, payload, dst []byte) ([]byte, error) {
		var args Args
		if err := decode(payload, &args); err != nil {
			return nil, InvalidArgs("%w", err)
		}
		v, err := f(c, args)
		if err != nil {
			return nil, err
		}
		var r Result
		switch v := any(v).(type) {
		case string:
			r = Text(v)
		case *Result:
			if v == nil {
				return nil, Internal("the handler of %s returned no result", c.Tool())
			}
			r = *v
		default:
			if r, err = JSON(v); err != nil {
				return nil, Internal("encode the result: %w", err)
			}
		}
		return r.appendFrame(dst), nil
	}
}

// decoderFor returns what decodes a payload into a T. No payload is an empty
// object: MCP lets a client leave arguments out.
func decoderFor[T any]() func(payload []byte, v *T) error {
	switch any((*T)(nil)).(type) {
	case *json.RawMessage:
		return func(payload []byte, v *T) error {
			*any(v).(*json.RawMessage) = payload
			return nil
		}
	case *[]byte:
		return func(payload []byte, v *T) error {
			*any(v).(*[]byte) = payload
			return nil
		}
	case *Result:
		return func(payload []byte, v *T) error {
			return any(v).(*Result).UnmarshalJSON(payload)
		}
	}
	p := planFor[T]()
	return func(payload []byte, v *T) error {
		if len(payload) == 0 {
			payload = emptyObject
		}
		return p.decode(payload, unsafe.Pointer(v))
	}
}

var emptyObject = []byte("{}")

// few is up to how many tools looking at each is faster than the map.
const few = 8

// toolFor finds the handler of a tool_call.
func toolFor(c *Context) (handler, error) {
	name, told := c.meta.Get("tool")
	if len(registered.order) <= few {
		for _, t := range registered.order {
			if t.info.Name == string(name) {
				return t.run, nil
			}
		}
	} else if t := registered.tools[string(name)]; t != nil {
		return t.run, nil
	}
	switch {
	case registered.anyTool != nil:
		return registered.anyTool, nil
	case told:
		return nil, UnknownTool(string(name))
	case len(registered.order) == 1: // which other could be meant?
		return registered.order[0].run, nil
	}
	return nil, Internal("the host does not say which tool is called: list `tool` under `context` in the manifest")
}

// listTools answers tools_list with the registered tools.
func listTools(_ *Context, _, dst []byte) ([]byte, error) {
	list := make([]ToolInfo, 0, len(registered.order))
	for _, t := range registered.order {
		list = append(list, t.info)
	}
	return appendTools(dst, list)
}

func appendTools(dst []byte, list []ToolInfo) ([]byte, error) {
	for i := range list {
		if list[i].InputSchema == nil {
			list[i].InputSchema = json.RawMessage(`{"type":"object"}`)
		}
	}
	if list == nil {
		list = []ToolInfo{}
	}
	b, err := marshal(struct {
		Tools []ToolInfo `json:"tools"`
	}{list})
	if err != nil {
		return nil, Internal("encode the tools: %w", err)
	}
	return append(append(dst, okHead...), b...), nil
}
