package plugintest

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"sort"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/sdk/go/internal/frame"
	"github.com/sallyport/sallyport/sdk/go/internal/host"
	"github.com/sallyport/sallyport/sdk/go/plugin"
)

// fake answers the imports from a Host.
type fake struct{ h *Host }

func (f fake) Log(level int, line string) {
	f.h.Logs = append(f.h.Logs, Line{plugin.Level(level), strings.Clone(line)})
}

func (f fake) Config(key string) ([]byte, int64) {
	if key == "" {
		if len(f.h.Settings) == 0 {
			return nil, host.NotFound
		}
		return f.h.Settings, 0
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(f.h.Settings, &all); err != nil {
		return nil, host.NotFound
	}
	v, ok := all[key]
	if !ok {
		return nil, host.NotFound
	}
	return v, 0
}

func (f fake) HTTP(request []byte) ([]byte, int64) {
	meta, body, ok := frame.Split(request)
	if !ok {
		return nil, host.Invalid
	}
	var r plugin.Request
	for _, p := range meta.Pairs() {
		switch p.Key {
		case ":method":
			r.Method = p.Value
		case ":url":
			r.URL = p.Value
		default:
			r.Header = append(r.Header, plugin.Field{Name: p.Key, Value: p.Value})
		}
	}
	r.Body = append([]byte(nil), body...)
	f.h.Requests = append(f.h.Requests, r)
	if f.h.HTTP == nil {
		return nil, host.Denied
	}
	answer, err := f.h.HTTP(r)
	if err != nil {
		return nil, codeOf(err)
	}
	pairs := make([]frame.Pair, 0, len(answer.Header))
	for _, field := range answer.Header {
		pairs = append(pairs, frame.Pair{Key: strings.ToLower(field.Name), Value: field.Value})
	}
	return frame.AppendOut(nil, uint16(answer.Status), pairs, answer.Body), 0
}

func (f fake) KVGet(key string) ([]byte, int64) {
	if f.h.KV == nil {
		return nil, host.Denied
	}
	e, ok := f.h.KV.get(key)
	if !ok {
		return nil, host.NotFound
	}
	return append(binary.LittleEndian.AppendUint64(nil, e.version), e.value...), 0
}

func (f fake) KVSet(key string, value []byte, ttl, version int64) int64 {
	if f.h.KV == nil {
		return host.Denied
	}
	return f.h.KV.set(strings.Clone(key), value, ttl, version)
}

func (f fake) KVDelete(key string, version int64) int64 {
	if f.h.KV == nil {
		return host.Denied
	}
	return f.h.KV.remove(key, version)
}

func (f fake) KVList(prefix, after string) ([]byte, int64) {
	if f.h.KV == nil {
		return nil, host.Denied
	}
	var keys []string
	for key := range f.h.KV.entries {
		if _, ok := f.h.KV.get(key); ok && strings.HasPrefix(key, prefix) && key > after {
			keys = append(keys, key)
		}
	}
	sort.Strings(keys)
	keys = keys[:min(len(keys), frame.MaxPairs)]
	pairs := make([]frame.Pair, 0, len(keys))
	for _, key := range keys {
		pairs = append(pairs, frame.Pair{Key: key, Value: strconv.FormatUint(f.h.KV.entries[key].version, 10)})
	}
	return frame.AppendIn(nil, pairs, nil), 0
}

func (f fake) Secret(name string) ([]byte, int64) {
	if f.h.Secrets == nil {
		return nil, host.Denied
	}
	v, ok := f.h.Secrets[name]
	if !ok {
		return nil, host.NotFound
	}
	return []byte(v), 0
}

func (f fake) Metric(name string, kind int, value float64) {
	if f.h.Metrics == nil {
		f.h.Metrics = map[string]float64{}
	}
	name = strings.Clone(name)
	if kind == 0 {
		value += f.h.Metrics[name]
	}
	f.h.Metrics[name] = value
}

func (f fake) Progress(b []byte) {
	meta, message, ok := frame.Split(b)
	if !ok {
		return
	}
	done, _ := meta.Get("progress")
	total, _ := meta.Get("total")
	f.h.Progress = append(f.h.Progress, Progress{string(done), string(total), string(message)})
}

func (f fake) CallTool(b []byte) ([]byte, int64) {
	meta, args, ok := frame.Split(b)
	name, told := meta.Get("tool")
	switch {
	case !ok || !told:
		return nil, host.Invalid
	case f.h.CallTool == nil:
		return nil, host.Denied
	}
	r, err := f.h.CallTool(string(name), append(json.RawMessage(nil), args...))
	var refused *plugin.Error
	switch {
	case errors.As(err, &refused):
		return frame.AppendOut(nil, uint16(refused.Status), nil, []byte(refused.Message)), 0
	case err != nil:
		return nil, codeOf(err)
	}
	payload, err := r.MarshalJSON()
	if err != nil {
		return nil, host.Invalid
	}
	return frame.AppendOut(nil, uint16(plugin.StatusOK), nil, payload), 0
}

// codeOf returns the code of an error that a test's fake returned.
func codeOf(err error) int64 {
	var code plugin.Code
	if errors.As(err, &code) && code < 0 {
		return int64(code)
	}
	return host.Unavailable
}

var _ host.Host = fake{}
