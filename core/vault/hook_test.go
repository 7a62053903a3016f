package vault

import (
	"bufio"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
)

type openRand struct{}

func (openRand) Read(b []byte) (int, error) { return rand.Read(b) }

// command returns a command that runs TestCommand of this binary as a key management
// service. mode says what it does wrong.
func command(t testing.TB, mode string) []string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return []string{self, "-test.run=^TestCommand$", "-test.v=false", "--", "vault-command", mode}
}

// TestCommand is the program; in an ordinary run of the tests it does nothing.
func TestCommand(*testing.T) {
	args := os.Args
	if len(args) < 2 || args[len(args)-2] != "vault-command" {
		return
	}
	mode, kid, _ := strings.Cut(args[len(args)-1], "=")
	if kid == "" {
		kid = "kms-1"
	}
	line, _ := bufio.NewReader(os.Stdin).ReadString('\n')
	var q question
	if err := json.Unmarshal([]byte(line), &q); err != nil {
		os.Exit(2)
	}
	if mode == "noisy" {
		fmt.Fprintln(os.Stderr, "canary of the error output", q.Key)
		os.Exit(3)
	}
	// Not a cipher anybody should use: a mask, and the context in front, as a service
	// with an encryption context would hold it.
	mask := func(text string) string {
		b, _ := base64.StdEncoding.DecodeString(text)
		for i := range b {
			b[i] ^= 0x5a
		}
		return base64.StdEncoding.EncodeToString(b)
	}
	answer := map[string]string{}
	switch {
	case mode == "slow":
		time.Sleep(time.Minute)
	case mode == "long":
		answer["key"] = strings.Repeat("x", maxAnswer)
	case mode == "liar" && q.Op == "unwrap":
		answer["key"] = base64.StdEncoding.EncodeToString(make([]byte, keySize))
	case mode == "plain" && q.Op == "wrap":
		answer["kid"], answer["wrapped"] = kid, q.Key
	case mode == "nokid" && q.Op == "wrap":
		answer["kid"], answer["wrapped"] = "a.b", mask(q.Key)
	case q.Op == "wrap":
		context, _ := base64.StdEncoding.DecodeString(q.Context)
		masked, _ := base64.StdEncoding.DecodeString(mask(q.Key))
		answer["kid"], answer["wrapped"] = kid, base64.StdEncoding.EncodeToString(append(context, masked...))
	case q.Op == "unwrap":
		wrapped, _ := base64.StdEncoding.DecodeString(q.Wrapped)
		context, _ := base64.StdEncoding.DecodeString(q.Context)
		if len(wrapped) != len(context)+keySize || string(wrapped[:len(context)]) != string(context) {
			os.Exit(4)
		}
		answer["key"] = mask(base64.StdEncoding.EncodeToString(wrapped[len(context):]))
	}
	if mode == "env" && strings.Join(os.Environ(), " ") != "ONLY=this" {
		os.Exit(5)
	}
	b, _ := json.Marshal(answer)
	if mode == "garbage" {
		b = append(b, b...)
	}
	_, _ = os.Stdout.Write(append(b, '\n'))
	os.Exit(0)
}

func TestHook(t *testing.T) {
	v := openVault(t, Options{Command: command(t, "env"), Environment: []string{"ONLY=this"}})
	token := seal(t, v, "row", "x", "a")
	if !strings.HasPrefix(token, "sv1.kms-1.") {
		t.Error(token)
	}
	again := openVault(t, Options{Command: command(t, "")})
	if plain, err := again.Open("row", token, "a"); err != nil || string(plain) != "x" {
		t.Errorf("%q, %v", plain, err)
	}
	again.hook.argv = []string{"/nowhere"}
	if plain, err := again.Open("row", token, "a"); err != nil || string(plain) != "x" {
		t.Errorf("a key that was unwrapped is asked for again: %q, %v", plain, err)
	}
	_, err := again.Seal("row", nil)
	wants(t, err, core.CodeUnavailable)
	_, err = v.Rotate()
	wants(t, err, core.CodeReadOnly)

	// The service got a new key: what is stored moves to it.
	moved := openVault(t, Options{Command: command(t, "=kms-2")})
	fresh, changed, err := moved.Rewrap(token, "row", "a")
	if err != nil || !changed || !strings.HasPrefix(fresh, "sv1.kms-2.") {
		t.Fatal(fresh, changed, err)
	}
	if plain, err := moved.Open("row", fresh, "a"); err != nil || string(plain) != "x" {
		t.Errorf("%q, %v", plain, err)
	}
}

func TestWrongHooks(t *testing.T) {
	for mode, code := range map[string]core.Code{
		"noisy": core.CodeUnavailable, "long": core.CodeUnavailable, "liar": core.CodeInvalid, "plain": core.CodeUnavailable,
		"nokid": core.CodeUnavailable, "garbage": core.CodeUnavailable,
	} {
		log, out := written()
		_, err := Open(t.Context(), Options{Command: command(t, mode), Log: log})
		wants(t, err, code)
		if err != nil && strings.Contains(err.Error()+out.String(), "canary") {
			t.Errorf("%s: %v shows the error output", mode, err)
		}
	}
	for _, argv := range [][]string{{"relative"}, {"./here"}, {""}, {"/bin/sh", "a\x00b"}} {
		_, err := Open(t.Context(), Options{Command: argv})
		wants(t, err, core.CodeInvalid)
	}
	_, err := Open(t.Context(), Options{Command: []string{"/nowhere/at/all"}})
	wants(t, err, core.CodeUnavailable)
	_, err = Open(t.Context(), Options{Command: command(t, "slow"), Timeout: 300 * time.Millisecond})
	wants(t, err, core.CodeUnavailable)
}

// What is remembered is bounded.
func TestHookForgets(t *testing.T) {
	h := &hook{known: map[[32]byte]*[keySize]byte{}}
	for i := range 2*maxKnown + 1 {
		h.remember("k", []byte(strconv.Itoa(i)), nil, make([]byte, keySize))
	}
	if n := len(h.known); n > maxKnown {
		t.Errorf("%d are kept", n)
	}
}
