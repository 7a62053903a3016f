package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// loadReport is what one load process prints. Latencies are in nanoseconds.
type loadReport struct {
	Calls   int64         `json:"calls"`
	Failed  int64         `json:"failed"`
	Mixed   int64         `json:"mixed"` // answers that mix two revisions of the document
	Why     string        `json:"why"`   // the first failure
	Elapsed time.Duration `json:"elapsed"`
	Start   int64         `json:"start"` // Unix nanoseconds, when the measured part began
	P50     time.Duration `json:"p50"`
	P90     time.Duration `json:"p90"`
	P99     time.Duration `json:"p99"`
	P999    time.Duration `json:"p999"`
	Max     time.Duration `json:"max"`
}

// load is one run of the generator.
type load struct {
	target, kind string
	tool         string // of call
	server       string // of call
	clients      int
	duration     time.Duration
	calls        int     // closed loop: ends with them; 0 = with the time
	rate         float64 // requests a second over all clients; 0 = closed loop
	session      bool
	bearer       string

	failed, mixed atomic.Int64
	why           atomic.Pointer[string]
}

// runLoad sends requests over raw keep-alive connections for a while.
func runLoad(ctx context.Context, args []string, out io.Writer) error {
	var l load
	flags := flag.NewFlagSet("load", flag.ContinueOnError)
	flags.StringVar(&l.target, "target", "", "address")
	flags.StringVar(&l.kind, "kind", "plain", "plain, call, list or twins")
	flags.StringVar(&l.tool, "tool", "get_book", "tool that call calls")
	flags.StringVar(&l.server, "server", "bench", "server that call calls")
	flags.IntVar(&l.calls, "calls", 0, "closed loop: how many calls of all clients")
	flags.IntVar(&l.clients, "clients", 1, "connections")
	flags.DurationVar(&l.duration, "duration", time.Second, "how long")
	flags.Float64Var(&l.rate, "rate", 0, "open loop: requests a second")
	flags.BoolVar(&l.session, "session", false, "speak 2025-11-25 with a session")
	flags.StringVar(&l.bearer, "bearer", "", "token that each request carries")
	if err := flags.Parse(args); err != nil {
		return err
	}
	report, err := l.run(ctx)
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(report)
}

// client is one connection with its request.
type client struct {
	conn    net.Conn
	reader  *bufio.Reader
	request []byte
	want    []byte // must stand in each answer: no other client's answer has it
	answer  answer
	taken   []time.Duration
	bearer  string
}

func (l *load) run(ctx context.Context) (loadReport, error) {
	var clients []*client
	defer func() {
		for _, c := range clients {
			_ = c.conn.Close()
		}
	}()
	for i := range l.clients {
		c, err := l.connect(ctx, i)
		if err != nil {
			return loadReport{}, err
		}
		clients = append(clients, c)
	}
	start := time.Now()
	end := start.Add(l.duration)
	var all sync.WaitGroup
	for i, c := range clients {
		all.Go(func() {
			if l.rate > 0 {
				l.open(ctx, c, i, start, end)
				return
			}
			l.closed(ctx, c, end)
		})
	}
	all.Wait()
	report := loadReport{Elapsed: time.Since(start), Start: start.UnixNano(), Failed: l.failed.Load(), Mixed: l.mixed.Load()}
	if why := l.why.Load(); why != nil {
		report.Why = *why
	}
	var taken []time.Duration
	for _, c := range clients {
		taken = append(taken, c.taken...)
	}
	report.fill(taken)
	return report, nil
}

// closed sends the next request when the last one is answered.
func (l *load) closed(ctx context.Context, c *client, end time.Time) {
	share := (l.calls + l.clients - 1) / l.clients
	for at, n := time.Now(), 0; at.Before(end) && (n < share || l.calls == 0) && ctx.Err() == nil; n++ {
		ok := l.exchange(ctx, c)
		now := time.Now()
		if ok {
			c.taken = append(c.taken, now.Sub(at))
		}
		at = now
	}
}

// open sends on a schedule. A request that is due while the connection still waits
// for an answer is late through no fault of its own: its time runs from when it was
// due.
func (l *load) open(ctx context.Context, c *client, i int, start, end time.Time) {
	every := time.Duration(float64(time.Second) * float64(l.clients) / l.rate)
	due := start.Add(every * time.Duration(i) / time.Duration(l.clients))
	for ; due.Before(end) && ctx.Err() == nil; due = due.Add(every) {
		if wait := time.Until(due); wait > 0 {
			time.Sleep(wait)
		}
		if l.exchange(ctx, c) {
			c.taken = append(c.taken, time.Since(due))
		}
	}
}

