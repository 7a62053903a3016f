package abi

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestFramesKeepWhatTheyCarry(t *testing.T) {
	many := make([]Pair, MaxPairs)
	for i := range many {
		many[i] = Pair{strings.Repeat("k", i), strings.Repeat("v", 3*i)}
	}
	tests := map[string]struct {
		meta    []Pair
		payload string
	}{
		"empty":            {nil, ""},
		"payload only":     {nil, `{"a":1}`},
		"pairs only":       {[]Pair{{"tool", "echo"}}, ""},
		"repeated keys":    {[]Pair{{"accept", "a"}, {"accept", "b"}}, "x"},
		"empty texts":      {[]Pair{{"", ""}, {"", "v"}, {"k", ""}}, "\x00"},
		"not UTF-8":        {[]Pair{{"\xff", "\xfe"}}, "\xfd"},
		"as many as fit":   {many, "end"},
		"payload as frame": {[]Pair{{"k", "v"}}, string(AppendIn(nil, many, nil))},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			in := AppendIn([]byte("before"), tt.meta, []byte(tt.payload))
			if !bytes.HasPrefix(in, []byte("before")) {
				t.Fatal("AppendIn did not append")
			}
			in = in[len("before"):]
			if len(in) != SizeIn(tt.meta, []byte(tt.payload)) {
				t.Errorf("SizeIn = %d, frame has %d bytes", SizeIn(tt.meta, []byte(tt.payload)), len(in))
			}
			meta, payload, err := ParseIn(in)
			if err != nil || !slices.Equal(meta, tt.meta) || string(payload) != tt.payload {
				t.Errorf("ParseIn: %v %q %v", meta, payload, err)
			}
			out := AppendOut(nil, Unavailable, tt.meta, []byte(tt.payload))
			status, meta, payload, err := ParseOut(out)
			if err != nil || status != Unavailable || !slices.Equal(meta, tt.meta) || string(payload) != tt.payload {
				t.Errorf("ParseOut: %v %v %q %v", status, meta, payload, err)
			}
			if head := AppendHead(nil, tt.meta); !bytes.Equal(append(head, tt.payload...), in) {
				t.Errorf("AppendHead and AppendIn differ")
			}
		})
	}
}

// The exact bytes, as sdk/ABI.md gives them.
func TestFrameBytes(t *testing.T) {
	want := "\x06\x00\x00\x00" + "\x01\x00\x00\x00" + "\x04\x00\x00\x00mime" + "\x02\x00\x00\x00a/" + "body"
	if got := AppendOut(nil, Unavailable, []Pair{{"mime", "a/"}}, []byte("body")); string(got) != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestFramesOfLiars(t *testing.T) {
	u32 := func(v ...uint32) string {
		var b []byte
		for _, x := range v {
			b = binary.LittleEndian.AppendUint32(b, x)
		}
		return string(b)
	}
	tests := map[string]struct {
		frame string // a frame in
		want  error
	}{
		"nothing":                        {"", ErrFrameShort},
		"half a count":                   {"\x00\x00", ErrFrameShort},
		"too many":                       {u32(MaxPairs + 1), ErrFramePairs},
		"count of all ones":              {u32(0xffffffff), ErrFramePairs},
		"pairs missing":                  {u32(1), ErrFrameShort},
		"key runs out":                   {u32(1, 5) + "four", ErrFrameShort},
		"key of 4 GiB":                   {u32(1, 0xffffffff) + "four", ErrFrameShort},
		"sum wraps":                      {u32(1, 0xfffffffc, 4) + "four", ErrFrameShort},
		"value missing":                  {u32(1, 1) + "k", ErrFrameShort},
		"value's length cut":             {u32(1, 1) + "k\x00\x00\x00", ErrFrameShort},
		"value runs out":                 {u32(1, 1) + "k" + u32(2) + "v", ErrFrameShort},
		"value with the sign bit":        {u32(1, 1) + "k" + u32(0x80000000) + "v", ErrFrameShort},
		"the last of many pairs missing": {u32(3, 0, 0, 0, 0, 0), ErrFrameShort},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if meta, payload, err := ParseIn([]byte(tt.frame)); !errors.Is(err, tt.want) || meta != nil || payload != nil {
				t.Errorf("ParseIn: %v %q %v, want %v", meta, payload, err, tt.want)
			}
			status, meta, payload, err := ParseOut([]byte("\x00\x00\x00\x00" + tt.frame))
			if !errors.Is(err, tt.want) || status != Internal || meta != nil || payload != nil {
				t.Errorf("ParseOut: %v %v %q %v, want %v", status, meta, payload, err, tt.want)
			}
		})
	}
	if _, _, _, err := ParseOut([]byte("\x00\x00\x01\x00\x00\x00\x00\x00")); !errors.Is(err, ErrFrameReserved) {
		t.Errorf("reserved: %v", err)
	}
	if _, _, _, err := ParseOut([]byte("\x00\x00")); !errors.Is(err, ErrFrameShort) {
		t.Errorf("half a head: %v", err)
	}
}

func TestPairsPastTheLimitAreLeftOut(t *testing.T) {
	frame := AppendIn(nil, make([]Pair, MaxPairs+5), []byte("p"))
	meta, payload, err := ParseIn(frame)
	if err != nil || len(meta) != MaxPairs || string(payload) != "p" {
		t.Errorf("%d pairs, %q, %v", len(meta), payload, err)
	}
}

