package rewrite

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"
)

// cursor reads one module. The first mistake stays in err and moves the cursor
// to its end, so that loops end; results after that are zero.
type cursor struct {
	b     []byte // the whole file
	at    int
	end   int
	where string
	index int // 1 + the function that is read; 0 = none
	err   *Refusal
}

func (c *cursor) left() int { return c.end - c.at }

// more reports that there is something to read and no mistake yet.
func (c *cursor) more() bool { return c.at < c.end }

func (c *cursor) refuse(fix, format string, args ...any) {
	if c.err == nil {
		where := c.where
		if c.index > 0 {
			where += fmt.Sprintf(", function %d", c.index-1)
		}
		c.err = &Refusal{Offset: c.at, Where: where, Message: fmt.Sprintf(format, args...), Fix: fix}
	}
	c.at = c.end
}

func (c *cursor) byte() byte {
	if c.at >= c.end {
		c.refuse("", "it ends too early")
		return 0
	}
	c.at++
	return c.b[c.at-1]
}

// bytes skips n bytes and returns them.
func (c *cursor) bytes(n int) []byte {
	if n < 0 || n > c.left() {
		c.refuse("", "it ends too early")
		return nil
	}
	c.at += n
	return c.b[c.at-n : c.at]
}

func (c *cursor) u32() uint32 {
	if c.at < c.end && c.b[c.at] < 0x80 {
		c.at++
		return uint32(c.b[c.at-1])
	}
	return c.longU32()
}

func (c *cursor) longU32() uint32 {
	var v uint32
	for shift := 0; shift < 35; shift += 7 {
		b := c.byte()
		if shift == 28 && b > 0x0f {
			c.refuse("", "a number is longer than 32 bits")
			return 0
		}
		v |= uint32(b&0x7f) << shift
		if b < 0x80 {
			return v
		}
	}
	return v
}

// signed skips a signed LEB128 of that many bits (32, 33 or 64) and returns it.
func (c *cursor) signed(bits int) int64 {
	var v int64
	for shift := 0; ; shift += 7 {
		b := c.byte()
		v |= int64(b&0x7f) << shift
		if left := bits - shift; left < 8 {
			// The last byte: the bits past the value repeat its sign.
			spare := b & 0x7f >> (left - 1)
			if b >= 0x80 || spare != 0 && spare != 0x7f>>(left-1) {
				c.refuse("", "a number is longer than %d bits", bits)
				return 0
			}
		}
		if b < 0x80 {
			if shift+7 < 64 && b&0x40 != 0 {
				v |= -1 << (shift + 7)
			}
			return v
		}
	}
}

// count reads the length of a vector whose entries have at least size bytes.
func (c *cursor) count(what string, size, limit int) int {
	n := c.u32()
	if uint64(n)*uint64(size) > uint64(c.left()) {
		c.refuse("", "%d %s do not fit into the bytes that are there", n, what)
		return 0
	}
	if uint64(n) > uint64(limit) {
		c.refuse(fixLimit, "%d %s, the limit is %d", n, what, limit)
		return 0
	}
	return int(n)
}

func (c *cursor) name(limit int) string {
	n := c.u32()
	if uint64(n) > uint64(limit) {
		c.refuse(fixLimit, "a name of %d bytes, the limit is %d", n, limit)
		return ""
	}
	b := c.bytes(int(n))
	if !utf8.Valid(b) {
		c.refuse("", "a name is not UTF-8")
		return ""
	}
	return string(b)
}

func appendU32(dst []byte, v uint32) []byte { return binary.AppendUvarint(dst, uint64(v)) }

func appendName(dst []byte, s string) []byte {
	dst = appendU32(dst, uint32(len(s)))
	return append(dst, s...)
}

// appendSigned appends a signed LEB128.
func appendSigned(dst []byte, v int64) []byte {
	for {
		b := byte(v & 0x7f)
		v >>= 7
		if v == 0 && b&0x40 == 0 || v == -1 && b&0x40 != 0 {
			return append(dst, b)
		}
		dst = append(dst, b|0x80)
	}
}
