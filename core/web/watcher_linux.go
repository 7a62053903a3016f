package web

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// watcher learns that clients left, without reading from their connections. Each
// connection is registered once, for its lifetime: edge-triggered, and only for
// what a leaving client causes. A call costs no system call; the kernel reports a
// FIN or a reset once. The epoll instance itself waits in Go's poller, so the one
// goroutine holds no thread.
type watcher struct {
	edge *Edge
	file *os.File
	raw  syscall.RawConn
	done chan struct{}
}

func newWatcher(e *Edge) (*watcher, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create the connection watcher: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // so that os.NewFile polls it
		return nil, errors.Join(fmt.Errorf("create the connection watcher: %w", err), unix.Close(fd))
	}
	w := &watcher{edge: e, file: os.NewFile(uintptr(fd), "epoll"), done: make(chan struct{})}
	if w.raw, err = w.file.SyscallConn(); err != nil {
		return nil, errors.Join(fmt.Errorf("create the connection watcher: %w", err), w.file.Close())
	}
	go w.loop()
	return w, nil
}

func (w *watcher) loop() {
	defer close(w.done)
	events := make([]unix.EpollEvent, 256)
	for {
		n := 0
		var failed error
		err := w.raw.Read(func(fd uintptr) bool {
			n, failed = unix.EpollWait(int(fd), events, 0)
			if errors.Is(failed, unix.EINTR) {
				n, failed = 0, nil
				return true
			}
			return failed != nil || n > 0 // else wait until the instance is readable
		})
		if failed != nil {
			w.edge.log.Error("the connection watcher ended: that clients leave is seen late", "error", failed)
		}
		if err != nil || failed != nil {
			return // err: closed
		}
		for i := range n {
			// The event carries our own id, 64 bits of it: a file descriptor that
			// was used again cannot hit another connection.
			w.edge.left(uint64(uint32(events[i].Fd)) | uint64(uint32(events[i].Pad))<<32)
		}
	}
}

// add watches a connection until it is closed.
func (w *watcher) add(c *conn) error {
	if c.raw == nil {
		return nil
	}
	var inner, failed error
	err := w.raw.Control(func(epoll uintptr) {
		inner = c.raw.Control(func(fd uintptr) {
			failed = unix.EpollCtl(int(epoll), unix.EPOLL_CTL_ADD, int(fd), &unix.EpollEvent{
				Events: unix.EPOLLRDHUP | unix.EPOLLHUP | unix.EPOLLERR | unix.EPOLLET,
				Fd:     int32(uint32(c.id)),
				Pad:    int32(uint32(c.id >> 32)),
			})
		})
	})
	return errors.Join(err, inner, failed)
}

// remove has nothing to do: closing the last descriptor of a socket removes it.
func (w *watcher) remove(*conn) {}

func (w *watcher) close() {
	_ = w.file.Close()
	<-w.done
}
