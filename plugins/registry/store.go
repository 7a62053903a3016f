package registry

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
	"github.com/sallyport/sallyport/plugins/manifest"
	"github.com/sallyport/sallyport/plugins/trust"
)

// Store keeps artifacts in a directory of the gateway's own, each part under its
// digest. Several processes may share it: what stands under a digest never changes.
//
//	blobs/sha256/<digest>        parts, 0600
//	signatures/<digest>          what was found with an artifact
//	new-*                        being written; never read
type Store struct{ dir string }

// ErrCorrupt is in the chain of an error when a part on disk is not what its digest
// says. The part is set aside (name.corrupt), so that the next fetch heals it.
var ErrCorrupt = errors.New("content on disk has changed")

// ErrMissing is in the chain of an error when the store does not have something.
var ErrMissing = errors.New("not in the store")

const maxSignatureFile = 1 << 20

// OpenStore opens the directory, making it if need be. One that others may enter is
// refused: who writes there chooses what runs.
func OpenStore(dir string) (*Store, error) {
	for _, sub := range []string{"", "blobs", "blobs/sha256", "signatures"} {
		path := filepath.Join(dir, sub)
		if err := os.MkdirAll(path, 0o700); err != nil {
			return nil, fmt.Errorf("open plugin store: %w", err)
		}
		about, err := os.Lstat(path)
		if err != nil {
			return nil, fmt.Errorf("open plugin store: %w", err)
		}
		if !about.IsDir() || about.Mode().Perm()&0o077 != 0 {
			return nil, &core.Error{Code: core.CodeDenied, Message: "the plugin store " + path + " is open to others, or no directory", Fix: "chmod 700 it after a look at who wrote there"}
		}
	}
	return &Store{dir: dir}, nil
}

func (s *Store) path(folder, digest string) (string, error) {
	if err := trust.CheckDigest(digest); err != nil {
		return "", err
	}
	return filepath.Join(s.dir, folder, strings.TrimPrefix(digest, "sha256:")), nil
}

// Put writes b unless it is there, and returns its digest.
func (s *Store) Put(b []byte) (string, error) {
	digest := trust.Digest(b)
	path, err := s.path("blobs/sha256", digest)
	if err != nil {
		return "", err
	}
	if _, err := s.Get(digest, int64(len(b))); err == nil {
		return digest, nil
	}
	return digest, s.write(path, b)
}

// write makes the file appear whole or not at all, also when the machine stops.
func (s *Store) write(path string, b []byte) (err error) {
	f, err := os.CreateTemp(s.dir, "new-*") // 0600
	if err != nil {
		return fmt.Errorf("write to plugin store: %w", err)
	}
	defer func() {
		if err != nil {
			f.Close()
			_ = os.Remove(f.Name())
			err = fmt.Errorf("write to plugin store: %w", err)
		}
	}()
	if _, err := f.Write(b); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// Get returns the content of a digest, checked. limit is in bytes.
func (s *Store) Get(digest string, limit int64) ([]byte, error) {
	path, err := s.path("blobs/sha256", digest)
	if err != nil {
		return nil, err
	}
	b, err := readFile(path, limit)
	if err != nil {
		return nil, err
	}
	if err := trust.Match("the stored part", b, digest); err != nil {
		_ = os.Rename(path, path+".corrupt")
		return nil, fmt.Errorf("read %s: %w: %w", digest, ErrCorrupt, err)
	}
	return b, nil
}

func readFile(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read from plugin store: %w", ErrMissing)
	}
	if err != nil {
		return nil, fmt.Errorf("read from plugin store: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read from plugin store: %w", err)
	}
	if int64(len(b)) > limit {
		return nil, tooLarge("the stored part", limit)
	}
	return b, nil
}

// Save writes an artifact: its parts first, the OCI manifest last, so that what Load
// finds is whole. Signatures join those that are there.
func (s *Store) Save(a *Artifact) error {
	if err := a.Check(); err != nil {
		return err
	}
	for _, b := range [][]byte{a.Config, a.Module, a.PluginYAML} {
		if b == nil {
			continue
		}
		if _, err := s.Put(b); err != nil {
			return err
		}
	}
	if len(a.Signatures) > 0 {
		if err := s.sign(a.Digest, a.Signatures); err != nil {
			return err
		}
	}
	_, err := s.Put(a.OCI)
	return err
}

