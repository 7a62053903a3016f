package interop

import (
	"encoding/json"
	"errors"
	"os/exec"
	"slices"
	"testing"
	"time"
)

const (
	inspector = "node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js"
	// inspectorToolError is its exit code for a result with isError.
	inspectorToolError = 5
)

func TestInspectorHTTPLegacy(t *testing.T) { inspect(t, "http", "legacy", "/mcp") }
func TestInspectorHTTPModern(t *testing.T) { inspect(t, "http", "modern", "/mcp") }
func TestInspectorSSE(t *testing.T)        { inspect(t, "sse", "legacy", "/sse") }

// inspect lists and calls everything with the Inspector's command line, a process and
// a connection for each request.
func inspect(t *testing.T, transport, era, door string) {
	t.Helper()
	node(t)
	s := readScript(t)
	url := quickstart.url(t) + s.Endpoint + door
	ask := func(t *testing.T, isError bool, method string, args ...string) string {
		t.Helper()
		args = append([]string{inspector, "--cli", url, "--transport", transport, "--protocol-era", era, "--quiet", "--connect-timeout", "60000", "--method", method}, args...)
		stdout, stderr, err := run(t, 2*time.Minute, args...)
		var exit *exec.ExitError
		if isError && errors.As(err, &exit) && exit.ExitCode() == inspectorToolError {
			err = nil
		} else if isError && err == nil {
			t.Errorf("exit code 0 for a tool that fails")
		}
		if err != nil {
			t.Fatalf("%v\n%s\n%s", err, ending(stdout), ending(stderr))
		}
		return stdout
	}
	list := func(method, field, key string, wanted []string) {
		t.Run(method, func(t *testing.T) {
			var answer map[string]json.RawMessage
			decode(t, ask(t, false, method), &answer)
			var things []map[string]any
			decode(t, string(answer[field]), &things)
			var listed []string
			for _, thing := range things {
				name, _ := thing[key].(string)
				listed = append(listed, name)
			}
			sameSet(t, listed, wanted)
		})
	}

	var tools, prompts, resources, templates []string
	for _, c := range s.Tools {
		tools = append(tools, c.Name)
	}
	for _, p := range s.Prompts {
		prompts = append(prompts, p.Name)
	}
	for _, r := range s.Resources {
		resources = append(resources, r.URI)
	}
	for _, r := range s.Templates {
		templates = append(templates, r.URITemplate)
	}
	list("tools/list", "tools", "name", tools)
	list("prompts/list", "prompts", "name", prompts)
	list("resources/list", "resources", "uri", resources)
	list("resources/templates/list", "resourceTemplates", "uriTemplate", templates)

	order := ""
	for _, c := range s.Tools {
		args := encode(t, c.filled(order))
		t.Run("tools/call "+c.Name+" "+args, func(t *testing.T) {
			stdout := ask(t, c.Error, "tools/call", "--tool-name", c.Name, "--tool-args-json", args)
			var result any
			decode(t, stdout, &result)
			text := encode(t, result)
			holds(t, text, c.Contains)
			if c.Save {
				order = orderID.FindString(text)
			}
		})
	}
	for _, p := range s.Prompts {
		t.Run("prompts/get "+p.Name, func(t *testing.T) {
			args := []string{"--prompt-name", p.Name, "--prompt-args"}
			for name, value := range p.Arguments {
				args = append(args, name+"="+value)
			}
			holds(t, ask(t, false, "prompts/get", args...), p.Contains)
		})
	}
	for _, r := range slices.Concat(s.Resources, s.Templates) {
		t.Run("resources/read "+r.URI, func(t *testing.T) {
			holds(t, ask(t, false, "resources/read", "--uri", r.URI), r.Contains)
		})
	}
}
