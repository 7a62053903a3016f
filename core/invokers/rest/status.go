package rest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/expression"
	"github.com/sallyport/sallyport/core/wire"
)

// verdict says what an HTTP status means to the caller.
type verdict byte

const (
	isError    verdict = iota // a Result with IsError: the model sees it
	isOK                      // the answer is the result
	isProtocol                // a Go error: the client's program sees it
)

// statusPlan says what every status means.
type statusPlan struct{ verdicts [600]verdict }

func (p *statusPlan) of(status int) verdict {
	if status < 0 || status >= len(p.verdicts) {
		return isError
	}
	return p.verdicts[status]
}

// status reads response.status. What is not named keeps its meaning: 2xx is ok, the
// rest are errors to the model.
func (r *reader) status(at string, raw json.RawMessage) statusPlan {
	var plan statusPlan
	for i := 200; i < 300; i++ {
		plan.verdicts[i] = isOK
	}
	var exact [600]int // width of the range that decided, 0 = none
	for _, m := range r.members(at, raw, "ok", "error", "protocolError") {
		meaning := map[string]verdict{"ok": isOK, "error": isError, "protocolError": isProtocol}[m.name]
		index := -1
		err := wire.Elements(m.raw, func(element json.RawMessage) error {
			index++
			here := fmt.Sprintf("%s/%s/%d", at, m.name, index)
			low, high, ok := statusRange(strings.Trim(string(element), `"`))
			if !ok {
				r.problem(here, "this is not a status", "write a code (404), a class (4xx) or a range (500-503)")
				return nil
			}
			width := high - low + 1
			for i := low; i <= high; i++ {
				switch {
				case exact[i] == width && plan.verdicts[i] != meaning:
					r.problem(here, fmt.Sprintf("the status %d has two meanings", i), "name it in one of ok, error and protocolError")
					return nil
				case exact[i] == 0 || width < exact[i]: // the narrower range wins
					exact[i], plan.verdicts[i] = width, meaning
				}
			}
			return nil
		})
		if err != nil {
			r.problem(at+"/"+m.name, "this is not a list", "write [404, 5xx]")
		}
	}
	return plan
}

func statusRange(text string) (low, high int, ok bool) {
	if len(text) == 3 && strings.HasSuffix(strings.ToLower(text), "xx") && '1' <= text[0] && text[0] <= '5' {
		low = int(text[0]-'0') * 100
		return low, low + 99, true
	}
	before, after, isRange := strings.Cut(text, "-")
	low, err := strconv.Atoi(before)
	if err != nil {
		return 0, 0, false
	}
	high = low
	if isRange {
		if high, err = strconv.Atoi(after); err != nil {
			return 0, 0, false
		}
	}
	return low, high, 100 <= low && low <= high && high < 600
}

// failurePlan makes the text of a failed call.
type failurePlan struct {
	excerpt  bool // the first bytes of the body follow
	detail   *expression.JQ
	messages map[int]string
}

// Bounds on what of an error body is passed on, in bytes.
const (
	maxExcerpt = 2 << 10
	maxDetail  = 4 << 10
)

func (r *reader) failure(at string, raw json.RawMessage) failurePlan {
	var plan failurePlan
	for _, m := range r.members(at, raw, "body", "select", "messages") {
		here := at + "/" + m.name
		switch m.name {
		case "body":
			plan.excerpt = r.choice(here, m.raw, "none", "excerpt") == "excerpt"
		case "select":
			plan.detail = r.jq(here, m.raw)
		case "messages":
			plan.messages = map[int]string{}
			for _, message := range r.members(here, m.raw) {
				there := here + "/" + escape(message.name)
				low, high, ok := statusRange(message.name)
				if !ok {
					r.problem(there, "this is not a status", `write a code ("404"), a class ("4xx") or a range ("500-503")`)
					continue
				}
				text := r.text(there, message.raw)
				for i := low; i <= high; i++ {
					if _, taken := plan.messages[i]; !taken || low == high {
						plan.messages[i] = text
					}
				}
			}
		}
	}
	return plan
}

