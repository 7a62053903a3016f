package roster

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/sallyport/sallyport/core"
)

func mustURL(text string) *url.URL {
	u, err := url.Parse(text)
	if err != nil {
		panic(err)
	}
	return u
}

// reopen serves again on an address that was given up.
func (p *peer) reopen(t *testing.T, address string) {
	t.Helper()
	handler := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return p.server }, nil)
	for {
		ln, err := net.Listen("tcp", address)
		if err != nil {
			time.Sleep(10 * time.Millisecond)
			continue
		}
		s := httptest.NewUnstartedServer(handler)
		_ = s.Listener.Close()
		s.Listener = ln
		s.Start()
		t.Cleanup(func() {
			p.leave()
			s.CloseClientConnections()
			s.Close()
		})
		return
	}
}

// fakePins is the part of a store that a Roster needs: rows with versions.
type fakePins struct {
	mu                     sync.Mutex
	rows                   []core.Pin
	unreadable, unwritable bool
}

var errAway = &core.Error{Code: core.CodeUnavailable, Message: "the store is away"}

func (f *fakePins) set(unreadable, unwritable bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.unreadable, f.unwritable = unreadable, unwritable
}

func (f *fakePins) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rows = nil
}

func (f *fakePins) all() []core.Pin {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.rows)
}

func (f *fakePins) pins(context.Context) ([]core.Pin, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.unreadable {
		return nil, errAway
	}
	return slices.Clone(f.rows), nil
}

// approve does what somebody at the admin API does.
func (f *fakePins) approve() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.rows {
		f.rows[i].State = "approved"
		f.rows[i].Version++
	}
}

func (f *fakePins) change(ctx context.Context, _ string, do func(context.Context, core.Tx) error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.unwritable || f.unreadable {
		return errAway
	}
	tx := &fakeTx{rows: slices.Clone(f.rows)}
	if err := do(ctx, tx); err != nil {
		return err
	}
	f.rows = tx.rows
	return nil
}

type fakeTx struct {
	core.Tx
	rows []core.Pin
}

func (x *fakeTx) find(row core.Row) int {
	return slices.IndexFunc(x.rows, func(p core.Pin) bool { return p.Key() == row.Key() })
}

func (x *fakeTx) Put(_ context.Context, row core.Row) error {
	p := *row.(*core.Pin)
	i := x.find(row)
	switch {
	case i < 0 && p.Version == 0:
		p.Version = 1
		x.rows = append(x.rows, p)
	case i < 0:
		return &core.Error{Code: core.CodeNotFound, Message: "gone"}
	case p.Version == 0:
		return &core.Error{Code: core.CodeConflict, Message: "there is one"}
	case p.Version != x.rows[i].Version:
		return &core.Error{Code: core.CodeChanged, Message: "changed"}
	default:
		p.Version++
		x.rows[i] = p
	}
	return nil
}

func (x *fakeTx) Delete(_ context.Context, row core.Row) error {
	i := x.find(row)
	if i < 0 {
		return &core.Error{Code: core.CodeNotFound, Message: "gone"}
	}
	x.rows = slices.Delete(x.rows, i, i+1)
	return nil
}
