package app

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/store/storetest"
)

// shared are the flags that the replicas of a test have in common: a database, and the key
// that seals secrets.
func shared(t *testing.T) []string {
	t.Helper()
	return []string{"--store-url", storetest.Postgres(t, os.Getenv, "t"+strings.ToLower(rand.Text())), "--store-key", "k1:" + key32(t)}
}

// shopOf is a document with some tools.
func shopOf(tools ...string) string {
	var text strings.Builder
	text.WriteString("servers:\n  - name: shop\n    tools:\n")
	for _, tool := range tools {
		fmt.Fprintf(&text, "      - {name: %s, invoker: {kind: echo}}\n", tool)
	}
	return text.String()
}

// write saves the draft of the shop, and returns its ETag.
func (r *house) write(text string) string {
	r.t.Helper()
	header := []string{"If-None-Match", "*"}
	if before := r.send("GET", "/api/v1/documents/shop/draft", operatorToken, nil); before.status == 200 {
		header = []string{"If-Match", before.header.Get("ETag")}
	}
	got := r.send("PUT", "/api/v1/documents/shop/draft", operatorToken, map[string]any{"text": text}, header...)
	if got.status != 200 && got.status != 201 {
		r.t.Fatalf("%d %s", got.status, got.body)
	}
	return got.header.Get("ETag")
}

// works tells whether a tool of the shop answers.
func (r *house) works(token, tool string) bool {
	got := r.tool("/shop/mcp", token, tool, map[string]any{"a": 1})
	return got.status == 200 && strings.Contains(got.body, `"content"`)
}

// What is changed on one replica holds on the others: on one that only hears of it (it
// polls once a minute), and on one that only polls.
func TestPostgresReplicas(t *testing.T) {
	flags := shared(t)
	told := append(slices.Clone(flags), "--store-poll", "1m")
	a := serveIn(t, t.TempDir(), "", told...)
	b := serveIn(t, t.TempDir(), "", told...)
	c := serveIn(t, t.TempDir(), "", append(deaf(t, flags), "--store-poll", "200ms")...)
	all := []*house{a, b, c}
	everywhere := func(what string, f func(r *house) bool) {
		t.Helper()
		for i, r := range all {
			eventually(t, fmt.Sprintf("%s, on replica %d", what, i), func() bool { return f(r) })
		}
	}

	a.write(shopOf("get"))
	a.admin("POST", "/documents/publish", map[string]any{"names": []string{"shop"}})
	token, spare, other := a.program("default", "robot", []string{"member"}), a.program("default", "spare", []string{"member"}), a.program("default", "other", []string{"member"})
	everywhere("what was published is served", func(r *house) bool { return r.works(token, "get") })
	session := b.session(token)

	b.write(shopOf("get", "put"))
	b.admin("POST", "/documents/publish", map[string]any{"names": []string{"shop"}})
	everywhere("the next version is served", func(r *house) bool { return r.works(token, "put") })
	served := a.send("GET", "/api/v1/documents/shop", operatorToken, nil)
	a.admin("POST", "/documents/shop/rollback", map[string]any{"number": 1}, "If-Match", served.header.Get("ETag"))
	everywhere("the version before is served again", func(r *house) bool { return r.works(token, "get") && !r.works(token, "put") })

	a.admin("POST", "/roles", map[string]any{"name": "careful"})
	policy := a.admin("POST", "/policies", map[string]any{"role": "member", "kind": "tool", "action": "call", "match": "shop/get", "deny": true})
	everywhere("a policy holds", func(r *house) bool { return !r.works(token, "get") })
	etag := b.send("GET", "/api/v1/policies/"+fmt.Sprint(policy["id"]), operatorToken, nil).header.Get("ETag")
	b.admin("DELETE", "/policies/"+fmt.Sprint(policy["id"]), nil, "If-Match", etag)
	everywhere("a policy that is gone does not", func(r *house) bool { return r.works(token, "get") })

	tokens := a.admin("GET", "/tokens", nil)["items"].([]any)
	for _, one := range tokens {
		row := one.(map[string]any)
		if fmt.Sprint(row["user"]) == a.userNamed("spare") {
			a.admin("DELETE", "/tokens/"+fmt.Sprint(row["id"]), nil, "If-Match", "*")
		}
	}
	everywhere("a token that was revoked is refused", func(r *house) bool { return r.tool("/shop/mcp", spare, "get", nil).status == 401 })

	user := b.userNamed("other")
	before := b.send("GET", "/api/v1/users/"+user, operatorToken, nil)
	b.admin("PUT", "/users/"+user, map[string]any{"name": "other", "service": true, "roles": []string{"member"}, "disabled": true}, "If-Match", before.header.Get("ETag"))
	everywhere("who is disabled is refused", func(r *house) bool { return r.tool("/shop/mcp", other, "get", nil).status == 401 })

	// A session is in the memory of one replica, and all learn of it.
	id := ""
	for deadline := time.Now().Add(3 * pulseEvery); id == "" && time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		for _, one := range a.admin("GET", "/sessions", nil)["items"].([]any) {
			id = fmt.Sprint(one.(map[string]any)["id"])
		}
	}
	if got := b.inSession(session, token); got.status != 200 {
		t.Fatalf("the session does not work: %d %s", got.status, got.body)
	}
	a.admin("DELETE", "/sessions/"+id, nil)
	eventually(t, "the session is over", func() bool { return b.inSession(session, token).status == 404 })
}