// sign adds signatures, the newest first: only so many are looked at.
func (s *Store) sign(digest string, signatures []trust.Signature) error {
	path, err := s.path("signatures", digest)
	if err != nil {
		return err
	}
	known, err := s.signatures(digest)
	if err != nil {
		known = nil // a damaged file is replaced
	}
	all := join(signatures, known)
	b, err := wire.Marshal(all)
	if err != nil {
		return fmt.Errorf("write signatures of %s: %w", digest, err)
	}
	return s.write(path, b)
}

// join returns both lists without repetition, at most maxSignatures.
func join(a, b []trust.Signature) []trust.Signature {
	var all []trust.Signature
	for _, sig := range slices.Concat(a, b) {
		same := func(o trust.Signature) bool {
			return o.Form == sig.Form && o.Cosign == sig.Cosign && bytes.Equal(o.Body, sig.Body)
		}
		if len(all) < maxSignatures && len(sig.Body) <= trust.MaxSignature && !slices.ContainsFunc(all, same) {
			all = append(all, sig)
		}
	}
	return all
}

func (s *Store) signatures(digest string) ([]trust.Signature, error) {
	path, err := s.path("signatures", digest)
	if err != nil {
		return nil, err
	}
	b, err := readFile(path, maxSignatureFile)
	if errors.Is(err, ErrMissing) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list []trust.Signature
	if err := wire.Unmarshal(b, &list); err != nil {
		return nil, fmt.Errorf("read signatures of %s: %w", digest, err)
	}
	return list, nil
}

// Load returns the artifact with a digest, every part checked. Its signatures are
// those that were found when it was saved: verify them again, keys come and go.
func (s *Store) Load(digest string) (*Artifact, error) {
	a := &Artifact{Digest: digest}
	var err error
	if a.OCI, err = s.Get(digest, maxOCI); err != nil {
		return nil, err
	}
	p, err := readParts(a.OCI)
	if err != nil {
		return nil, err
	}
	if a.Config, err = s.Get(string(p.config.Digest), maxConfig); err != nil {
		return nil, err
	}
	if a.Module, err = s.Get(string(p.module.Digest), MaxModule); err != nil {
		return nil, err
	}
	if p.manifest.Digest != "" {
		if a.PluginYAML, err = s.Get(string(p.manifest.Digest), manifest.MaxBytes); err != nil {
			return nil, err
		}
	}
	if a.Signatures, err = s.signatures(digest); err != nil {
		return nil, err
	}
	return a, a.Check()
}

// Sweep removes what no artifact in keep needs, and what a stop left half written. It
// must not run beside Save of an artifact that is not in keep.
func (s *Store) Sweep(keep []string) error {
	used := map[string]bool{}
	signed := map[string]bool{}
	for _, digest := range keep {
		b, err := s.Get(digest, maxOCI)
		if errors.Is(err, ErrMissing) {
			continue
		}
		if err != nil {
			return err
		}
		p, err := readParts(b)
		if err != nil {
			return err
		}
		signed[strings.TrimPrefix(digest, "sha256:")] = true
		for _, d := range []string{digest, string(p.config.Digest), string(p.module.Digest), string(p.manifest.Digest)} {
			used[strings.TrimPrefix(d, "sha256:")] = true
		}
	}
	for folder, wanted := range map[string]map[string]bool{"blobs/sha256": used, "signatures": signed, "": nil} {
		entries, err := os.ReadDir(filepath.Join(s.dir, folder))
		if err != nil {
			return fmt.Errorf("sweep plugin store: %w", err)
		}
		for _, entry := range entries {
			if entry.IsDir() || wanted[entry.Name()] || folder == "" && !strings.HasPrefix(entry.Name(), "new-") {
				continue
			}
			if err := os.Remove(filepath.Join(s.dir, folder, entry.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("sweep plugin store: %w", err)
			}
		}
	}
	return nil
}
