//go:build unix && !linux

package web

import (
	"errors"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// watcher learns that clients left by peeking at the connections that are being
// answered or stream, 40 times a second.
type watcher struct {
	edge *Edge
	mu   sync.Mutex
	all  map[uint64]*conn
	quit chan struct{}
	done chan struct{}
}

func newWatcher(e *Edge) (*watcher, error) {
	w := &watcher{edge: e, all: make(map[uint64]*conn), quit: make(chan struct{}), done: make(chan struct{})}
	go w.loop()
	return w, nil
}

func (w *watcher) loop() {
	defer close(w.done)
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	var busy []*conn
	for {
		select {
		case <-w.quit:
			return
		case <-tick.C:
		}
		w.mu.Lock()
		for _, c := range w.all {
			busy = append(busy, c)
		}
		w.mu.Unlock()
		for _, c := range busy {
			if c.busy() && !c.left.Load() && gone(c) {
				w.edge.left(c.id)
			}
		}
		clear(busy)
		busy = busy[:0]
	}
}

// busy reports whether somebody would want to know that the client left.
func (c *conn) busy() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.life != nil || c.stream != nil
}

// gone looks at the next byte without taking it.
func gone(c *conn) bool {
	left := false
	err := c.raw.Control(func(fd uintptr) {
		var b [1]byte
		n, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		left = err == nil && n == 0 ||
			err != nil && !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR)
	})
	return err == nil && left
}

func (w *watcher) add(c *conn) error {
	if c.raw != nil {
		w.mu.Lock()
		w.all[c.id] = c
		w.mu.Unlock()
	}
	return nil
}

func (w *watcher) remove(c *conn) {
	w.mu.Lock()
	delete(w.all, c.id)
	w.mu.Unlock()
}

func (w *watcher) close() {
	close(w.quit)
	<-w.done
}
