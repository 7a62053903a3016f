package web

import (
	"context"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/mcp"
	"github.com/sallyport/sallyport/core/session"
)

func testSealer(t *testing.T) core.Sealer {
	t.Helper()
	ring, err := session.NewKeyring(session.KeyringOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return session.NewSealer(ring, nil)
}

func TestSessions(t *testing.T) {
	ctx := context.Background()
	sealer := testSealer(t)
	here, there := NewSessions(SessionOptions{Sealer: sealer}), NewSessions(SessionOptions{Sealer: sealer})
	ann := core.Identity{Subject: "ann", Tenant: "acme", Roles: []string{"reader"}}
	made, err := here.Create(ctx, mcp.Claims{
		Server: "shop", Who: ann, Revision: "2025-11-25",
		Client: core.Client{Name: "probe", Version: "1", Revision: "2025-11-25", Capabilities: json.RawMessage(`{"roots":{}}`)},
	})
	if err != nil {
		t.Fatal(err)
	}
	id := made.ID()
	if len(id) > 1024 || strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r > '~' }) {
		t.Errorf("id %q is not visible ASCII of at most 1 KiB", id)
	}
	if found, err := here.Find(ctx, id, "shop", ann); err != nil || found != made {
		t.Errorf("Find: %v %v, want the same session", found, err)
	}
	if other, err := there.Find(ctx, id, "shop", ann); err != nil || other == made || other.ID() != id {
		t.Errorf("Find on another replica: %v %v, want it made again", other, err)
	}
	for name, find := range map[string]func() (*mcp.Session, error){
		"another server": func() (*mcp.Session, error) { return here.Find(ctx, id, "blog", ann) },
		"another subject": func() (*mcp.Session, error) {
			return here.Find(ctx, id, "shop", core.Identity{Subject: "bob", Tenant: "acme"})
		},
		"another tenant": func() (*mcp.Session, error) {
			return here.Find(ctx, id, "shop", core.Identity{Subject: "ann", Tenant: "evil"})
		},
		"anonymous": func() (*mcp.Session, error) { return here.Find(ctx, id, "shop", core.Identity{}) },
		"a changed id": func() (*mcp.Session, error) {
			return here.Find(ctx, id[:len(id)/2]+flipped(id[len(id)/2:]), "shop", ann)
		},
		"no id": func() (*mcp.Session, error) { return here.Find(ctx, "", "shop", ann) },
	} {
		if _, err := find(); err == nil || core.AsError(err).Code != core.CodeNotFound {
			t.Errorf("%s: %v, want not found", name, err)
		}
	}
	here.End(ctx, id)
	if _, err := here.Find(ctx, id, "shop", ann); core.AsError(err).Code != core.CodeNotFound {
		t.Errorf("Find after End: %v", err)
	}
	if n := here.Len(); n != 0 {
		t.Errorf("%d sessions left", n)
	}
	running, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { there.Run(running); close(done) }()
	cancel()
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		t.Fatal("Run did not end")
	}
	if n := there.Len(); n != 0 {
		t.Errorf("%d sessions left after Run", n)
	}
}

// flipped changes the first character.
func flipped(s string) string {
	if s[0] == 'A' {
		return "B" + s[1:]
	}
	return "A" + s[1:]
}

func TestClaimsText(t *testing.T) {
	for name, claims := range map[string]mcp.Claims{
		"empty": {},
		"plain": {Server: "shop", Revision: "2025-06-18", Client: core.Client{Name: "a", Version: "1", Revision: "2025-06-18"}},
		"full": {
			Server: "shop", Revision: "2025-11-25", SSE: true, Who: core.Identity{Subject: "s", Tenant: "t", Roles: []string{"a", "b"}},
			Client: core.Client{
				Name: "probe", Version: "2", Revision: "2025-11-25",
				Info: json.RawMessage(`{"name":"probe","version":"2","title":"<P>"}`), Capabilities: json.RawMessage(`{"sampling":{}}`),
			},
		},
		"other revision": {Revision: "2025-11-25", Client: core.Client{Revision: "2025-06-18"}},
	} {
		text, err := writeClaims(claims)
		if err != nil {
			t.Fatal(err)
		}
		again, err := readClaims(text)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		// JSON may escape what is raw: compare what it means.
		if a, b := meaning(t, claims), meaning(t, again); !reflect.DeepEqual(a, b) {
			t.Errorf("%s: %v came back as %v", name, a, b)
		}
	}
	for _, text := range []string{"", "{", `{"i":5}`, `[]`} {
		if _, err := readClaims(json.RawMessage(text)); err == nil {
			t.Errorf("readClaims(%q): nil", text)
		}
	}
}

func meaning(t *testing.T, c mcp.Claims) any {
	t.Helper()
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var value any
	if err := json.Unmarshal(text, &value); err != nil {
		t.Fatal(err)
	}
	return value
}