// text says what went wrong, without the body of the answer unless the document
// allows it: error pages hold stack traces, paths and credentials (security.md
// T14).
func (v *Invoker) failureText(a *answer) string {
	var b strings.Builder
	if message, ok := v.failures.messages[a.response.Status]; ok {
		b.WriteString(message)
	} else {
		b.WriteString("The upstream answered " + strconv.Itoa(a.response.Status))
		if name := http.StatusText(a.response.Status); name != "" {
			b.WriteString(" " + name)
		}
		b.WriteString(". " + advice(a.response.Status))
	}
	if wait := v.wait(a.response); wait > 0 {
		fmt.Fprintf(&b, " Try again in %d seconds.", wait)
	}
	if v.failures.detail != nil {
		if text := v.failureDetail(a); text != "" {
			b.WriteString("\n" + text)
			return b.String()
		}
	}
	if v.failures.excerpt && len(a.response.Body) > 0 {
		if text, ok := a.plainText(maxExcerpt); ok {
			b.WriteString("\nIts answer begins:\n" + text)
		}
	}
	return b.String()
}

func (v *Invoker) failureDetail(a *answer) string {
	input, err := wire.DecodeWithin(a.response.Body, answerLimits)
	if err != nil {
		return ""
	}
	values, err := v.failures.detail.Run(a.ctx, input, a.variables(v.failures.detail)...)
	if err != nil || len(values) == 0 || values[0] == nil {
		return ""
	}
	if text, ok := values[0].(string); ok {
		return clip(text, maxDetail)
	}
	text, err := expression.AppendJSON(nil, values[0], maxDetail)
	if err != nil {
		return ""
	}
	return string(text)
}

func advice(status int) string {
	switch status {
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		return "It does not accept these arguments."
	case http.StatusUnauthorized, http.StatusForbidden:
		return "It does not accept the credentials of the gateway for this."
	case http.StatusNotFound, http.StatusGone:
		return "There is nothing at these arguments."
	case http.StatusConflict, http.StatusPreconditionFailed:
		return "What is there has another state than this needs."
	case http.StatusRequestEntityTooLarge, http.StatusRequestURITooLong:
		return "The arguments are too large for it."
	case http.StatusTooManyRequests:
		return "It gets too many requests."
	}
	if status == http.StatusNotModified {
		return "Nothing has changed since the version that the request named."
	}
	switch status / 100 {
	case 3:
		return "It points to another address, which this tool does not follow."
	case 5:
		return "It failed; the arguments may be right."
	}
	return "It refused the request."
}

// protocolError makes the Go error of a status that the document calls so.
func (v *Invoker) protocolError(response *core.Response) error {
	code := core.CodeUnavailable
	switch response.Status {
	case http.StatusTooManyRequests:
		code = core.CodeLimited
	case http.StatusRequestTimeout, http.StatusGatewayTimeout:
		code = core.CodeTimeout
	}
	message, ok := v.failures.messages[response.Status]
	if !ok {
		message = strings.TrimSpace(fmt.Sprintf("the upstream answered %d %s", response.Status, http.StatusText(response.Status)))
	}
	return &final{&core.Error{Code: code, Message: message, RetryAfter: v.wait(response)}}
}

// wait returns the seconds of Retry-After (RFC 9110 10.2.3), at most a day; 0 when
// there are none. Only answers that mean "later" are asked.
func (v *Invoker) wait(response *core.Response) int {
	switch response.Status {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusRequestEntityTooLarge:
	default:
		if response.Status/100 != 3 {
			return 0
		}
	}
	text := strings.TrimSpace(response.Get("Retry-After"))
	if text == "" {
		return 0
	}
	const day = 24 * 60 * 60
	if seconds, err := strconv.Atoi(text); err == nil {
		return min(max(seconds, 0), day)
	}
	when, err := http.ParseTime(text)
	if err != nil || v.now == nil {
		return 0
	}
	return min(max(int((when.Sub(v.now())+time.Second-1)/time.Second), 0), day)
}
