package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/opencontainers/image-spec/specs-go"
	oci "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
	layout "oras.land/oras-go/v2/content/oci"
	"oras.land/oras-go/v2/errdef"
	oras "oras.land/oras-go/v2/registry"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
	"github.com/sallyport/sallyport/plugins/manifest"
	"github.com/sallyport/sallyport/plugins/trust"
)

// maxSignatures is how many signatures of one artifact are fetched and kept.
const maxSignatures = 32

// place is what both oras-go's remote repository and its OCI layout are.
type place interface {
	content.ReadOnlyGraphStorage
	content.Pusher
	content.TagResolver
}

// Repository is a place that holds versions of a plugin: in a registry (Client.Open)
// or on disk (Layout).
type Repository struct {
	name  string
	place place
}

// Layout opens an OCI image layout in a directory, making it if need be.
func Layout(dir string) (*Repository, error) {
	store, err := layout.New(dir)
	if err != nil {
		return nil, fmt.Errorf("open OCI layout %s: %w", dir, err)
	}
	return &Repository{name: dir, place: store}, nil
}

// Candidate is what is known of an artifact before its module is fetched (or, when the
// module carries the manifest itself, before it is handed out).
type Candidate struct {
	Digest     string
	Manifest   *manifest.Manifest
	Signatures []trust.Signature
}

// Verify decides whether a candidate is wanted; its error is returned as it is.
type Verify func(c Candidate) error

// Resolve returns the digest that a tag has now. The registry is only believed about
// that: whatever is pulled by the digest is checked against it.
func (r *Repository) Resolve(ctx context.Context, tag string) (string, error) {
	d, err := r.place.Resolve(ctx, tag)
	if err != nil {
		return "", r.failed("resolve "+short(tag), err)
	}
	if err := trust.CheckDigest(string(d.Digest)); err != nil {
		return "", err
	}
	return string(d.Digest), nil
}

// Pull fetches an artifact by its digest: manifest, plugin.yaml and signatures, then
// verify (required), then the module. Every part is checked against its digest and
// its limit.
func (r *Repository) Pull(ctx context.Context, digest string, verify Verify) (*Artifact, error) {
	if err := trust.CheckDigest(digest); err != nil {
		return nil, err
	}
	if verify == nil {
		return nil, &core.Error{Code: core.CodeInternal, Message: "pull without a decision about trust"}
	}
	top, err := r.manifest(ctx, digest)
	if err != nil {
		return nil, err
	}
	a := &Artifact{Digest: digest}
	if a.OCI, err = r.fetch(ctx, top, maxOCI); err != nil {
		return nil, err
	}
	p, err := readParts(a.OCI)
	if err != nil {
		return nil, err
	}
	if a.Signatures, err = r.signatures(ctx, top); err != nil {
		return nil, err
	}
	if p.manifest.Digest != "" {
		if a.PluginYAML, err = r.fetch(ctx, p.manifest, manifest.MaxBytes); err != nil {
			return nil, err
		}
	} else if a.Module, err = r.fetch(ctx, p.module, MaxModule); err != nil {
		return nil, err
	}
	m, err := a.Manifest()
	if err != nil {
		return nil, err
	}
	if err := verify(Candidate{Digest: digest, Manifest: m, Signatures: a.Signatures}); err != nil {
		return nil, err
	}
	if a.Config, err = r.fetch(ctx, p.config, maxConfig); err != nil {
		return nil, err
	}
	if a.Module == nil {
		if a.Module, err = r.fetch(ctx, p.module, MaxModule); err != nil {
			return nil, err
		}
	}
	return a, a.Check()
}

// manifest finds out the size of a manifest.
func (r *Repository) manifest(ctx context.Context, digest string) (oci.Descriptor, error) {
	d, err := r.place.Resolve(ctx, digest)
	if err != nil {
		return d, r.failed("find "+digest, err)
	}
	if string(d.Digest) != digest || d.MediaType != oci.MediaTypeImageManifest {
		return d, &core.Error{Code: core.CodeInvalid, Message: fmt.Sprintf("%s is a %s, not a plugin", digest, short(d.MediaType)), Fix: "name the digest of an artifact that `sallyport plugin push` printed"}
	}
	return d, nil
}

