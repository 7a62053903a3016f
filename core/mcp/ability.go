package mcp

import (
	"encoding/json"
	"strings"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

// abilities are the capabilities of a client that decide what it can be asked.
type abilities uint8

const (
	canRoots abilities = 1 << iota
	canSample
	canSampleTools
	canForm // elicitation, mode form
	canURL  // elicitation, mode url
)

// abilitiesOf reads ClientCapabilities.
func abilitiesOf(capabilities json.RawMessage) abilities {
	var a abilities
	if len(capabilities) <= 2 { // {}
		return 0
	}
	_ = wire.Walk(capabilities, func(name string, v json.RawMessage) error { // accepted with its body
		if !wire.IsObject(v) {
			return nil
		}
		switch name {
		case "roots":
			a |= canRoots
		case "sampling":
			a |= canSample
			if holds(v, "tools") {
				a |= canSampleTools
			}
		case "elicitation":
			url := holds(v, "url")
			if url {
				a |= canURL
			}
			if !url || holds(v, "form") { // an empty object means the form
				a |= canForm
			}
		}
		return nil
	})
	return a
}

// holds tells whether an object has a member that is an object.
func holds(object json.RawMessage, member string) (found bool) {
	_ = wire.Walk(object, func(name string, v json.RawMessage) error {
		found = found || name == member && wire.IsObject(v)
		return nil
	})
	return found
}

// has narrows what a client declared to what its revision knows.
func (rev *revision) has(a abilities) abilities {
	if !rev.Elicitation {
		a &^= canForm | canURL
	}
	if !rev.ElicitationModes {
		a &^= canURL
	}
	if !rev.SamplingTools {
		a &^= canSampleTools
	}
	return a
}

// needOf returns what a request needs of the client; false for a method that no
// client can be asked.
func needOf(r *core.InputRequest) (need abilities, known bool) {
	switch r.Method {
	case "roots/list":
		return canRoots, true
	case "sampling/createMessage":
		need = canSample
		_ = wire.Fields(r.Params, func(name string, _ json.RawMessage) error { // odd params are the client's to refuse
			if name == "tools" || name == "toolChoice" {
				need |= canSampleTools
			}
			return nil
		})
		return need, true
	case "elicitation/create":
		need = canForm
		_ = wire.Fields(r.Params, func(name string, v json.RawMessage) error {
			if name == "mode" && string(v) == `"url"` {
				need = canURL
			}
			return nil
		})
		return need, true
	}
	return 0, false
}

// object writes abilities as ClientCapabilities.
func (a abilities) object() json.RawMessage {
	dst := []byte{'{'}
	if a&(canForm|canURL) != 0 {
		dst = append(member(dst, "elicitation"), '{')
		if a&canForm != 0 && a&canURL != 0 {
			dst = append(member(dst, "form"), "{}"...)
		}
		if a&canURL != 0 {
			dst = append(member(dst, "url"), "{}"...)
		}
		dst = append(dst, '}')
	}
	if a&canRoots != 0 {
		dst = append(member(dst, "roots"), "{}"...)
	}
	if a&(canSample|canSampleTools) != 0 {
		dst = append(member(dst, "sampling"), '{')
		if a&canSampleTools != 0 {
			dst = append(member(dst, "tools"), "{}"...)
		}
		dst = append(dst, '}')
	}
	return append(dst, '}')
}

// words names abilities for a message.
func (a abilities) words() string {
	var out []string
	for _, one := range []struct {
		bit  abilities
		word string
	}{
		{canForm, "elicitation"},
		{canURL, "elicitation.url"},
		{canRoots, "roots"},
		{canSample, "sampling"},
		{canSampleTools, "sampling.tools"},
	} {
		if a&one.bit != 0 {
			out = append(out, one.word)
		}
	}
	return strings.Join(out, ", ")
}
