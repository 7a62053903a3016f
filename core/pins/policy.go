package pins

import "github.com/sallyport/sallyport/core"

// Policy says what becomes of definitions that nobody approved.
type Policy string

// The policies.
const (
	Quarantine Policy = "quarantine" // hidden, and calls refused, until somebody approves them
	Alert      Policy = "alert"      // shown, and told of
	Off        Policy = "off"        // shown; nothing is written
)

// ParsePolicy reads a policy; "" is Quarantine. Another text is an *core.Error with
// CodeInvalid.
func ParsePolicy(text string) (Policy, error) {
	switch p := Policy(text); p {
	case "":
		return Quarantine, nil
	case Quarantine, Alert, Off:
		return p, nil
	}
	return "", &core.Error{Code: core.CodeInvalid, Message: "no such policy for definitions of upstreams", Fix: "quarantine, alert or off"}
}
