package authn

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"slices"

	"github.com/sallyport/sallyport/core/wire"
)

// algorithms are those that a signature may have: public keys only, so that nobody can
// sign with what everybody can read (RFC 8725, section 3.1). Never none, never HS*.
var algorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

// maxKeys bounds what is kept of one issuer.
const maxKeys = 64

// key is one public key of an issuer (RFC 7517).
type key struct {
	id, alg string
	public  crypto.PublicKey
}

// fits tells whether the key may have made a signature of that algorithm: its type, its
// curve and what its issuer says of it.
func (k key) fits(alg string) bool {
	if k.alg != "" && k.alg != alg {
		return false
	}
	switch public := k.public.(type) {
	case *rsa.PublicKey:
		return len(alg) == 5 && (alg[:2] == "RS" || alg[:2] == "PS")
	case *ecdsa.PublicKey:
		return alg == map[elliptic.Curve]string{elliptic.P256(): "ES256", elliptic.P384(): "ES384", elliptic.P521(): "ES512"}[public.Curve]
	case ed25519.PublicKey:
		return alg == "EdDSA"
	}
	return false
}

// parseKeys reads a JWK Set. Keys that we cannot use, or that are not for signatures, are
// passed over: an issuer may publish others beside.
func parseKeys(body []byte) ([]key, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := wire.Unmarshal(body, &set); err != nil {
		return nil, away("keys", err)
	}
	var keys []key
	for _, raw := range set.Keys {
		if len(keys) == maxKeys {
			break
		}
		if k, ok := parseKey(raw); ok {
			keys = append(keys, k)
		}
	}
	return keys, nil
}

func parseKey(raw json.RawMessage) (key, bool) {
	var j struct {
		Kty string   `json:"kty"`
		Kid string   `json:"kid"`
		Alg string   `json:"alg"`
		Use string   `json:"use"`
		Ops []string `json:"key_ops"`
		Crv string   `json:"crv"`
		N   string   `json:"n"`
		E   string   `json:"e"`
		X   string   `json:"x"`
		Y   string   `json:"y"`
	}
	if err := wire.Unmarshal(raw, &j); err != nil {
		return key{}, false
	}
	if j.Use != "" && j.Use != "sig" || j.Ops != nil && !slices.Contains(j.Ops, "verify") || j.Alg != "" && !slices.Contains(algorithms, j.Alg) || len(j.Kid) > 512 {
		return key{}, false
	}
	k := key{id: j.Kid, alg: j.Alg}
	switch j.Kty {
	case "RSA":
		n, e := decode64(j.N), decode64(j.E)
		exponent := new(big.Int).SetBytes(e)
		public := &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(exponent.Int64())}
		if bits := public.N.BitLen(); bits < 2048 || bits > 8192 || exponent.BitLen() > 31 || public.E < 3 || public.E%2 == 0 {
			return key{}, false
		}
		k.public = public
	case "EC":
		curve, ok := map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}[j.Crv]
		if !ok {
			return key{}, false
		}
		size := (curve.Params().BitSize + 7) / 8
		x, y := decode64(j.X), decode64(j.Y)
		if len(x) != size || len(y) != size {
			return key{}, false
		}
		public, err := ecdsa.ParseUncompressedPublicKey(curve, append(append([]byte{4}, x...), y...))
		if err != nil {
			return key{}, false
		}
		k.public = public
	case "OKP":
		x := decode64(j.X)
		if j.Crv != "Ed25519" || len(x) != ed25519.PublicKeySize {
			return key{}, false
		}
		k.public = ed25519.PublicKey(x)
	default:
		return key{}, false
	}
	return k, true
}

// decode64 reads base64url; nil for anything else.
func decode64(text string) []byte {
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil
	}
	return b
}

func encode64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
