package egress

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
)

// accepted is what we ask upstreams for.
const accepted = "gzip, br, zstd, deflate"

const (
	maxRatio  = 100     // decoded to encoded bytes…
	freeRatio = 1 << 20 // …once more than this is decoded
	maxWindow = 8 << 20 // bytes of history of zstd (RFC 9659: at most 8 MiB for HTTP)
)

// errBomb is a body that grows too much by decoding.
var errBomb = errors.New("the answer grows more than a hundredfold when decoded")

// decoder reads one coding again and again, so that its tables are made once.
type decoder interface {
	io.Reader
	reset(io.Reader) error
}

// decoders holds idle ones, one pool a coding.
var decoders = map[string]*sync.Pool{
	"gzip":    {New: func() any { return new(gzipDecoder) }},
	"x-gzip":  {New: func() any { return new(gzipDecoder) }},
	"br":      {New: func() any { return &brotliDecoder{brotli.NewReader(nil)} }},
	"zstd":    {New: func() any { return new(zstdDecoder) }},
	"deflate": {New: func() any { return new(deflateDecoder) }},
}

// decode undoes a Content-Encoding; what comes out holds at most limit bytes.
func decode(encoding string, in []byte, limit int64) (out []byte, err error) {
	pool, ok := decoders[encoding]
	if !ok {
		return nil, bad1("a Content-Encoding that was not asked for")
	}
	if len(in) == 0 {
		return nil, nil
	}
	// A decoder that panics on a hostile body fails this answer only.
	defer func() {
		if r := recover(); r != nil {
			out, err = nil, fmt.Errorf("decode %s: panic: %v", encoding, r)
		}
	}()
	d := pool.Get().(decoder)
	source := bytes.NewReader(in)
	if err := d.reset(source); err != nil {
		return nil, spoiled(encoding, err)
	}
	out, err = drain(d, int64(len(in)), limit)
	if err != nil {
		return nil, spoiled(encoding, err)
	}
	if source.Len() > 0 {
		return nil, bad1("bytes after the end of the encoded body")
	}
	source.Reset(nil) // an idle decoder does not hold the body
	pool.Put(d)
	return out, nil
}

// drain reads all of r within limit and ratio.
func drain(r io.Reader, encoded, limit int64) ([]byte, error) {
	most := min(limit, max(freeRatio, encoded*maxRatio))
	out := make([]byte, 0, min(most, max(encoded*4, 512)))
	for {
		if len(out) == cap(out) {
			out = append(out, 0)[:len(out)]
		}
		n, err := r.Read(out[len(out):cap(out)])
		out = out[:len(out)+n]
		if int64(len(out)) > most {
			if most == limit {
				return nil, errTooLarge
			}
			return nil, errBomb
		}
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// spoiled keeps our own errors, and makes any other one of a malformed answer.
func spoiled(encoding string, err error) error {
	if errors.Is(err, errTooLarge) || errors.Is(err, errBomb) {
		return err
	}
	if errors.Is(err, zstd.ErrDecoderSizeExceeded) || errors.Is(err, zstd.ErrWindowSizeExceeded) {
		return errBomb
	}
	return fmt.Errorf("%w: %w", bad1("a body that is not valid %s", encoding), err)
}

type gzipDecoder struct{ r gzip.Reader }

func (d *gzipDecoder) reset(r io.Reader) error          { return d.r.Reset(r) }
func (d *gzipDecoder) Read(b []byte) (n int, err error) { return d.r.Read(b) }

type brotliDecoder struct{ *brotli.Reader }

func (d *brotliDecoder) reset(r io.Reader) error { return d.Reset(r) }

// zstdDecoder works in the caller's goroutine (concurrency 1).
type zstdDecoder struct{ r *zstd.Decoder }

func (d *zstdDecoder) reset(r io.Reader) (err error) {
	if d.r == nil {
		d.r, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return err
		}
	}
	return d.r.Reset(r)
}

func (d *zstdDecoder) Read(b []byte) (int, error) { return d.r.Read(b) }

// deflateDecoder reads zlib (RFC 9110 8.4.1.2), and the bare deflate that some
// servers send under the same name.
type deflateDecoder struct {
	zlib, bare io.ReadCloser
	now        io.Reader
}

func (d *deflateDecoder) reset(r io.Reader) error {
	first, second, ok := sniff(r)
	if !ok {
		d.now = r
		return nil
	}
	if first&0x0F == 8 && (uint(first)<<8|uint(second))%31 == 0 {
		return d.asZlib(r)
	}
	if d.bare == nil {
		d.bare = flate.NewReader(r)
	} else if err := d.bare.(flate.Resetter).Reset(r, nil); err != nil {
		return err
	}
	d.now = d.bare
	return nil
}

// sniff returns the first two bytes without taking them.
func sniff(r io.Reader) (first, second byte, ok bool) {
	switch source := r.(type) {
	case *bytes.Reader:
		if source.Len() < 2 {
			return 0, 0, false
		}
		first, _ = source.ReadByte()
		second, _ = source.ReadByte()
		_, err := source.Seek(-2, io.SeekCurrent)
		return first, second, err == nil
	case *bufio.Reader:
		if b, err := source.Peek(2); err == nil {
			return b[0], b[1], true
		}
	}
	return 0, 0, false
}

func (d *deflateDecoder) asZlib(source io.Reader) (err error) {
	if d.zlib == nil {
		d.zlib, err = zlib.NewReader(source)
	} else {
		err = d.zlib.(zlib.Resetter).Reset(source, nil)
	}
	d.now = d.zlib
	return err
}

func (d *deflateDecoder) Read(b []byte) (int, error) { return d.now.Read(b) }
