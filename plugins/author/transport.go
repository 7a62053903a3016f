package author

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/plugins"
	"github.com/sallyport/sallyport/plugins/manifest"
	"github.com/sallyport/sallyport/plugins/registry"
	"github.com/sallyport/sallyport/plugins/rewrite"
	"github.com/sallyport/sallyport/plugins/trust"
)

// pack makes the artifact of a module that carries its manifest.
func pack(wasm []byte) (*registry.Artifact, error) { return registry.Pack(wasm, nil) }

// TransportOptions say how registries are reached.
type TransportOptions struct {
	// Transport sends one request and follows nothing; the caller's address rules stand
	// behind it.
	Transport http.RoundTripper
	// Plain reports whether a registry is spoken to without TLS; nil = none is.
	Plain func(host string) bool
	// Credential returns what a registry is to be told; nil = nothing for all.
	Credential func(ctx context.Context, host string) (registry.Credential, error)
}

func (o TransportOptions) client() (*registry.Client, error) {
	return registry.New(registry.Options{Transport: o.Transport, PlainHTTP: o.Plain, Credential: o.Credential})
}

// Pushed says what went to a registry.
type Pushed struct {
	Reference  registry.Reference // with the digest
	Subject    trust.Subject
	Signatures int
}

// Push writes a module to a registry, with the signature that lies beside it.
func Push(ctx context.Context, file, reference string, o TransportOptions) (*Pushed, error) {
	ref, err := registry.ParseReference(reference)
	if err != nil {
		return nil, err
	}
	if ref.Tag == "" {
		return nil, &core.Error{Code: core.CodeInvalid, Message: "the reference names no tag: " + reference, Fix: "push to a tag, as in oci://" + ref.Host + "/" + ref.Repository + ":1.0.0"}
	}
	a, err := artifactOf(file)
	if err != nil {
		return nil, err
	}
	if ref.Digest != "" && ref.Digest != a.Digest {
		return nil, &core.Error{Code: core.CodeInvalid, Message: "the module has the digest " + a.Digest + ", and the reference names another", Fix: "leave the digest out, or push the file that it belongs to"}
	}
	client, err := o.client()
	if err != nil {
		return nil, err
	}
	repository, err := client.Open(ref)
	if err != nil {
		return nil, err
	}
	if err := repository.Push(ctx, a.Artifact, ref.Tag); err != nil {
		return nil, err
	}
	ref.Digest = a.Digest
	return &Pushed{Reference: ref, Subject: subjectOf(a), Signatures: len(a.Signatures)}, nil
}

// PullOptions say what to fetch.
type PullOptions struct {
	TransportOptions
	Out    string        // the file to write; "" = NAME.wasm in the working directory
	Policy *trust.Policy // nil = signatures are not looked at
}

// Pulled says what came from a registry.
type Pulled struct {
	File       string
	Reference  registry.Reference // with the digest
	Manifest   *manifest.Manifest
	Verdict    trust.Verdict
	Signatures int
}

// Pull fetches a plugin by its digest, verifies it and writes it to a file, with its
// manifest in it and our signatures beside it.
func Pull(ctx context.Context, reference string, o PullOptions) (*Pulled, error) {
	a, ref, verdict, err := fetch(ctx, reference, o.TransportOptions, o.Policy)
	if err != nil {
		return nil, err
	}
	m, err := a.Manifest()
	if err != nil {
		return nil, err
	}
	if a.PluginYAML != nil {
		if _, inside := rewrite.CustomSection(a.Module, manifest.Section); !inside {
			return nil, &core.Error{Code: core.CodeNotSupported, Message: "the manifest lies beside the module and not in it", Fix: "name the reference itself as source of the plugin, or ask its author to build it with `sallyport plugin build`"}
		}
	}
	p := &Pulled{File: o.Out, Reference: ref, Manifest: m, Verdict: verdict, Signatures: len(a.Signatures)}
	if p.File == "" {
		p.File = ModuleName(m)
	}
	if _, err := os.Stat(p.File); err == nil && o.Out == "" {
		return nil, &core.Error{Code: core.CodeDenied, Message: p.File + " is there already", Fix: "name the file to write with -o, also to replace this one"}
	}
	if err := write(p.File, a.Module, 0o644); err != nil {
		return nil, err
	}
	var statements []byte
	for _, s := range a.Signatures {
		if s.Form == trust.FormSallyport {
			statements = append(statements, s.Body...)
		}
	}
	if statements == nil {
		return p, nil
	}
	return p, write(p.File+plugins.SignatureSuffix, statements, 0o644)
}

// fetch returns the artifact of a reference.
func fetch(ctx context.Context, reference string, o TransportOptions, policy *trust.Policy) (*registry.Artifact, registry.Reference, trust.Verdict, error) {
	var verdict trust.Verdict
	ref, err := registry.ParseReference(reference)
	if err != nil {
		return nil, ref, verdict, err
	}
	client, err := o.client()
	if err != nil {
		return nil, ref, verdict, err
	}
	a, err := client.Fetch(ctx, ref, func(c registry.Candidate) error {
		if policy == nil {
			return nil
		}
		var err error
		verdict, err = policy.Verify(trust.Subject{Digest: c.Digest, Name: c.Manifest.Name, Version: c.Manifest.Version}, c.Signatures)
		return err
	})
	if err != nil {
		return nil, ref, verdict, fmt.Errorf("fetch %s: %w", path.Base(ref.Repository), err)
	}
	ref.Digest = a.Digest
	return a, ref, verdict, nil
}

// PolicyOf reads the keys that Pull trusts; nil when there are none.
func PolicyOf(o VerifyOptions) (*trust.Policy, error) {
	if len(o.Keys) == 0 {
		return nil, nil //nolint:nilnil // no keys, no policy: Pull then looks at no signature
	}
	return policyOf(o)
}
