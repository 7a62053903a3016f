package abi

import (
	"encoding/binary"
	"errors"
	"math"
	"strings"
)

// MaxPairs is the largest number of pairs in one frame.
const MaxPairs = 64

// Pair is one entry of a frame's meta. Keys are not unique: HTTP headers repeat.
type Pair struct{ Key, Value string }

// What is wrong with a frame.
var (
	ErrFrameShort    = errors.New("frame: a length runs past the end")
	ErrFramePairs    = errors.New("frame: more than 64 pairs")
	ErrFrameReserved = errors.New("frame: the reserved bytes are not zero")
)

// Get returns the value of the first pair with that key.
func Get(meta []Pair, key string) (string, bool) {
	for i := range meta {
		if meta[i].Key == key {
			return meta[i].Value, true
		}
	}
	return "", false
}

// SizeIn returns how many bytes AppendIn writes.
func SizeIn(meta []Pair, payload []byte) int {
	size := 4 + len(payload)
	for _, p := range bounded(meta) {
		size += 8 + len(p.Key) + len(p.Value)
	}
	return size
}

// AppendIn appends a frame in to dst. Pairs past MaxPairs are left out: a caller
// with pairs that a stranger chose counts them first. It allocates only to grow
// dst.
func AppendIn(dst []byte, meta []Pair, payload []byte) []byte {
	dst = AppendHead(dst, meta)
	return append(dst, payload...)
}

// AppendHead appends a frame in without its payload, for a caller that writes
// the payload to the guest's memory itself and so saves one copy.
func AppendHead(dst []byte, meta []Pair) []byte {
	meta = bounded(meta)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(meta))) // at most MaxPairs
	for _, p := range meta {
		dst = appendText(dst, p.Key)
		dst = appendText(dst, p.Value)
	}
	return dst
}

// AppendOut appends a frame out to dst, with the same bounds as AppendIn.
func AppendOut(dst []byte, status Status, meta []Pair, payload []byte) []byte {
	dst = binary.LittleEndian.AppendUint16(dst, uint16(status))
	dst = append(dst, 0, 0)
	return AppendIn(dst, meta, payload)
}

// ParseIn reads a frame in. Payload aliases frame, meta is a copy. Without pairs
// it does not allocate, with pairs twice.
func ParseIn(frame []byte) (meta []Pair, payload []byte, err error) {
	return appendPairs(nil, frame)
}

// ParseOut reads a frame out. The status is as the guest wrote it: Known maps
// what this version does not know. Payload aliases frame, meta is a copy.
// Without pairs it does not allocate, with pairs twice, with the one pair of plain
// text once.
func ParseOut(frame []byte) (status Status, meta []Pair, payload []byte, err error) {
	return ParseOutInto(nil, frame)
}

// ParseOutInto is ParseOut with a slice to append the pairs to, so that a caller
// which keeps one allocates only the text of the pairs. On an error the returned
// meta is as long as the one given.
func ParseOutInto(into []Pair, frame []byte) (status Status, meta []Pair, payload []byte, err error) {
	if len(frame) < 4 {
		return Internal, into, nil, ErrFrameShort
	}
	if frame[2] != 0 || frame[3] != 0 {
		return Internal, into, nil, ErrFrameReserved
	}
	meta, payload, err = appendPairs(into, frame[4:])
	if err != nil {
		return Internal, meta, nil, err
	}
	return Status(binary.LittleEndian.Uint16(frame)), meta, payload, nil
}

// appendPairs reads `u32 n; pairs; payload`. It walks the frame twice: first to
// prove all lengths, then to copy the text of all pairs in one piece.
func appendPairs(into []Pair, frame []byte) (meta []Pair, payload []byte, err error) {
	if len(frame) < 4 {
		return into, nil, ErrFrameShort
	}
	n := binary.LittleEndian.Uint32(frame)
	if n > MaxPairs {
		return into, nil, ErrFramePairs
	}
	if n == 0 {
		return into, frame[4:], nil
	}
	if n == 1 && len(frame) >= 4+len(plainText) && string(frame[4:4+len(plainText)]) == plainText {
		return append(into, Pair{Key: MetaMime, Value: "text/plain"}), frame[4+len(plainText):], nil
	}
	end := 4
	for range 2 * n {
		size, ok := textAt(frame, end)
		if !ok {
			return into, nil, ErrFrameShort
		}
		end += 4 + size
	}
	text := string(frame[4:end])
	meta = into
	if meta == nil {
		meta = make([]Pair, 0, n)
	}
	at := 4
	for range n {
		var p Pair
		p.Key, at = cut(frame, text, at)
		p.Value, at = cut(frame, text, at)
		meta = append(meta, p)
	}
	return meta, frame[end:], nil
}

// plainText is the pair that most answers of tools have, and no other.
const plainText = "\x04\x00\x00\x00" + MetaMime + "\x0a\x00\x00\x00text/plain"

// textAt returns the length of the text whose length stands at offset at, and
// whether all of it lies within the frame. at is never past len(frame).
func textAt(frame []byte, at int) (int, bool) {
	left := len(frame) - at - 4
	if left < 0 {
		return 0, false
	}
	size := binary.LittleEndian.Uint32(frame[at:])
	return int(size), uint64(size) <= uint64(left) // left is not negative
}

// cut returns the proven text at offset at of the frame, as a part of its copy
// that begins at offset 4.
func cut(frame []byte, text string, at int) (string, int) {
	size := int(binary.LittleEndian.Uint32(frame[at:]))
	at += 4
	return text[at-4 : at-4+size], at + size
}

func appendText(dst []byte, s string) []byte {
	if uint64(len(s)) > math.MaxUint32 {
		s = "" // cannot be: the host bounds every text by megabytes
	}
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(s))) // checked above
	return append(dst, s...)
}

func bounded(meta []Pair) []Pair {
	if len(meta) > MaxPairs {
		return meta[:MaxPairs]
	}
	return meta
}

// Roles joins roles to the value of MetaPrincipalRoles. A role with a comma is
// left out: joined, it would read as two.
func Roles(roles []string) string {
	var b strings.Builder
	for _, r := range roles {
		if r == "" || strings.Contains(r, ",") {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(r)
	}
	return b.String()
}
