package session

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestSealer(t *testing.T) {
	s := newSealer(t)
	for _, plain := range []string{"", "x", strings.Repeat("long ", 10_000)} {
		token, err := s.Seal("state", []byte(plain), "a", "b")
		if err != nil {
			t.Fatal(err)
		}
		if strings.Trim(token, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			t.Errorf("%q is not URL-safe", token)
		}
		got, err := s.Open("state", token, "a", "b")
		if err != nil || string(got) != plain {
			t.Errorf("came back as %q, %v", got, err)
		}
		for _, bind := range [][]string{{"a"}, {"b", "a"}, {"ab"}, {"a", "b", ""}, nil} {
			if _, err := s.Open("state", token, bind...); !notFound(err) {
				t.Errorf("bind %q: %v", bind, err)
			}
		}
		if _, err := s.Open("other", token, "a", "b"); !notFound(err) {
			t.Errorf("other purpose: %v", err)
		}
	}
	token, _ := s.Seal("state", []byte("password"))
	if raw, _ := encoding.DecodeString(token); bytes.Contains(raw, []byte("password")) {
		t.Error("the plain text stands in the token")
	}
	if _, err := NewSealer(s.keys, strings.NewReader("")).Seal("state", nil); err == nil {
		t.Error("sealed without randomness")
	}
}

// Ids cannot be guessed: the bytes that make them differ are evenly spread and
// never come twice.
func TestEntropy(t *testing.T) {
	const n = 4000
	store := newWorld(t, newSealer(t), nil).store
	var ones [8 * (nonceSize + 8)]int
	seen := map[string]bool{}
	for range n {
		id, _, err := store.Create(json.RawMessage(`{}`), alice...)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := encoding.DecodeString(id)
		if err != nil {
			t.Fatal(err)
		}
		part := raw[1+kidSize : 1+kidSize+nonceSize+8] // the nonce and the begin of what is sealed
		if seen[string(part)] {
			t.Fatal("the same bytes came twice")
		}
		seen[string(part)] = true
		for bit := range ones {
			if part[bit/8]&(1<<(bit%8)) != 0 {
				ones[bit]++
			}
		}
	}
	for bit, count := range ones {
		// six standard deviations: a fair coin fails once in 5·10^8 bits
		if math.Abs(float64(count)-n/2) > 6*math.Sqrt(n)/2 {
			t.Errorf("bit %d is one in %d of %d ids", bit, count, n)
		}
	}
}

func TestKeyringFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	first, err := OpenKeyring(dir, KeyringOptions{})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, keyringFile)
	about, err := os.Stat(file)
	if err != nil || about.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v; want 0600", about.Mode(), err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("left over: %v", entries)
	}
	token, _ := NewSealer(first, nil).Seal("p", []byte("x"))
	second, err := OpenKeyring(dir, KeyringOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := NewSealer(second, nil).Open("p", token); err != nil || string(got) != "x" {
		t.Errorf("after a restart: %q, %v", got, err)
	}

	good, _ := os.ReadFile(file)
	for name, text := range map[string]string{
		"empty": "", "no keys": `{"keys":[]}`, "torn": string(good[:len(good)/2]),
		"short secret": `{"keys":[{"id":"00000000","secret":"AAAA","made":"2026-01-01T00:00:00Z"}]}`,
		"bad id":       `{"keys":[{"id":"xyz","secret":"","made":"2026-01-01T00:00:00Z"}]}`,
		"twice":        strings.Replace(string(good), `]`, `,`+string(good[len(`{"keys":[`):bytes.IndexByte(good, ']')])+`]`, 1),
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenKeyring(dir, KeyringOptions{}); err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: %v, want an error with the file's name", name, err)
		}
	}
	if err := os.WriteFile(file, good, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenKeyring(dir, KeyringOptions{}); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("readable for the group: %v", err)
	}
}

