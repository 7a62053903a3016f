package authn

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"hash/crc32"
	"io"
	"math/big"
	"regexp"
	"strings"

	"github.com/sallyport/sallyport/core"
)

// An API token reads
//
//	spt_live_4kFj2hPqXw9s_<43 characters: 32 random bytes>_<6 characters: CRC-32 of what stands before>
//	    env  id
//
// in digits and letters only, so that a double click selects it. The checksum lets a typo
// and a scanner's false alarm be seen without a look-up; it protects nothing.
const (
	tokenHead   = "spt"
	secretChars = 43 // 62^43 > 2^256
	crcChars    = 6  // 62^6 > 2^32
	maxEnv      = 16
	maxTokenID  = 32
	hintChars   = 4 // of the secret, that the hint shows
)

// TokenPattern finds API tokens in texts: for secret scanners. Whoever finds one should check
// its last six characters with ParseToken.
const TokenPattern = `\bspt_[a-z0-9]{1,16}_[0-9A-Za-z]{1,32}_[0-9A-Za-z]{43}_[0-9A-Za-z]{6}\b`

// tokenShape is TokenPattern held against a whole text.
var tokenShape = regexp.MustCompile(`^spt_[a-z0-9]{1,16}_[0-9A-Za-z]{1,32}_[0-9A-Za-z]{43}_[0-9A-Za-z]{6}$`)

const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// MintToken makes an API token. env says where it belongs (live, test; up to 16 of a-z0-9),
// id is the row's (up to 32 digits and letters, see NewID). The token is shown once;
// core.Token keeps sum and hint. random nil means crypto/rand.
func MintToken(random io.Reader, env, id string) (token core.Secret, sum, hint string, err error) {
	secret, err := randomText(random, 32, secretChars)
	if err != nil {
		return "", "", "", err
	}
	head := tokenHead + "_" + env + "_" + id + "_" + secret
	text := head + "_" + crcOf(head)
	if !tokenShape.MatchString(text) {
		return "", "", "", &core.Error{
			Code: core.CodeInvalid, Message: "mint a token: its env or id has other characters than it may",
			Fix: "env: up to 16 of a-z0-9; id: up to 32 digits and letters",
		}
	}
	return core.Secret(text), TokenSum(text), head[:len(head)-secretChars+hintChars] + "…", nil
}

// TokenSum returns what core.Token keeps of a token: its SHA-256, hexadecimal.
func TokenSum(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// ParseToken takes an API token apart. whole is false for anything that is not one from
// beginning to end, its checksum included.
func ParseToken(text string) (env, id string, whole bool) {
	// Room for everything, and no more.
	if len(text) > len(tokenHead)+maxEnv+maxTokenID+secretChars+crcChars+4 || !strings.HasPrefix(text, tokenHead+"_") {
		return "", "", false
	}
	parts := strings.Split(text, "_")
	if len(parts) != 5 || len(parts[3]) != secretChars || len(parts[4]) != crcChars ||
		parts[1] == "" || len(parts[1]) > maxEnv || parts[2] == "" || len(parts[2]) > maxTokenID {
		return "", "", false
	}
	for i, part := range parts[1:] {
		for j := range len(part) {
			c := part[j]
			upper := 'A' <= c && c <= 'Z'
			if !('0' <= c && c <= '9' || 'a' <= c && c <= 'z' || upper && i > 0) {
				return "", "", false
			}
		}
	}
	if crcOf(text[:len(text)-crcChars-1]) != parts[4] {
		return "", "", false
	}
	return parts[1], parts[2], true
}

// NewID returns a fresh id of 19 digits and letters: 112 random bits. random nil means
// crypto/rand.
func NewID(random io.Reader) (string, error) { return randomText(random, 14, 19) }

func crcOf(text string) string {
	n := new(big.Int).SetUint64(uint64(crc32.ChecksumIEEE([]byte(text))))
	return pad62(n, crcChars)
}

// randomText returns size random bytes, written with width digits and letters.
func randomText(random io.Reader, size, width int) (string, error) {
	b, err := randomBytes(random, size)
	if err != nil {
		return "", err
	}
	return pad62(new(big.Int).SetBytes(b), width), nil
}

func randomBytes(random io.Reader, size int) ([]byte, error) {
	if random == nil {
		random = rand.Reader
	}
	b := make([]byte, size)
	if _, err := io.ReadFull(random, b); err != nil {
		return nil, &core.Error{Code: core.CodeInternal, Message: "no randomness", Err: err}
	}
	return b, nil
}

// pad62 writes n in the digits 0-9A-Za-z, with zeros in front up to width.
func pad62(n *big.Int, width int) string {
	out := make([]byte, width)
	n = new(big.Int).Set(n)
	base, rest := big.NewInt(62), new(big.Int)
	for i := width - 1; i >= 0; i-- {
		n.DivMod(n, base, rest)
		out[i] = digits[rest.Int64()]
	}
	return string(out)
}

// Mint fills ID, where it is empty, and Hint and Sum of a new token, which the caller
// stores, and returns its text, which is shown once.
func (a *Authn) Mint(token *core.Token) (core.Secret, error) {
	if token.ID == "" {
		id, err := NewID(a.random)
		if err != nil {
			return "", err
		}
		token.ID = id
	}
	text, sum, hint, err := MintToken(a.random, a.env, token.ID)
	if err != nil {
		return "", err
	}
	token.Sum, token.Hint = sum, hint
	return text, nil
}
