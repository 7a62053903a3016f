package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// catalogueTools is how many tools the second server of the document has.
const catalogueTools = 300

// document is the gateway document: server bench with the backend as REST tools, and
// server catalogue with many tools. The revision stands in two descriptions, so that
// an answer made of two revisions shows.
func document(backend, slow string, revision int) ([]byte, error) {
	type object = map[string]any
	id := object{
		"type": "object", "additionalProperties": false, "required": []string{"id"},
		"properties": object{"id": object{"type": "string", "description": "Id of the book", "pattern": "^[a-z0-9]+$"}},
	}
	rest := func(connection, path string) object {
		return object{"kind": "rest", "config": object{"connection": connection, "method": "GET", "path": path}}
	}
	mark := fmt.Sprintf("revision-%d.", revision)
	many := make([]object, catalogueTools)
	for i := range many {
		many[i] = object{
			"name": fmt.Sprintf("tool_%03d", i), "title": fmt.Sprintf("Tool %d", i),
			"description": "One of many tools; each has a schema of ordinary size.",
			"annotations": object{"readOnlyHint": true},
			"inputSchema": object{"type": "object", "properties": object{
				"id":    object{"type": "string", "description": "Id of the book", "pattern": "^[a-z0-9]+$"},
				"limit": object{"type": "integer", "minimum": 1, "maximum": 100, "description": "How many"},
			}, "required": []string{"id"}, "additionalProperties": false},
			"invoker": rest("backend", "/books/{id}"),
		}
	}
	return json.MarshalIndent(object{
		"connections": []object{
			{"name": "backend", "baseUrl": "http://" + backend},
			{"name": "slow", "baseUrl": "http://" + slow, "timeouts": object{"firstByte": "60s"}},
		},
		"servers": []object{
			{"name": "bench", "tools": []object{
				{"name": "get_book", "description": "Returns one book, " + mark, "inputSchema": id, "annotations": object{"readOnlyHint": true}, "invoker": rest("backend", "/books/{id}")},
				{"name": "slow", "description": "Never answers, " + mark, "inputSchema": id, "invoker": rest("slow", "/slow/{id}")},
			}},
			{"name": "catalogue", "tools": many},
		},
	}, "", " ")
}

// gateway builds and starts the gateway, and rewrites its document.
type gateway struct {
	binary, dir   string
	backend, slow string
	profile       string // file for a CPU profile; "" = none
	plugins       bool   // it loads plugins that nobody signed
	guarded       bool   // it asks callers who they are
	revision      int
}

// build compiles the tree that the working directory is in, as `make build` does.
func build(ctx context.Context, into string) (string, error) {
	root, err := moduleRoot(ctx)
	if err != nil {
		return "", err
	}
	binary := filepath.Join(into, "sallyport")
	cmd := exec.CommandContext(ctx, "go", "build", "-ldflags", "-s -w", "-o", binary, ".") //nolint:gosec // a path of our own
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if said, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the gateway: %w\n%s", err, said)
	}
	return binary, nil
}

// moduleRoot is the folder of the module that the working directory is in.
func moduleRoot(ctx context.Context) (string, error) {
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	return strings.TrimSpace(string(root)), nil
}

func (g *gateway) path() string { return filepath.Join(g.dir, "bench.json") }

// write puts the next revision of the document in place, whole at once.
func (g *gateway) write() error {
	g.revision++
	b, err := document(g.backend, g.slow, g.revision)
	if err != nil {
		return err
	}
	next := g.path() + ".next"
	if err := os.WriteFile(next, b, 0o600); err != nil {
		return err
	}
	return os.Rename(next, g.path())
}

// start starts a gateway that listens on a free port.
func (g *gateway) start(ctx context.Context) (*process, error) {
	binary, args := g.binary, []string{"serve"}
	if g.profile != "" {
		self, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("find this program: %w", err)
		}
		binary, args = self, []string{"profiled", g.profile, "serve"}
	}
	if g.plugins {
		args = append(args, "--plugins-trust", "off")
	}
	if !g.guarded {
		args = append(args, "--access-callers", "open", "--admin-listen", "off", "--audit-calls", "off")
	} else {
		args = append(args, "--access-calls-per-second", "0", "--admin-token", guardToken)
	}
	return spawn(ctx, "sallyport", true, binary, append(args,
		"--config", g.path(), "--data", filepath.Join(g.dir, "data"), "--listen", "127.0.0.1:0",
		"--egress-allow", "127.0.0.1/32", "--limits-connections-per-address", "30000", "--drain-lag", "0s", "--log-requests", "failed")...)
}

// fetch reads a URL of one of our processes.
func fetch(ctx context.Context, url string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	request.Close = true // no idle connection that a later count would see
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	b, err := io.ReadAll(io.LimitReader(response.Body, 8<<20))
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: status %d", url, response.StatusCode)
	}
	return b, err
}

// metric sums the samples of a metric of the gateway whose line holds label.
func metric(ctx context.Context, p *process, name, label string) (float64, error) {
	b, err := fetch(ctx, "http://"+p.address+"/metrics")
	if err != nil {
		return 0, err
	}
	sum, found := 0.0, false
	for line := range bytes.Lines(b) {
		text := strings.TrimSpace(string(line))
		rest, is := strings.CutPrefix(text, name)
		if !is || rest == "" || (rest[0] != ' ' && rest[0] != '{') || !strings.Contains(text, label) {
			continue
		}
		n, err := strconv.ParseFloat(text[strings.LastIndexByte(text, ' ')+1:], 64)
		if err != nil {
			return 0, fmt.Errorf("metric %s: %w", name, err)
		}
		sum, found = sum+n, true
	}
	if !found {
		return 0, fmt.Errorf("the gateway has no metric %s", name)
	}
	return sum, nil
}
