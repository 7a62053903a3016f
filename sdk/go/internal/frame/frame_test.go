package frame

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
)

// The bytes that ABI.md shows.
func TestBytesOfTheExample(t *testing.T) {
	in := "\x01\x00\x00\x00" + "\x04\x00\x00\x00tool" + "\x05\x00\x00\x00greet" + `{"name":"Ada"}`
	if got := AppendIn(nil, []Pair{{"tool", "greet"}}, []byte(`{"name":"Ada"}`)); string(got) != in {
		t.Errorf("frame in is %q, want %q", got, in)
	}
	out := "\x00\x00\x00\x00" + "\x01\x00\x00\x00" + "\x04\x00\x00\x00mime" + "\x0a\x00\x00\x00text/plain" + "Hello, Ada!"
	if got := AppendOut(nil, 0, []Pair{{"mime", "text/plain"}}, []byte("Hello, Ada!")); string(got) != out {
		t.Errorf("frame out is %q, want %q", got, out)
	}
}

func TestFramesKeepWhatTheyCarry(t *testing.T) {
	many := make([]Pair, MaxPairs)
	for i := range many {
		many[i] = Pair{strings.Repeat("k", i), strings.Repeat("v", i%7)}
	}
	for name, tt := range map[string]struct {
		pairs   []Pair
		payload string
	}{
		"empty":         {nil, ""},
		"payload":       {nil, "{}"},
		"repeated keys": {[]Pair{{"a", "1"}, {"a", "2"}, {"", ""}}, "x"},
		"many":          {many, "end"},
	} {
		meta, payload, ok := Split(AppendIn(nil, tt.pairs, []byte(tt.payload)))
		if !ok || string(payload) != tt.payload || !reflect.DeepEqual(meta.Pairs(), tt.pairs) {
			t.Errorf("%s: %v %q %v", name, meta.Pairs(), payload, ok)
		}
		status, meta, payload, ok := SplitOut(AppendOut(nil, 404, tt.pairs, []byte(tt.payload)))
		if !ok || status != 404 || string(payload) != tt.payload || !reflect.DeepEqual(meta.Pairs(), tt.pairs) {
			t.Errorf("%s: %d %v %q %v", name, status, meta.Pairs(), payload, ok)
		}
	}
	meta, _, _ := Split(AppendIn(nil, []Pair{{"a", "1"}, {"b", "2"}, {"b", "3"}}, nil))
	if v, ok := meta.Get("b"); !ok || string(v) != "2" {
		t.Errorf("the first b is %q %v", v, ok)
	}
	if v, ok := meta.Get("c"); ok {
		t.Errorf("found c: %q", v)
	}
	if _, _, ok := Split(AppendIn(nil, make([]Pair, MaxPairs+1), nil)); !ok {
		t.Error("pairs past the limit were written")
	}
}

func TestBrokenFrames(t *testing.T) {
	for name, in := range map[string]string{
		"nothing":       "",
		"half a count":  "\x00\x00",
		"too many":      "\x41\x00\x00\x00" + strings.Repeat("\x00", 1000),
		"pairs missing": "\x01\x00\x00\x00",
		"key runs out":  "\x01\x00\x00\x00\x05\x00\x00\x00four",
		"4 GiB":         "\x01\x00\x00\x00\xff\xff\xff\xfffour",
		"no value":      "\x01\x00\x00\x00\x01\x00\x00\x00k",
		"value cut":     "\x01\x00\x00\x00\x01\x00\x00\x00k\x02\x00\x00\x00v",
	} {
		if _, _, ok := Split([]byte(in)); ok {
			t.Errorf("%s: taken", name)
		}
		if _, _, _, ok := SplitOut([]byte("\x00\x00\x00\x00" + in)); ok {
			t.Errorf("%s: taken as a frame out", name)
		}
	}
	if _, _, _, ok := SplitOut([]byte("\x00\x00\x01\x00\x00\x00\x00\x00")); ok {
		t.Error("reserved bytes were not looked at")
	}
}

func TestNothingIsAllocated(t *testing.T) {
	in := AppendIn(nil, []Pair{{"tool", "greet"}, {"tenant", "acme"}}, make([]byte, 1024))
	out := make([]byte, 0, 2048)
	if n := testing.AllocsPerRun(100, func() {
		meta, payload, _ := Split(in)
		if v, _ := meta.Get("tenant"); string(v) != "acme" {
			panic("wrong")
		}
		out = AppendOut(out[:0], 0, nil, payload)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzSplit(f *testing.F) {
	f.Add([]byte(nil))
	f.Add(AppendIn(nil, []Pair{{"a", "b"}}, []byte("c")))
	f.Add([]byte("\x02\x00\x00\x00\x00\x00\x00\x00\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, in []byte) {
		meta, payload, ok := Split(in)
		if ok && !bytes.Equal(AppendIn(nil, meta.Pairs(), payload), in) {
			t.Errorf("%x became another frame", in)
		}
	})
}
