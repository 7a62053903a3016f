//go:build unix

package egress

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// pair returns both ends of a connection over loopback.
func pair(t *testing.T) (ours *conn, theirs net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	dialled, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	theirs, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = dialled.Close(), theirs.Close() })
	ours = newConn(dialled, dialled, time.Now)
	ours.reused = true
	return ours, theirs
}

// What one read and one write of package net would say, asking says too.
func TestAsk(t *testing.T) {
	const request = "GET / HTTP/1.1\r\n\r\n"
	t.Run("an answer at once, and one that takes time", func(t *testing.T) {
		c, theirs := pair(t)
		for _, pause := range []time.Duration{0, 0, 30 * time.Millisecond} {
			go func() {
				_, _ = io.ReadFull(theirs, make([]byte, len(request)))
				time.Sleep(pause)
				_, _ = theirs.Write([]byte("answer"))
			}()
			c.sent, c.got = 0, false
			if broken, failed := c.ask([]byte(request)); broken != nil || failed != nil {
				t.Fatal(broken, failed)
			}
			if got := string(c.buf[c.r:c.w]); got != "answer" || !c.got || c.sent != len(request) {
				t.Fatalf("got %q, sent %d of %d", got, c.sent, len(request))
			}
		}
	})
	t.Run("an answer that came before the question", func(t *testing.T) {
		c, theirs := pair(t)
		_, _ = theirs.Write([]byte("early"))
		time.Sleep(10 * time.Millisecond) // Go's poller has seen it by now
		_ = c.wire.SetDeadline(time.Now().Add(5 * time.Second))
		if broken, _ := c.ask([]byte(request)); !errors.Is(broken, errStirred) || c.sent != 0 || c.got {
			t.Fatalf("%v, sent %d; want nothing sent", broken, c.sent)
		}
	})
	t.Run("an end that came before the question", func(t *testing.T) {
		c, theirs := pair(t)
		_ = theirs.Close()
		time.Sleep(10 * time.Millisecond)
		if broken, _ := c.ask([]byte(request)); !errors.Is(broken, errStirred) || c.sent != 0 || c.got {
			t.Fatalf("%v, sent %d; want nothing sent", broken, c.sent)
		}
	})
	t.Run("a new connection, whose upstream speaks first", func(t *testing.T) {
		c, theirs := pair(t)
		c.reused = false
		_, _ = theirs.Write([]byte("early"))
		time.Sleep(10 * time.Millisecond)
		if broken, failed := c.ask([]byte(request)); broken != nil || failed != nil || c.sent != len(request) {
			t.Fatal(broken, failed)
		}
		if err := c.fill(); err != nil || string(c.buf[c.r:c.w]) != "early" {
			t.Fatalf("%q, %v", c.buf[c.r:c.w], err)
		}
	})
	t.Run("a request that does not fit at once", func(t *testing.T) {
		c, theirs := pair(t)
		large := strings.Repeat("x", 8<<20)
		read := make(chan []byte, 1)
		go func() {
			time.Sleep(20 * time.Millisecond)
			b := make([]byte, len(large))
			_, _ = io.ReadFull(theirs, b)
			read <- b
		}()
		if broken, failed := c.ask([]byte(large)); broken != nil || failed != nil {
			t.Fatal(broken, failed)
		}
		if !bytes.Equal(<-read, []byte(large)) || c.sent != len(large) || c.got {
			t.Errorf("sent %d of %d, got %v", c.sent, len(large), c.got)
		}
	})
	t.Run("the end", func(t *testing.T) {
		c, theirs := pair(t)
		go func() {
			_, _ = io.ReadFull(theirs, make([]byte, len(request)))
			_ = theirs.Close()
		}()
		if broken, failed := c.ask([]byte(request)); broken != nil || !errors.Is(failed, io.EOF) {
			t.Fatalf("%v, %v; want the end", broken, failed)
		}
	})
	t.Run("the deadline", func(t *testing.T) {
		c, _ := pair(t)
		_ = c.wire.SetDeadline(time.Now().Add(20 * time.Millisecond))
		if broken, failed := c.ask([]byte(request)); broken != nil || !errors.Is(failed, os.ErrDeadlineExceeded) || c.sent != len(request) {
			t.Fatalf("%v, %v; want the deadline", broken, failed)
		}
		if broken, _ := c.ask([]byte(request)); !errors.Is(broken, os.ErrDeadlineExceeded) {
			t.Fatalf("%v; want nothing sent after the deadline", broken)
		}
	})
	t.Run("a broken connection", func(t *testing.T) {
		c, theirs := pair(t)
		_ = theirs.(*net.TCPConn).SetLinger(0)
		_ = theirs.Close()
		time.Sleep(10 * time.Millisecond)
		broken, failed := c.ask([]byte(request))
		if !errors.Is(broken, errStirred) || failed != nil || c.got {
			t.Fatalf("%v, %v; want it seen", broken, failed)
		}
	})
}

// A deadline that serves many exchanges is never early, and hardly late.
func TestDeadlineSlack(t *testing.T) {
	c, _ := pair(t)
	start := time.Now()
	for i, row := range []struct {
		after, wait time.Duration // since start
		want        time.Duration // what is set then, since start
	}{
		{0, 10 * time.Second, 10*time.Second + 50*time.Millisecond},
		{20 * time.Millisecond, 10 * time.Second, 10*time.Second + 50*time.Millisecond},
		{50 * time.Millisecond, 10 * time.Second, 10*time.Second + 50*time.Millisecond},
		{51 * time.Millisecond, 10 * time.Second, 10*time.Second + 101*time.Millisecond},
		{52 * time.Millisecond, 320 * time.Millisecond, 382 * time.Millisecond}, // a tool in a hurry
		{55 * time.Millisecond, 320 * time.Millisecond, 382 * time.Millisecond},
		{63 * time.Millisecond, 320 * time.Millisecond, 393 * time.Millisecond},
		{64 * time.Millisecond, 10 * time.Second, 10*time.Second + 114*time.Millisecond},
	} {
		begun := start.Add(row.after)
		if err := c.until(begun.Add(row.wait), begun); err != nil {
			t.Fatal(err)
		}
		if got := c.by.Sub(start); got != row.want {
			t.Errorf("exchange %d: deadline after %v, want %v", i, got, row.want)
		}
	}
	c.abort()
	if err := c.until(start.Add(10*time.Second+64*time.Millisecond), start); !errors.Is(err, errAborted) {
		t.Errorf("%v, want the exchange aborted although its deadline stood", err)
	}
}
