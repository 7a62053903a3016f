package store

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/store/storetest"
)

// process is the test program in a role of child.
type process struct {
	*exec.Cmd
	in    io.WriteCloser
	lines chan string
}

func start(t *testing.T, role string) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{Cmd: exec.Command(self), lines: make(chan string, 1<<16)}
	p.Env = append(os.Environ(), childVariable+"="+role)
	p.Stderr = os.Stderr
	if p.in, err = p.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.lines)
		whole := bufio.NewReader(out)
		for {
			line, err := whole.ReadString('\n')
			if err != nil {
				return // half a line acknowledges nothing
			}
			p.lines <- strings.TrimSuffix(line, "\n")
		}
	}()
	return p
}

func (p *process) tell(line string) { _, _ = fmt.Fprintln(p.in, line) } // one that is dead hears nothing

// wait returns the rest of the first line that begins with word.
func (p *process) wait(t *testing.T, word string) string {
	t.Helper()
	for line := range p.lines {
		if rest, ok := strings.CutPrefix(line, word); ok {
			return strings.TrimSpace(rest)
		}
		if strings.HasPrefix(line, "error") {
			t.Fatal(line)
		}
	}
	t.Fatalf("the child ended before it said %q", word)
	return ""
}

// kill ends it at once, and returns what it said before.
func (p *process) kill() []string {
	_ = p.Process.Kill()
	var said []string
	for line := range p.lines {
		said = append(said, line)
	}
	_ = p.in.Close()
	_ = p.Wait()
	return said
}

// A writer that is killed loses nothing that it has acknowledged, and the next one is ready
// within a second.
func killWriters(t *testing.T, lanes, kills int, address func(t *testing.T, lane int) string) {
	var all sync.WaitGroup
	var mutex sync.Mutex
	var opens []opening
	acknowledged, rows := 0, 0
	for lane := range lanes {
		at := address(t, lane)
		all.Go(func() {
			acks := []string{}
			for kill := range kills / lanes {
				p := start(t, "write")
				p.tell(at)
				one, err := readOpening(p.wait(t, "ready"))
				if err != nil {
					t.Error(err)
				}
				time.Sleep(time.Duration(rand.Int64N(int64(120 * time.Millisecond))))
				for _, line := range p.kill() {
					if name, ok := strings.CutPrefix(line, "ok "); ok {
						acks = append(acks, name)
					} else if strings.HasPrefix(line, "error") {
						t.Error(line)
					}
				}
				mutex.Lock()
				if kill > 0 { // the first makes the tables
					opens = append(opens, one)
				}
				mutex.Unlock()
			}
			s := openAddress(t, at)
			n, lost := compareAcks(t, s, acks)
			for _, what := range lost {
				t.Error(what)
			}
			mutex.Lock()
			acknowledged += len(acks)
			rows += n
			mutex.Unlock()
		})
	}
	all.Wait()
	t.Logf("%d kills, %d writes acknowledged, %d rows, none lost; %s", kills, acknowledged, rows, sayOpenings(opens))
	if acknowledged == 0 {
		t.Error("nothing was written")
	}
	if err := prompt(opens); err != nil {
		t.Error(err)
	}
}

// opening is a start after a kill: how long it took to the first acknowledged write, and
// how long a bare connection and write took at the same moment.
type opening struct{ store, bare time.Duration }

func readOpening(text string) (one opening, err error) {
	var store, bare int64
	_, err = fmt.Sscan(text, &store, &bare)
	return opening{time.Duration(store) * time.Microsecond, time.Duration(bare) * time.Microsecond}, err
}

func sayOpenings(opens []opening) string {
	var store, bare []time.Duration
	for _, one := range opens {
		store, bare = append(store, one.store), append(bare, one.bare)
	}
	slices.Sort(store)
	slices.Sort(bare)
	n := len(opens)
	return fmt.Sprintf("a write is acknowledged %v after a start (median; 95 of 100: %v, slowest: %v), by a bare connection %v (%v, %v)",
		store[n/2], store[n*95/100], store[n-1], bare[n/2], bare[n*95/100], bare[n-1])
}

// The bar is a second. A machine that has no time for us misses it whoever asks: a start
// is late when it took longer, and longer than so many bare connections beside it.
const (
	readyWithin = time.Second
	mayCost     = 8 // bare connections and writes
)

// prompt holds starts to the bar: half of them whatever the machine does, and of the others
// all but one, and one more of each hundred.
func prompt(opens []opening) error {
	over, late := 0, 0
	for _, one := range opens {
		if one.store > readyWithin {
			over++
			if one.store > mayCost*one.bare {
				late++
			}
		}
	}
	if 2*over > len(opens) || late > 1+len(opens)/100 {
		return fmt.Errorf("of %d starts after a kill %d took longer than %v to be ready, %d of them for no fault of the machine", len(opens), over, readyWithin, late)
	}
	return nil
}

