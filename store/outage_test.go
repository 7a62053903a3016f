package store

import (
	"bytes"
	"context"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/store/storetest"
)

// proxy stands before Postgres, and can go away in several ways.
type proxy struct {
	target   string
	listener net.Listener
	silent   atomic.Bool // takes everything, and answers nothing
	// cut is what the client says before its connection is cut: once, before or after
	// Postgres has heard it.
	cut       atomic.Pointer[[]byte]
	afterward bool

	mutex sync.Mutex
	conns map[net.Conn]struct{}
	all   sync.WaitGroup
}

// newProxy returns a proxy and the address of Postgres through it.
func newProxy(t *testing.T) (*proxy, string) {
	t.Helper()
	at, err := url.Parse(postgresAddress(t))
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{target: at.Host, conns: map[net.Conn]struct{}{}}
	p.up(t, "127.0.0.1:0")
	at.Host = p.listener.Addr().String()
	t.Cleanup(func() { p.down(); p.all.Wait() })
	return p, at.String()
}

func (p *proxy) up(t *testing.T, at string) {
	t.Helper()
	listener, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	p.listener = listener
	p.all.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", p.target)
			if err != nil {
				client.Close()
				continue
			}
			p.mutex.Lock()
			p.conns[client], p.conns[server] = struct{}{}, struct{}{}
			p.mutex.Unlock()
			p.all.Go(func() { p.carry(server, client, true) })
			p.all.Go(func() { p.carry(client, server, false) })
		}
	})
}

func (p *proxy) carry(to, from net.Conn, fromClient bool) {
	defer to.Close()
	defer from.Close()
	b := make([]byte, 1<<16)
	for {
		n, err := from.Read(b)
		if err != nil {
			return
		}
		for p.silent.Load() {
			time.Sleep(time.Millisecond)
		}
		if word := p.cut.Load(); fromClient && word != nil && bytes.Contains(b[:n], *word) && p.cut.CompareAndSwap(word, nil) {
			if p.afterward {
				from.Close() // so the answer is lost
				_, _ = to.Write(b[:n])
				time.Sleep(50 * time.Millisecond) // Postgres commits
			}
			return
		}
		if _, err := to.Write(b[:n]); err != nil {
			return
		}
	}
}

func (p *proxy) down() {
	p.listener.Close()
	p.silent.Store(false)
	p.mutex.Lock()
	defer p.mutex.Unlock()
	for c := range p.conns {
		c.Close()
		delete(p.conns, c)
	}
}

// operationNames are those of operations.
var operationNames = []string{"get", "state", "change", "append", "audit", "ping"}

// operations are what the admin plane does.
func operations(s *Store) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"get":   func(ctx context.Context) error { return s.Get(ctx, &core.Role{Tenant: "acme", Name: "first"}) },
		"state": func(ctx context.Context) error { _, err := s.State(ctx); return err },
		"change": func(ctx context.Context) error {
			return s.Change(ctx, &core.AuditEntry{Action: "role.write"}, func(ctx context.Context, tx core.Tx) error {
				return tx.Put(ctx, &core.Setting{Tenant: "acme", Name: "s" + time.Now().String()})
			})
		},
		"append": func(ctx context.Context) error { return s.Append(ctx, &core.Usage{Tenant: "acme", Day: "2026-03-29"}) },
		"audit":  func(ctx context.Context) error { return s.Audit(ctx, &core.AuditEntry{Action: "calls"}) },
		"ping":   s.Ping,
	}
}

