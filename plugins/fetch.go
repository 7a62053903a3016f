package plugins

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/plugins/manifest"
	"github.com/sallyport/sallyport/plugins/registry"
	"github.com/sallyport/sallyport/plugins/trust"
)

// fromRegistry loads a plugin whose source is an OCI reference. What a tag means is found
// out once, and again when Run or Refresh ask; when the version that it means now is
// refused, the one that ran stays, with a warning: whoever moves a tag must not be able to
// stop the gateway.
func (h *Host) fromRegistry(ctx context.Context, c *core.PluginConfig, level trust.Level, o *opened) *Plugin {
	ref, ok := h.reference(c, level, o)
	if !ok {
		return nil
	}
	if ref.Pinned() {
		return h.fetched(ctx, c, level, ref, &o.mistakes)
	}
	o.tag = ref.String()
	tries := mistakes{at: o.at}
	ran := h.ledger.written.Tags[o.tag]
	digest, err := h.resolved(ctx, ref)
	switch {
	case err == nil:
	case ran == "":
		o.fail("/source", err)
		return nil
	default:
		tries.fail("/source", err)
	}
	if digest != "" {
		ref.Digest = digest
		if p := h.fetched(ctx, c, level, ref, &tries); p != nil {
			o.list = append(o.list, tries.list...)
			return p
		}
	}
	if ran == "" || ran == digest {
		o.list, o.failed = append(o.list, tries.list...), o.failed || tries.failed
		return nil
	}
	// The version that ran, if it still can: its mistakes count only when it cannot.
	ref.Digest = ran
	again := mistakes{at: o.at}
	p := h.fetched(ctx, c, level, ref, &again)
	if p == nil {
		o.list, o.failed = append(o.list, tries.list...), true
		return nil
	}
	for _, problem := range tries.list {
		if !problem.Warning {
			problem.Message = "the version that ran stays (" + ran + "): " + problem.Message
			problem.Warning = true
		}
		o.list = append(o.list, problem)
	}
	o.list = append(o.list, again.list...)
	return p
}

// reference reads the source, with the digest that the document pins.
func (h *Host) reference(c *core.PluginConfig, level trust.Level, o *opened) (registry.Reference, bool) {
	ref, err := registry.ParseReference(c.Source)
	if err != nil {
		o.fail("/source", err)
		return ref, false
	}
	if c.Manifest != "" {
		o.add("/manifest", "an artifact in a registry holds its manifest", "remove manifest")
	}
	if h.client == nil {
		o.add("/source", "plugins are not fetched from registries here", "name a file")
	}
	if c.Digest != "" {
		if err := trust.CheckDigest(c.Digest); err != nil {
			o.fail("/digest", err)
		} else if ref.Digest != "" && ref.Digest != c.Digest {
			o.add("/digest", "source names another digest: "+ref.Digest, "write the digest once, or the same one twice")
		}
		ref.Digest = c.Digest
	}
	if !ref.Pinned() && level == trust.Required {
		fix := "add @ and the digest to source, or write digest: sha256:…; `sallyport plugin pull` prints it"
		if ran := h.ledger.written.Tags[ref.String()]; ran != "" {
			fix = "write digest: " + ran + ", which is what ran"
		}
		o.add("/source", ref.String()+" is not pinned: its tag may mean something else tomorrow, and trust is required", fix)
	}
	return ref, !o.failed
}

// resolved returns what a tag means, asked for once in the life of the process.
func (h *Host) resolved(ctx context.Context, ref registry.Reference) (string, error) {
	h.mu.Lock()
	digest := h.tags[ref.String()]
	h.mu.Unlock()
	if digest != "" {
		return digest, nil
	}
	digest, err := h.resolve(ctx, ref)
	if err != nil {
		return "", err
	}
	h.mu.Lock()
	h.tags[ref.String()] = digest
	h.mu.Unlock()
	return digest, nil
}

// resolve asks the registry.
func (h *Host) resolve(ctx context.Context, ref registry.Reference) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, resolveTime)
	defer cancel()
	repository, err := h.client.Open(ref)
	if err != nil {
		return "", err
	}
	digest, err := repository.Resolve(ctx, ref.Tag)
	if err != nil {
		return "", fmt.Errorf("resolve %s: %w", ref, err)
	}
	return digest, nil
}

// fetched loads the artifact of a pinned reference, from the store if it is there.
func (h *Host) fetched(ctx context.Context, c *core.PluginConfig, level trust.Level, ref registry.Reference, m *mistakes) *Plugin {
	policy := h.o.Trust
	policy.Level = level
	var verdict trust.Verdict
	var about *manifest.Manifest
	var distrust error
	within, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	a, err := h.client.Fetch(within, ref, func(candidate registry.Candidate) (err error) {
		about = candidate.Manifest
		verdict, err = policy.Verify(trust.Subject{Digest: candidate.Digest, Name: about.Name, Version: about.Version}, candidate.Signatures)
		distrust = errors.Join(distrust, err)
		return err
	})
	switch {
	case err == nil:
	case distrust != nil && slices.Contains([]core.Code{core.CodeDenied, core.CodeInvalid}, core.AsError(distrust).Code):
		m.distrusted(distrust, ref.Digest) // also when the registry could not be asked for newer signatures
		return nil
	default:
		m.fail("/source", err)
		return nil
	}
	return h.admit(ctx, c, level, a, about, verdict, m)
}
