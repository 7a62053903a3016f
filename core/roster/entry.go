package roster

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"sync"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/upstream"
)

// entry is an upstream with one configuration.
type entry struct {
	r       *Roster
	key     key
	held    int // by sets; under Roster.mu
	config  core.UpstreamConfig
	client  *upstream.Client
	http    core.Upstream // nil for a process
	process *processes    // nil for HTTP

	end   context.CancelFunc
	work  sync.WaitGroup
	tried chan struct{} // closed when its offer came, or did not, for the first time
	look  chan struct{} // the offer may be another one
	judge chan struct{} // the pins may be other ones

	following following
	closing   sync.Once
	closed    error // after closing

	tellingMu sync.Mutex
	told      map[core.ChangeKind]time.Time // when clients were told last that a list changed

	listening sync.Mutex
	stop      func() // ends listening to changes; nil = nobody does

	// Under Roster.mu: what clients get, and its digest; nil and "" = it was never reached.
	offer  *core.Offer
	digest string
}

// newEntry makes an entry that does nothing yet.
func newEntry(r *Roster, c core.UpstreamConfig, connection *core.Connection, dial core.Egress) (*entry, error) {
	e := &entry{r: r, config: c, tried: make(chan struct{}), look: make(chan struct{}, 1), judge: make(chan struct{}, 1)}
	limits := r.o.Limits
	if c.Sessions > 0 {
		limits.Sessions = c.Sessions
	}
	if connection != nil && connection.MaxBytes > 0 {
		limits.MessageBytes = connection.MaxBytes
	}
	o := upstream.Options{
		Name: c.Name, Revision: c.Revision, Version: r.o.Version, Limits: limits, Log: r.o.Log, Now: r.o.Now, Rand: r.o.Rand,
	}
	switch connection {
	case nil:
		p, err := newProcesses(e)
		if err != nil {
			return nil, err
		}
		e.process = p
		o.Transport, o.Spawn = upstream.Stdio, p.spawn
	default:
		if c.Transport == "sse" {
			o.Transport = upstream.SSE
		}
		o.URL = connection.BaseURL
		origin := *connection
		origin.BaseURL = &url.URL{Scheme: connection.BaseURL.Scheme, Host: connection.BaseURL.Host}
		if dial == nil {
			return nil, &core.Error{Code: core.CodeInvalid, Message: "upstream " + c.Name + ": nothing is dialled here", Fix: "run the gateway with egress"}
		}
		opened, err := dial.Open(&origin)
		if err != nil {
			return nil, err
		}
		e.http, o.HTTP = opened, opened
	}
	client, err := upstream.Open(o)
	if err != nil {
		e.release()
		return nil, err
	}
	e.client = client
	return e, nil
}

// release gives back what an entry without a client holds.
func (e *entry) release() {
	if e.http != nil {
		_ = e.http.Close() // nothing went through it
	}
	if e.process != nil {
		_ = e.process.close()
	}
}

// begin looks after the upstream until close.
func (e *entry) begin() {
	ctx, end := context.WithCancel(context.Background())
	e.end = end
	if e.process == nil {
		e.listen(true)
	} else {
		e.process.begin()
	}
	e.work.Go(func() { e.keep(ctx) })
}

// close ends the upstream and returns when it is gone.
func (e *entry) close() error {
	e.closing.Do(func() { e.closed = e.finish() })
	return e.closed
}

func (e *entry) finish() error {
	if e.end != nil {
		e.end()
	}
	e.listen(false)
	e.following.close()
	stopped := make(chan error, 1)
	if e.process != nil {
		// Begun first, so that a process whose session is closed did not fail.
		go func() { stopped <- e.process.close() }()
	}
	err := e.client.Close()
	if e.process != nil {
		err = errors.Join(err, <-stopped)
	}
	e.work.Wait()
	if e.http != nil {
		if wrong := e.http.Close(); err == nil {
			err = wrong
		}
	}
	return err
}

// use says that a call is under way: a process is started for it, and stays.
func (e *entry) use(ctx context.Context) (done func(), err error) {
	if e.process == nil {
		return func() {}, nil
	}
	return e.process.use(ctx)
}

// listen begins or ends to listen to what the upstream says of changes.
func (e *entry) listen(on bool) {
	e.listening.Lock()
	defer e.listening.Unlock()
	switch {
	case on && e.stop == nil:
		e.stop = e.client.Changes(e.heard)
	case !on && e.stop != nil:
		e.stop()
		e.stop = nil
	}
}

// heard is told what changed.
func (e *entry) heard(change core.Change) {
	if change.Kind == core.ResourceUpdated {
		e.r.o.Updated(e.config.Name, change.URI)
		return
	}
	poke(e.look)
	if e.tells(change.Kind) {
		e.r.o.Listed(e.config.Name, change.Kind)
	}
}

// tells says whether to pass on that a list changed: once in a while, so that an upstream
// that says so all the time does not keep every client busy. What really changed is told
// when it was looked at.
func (e *entry) tells(kind core.ChangeKind) bool {
	now := e.r.o.Now()
	e.tellingMu.Lock()
	defer e.tellingMu.Unlock()
	if last, told := e.told[kind]; told && now.Sub(last) < leastBetween {
		return false
	}
	if e.told == nil {
		e.told = map[core.ChangeKind]time.Time{}
	}
	e.told[kind] = now
	return true
}