// A Postgres that is away, or says nothing, is noticed; everybody is told at once; and when
// it is back everything goes on.
func TestPostgresOutage(t *testing.T) {
	ways := []string{"down", "silent"}
	for _, name := range operationNames {
		ways = append(ways, "silent before "+name)
	}
	for _, way := range ways {
		t.Run(way, func(t *testing.T) {
			p, address := newProxy(t)
			// The patience of the program, so that silence is noticed.
			s, err := Open(t.Context(), address, Options{AuditKey: storetest.Key})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			settle(t, s)
			if err := s.Change(t.Context(), &core.AuditEntry{Action: "role.write"}, putRole("first")); err != nil {
				t.Fatal(err)
			}
			at := p.listener.Addr().String()
			if way == "down" {
				p.down()
			} else {
				p.silent.Store(true)
			}
			var first, slowest time.Duration
			count := 0
			for round := range 10 {
				names := slices.Clone(operationNames)
				if _, name, found := strings.Cut(way, " before "); found {
					names = append([]string{name}, names...)
				}
				for _, name := range names {
					do := operations(s)[name]
					begin := time.Now()
					err := do(t.Context())
					took := time.Since(begin)
					if code := core.AsError(err).Code; err == nil || code != core.CodeUnavailable {
						t.Fatalf("%s: %v", name, err)
					}
					if count++; count == 1 {
						first = took
					} else {
						slowest = max(slowest, took)
					}
				}
				if round > 5 {
					time.Sleep(100 * time.Millisecond) // the probe asks meanwhile
				}
			}
			t.Logf("%d operations refused; the first after %v, the slowest later one after %v", count, first, slowest)
			if first > 5*time.Second || slowest > 5*time.Second {
				t.Error("that is too long")
			}
			if way == "down" {
				p.up(t, at)
			} else {
				p.silent.Store(false)
			}
			begin := time.Now()
			settle(t, s)
			t.Logf("back after %v", time.Since(begin))
			for name, do := range operations(s) {
				if err := do(t.Context()); err != nil {
					t.Errorf("%s afterwards: %v", name, err)
				}
			}
			verifyTrail(t, s)
		})
	}
}

