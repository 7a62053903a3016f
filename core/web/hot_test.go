package web

import (
	"bufio"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// What Values returned stays what it was, whatever is asked for afterwards, and from
// several goroutines.
func TestValuesStay(t *testing.T) {
	var h head
	if r := h.read([]byte("/mcp"), []byte("A: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\nE: 5\r\nF: 6\r\nf: 7\r\n\r\n"), 100, false); r != nil {
		t.Fatal(r.message)
	}
	want := map[string][]string{"a": {"1"}, "b": {"2"}, "c": {"3"}, "D": {"4"}, "E": {"5"}, "F": {"6", "7"}, "G": nil}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			got := map[string][]string{}
			for name := range want {
				got[name] = h.Values(name)
			}
			for name := range want {
				_ = append(h.Values(name), "more")
			}
			for name := range want {
				if !slices.Equal(got[name], want[name]) {
					t.Errorf("%s: %q, want %q", name, got[name], want[name])
				}
			}
		})
	}
	all.Wait()
}

// Eight bytes at once see what one by one see.
func TestPrintable(t *testing.T) {
	for c := range 256 {
		for length := 1; length <= 24; length++ {
			for at := range length {
				value := []byte(strings.Repeat(" ", length))
				value[at] = byte(c)
				if want := c >= ' ' && c != 0x7f || c == '\t'; printable(value) != want {
					t.Fatalf("byte %#x at %d of %d: %v, want %v", c, at, length, !want, want)
				}
			}
		}
	}
}

func FuzzPrintable(f *testing.F) {
	f.Add([]byte("application/json\x01"))
	f.Add([]byte("\x80\x7f\x20\x1f\x21\xff\x00\x09"))
	f.Fuzz(func(t *testing.T, value []byte) {
		if printable(value) != printableBytes(value) {
			t.Errorf("%q: %v at once, %v one by one", value, printable(value), printableBytes(value))
		}
	})
}

// Read deadlines are set when they are needed: after many quick requests a slow one
// still has no more than its time, and an idle connection no more than its.
func TestReadDeadlinesAfterQuickRequests(t *testing.T) {
	r := run(t, func(o *Options, _ *fakeEndpoint) {
		o.Limits.Read, o.Limits.Idle = 300*time.Millisecond, 900*time.Millisecond
	})
	for name, row := range map[string]struct {
		sends       string
		least, most time.Duration
		answer      string
	}{
		"half a request": {"POST /shop/mcp HTT", 250 * time.Millisecond, 850 * time.Millisecond, "HTTP/1.1 408"},
		"nothing":        {"", 850 * time.Millisecond, 5 * time.Second, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c := r.dial()
			in := bufio.NewReader(c)
			for range 50 {
				r.send(c, post("/shop/mcp", "{}"))
				if got := readReply(t, in, "POST"); got.StatusCode != 200 {
					t.Fatal(got.Status)
				}
			}
			r.send(c, row.sends)
			begun := time.Now()
			rest, err := io.ReadAll(in)
			took := time.Since(begun)
			if err != nil && !errors.Is(err, io.EOF) || !strings.HasPrefix(string(rest), row.answer) || row.answer == "" && len(rest) > 0 {
				t.Errorf("%v, answer %q, want %q", err, rest, row.answer)
			}
			if took < row.least || took > row.most {
				t.Errorf("ended after %v, want %v to %v", took, row.least, row.most)
			}
		})
	}
}
