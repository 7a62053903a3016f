package author

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
	"github.com/sallyport/sallyport/plugins/manifest"
)

// RunOptions say how a plugin is served by itself.
type RunOptions struct {
	Config json.RawMessage // nil = {}
}

// Served is the gateway document that serves one plugin, and what people should know.
type Served struct {
	Name     string   // of the plugin in the document, and of the server: /NAME/mcp
	File     string   // the name that the document is read under: beside the module
	Document []byte   // JSON
	Granted  []string // in words: all that the manifest asks for
	Secrets  []string // names that need values
	Echo     bool     // the server has a tool echo, which the plugin stands before or behind
}

// Document makes the document: one server with all tools of the plugin, which is granted
// all that it asks for. A plugin without tools stands before and behind a tool echo. The
// document has no secrets: the caller adds them to the core.PluginConfig.
func Document(p *Plugin, o RunOptions) (*Served, error) {
	m := p.Manifest
	s := &Served{Name: path.Base(m.Name), File: filepath.Join(p.Dir, ".sallyport-run.json"), Granted: m.Capabilities.Words(), Secrets: m.Capabilities.SecretNames()}
	type object = map[string]any
	plugin := object{"name": s.Name, "source": filepath.Base(p.File), "trust": "off", "digest": p.Digest}
	if o.Config != nil {
		plugin["config"] = o.Config
	}
	if !m.Capabilities.Zero() {
		plugin["grants"] = m.Capabilities
	}
	if m.Limits != (manifest.Limits{}) {
		plugin["limits"] = m.Limits
	}
	server := object{"name": s.Name, "title": m.Name + " " + m.Version, "version": m.Version}
	if m.Is(manifest.Invoker) || m.Is(manifest.ToolCatalogue) {
		server["catalogues"] = []object{{"kind": "wasm", "config": object{"plugin": s.Name}}}
	} else {
		s.Echo = true
		server["tools"] = []object{{
			"name": "echo", "description": "Gives back its arguments, past the plugin " + m.Name + ".",
			"inputSchema": object{"type": "object"}, "invoker": object{"kind": "echo"},
		}}
	}
	if m.Is(manifest.ResponseTransformer) || m.Is(manifest.RequestTransformer) || m.Is(manifest.Authorizer) {
		plugin["match"] = object{}
	}
	var err error
	s.Document, err = json.Marshal(object{"plugins": []object{plugin}, "servers": []object{server}})
	if err != nil {
		return nil, fmt.Errorf("write the document of %s: %w", m.Name, err)
	}
	return s, nil
}

// ReadConfig reads a plugin's configuration from a file of JSON.
func ReadConfig(file string) (json.RawMessage, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &core.Error{Code: core.CodeNotFound, Message: "there is no file " + file, Fix: "name a file of JSON with the plugin's configuration"}
	}
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	if !wire.IsObject(text) {
		return nil, &core.Error{Code: core.CodeInvalid, Message: file + " is no JSON object", Fix: `write {"key": "value"}`}
	}
	if err := wire.Check(text, wire.Default); err != nil {
		return nil, &core.Error{Code: core.CodeInvalid, Message: file + ": " + err.Error(), Fix: `write {"key": "value"}`}
	}
	return text, nil
}
