package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// figures is what plugins/bench prints: see there for what each means.
type figures struct {
	Request int           `json:"request"`
	Answer  int           `json:"answer"`
	Guests  []guestFigure `json:"guests"`
	LeftOut []leftOut     `json:"left_out"`
}

// leftOut is what was not measured, and why.
type leftOut struct {
	What string `json:"what"`
	Why  string `json:"why"`
}

type guestFigure struct {
	Name         string                           `json:"name"`
	Module       int64                            `json:"module"`
	Calls        map[string]map[string]callFigure `json:"calls"` // by tool and way
	LoadCold     float64                          `json:"load_cold_ms"`
	LoadWarm     float64                          `json:"load_warm_ms"`
	Instantiate  span                             `json:"instantiate_us"`
	Restore      span                             `json:"restore_us"`
	MemoryStart  int64                            `json:"memory_start"`
	MemoryUsed   int64                            `json:"memory_used"`
	ResidentEach int64                            `json:"resident_each"`
	Throughput   map[string]throughput            `json:"throughput"`
}

type span struct {
	Min    float64 `json:"min"`
	Median float64 `json:"median"`
}

type callFigure struct {
	Thread span    `json:"thread_us"`
	Allocs float64 `json:"allocs"`
	Bytes  float64 `json:"bytes"`
}

type throughput struct {
	CPU float64 `json:"cpu"`
}

// pluginResult is what is known of plugins.
type pluginResult struct {
	figures figures
	http    *rounds // nil = not measured: figures.LeftOut says why
}

// The two candidates of the rounds over HTTP.
const (
	builtIn = "echo" // the invoker kind that does nothing
	inRust  = "rust plugin"
)

// measurePlugins measures calls of guests by plugins/bench, which is a module of its
// own, and then calls over HTTP. What cannot be measured here is left out, with the
// reason: a compiler that is missing, or modules that were never fetched.
func (p *plan) measurePlugins(ctx context.Context, s *stage) (*pluginResult, error) {
	r := &pluginResult{}
	root, err := moduleRoot(ctx)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(s.gateway.dir, "plugins")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	program := filepath.Join(dir, "bench")
	make := exec.CommandContext(ctx, "go", "build", "-o", program, ".") //nolint:gosec // a path of our own
	make.Dir = filepath.Join(root, "plugins", "bench")
	if said, err := make.CombinedOutput(); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		r.leaveOut("calls of plugins", "plugins/bench was not built: "+lastLine(said))
		return r, nil
	}
	args := []string{"-keep", dir}
	if p.quick {
		args = append(args, "-quick")
	}
	cmd := exec.CommandContext(ctx, program, args...) //nolint:gosec // built above
	cmd.Dir = root
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, capped{&complaints}
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("plugins/bench: %w: %s", err, lastLine(complaints.Bytes()))
	}
	if err := json.Unmarshal(out.Bytes(), &r.figures); err != nil {
		return nil, fmt.Errorf("plugins/bench: %w", err)
	}
	if !slices.ContainsFunc(r.figures.Guests, func(g guestFigure) bool { return g.Name == "rust" }) {
		r.leaveOut("calls of a Rust plugin over HTTP", "there is no guest in Rust")
		return r, nil
	}
	r.http, err = p.measurePluginCalls(ctx, s, dir)
	return r, err
}

func (r *pluginResult) leaveOut(what, why string) {
	r.figures.LeftOut = append(r.figures.LeftOut, leftOut{What: what, Why: why})
}

// measurePluginCalls serves both tools with a gateway of its own.
func (p *plan) measurePluginCalls(ctx context.Context, s *stage, dir string) (*rounds, error) {
	g := *s.gateway
	g.dir, g.plugins, g.profile = dir, true, ""
	if s.gateway.profile != "" {
		g.profile = s.gateway.profile + ".plugins"
	}
	if err := os.WriteFile(filepath.Join(dir, "plugin.yaml"), []byte(pluginManifest), 0o600); err != nil {
		return nil, err
	}
	b, err := pluginDocument()
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(g.path(), b, 0o600); err != nil {
		return nil, err
	}
	one, err := g.start(ctx)
	if err != nil {
		return nil, err
	}
	defer one.end()
	both := []candidate{
		{name: builtIn, process: one, target: one.address, kind: "call", tool: "echo"},
		{name: inRust, process: one, target: one.address, kind: "call", tool: "text"},
	}
	return measureRounds(ctx, both, []int{1, 16, 64}, p.pluginRounds, p.pluginEach, 0)
}

// pluginManifest is that of plugins/bench/guests/rust.
const pluginManifest = `apiVersion: sallyport/v1
name: sallyport/bench
version: 1.0.0
abi: sallyport/1
kinds: [invoker]
context: [tool]
tools:
  - {name: text, description: Gives back what it gets., inputSchema: {type: object}}
`

// pluginDocument has two tools that do nothing: one of the gateway, one of a plugin.
func pluginDocument() ([]byte, error) {
	type object = map[string]any
	tool := func(name string, invoker object) object {
		return object{
			"name": name, "description": "Gives back what it gets.", "invoker": invoker,
			"inputSchema": object{
				"type": "object", "additionalProperties": false, "required": []string{"id"},
				"properties": object{"id": object{"type": "string", "pattern": "^[a-z0-9]+$"}},
			},
		}
	}
	return json.MarshalIndent(object{
		"plugins": []object{{"name": "bench", "source": "rust.wasm"}},
		"servers": []object{{"name": "bench", "tools": []object{
			tool("echo", object{"kind": "echo"}),
			tool("text", object{"kind": "wasm", "config": object{"plugin": "bench", "tool": "text"}}),
		}}},
	}, "", " ")
}

func lastLine(said []byte) string {
	lines := strings.Split(strings.TrimSpace(string(said)), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}

// settlePlugins chooses the rounds over HTTP: more and shorter ones than elsewhere, as
// the bar is close to one.
func (p *plan) settlePlugins() {
	p.pluginRounds, p.pluginEach = 11, 400*time.Millisecond
	if p.quick {
		p.pluginRounds, p.pluginEach = 3, 250*time.Millisecond
	}
}