// deaf are flags for the same tables, under which a replica hears of no change: its hints
// are of another schema.
func deaf(t *testing.T, flags []string) []string {
	t.Helper()
	flags = slices.Clone(flags)
	own := storetest.Postgres(t, os.Getenv, "t"+strings.ToLower(rand.Text()))
	at, err := url.Parse(own)
	if err != nil {
		t.Fatal(err)
	}
	flags[1] = strings.Replace(flags[1], "search_path=", "search_path="+at.Query().Get("search_path")+"%2C", 1)
	return flags
}

func (r *house) userNamed(name string) string {
	r.t.Helper()
	for _, one := range r.admin("GET", "/users", nil)["items"].([]any) {
		if row := one.(map[string]any); row["name"] == name {
			return fmt.Sprint(row["id"])
		}
	}
	r.t.Fatalf("there is no user %s", name)
	return ""
}

// session opens a session of the shop, and returns its id.
func (r *house) session(token string) string {
	r.t.Helper()
	got := r.send("POST", "/shop/mcp", token, map[string]any{"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": map[string]any{
		"protocolVersion": "2025-06-18", "capabilities": map[string]any{}, "clientInfo": map[string]any{"name": "test", "version": "1"},
	}}, "Accept", "application/json, text/event-stream")
	id := got.header.Get("Mcp-Session-Id")
	if got.status != 200 || id == "" {
		r.t.Fatalf("%d %s", got.status, got.body)
	}
	r.send("POST", "/shop/mcp", token, map[string]any{"jsonrpc": "2.0", "method": "notifications/initialized"},
		"Accept", "application/json, text/event-stream", "Mcp-Session-Id", id, "MCP-Protocol-Version", "2025-06-18")
	return id
}

func (r *house) inSession(id, token string) reply {
	r.t.Helper()
	return r.send("POST", "/shop/mcp", token, map[string]any{"jsonrpc": "2.0", "id": 2, "method": "tools/list"},
		"Accept", "application/json, text/event-stream", "Mcp-Session-Id", id, "MCP-Protocol-Version", "2025-06-18")
}

