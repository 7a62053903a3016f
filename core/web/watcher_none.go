//go:build !unix

package web

// watcher does nothing on this system: that a client left is seen when a write to
// it fails, at the latest with a keep-alive comment.
type watcher struct{}

func newWatcher(*Edge) (*watcher, error) { return &watcher{}, nil }

func (*watcher) add(*conn) error { return nil }

func (*watcher) remove(*conn) {}

func (*watcher) close() {}
