package registry

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
	"github.com/sallyport/sallyport/plugins/manifest"
	"github.com/sallyport/sallyport/plugins/trust"
)

// Media types.
const (
	TypeConfig    = "application/vnd.wasm.config.v0+json"              // CNCF wasm OCI artifact
	TypeModule    = "application/wasm"                                 // the same
	TypeManifest  = "application/vnd.sallyport.plugin.v1+yaml"         // plugin.yaml
	TypeSignature = "application/vnd.sallyport.signature.v1+text"      // layer, and artifactType of the referrer
	TypeCosign    = "application/vnd.dev.cosign.simplesigning.v1+json" // layer of cosign's signatures
	TypeCosignRef = "application/vnd.dev.cosign.artifact.sig.v1+json"  // artifactType, where cosign writes referrers
)

// cosignAnnotation holds the signature of a layer with cosign's payload.
const cosignAnnotation = "dev.cosignproject.cosign/signature"

// Bounds, in bytes, of what is fetched. The module's is wasm.md section 8.
const (
	MaxModule = 32 << 20
	maxOCI    = 256 << 10
	maxConfig = 64 << 10
)

// Artifact is one plugin version, whole: its digest covers every other field except
// Signatures, which are only claims.
type Artifact struct {
	Digest     string // sha256:… of OCI; what is pinned and signed
	OCI        []byte // the OCI manifest
	Config     []byte
	Module     []byte
	PluginYAML []byte // nil when the module carries its manifest itself
	Signatures []trust.Signature
}

// Manifest reads the plugin's manifest, from plugin.yaml, the module, or both when
// they agree.
func (a *Artifact) Manifest() (*manifest.Manifest, error) {
	return manifest.Load(a.Digest, a.PluginYAML, a.Module)
}

// wasmConfig is the config of the CNCF layout. Created is fixed: the same plugin has
// the same digest wherever and whenever it is packed.
type wasmConfig struct {
	Created      string   `json:"created"`
	Architecture string   `json:"architecture"`
	OS           string   `json:"os"`
	LayerDigests []string `json:"layerDigests"`
}

// Pack makes the artifact of a module and its plugin.yaml (nil: the manifest is in the
// module). The same bytes make the same artifact, so a plugin in files has the digest
// that it will have in a registry.
func Pack(wasm, pluginYAML []byte) (*Artifact, error) {
	if len(wasm) > MaxModule {
		return nil, tooLarge("the module", MaxModule)
	}
	m, err := manifest.Load("plugin.yaml", pluginYAML, wasm)
	if err != nil {
		return nil, err
	}
	layers := []oci.Descriptor{describe(TypeModule, wasm)}
	if pluginYAML != nil {
		layers = append(layers, describe(TypeManifest, pluginYAML))
	}
	config := wasmConfig{Created: "1970-01-01T00:00:00Z", Architecture: "wasm", OS: "wasip1"}
	for i := range layers {
		config.LayerDigests = append(config.LayerDigests, string(layers[i].Digest))
	}
	a := &Artifact{Module: wasm, PluginYAML: pluginYAML}
	if a.Config, err = json.Marshal(config); err != nil {
		return nil, fmt.Errorf("write config of %s: %w", m.Name, err)
	}
	a.OCI, err = json.Marshal(oci.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: oci.MediaTypeImageManifest,
		Config:    describe(TypeConfig, a.Config),
		Layers:    layers,
		Annotations: map[string]string{
			oci.AnnotationTitle:   m.Name,
			oci.AnnotationVersion: m.Version,
		},
	})
	if err != nil {
		return nil, fmt.Errorf("write manifest of %s: %w", m.Name, err)
	}
	a.Digest = trust.Digest(a.OCI)
	return a, nil
}

func describe(mediaType string, b []byte) oci.Descriptor {
	return oci.Descriptor{MediaType: mediaType, Digest: digest.Digest(trust.Digest(b)), Size: int64(len(b))}
}

// parts are the descriptors of an artifact's parts; plugin.yaml's may be zero.
type parts struct{ config, module, manifest oci.Descriptor }

// readParts reads an OCI manifest that a stranger wrote.
func readParts(b []byte) (p parts, err error) {
	bad := func(message string) (parts, error) {
		return parts{}, &core.Error{Code: core.CodeInvalid, Message: "the artifact is no plugin: " + message, Fix: "push it with `sallyport plugin push`"}
	}
	var m oci.Manifest
	if err := wire.Unmarshal(b, &m); err != nil {
		return bad("its manifest is not strict JSON")
	}
	if m.MediaType != oci.MediaTypeImageManifest || m.SchemaVersion != 2 {
		return bad("its manifest has media type " + short(m.MediaType))
	}
	if m.Config.MediaType != TypeConfig {
		return bad("its config has media type " + short(m.Config.MediaType))
	}
	p.config = m.Config
	for i := range m.Layers {
		into := &p.module
		switch m.Layers[i].MediaType {
		case TypeModule:
		case TypeManifest:
			into = &p.manifest
		default:
			continue // never fetched
		}
		if into.Digest != "" {
			return bad("it has two layers of type " + m.Layers[i].MediaType)
		}
		*into = m.Layers[i]
	}
	if p.module.Digest == "" {
		return bad("it has no layer of type " + TypeModule)
	}
	for _, part := range []struct {
		oci.Descriptor
		name string
		most int64
	}{{p.config, "the config", maxConfig}, {p.module, "the module", MaxModule}, {p.manifest, "plugin.yaml", manifest.MaxBytes}} {
		if part.Digest == "" {
			continue
		}
		if err := trust.CheckDigest(string(part.Digest)); err != nil {
			return parts{}, err
		}
		if part.Size < 0 || part.Size > part.most {
			return parts{}, tooLarge(part.name, part.most)
		}
	}
	return p, nil
}

// Check proves that the parts are those that the digest covers, and that the manifest
// can be read.
func (a *Artifact) Check() error {
	if err := trust.Match("the OCI manifest", a.OCI, a.Digest); err != nil {
		return err
	}
	p, err := readParts(a.OCI)
	if err != nil {
		return err
	}
	if err := trust.Match("the module", a.Module, string(p.module.Digest)); err != nil {
		return err
	}
	if err := trust.Match("the config", a.Config, string(p.config.Digest)); err != nil {
		return err
	}
	if (p.manifest.Digest == "") != (a.PluginYAML == nil) {
		return &core.Error{Code: core.CodeDenied, Message: "plugin.yaml is missing or was added", Fix: "fetch the plugin again", Err: trust.ErrDigest}
	}
	if a.PluginYAML != nil {
		if err := trust.Match("plugin.yaml", a.PluginYAML, string(p.manifest.Digest)); err != nil {
			return err
		}
	}
	if !bytes.HasPrefix(a.Module, []byte("\x00asm")) {
		return &core.Error{Code: core.CodeInvalid, Message: "the module is no WebAssembly", Fix: "push a .wasm file"}
	}
	_, err = a.Manifest()
	return err
}

func tooLarge(what string, most int64) error {
	return &core.Error{Code: core.CodeTooLarge, Message: what + " is larger than " + manifest.Size(most).String(), Fix: "make it smaller"}
}

func short(s string) string {
	if len(s) > 80 {
		s = s[:77] + "…"
	}
	return fmt.Sprintf("%q", s)
}
