package plugins

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/plugins/abi"
	"github.com/sallyport/sallyport/plugins/hostcall"
	"github.com/sallyport/sallyport/plugins/manifest"
	"github.com/sallyport/sallyport/plugins/sandbox"
)

// version is a plugin that is loaded: its code, and all that decides what it does. Sets
// share it.
type version struct {
	key     key
	refs    int // under Host.mu
	host    *Host
	name    string // as documents call it
	digest  string
	about   *manifest.Manifest
	granted manifest.Capabilities
	tools   []core.ToolConfig
	context []string // keys of pairs that calls carry
	budgets [len(abi.Kinds)]sandbox.Budget
	code    *sandbox.Plugin
	outside *hostcall.Host
	log     *slog.Logger // without the plugin's secrets: what a guest said may stand there
	loaded  time.Time
	listed  listing // of its catalogue
	skips   skips   // of its response transformer
	slow    bool    // isolated per call
}

// key is what two plugins have in common that can be one version.
type key [sha256.Size]byte

// wanted is a plugin that passed every check and is not loaded yet.
type wanted struct {
	name      string
	digest    string
	module    []byte
	about     *manifest.Manifest
	granted   manifest.Capabilities
	secrets   map[string]core.Secret
	config    json.RawMessage
	limits    sandbox.Limits
	budgets   [len(abi.Kinds)]sandbox.Budget
	isolation string
	signer    string // for the log; no part of the key
}

// key hashes all of it. Secrets go in by a keyed hash: the sum is worth nothing to who
// reads it.
func (w *wanted) key(salt []byte) (k key, err error) {
	sum := sha256.New()
	granted, err := json.Marshal(w.granted)
	if err != nil {
		return key{}, fmt.Errorf("write the grants of plugin %s: %w", w.name, err)
	}
	field(sum, []byte(w.name))
	field(sum, []byte(w.digest))
	field(sum, granted)
	field(sum, w.config)
	field(sum, fmt.Appendf(nil, "%+v", w.limits))
	for i := range w.budgets {
		field(sum, fmt.Appendf(nil, "%d %d", w.budgets[i].Wall, w.budgets[i].CPU))
	}
	field(sum, []byte(w.isolation))
	for _, name := range slices.Sorted(maps.Keys(w.secrets)) {
		hidden := hmac.New(sha256.New, salt)
		hidden.Write([]byte(w.secrets[name].Reveal()))
		field(sum, []byte(name))
		field(sum, hidden.Sum(nil))
	}
	sum.Sum(k[:0])
	return k, nil
}

func field(sum hash.Hash, b []byte) {
	var size [8]byte
	binary.LittleEndian.PutUint64(size[:], uint64(len(b)))
	sum.Write(size[:])
	sum.Write(b)
}

// known takes one more reference to a version that is loaded already, or returns nil.
func (h *Host) known(k key) *version {
	h.mu.Lock()
	defer h.mu.Unlock()
	v := h.versions[k]
	if v != nil {
		v.refs++
	}
	return v
}

// keep enters a version with its first reference.
func (h *Host) keep(v *version) {
	h.mu.Lock()
	defer h.mu.Unlock()
	v.refs = 1
	h.versions[v.key] = v
}

// release drops a reference; Host.mu is held. The last one ends the version, in the
// background: calls that run finish first.
func (h *Host) release(v *version) {
	if v.refs--; v.refs > 0 {
		return
	}
	delete(h.versions, v.key)
	h.background.Go(v.close)
}

// close waits for the calls that run and frees everything.
func (v *version) close() {
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	if err := v.code.Close(ctx); err != nil {
		v.host.log.Warn("plugin still runs although nothing has it any more", "plugin", v.name, "version", v.about.Version, "error", err)
	}
	if err := v.outside.Close(); err != nil {
		v.host.log.Warn("close plugin", "plugin", v.name, "error", err)
	}
	v.host.log.Debug("plugin closed", "plugin", v.name, "version", v.about.Version, "digest", v.digest)
}

// grantOf says which host functions are linked.
func grantOf(c manifest.Capabilities) sandbox.Grant {
	return sandbox.Grant{
		HTTP: len(c.HTTP) > 0, KV: c.KV != nil, Secrets: len(c.Secrets) > 0,
		Progress: c.Progress, CallTool: len(c.CallTool) > 0,
	}
}