// fetch returns the content of a descriptor, checked for size and digest.
func (r *Repository) fetch(ctx context.Context, d oci.Descriptor, most int64) ([]byte, error) {
	if err := trust.CheckDigest(string(d.Digest)); err != nil {
		return nil, err
	}
	if d.Size < 0 || d.Size > most {
		return nil, tooLarge(string(d.Digest), most)
	}
	body, err := r.place.Fetch(ctx, d)
	if err != nil {
		return nil, r.failed("fetch "+string(d.Digest), err)
	}
	defer body.Close()
	b, err := io.ReadAll(io.LimitReader(body, d.Size+1))
	if err != nil {
		return nil, r.failed("fetch "+string(d.Digest), err)
	}
	return b, trust.Match("what "+r.name+" sent", b, string(d.Digest))
}

// Push writes an artifact with its signatures, and the tag when it is not empty.
func (r *Repository) Push(ctx context.Context, a *Artifact, tag string) error {
	if err := a.Check(); err != nil {
		return err
	}
	p, err := readParts(a.OCI)
	if err != nil {
		return err
	}
	for _, part := range []struct {
		d oci.Descriptor
		b []byte
	}{{p.config, a.Config}, {p.module, a.Module}, {p.manifest, a.PluginYAML}} {
		if part.d.Digest == "" {
			continue
		}
		if err := r.push(ctx, part.d, part.b); err != nil {
			return err
		}
	}
	top := describe(oci.MediaTypeImageManifest, a.OCI)
	if err := r.push(ctx, top, a.OCI); err != nil {
		return err
	}
	for i := range a.Signatures {
		if err := r.Attach(ctx, a.Digest, a.Signatures[i]); err != nil {
			return err
		}
	}
	if tag == "" {
		return nil
	}
	if err := r.place.Tag(ctx, top, tag); err != nil {
		return r.failed("tag "+short(tag), err)
	}
	return nil
}

func (r *Repository) push(ctx context.Context, d oci.Descriptor, b []byte) error {
	switch found, err := r.place.Exists(ctx, d); {
	case err != nil:
		return r.failed("look for "+string(d.Digest), err)
	case found:
		return nil
	}
	if err := r.place.Push(ctx, d, bytes.NewReader(b)); err != nil && !errors.Is(err, errdef.ErrAlreadyExists) {
		return r.failed("push "+string(d.Digest), err)
	}
	return nil
}

// Attach writes a signature as a referrer of an artifact that is there.
func (r *Repository) Attach(ctx context.Context, digest string, s trust.Signature) error {
	if err := trust.CheckDigest(digest); err != nil {
		return err
	}
	if len(s.Body) > trust.MaxSignature {
		return tooLarge("the signature", trust.MaxSignature)
	}
	top, err := r.manifest(ctx, digest)
	if err != nil {
		return err
	}
	layer, kind := describe(TypeSignature, s.Body), TypeSignature
	if s.Form == trust.FormCosign {
		layer, kind = describe(TypeCosign, s.Body), TypeCosignRef
		layer.Annotations = map[string]string{cosignAnnotation: s.Cosign}
	}
	m := oci.Manifest{
		Versioned:    specs.Versioned{SchemaVersion: 2},
		MediaType:    oci.MediaTypeImageManifest,
		ArtifactType: kind,
		Config:       oci.DescriptorEmptyJSON,
		Layers:       []oci.Descriptor{layer},
		Subject:      &oci.Descriptor{MediaType: top.MediaType, Digest: top.Digest, Size: top.Size},
	}
	b, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("write signature of %s: %w", digest, err)
	}
	config := oci.DescriptorEmptyJSON
	config.Data = nil
	if err := r.push(ctx, config, oci.DescriptorEmptyJSON.Data); err != nil {
		return err
	}
	if err := r.push(ctx, layer, s.Body); err != nil {
		return err
	}
	d := describe(oci.MediaTypeImageManifest, b)
	d.ArtifactType = kind
	return r.push(ctx, d, b)
}