func (e *entry) judgeAgain() { poke(e.judge) }

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// keep asks for the offer: at once, when it may have changed, and now and then. An upstream
// that does not answer is asked again, later and later; clients keep what they had.
func (e *entry) keep(ctx context.Context) {
	var tried sync.Once
	first := func() { tried.Do(func() { close(e.tried) }) }
	defer first()
	var last *upstream.Offer
	var changed time.Time
	pause, pace := firstBackoff, leastBetween
	for ctx.Err() == nil {
		offer, err := e.ask(ctx)
		wait := e.r.o.Refresh
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			last, pause = offer, firstBackoff
			if e.process != nil && e.process.rests() {
				wait = never // to ask it would keep it running; another process of it is looked at
			}
			now := e.r.o.Now()
			differs := e.decide(ctx, last)
			pace = paced(pace, differs, now.Sub(changed))
			if differs {
				changed = now
			}
		default:
			e.r.o.Log.Warn("upstream does not say what it offers; it is asked again", "upstream", e.config.Name, "in", pause, "error", err)
			wait, pause = e.r.jittered(pause), min(2*pause, lastBackoff)
		}
		first()
		if !e.await(ctx, wait, pace, last) {
			return
		}
	}
}

// paced is how soon the next change is looked at: later and later while one follows the
// other, and soon again after a while without.
func paced(pace time.Duration, differs bool, since time.Duration) time.Duration {
	if since > calm {
		pace = leastBetween
	}
	if differs {
		pace = min(2*pace, mostBetween)
	}
	return pace
}

// await waits until the offer is to be asked for again. What is judged again meanwhile is
// what it was last. pace is how soon a change is looked at: each has the documents loaded
// again, so an upstream that changes all the time has to wait.
func (e *entry) await(ctx context.Context, wait, pace time.Duration, last *upstream.Offer) bool {
	began := e.r.o.Now()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-e.judge:
			if last != nil {
				e.decide(ctx, last)
			}
			continue
		case <-timer.C:
			if e.process != nil && last != nil && !e.process.running() {
				timer.Reset(e.r.o.Refresh) // it is not started for that
				continue
			}
			return true
		case <-e.look:
			return sleep(ctx, max(soon, pace-e.r.o.Now().Sub(began)))
		}
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// ask gets everything that the upstream offers.
func (e *entry) ask(ctx context.Context) (*upstream.Offer, error) {
	ctx, cancel := context.WithTimeout(ctx, offerTimeout)
	defer cancel()
	done, err := e.use(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	offer, err := e.client.Offer(ctx)
	if err != nil {
		return nil, err
	}
	for _, one := range offer.Dropped {
		e.r.o.Log.Warn("a definition of an upstream cannot be used", "upstream", e.config.Name, "name", one.Name, "reason", one.Reason)
	}
	return offer, nil
}

// decide makes what clients get of an offer, and tells when that is another thing than the
// newest set has. It returns whether it is another thing than before.
func (e *entry) decide(ctx context.Context, offered *upstream.Offer) (changed bool) {
	offer := e.r.pins.judge(ctx, &e.config, offered)
	if ctx.Err() != nil {
		return false
	}
	digest := digestOffer(offer)
	e.r.mu.Lock()
	changed = e.digest != digest
	e.offer, e.digest = offer, digest
	stale := false
	if s := e.r.newest(); s != nil { // older ones stay what they are until their last call is done
		m := s.of[e.config.Name]
		stale = m != nil && m.e == e && m.digest != digest
	}
	e.r.mu.Unlock()
	if stale {
		e.r.o.Changed()
	}
	return changed
}

// status says how the upstream is.
func (e *entry) status() core.RemoteStatus {
	s := statusOf(&e.config)
	state := e.client.State()
	s.Revision, s.Sessions, s.Parked = state.Revision, state.Sessions, state.Parked
	if !state.Since.IsZero() {
		s.Since = &state.Since
	}
	switch {
	case state.Up:
		s.State = "up"
	case state.LastError != "":
		s.State, s.Error = "down", state.LastError
	default:
		s.State = "connecting"
	}
	if e.http != nil && state.Up {
		s.Transport = state.Transport
	}
	if e.process != nil {
		e.process.status(&s)
	}
	e.r.mu.Lock()
	defer e.r.mu.Unlock()
	if o := e.offer; o != nil {
		s.Tools, s.Prompts, s.Resources, s.Templates, s.Held = len(o.Tools), len(o.Prompts), len(o.Resources), len(o.Templates), len(o.Held)
		if s.Revision == "" {
			s.Revision = o.Revision
		}
	}
	return s
}

// statusOf is the status of an upstream of which only the configuration is known.
func statusOf(c *core.UpstreamConfig) core.RemoteStatus {
	s := core.RemoteStatus{Name: c.Name, Transport: c.Transport, State: "disabled"}
	switch {
	case s.Transport != "":
	case len(c.Command) > 0:
		s.Transport = "stdio"
	default:
		s.Transport = "http"
	}
	return s
}

// object is raw when that is an object.
func object(raw json.RawMessage) json.RawMessage {
	if len(raw) > 0 && raw[0] == '{' {
		return raw
	}
	return nil
}
