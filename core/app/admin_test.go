package app

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// typed runs a command of sallyport as it is typed, in this process.
func typed(t *testing.T, want int, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	if code := Main(context.Background(), args, &out, &errs); code != want {
		t.Fatalf("sallyport %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), code, want, &out, &errs)
	}
	return out.String()
}

// From the setup token to a document that is served, by commands only; then the store by
// itself, when the gateway has ended; then a backup in another place.
func TestAdminCommands(t *testing.T) {
	data, dir := t.TempDir(), t.TempDir()
	r := serveIn(t, data, "", "--plugins-trust", "off")
	_, after, found := strings.Cut(r.out.String(), "setup token:")
	if !found {
		eventually(t, "the setup token is printed", func() bool {
			_, after, found = strings.Cut(r.out.String(), "setup token:")
			return found
		})
	}
	token := strings.Fields(after)[0]
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	password := write("password", "correct horse battery\n")
	operator := write("token", operatorToken+"\n")
	typed(t, 1, "admin", "setup", "--url", r.origin, "--token", "wrong", "--password-file", password)
	typed(t, 0, "admin", "setup", "--url", r.origin, "--token", token, "--name", "ada", "--password-file", password)
	typed(t, 1, "admin", "setup", "--url", r.origin, "--token", token, "--name", "eve", "--password-file", password)

	typed(t, 1, "admin", "users", "list", "--url", "http://gateway.example", "--token-file", operator) // in the clear

	to := []string{"--url", r.origin, "--token-file", operator}
	admin := func(args ...string) string {
		t.Helper()
		return typed(t, 0, append(append([]string{"admin"}, args...), to...)...)
	}
	if made := admin("users", "add", "grace", "--role", "publisher"); !strings.Contains(made, "temporary password") {
		t.Error(made)
	}
	admin("users", "add", "robot", "--service", "--role", "member")
	if list := admin("users", "list"); !strings.Contains(list, "grace") || !strings.Contains(list, "ada") {
		t.Error(list)
	}
	minted := strings.TrimSpace(admin("tokens", "mint", "robot", "--expires", "1h"))
	document := write("shop.yaml", "# a shop\nservers:\n  - name: shop\n    tools:\n      - {name: get, invoker: {kind: echo}}\n")
	admin("import", document)
	if r.rpc("/shop/mcp", minted, "tools/list", "", nil).status != 404 {
		t.Error("a draft is served")
	}
	if diff := admin("documents", "diff", "shop"); !strings.Contains(diff, "+servers:") {
		t.Error(diff)
	}
	admin("documents", "publish", "shop", "--reason", "we sell")
	if got := r.tool("/shop/mcp", minted, "get", map[string]any{"a": 1}); got.status != 200 {
		t.Errorf("%d %s", got.status, got.body)
	}
	if text := admin("documents", "get", "shop"); !strings.HasPrefix(text, "# a shop\n") {
		t.Error(text)
	}
	if versions := admin("documents", "versions", "shop"); !strings.Contains(versions, "we sell") {
		t.Error(versions)
	}
	admin("users", "disable", "robot")
	if got := r.tool("/shop/mcp", minted, "get", nil); got.status != 401 {
		t.Errorf("a disabled user calls: %d %s", got.status, got.body)
	}
	admin("users", "enable", "robot")
	if got := r.tool("/shop/mcp", minted, "get", nil); got.status != 401 {
		t.Errorf("a token of before works again: %d %s", got.status, got.body)
	}
	minted = strings.TrimSpace(admin("tokens", "mint", "robot"))
	module := write("speaker.wasm", string(speaker(t, "1.0.0", "one")))
	if said := admin("modules", "upload", module, "--reason", "we speak"); !strings.Contains(said, "uploaded acme-speaker 1.0.0 (sha256:") || !strings.Contains(said, "asks for     nothing") {
		t.Error(said)
	}
	if list := admin("modules", "list"); !strings.Contains(list, "waiting") {
		t.Error(list)
	}
	typed(t, 1, append([]string{"admin", "modules", "approve", "acme-speaker", "--digest", "sha256:0"}, to...)...)
	if said := admin("modules", "approve", "acme-speaker"); !strings.Contains(said, "source: store:acme-speaker") {
		t.Error(said)
	}
	if said := admin("modules", "upload", module); !strings.Contains(said, "approved already") {
		t.Error(said)
	}
	admin("modules", "upload", write("next.wasm", string(speaker(t, "2.0.0", "two"))))
	admin("modules", "delete", "acme-speaker", "--waiting")
	copied := filepath.Join(dir, "copied.wasm")
	admin("modules", "download", "acme-speaker", "--out", copied)
	if a, err := os.ReadFile(copied); err != nil || !bytes.Equal(a, speaker(t, "1.0.0", "one")) {
		t.Error("another module came back", err)
	}
	admin("import", write("talk.yaml", speaking("")), "--publish")
	typed(t, 1, append([]string{"admin", "modules", "delete", "acme-speaker"}, to...)...) // it is in use
	if got := r.tool("/talk/mcp", minted, "say", nil); !strings.Contains(got.body, `"one"`) {
		t.Errorf("%d %s", got.status, got.body)
	}
	archive := filepath.Join(dir, "documents.tar.gz")
	admin("export", "--out", archive)
	if said := typed(t, 1, append([]string{"admin", "users", "reset", "nobody"}, to...)...); said != "" {
		t.Error(said)
	}

	// A running gateway holds its SQLite store.
	if os.Getenv("SALLYPORT_TEST_STORE") == "" {
		typed(t, 1, "admin", "users", "list", "--data", data)
	}
	if code := r.stop(); code != 0 {
		t.Errorf("exit code %d\n%s", code, r.log)
	}
	if os.Getenv("SALLYPORT_TEST_STORE") != "" {
		return // the rest is about a store that the data directory holds
	}
	if list := typed(t, 0, "admin", "users", "list", "--data", data); !strings.Contains(list, "robot") {
		t.Error(list)
	}
	if said := typed(t, 0, "audit", "verify", "--data", data); !strings.Contains(said, "entries") {
		t.Error(said)
	}
	trail := filepath.Join(dir, "trail.jsonl")
	typed(t, 0, "audit", "export", "--data", data, "--out", trail)
	typed(t, 0, "audit", "verify", "--data", data, "--file", trail)
	text, err := os.ReadFile(trail)
	if err != nil {
		t.Fatal(err)
	}
	for _, action := range []string{"user.write", "document.publish", "token.write", "plugin.approve"} {
		if !bytes.Contains(text, []byte(action)) && !bytes.Contains(text, []byte(strings.TrimSuffix(action, ".write"))) {
			t.Errorf("the trail does not tell of %s", action)
		}
	}
	if err := os.WriteFile(trail, bytes.Replace(text, []byte("we sell"), []byte("we lied"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	typed(t, 1, "audit", "verify", "--data", data, "--file", trail)

	backup := filepath.Join(dir, "all.backup")
	typed(t, 0, "admin", "backup", "--data", data, "--out", backup)
	typed(t, 1, "admin", "restore", "--data", data, backup) // it is not empty
	there := t.TempDir()
	for _, file := range []string{"vault-keys.json", "vault-root.json"} {
		b, err := os.ReadFile(filepath.Join(data, file))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(there, file), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	typed(t, 0, "admin", "restore", "--data", there, backup)
	again := serveIn(t, there, "", "--plugins-trust", "off")
	if got := again.tool("/talk/mcp", minted, "say", nil); !strings.Contains(got.body, `"one"`) {
		t.Errorf("a module from the backup: %d %s", got.status, got.body)
	}
	if got := again.tool("/shop/mcp", minted, "get", map[string]any{"a": 1}); got.status != 200 {
		t.Errorf("from the backup: %d %s", got.status, got.body)
	}
	var list struct{ Items []struct{ Name string } }
	if err := json.Unmarshal([]byte(again.send("GET", "/api/v1/users", operatorToken, nil).body), &list); err != nil || len(list.Items) != 3 {
		t.Errorf("%v %v", list, err)
	}
}

// Whoever may open the store of a gateway that is stopped needs no token to set it up.
func TestAdminSetupOnTheStore(t *testing.T) {
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("correct horse battery"), 0o600); err != nil {
		t.Fatal(err)
	}
	data := t.TempDir()
	typed(t, 0, "admin", "setup", "--data", data, "--name", "ada", "--password-file", password)
	if list := typed(t, 0, "admin", "users", "list", "--data", data); !strings.Contains(list, "ada") {
		t.Error(list)
	}
	typed(t, 1, "admin", "setup", "--data", data, "--name", "eve", "--password-file", password)
}
