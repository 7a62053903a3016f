package egress

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/sallyport/sallyport/core"
)

// fault is why one try failed: what the caller is told, and what retry, breaker
// and observer make of it.
type fault struct {
	core.Error
	outcome string // core.UpstreamEvent.Outcome
	verdict verdict
	again   bool // the same request may do better on another connection
}

// fail returns the error for the caller.
func (f *fault) fail() error { return &f.Error }

// explain turns the error of a try into a fault; ended is the error of its context, or
// nil. The message names the connection; addresses, and whatever else the cause says, stay in Err for the log.
func explain(ended error, m *message, now time.Time, err error) *fault {
	f := &fault{outcome: "error", verdict: bad}
	f.Code, f.Err = core.CodeUnavailable, err
	tell := func(format string, args ...any) {
		f.Message = "connection " + m.name + ": " + fmt.Sprintf(format, args...)
	}

	var certificate *tls.CertificateVerificationError
	var refused *refusal
	var garbled *malformed
	var dialled *dialError
	switch {
	case ended != nil && !errors.Is(ended, context.DeadlineExceeded):
		f.Code, f.outcome, f.verdict = core.CodeCancelled, "cancelled", unknown
		tell("cancelled while the upstream was working")
	case ended != nil || !now.Before(m.deadline):
		f.Code, f.outcome = core.CodeTimeout, "timeout"
		tell("no whole answer before the deadline")
	case errors.As(err, &refused):
		f.Code, f.outcome, f.verdict = core.CodeDenied, "refused", unknown
		tell("its address is not public")
		f.Fix = "if it is meant, open the address range in the settings (egress.allow)"
	case errors.Is(err, errTooLarge):
		f.Code, f.verdict = core.CodeTooLarge, good
		tell("the answer is larger than %d bytes", m.limit)
		f.Fix = "ask for less, or raise maxResponseBytes of the connection"
	case errors.Is(err, errBomb), errors.Is(err, errHeadTooLarge):
		f.Code, f.verdict = core.CodeTooLarge, good
		tell("%s", cause(err))
	case errors.As(err, &garbled):
		tell("the upstream sent a malformed answer: %s", garbled.what)
	case errors.As(err, &certificate):
		tell("the certificate of the upstream is not trusted")
		f.Fix = "give its authority as tls.ca of the connection"
	case errors.As(err, &dialled):
		f.again = true
		f.explainDial(m, dialled.err, tell)
	case timedOut(err):
		f.Code, f.outcome = core.CodeTimeout, "timeout"
		tell("no answer within %s", m.first)
	default:
		f.again = true
		tell("the upstream closed the connection before its answer was whole")
	}
	return f
}

// explainDial tells apart why no connection came about.
func (f *fault) explainDial(m *message, err error, tell func(string, ...any)) {
	var name *net.DNSError
	switch {
	case errors.As(err, &name) && !name.IsTimeout:
		tell("its host name does not resolve")
	case errors.Is(err, syscall.ECONNREFUSED):
		tell("the upstream refuses connections")
	case timedOut(err):
		f.Code, f.outcome, f.again = core.CodeTimeout, "timeout", false
		tell("no connection within %s", m.connect)
	default:
		tell("the upstream cannot be reached")
	}
}

// cause is the innermost of our own sentinel errors, as text.
func cause(err error) string {
	if errors.Is(err, errBomb) {
		return errBomb.Error()
	}
	return errHeadTooLarge.Error()
}

func timedOut(err error) bool {
	var n net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) ||
		errors.As(err, &n) && n.Timeout()
}

// shed is the fault of a full bulkhead.
func shed(m *message, err error) *fault {
	f := &fault{outcome: "shed", verdict: unknown}
	f.Code, f.Err, f.RetryAfter = core.CodeUnavailable, err, 1
	f.Message = "connection " + m.name + ": too many calls wait for this upstream"
	f.Fix = "try again in a second"
	return f
}

// crowded is the fault of one stream too many.
func crowded(m *message) *fault {
	f := &fault{outcome: "shed", verdict: unknown}
	f.Code, f.Err, f.RetryAfter = core.CodeUnavailable, errShed, 1
	f.Message = "connection " + m.name + ": too many streams of this upstream are open"
	f.Fix = "let go of some, or raise maxInFlight of the connection"
	return f
}

// broken is the fault of an open breaker.
func broken(m *message, wait time.Duration) *fault {
	f := &fault{outcome: "breaker", verdict: unknown}
	f.Code, f.RetryAfter = core.CodeUnavailable, int(math.Ceil(wait.Seconds()))
	f.Message = "connection " + m.name + ": the upstream failed too often lately and is given a rest"
	f.Fix = fmt.Sprintf("try again in %d s", f.RetryAfter)
	return f
}
