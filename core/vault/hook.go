package vault

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

const (
	hookTimeout = 10 * time.Second
	maxAnswer   = 64 << 10
	hooksAtOnce = 4
	maxKnown    = 4096 // unwrapped keys that are remembered
)

// hook wraps data keys by a program: the way to a key management service. See the
// package comment for what it reads and writes.
type hook struct {
	argv    []string
	env     []string
	timeout time.Duration
	at      chan struct{} // how many may run

	mu    sync.Mutex
	kid   string                               // of the last wrap
	known map[[sha256.Size]byte]*[keySize]byte // data keys, by what they were unwrapped from
}

// openHook starts the program twice, to see that it gives back what it was given.
func openHook(ctx context.Context, o *Options) (*hook, error) {
	wrong := func(what string) error {
		return &core.Error{
			Code: core.CodeInvalid, Message: "the command of the vault " + what,
			Fix: "give the absolute path of a program, and its arguments as items of a list",
		}
	}
	switch {
	case !filepath.IsAbs(o.Command[0]):
		return nil, wrong("is not an absolute path")
	case slices.ContainsFunc(o.Command, func(s string) bool { return strings.ContainsRune(s, 0) }):
		return nil, wrong("holds a NUL character")
	}
	h := &hook{argv: o.Command, env: o.Environment, timeout: o.Timeout, at: make(chan struct{}, hooksAtOnce), known: map[[sha256.Size]byte]*[keySize]byte{}}
	if h.timeout <= 0 {
		h.timeout = hookTimeout
	}
	if h.env == nil {
		h.env = []string{}
	}
	var secret [keySize]byte
	if _, err := io.ReadFull(o.Rand, secret[:]); err != nil {
		return nil, fmt.Errorf("try the command of the vault: read randomness: %w", err)
	}
	trial := digest([]byte("trial"))
	kid, wrapped, err := h.wrap(ctx, secret[:], trial)
	if err != nil {
		return nil, err
	}
	h.forget()
	back, err := h.unwrap(ctx, kid, wrapped, trial)
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare(back, secret[:]) != 1 {
		return nil, &core.Error{Code: core.CodeInvalid, Message: "the command of the vault did not unwrap what it wrapped"}
	}
	return h, nil
}

type question struct {
	Op      string `json:"op"`
	Key     string `json:"key,omitempty"`
	Kid     string `json:"kid,omitempty"`
	Wrapped string `json:"wrapped,omitempty"`
	Context string `json:"context"`
}

type reply struct {
	Key     string `json:"key"`
	Kid     string `json:"kid"`
	Wrapped string `json:"wrapped"`
}

func (h *hook) wrap(ctx context.Context, secret, about []byte) (kid string, wrapped []byte, err error) {
	r, err := h.ask(ctx, question{Op: "wrap", Key: base64.StdEncoding.EncodeToString(secret), Context: base64.StdEncoding.EncodeToString(about)})
	if err != nil {
		return "", nil, err
	}
	wrapped, err = base64.StdEncoding.DecodeString(r.Wrapped)
	switch {
	case err != nil || len(wrapped) == 0 || len(wrapped) > maxWrapped:
		return "", nil, h.odd("wrap", "wrapped is not base64 of 1 to 4096 bytes")
	case !isKid(r.Kid):
		return "", nil, h.odd("wrap", "kid is not 1 to 64 letters, digits, - and _")
	case bytes.Contains(wrapped, secret):
		return "", nil, h.odd("wrap", "wrapped holds the key itself")
	}
	h.mu.Lock()
	h.kid = r.Kid
	h.mu.Unlock()
	h.remember(r.Kid, wrapped, about, secret)
	return r.Kid, wrapped, nil
}

// sealing returns the kid of the last wrap.
func (h *hook) sealing() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.kid
}

func (h *hook) unwrap(ctx context.Context, kid string, wrapped, about []byte) ([]byte, error) {
	id := knownBy(kid, wrapped, about)
	h.mu.Lock()
	known := h.known[id]
	h.mu.Unlock()
	if known != nil {
		return bytes.Clone(known[:]), nil
	}
	r, err := h.ask(ctx, question{Op: "unwrap", Kid: kid, Wrapped: base64.StdEncoding.EncodeToString(wrapped), Context: base64.StdEncoding.EncodeToString(about)})
	if err != nil {
		return nil, err
	}
	secret, err := base64.StdEncoding.DecodeString(r.Key)
	if err != nil || len(secret) != keySize {
		return nil, h.odd("unwrap", "key is not base64 of 32 bytes")
	}
	h.remember(kid, wrapped, about, secret)
	return secret, nil
}

func knownBy(kid string, wrapped, about []byte) [sha256.Size]byte {
	return sha256.Sum256(associated("known", []string{kid, string(wrapped), string(about)}))
}

func (h *hook) remember(kid string, wrapped, about, secret []byte) {
	kept := [keySize]byte(secret)
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.known) >= maxKnown {
		clear(h.known)
	}
	h.known[knownBy(kid, wrapped, about)] = &kept
}

func (h *hook) forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	clear(h.known)
}

// ask runs the program once.
func (h *hook) ask(ctx context.Context, q question) (reply, error) {
	ctx, cancel := context.WithTimeout(ctx, h.timeout)
	defer cancel()
	select {
	case h.at <- struct{}{}:
		defer func() { <-h.at }()
	case <-ctx.Done():
		return reply{}, h.failed(q.Op, "did not come to its turn", ctx.Err())
	}
	in, err := wire.Marshal(q)
	if err != nil {
		return reply{}, fmt.Errorf("ask the command of the vault: %w", err)
	}
	defer clear(in)
	out := &bounded{left: maxAnswer}
	run := exec.CommandContext(ctx, h.argv[0], h.argv[1:]...) //nolint:gosec // the operator's own program, from the settings
	run.Env, run.Dir, run.Stdin, run.Stdout, run.WaitDelay = h.env, "/", bytes.NewReader(append(in, '\n')), out, time.Second
	err = run.Run()
	defer clear(out.b)
	switch {
	case ctx.Err() != nil:
		return reply{}, h.failed(q.Op, "did not answer in time", ctx.Err())
	case out.left < 0:
		return reply{}, h.odd(q.Op, "it is longer than 64 KiB")
	case err != nil:
		return reply{}, h.failed(q.Op, "failed", ended(err))
	}
	var r reply
	if err := wire.Unmarshal(out.b, &r); err != nil {
		return reply{}, h.odd(q.Op, "it is not one JSON object")
	}
	return r, nil
}

// ended says how the program ended, without anything that it wrote.
func ended(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return errors.New(exit.ProcessState.String())
	}
	return err
}

func (h *hook) failed(op, what string, cause error) error {
	return &core.Error{
		Code: core.CodeUnavailable, Message: "the command of the vault " + what + " (" + op + ")",
		Fix: "run it by hand with the same input, and see to its permissions and to the service behind it", Err: cause,
	}
}

func (h *hook) odd(op, what string) error {
	return &core.Error{Code: core.CodeUnavailable, Message: "the command of the vault answered " + op + " wrongly: " + what, Fix: "see the docs of the vault for what it reads and writes"}
}

// bounded keeps what is written, up to a limit.
type bounded struct {
	b    []byte
	left int
}

// Write refuses what is too much.
func (w *bounded) Write(p []byte) (int, error) {
	if w.left -= len(p); w.left < 0 {
		return 0, errors.New("too much")
	}
	w.b = append(w.b, p...)
	return len(p), nil
}
