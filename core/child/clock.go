package child

import "time"

// Clock is how this room tells and awaits time; its zero value is the real one.
type Clock struct {
	Now       func() time.Time
	AfterFunc func(d time.Duration, f func()) (stop func() bool)
}

func (c Clock) orReal() Clock {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.AfterFunc == nil {
		c.AfterFunc = func(d time.Duration, f func()) func() bool { return time.AfterFunc(d, f).Stop }
	}
	return c
}

// timer returns a channel that closes after d, and what ends the wait.
func (c Clock) timer(d time.Duration) (passed <-chan struct{}, stop func() bool) {
	ch := make(chan struct{})
	return ch, c.AfterFunc(d, func() { close(ch) })
}

// past is a deadline that ends an operation at once.
var past = time.Unix(1, 0)