// Signatures returns the signatures of an artifact, at most 32: ours and cosign's
// among its referrers, and cosign's under its tag. Nothing about them is verified.
func (r *Repository) Signatures(ctx context.Context, digest string) ([]trust.Signature, error) {
	if err := trust.CheckDigest(digest); err != nil {
		return nil, err
	}
	top, err := r.manifest(ctx, digest)
	if err != nil {
		return nil, err
	}
	return r.signatures(ctx, top)
}

func (r *Repository) signatures(ctx context.Context, top oci.Descriptor) ([]trust.Signature, error) {
	var found []trust.Signature
	referrers, err := oras.Referrers(ctx, r.place, top, "")
	if err != nil && !errors.Is(err, errdef.ErrNotFound) {
		return nil, r.failed("list signatures of "+string(top.Digest), err)
	}
	looked := 0
	for i := range referrers {
		if kind := referrers[i].ArtifactType; kind != TypeSignature && kind != TypeCosignRef {
			continue
		}
		if looked++; looked > maxSignatures {
			break
		}
		more, err := r.signature(ctx, referrers[i])
		if err != nil && !strange(err) {
			return nil, err
		}
		found = append(found, more...)
	}
	tag := strings.Replace(string(top.Digest), ":", "-", 1) + ".sig"
	switch d, err := r.place.Resolve(ctx, tag); {
	case errors.Is(err, errdef.ErrNotFound):
	case err != nil:
		return nil, r.failed("look for "+tag, err)
	default:
		more, err := r.signature(ctx, d)
		if err != nil && !strange(err) {
			return nil, err
		}
		found = append(found, more...)
	}
	return join(found, nil), nil
}

// strange reports whether an error is that of content which somebody wrote, not of the
// network: who may write referrers must not be able to stop a plugin that has a good
// signature beside theirs.
func strange(err error) bool {
	return errors.Is(err, trust.ErrDigest) || errors.Is(err, errdef.ErrNotFound) || core.AsError(err).Code == core.CodeTooLarge
}

// signature reads the layers of one signature manifest. One that is too large or of
// another form is passed over.
func (r *Repository) signature(ctx context.Context, d oci.Descriptor) ([]trust.Signature, error) {
	if d.MediaType != oci.MediaTypeImageManifest || d.Size > maxOCI {
		return nil, nil
	}
	b, err := r.fetch(ctx, d, maxOCI)
	if err != nil {
		return nil, err
	}
	var m oci.Manifest
	if err := wire.Unmarshal(b, &m); err != nil {
		return nil, nil //nolint:nilerr // somebody's document of another form: passed over
	}
	var found []trust.Signature
	for i := range m.Layers {
		layer := m.Layers[i]
		if layer.MediaType != TypeSignature && layer.MediaType != TypeCosign || layer.Size > trust.MaxSignature || len(found) == maxSignatures {
			continue
		}
		if layer.Digest.Validate() != nil {
			continue
		}
		body, err := r.fetch(ctx, layer, trust.MaxSignature)
		if err != nil {
			return found, err
		}
		s := trust.Signature{Form: trust.FormSallyport, Body: body}
		if layer.MediaType == TypeCosign {
			s = trust.Signature{Form: trust.FormCosign, Body: body, Cosign: layer.Annotations[cosignAnnotation]}
		}
		found = append(found, s)
	}
	return found, nil
}

// failed turns an error of the place into one with a code.
func (r *Repository) failed(doing string, err error) error {
	var known *core.Error
	if errors.As(err, &known) {
		return fmt.Errorf("%s at %s: %w", doing, r.name, err)
	}
	e := &core.Error{Code: core.CodeUnavailable, Message: doing + " at " + r.name, Fix: "check the registry's name, the network and the credentials", Err: err}
	switch {
	case errors.Is(err, errdef.ErrNotFound):
		e.Code, e.Fix = core.CodeNotFound, "check the name; was it pushed?"
	case errors.Is(err, context.DeadlineExceeded):
		e.Code = core.CodeTimeout
	case errors.Is(err, context.Canceled):
		e.Code = core.CodeCancelled
	}
	return e
}
