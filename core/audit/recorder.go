package audit

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/core"
)

// RecorderOptions say what a Recorder keeps, and how. Zero fields take what is said.
type RecorderOptions struct {
	Replica string // required: that of the store
	Level   Level  // "" = metadata; settings of a tenant or server override it
	// Strict refuses calls whose records cannot be kept, and holds back answers until
	// they are. No setting turns records off then.
	Strict bool
	Wait   time.Duration // how long an answer is held back before it is refused; 0 = 5 s
	Count  int           // records that may wait for the store; 0 = 10,000
	Bytes  int           // of them; 0 = 32 MiB
	Every  time.Duration // how long one waits for others at most; 0 = 250 ms
	Redact RedactOptions

	Observer core.Observer // nil = none
	Log      *slog.Logger  // nil = none
	Now      func() time.Time
}

// mostBatch is how many records are written at once. A commit that is durable costs what
// some hundred rows do, and there are two for each batch.
const mostBatch = 2000

// Recorder keeps records of calls: they wait in a buffer, and Run writes them in batches,
// each with an entry of the trail that tells their sum.
type Recorder struct {
	store    core.Store
	o        RecorderOptions
	redactor *Redactor
	levels   atomic.Pointer[levels]
	buffer   buffer
	wake     chan struct{}
	running  atomic.Bool
	away     atomic.Bool  // the store did not take the last batch
	queued   atomic.Int64 // records that Run has taken, and not written yet
	lost     atomic.Int64
	written  atomic.Int64
}

// NewRecorder returns a Recorder that writes to store while Run runs.
func NewRecorder(store core.Store, o RecorderOptions) (*Recorder, error) {
	if o.Level == "" {
		o.Level = LevelMetadata
	}
	if _, err := ParseLevel(string(o.Level)); err != nil {
		return nil, err
	}
	if o.Strict && o.Level == LevelOff {
		return nil, &core.Error{Code: core.CodeInvalid, Message: "call records are strict and off", Fix: "choose level metadata or payload, or not strict"}
	}
	if o.Replica == "" {
		return nil, &core.Error{Code: core.CodeInvalid, Message: "call records have no replica", Fix: "give the id that the store has"}
	}
	if o.Wait <= 0 {
		o.Wait = 5 * time.Second
	}
	if o.Count <= 0 {
		o.Count = 10_000
	}
	if o.Bytes <= 0 {
		o.Bytes = 32 << 20
	}
	if o.Every <= 0 {
		o.Every = 250 * time.Millisecond
	}
	if o.Observer == nil {
		o.Observer = core.NoObserver{}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	r := &Recorder{
		store: store, o: o, redactor: NewRedactor(o.Redact),
		buffer: buffer{most: o.Count, mostBytes: o.Bytes}, wake: make(chan struct{}, 1),
	}
	o.Observer.Counter("sallyport_audit_calls", "Call records written.", r.written.Load)
	o.Observer.Counter("sallyport_audit_calls_lost", "Call records that could not be kept.", r.lost.Load)
	o.Observer.Gauge("sallyport_audit_calls_waiting", "Call records that wait for the store.", func() int64 {
		r.buffer.mu.Lock()
		defer r.buffer.mu.Unlock()
		return r.queued.Load() + int64(len(r.buffer.slots)-r.buffer.head)
	})
	return r, nil
}

// Use takes the settings of a state.
func (r *Recorder) Use(state *core.State) { r.levels.Store(newLevels(state)) }

// Payload tells whether arguments and results are wanted of any server.
func (r *Recorder) Payload() bool {
	l := r.levels.Load()
	return r.o.Level == LevelPayload || l != nil && l.payload
}

// Lost returns how many records could not be kept since the start.
func (r *Recorder) Lost() int64 { return r.lost.Load() }

// Admit refuses a call whose record could not be kept, in strict mode.
func (r *Recorder) Admit(context.Context) error {
	switch {
	case !r.o.Strict:
		return nil
	case !r.running.Load():
		return r.refusal("call records are not being written")
	case r.away.Load():
		return r.refusal("call records cannot be written: the store is away")
	case r.queued.Load() >= int64(r.o.Count):
		return r.refusal("call records cannot be written as fast as calls come")
	}
	return nil
}

func (r *Recorder) refusal(message string) error {
	return &core.Error{Code: core.CodeUnavailable, Message: message, Fix: "try again; records are strict here, so no call runs without one", RetryAfter: 1}
}

// Record takes the record of a call. It does not keep record itself.
func (r *Recorder) Record(ctx context.Context, record *core.CallRecord, arguments json.RawMessage, result *core.Result) error {
	level := r.levels.Load().of(record.Tenant, record.Server, r.o.Level)
	if level == LevelOff {
		if !r.o.Strict {
			return nil
		}
		level = LevelMetadata
	}
	s := slot{record: *record}
	s.record.Arguments, s.record.Result = "", ""
	if level == LevelPayload {
		r.redactor.record(&s.record, arguments, result)
	}
	s.size = slotSize + len(s.record.Arguments) + len(s.record.Result) + len(s.record.Name) + len(s.record.Request)
	if r.o.Strict {
		return r.wait(ctx, &s)
	}
	if n, ok := r.buffer.put(&s, false); !ok {
		r.lost.Add(1)
	} else if n >= mostBatch {
		r.poke()
	}
	return nil
}

// slotSize is about what a record without payload takes.
const slotSize = 768

func (r *Recorder) poke() {
	select {
	case r.wake <- struct{}{}:
	default: // it is awake
	}
}

// wait returns when the record is durable, or fails closed.
func (r *Recorder) wait(ctx context.Context, s *slot) error {
	s.done = make(chan error, 1)
	if _, ok := r.buffer.put(s, true); !ok {
		r.lost.Add(1)
		return r.refusal("the record of the call cannot be kept")
	}
	r.poke()
	bound := time.NewTimer(r.o.Wait)
	defer bound.Stop()
	select {
	case err := <-s.done:
		if err != nil {
			return r.refusal("the record of the call was not kept")
		}
		return nil
	case <-bound.C:
		return r.refusal("the record of the call was not kept in time")
	case <-ctx.Done():
		return &core.Error{Code: core.CodeCancelled, Message: "the call ended before its record was kept", Err: ctx.Err()}
	}
}

var _ core.Recorder = (*Recorder)(nil)
