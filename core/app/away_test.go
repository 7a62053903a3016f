package app

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"io"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/store/storetest"
)

// wall stands between a gateway and its database, and can let nothing through.
type wall struct {
	to       string
	listener net.Listener
	down     atomic.Bool
	mu       sync.Mutex
	open     map[net.Conn]bool
	work     sync.WaitGroup
}

func newWall(t *testing.T, to string) *wall {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wall{to: to, listener: ln, open: map[net.Conn]bool{}}
	w.work.Go(func() {
		for {
			client, err := ln.Accept()
			if err != nil {
				return
			}
			if w.down.Load() {
				_ = client.Close()
				continue
			}
			w.work.Go(func() { w.carry(client) })
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		w.cut()
		w.work.Wait()
	})
	return w
}

func (w *wall) carry(client net.Conn) {
	server, err := net.Dial("tcp", w.to)
	if err != nil {
		_ = client.Close()
		return
	}
	w.mu.Lock()
	w.open[client], w.open[server] = true, true
	w.mu.Unlock()
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{client, server}, {server, client}} {
		both.Go(func() {
			_, _ = io.Copy(way[0], way[1])
			_ = way[0].Close()
			_ = way[1].Close()
		})
	}
	both.Wait()
	w.mu.Lock()
	delete(w.open, client)
	delete(w.open, server)
	w.mu.Unlock()
}

// cut breaks every connection.
func (w *wall) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for conn := range w.open {
		_ = conn.Close()
	}
}

// away is how long the database is gone in the test below: a minute where there is time
// for it.
func away() time.Duration {
	if os.Getenv("CI") == "true" {
		return time.Minute
	}
	return 5 * time.Second
}

// The database goes away under load: no call fails, the admin API says 503 at once, a
// restart serves what was served, and everything is well again when it is back.
func TestPostgresAway(t *testing.T) {
	dsn := storetest.Postgres(t, os.Getenv, "t"+strings.ToLower(rand.Text()))
	where, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	w := newWall(t, where.Host)
	where.Host = w.listener.Addr().String()
	data := t.TempDir()
	flags := []string{"--store-url", where.String(), "--store-key", "k1:" + key32(t)}
	r := serveIn(t, data, "", flags...)
	document := "servers:\n  - name: shop\n    tools:\n      - {name: get, invoker: {kind: echo}}\n"
	r.admin("PUT", "/documents/shop/draft", map[string]any{"text": document}, "If-None-Match", "*")
	r.admin("POST", "/documents/publish", map[string]any{"names": []string{"shop"}})
	token := r.program("default", "robot", []string{"member"})
	works := func(r *house) bool {
		got := r.tool("/shop/mcp", token, "get", map[string]any{"a": 1})
		return got.status == 200 && strings.Contains(got.body, `"content"`)
	}
	if !works(r) {
		t.Fatal("the tool does not work to begin with")
	}
	eventually(t, "the state is on disk", func() bool {
		_, err := os.Stat(data + "/state.sealed")
		return err == nil && !strings.Contains(r.log.String(), "could not be written")
	})
	time.Sleep(6 * time.Second) // the newest state is written at most every 5 s

	var calls, failed atomic.Int64
	loading, stop := context.WithCancel(context.Background())
	var load sync.WaitGroup
	for range 4 {
		load.Go(func() {
			for loading.Err() == nil {
				if works(r) {
					calls.Add(1)
				} else {
					failed.Add(1)
				}
				time.Sleep(5 * time.Millisecond)
			}
		})
	}
	w.down.Store(true)
	w.cut()
	began := time.Now()
	var took []time.Duration
	for time.Since(began) < away() {
		start := time.Now()
		got := r.send("GET", "/api/v1/users", operatorToken, nil)
		took = append(took, time.Since(start))
		if got.status != 503 && !(time.Since(began) < time.Second && got.status == 200) {
			t.Errorf("the admin API answers %d %s", got.status, got.body)
			break
		}
		if got.status == 503 && got.header.Get("Retry-After") == "" {
			t.Error("503 without Retry-After")
		}
		time.Sleep(100 * time.Millisecond)
	}
	slices.Sort(took)
	t.Logf("%d calls in %s without the database, %d failed; the admin API answered in %s (median), %s (slowest of %d)",
		calls.Load(), time.Since(began).Round(time.Second), failed.Load(), took[len(took)/2], took[len(took)-1], len(took))
	if took[len(took)/2] > 200*time.Millisecond {
		t.Errorf("the admin API takes %s to say 503", took[len(took)/2])
	}
	if failed.Load() > 0 || calls.Load() == 0 {
		t.Errorf("%d of %d calls failed", failed.Load(), calls.Load())
	}
	stop()
	load.Wait()
	if code := r.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}

	again := serveIn(t, data, "", flags...)
	if !works(again) {
		t.Errorf("after a restart without the database the tool does not work:\n%s", again.log)
	}
	if got := again.send("GET", "/api/v1/users", operatorToken, nil); got.status != 503 {
		t.Errorf("the admin API answers %d", got.status)
	}
	w.down.Store(false)
	eventually(t, "the admin API works again", func() bool {
		return again.send("GET", "/api/v1/users", operatorToken, nil).status == 200
	})
	again.program("default", "later", []string{"member"})
	if !works(again) {
		t.Error("the tool does not work in the end")
	}
}

func key32(t *testing.T) string {
	t.Helper()
	var key [32]byte
	if _, err := rand.Read(key[:]); err != nil {
		t.Fatal(err)
	}
	return encode64(key[:])
}

func encode64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }
