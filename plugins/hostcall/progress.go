package hostcall

import (
	"context"
	"math"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
	"github.com/sallyport/sallyport/plugins/abi"
	"github.com/sallyport/sallyport/plugins/sandbox"
)

// Limits of `progress`.
const (
	maxProgress = 1000     // messages of one call
	maxMessage  = 1 << 10  // bytes; the rest of a message is dropped
	maxFrame    = 64 << 10 // bytes; a larger frame is no progress
)

// Progress tells the client how far the call is, if it asked.
func (h *Host) Progress(_ context.Context, s *sandbox.Scope, frame []byte) {
	if s.Call == nil || !s.Call.Progress || s.Call.Notify == nil || !h.granted.Progress || len(frame) > maxFrame {
		return
	}
	if s.Count.Progress++; s.Count.Progress > maxProgress {
		return
	}
	pairs, message, err := abi.ParseIn(frame)
	if err != nil {
		return
	}
	progress, _ := abi.Get(pairs, abi.ProgressProgress)
	if !number(progress) {
		return
	}
	params := append([]byte(`{"progress":`), progress...)
	if total, ok := abi.Get(pairs, abi.ProgressTotal); ok && number(total) {
		params = append(append(params, `,"total":`...), total...)
	}
	if len(message) > 0 {
		text := clip(strings.ToValidUTF8(string(message), "\uFFFD"), maxMessage)
		params = wire.AppendString(append(params, `,"message":`...), text)
	}
	s.Call.Notify(core.Notification{Method: "notifications/progress", Params: append(params, '}')})
}

// number tells whether text is a JSON number that a float64 can hold.
func number(text string) bool {
	b := []byte(text)
	if !wire.IsNumber(b) || wire.Check(b, wire.Default) != nil || strings.Trim(text, "+-.0123456789eE") != "" {
		return false
	}
	v, err := strconv.ParseFloat(text, 64)
	return err == nil && !math.IsInf(v, 0)
}