// A login of one replica is one of the others, and ends there too.
func TestPostgresReplicasLogins(t *testing.T) {
	flags := shared(t)
	a := serveIn(t, t.TempDir(), "", flags...)
	b := serveIn(t, t.TempDir(), "", flags...)
	// The one that started last knows the token.
	eventually(t, "the setup token is printed", func() bool { return strings.Contains(b.out.String(), "setup token:") })
	_, after, _ := strings.Cut(b.out.String(), "setup token:")
	setup := strings.Fields(after)[0]
	form := map[string]any{"token": setup, "name": "ada", "password": "correct horse battery"}
	if got := a.send("POST", "/api/v1/setup", "", form, "Origin", a.origin); got.status >= 300 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	made := a.send("POST", "/api/v1/login", "", map[string]any{"name": "ada", "password": "correct horse battery"}, "Origin", a.origin)
	cookie, _, _ := strings.Cut(made.header.Get("Set-Cookie"), ";")
	var login struct{ CSRF string }
	if err := json.Unmarshal([]byte(made.body), &login); err != nil || made.status != 200 || cookie == "" {
		t.Fatalf("%d %s", made.status, made.body)
	}
	for _, r := range []*house{a, b} {
		if got := r.send("GET", "/api/v1/me", "", nil, "Cookie", cookie); got.status != 200 {
			t.Errorf("%d %s", got.status, got.body)
		}
	}
	if got := a.send("POST", "/api/v1/logout", "", nil, "Cookie", cookie, "Origin", a.origin, "X-CSRF-Token", login.CSRF); got.status != 204 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	eventually(t, "the login is over on the other replica", func() bool {
		return b.send("GET", "/api/v1/me", "", nil, "Cookie", cookie).status == 401
	})
}

// Of two who publish the same draft, or save it, at the same moment on two replicas, one
// does, and the other is told.
func TestPostgresReplicasPublishAtOnce(t *testing.T) {
	flags := shared(t)
	all := []*house{serveIn(t, t.TempDir(), "", flags...), serveIn(t, t.TempDir(), "", flags...)}
	for round := range 10 {
		etag := all[0].write(shopOf("get", fmt.Sprint("tool", round)))
		saved := race(all, func(i int, r *house) reply {
			return r.send("PUT", "/api/v1/documents/shop/draft", operatorToken, map[string]any{"text": shopOf("get", fmt.Sprint("of", i, "_", round))}, "If-Match", etag)
		})
		oneWins(t, "save", saved)
		etag = all[0].send("GET", "/api/v1/documents/shop/draft", operatorToken, nil).header.Get("ETag")
		oneWins(t, "publish", race(all, func(_ int, r *house) reply {
			return r.send("POST", "/api/v1/documents/shop/publish", operatorToken, map[string]any{"reason": "at once"}, "If-Match", etag)
		}))
		if n := len(all[1].admin("GET", "/documents/shop/versions", nil)["items"].([]any)); n != round+1 {
			t.Fatalf("%d versions after %d publications", n, round+1)
		}
	}
	etag := all[0].send("GET", "/api/v1/documents/shop", operatorToken, nil).header.Get("ETag")
	oneWins(t, "roll back", race(all, func(i int, r *house) reply {
		return r.send("POST", "/api/v1/documents/shop/rollback", operatorToken, map[string]any{"number": i + 1}, "If-Match", etag)
	}))
}

// race asks all at once.
func race(all []*house, ask func(i int, r *house) reply) []reply {
	got := make([]reply, len(all))
	var work sync.WaitGroup
	begin := make(chan struct{})
	for i, r := range all {
		work.Go(func() {
			<-begin
			got[i] = ask(i, r)
		})
	}
	close(begin)
	work.Wait()
	return got
}

func oneWins(t *testing.T, what string, got []reply) {
	t.Helper()
	won := 0
	for _, one := range got {
		switch {
		case one.status == 200:
			won++
		case one.status != 409 && one.status != 412, !strings.Contains(one.body, `"fix"`):
			t.Errorf("%s: %d %s", what, one.status, one.body)
		}
	}
	if won != 1 {
		t.Errorf("%s: %d of %d did: %v", what, won, len(got), got)
	}
}

