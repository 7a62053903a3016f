package manifest

import (
	"bytes"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/plugins/rewrite"
)

// FromModule reads the manifest that a module carries in its custom section.
func FromModule(file string, wasm []byte) (*Manifest, error) {
	text, found := rewrite.CustomSection(wasm, Section)
	if !found {
		return nil, &InvalidError{Problems: []core.Problem{{
			File: file, Message: "the module has no manifest (custom section " + Section + ")",
			Fix: "put plugin.yaml beside it, or build it with `sallyport plugin build`, which embeds plugin.yaml",
		}}}
	}
	return Parse(file+"#"+Section, text)
}

// Load returns the manifest of a module: from plugin.yaml (text; nil when there is
// none), from the module, or from both, which then must say the same.
func Load(file string, text, wasm []byte) (*Manifest, error) {
	if text == nil {
		return FromModule(file, wasm)
	}
	m, err := Parse(file, text)
	if err != nil {
		return nil, err
	}
	if _, embedded := rewrite.CustomSection(wasm, Section); !embedded {
		return m, nil
	}
	inner, err := FromModule(file, wasm)
	if err != nil {
		return nil, err
	}
	a, err := m.Canonical()
	if err != nil {
		return nil, err
	}
	b, err := inner.Canonical()
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(a, b) {
		return nil, &InvalidError{Problems: []core.Problem{{
			File: file, Message: "plugin.yaml and the manifest inside the module differ",
			Fix: "build again with `sallyport plugin build`: people review one and the gateway must not run the other",
		}}}
	}
	return m, nil
}

// Embed returns the module with the manifest as its custom section, replacing one that
// is there. text is what Parse reads.
func Embed(wasm, text []byte) ([]byte, error) {
	if _, err := Parse("plugin.yaml", text); err != nil {
		return nil, err
	}
	return rewrite.WithCustomSection(wasm, Section, text), nil
}
