package core

// Sealer makes tokens that only we can read and make: authenticated encryption
// (AEAD) with a key id, so that keys can be rotated.
type Sealer interface {
	// Seal returns a token of URL-safe ASCII. purpose and bind are authenticated but
	// not stored: Open must be given the same ones.
	Seal(purpose string, plain []byte, bind ...string) (string, error)
	// Open returns what was sealed, or an *Error with CodeNotFound.
	Open(purpose, token string, bind ...string) ([]byte, error)
}