// A replica that is killed takes nobody else with it: no call of the others fails, what it
// acknowledged stays, every call is recorded once, by the replica that answered it, and the
// trail of them all verifies.
func TestPostgresReplicaKilled(t *testing.T) {
	flags := append(shared(t), "--audit-strict", "true")
	a := serveIn(t, t.TempDir(), "", flags...)
	victim, kill := serveProcess(t, t.TempDir(), flags...)
	c := serveIn(t, t.TempDir(), "", flags...)
	a.write(shopOf("get"))
	a.admin("POST", "/documents/publish", map[string]any{"names": []string{"shop"}})
	token := a.program("default", "robot", []string{"member"})
	all := []*house{a, victim, c}
	for _, r := range all {
		eventually(t, "all serve", func() bool { return r.rpc("/shop/mcp", token, "tools/list", "", nil).status == 200 })
	}
	var answered, failed [3]atomic.Int64
	loading, stop := context.WithCancel(t.Context())
	defer stop()
	var load sync.WaitGroup
	for i, r := range all {
		for range 2 {
			load.Go(func() {
				for loading.Err() == nil {
					if r.works(token, "get") {
						answered[i].Add(1)
					} else {
						failed[i].Add(1)
					}
					time.Sleep(5 * time.Millisecond)
				}
			})
		}
	}
	var acknowledged []string
	var ending sync.WaitGroup
	defer ending.Wait()
	for i := range 10_000 {
		name := fmt.Sprint("role", i)
		if i >= 20 && answered[1].Load() >= 20 {
			ending.Go(kill)
		}
		if victim.send("POST", "/api/v1/roles", operatorToken, map[string]any{"name": name}).status != 201 {
			break
		}
		acknowledged = append(acknowledged, name)
	}
	time.Sleep(2 * time.Second)
	stop()
	load.Wait()
	t.Logf("answered %d, %d (killed) and %d calls; %d changes acknowledged", answered[0].Load(), answered[1].Load(), answered[2].Load(), len(acknowledged))
	for _, i := range []int{0, 2} {
		if failed[i].Load() > 0 || answered[i].Load() == 0 {
			t.Errorf("replica %d: %d calls answered, %d failed", i, answered[i].Load(), failed[i].Load())
		}
	}
	if answered[1].Load() == 0 || failed[1].Load() == 0 || len(acknowledged) < 20 {
		t.Error("the replica was not killed under load")
	}
	for _, name := range acknowledged {
		if got := c.send("GET", "/api/v1/roles/"+name, operatorToken, nil); got.status != 200 {
			t.Errorf("%s was acknowledged and is lost: %d", name, got.status)
		}
	}

	seen, by := map[string]bool{}, map[string]int64{}
	for after := ""; ; {
		page := c.admin("GET", "/calls?limit=1000&after="+after, nil)
		for _, one := range page["items"].([]any) {
			row := one.(map[string]any)
			if id := fmt.Sprint(row["id"]); seen[id] {
				t.Errorf("%s is recorded twice", id)
			} else {
				seen[id] = true
			}
			by[fmt.Sprint(row["replica"])]++
		}
		if after, _ = page["next"].(string); after == "" {
			break
		}
	}
	var counts, want []int64
	for _, n := range by {
		counts = append(counts, n)
	}
	for i := range all {
		want = append(want, answered[i].Load())
	}
	slices.Sort(counts)
	if len(counts) != 3 {
		t.Fatalf("calls of %d replicas are recorded", len(counts))
	}
	for _, i := range []int{0, 2} {
		if !slices.Contains(counts, want[i]) {
			t.Errorf("recorded %v, answered %v", counts, want)
		}
	}
	// The killed one may have recorded calls whose answers it did not give any more, one a client.
	if sum, answers := counts[0]+counts[1]+counts[2], want[0]+want[1]+want[2]; sum < answers || sum > answers+2 {
		t.Errorf("recorded %v, answered %v", counts, want)
	}
	for _, r := range []*house{a, c} {
		if code := r.stop(); code != 0 {
			t.Errorf("exit code %d", code)
		}
	}
	t.Setenv("SALLYPORT_STORE_URL", flags[1])
	t.Setenv("SALLYPORT_STORE_KEY", flags[3])
	t.Log(typed(t, 0, "audit", "verify", "--data", t.TempDir()))
}

