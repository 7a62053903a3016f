package mcp

import (
	"bytes"
	"context"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/sallyport/sallyport/core"
)

func readPage[T any](page *core.Page[T]) func(context.Context, core.Identity, *string) (*core.Page[T], error) {
	return func(context.Context, core.Identity, *string) (*core.Page[T], error) { return page, nil }
}

type gauges struct {
	core.NoObserver
	name string
	read func() int64
}

func (g *gauges) Gauge(name, _ string, read func() int64) { g.name, g.read = name, read }

// TestAppendEvent: the wire form, byte by byte.
func TestAppendEvent(t *testing.T) {
	for _, row := range []struct {
		in   Event
		want string
	}{
		{Event{Data: []byte("x")}, "data: x\n\n"},
		{Event{Data: []byte{}}, "data:\n\n"},
		{Event{Retry: 1500 * time.Millisecond}, "retry: 1500\n\n"},
		{Event{ID: "a_1", Name: "message", Data: []byte("x")}, "event: message\nid: a_1\ndata: x\n\n"},
		{Event{Data: []byte("a\nb\r\nc\rd")}, "data: a\ndata: b\ndata: c\ndata: d\n\n"},
		{Event{Data: []byte("a\n\n")}, "data: a\ndata:\ndata:\n\n"},
		{Event{Data: []byte(" a")}, "data:  a\n\n"},
	} {
		if got := string(AppendEvent(nil, row.in)); got != row.want {
			t.Errorf("%+v: %q, want %q", row.in, got, row.want)
		}
	}
}

// TestDecoder follows WHATWG HTML, section 9.2.6.
func TestDecoder(t *testing.T) {
	for _, row := range []struct {
		name, in string
		want     []Event
		err      error
	}{
		{"one", "data: x\n\n", []Event{{Data: []byte("x")}}, io.EOF},
		{"line ends", "data: a\r\n\r\ndata: b\r\rdata: c\n\n", []Event{{Data: []byte("a")}, {Data: []byte("b")}, {Data: []byte("c")}}, io.EOF},
		{"lines", "data: a\ndata:\ndata: b\n\n", []Event{{Data: []byte("a\n\nb")}}, io.EOF},
		{"comments", ": hi\n\n:\n\ndata: a\n: in between\n\n", []Event{{Data: []byte("a")}}, io.EOF},
		{"one space only", "data:  a\n\ndata:b\n\n", []Event{{Data: []byte(" a")}, {Data: []byte("b")}}, io.EOF},
		{"name without data", "event: x\n\ndata: a\n\n", []Event{{Data: []byte("a")}}, io.EOF},
		{"priming", "id: 7\nretry: 20\ndata:\n\n", []Event{{ID: "7", Retry: 20 * time.Millisecond, Data: []byte{}}}, io.EOF},
		{"retry alone", "retry: 20\n\n", []Event{{Retry: 20 * time.Millisecond}}, io.EOF},
		{"bad retry", "retry: 2x\n\nretry: -1\n\n", nil, io.EOF},
		{"id with NUL", "id: a\x00b\ndata: c\n\n", []Event{{Data: []byte("c")}}, io.EOF},
		{"unknown field", "colour: red\ndata: c\ndata\n\n", []Event{{Data: []byte("c\n")}}, io.EOF},
		{"cut off", "data: a\n\ndata: b\n", []Event{{Data: []byte("a")}}, io.EOF},
		{"byte order mark", "\xef\xbb\xbfdata: a\n\n", []Event{{Data: []byte("a")}}, io.EOF},
		{"too large", "data: " + strings.Repeat("x", 200) + "\n\n", nil, ErrEventTooLarge},
		{"too many lines", strings.Repeat("data: x\n", 30) + "\n", nil, ErrEventTooLarge},
		{"endless line", strings.Repeat("x", 1000), nil, ErrEventTooLarge},
	} {
		t.Run(row.name, func(t *testing.T) {
			d := NewDecoder(strings.NewReader(row.in), 100)
			var got []Event
			var err error
			for {
				var e Event
				if e, err = d.Next(); err != nil {
					break
				}
				got = append(got, e)
			}
			if !reflect.DeepEqual(got, row.want) || !errors.Is(err, row.err) {
				t.Errorf("%+v %v, want %+v %v", got, err, row.want, row.err)
			}
		})
	}
}

// FuzzEvents: what is encoded comes back, whatever the data.
func FuzzEvents(f *testing.F) {
	f.Add([]byte("a\r\nb"), "x_1", "message", 7)
	f.Add([]byte{}, "", "", 0)
	f.Add([]byte("\xef\xbb\xbf\n\r"), "p1-2_3", "endpoint", -1)
	f.Fuzz(func(t *testing.T, data []byte, id, name string, retry int) {
		if strings.ContainsAny(id+name, "\r\n\x00") || strings.HasPrefix(id, " ") || strings.HasPrefix(name, " ") || data == nil {
			return
		}
		in := Event{ID: id, Name: name, Data: data, Retry: time.Duration(uint16(retry)) * time.Millisecond}
		wire := AppendEvent(nil, in)
		if !bytes.HasSuffix(wire, []byte("\n\n")) || bytes.Count(wire, []byte("\n\n")) != 1 {
			t.Fatalf("%q is not one event", wire)
		}
		d := NewDecoder(bytes.NewReader(append(wire, wire...)), len(wire)+1)
		for range 2 {
			out, err := d.Next()
			if err != nil {
				t.Fatalf("%q: %v", wire, err)
			}
			in.Data = bytes.ReplaceAll(bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n")), []byte("\r"), []byte("\n"))
			if !bytes.Equal(out.Data, in.Data) || out.ID != in.ID || out.Name != in.Name || out.Retry != in.Retry {
				t.Fatalf("%+v became %+v", in, out)
			}
		}
	})
}

// FuzzDecoder: any bytes are read without a panic, within the limit, and the same in
// whatever pieces they arrive.
func FuzzDecoder(f *testing.F) {
	f.Add([]byte("event: message\nid: 1\nretry: 3\ndata: {}\n\n: x\r\r"), uint16(64))
	f.Add([]byte("\xef\xbb\xbfdata: a\r\n\r\ndata: b\rdata:\r\r\n\n"), uint16(9))
	f.Add([]byte("data: "+strings.Repeat("x", 5000)+"\n\ndata: y\n\n"), uint16(6000))
	f.Add([]byte("data: y\n\ndata: "+strings.Repeat("x", 5000)+"\r\n\n"), uint16(5000))
	f.Fuzz(func(t *testing.T, in []byte, limit uint16) {
		read := func(from io.Reader) (all []Event, err error) {
			d := NewDecoder(from, int(limit))
			for range len(in) + 2 {
				e, err := d.Next()
				if err != nil {
					return all, err
				}
				if len(e.Data) > int(limit) {
					t.Fatalf("an event of %d bytes", len(e.Data))
				}
				all = append(all, e)
			}
			t.Fatal("more events than bytes")
			return nil, nil
		}
		whole, err := read(bytes.NewReader(in))
		for _, pieces := range []io.Reader{iotest.OneByteReader(bytes.NewReader(in)), iotest.HalfReader(bytes.NewReader(in)), iotest.DataErrReader(bytes.NewReader(in))} {
			if got, again := read(pieces); !reflect.DeepEqual(got, whole) || !errors.Is(again, err) {
				t.Fatalf("whole: %+v, %v; in pieces: %+v, %v", whole, err, got, again)
			}
		}
	})
}
