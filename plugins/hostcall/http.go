package hostcall

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/plugins/abi"
	"github.com/sallyport/sallyport/plugins/sandbox"
)

// Limits of `http` (sdk/ABI.md section 9).
const (
	maxRequests = 16 // of one call, hops of redirects included
	maxHops     = 3  // of one request
	httpTime    = 5 * time.Second
)

// HTTP sends a request and follows where it is sent on, within the grant.
func (h *Host) HTTP(ctx context.Context, s *sandbox.Scope, frame []byte) ([]byte, int64) {
	if s.Count.HTTP++; s.Count.HTTP > maxRequests {
		return nil, abi.ErrQuota
	}
	r, code := parseRequest(frame, h.off.fields)
	if code < 0 {
		return nil, code
	}
	ctx, cancel := context.WithTimeout(ctx, httpTime)
	defer cancel()
	for hops := 0; ; hops++ {
		answer, code := h.exchange(ctx, s, r, hops)
		if code < 0 {
			return nil, code
		}
		location := answer.Get("Location")
		if location == "" || !redirection(answer.Status) {
			return answerFrame(answer), 0
		}
		if hops == maxHops {
			h.refused(ctx, s, r, "more than 3 redirects")
			return nil, abi.ErrUnavailable
		}
		if s.Count.HTTP++; s.Count.HTTP > maxRequests {
			return nil, abi.ErrQuota
		}
		if code := r.follow(location, answer.Status); code < 0 {
			h.refused(ctx, s, r, "a redirect that is not followed")
			return nil, code
		}
	}
}

func redirection(status int) bool {
	switch status {
	case 301, 302, 303, 307, 308:
		return true
	}
	return false
}

// exchange sends one request, if the grant allows it.
func (h *Host) exchange(ctx context.Context, s *sandbox.Scope, r *request, hops int) (*core.Response, int64) {
	g, allowed := h.grantOf(r.method, r.to)
	if !allowed && !h.off.grant && (hops == 0 || !h.off.hop) {
		h.refused(ctx, s, r, "not granted")
		return nil, abi.ErrDenied
	}
	fields := r.fields
	for _, n := range g.rules { // the secret of the host wins
		fields = without(fields, h.rules[n].Inject.Header)
	}
	lent, err := h.upstream.get(r.to, &g, h.rules)
	if err != nil {
		return nil, h.failed(ctx, s, r, err)
	}
	defer lent.release()
	door := lent.Upstream
	if r.authorization != "" && !h.sends(&g, "authorization") {
		// A credential that the guest made itself, such as a signature of this request. It
		// goes through the pool of the upstream that was lent.
		own, err := h.upstream.with(r.to, &g, h.rules, r.authorization)
		if err != nil {
			return nil, h.failed(ctx, s, r, err)
		}
		defer own.Close() //nolint:errcheck // gives up a use of the pool
		door = own
	}
	answer, err := door.Do(ctx, &core.Request{
		Method: r.method, Path: r.to.url.EscapedPath(), Query: r.to.url.RawQuery, Header: fields, Body: r.body, MaxBytes: maxBody,
	})
	if err != nil {
		return nil, h.failed(ctx, s, r, err)
	}
	return answer, 0
}

// sends tells whether a secret goes out as this header.
func (h *Host) sends(g *grant, header string) bool {
	for _, n := range g.rules {
		if strings.EqualFold(h.rules[n].Inject.Header, header) {
			return true
		}
	}
	return false
}

// without returns fields that do not have the name.
func without(fields []core.Field, name string) []core.Field {
	for n := range fields {
		if !strings.EqualFold(fields[n].Name, name) {
			continue
		}
		kept := make([]core.Field, 0, len(fields)-1)
		for _, f := range fields {
			if !strings.EqualFold(f.Name, name) {
				kept = append(kept, f)
			}
		}
		return kept
	}
	return fields
}

// refused tells the operator what the plugin wanted. Paths and queries may hold what
// its caller sent, so they stay out.
func (h *Host) refused(ctx context.Context, s *sandbox.Scope, r *request, why string) {
	s.Log.LogAttrs(ctx, slog.LevelWarn, "plugin request refused", slog.String("why", why), slog.String("method", r.method),
		slog.String("origin", r.to.origin()), slog.String("call", s.CallID.String()))
}

// failed logs why there is no answer and returns the code for the guest.
func (h *Host) failed(ctx context.Context, s *sandbox.Scope, r *request, err error) int64 {
	e := core.AsError(err)
	s.Log.LogAttrs(ctx, slog.LevelInfo, "plugin request failed", slog.String("code", string(e.Code)), slog.String("error", e.Error()),
		slog.String("method", r.method), slog.String("origin", r.to.origin()), slog.String("call", s.CallID.String()))
	return codeOf(e.Code)
}

// codeOf is the table from our codes to those of sdk/ABI.md section 7.
func codeOf(code core.Code) int64 {
	switch code {
	case core.CodeDenied:
		return abi.ErrDenied
	case core.CodeInvalid:
		return abi.ErrInvalid
	case core.CodeTooLarge:
		return abi.ErrTooLarge
	case core.CodeTimeout, core.CodeCancelled:
		return abi.ErrTimeout
	case core.CodeLimited:
		return abi.ErrQuota
	case core.CodeNotFound:
		return abi.ErrNotFound
	}
	return abi.ErrUnavailable
}

// answerFrame writes the result of `http`. Headers past 64 are left out.
func answerFrame(answer *core.Response) []byte {
	pairs := make([]abi.Pair, 0, min(len(answer.Header), abi.MaxPairs))
	for _, f := range answer.Header {
		if len(pairs) == abi.MaxPairs {
			break
		}
		pairs = append(pairs, abi.Pair{Key: strings.ToLower(f.Name), Value: f.Value})
	}
	dst := make([]byte, 0, 4+abi.SizeIn(pairs, answer.Body))
	return abi.AppendOut(dst, abi.Status(answer.Status), pairs, answer.Body)
}
