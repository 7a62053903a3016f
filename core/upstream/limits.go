package upstream

import "time"

// Limits bounds what an upstream can make us hold, and how long we wait. A field that is
// zero takes the default.
type Limits struct {
	MessageBytes int64 // one message; 8 MiB
	StreamBytes  int64 // all events of one call's stream; 64 MiB
	Depth        int   // objects and arrays within each other in a message; 128
	Pending      int   // requests without an answer, per session; 4096
	Events       int   // notifications per second, per session; what is more is dropped; 1000
	Asks         int   // questions of one call that wait for the client; 16

	Sessions int           // sessions for calls that may ask back, all callers together; 16
	Waiting  int           // calls that wait for one of them; 1024
	Idle     time.Duration // a session without a call is closed after that; 1 min

	Parked    int           // calls that wait for what their client says; 256
	ParkedFor time.Duration // and how long they wait at most; 5 min

	Pages     int   // of one list; 1000
	Items     int   // of one list; 10,000
	ListBytes int64 // of one list; 32 MiB

	Subscriptions int // resources that are followed; 1000

	Probe   time.Duration // how long one step of the probe may take; 10 s
	Request time.Duration // what has no deadline of its own: lists, subscriptions; 30 s
	Resumes int           // attempts to go on with a broken stream that brought nothing; 5
}

func (l Limits) orDefault() Limits {
	set(&l.MessageBytes, 8<<20)
	set(&l.StreamBytes, 64<<20)
	set(&l.Depth, 128)
	set(&l.Pending, 4096)
	set(&l.Events, 1000)
	set(&l.Asks, 16)
	set(&l.Sessions, 16)
	set(&l.Waiting, 1024)
	set(&l.Idle, time.Minute)
	set(&l.Parked, 256)
	set(&l.ParkedFor, 5*time.Minute)
	set(&l.Pages, 1000)
	set(&l.Items, 10_000)
	set(&l.ListBytes, 32<<20)
	set(&l.Subscriptions, 1000)
	set(&l.Probe, 10*time.Second)
	set(&l.Request, 30*time.Second)
	set(&l.Resumes, 5)
	return l
}

func set[T ~int | ~int64](v *T, otherwise T) {
	if *v <= 0 {
		*v = otherwise
	}
}

// What needs no setting.
const (
	standTimeout = 500 * time.Millisecond // the stream of no request of a session that is the caller's own
	tellTimeout  = 5 * time.Second        // a notification or an answer on its way to the upstream
	closeTimeout = 2 * time.Second        // the end of a session
	drainTimeout = 250 * time.Millisecond // the end of a stream after its answer, so that the connection can be used again
	settle       = 10 * time.Millisecond  // what else is asked that soon is asked together
	firstRetry   = time.Second            // before a broken stream is opened again, where its server says nothing
	lastRetry    = 30 * time.Second
	maxSession   = 1024 // bytes of a session id
	maxCancel    = 64   // notifications and answers on their way at once, per session
	refailAfter  = time.Second
)
