package manifest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/sallyport/sallyport/core/wire"
)

// Canonical returns the manifest as JSON in one form: defaults filled in, keys sorted
// by their bytes, no white space, sets sorted. Numbers in schemas keep their spelling.
// Two files of the same meaning, comments and order aside, have the same form, and
// Parse reads it.
func (m *Manifest) Canonical() ([]byte, error) {
	b, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("write manifest of %s: %w", m.Name, err)
	}
	v, err := wire.Decode(b)
	if err != nil {
		return nil, fmt.Errorf("write manifest of %s: %w", m.Name, err)
	}
	return wire.Marshal(v)
}

// Hash returns "sha256:" and the hexadecimal SHA-256 of the canonical form.
func (m *Manifest) Hash() (string, error) {
	b, err := m.Canonical()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:]), nil
}