func TestKeyringRotation(t *testing.T) {
	dir, c := t.TempDir(), newClock()
	o := KeyringOptions{Now: c.Now, Keep: 48 * time.Hour}
	here, err := OpenKeyring(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	there, err := OpenKeyring(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	a, b := NewSealer(here, nil), NewSealer(there, nil)
	old, _ := a.Seal("p", []byte("old"))

	c.pass(time.Hour)
	if err := here.Rotate(); err != nil {
		t.Fatal(err)
	}
	if !here.Made().Equal(c.Now()) {
		t.Errorf("the newest key is of %v", here.Made())
	}
	fresh, _ := a.Seal("p", []byte("new"))
	if old[:8] == fresh[:8] {
		t.Error("the old key still seals")
	}
	for name, s := range map[string]*Sealer{"here": a, "there, which reads the file again": b} {
		for token, want := range map[string]string{old: "old", fresh: "new"} {
			if got, err := s.Open("p", token); err != nil || string(got) != want {
				t.Errorf("%s: %q, %v; want %q", name, got, err, want)
			}
		}
	}

	c.pass(47 * time.Hour)
	if err := there.Rotate(); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Open("p", old); err != nil {
		t.Errorf("47 hours after it was replaced: %v", err)
	}
	c.pass(2 * time.Hour)
	if err := there.Rotate(); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Open("p", old); !notFound(err) {
		t.Errorf("49 hours after it was replaced: %v", err)
	}
	if _, err := b.Open("p", fresh); err != nil {
		t.Errorf("two hours after it was replaced: %v", err)
	}
}

// An unknown key id does not make us read the file for every request.
func TestKeyringRereadIsBounded(t *testing.T) {
	dir, c := t.TempDir(), newClock()
	keys, err := OpenKeyring(dir, KeyringOptions{Now: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	stranger, _ := newSealer(t).Seal("p", nil)
	s := NewSealer(keys, nil)
	_, _ = s.Open("p", stranger)
	other, err := OpenKeyring(dir, KeyringOptions{Now: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Rotate(); err != nil {
		t.Fatal(err)
	}
	token, _ := NewSealer(other, nil).Seal("p", nil)
	if _, err := s.Open("p", token); !notFound(err) {
		t.Errorf("read again at once: %v", err)
	}
	c.pass(rereadEvery)
	if _, err := s.Open("p", token); err != nil {
		t.Errorf("not read again later: %v", err)
	}
}

func TestKeyringCreatedOnce(t *testing.T) {
	dir := t.TempDir()
	var wait sync.WaitGroup
	ids := make([]string, 16)
	for i := range ids {
		wait.Go(func() {
			keys, err := OpenKeyring(dir, KeyringOptions{})
			if err != nil {
				t.Error(err)
				return
			}
			ids[i] = fmt.Sprint(keys.current().secret)
		})
	}
	wait.Wait()
	for _, id := range ids {
		if id != ids[0] {
			t.Fatal("two processes made two keyrings")
		}
	}
}

func TestKeyringInMemory(t *testing.T) {
	keys, err := NewKeyring(KeyringOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s := NewSealer(keys, nil)
	token, _ := s.Seal("p", []byte("x"))
	if err := keys.Rotate(); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Open("p", token); err != nil || string(got) != "x" {
		t.Errorf("after Rotate: %q, %v", got, err)
	}
	if _, err := NewKeyring(KeyringOptions{Rand: strings.NewReader("short")}); err == nil {
		t.Error("made a key without randomness")
	}
}

func BenchmarkSeal(b *testing.B) {
	keys, err := NewKeyring(KeyringOptions{})
	if err != nil {
		b.Fatal(err)
	}
	s := NewSealer(keys, nil)
	plain := make([]byte, 200)
	b.ReportAllocs()
	for b.Loop() {
		token, err := s.Seal("p", plain, alice...)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := s.Open("p", token, alice...); err != nil {
			b.Fatal(err)
		}
	}
}
