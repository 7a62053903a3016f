package egress

import (
	"bytes"
	"errors"
	"io"
	"time"
)

// errTooLarge is a body past its limit.
var errTooLarge = errors.New("the answer is larger than its limit")

// intake reads one body, within a limit, telling of its progress.
type intake struct {
	c        *conn
	limit    int64 // bytes on the wire, framing not counted
	total    int64 // -1 = not told
	progress func(received, total int64)
	told     int64
	toldAt   time.Time
}

const (
	chunkStep    = 64 << 10 // bytes: the first allocation at most, and between two progress calls
	progressTime = 200 * time.Millisecond
)

// report calls progress for a body that takes long: each 64 KiB or 200 ms.
func (in *intake) report(received int) {
	if in.progress == nil {
		return
	}
	now := in.c.now()
	if in.toldAt.IsZero() {
		in.toldAt = now
	}
	if int64(received)-in.told < chunkStep && now.Sub(in.toldAt) < progressTime {
		return
	}
	in.told, in.toldAt = int64(received), now
	in.progress(int64(received), in.total)
}

// fixed appends exactly n bytes to dst. Memory follows what arrives, not what the
// head promised.
func (in *intake) fixed(dst []byte, n int64) ([]byte, error) {
	if int64(len(dst))+n > in.limit {
		return dst, errTooLarge
	}
	c := in.c
	end := len(dst) + int(n)
	if held := c.buf[c.r:c.w]; n > 0 && len(dst) == 0 && int64(len(held)) >= n {
		c.r += int(n)
		return append([]byte(nil), held[:n]...), nil
	}
	if in.total == n && n <= chunkStep {
		dst = make([]byte, 0, n)
	}
	for len(dst) < end {
		if c.r < c.w {
			k := min(end-len(dst), c.w-c.r)
			dst = append(dst, c.buf[c.r:c.r+k]...)
			c.r += k
			continue
		}
		if cap(dst) == len(dst) {
			dst = in.grow(dst)
		}
		k, err := c.read(dst[len(dst):min(cap(dst), end)])
		dst = dst[:len(dst)+k]
		if err != nil {
			return dst, ended(err)
		}
		in.report(len(dst))
	}
	return dst, nil
}

// grow makes room for more bytes: twice as many, and never more than will come.
func (in *intake) grow(dst []byte) []byte {
	size := max(2*len(dst), bufferSize)
	if in.total >= 0 {
		size = min(max(size, chunkStep), int(in.total))
	}
	bigger := make([]byte, len(dst), size)
	copy(bigger, dst)
	return bigger
}

// untilEnd appends all that comes before the upstream closes.
func (in *intake) untilEnd(dst []byte) ([]byte, error) {
	c := in.c
	for {
		dst = append(dst, c.buf[c.r:c.w]...)
		c.r = c.w
		if int64(len(dst)) > in.limit {
			return dst, errTooLarge
		}
		in.report(len(dst))
		if err := c.fill(); errors.Is(err, io.EOF) {
			return dst, nil
		} else if err != nil {
			return dst, err
		}
	}
}

const (
	maxChunkLine = 1 << 10 // size and extensions
	maxExcess    = 16 << 10
)

// chunked appends the data of a chunked body (RFC 9112 7.1); extensions and
// trailers are read and dropped.
func (in *intake) chunked(dst []byte) ([]byte, error) {
	excess := int64(0)
	for {
		size, err := in.c.nextChunk(&excess)
		if err != nil {
			return dst, err
		}
		if size == 0 {
			return dst, in.c.trailers()
		}
		if dst, err = in.fixed(dst, size); err != nil {
			return dst, err
		}
		if err = in.c.endChunk(); err != nil {
			return dst, err
		}
	}
}

// nextChunk reads the line before the data of a chunk and returns its size; excess is
// what the framing of the body weighed so far, beyond what is usual.
func (c *conn) nextChunk(excess *int64) (size int64, err error) {
	line, err := c.readLine(maxChunkLine)
	if err != nil {
		return 0, err
	}
	if size, err = chunkSize(line); err != nil {
		return 0, err
	}
	// Framing that weighs far more than what it frames is an attack on our time.
	if *excess += int64(len(line)) + 4 - 16 - 2*size; *excess > maxExcess {
		return 0, bad1("a chunked body of almost only framing")
	}
	*excess = max(*excess, 0)
	return size, nil
}

// endChunk reads what stands behind the data of a chunk.
func (c *conn) endChunk() error {
	line, err := c.readLine(1)
	if err == nil && len(line) != 0 {
		err = bad1("a chunk that is longer than its size")
	}
	return err
}

// chunkSize reads 1*HEXDIG [chunk-ext].
func chunkSize(line []byte) (int64, error) {
	n, digits := int64(0), 0
	for digits < len(line) {
		c := line[digits]
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			c = 0xFF
		}
		if c == 0xFF {
			break
		}
		if digits++; digits > 15 {
			return 0, bad1("a chunk size that is too large")
		}
		n = n<<4 | int64(c)
	}
	rest := bytes.TrimLeft(line[digits:], " \t")
	if digits == 0 || len(rest) > 0 && rest[0] != ';' {
		return 0, bad1("a chunk size that is not a number")
	}
	for _, c := range rest {
		if classes[c]&classText == 0 {
			return 0, bad1("a control character in a chunk extension")
		}
	}
	return n, nil
}

// trailers reads what stands behind the last chunk.
func (c *conn) trailers() error {
	held := 0
	for {
		line, err := c.readLine(maxHead)
		if err != nil {
			return err
		}
		if len(line) == 0 {
			return nil
		}
		if held += len(line); held > maxHead {
			return errHeadTooLarge
		}
		h := head{length: -1}
		if err := h.parseField(string(line), 1); err != nil {
			return err
		}
		if h.length >= 0 || h.chunked {
			return bad1("a trailer that changes the framing")
		}
	}
}
