package plugin

import (
	"encoding/json"

	"github.com/sallyport/sallyport/sdk/go/internal/frame"
)

var unchanged = string(frame.AppendOut(nil, uint16(StatusUnchanged), nil, nil))

// ResponseTransform registers what rewrites the results of tools. It changes *result
// and returns true, or returns false and costs next to nothing. R is Result, or
// json.RawMessage for those who parse by themselves, valid until the handler
// returns. An error takes the result away unless the manifest says on_error: skip.
func ResponseTransform[R any](f func(c *Context, result *R) (changed bool, err error)) {
	once("ResponseTransform", &registered.response, transformer(f))
}

// RequestTransform registers what rewrites the arguments of tools, before they are
// checked against the tool's schema. Members of the arguments that Args has no
// field for are lost when it returns true: map[string]json.RawMessage keeps them.
// Return Denied to refuse the call.
func RequestTransform[Args any](f func(c *Context, args *Args) (changed bool, err error)) {
	once("RequestTransform", &registered.request, transformer(f))
}

func transformer[T any](f func(*Context, *T) (bool, error)) handler {
	decode := decoderFor[T]()
	return func(c *Context, payload, dst []byte) ([]byte, error) {
		v := new(T)
		if err := decode(payload, v); err != nil {
			return nil, InvalidArgs("%w", err)
		}
		changed, err := f(c, v)
		switch {
		case err != nil:
			return nil, err
		case !changed:
			return append(dst, unchanged...), nil
		}
		dst = append(dst, okHead...)
		switch v := any(v).(type) {
		case *Result:
			return v.appendJSON(dst), nil
		case *json.RawMessage:
			return append(dst, *v...), nil
		case *[]byte:
			return append(dst, *v...), nil
		}
		b, err := marshal(*v)
		if err != nil {
			return nil, Internal("encode what was changed: %w", err)
		}
		return append(dst, b...), nil
	}
}

// Authorize registers what may refuse a call that the gateway's own rules allow; it
// cannot allow what they refuse. Nil lets the call pass, Denied refuses it, and so
// does any other error, which is logged.
func Authorize[Args any](f func(c *Context, args Args) error) {
	decode := decoderFor[Args]()
	once("Authorize", &registered.authorize, func(c *Context, payload, dst []byte) ([]byte, error) {
		var args Args
		if err := decode(payload, &args); err != nil {
			return nil, InvalidArgs("%w", err)
		}
		if err := f(c, args); err != nil {
			return nil, err
		}
		return append(dst, okHead...), nil
	})
}
