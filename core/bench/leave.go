package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// runLeave calls a tool whose upstream never answers, waits until the upstream has
// the request, and leaves: again and again.
func runLeave(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("leave", flag.ContinueOnError)
	target := flags.String("target", "", "address")
	watch := flags.String("watch", "", "address where the upstream tells what it sees")
	count := flags.Int("count", 300, "calls")
	clients := flags.Int("clients", 8, "at once")
	if err := flags.Parse(args); err != nil {
		return err
	}
	l := leaver{target: *target, came: map[string]chan int64{}, went: map[string]chan int64{}}
	for n := range *count {
		l.came[strconv.Itoa(n)], l.went[strconv.Itoa(n)] = make(chan int64, 1), make(chan int64, 1)
	}
	told, err := dial(ctx, *watch)
	if err != nil {
		return err
	}
	var listening, all sync.WaitGroup
	listening.Go(func() { l.listen(told) })
	took, failed := make([]time.Duration, *count), make([]error, *clients)
	for i := range *clients {
		all.Go(func() {
			for n := i; n < *count && failed[i] == nil && ctx.Err() == nil; n += *clients {
				took[n], failed[i] = l.leave(ctx, strconv.Itoa(n))
			}
		})
	}
	all.Wait()
	_ = told.Close()
	listening.Wait()
	if err := errors.Join(failed...); err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(leaveOf(took))
}

// leaver keeps, by id, where to tell that the upstream saw a request come and go.
type leaver struct {
	target     string
	came, went map[string]chan int64
}

// listen reads what the upstream tells.
func (l *leaver) listen(told io.Reader) {
	scan := bufio.NewScanner(told)
	for scan.Scan() {
		var id string
		var at int64
		switch n, _ := fmt.Sscanf(scan.Text(), "out %s %d", &id, &at); {
		case n == 2 && l.went[id] != nil:
			l.went[id] <- at
		default:
			if id, found := strings.CutPrefix(scan.Text(), "in "); found && l.came[id] != nil {
				l.came[id] <- 0
			}
		}
	}
}

// leave makes one call and returns how long the upstream took to see it left; never
// is the sign of one that it did not see.
func (l *leaver) leave(ctx context.Context, id string) (time.Duration, error) {
	c, err := dial(ctx, l.target)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	if _, err := c.Write(call(l.target, "bench", "slow", id, "")); err != nil {
		return 0, err
	}
	select {
	case <-l.came[id]:
	case <-time.After(5 * time.Second):
		return 0, errors.New("a call did not reach the upstream in 5 s")
	}
	time.Sleep(5 * time.Millisecond)
	left := time.Now().UnixNano()
	_ = c.Close()
	select {
	case at := <-l.went[id]:
		return time.Duration(at - left), nil
	case <-time.After(5 * time.Second):
		return never, nil
	}
}

const never = time.Duration(math.MaxInt64)

// leaveResult is how fast the upstream learns that a client left.
type leaveResult struct {
	Count  int           `json:"count"`
	Unseen int           `json:"unseen"`
	P50    time.Duration `json:"p50"`
	P99    time.Duration `json:"p99"`
	Max    time.Duration `json:"max"`
}

func leaveOf(took []time.Duration) leaveResult {
	r := leaveResult{Count: len(took)}
	slices.Sort(took)
	for len(took) > 0 && took[len(took)-1] == never {
		r.Unseen++
		took = took[:len(took)-1]
	}
	if len(took) > 0 {
		r.P50, r.P99, r.Max = share(took, 0.5), share(took, 0.99), took[len(took)-1]
	}
	return r
}

func measureLeave(ctx context.Context, gateway *process, backend backendAddresses, count int) (r leaveResult, err error) {
	return r, ask(ctx, &r, "leave", "-target", gateway.address, "-watch", backend.Watch, "-count", strconv.Itoa(count))
}

// counts asks the backend what it has counted.
func counts(ctx context.Context, backend backendAddresses) (backendReport, error) {
	var r backendReport
	b, err := fetch(ctx, "http://"+backend.Control+"/")
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(b, &r)
}
