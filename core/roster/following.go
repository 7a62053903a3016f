package roster

import "sync"

// following are the resources that are followed at an upstream. Each keeps its process, so
// they end with the upstream, also where those who follow are late to leave.
type following struct {
	mu    sync.Mutex
	stops map[int]func()
	next  int
	over  bool
}

// follow keeps what ends one until it is called, or the upstream is closed.
func (e *entry) follow(end func()) (stop func()) {
	once := sync.OnceFunc(end)
	f := &e.following
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.over {
		once()
		return once
	}
	if f.stops == nil {
		f.stops = map[int]func(){}
	}
	f.next++
	id := f.next
	f.stops[id] = once
	return func() {
		f.mu.Lock()
		delete(f.stops, id)
		f.mu.Unlock()
		once()
	}
}

// close ends all of them.
func (f *following) close() {
	f.mu.Lock()
	stops := f.stops
	f.stops, f.over = nil, true
	f.mu.Unlock()
	for _, stop := range stops {
		stop()
	}
}
