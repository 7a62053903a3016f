package authn

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
)

func TestPasswords(t *testing.T) {
	ctx := context.Background()
	p := NewPasswords(PasswordOptions{Cost: cheap})
	hash, err := p.Hash(ctx, "Ångström is a unit")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(hash, "$argon2id$v=19$m=64,t=1,p=1$") {
		t.Errorf("hash %q", hash)
	}
	stronger := NewPasswords(PasswordOptions{Cost: Cost{Memory: 128, Time: 1, Threads: 1}})
	tests := []struct {
		name       string
		p          *Passwords
		hash       string
		password   core.Secret
		fits, weak bool
	}{
		{"right", p, hash, "Ångström is a unit", true, false},
		{"right, composed in another way", p, hash, "A\u030angstro\u0308m is a unit", true, false},
		{"wrong", p, hash, "Angstrom is a unit", false, false},
		{"weaker than today's", stronger, hash, "Ångström is a unit", true, true},
		{"wrong, and weaker", stronger, hash, "no", false, false},
		{"no hash", p, "", "", false, false},
		{"the sum of the decoy", p, "", "\x00", false, false},
		{"broken hash", p, hash[:len(hash)-8], "Ångström is a unit", false, false},
		{"greedy hash", p, strings.Replace(hash, "m=64", "m=4194304", 1), "Ångström is a unit", false, false},
		{"another algorithm", p, strings.Replace(hash, "argon2id", "argon2i", 1), "Ångström is a unit", false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			fits, weak, err := tt.p.Verify(ctx, tt.hash, tt.password)
			if err != nil || fits != tt.fits || weak != tt.weak {
				t.Errorf("fits %v, weak %v, %v; want %v, %v", fits, weak, err, tt.fits, tt.weak)
			}
		})
	}
}

// The default is above OWASP's floor, and what it costs stands in the hash.
func TestDefaultCost(t *testing.T) {
	hash, err := NewPasswords(PasswordOptions{}).Hash(context.Background(), "x")
	if err != nil || !strings.HasPrefix(hash, "$argon2id$v=19$m=32768,t=3,p=1$") {
		t.Errorf("%q %v", hash, err)
	}
}

// However many log in at once, two hashes run at a time.
func TestPasswordsTakeTurns(t *testing.T) {
	for _, atOnce := range []int{0, 8} { // 8 is the test of the test
		p := NewPasswords(PasswordOptions{Cost: cheap, AtOnce: atOnce})
		var running, most atomic.Int64
		p.hash = func([]byte, []byte, Cost, uint32) []byte {
			n := running.Add(1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			time.Sleep(time.Millisecond)
			running.Add(-1)
			return make([]byte, sumBytes)
		}
		var all sync.WaitGroup
		for range 40 {
			all.Go(func() { _, _, _ = p.Verify(context.Background(), "", "x") })
		}
		all.Wait()
		if got := most.Load(); atOnce == 0 && got > 2 || atOnce == 8 && got <= 2 {
			t.Errorf("with AtOnce %d, %d hashes ran at once", atOnce, got)
		}
	}
	p := NewPasswords(PasswordOptions{Cost: cheap})
	p.turn <- struct{}{}
	p.turn <- struct{}{}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, _, err := p.Verify(ctx, "", "x"); codeOf(err) != core.CodeUnavailable {
		t.Errorf("no turn: %v", err)
	}
}

func TestCheckPassword(t *testing.T) {
	tests := []struct {
		name, password string
		want           string
	}{
		{"ada", "seven77", "shorter"},
		{"ada", "ångströ", ""}, // 9 bytes
		{"ada", "A\u030ang", "shorter"},
		{"ada", strings.Repeat("ab", 128), ""},
		{"ada", strings.Repeat("ab", 128) + "c", "longer"},
		{"ada", strings.Repeat("ab", 5000), "longer"},
		{"ada.lovelace", "Ada.Lovelace", "name"},
		{"ada", "PassWord", "tried first"},
		{"ada", "password2026!", "tried first"},
		{"ada", "12345678", "tried first"},
		{"ada", "Sallyport1", "tried first"},
		{"ada", "aaaaaaaaaaaa", "repeats"},
		{"ada", "\xff\xfe\xfd\xfc\xfb\xfa\xf9\xf8", "not text"},
		{"ada", "null\x00byte", "not text"},
		{"ada", "correct horse 1", ""},
		{"", "four words are fine", ""},
	}
	for _, tt := range tests {
		err := CheckPassword(tt.name, core.Secret(tt.password))
		if tt.want == "" && err != nil || tt.want != "" && (codeOf(err) != core.CodeInvalid || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%.20q: %v, want %q", tt.password, err, tt.want)
		}
		if err != nil && (strings.Contains(err.Error(), tt.password) || len(core.AsError(err).Problems) != 1) {
			t.Errorf("%.20q: the error shows it, or has no place: %v", tt.password, err)
		}
	}
}

func FuzzPHC(f *testing.F) {
	f.Add("$argon2id$v=19$m=64,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
	f.Add("$argon2id$v=19$m=4294967295,t=1,p=1$AAAA$AAAA")
	f.Fuzz(func(t *testing.T, text string) {
		h, found := parsePHC(text)
		if !found {
			return
		}
		if h.String() != text {
			t.Errorf("%q is read as %q", text, h.String())
		}
		if h.cost.Memory > maxMemory || h.cost.Time > maxTime || h.cost.Threads > maxThreads {
			t.Errorf("%q costs too much", text)
		}
	})
}
