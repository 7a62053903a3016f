package upstream

import (
	"encoding/json"

	"github.com/sallyport/sallyport/core/wire"
)

// abilities are the capabilities of a client that an upstream with sessions can use.
type abilities uint8

const (
	canRoots abilities = 1 << iota
	canSample
	canSampleTools
	canForm // elicitation, mode form
	canURL  // elicitation, mode url
)

// abilitiesOf reads ClientCapabilities of any revision. The bytes were accepted before.
func abilitiesOf(capabilities json.RawMessage) (a abilities) {
	if len(capabilities) <= 2 { // {}
		return 0
	}
	_ = wire.Fields(capabilities, func(name string, v json.RawMessage) error { // odd capabilities are none
		if !wire.IsObject(v) {
			return nil
		}
		switch name {
		case "roots":
			a |= canRoots
		case "sampling":
			a |= canSample
			if wire.IsObject(member(v, "tools")) {
				a |= canSampleTools
			}
		case "elicitation":
			url := wire.IsObject(member(v, "url"))
			if url {
				a |= canURL
			}
			if !url || wire.IsObject(member(v, "form")) { // an empty object means the form
				a |= canForm
			}
		}
		return nil
	})
	return a
}

// knows narrows abilities to what the revision has words for.
func (rev *revision) knows(a abilities) abilities {
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

// appendTo writes abilities as the ClientCapabilities of an initialize of rev.
func (a abilities) appendTo(dst []byte, rev *revision) []byte {
	dst = append(dst, '{')
	if a&canRoots != 0 {
		dst = append(put(dst, "roots"), "{}"...)
	}
	if a&canSample != 0 {
		dst = append(put(dst, "sampling"), '{')
		if a&canSampleTools != 0 {
			dst = append(put(dst, "tools"), "{}"...)
		}
		dst = append(dst, '}')
	}
	if a&(canForm|canURL) != 0 {
		dst = append(put(dst, "elicitation"), '{')
		if a&canForm != 0 && rev.ElicitationModes {
			dst = append(put(dst, "form"), "{}"...)
		}
		if a&canURL != 0 {
			dst = append(put(dst, "url"), "{}"...)
		}
		dst = append(dst, '}')
	}
	return append(dst, '}')
}

// needOf returns what a question of an upstream needs; 0 for what nobody can be asked.
func needOf(method string, params json.RawMessage) abilities {
	switch method {
	case "roots/list":
		return canRoots
	case "sampling/createMessage":
		if member(params, "tools") != nil || member(params, "toolChoice") != nil {
			return canSample | canSampleTools
		}
		return canSample
	case "elicitation/create":
		if string(member(params, "mode")) == `"url"` {
			return canURL
		}
		return canForm
	}
	return 0
}

// modernCapabilities writes what a client of any revision can do in the words of the
// revision with an envelope. Unknown members and extensions stay; tasks do not, since a
// result that is a task has no place in a core.Result.
func modernCapabilities(dst []byte, sent json.RawMessage) []byte {
	dst = append(dst, '{')
	if wire.IsObject(sent) {
		mark := len(dst)
		if err := wire.Fields(sent, func(name string, v json.RawMessage) error {
			switch name {
			case "tasks":
			case "roots":
				dst = append(put(dst, name), "{}"...)
			case "elicitation":
				if wire.IsObject(v) && len(v) <= 2 {
					v = json.RawMessage(`{"form":{}}`)
				}
				dst = putRaw(dst, name, v)
			case "extensions":
				dst = withoutTasks(put(dst, name), v)
			default:
				dst = putRaw(dst, name, v)
			}
			return nil
		}); err != nil {
			dst = dst[:mark]
		}
	}
	return append(dst, '}')
}

const tasksExtension = "io.modelcontextprotocol/tasks"

func withoutTasks(dst []byte, extensions json.RawMessage) []byte {
	if !wire.IsObject(extensions) {
		return append(dst, "{}"...)
	}
	dst = append(dst, '{')
	_ = wire.Walk(extensions, func(name string, v json.RawMessage) error { // accepted
		if name != tasksExtension {
			dst = putRaw(dst, name, v)
		}
		return nil
	})
	return append(dst, '}')
}
