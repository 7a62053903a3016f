package audit

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport/sallyport/core"
)

func TestAnchors(t *testing.T) {
	c := newClock()
	m := newMemory("a", c.now)
	file := filepath.Join(t.TempDir(), "anchors")
	var log bytes.Buffer
	a := NewAnchors(m, AnchorOptions{Key: testKey, Replica: "a", File: file, Log: slog.New(slog.NewJSONHandler(&log, nil)), Now: c.now})
	pin := func() *core.Anchor {
		t.Helper()
		one, err := a.Pin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return one
	}
	if pin() != nil {
		t.Error("an empty trail has an anchor")
	}
	fill(t, m, c, 3)
	if one := pin(); one == nil || one.Seq != 3 || one.Hash != m.at("a", 3).Hash || one.MAC != AnchorMAC(testKey, one) {
		t.Errorf("%+v", one)
	}
	if pin() != nil {
		t.Error("the same end was anchored twice")
	}
	fill(t, m, c, 2)
	pin()
	if len(m.anchors) != 2 {
		t.Fatalf("%d anchors", len(m.anchors))
	}

	// Everything in the database goes, anchors too: the log and the file still know.
	written, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	m.drop("a", 3, 99)
	m.anchors = nil
	if !mustVerify(t, m, VerifyOptions{Now: c.now}).OK() {
		t.Error("found without anything to find it by")
	}
	for name, from := range map[string]string{"file": string(written), "log": log.String(), "torn file": string(written) + `{"replica":"a","se`} {
		heads, err := ReadHeads(strings.NewReader(from), testKey)
		if err != nil || len(heads) != 2 {
			t.Fatalf("%s: %v, %v", name, heads, err)
		}
		if got := kinds(mustVerify(t, m, VerifyOptions{Now: c.now, Heads: heads}).Faults); !slices.Equal(got, []string{"truncated@3"}) {
			t.Errorf("%s: found %v", name, got)
		}
	}
	if _, err := ReadHeads(bytes.NewReader(written), []byte("other")); core.AsError(err).Code != core.CodeInvalid {
		t.Errorf("heads of another key: %v", err)
	}

	// Such an end is not anchored.
	if _, err := a.Pin(t.Context()); err == nil {
		t.Error("a trail that was cut got an anchor")
	}
	fill(t, m, c, 5)
	m.at("a", 7).Reason = "other"
	if _, err := a.Pin(t.Context()); err == nil {
		t.Error("an entry that does not fit got an anchor")
	}
}

func TestAnchorsRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory("a", time.Now)
		a := NewAnchors(m, AnchorOptions{Key: testKey, Replica: "a"})
		ctx, cancel := context.WithCancel(t.Context())
		over := make(chan struct{})
		go func() {
			a.Run(ctx)
			close(over)
		}()
		add := func() {
			if err := m.Audit(t.Context(), sample()); err != nil {
				t.Fatal(err)
			}
		}
		add()
		time.Sleep(3*time.Hour + time.Minute)
		synctest.Wait()
		if len(m.anchors) != 1 {
			t.Errorf("%d anchors", len(m.anchors))
		}
		add()
		m.failWith(errAway)
		time.Sleep(time.Hour)
		synctest.Wait()
		m.failWith(nil)
		cancel()
		<-over
		if len(m.anchors) != 2 || a.fails.Load() != 1 {
			t.Errorf("%d anchors at the end, %d failed", len(m.anchors), a.fails.Load())
		}
	})
}
