package web

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
)

// childEnv makes this test binary a server for another one: two processes, so
// that each has file descriptors enough, and memory is the server's alone.
const childEnv = "SALLYPORT_WEB_TEST_CHILD"

// child serves until standard input ends. It takes one command a line and
// answers with one line.
func child() int {
	l := &lot{}
	e := &fakeEndpoint{handle: l.handle}
	edge, err := New(Options{
		Servers:  &fakeServers{byPrefix: map[string]*core.Server{"shop": {Name: "shop"}}},
		Endpoint: e, Limits: Limits{PerIP: -1, ReduceMemory: os.Getenv(childEnv) == "reduce"},
	})
	if err != nil {
		fmt.Println("error", err)
		return 1
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println("error", err)
		return 1
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- edge.Serve(ctx, ln) }()
	fmt.Println(ln.Addr())
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		switch in.Text() {
		case "stats":
			fmt.Println(resident(), runtime.NumGoroutine(), min(int(edge.hub.open()), len(l.all())), l.gone.Load())
		case "broadcast":
			begun := time.Now()
			failed := 0
			for _, s := range l.all() {
				if s.Send([]byte("data: all\n\n")) != nil {
					failed++
				}
			}
			fmt.Println(time.Since(begun).Milliseconds(), failed)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		fmt.Println("error", err)
		return 1
	}
	return 0
}

// resident returns the memory of this process in KiB.
func resident() int {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, after, _ := strings.Cut(string(text), "VmRSS:")
	kib := 0
	_, _ = fmt.Sscan(after, &kib)
	return kib
}

// R11: ten thousand idle streams.
func TestIdleStreams(t *testing.T) {
	count := 10_000
	if raceDetector {
		count = 1000
	}
	server := exec.Command(os.Args[0])
	server.Env = append(os.Environ(), childEnv+"=1")
	server.Stderr = os.Stderr
	stdin, err := server.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	out := bufio.NewReader(stdout)
	t.Cleanup(func() {
		_ = stdin.Close()
		_, _ = io.Copy(io.Discard, out)
		if err := server.Wait(); err != nil {
			t.Errorf("the server: %v", err)
		}
	})
	line := func() string {
		text, err := out.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(text)
	}
	addr := line()
	ask := func(command string) (a, b, c, d int) {
		fmt.Fprintln(stdin, command)
		_, _ = fmt.Sscan(line(), &a, &b, &c, &d)
		return
	}
	base, _, _, _ := ask("stats")

	conns := make([]net.Conn, count)
	t.Cleanup(func() {
		for _, c := range conns {
			if c != nil {
				_ = c.Close()
			}
		}
	})
	var next atomic.Int64
	var group sync.WaitGroup
	for range 32 {
		group.Go(func() {
			buffer := make([]byte, 2048)
			for {
				i := int(next.Add(1)) - 1
				if i >= count {
					return
				}
				c, err := net.Dial("tcp", addr)
				if err != nil {
					t.Error(err)
					return
				}
				conns[i] = c
				_ = c.SetDeadline(time.Now().Add(time.Minute))
				fmt.Fprintf(c, "GET /shop/mcp HTTP/1.1\r\nHost: %s\r\nAccept: text/event-stream\r\n\r\n", addr)
				n, err := c.Read(buffer)
				if err != nil || !strings.HasPrefix(string(buffer[:n]), "HTTP/1.1 200") {
					t.Errorf("stream %d: %q %v", i, buffer[:n], err)
					return
				}
			}
		})
	}
	group.Wait()
	if t.Failed() {
		return
	}
	rss, goroutines, open, _ := ask("stats")
	for range 250 { // workers that just handed their connection over end first
		if goroutines < 200 && open == count {
			break
		}
		time.Sleep(20 * time.Millisecond)
		rss, goroutines, open, _ = ask("stats")
	}
	t.Logf("%d streams: %d KiB above %d KiB, %d goroutines", open, rss-base, base, goroutines)
	if open != count || goroutines >= 200 || rss-base > 64<<10 && !raceDetector {
		t.Errorf("want %d streams, fewer than 200 goroutines, at most 65536 KiB more", count)
	}

	begun := time.Now()
	took, failed, _, _ := ask("broadcast")
	buffer := make([]byte, 2048)
	for i, c := range conns {
		text := ""
		for !strings.Contains(text, "data: all\n\n") {
			n, err := c.Read(buffer)
			if err != nil {
				t.Fatalf("stream %d: %v after %q", i, err, text)
			}
			text += string(buffer[:n])
		}
	}
	t.Logf("broadcast sent in %d ms, everywhere after %v", took, time.Since(begun))
	if failed > 0 || took > 2000 {
		t.Errorf("broadcast took %d ms and failed %d times", took, failed)
	}

	begun = time.Now()
	for i, c := range conns {
		_ = c.Close()
		conns[i] = nil
	}
	for {
		_, goroutines, _, gone := ask("stats")
		if gone == count && goroutines < 200 {
			break
		}
		if time.Since(begun) > 5*time.Second {
			t.Fatalf("after 5 s %d clients are gone, %d goroutines run", gone, goroutines)
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Logf("all clients were seen to leave within %v", time.Since(begun))
}
