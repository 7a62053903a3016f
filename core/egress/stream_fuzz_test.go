package egress

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"testing"
	"time"
)

// FuzzFlow: an answer that is read while it arrives, in any steps, is the same as one that
// is read whole: as many bytes, the same end, and the same connections kept.
func FuzzFlow(f *testing.F) {
	for _, seed := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nok\r\n0\r\nX: y\r\n\r\nrest",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n1\r\nx\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nokay\r\n0\r\n\r\n",
		"HTTP/1.0 200\r\n\r\nuntil the end",
		"HTTP/1.1 204 No Content\r\nX: y\r\n\r\nrest",
		"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx",
	} {
		f.Add([]byte(seed), uint8(0), uint8(1))
		f.Add([]byte(seed), uint8(1), uint8(200))
	}
	f.Fuzz(func(t *testing.T, text []byte, arrive, step uint8) {
		const limit = 1 << 20
		converse := func(live bool) (m *message, kept bool, body []byte, err error) {
			var from io.Reader = bytes.NewReader(text)
			if arrive&1 == 1 {
				from = &oneByOne{from}
			}
			p := &pool{now: time.Now, keep: time.Hour, log: slog.New(slog.DiscardHandler)}
			m = &message{
				method: "GET", limit: limit, deadline: time.Now().Add(time.Hour), first: time.Hour, authority: "x", path: "/", live: live, start: time.Now(),
			}
			answer, err := p.exchange(context.Background(), newConn(&scripted{from: from}, nil, time.Now), m, []byte("x"), nil)
			if err == nil {
				body = answer.Body
			}
			if m.source != nil {
				var whole io.Reader = m.source
				if m.encoding != "" {
					if whole, err = newDecoded(m.encoding, m.source); err != nil {
						return m, false, nil, err
					}
				}
				if body, err = io.ReadAll(&pace{whole, int(step) + 1}); err == nil {
					_ = m.source.Close() // changes nothing behind the end
				}
			}
			return m, p.idle() == 1, body, err
		}
		_, kept, body, err := converse(false)
		_, kept2, body2, err2 := converse(true)
		if (err == nil) != (err2 == nil) {
			t.Fatalf("whole: %v; as it arrives: %v", err, err2)
		}
		if err == nil && (!bytes.Equal(body, body2) || kept != kept2) {
			t.Fatalf("whole: %q, kept %v; as it arrives: %q, kept %v", body, kept, body2, kept2)
		}
	})
}

// pace reads at most n bytes at once.
type pace struct {
	io.Reader
	n int
}

func (p *pace) Read(b []byte) (int, error) { return p.Reader.Read(b[:min(len(b), p.n)]) }
