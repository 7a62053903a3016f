// Package registry carries plugins between OCI registries, OCI layouts on disk and the
// gateway's own store, by digest.
//
//	wasm + plugin.yaml ─Pack─► Artifact ─Push─► registry or layout
//	                             │ Digest = sha256 of the OCI manifest
//	oci://host/acme/weather:1.4 ─Resolve─► digest, once
//	     │ (production: the reference must hold the digest)
//	     └─► manifest ─► plugin.yaml ─► signatures ─► verify ─► module, all by digest
//	                                                    └─ no: the module is never fetched
//	Store: blobs/sha256/… (0700, written whole or not at all, checked when read)
//
// The layout is that of the CNCF for wasm (config application/vnd.wasm.config.v0+json,
// one layer application/wasm) with a second layer that holds plugin.yaml. Signatures of
// ours are referrers of the manifest; those of cosign are found under its tag.
//
//	store, err := registry.OpenStore(filepath.Join(data, "plugins"))
//	client, err := registry.New(registry.Options{Transport: guarded, Store: store, Production: true})
//	ref, err := registry.ParseReference("oci://registry.example.com/acme/weather@sha256:…")
//	artifact, err := client.Fetch(ctx, ref, func(c registry.Candidate) error {
//		_, err := policy.Verify(trust.Subject{Digest: c.Digest, Name: c.Manifest.Name, Version: c.Manifest.Version}, c.Signatures)
//		return err
//	})
//	plugin, err := sandbox.Load(ctx, artifact.Module, options)
//
// This package dials nothing: every request goes through the RoundTripper that it was
// given, one hop at a time, so that the caller's address rules see each.
package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	oras "oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote"

	"github.com/sallyport/sallyport/core"
)

// Options of a Client. Transport is required.
type Options struct {
	// Transport sends one request and follows nothing: core/egress in the gateway.
	Transport http.RoundTripper
	// Store, when set, is looked into before the network, and gets what is fetched.
	Store *Store
	// Production refuses references without a digest.
	Production bool
	// PlainHTTP reports whether a registry is spoken to without TLS; nil = none is.
	PlainHTTP func(host string) bool
	// Credential returns what a registry is to be told; nil = nothing for all.
	Credential func(ctx context.Context, host string) (Credential, error)
}

// Credential is a user and password of a registry (for many, the password is a
// token). The zero value is nobody.
type Credential struct {
	User     string
	Password core.Secret
}

// Client opens repositories in registries. It is safe for use by many goroutines.
type Client struct{ o Options }

// New returns a client.
func New(o Options) (*Client, error) {
	if o.Transport == nil {
		return nil, &core.Error{Code: core.CodeInternal, Message: "registry client without a transport", Fix: "hand in the guarded one"}
	}
	return &Client{o: o}, nil
}

// Open returns the repository of a reference; nothing is sent yet.
func (c *Client) Open(ref Reference) (*Repository, error) {
	name := oras.Reference{Registry: ref.Host, Repository: ref.Repository}
	if err := errors.Join(name.ValidateRegistry(), name.ValidateRepository()); err != nil {
		return nil, &core.Error{Code: core.CodeInvalid, Message: "no repository: " + ref.String(), Fix: "write host/owner/name", Err: err}
	}
	plain := c.o.PlainHTTP != nil && c.o.PlainHTTP(ref.Host)
	return &Repository{
		name: ref.Host + "/" + ref.Repository,
		place: &remote.Repository{
			Client:               &courier{o: &c.o, host: name.Host(), registry: ref.Host, plain: plain},
			Reference:            name,
			PlainHTTP:            plain,
			ReferrerListMaxPages: 4,
			MaxMetadataBytes:     1 << 20,
			SkipReferrersGC:      true, // to delete asks for more rights than to push
		},
	}, nil
}

// Fetch returns the artifact of a reference. A tag is resolved once, to a digest, and
// all else goes by that. What is in the store is not fetched again, but verified
// again; a signature made since is then looked for in the registry.
func (c *Client) Fetch(ctx context.Context, ref Reference, verify Verify) (*Artifact, error) {
	if verify == nil {
		return nil, &core.Error{Code: core.CodeInternal, Message: "fetch without a decision about trust"}
	}
	if !ref.Pinned() && c.o.Production {
		return nil, &core.Error{Code: core.CodeDenied, Message: ref.String() + " is not pinned: its tag may mean something else tomorrow", Fix: "add @sha256:…, which `sallyport plugin pull` prints"}
	}
	repository, err := c.Open(ref)
	if err != nil {
		return nil, err
	}
	digest := ref.Digest
	if digest == "" {
		if digest, err = repository.Resolve(ctx, ref.Tag); err != nil {
			return nil, err
		}
	}
	if c.o.Store != nil {
		if a, err := c.stored(digest, verify); err == nil {
			return a, nil
		}
	}
	a, err := repository.Pull(ctx, digest, verify)
	if err != nil {
		return nil, err
	}
	if c.o.Store == nil {
		return a, nil
	}
	if err := c.o.Store.Save(a); err != nil {
		return nil, fmt.Errorf("keep %s: %w", ref, err)
	}
	return a, nil
}

func (c *Client) stored(digest string, verify Verify) (*Artifact, error) {
	a, err := c.o.Store.Load(digest)
	if err != nil {
		return nil, err
	}
	m, err := a.Manifest()
	if err != nil {
		return nil, err
	}
	return a, verify(Candidate{Digest: digest, Manifest: m, Signatures: a.Signatures})
}