// The bar must see what misses it.
func TestPrompt(t *testing.T) {
	some := func(n int, one opening) []opening { return slices.Repeat([]opening{one}, n) }
	good, slow, loaded := opening{50 * time.Millisecond, 10 * time.Millisecond}, opening{1100 * time.Millisecond, 10 * time.Millisecond}, opening{1100 * time.Millisecond, 200 * time.Millisecond}
	for what, tt := range map[string]struct {
		opens []opening
		met   bool
	}{
		"all":                          {some(50, good), true},
		"one of fifty is late":         {append(some(49, good), slow), true},
		"two of fifty are late":        {append(some(48, good), some(2, slow)...), false},
		"a machine that has no time":   {append(some(30, good), some(20, loaded)...), true},
		"most take longer, all loaded": {append(some(20, good), some(30, loaded)...), false},
	} {
		if err := prompt(tt.opens); (err == nil) != tt.met {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// compareAcks tells what is not as it was acknowledged: acks are "worker name".
func compareAcks(t *testing.T, s *Store, acks []string) (count int, wrong []string) {
	t.Helper()
	roles, records, entries := map[string]bool{}, map[string]bool{}, []core.AuditEntry{}
	pages(t, s, func(r *core.Role) { roles[r.Name] = true })
	pages(t, s, func(r *core.CallRecord) { records[r.ID] = true })
	audited := map[string]bool{}
	pages(t, s, func(e *core.AuditEntry) { entries = append(entries, *e); audited[e.Name] = true })
	for _, ack := range acks {
		worker, name, _ := strings.Cut(ack, " ")
		if worker == "0" && !records[name] || worker != "0" && !roles[name] {
			wrong = append(wrong, "lost: "+ack)
		}
	}
	for name := range roles {
		if !audited[name] {
			wrong = append(wrong, "a row without its audit entry: "+name)
		}
	}
	if len(entries) != len(roles) {
		wrong = append(wrong, fmt.Sprintf("%d audit entries for %d rows", len(entries), len(roles)))
	}
	if err := storetest.Verify(entries); err != nil {
		wrong = append(wrong, err.Error())
	}
	return len(roles) + len(records), wrong
}

// pages calls f with every row.
func pages[R any](t *testing.T, s *Store, f func(*R)) {
	t.Helper()
	q := core.Query{Tenant: core.EveryTenant, Limit: 1000}
	for {
		var rows []R
		next, err := s.List(t.Context(), &rows, q)
		if err != nil {
			t.Fatal(err)
		}
		for i := range rows {
			f(&rows[i])
		}
		if q.After = next; next == "" {
			return
		}
	}
}

func TestSQLiteKill(t *testing.T) {
	killWriters(t, 4, 200, func(t *testing.T, _ int) string { return "sqlite:" + filepath.Join(t.TempDir(), "a.db") })
}

func TestPostgresKill(t *testing.T) {
	killWriters(t, 2, 50, func(t *testing.T, _ int) string { return postgresAddress(t) })
}

// putRole puts one row.
func putRole(name string) func(context.Context, core.Tx) error {
	return func(ctx context.Context, tx core.Tx) error {
		return tx.Put(ctx, &core.Role{Tenant: "acme", Name: name})
	}
}

// What compares must see what is wrong.
func TestSQLiteKillIsSeen(t *testing.T) {
	s := openFile(t, filepath.Join(t.TempDir(), "a.db"))
	for i := range 5 {
		entry := &core.AuditEntry{Tenant: "acme", Action: "role.write", Name: fmt.Sprint(i)}
		if err := s.Change(t.Context(), entry, putRole(fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	acks := []string{"1 0", "1 1", "2 2", "1 3", "1 4"}
	if n, wrong := compareAcks(t, s, acks); n != 5 || wrong != nil {
		t.Fatalf("%d rows, %v", n, wrong)
	}
	if _, wrong := compareAcks(t, s, append(acks, "1 5", "0 1")); len(wrong) != 2 {
		t.Errorf("two lost rows: %v", wrong)
	}
	for _, statement := range []string{
		"DELETE FROM roles WHERE name = '2'",
		"UPDATE audit SET reason = 'other' WHERE seq = 2",
		"UPDATE audit SET name = 'x' WHERE seq = 5",
		"DELETE FROM audit WHERE seq = 3",
		"UPDATE audit SET seq = 7 WHERE seq = 5",
		"UPDATE audit SET prev = hash WHERE seq = 4",
	} {
		if _, err := s.writer.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
		if _, wrong := compareAcks(t, s, acks); len(wrong) == 0 {
			t.Errorf("%s: not seen", statement)
		}
	}
}