// exchange makes one request and checks its answer. After a failure it dials anew.
func (l *load) exchange(ctx context.Context, c *client) bool {
	_ = c.conn.SetDeadline(time.Now().Add(10 * time.Second))
	_, err := c.conn.Write(c.request)
	if err == nil {
		err = readAnswer(c.reader, &c.answer)
	}
	if err == nil {
		err = l.check(c)
	}
	if err == nil {
		return true
	}
	l.failed.Add(1)
	why := err.Error()
	l.why.CompareAndSwap(nil, &why)
	_ = c.conn.Close()
	if conn, err := dial(ctx, l.target); err == nil {
		c.conn = conn
		c.reader.Reset(conn)
	} else {
		time.Sleep(10 * time.Millisecond) // nobody listens: do not spin
	}
	return false
}

func (l *load) check(c *client) error {
	switch {
	case c.answer.status != 200:
		return fmt.Errorf("status %d: %.200s", c.answer.status, c.answer.body)
	case !bytes.Contains(c.answer.body, c.want):
		return fmt.Errorf("an answer without %s: %.200s", c.want, c.answer.body)
	case l.kind == "twins" && !alike(c.answer.body):
		l.mixed.Add(1)
	}
	return nil
}

// alike tells whether all marks "revision-N." of a list are the same.
func alike(body []byte) bool {
	const mark = "revision-"
	first := []byte(nil)
	seen := 0
	for {
		i := bytes.Index(body, []byte(mark))
		if i < 0 {
			return seen >= 2
		}
		body = body[i+len(mark):]
		n, _, _ := bytes.Cut(body[:min(len(body), 20)], []byte("."))
		if first == nil {
			first = slices.Clone(n)
		}
		if !bytes.Equal(first, n) {
			return false
		}
		seen++
	}
}

// connect dials, opens a session where one is needed, and makes the request.
func (l *load) connect(ctx context.Context, i int) (*client, error) {
	id := "b" + strconv.Itoa(1000+i)
	c, session, err := l.meet(ctx)
	for range 3 { // a way that is at fault, as for warm
		if err == nil {
			break
		}
		c, session, err = l.meet(ctx)
	}
	if err != nil {
		return nil, err
	}
	c.want = []byte(id)
	switch l.kind {
	case "plain":
		c.request = plain(l.target, id)
	case "call":
		c.request = call(l.target, l.server, l.tool, id, session)
	case "list":
		c.request, c.want = list(l.target, "catalogue"), []byte(`"tool_299"`)
	case "twins":
		c.request, c.want = list(l.target, "bench"), []byte(`"slow"`)
	default:
		return nil, fmt.Errorf("kind %q: plain, call, list or twins", l.kind)
	}
	c.request = carrying(c.request, l.bearer)
	return c, l.warm(ctx, c)
}

// meet dials, and opens a session where one is needed.
func (l *load) meet(ctx context.Context) (c *client, session string, err error) {
	conn, err := dial(ctx, l.target)
	if err != nil {
		return nil, "", err
	}
	c = &client{conn: conn, reader: bufio.NewReaderSize(conn, 16<<10), bearer: l.bearer}
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if l.session {
		if session, err = c.open(l.target, l.server); err != nil {
			_ = conn.Close()
		}
	}
	return c, session, err
}

// warm makes three calls. Those that fail are counted, and made again.
func (l *load) warm(ctx context.Context, c *client) error {
	failed := 0
	for n := 0; n < 3; {
		if l.exchange(ctx, c) {
			n++
			continue
		}
		if failed++; failed > 3 {
			return errors.New(*l.why.Load())
		}
	}
	return nil
}

// dial connects to one of our own processes.
func dial(ctx context.Context, target string) (net.Conn, error) {
	d := net.Dialer{Timeout: 5 * time.Second}
	return d.DialContext(ctx, "tcp", target)
}

// open opens a session of 2025-11-25 and returns its id.
func (c *client) open(host, server string) (string, error) {
	if _, err := c.conn.Write(carrying(initialize(host, server), c.bearer)); err != nil {
		return "", err
	}
	if err := readAnswer(c.reader, &c.answer); err != nil {
		return "", err
	}
	session := c.answer.session
	if session == "" {
		return "", fmt.Errorf("initialize opened no session: %d %.200s", c.answer.status, c.answer.body)
	}
	note := post(host, "/"+server+"/mcp", "notifications/initialized", "", session, `{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	if _, err := c.conn.Write(carrying(note, c.bearer)); err != nil {
		return "", err
	}
	if err := readAnswer(c.reader, &c.answer); err != nil {
		return "", err
	}
	if c.answer.status != 202 {
		return "", errors.New("notifications/initialized was not accepted")
	}
	return strings.TrimSpace(session), nil
}

// fill sorts the latencies and takes the percentiles.
func (r *loadReport) fill(taken []time.Duration) {
	slices.Sort(taken)
	r.Calls = int64(len(taken))
	if len(taken) == 0 {
		return
	}
	r.P50, r.P90, r.P99, r.P999 = share(taken, 0.5), share(taken, 0.9), share(taken, 0.99), share(taken, 0.999)
	r.Max = taken[len(taken)-1]
}

// share is the least value that at least that share of the sorted values do not pass.
func share(sorted []time.Duration, q float64) time.Duration {
	i := int(q*float64(len(sorted)) + 0.999999)
	return sorted[min(max(i, 1), len(sorted))-1]
}
