package author

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/plugins"
	"github.com/sallyport/sallyport/plugins/registry"
	"github.com/sallyport/sallyport/plugins/trust"
)

// Keygen makes a key and writes it to FILE (mode 0600) and FILE.pub. Neither may be
// there before: a key that is overwritten is lost.
func Keygen(file, owner string, expires time.Time, random io.Reader) (trust.Key, error) {
	for _, name := range []string{file, file + ".pub"} {
		if _, err := os.Stat(name); err == nil {
			return trust.Key{}, &core.Error{Code: core.CodeDenied, Message: name + " is there already, and a key that is overwritten is lost", Fix: "name another file"}
		}
	}
	k, err := trust.Generate(random, owner, expires)
	if err != nil {
		return trust.Key{}, err
	}
	if err := write(file, k.Text(), 0o600); err != nil {
		return trust.Key{}, err
	}
	if err := write(file+".pub", k.Key.Text(), 0o644); err != nil {
		return trust.Key{}, err
	}
	return k.Key, nil
}

// SignOptions say what to sign, and with which key.
type SignOptions struct {
	File    string    // a built module
	Key     string    // file of the private key
	Expires time.Time // zero = never
	Now     time.Time
}

// Sign writes the signature of a module to the file beside it (NAME.wasm.sig), and
// returns what it says and the file.
func Sign(o SignOptions) (trust.Statement, string, error) {
	a, err := artifactOf(o.File)
	if err != nil {
		return trust.Statement{}, "", err
	}
	k, err := trust.ReadPrivateKey(o.Key)
	if errors.Is(err, fs.ErrNotExist) {
		return trust.Statement{}, "", &core.Error{Code: core.CodeNotFound, Message: "there is no key " + o.Key, Fix: "make one with `sallyport plugin keygen " + o.Key + "`"}
	}
	if err != nil {
		if public(o.Key) {
			return trust.Statement{}, "", &core.Error{Code: core.CodeInvalid, Message: o.Key + " is a public key, which cannot sign", Fix: "name the private one, most likely " + strings.TrimSuffix(o.Key, ".pub")}
		}
		return trust.Statement{}, "", err
	}
	if !o.Expires.IsZero() && !o.Expires.After(o.Now) {
		return trust.Statement{}, "", &core.Error{Code: core.CodeInvalid, Message: "the signature would have expired when it is made", Fix: "name a later moment"}
	}
	s, err := trust.Sign(k, subjectOf(a), o.Now, o.Expires)
	if err != nil {
		return trust.Statement{}, "", err
	}
	said, err := trust.ParseStatement(s.Body)
	if err != nil {
		return trust.Statement{}, "", err
	}
	// Signatures of the same module by other keys stay.
	body := s.Body
	for _, other := range a.Signatures {
		if one, err := trust.ParseStatement(other.Body); err == nil && one.Subject == said.Subject && one.Key != said.Key {
			body = append(body, other.Body...)
		}
	}
	file := a.plugin.File + plugins.SignatureSuffix
	return said, file, write(file, body, 0o644)
}

func public(file string) bool {
	text, err := os.ReadFile(file)
	if err != nil {
		return false
	}
	_, err = trust.ParseKey(text)
	return err == nil
}

// artifactOf packs a module with the signatures that lie beside it, as the gateway does.
func artifactOf(file string) (*packed, error) {
	p, err := Open(file)
	if err != nil {
		return nil, err
	}
	a, err := plugins.ReadFiles(p.File, "")
	if err != nil {
		return nil, err
	}
	return &packed{Artifact: a, plugin: p}, nil
}

// packed is the artifact of a plugin in files.
type packed struct {
	*registry.Artifact
	plugin *Plugin
}

func subjectOf(a *packed) trust.Subject {
	m := a.plugin.Manifest
	return trust.Subject{Digest: a.Digest, Name: m.Name, Version: m.Version}
}

// VerifyOptions say whom to trust.
type VerifyOptions struct {
	File string   // a built module
	Keys []string // files of public keys
	Name string   // the plugin that it must be: acme/weather, acme/*; "" = any
	Now  func() time.Time
}

// Verify looks for a signature beside a module by one of the keys.
func Verify(o VerifyOptions) (trust.Verdict, trust.Subject, error) {
	policy, err := policyOf(o)
	if err != nil {
		return trust.Verdict{}, trust.Subject{}, err
	}
	a, err := artifactOf(o.File)
	if err != nil {
		return trust.Verdict{}, trust.Subject{}, err
	}
	subject := subjectOf(a)
	if len(a.Signatures) == 0 {
		return trust.Verdict{}, subject, &core.Error{
			Code: core.CodeDenied, Message: a.plugin.File + " is not signed: there is no " + filepath.Base(a.plugin.File) + plugins.SignatureSuffix + " beside it",
			Fix: "sign it with `sallyport plugin sign --key FILE " + a.plugin.File + "`, or put the signature that came with it there",
		}
	}
	v, err := policy.Verify(subject, a.Signatures)
	return v, subject, err
}

// policyOf reads the keys.
func policyOf(o VerifyOptions) (*trust.Policy, error) {
	policy := &trust.Policy{Level: trust.Required, Now: o.Now}
	if len(o.Keys) == 0 {
		return nil, &core.Error{Code: core.CodeInvalid, Message: "no key is named to trust", Fix: "name one with --key FILE.pub"}
	}
	for _, name := range o.Keys {
		text, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, &core.Error{Code: core.CodeNotFound, Message: "there is no key " + name, Fix: "name the file of a public key"}
		}
		if err != nil {
			return nil, fmt.Errorf("read a key: %w", err)
		}
		k, err := trust.ParseKey(text)
		if err != nil {
			if private, wrong := trust.ParsePrivateKey(text); wrong == nil {
				return nil, &core.Error{Code: core.CodeInvalid, Message: name + " is the private key " + private.ID, Fix: "keep it to yourself, and name the public one, most likely " + name + ".pub"}
			}
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		t := trust.Trusted{Key: k}
		if o.Name != "" {
			t.Names = []string{o.Name}
		}
		policy.Keys = append(policy.Keys, t)
	}
	return policy, nil
}