// settle waits until the database answers.
func settle(t *testing.T, s *Store) {
	t.Helper()
	for range 600 {
		if s.Ping(t.Context()) == nil {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("the database did not come back")
}

func verifyTrail(t *testing.T, s *Store) (entries []core.AuditEntry) {
	t.Helper()
	pages(t, s, func(e *core.AuditEntry) { entries = append(entries, *e) })
	if err := storetest.Verify(entries); err != nil {
		t.Error(err)
	}
	return entries
}

// A commit whose answer is lost: nobody says that it happened, nothing is done twice, and
// the trail goes on from what is really there.
func TestPostgresLostCommit(t *testing.T) {
	for _, afterward := range []bool{false, true} {
		name := map[bool]string{false: "before Postgres heard it", true: "after Postgres has done it"}[afterward]
		t.Run(name, func(t *testing.T) {
			p, address := newProxy(t)
			p.afterward = afterward
			s := openAddress(t, address)
			if err := s.Change(t.Context(), &core.AuditEntry{Action: "role.write"}, putRole("first")); err != nil {
				t.Fatal(err)
			}
			word := []byte("commit\x00")
			p.cut.Store(&word)
			runs := 0
			row, entry := &core.Role{Tenant: "acme", Name: "second"}, &core.AuditEntry{Action: "role.write"}
			err := s.Change(t.Context(), entry, func(ctx context.Context, tx core.Tx) error {
				runs++
				return tx.Put(ctx, row)
			})
			if core.AsError(err).Code != core.CodeUnavailable || err == nil || runs != 1 {
				t.Fatalf("run %d times: %v", runs, err)
			}
			if p.cut.Load() != nil {
				t.Fatal("nothing was cut")
			}
			if row.Version != 0 || entry.Seq != 0 {
				t.Errorf("the row says version %d, the entry number %d", row.Version, entry.Seq)
			}
			settle(t, s)
			err = s.Get(t.Context(), row)
			if afterward && err != nil || !afterward && core.AsError(err).Code != core.CodeNotFound {
				t.Errorf("get: %v", err)
			}
			if err := s.Change(t.Context(), &core.AuditEntry{Action: "role.write"}, putRole("third")); err != nil {
				t.Fatal(err)
			}
			want := 2
			if afterward {
				want = 3
			}
			if entries := verifyTrail(t, s); len(entries) != want {
				t.Errorf("%d entries, want %d", len(entries), want)
			}
		})
	}
}

// A connection that ends in the middle is no outage: the change runs again.
func TestPostgresLostConnection(t *testing.T) {
	p, address := newProxy(t)
	s := openAddress(t, address)
	word := []byte("INSERT INTO \"audit\"")
	p.cut.Store(&word)
	runs := 0
	row := &core.Role{Tenant: "acme", Name: "first"}
	err := s.Change(t.Context(), &core.AuditEntry{Action: "role.write"}, func(ctx context.Context, tx core.Tx) error {
		runs++
		return tx.Put(ctx, row)
	})
	if err != nil || runs != 2 || row.Version != 1 {
		t.Errorf("run %d times, version %d: %v", runs, row.Version, err)
	}
	verifyTrail(t, s)
}

// One replica hears of what another changes, also after the connection was lost.
func TestPostgresHints(t *testing.T) {
	p, through := newProxy(t)
	a := openAddress(t, through)
	direct, err := url.Parse(through)
	if err != nil {
		t.Fatal(err)
	}
	direct.Host = p.target
	b := openAddress(t, direct.String())
	ctx, end := context.WithCancel(t.Context())
	hints, ended := make(chan struct{}, 1000), make(chan struct{})
	go func() { defer close(ended); a.Hints(ctx, func() { hints <- struct{}{} }) }()
	hear := func(what string) {
		t.Helper()
		select {
		case <-hints:
		case <-time.After(20 * time.Second):
			t.Fatalf("%s: no hint", what)
		}
	}
	hear("at the beginning")
	for _, name := range []string{"one", "two"} {
		if err := b.Change(t.Context(), &core.AuditEntry{Action: "role.write"}, putRole(name)); err != nil {
			t.Fatal(err)
		}
		hear(name)
	}
	at := p.listener.Addr().String()
	p.down()
	p.up(t, at)
	hear("after the connection was lost")
	if err := b.Change(t.Context(), &core.AuditEntry{Action: "role.write"}, putRole("three")); err != nil {
		t.Fatal(err)
	}
	hear("three")
	settle(t, a)
	if err := a.Change(t.Context(), &core.AuditEntry{Action: "role.write"}, putRole("own")); err != nil {
		t.Fatal(err)
	}
	if err := b.Append(t.Context(), &core.Usage{Tenant: "acme", Day: "2026-03-29"}); err != nil {
		t.Fatal(err)
	}
	time.Sleep(100 * time.Millisecond)
	if len(hints) > 0 {
		t.Errorf("%d hints of what this replica did itself, or State does not show", len(hints))
	}
	end()
	<-ended
}

// Never more than one statement at a time, whoever wrote it.
func TestPostgresOneStatement(t *testing.T) {
	s := openAddress(t, postgresAddress(t))
	for _, do := range []func() error{
		func() error { _, err := s.writer.ExecContext(t.Context(), "SELECT 1; SELECT 2"); return err },
		func() error {
			rows, err := s.writer.QueryContext(t.Context(), "SELECT 1; SELECT 2")
			if err != nil {
				return err
			}
			defer rows.Close()
			return rows.Err()
		},
	} {
		if err := do(); sqlState(err) != "42601" {
			t.Errorf("two statements at once: %v", err)
		}
	}
}

// Three replicas that change at once have three chains and lose nothing.
func TestPostgresReplicas(t *testing.T) {
	at := postgresAddress(t)
	var replicas []*Store
	for range 3 {
		replicas = append(replicas, openAddress(t, at))
	}
	var all sync.WaitGroup
	for _, s := range replicas {
		for range 5 {
			all.Go(func() {
				for range 5 {
					err := s.Change(t.Context(), &core.AuditEntry{Action: "setting.write"}, func(ctx context.Context, tx core.Tx) error {
						row := &core.Setting{Tenant: "acme", Name: "n"}
						if err := tx.Get(ctx, row); err != nil && core.AsError(err).Code != core.CodeNotFound {
							return err
						}
						row.Value += "x"
						return tx.Put(ctx, row)
					})
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	all.Wait()
	row := &core.Setting{Tenant: "acme", Name: "n"}
	if err := replicas[0].Get(t.Context(), row); err != nil || len(row.Value) != 75 || row.Version != 75 {
		t.Errorf("%d changes, version %d, %v", len(row.Value), row.Version, err)
	}
	chains := map[string]int{}
	for _, e := range verifyTrail(t, replicas[0]) {
		chains[e.Replica]++
	}
	if len(chains) != 3 {
		t.Errorf("chains: %v", chains)
	}
	for _, s := range replicas {
		if n, err := s.Revision(t.Context()); err != nil || n != 75 {
			t.Errorf("revision %d, %v", n, err)
		}
	}
}
