package conformance

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/plugins/abi"
	"github.com/sallyport/sallyport/plugins/sandbox"
	"github.com/sallyport/sallyport/plugins/selftest"
)

// world answers host functions from a fixture, without policy: it is there to be the
// same for two runs, and to be quick. Fixtures are checked against the real functions
// by package selftest.
type world struct {
	mu      sync.Mutex
	config  []byte
	secrets map[string]core.Secret
	http    []selftest.Exchange
	tools   []selftest.ToolCall
	store   map[string]kept
	version uint64
	seen    []string // what was logged, measured and reported

	// serve answers HTTP when it is set.
	serve func(request []byte) []byte
}

type kept struct {
	value   []byte
	version uint64
}

func newWorld(s *selftest.Suite, c *selftest.Case) *world {
	w := &world{config: []byte("{}"), secrets: s.Secrets, http: c.HTTP, tools: c.Tools, store: map[string]kept{}}
	if s.Config != nil {
		w.config = s.Config
	}
	if c.Config != nil {
		w.config = c.Config
	}
	for _, key := range slices.Sorted(maps.Keys(c.KV)) {
		w.put(key, c.KV[key])
	}
	return w
}

func (w *world) put(key string, value []byte) uint64 {
	w.version++
	w.store[key] = kept{slices.Clone(value), w.version}
	return w.version
}

func (w *world) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = append(w.seen, fmt.Sprintf(format, args...))
}

func (w *world) Log(_ context.Context, _ *sandbox.Scope, level int, text []byte) {
	w.note("log %d %s", level, text)
}

func (w *world) Metric(_ context.Context, _ *sandbox.Scope, name []byte, kind int, value float64) {
	w.note("metric %s %d %v", name, kind, value)
}

func (w *world) Progress(_ context.Context, _ *sandbox.Scope, frame []byte) {
	w.note("progress %q", frame)
}

func (w *world) Config(_ context.Context, _ *sandbox.Scope, key []byte) ([]byte, int64) {
	if len(key) == 0 {
		return w.config, 0
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(w.config, &all); err != nil || all[string(key)] == nil {
		return nil, abi.ErrNotFound
	}
	return all[string(key)], 0
}

func (w *world) Secret(_ context.Context, _ *sandbox.Scope, name []byte) ([]byte, int64) {
	if s, ok := w.secrets[string(name)]; ok {
		return []byte(s.Reveal()), 0
	}
	return nil, abi.ErrDenied
}

func (w *world) HTTP(_ context.Context, _ *sandbox.Scope, request []byte) ([]byte, int64) {
	w.note("http %q", request)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.serve != nil {
		return w.serve(request), 0
	}
	if len(w.http) == 0 {
		return nil, abi.ErrDenied
	}
	e := w.http[0]
	w.http = w.http[1:]
	if code, fails := map[string]int64{"denied": abi.ErrDenied, "timeout": abi.ErrTimeout, "unavailable": abi.ErrUnavailable, "too_large": abi.ErrTooLarge}[e.Fails]; fails {
		return nil, code
	}
	return abi.AppendOut(nil, abi.Status(e.Status), e.Answer, e.Response), 0
}

func (w *world) CallTool(_ context.Context, _ *sandbox.Scope, frame []byte) ([]byte, int64) {
	w.note("call_tool %q", frame)
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.tools) == 0 {
		return nil, abi.ErrDenied
	}
	c := w.tools[0]
	w.tools = w.tools[1:]
	if c.Status == abi.OK {
		return abi.AppendOut(nil, abi.OK, nil, c.Result), 0
	}
	return abi.AppendOut(nil, c.Status, nil, []byte(c.Text)), 0
}

func (w *world) KVGet(_ context.Context, _ *sandbox.Scope, key []byte) ([]byte, uint64, int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if e, ok := w.store[string(key)]; ok {
		return e.value, e.version, 0
	}
	return nil, 0, abi.ErrNotFound
}

func (w *world) KVSet(_ context.Context, _ *sandbox.Scope, key, value []byte, _ time.Duration, version int64) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	if version >= 0 && uint64(version) != w.store[string(key)].version {
		return abi.ErrConflict
	}
	return int64(w.put(string(key), value))
}

func (w *world) KVDelete(_ context.Context, _ *sandbox.Scope, key []byte, _ int64) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, ok := w.store[string(key)]; !ok {
		return abi.ErrNotFound
	}
	delete(w.store, string(key))
	return 0
}

func (w *world) KVList(_ context.Context, _ *sandbox.Scope, prefix, after []byte) ([]byte, int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var pairs []abi.Pair
	for _, key := range slices.Sorted(maps.Keys(w.store)) {
		if strings.HasPrefix(key, string(prefix)) && key > string(after) && len(pairs) < abi.MaxPairs {
			pairs = append(pairs, abi.Pair{Key: key, Value: strconv.FormatUint(w.store[key].version, 10)})
		}
	}
	return abi.AppendIn(nil, pairs, nil), 0
}

var _ sandbox.Host = (*world)(nil)
