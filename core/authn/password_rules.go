package authn

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/sallyport/sallyport/core"
)

// Lengths of a password in bytes, in Unicode's form NFC.
const (
	MinPassword = 8
	MaxPassword = 256
)

// CheckPassword returns an *core.Error with CodeInvalid when a password may not be used by
// the user of that name. The rules are those of NIST SP 800-63B section 5.1.1.2: long
// enough, not one of the worst, not the name; no rules on which characters it has.
func CheckPassword(name string, password core.Secret) error {
	refuse := func(what, fix string) error {
		return &core.Error{
			Code: core.CodeInvalid, Message: "the password " + what, Fix: fix,
			Problems: []core.Problem{{Path: "/password", Message: "the password " + what, Fix: fix}},
		}
	}
	text := password.Reveal()
	if len(text) > maxText {
		return refuse("is longer than 256 bytes", "use one of 8 to 256 bytes")
	}
	if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
		return refuse("is not text", "use characters that a keyboard can type")
	}
	text = norm.NFC.String(text)
	switch {
	case len(text) < MinPassword:
		return refuse("is shorter than 8 bytes", "use one of 8 to 256 bytes: several words are easy to remember")
	case len(text) > MaxPassword:
		return refuse("is longer than 256 bytes", "use one of 8 to 256 bytes")
	case name != "" && strings.EqualFold(text, norm.NFC.String(name)):
		return refuse("is the name of the user", "use one that cannot be guessed from the name")
	}
	lower := strings.ToLower(text)
	stem := strings.TrimRight(lower, "0123456789!?.,-_#*$ ")
	for _, bad := range worst {
		if lower == bad || stem == bad {
			return refuse("is one of those that are tried first", "use several words that do not belong together")
		}
	}
	if same(lower) {
		return refuse("repeats one character", "use several words that do not belong together")
	}
	return nil
}

// same tells whether a text is one character over and over.
func same(text string) bool {
	first, _ := utf8.DecodeRuneInString(text)
	return strings.Trim(text, string(first)) == ""
}

// worst heads every list of leaked passwords. Digits and marks at the end of a password
// are cut off before it is looked up too, so "password2026!" stands here as "password".
var worst = []string{
	"password", "passw0rd", "p@ssw0rd", "p@ssword", "pa$$word", "passwort", "motdepasse", "contraseña", "wachtwoord",
	"12345678", "123456789", "1234567890", "12345678910", "0123456789", "87654321", "987654321", "11223344", "12341234",
	"123123123", "1q2w3e4r", "1q2w3e4r5t", "1qaz2wsx", "1qaz2wsx3edc", "q1w2e3r4", "q1w2e3r4t5", "zaq12wsx", "qazwsxedc",
	"qwerty", "qwertyui", "qwertyuiop", "qwertz", "qwertzuiop", "azertyuiop", "asdfghjk", "asdfghjkl", "zxcvbnm", "qwerty12345",
	"qwert", "asdf1234", "abcd1234", "abc12345", "a1b2c3d4", "aa123456", "abcdefgh", "abcdefghi", "abcdefghij",
	"iloveyou", "sunshine", "princess", "football", "baseball", "basketball", "superman", "batman", "starwars", "pokemon",
	"trustno1", "whatever", "computer", "internet", "corvette", "mercedes", "michelle", "jennifer", "jonathan", "michael",
	"charlie", "dragon", "monkey", "shadow", "master", "letmein", "letmein1", "welcome", "willkommen", "bienvenue",
	"changeme", "change-me", "change_me", "changeit", "default", "secret", "secretsecret", "geheim", "test", "testtest", "testing",
	"admin", "adminadmin", "administrator", "root", "rootroot", "toor", "guest", "login", "user", "manager", "operator",
	"sallyport", "gateway", "postgres", "kubernetes", "docker", "server", "database", "company", "summer", "winter", "spring", "autumn",
	"monday", "january", "football1", "hello", "hellohello", "helloworld", "access", "passphrase", "correcthorsebatterystaple",
}