// A program goes on serving and changing while a newer one brings the tables further, and
// starts again after that, until the tables say that it may not.
func TestPostgresReplicasOlder(t *testing.T) {
	flags := shared(t)
	a := serveIn(t, t.TempDir(), "", flags...)
	a.write(shopOf("get"))
	a.admin("POST", "/documents/publish", map[string]any{"names": []string{"shop"}})
	token := a.program("default", "robot", []string{"member"})
	loading, stop := context.WithCancel(t.Context())
	defer stop()
	var calls, failed, changes atomic.Int64
	var load sync.WaitGroup
	load.Go(func() {
		for loading.Err() == nil {
			if a.works(token, "get") {
				calls.Add(1)
			} else {
				failed.Add(1)
			}
		}
	})
	load.Go(func() {
		for i := 0; loading.Err() == nil; i++ {
			if a.send("POST", "/api/v1/roles", operatorToken, map[string]any{"name": fmt.Sprint("role", i)}).status == 201 {
				changes.Add(1)
			} else {
				failed.Add(1)
			}
		}
	})
	db, err := sql.Open("pgx", flags[1])
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	next := func(statements ...string) {
		t.Helper()
		for _, statement := range statements {
			if _, err := db.ExecContext(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
		}
	}
	// What a migration that older programs live with does: tables and columns that they do not know.
	next("BEGIN; CREATE TABLE later (id TEXT PRIMARY KEY); ALTER TABLE users ADD COLUMN later TEXT; ALTER TABLE calls ADD COLUMN later TEXT; " +
		"INSERT INTO schema_version (number, name, compatible_from, applied, replica) SELECT max(number) + 1, 'later', 1, 0, '' FROM schema_version; COMMIT")
	before := changes.Load()
	eventually(t, "changes go on", func() bool { return changes.Load() > before+5 })
	a.program("default", "later", []string{"member"})
	b := serveIn(t, t.TempDir(), "", flags...)
	eventually(t, "one that starts serves", func() bool { return b.works(token, "get") })
	b.program("default", "latest", []string{"member"})

	next("UPDATE schema_version SET compatible_from = number WHERE name = 'later'")
	out, log := &lines{}, &lines{}
	if code := Main(t.Context(), append(usual(t.TempDir()), flags...), out, log); code != 1 || !strings.Contains(log.String(), "needs a program that knows number") {
		t.Errorf("exit code %d\n%s%s", code, out, log)
	}
	stop()
	load.Wait()
	t.Logf("%d calls, %d changes, %d failed", calls.Load(), changes.Load(), failed.Load())
	if failed.Load() > 0 || calls.Load() == 0 {
		t.Errorf("%d calls, %d failed:\n%s", calls.Load(), failed.Load(), a.log)
	}
}

// serveProcess starts a gateway as a process of its own, which kill ends at once.
func serveProcess(t *testing.T, data string, flags ...string) (r *house, kill func()) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "sallyport") // the test program is sallyport when it is called so
	if err := os.Symlink(self, program); err != nil {
		t.Fatal(err)
	}
	r = &house{t: t, data: data, out: &lines{}, log: &lines{}, client: newClient()}
	process := exec.CommandContext(context.WithoutCancel(t.Context()), program, append(usual(data), flags...)...)
	process.Stdout, process.Stderr = r.out, r.log
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	kill = func() {
		once.Do(func() {
			_ = process.Process.Kill()
			_ = process.Wait() // it was killed
			r.client.CloseIdleConnections()
		})
	}
	t.Cleanup(kill)
	eventually(t, "the process listens", func() bool {
		_, after, found := strings.Cut(r.out.String(), "listening on ")
		r.origin, _, _ = strings.Cut(after, "\n")
		return found && strings.Contains(after, "\n")
	})
	return r, kill
}
