package egress

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"sync"
)

// decoded undoes the Content-Encoding of a body while it arrives: what the upstream
// flushed is handed out. We ask for none on streams, but some insist.
type decoded struct {
	encoding string
	pool     *sync.Pool
	decoder  decoder // nil before the first Read, and at the end
	source   watched
	in       *bufio.Reader // of source; decoders take no more from it than they need
	out      int64         // bytes handed out
	begun    bool          // decoder was reset
	spent    bool          // what it was reset for is read
}

// watched counts what is read and keeps the error, which decoders may dress up.
type watched struct {
	io.Reader
	n   int64
	err error
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	w.n += int64(n)
	if err != nil {
		w.err = err
	}
	return n, err
}

// newDecoded returns the reader of a body with that encoding.
func newDecoded(encoding string, source io.Reader) (*decoded, error) {
	pool, ok := decoders[encoding]
	if !ok {
		return nil, bad1("a Content-Encoding that was not asked for")
	}
	d := &decoded{encoding: encoding, pool: pool, source: watched{Reader: source}}
	d.in = bufio.NewReaderSize(&d.source, bufferSize)
	return d, nil
}

// Read returns decoded bytes, and io.EOF when the source is at its end too.
func (d *decoded) Read(p []byte) (n int, err error) {
	defer func() {
		if r := recover(); r != nil {
			n, err = 0, fmt.Errorf("decode %s: panic: %v", d.encoding, r)
		}
		if err != nil && d.source.err != nil && !errors.Is(d.source.err, io.EOF) {
			err = d.source.err
		}
	}()
	for range 100 {
		if n, err = d.read(p); n > 0 || err != nil {
			return n, err
		}
	}
	return 0, io.ErrNoProgress
}

func (d *decoded) read(p []byte) (int, error) {
	if !d.begun || d.spent {
		if err := d.next(); err != nil {
			return 0, err
		}
	}
	n, err := d.decoder.Read(p)
	if d.out += int64(n); d.out > max(freeRatio, d.source.n*maxRatio) {
		return 0, errBomb
	}
	if errors.Is(err, io.EOF) {
		d.spent, err = true, nil
	}
	if err != nil {
		err = spoiled(d.encoding, err)
	}
	return n, err
}

// next makes ready for what comes next: the body; behind it, another member of gzip, or
// the end.
func (d *decoded) next() error {
	if _, err := d.in.Peek(1); errors.Is(err, io.EOF) {
		if d.decoder != nil && d.spent {
			d.retire()
		}
		return io.EOF
	} else if err != nil {
		return err
	}
	if d.decoder == nil {
		d.decoder = d.pool.Get().(decoder)
	}
	g, members := d.decoder.(*gzipDecoder)
	if d.begun && !members {
		return bad1("bytes after the end of the encoded body")
	}
	d.begun, d.spent = true, false
	if err := d.decoder.reset(d.in); err != nil {
		return spoiled(d.encoding, err)
	}
	if members {
		// Otherwise it would wait for the next member before it hands out the last bytes of
		// this one.
		g.r.Multistream(false)
	}
	return nil
}

// retire gives the decoder, which is at its end, to the next one.
func (d *decoded) retire() {
	d.in.Reset(nil) // an idle decoder holds no connection
	d.pool.Put(d.decoder)
	d.decoder = nil
}
