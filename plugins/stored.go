package plugins

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
	"github.com/sallyport/sallyport/plugins/manifest"
	"github.com/sallyport/sallyport/plugins/registry"
	"github.com/sallyport/sallyport/plugins/rewrite"
	"github.com/sallyport/sallyport/plugins/trust"
)

// storeScheme begins the source of a plugin that the store keeps.
const storeScheme = "store:"

// StoredName returns which module of the store a source names; "" = it is another source.
func StoredName(source string) string {
	name, _ := strings.CutPrefix(source, storeScheme)
	if name == source {
		return ""
	}
	return name
}

// Upload is a module as it comes in, with the files that may stand beside one on disk: a
// plugin.yaml, statements of ours and a signature of cosign. Nil = it did not come.
type Upload struct{ Module, Manifest, Signature, Cosign []byte }

// Read checks an upload, and makes the row of it: all but tenant, stamp and approval. Its
// digest is that of the same files on disk and of the same artifact in a registry. Nothing
// is run. Mistakes are an *core.Error with CodeInvalid, whose Problems say in which part;
// a module that policy does not let in is one of them.
func (u *Upload) Read(policy trust.Policy) (*core.Module, error) {
	if !bytes.HasPrefix(u.Module, []byte("\x00asm")) {
		return nil, u.wrong("/module", &core.Error{Code: core.CodeInvalid, Message: "this is no WebAssembly module", Fix: "send the .wasm file that `sallyport plugin build` wrote"})
	}
	text := u.Manifest
	if len(text) > 0 {
		if _, err := manifest.Load(manifestFile, text, u.Module); err != nil {
			return nil, u.wrong("/manifest", err)
		}
	}
	if _, carried := rewrite.CustomSection(u.Module, manifest.Section); carried || len(text) == 0 {
		text = nil // so that the digest is the same whether or not a file came along
	}
	a, err := registry.Pack(u.Module, text)
	if err != nil {
		return nil, u.wrong("/module", err)
	}
	about, err := a.Manifest()
	if err != nil {
		return nil, u.wrong("/module", err)
	}
	module, err := rewrite.Inspect(a.Module, rewrite.Default)
	if err != nil {
		return nil, u.wrong("/module", err)
	}
	for _, k := range about.Kinds {
		if _, ok := module.Export(k.Export()); !ok {
			return nil, u.wrong("/module", &core.Error{
				Code: core.CodeInvalid, Message: "the manifest lists the kind " + string(k) + ", and the module does not export " + k.Export(), Fix: "send a build that does",
			})
		}
	}
	if a.Signatures, err = readSignatures(u.Signature, u.Cosign, "the signature of cosign"); err != nil {
		return nil, u.wrong("/cosign", err)
	}
	if _, err := policy.Verify(trust.Subject{Digest: a.Digest, Name: about.Name, Version: about.Version}, a.Signatures); err != nil {
		return nil, u.wrong("/signature", err)
	}
	return rowOf(a, about)
}

// wrong says in which part of an upload a mistake is.
func (*Upload) wrong(part string, err error) error {
	e := core.AsError(err)
	message, fix := e.Message, e.Fix
	if e.Code == core.CodeInternal {
		message = err.Error() // of the readers of manifests and modules, which are written for people
	}
	return &core.Error{
		Code: core.CodeInvalid, Message: "this is no plugin that can be kept", Fix: "mend what problems lists",
		Problems: []core.Problem{{Path: part, Message: message, Fix: fix}},
	}
}

// rowOf makes the row that keeps an artifact.
func rowOf(a *registry.Artifact, about *manifest.Manifest) (*core.Module, error) {
	m := &core.Module{
		Name: strings.ReplaceAll(about.Name, "/", "-"), Digest: a.Digest, Manifest: string(a.PluginYAML), Bytes: a.Module, Size: len(a.Module),
		Plugin: about.Name, Release: about.Version, Kinds: make([]string, len(about.Kinds)), Asks: about.Capabilities.Words(),
	}
	for i, k := range about.Kinds {
		m.Kinds[i] = string(k)
	}
	if len(a.Signatures) > 0 {
		text, err := wire.Marshal(a.Signatures)
		if err != nil {
			return nil, fmt.Errorf("write the signatures of %s: %w", about.Name, err)
		}
		m.Signatures = string(text)
	}
	return m, nil
}

// Unpack returns the artifact that a row keeps. Its error says that the content is not what
// the digest of the row says.
func Unpack(m *core.Module) (*registry.Artifact, error) {
	var text []byte
	if m.Manifest != "" {
		text = []byte(m.Manifest)
	}
	a, err := registry.Pack(m.Bytes, text)
	if err == nil && a.Digest != m.Digest {
		err = trust.ErrDigest
	}
	if err != nil {
		return nil, &core.Error{
			Code: core.CodeDenied, Message: "the content of module " + m.Name + " in the store is not what its digest says (" + m.Digest + ")", Err: err,
			Fix: "find out who changes the database past the gateway, then upload the module again",
		}
	}
	return a, Claim(a, m)
}

// Claim gives an artifact the signatures of its row.
func Claim(a *registry.Artifact, m *core.Module) error {
	a.Signatures = nil
	if m.Signatures == "" {
		return nil
	}
	if err := json.Unmarshal([]byte(m.Signatures), &a.Signatures); err != nil {
		return &core.Error{Code: core.CodeInvalid, Message: "the signatures of module " + m.Name + " in the store cannot be read", Fix: "upload the module again", Err: err}
	}
	return nil
}

// fromStore loads a plugin whose source is a module of the store. Its digest was approved
// there, so a new version needs no other approval; what it gets is granted by the document.
func (h *Host) fromStore(ctx context.Context, c *core.PluginConfig, level trust.Level, o *opened) *Plugin {
	name := StoredName(c.Source)
	switch {
	case h.o.Stored == nil:
		o.add("/source", "there are no modules of a store here: only a gateway with its store has them", "try it as a draft of that gateway, or name a file or oci://…")
		return nil
	case c.Manifest != "":
		o.add("/manifest", "a module of the store holds its manifest", "remove manifest")
		return nil
	}
	a, err := h.o.Stored(ctx, name)
	if err != nil {
		o.fail("/source", err)
		return nil
	}
	about, err := a.Manifest()
	if err != nil {
		o.fail("/source", err)
		return nil
	}
	if c.Digest != "" && c.Digest != a.Digest {
		o.add("/digest", "the store has another content of module "+name+": "+a.Digest, "write digest: "+a.Digest+" after a look at it, or leave digest out: the store runs only what was approved")
		return nil
	}
	policy := h.o.Trust
	policy.Level = level
	verdict, err := policy.Verify(trust.Subject{Digest: a.Digest, Name: about.Name, Version: about.Version}, a.Signatures)
	if err != nil {
		o.distrusted(err, a.Digest)
		return nil
	}
	approved := *c
	approved.Digest = a.Digest
	return h.admit(ctx, &approved, level, a, about, verdict, &o.mistakes)
}
