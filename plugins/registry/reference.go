package registry

import (
	"fmt"
	"strings"

	oras "oras.land/oras-go/v2/registry"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/plugins/trust"
)

// Reference names a plugin in a registry: oci://host[:port]/repository[:tag][@digest].
// With both, the digest counts and the tag is for people.
type Reference struct {
	Host       string // registry.example.com or registry.example.com:5000
	Repository string // acme/weather
	Tag        string
	Digest     string // sha256:…
}

// ParseReference reads a reference; it has a tag, a digest or both.
func ParseReference(s string) (Reference, error) {
	const fix = "write oci://registry.example.com/acme/weather:1.4.0@sha256:… (tag or digest may be left out, not both)"
	bad := &core.Error{Code: core.CodeInvalid, Message: fmt.Sprintf("%q is no plugin reference", s), Fix: fix}
	rest, ok := strings.CutPrefix(s, "oci://")
	if !ok || len(s) > 512 {
		return Reference{}, bad
	}
	var r Reference
	name, digest, pinned := strings.Cut(rest, "@")
	if pinned {
		if err := trust.CheckDigest(digest); err != nil {
			return Reference{}, err
		}
		r.Digest = digest
	}
	if colon := strings.LastIndexByte(name, ':'); colon > strings.LastIndexByte(name, '/') {
		name, r.Tag = name[:colon], name[colon+1:]
		if r.Tag == "" {
			return Reference{}, bad
		}
	}
	if r.Tag == "" && r.Digest == "" {
		return Reference{}, bad
	}
	r.Host, r.Repository, ok = strings.Cut(name, "/")
	check := oras.Reference{Registry: r.Host, Repository: r.Repository, Reference: r.Tag}
	if !ok || check.ValidateRegistry() != nil || check.ValidateRepository() != nil || r.Tag != "" && check.ValidateReferenceAsTag() != nil {
		return Reference{}, bad
	}
	return r, nil
}

// String writes the reference as ParseReference reads it.
func (r Reference) String() string {
	s := "oci://" + r.Host + "/" + r.Repository
	if r.Tag != "" {
		s += ":" + r.Tag
	}
	if r.Digest != "" {
		s += "@" + r.Digest
	}
	return s
}

// Pinned reports whether the reference holds a digest.
func (r Reference) Pinned() bool { return r.Digest != "" }
