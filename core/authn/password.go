package authn

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"io"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"

	"github.com/sallyport/sallyport/core"
)

// Cost is what one argon2id hash takes (RFC 9106). The zero value is DefaultCost.
type Cost struct {
	Memory  uint32 // KiB
	Time    uint32 // passes
	Threads uint8
}

// DefaultCost is above the floor of the OWASP password storage cheat sheet (19 MiB, 2, 1).
var DefaultCost = Cost{Memory: 32 * 1024, Time: 3, Threads: 1}

// What a stored hash may ask for: whoever can write one must not be able to eat the
// machine with it.
const (
	maxMemory  = 256 * 1024 // KiB
	maxTime    = 16
	maxThreads = 8
	saltBytes  = 16
	sumBytes   = 32
	maxText    = 1024 // bytes of a password that is looked at
)

// PasswordOptions are the options of NewPasswords; the zero value works.
type PasswordOptions struct {
	Cost   Cost
	AtOnce int       // hashes that run at a time; 0 = 2, so 64 MiB at most
	Rand   io.Reader // nil = crypto/rand
}

// Passwords hashes and verifies passwords, a few at a time. It is safe for concurrent use.
type Passwords struct {
	cost   Cost
	random io.Reader
	turn   chan struct{}
	decoy  phc // what the password of nobody is held against
	// hash is argon2id; tests count its runs.
	hash func(password, salt []byte, cost Cost, size uint32) []byte
}

// NewPasswords returns Passwords.
func NewPasswords(o PasswordOptions) *Passwords {
	if o.Cost == (Cost{}) {
		o.Cost = DefaultCost
	}
	if o.AtOnce <= 0 {
		o.AtOnce = 2
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	return &Passwords{
		cost: o.Cost, random: o.Rand, turn: make(chan struct{}, o.AtOnce),
		decoy: phc{cost: o.Cost, salt: make([]byte, saltBytes), sum: make([]byte, sumBytes)},
		hash: func(password, salt []byte, cost Cost, size uint32) []byte {
			return argon2.IDKey(password, salt, cost.Time, cost.Memory, cost.Threads, size)
		},
	}
}

// Hash returns the PHC string of a password, which is not checked (see CheckPassword). It
// waits for its turn as long as ctx lasts.
func (p *Passwords) Hash(ctx context.Context, password core.Secret) (string, error) {
	h := phc{cost: p.cost, salt: make([]byte, saltBytes)}
	if _, err := io.ReadFull(p.random, h.salt); err != nil {
		return "", &core.Error{Code: core.CodeInternal, Message: "hash a password: no randomness", Err: err}
	}
	sum, err := p.run(ctx, password, h, sumBytes)
	if err != nil {
		return "", err
	}
	h.sum = sum
	return h.String(), nil
}

// Verify tells whether password is the one of hash, a PHC string, and whether the hash
// should be made anew because it is weaker than those of today. An empty or broken hash
// takes the same work and fits nothing: whoever watches the clock does not learn who has
// a password.
func (p *Passwords) Verify(ctx context.Context, hash string, password core.Secret) (fits, weak bool, err error) {
	h, known := parsePHC(hash)
	if !known {
		h = p.decoy
	}
	sum, err := p.run(ctx, password, h, uint32(len(h.sum)))
	if err != nil {
		return false, false, err
	}
	fits = subtle.ConstantTimeCompare(sum, h.sum) == 1 && known
	weak = h.cost.Memory < p.cost.Memory || h.cost.Time < p.cost.Time || len(h.sum) < sumBytes || len(h.salt) < saltBytes
	return fits, fits && weak, nil
}

func (p *Passwords) run(ctx context.Context, password core.Secret, h phc, size uint32) ([]byte, error) {
	select {
	case p.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, &core.Error{Code: core.CodeUnavailable, Message: "too many passwords are being checked", Fix: "try again in a moment", RetryAfter: 2, Err: ctx.Err()}
	}
	defer func() { <-p.turn }()
	text := password.Reveal()
	if len(text) > maxText {
		text = text[:maxText] // CheckPassword accepts none so long, so it fits no hash
	}
	return p.hash([]byte(norm.NFC.String(text)), h.salt, h.cost, size), nil
}

// phc is a hash with what made it:
// $argon2id$v=19$m=32768,t=3,p=1$<salt>$<sum> (the PHC string format).
type phc struct {
	cost      Cost
	salt, sum []byte
}

// String returns the hash as it is stored.
func (h phc) String() string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version,
		h.cost.Memory, h.cost.Time, h.cost.Threads, b64.EncodeToString(h.salt), b64.EncodeToString(h.sum))
}

// parsePHC reads a stored hash; found is false for anything else, and for costs that no
// hash of ours has.
func parsePHC(text string) (h phc, found bool) {
	parts := strings.Split(text, "$")
	if len(text) > 512 || len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != "v="+strconv.Itoa(argon2.Version) {
		return phc{}, false
	}
	costs := strings.Split(parts[3], ",")
	if len(costs) != 3 {
		return phc{}, false
	}
	m, ok1 := parameter(costs[0], "m=", maxMemory)
	t, ok2 := parameter(costs[1], "t=", maxTime)
	p, ok3 := parameter(costs[2], "p=", maxThreads)
	if !ok1 || !ok2 || !ok3 || m < 8*p {
		return phc{}, false
	}
	b64 := base64.RawStdEncoding.Strict()
	salt, err1 := b64.DecodeString(parts[4])
	sum, err2 := b64.DecodeString(parts[5])
	if err1 != nil || err2 != nil || len(salt) < 8 || len(salt) > 64 || len(sum) < 16 || len(sum) > 64 {
		return phc{}, false
	}
	return phc{cost: Cost{Memory: m, Time: t, Threads: uint8(p)}, salt: salt, sum: sum}, true
}

// parameter reads "m=123", at least 1 and at most limit.
func parameter(text, name string, limit uint64) (uint32, bool) {
	digits, found := strings.CutPrefix(text, name)
	n, err := strconv.ParseUint(digits, 10, 32)
	if !found || err != nil || n == 0 || n > limit || strconv.FormatUint(n, 10) != digits {
		return 0, false
	}
	return uint32(n), true
}