// Meta outlives the buffer that the frame was read from; the payload does not.
func TestMetaIsACopy(t *testing.T) {
	frame := AppendOut(nil, OK, []Pair{{"mime", "text/plain"}}, []byte("payload"))
	_, meta, payload, err := ParseOut(frame)
	if err != nil {
		t.Fatal(err)
	}
	clear(frame)
	if meta[0] != (Pair{"mime", "text/plain"}) {
		t.Errorf("meta changed with the frame: %q", meta)
	}
	if string(payload) == "payload" {
		t.Error("payload was copied: ParseOut promises not to")
	}
}

func TestAllocations(t *testing.T) {
	meta := []Pair{{MetaTool, "weather"}, {MetaCallID, "c-1"}}
	payload := bytes.Repeat([]byte("x"), 1024)
	buffer := make([]byte, 0, 4096)
	bare := AppendOut(nil, OK, nil, payload)
	rich := AppendOut(nil, OK, meta, payload)
	pairs := make([]Pair, 0, 8)
	tests := map[string]struct {
		want float64
		f    func()
	}{
		"AppendIn":                {0, func() { buffer = AppendIn(buffer[:0], meta, payload) }},
		"ParseOut, no pairs":      {0, func() { _, _, _, _ = ParseOut(bare) }},
		"ParseOut, pairs":         {2, func() { _, _, _, _ = ParseOut(rich) }},
		"ParseOutInto":            {1, func() { _, _, _, _ = ParseOutInto(pairs[:0], rich) }},
		"ParseIn of a short lie":  {0, func() { _, _, _ = ParseIn(bare[:3]) }},
		"ParseIn of a large lie":  {0, func() { _, _, _ = ParseIn([]byte{64, 0, 0, 0, 255, 255, 255, 255}) }},
		"Get":                     {0, func() { _, _ = Get(meta, MetaCallID) }},
		"FindImport":              {0, func() { _, _ = FindImport(CallTool) }},
		"AppendHead and AppendIn": {0, func() { buffer = AppendHead(buffer[:0], meta) }},
	}
	for name, tt := range tests {
		if got := testing.AllocsPerRun(100, tt.f); got != tt.want {
			t.Errorf("%s: %v allocations, want %v", name, got, tt.want)
		}
	}
}

func TestRoles(t *testing.T) {
	if got := Roles([]string{"admin", "", "a,b", "reader"}); got != "admin,reader" {
		t.Errorf("got %q", got)
	}
}

// Whatever is accepted writes back to the same bytes, and nothing panics.
func FuzzParseOut(f *testing.F) {
	f.Add([]byte(nil))
	f.Add(AppendOut(nil, OK, nil, []byte("payload")))
	f.Add(AppendOut(nil, Unavailable, []Pair{{"mime", "text/plain"}, {"", ""}}, []byte("payload")))
	f.Add([]byte("\x00\x00\x00\x00\x01\x00\x00\x00\xff\xff\xff\xff"))
	f.Add([]byte("\x00\x00\x00\x00\x40\x00\x00\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, frame []byte) {
		status, meta, payload, err := ParseOut(frame)
		if err != nil {
			if status != Internal || meta != nil || payload != nil {
				t.Errorf("an error came with an answer: %v %v %q", status, meta, payload)
			}
		} else if again := AppendOut(nil, status, meta, payload); !bytes.Equal(again, frame) {
			t.Errorf("%q became %q", frame, again)
		}
		meta, payload, err = ParseIn(frame)
		if err == nil && !bytes.Equal(AppendIn(nil, meta, payload), frame) {
			t.Errorf("frame in %q changed", frame)
		}
	})
}

func BenchmarkAppendIn(b *testing.B) {
	meta := []Pair{{MetaTool, "weather"}, {MetaCallID, "c-1"}}
	payload := bytes.Repeat([]byte("x"), 1024)
	buffer := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		buffer = AppendIn(buffer[:0], meta, payload)
	}
}

func BenchmarkParseOut(b *testing.B) {
	frame := AppendOut(nil, OK, []Pair{{MetaMime, "text/plain"}}, bytes.Repeat([]byte("x"), 1024))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, _, err := ParseOut(frame); err != nil {
			b.Fatal(err)
		}
	}
}

// The pair of plain text has a way of its own: it reads the same, and allocates once.
func TestPlainText(t *testing.T) {
	mime := []Pair{{MetaMime, "text/plain"}}
	for _, payload := range []string{"", "hello"} {
		frame := AppendOut(nil, OK, mime, []byte(payload))
		status, meta, got, err := ParseOut(frame)
		if err != nil || status != OK || len(meta) != 1 || meta[0] != mime[0] || string(got) != payload {
			t.Errorf("%q: %v %v %q %v", payload, status, meta, got, err)
		}
		if n := testing.AllocsPerRun(100, func() { _, _, _, _ = ParseOut(frame) }); n > 1 {
			t.Errorf("%v allocations", n)
		}
		for cut := 8; cut < len(frame)-len(payload); cut++ {
			if _, _, _, err := ParseOut(frame[:cut]); err == nil {
				t.Errorf("%d of %d bytes were taken", cut, len(frame))
			}
		}
	}
	for _, other := range [][]Pair{{{MetaMime, "text/plaim"}}, {{"mimo", "text/plain"}}, {mime[0], mime[0]}} {
		if _, meta, _, err := ParseOut(AppendOut(nil, OK, other, nil)); err != nil || len(meta) != len(other) || meta[0] != other[0] {
			t.Errorf("%v became %v, %v", other, meta, err)
		}
	}
}
