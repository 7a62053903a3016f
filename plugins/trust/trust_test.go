package trust_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/plugins/manifest"
	"github.com/sallyport/sallyport/plugins/trust"
)

var (
	now     = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	subject = trust.Subject{Digest: trust.Digest([]byte("artifact")), Name: "acme/weather", Version: "1.4.0"}
)

func clock() time.Time { return now }

func key(t *testing.T, seed byte, expires time.Time) trust.PrivateKey {
	t.Helper()
	k, err := trust.Generate(bytes.NewReader(bytes.Repeat([]byte{seed}, 32)), "acme releases", expires)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func sign(t *testing.T, k trust.PrivateKey, s trust.Subject, at, expires time.Time) trust.Signature {
	t.Helper()
	signature, err := trust.Sign(k, s, at, expires)
	if err != nil {
		t.Fatal(err)
	}
	return signature
}

// cosignPair makes what `cosign generate-key-pair` and `cosign sign --key` make.
func cosignPair(t *testing.T, curve elliptic.Curve) (*ecdsa.PrivateKey, []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return private, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

func cosignSign(t *testing.T, k *ecdsa.PrivateKey, payload string) trust.Signature {
	t.Helper()
	sum := sha256.Sum256([]byte(payload))
	der, err := ecdsa.SignASN1(rand.Reader, k, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return trust.Signature{Form: trust.FormCosign, Body: []byte(payload), Cosign: base64.StdEncoding.EncodeToString(der)}
}

func payload(digest, kind string) string {
	return fmt.Sprintf(`{"critical":{"identity":{"docker-reference":"registry.example.com/acme/weather"},"image":{"docker-manifest-digest":%q},"type":%q},"optional":null}`, digest, kind)
}

const cosignKind = "cosign container image signature"

func TestVerify(t *testing.T) {
	ours := key(t, 1, time.Time{})
	stranger := key(t, 2, time.Time{})
	old := key(t, 3, now.Add(time.Hour))
	good := sign(t, ours, subject, now, now.Add(time.Hour))
	private, public := cosignPair(t, elliptic.P256())
	cosignKey, err := trust.ParseKey(public)
	if err != nil {
		t.Fatal(err)
	}
	other, _ := cosignPair(t, elliptic.P256())
	cosigned := cosignSign(t, private, payload(subject.Digest, cosignKind))
	keys := []trust.Trusted{{Key: ours.Key}, {Key: old.Key}, {Key: cosignKey}}

	change := func(s trust.Signature, from, to string) trust.Signature {
		s.Body = bytes.Replace(s.Body, []byte(from), []byte(to), 1)
		return s
	}
	otherDigest := subject
	otherDigest.Digest = trust.Digest([]byte("evil"))
	otherVersion := subject
	otherVersion.Version = "1.3.0"

	tests := []struct {
		name       string
		keys       []trust.Trusted
		at         time.Time
		subject    trust.Subject
		signatures []trust.Signature
		want       error
	}{
		{"good", keys, now, subject, []trust.Signature{good}, nil},
		{"cosign", keys, now, subject, []trust.Signature{cosigned}, nil},
		{"good beside bad ones", keys, now, subject, []trust.Signature{{Form: "x"}, sign(t, stranger, subject, now, time.Time{}), good}, nil},
		{"none", keys, now, subject, nil, trust.ErrUnsigned},
		{"no keys", nil, now, subject, []trust.Signature{good, cosigned}, trust.ErrKey},
		{"wrong hash", keys, now, otherDigest, []trust.Signature{good}, trust.ErrSubject},
		{"other version", keys, now, otherVersion, []trust.Signature{good}, trust.ErrSubject},
		{"wrong key", keys, now, subject, []trust.Signature{sign(t, stranger, subject, now, time.Time{})}, trust.ErrKey},
		{"claims our key", keys, now, subject, []trust.Signature{change(sign(t, stranger, subject, now, time.Time{}), stranger.ID, ours.ID)}, trust.ErrSignature},
		{"statement changed", keys, now, otherDigest, []trust.Signature{change(good, subject.Digest, otherDigest.Digest)}, trust.ErrSignature},
		{"expiry changed", keys, now.Add(2 * time.Hour), subject, []trust.Signature{change(good, "expires 2026-11-22", "expires 2027-11-22")}, trust.ErrSignature},
		{"signature cut", keys, now, subject, []trust.Signature{{Form: trust.FormSallyport, Body: good.Body[:len(good.Body)-5]}}, trust.ErrSignature},
		{"line added", keys, now, subject, []trust.Signature{change(good, "\nname", "\nx y\nname")}, trust.ErrSignature},
		{"line break changed", keys, now, subject, []trust.Signature{change(good, "\n", "\r\n")}, trust.ErrSignature},
		{"signature expired", keys, now.Add(time.Hour), subject, []trust.Signature{good}, trust.ErrExpired},
		{"key expired", keys, now.Add(2 * time.Hour), subject, []trust.Signature{sign(t, old, subject, now, time.Time{})}, trust.ErrExpired},
		{"key not yet expired", keys, now.Add(time.Minute), subject, []trust.Signature{sign(t, old, subject, now, time.Time{})}, nil},
		{"operator ended the key", []trust.Trusted{{Key: ours.Key, Expires: now}}, now, subject, []trust.Signature{good}, trust.ErrExpired},
		{"from the future", keys, now.Add(-10 * time.Minute), subject, []trust.Signature{good}, trust.ErrSignature},
		{"clocks differ a little", keys, now.Add(-4 * time.Minute), subject, []trust.Signature{good}, nil},
		{"key of another owner", []trust.Trusted{{Key: ours.Key, Names: []string{"other/*"}}}, now, subject, []trust.Signature{good}, trust.ErrScope},
		{"owner's name is a prefix", []trust.Trusted{{Key: ours.Key, Names: []string{"acm/*"}}}, now, subject, []trust.Signature{good}, trust.ErrScope},
		{"key listed twice", []trust.Trusted{{Key: ours.Key, Names: []string{"other/*"}}, {Key: ours.Key, Names: []string{"acme/*"}}}, now, subject, []trust.Signature{good}, nil},
		{"cosign of another digest", keys, now, otherDigest, []trust.Signature{cosigned}, trust.ErrSubject},
		{"cosign with another key", keys, now, subject, []trust.Signature{cosignSign(t, other, payload(subject.Digest, cosignKind))}, trust.ErrKey},
		{"cosign payload changed", keys, now, otherDigest, []trust.Signature{change(cosigned, subject.Digest, otherDigest.Digest)}, trust.ErrKey},
		{"cosign of another type", keys, now, subject, []trust.Signature{cosignSign(t, private, payload(subject.Digest, "attestation"))}, trust.ErrSubject},
		{"cosign key signs no document", keys, now, subject, []trust.Signature{cosignSign(t, private, "hello")}, trust.ErrSignature},
		{"cosign with two digests", keys, now, subject, []trust.Signature{cosignSign(t, private, strings.Replace(payload(otherDigest.Digest, cosignKind), `"image":{`, fmt.Sprintf(`"image":{"docker-manifest-digest":%q,`, subject.Digest), 1))}, trust.ErrSignature},
		{"cosign without base64", keys, now, subject, []trust.Signature{{Form: trust.FormCosign, Body: cosigned.Body, Cosign: "!"}}, trust.ErrSignature},
		{"cosign key expired", []trust.Trusted{{Key: cosignKey, Expires: now}}, now, subject, []trust.Signature{cosigned}, trust.ErrExpired},
		{"cosign key of another owner", []trust.Trusted{{Key: cosignKey, Names: []string{"other/*"}}}, now, subject, []trust.Signature{cosigned}, trust.ErrScope},
		{"too many", keys, now, subject, append(make([]trust.Signature, 32), good), trust.ErrSignature},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := trust.Policy{Keys: test.keys, Now: func() time.Time { return test.at }}
			verdict, err := p.Verify(test.subject, test.signatures)
			if !errors.Is(err, test.want) {
				t.Fatalf("got %v, want %v", err, test.want)
			}
			if (err == nil) != (verdict.Signer != "") {
				t.Errorf("verdict %+v with error %v", verdict, err)
			}
			if err != nil && core.AsError(err).Code != core.CodeDenied {
				t.Errorf("code %s", core.AsError(err).Code)
			}
			// The same at the other levels: a warning in place of a refusal, and nothing.
			p.Level = trust.Warn
			if verdict, warned := p.Verify(test.subject, test.signatures); warned != nil || (len(verdict.Warnings) > 0) != (err != nil) {
				t.Errorf("warn: %+v, %v", verdict, warned)
			}
			p = trust.Policy{Level: trust.Off}
			if verdict, off := p.Verify(test.subject, test.signatures); off != nil || verdict.Signer != "" {
				t.Errorf("off: %+v, %v", verdict, off)
			}
		})
	}
}

// Each byte of a signature counts.
func TestEveryByteCounts(t *testing.T) {
	k := key(t, 1, time.Time{})
	p := trust.Policy{Keys: []trust.Trusted{{Key: k.Key}}, Now: clock}
	good := sign(t, k, subject, now, time.Time{})
	for i := range good.Body {
		bad := trust.Signature{Form: good.Form, Body: bytes.Clone(good.Body)}
		bad.Body[i] ^= 1
		if _, err := p.Verify(subject, []trust.Signature{bad}); err == nil {
			t.Fatalf("byte %d changed, and it is believed:\n%s", i, bad.Body)
		}
	}
	if _, err := p.Verify(subject, []trust.Signature{good}); err != nil {
		t.Fatal(err)
	}
}

func TestLevels(t *testing.T) {
	for _, s := range []string{"required", "warn", "off"} {
		if l, err := trust.ParseLevel(s); err != nil || string(l) != s {
			t.Errorf("%s = %s, %v", s, l, err)
		}
	}
	if l, err := trust.ParseLevel("none"); err == nil || l != trust.Required {
		t.Errorf("unknown level = %s, %v", l, err)
	}
}

func TestDigest(t *testing.T) {
	b := []byte("content")
	digest := trust.Digest(b)
	if err := trust.Match("it", b, digest); err != nil {
		t.Error(err)
	}
	if err := trust.Match("it", []byte("Content"), digest); !errors.Is(err, trust.ErrDigest) {
		t.Errorf("other content: %v", err)
	}
	for _, bad := range []string{"", "sha256:", strings.ToUpper(digest), digest + "0", digest[:70], "sha512:" + digest[7:], "md5:" + digest[7:39], strings.Replace(digest, ":", "-", 1), digest[:65] + "/../../x", strings.Repeat("x", 1000)} {
		if err := trust.CheckDigest(bad); err == nil || len(err.Error()) > 300 {
			t.Errorf("%q: %v", bad, err)
		}
		// No level lets a wrong digest pass.
		p := trust.Policy{Level: trust.Off}
		if _, err := p.Verify(trust.Subject{Digest: bad}, nil); err == nil {
			t.Errorf("%q passed", bad)
		}
	}
}

func TestKeys(t *testing.T) {
	private := key(t, 7, now.Add(time.Hour))
	public, err := trust.ParseKey(private.Key.Text())
	if err != nil || public.ID != private.ID || !public.Ed25519.Equal(private.Ed25519) || public.Owner != "acme releases" || !public.Expires.Equal(private.Expires) {
		t.Fatalf("public key: %+v, %v", public, err)
	}
	again, err := trust.ParsePrivateKey(private.Text())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(sign(t, private, subject, now, time.Time{}).Body, sign(t, again, subject, now, time.Time{}).Body) {
		t.Error("the key that was read signs otherwise")
	}
	if shown := fmt.Sprintf("%v %+v %#v %s", private, private, private, private); strings.Contains(shown, "seed") || strings.Contains(shown, "7 7 7") {
		t.Errorf("a private key shows itself: %s", shown)
	}
	if _, err := trust.Sign(private, subject, now.Add(time.Hour), time.Time{}); !errors.Is(err, trust.ErrExpired) {
		t.Errorf("an expired key signs: %v", err)
	}
	if _, err := trust.Sign(private, subject, now, now); err == nil {
		t.Error("a signature that has expired was made")
	}
	if _, err := trust.Sign(private, trust.Subject{Digest: subject.Digest, Name: "a\nversion 9.9.9", Version: "1.0.0"}, now, time.Time{}); err == nil {
		t.Error("a name with a line break was signed")
	}
	_, p384 := cosignPair(t, elliptic.P384())
	_, p256 := cosignPair(t, elliptic.P256())
	der, err := x509.MarshalPKIXPublicKey(private.Ed25519)
	if err != nil {
		t.Fatal(err)
	}
	text := string(private.Key.Text())
	for name, bad := range map[string]string{
		"empty": "", "private": string(private.Text()), "PEM of another curve": string(p384), "PEM of ed25519": string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})),
		"two PEM blocks": string(p256) + string(p256), "PEM private": "-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n-----END ENCRYPTED SIGSTORE PRIVATE KEY-----\n",
		"other id": strings.Replace(text, private.ID, "0000000000000000", 1), "line more": text + "x\n", "expiry": strings.Replace(text, "expires 2026", "expires 26", 1),
		"key cut": strings.Replace(text, "=\n", "\n", 1), "long": text + strings.Repeat(" ", 20<<10),
	} {
		if k, err := trust.ParseKey([]byte(bad)); err == nil {
			t.Errorf("%s was read: %+v", name, k)
		}
	}
	if _, err := trust.Generate(bytes.NewReader(make([]byte, 32)), "a\nkey x", time.Time{}); err == nil {
		t.Error("an owner of two lines")
	}
}

// A private key that others can read is refused.
func TestReadPrivateKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, key(t, 1, time.Time{}).Text(), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := trust.ReadPrivateKey(path); err != nil {
		t.Error(err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := trust.ReadPrivateKey(path); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("mode 640: %v", err)
	}
}

const head = "apiVersion: sallyport/v1\nname: acme/weather\nabi: sallyport/1\nkinds: [invoker]\n"

func load(t *testing.T, text string) *manifest.Manifest {
	t.Helper()
	m, err := manifest.Parse("plugin.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestUpgrade(t *testing.T) {
	running := load(t, head+"version: 1.4.0\ncapabilities: {http: [{host: api.weather.example}]}\n")
	newer := load(t, head+"version: 1.5.0\ncapabilities: {http: [{host: api.weather.example}]}\n")
	less := load(t, head+"version: 1.5.0\n")
	more := load(t, head+"version: 1.5.0\ncapabilities: {http: [{host: api.weather.example}, {host: evil.example}]}\n")
	older := load(t, head+"version: 1.3.9\n")
	other := load(t, strings.Replace(head, "acme/weather", "acme/other", 1)+"version: 1.5.0\n")
	approved := []string{subject.Digest}
	tests := []struct {
		name          string
		level         trust.Level
		running, next *manifest.Manifest
		approved      []string
		want          error
		warnings      int
	}{
		{"first", trust.Required, nil, more, nil, nil, 0},
		{"newer", trust.Required, running, newer, nil, nil, 0},
		{"asks for less", trust.Required, running, less, nil, nil, 0},
		{"growth", trust.Required, running, more, nil, trust.ErrGrowth, 0},
		{"growth at warn", trust.Warn, running, more, nil, trust.ErrGrowth, 0},
		{"growth at off", trust.Off, running, more, nil, trust.ErrGrowth, 0},
		{"growth that was approved", trust.Required, running, more, approved, nil, 0},
		{"approval of another digest", trust.Required, running, more, []string{trust.Digest(nil)}, trust.ErrGrowth, 0},
		{"downgrade", trust.Required, running, older, nil, trust.ErrDowngrade, 0},
		{"downgrade, zero level", "", running, older, nil, trust.ErrDowngrade, 0},
		{"downgrade at warn", trust.Warn, running, older, nil, nil, 1},
		{"downgrade at off", trust.Off, running, older, nil, nil, 0},
		{"downgrade that was approved", trust.Required, running, older, approved, nil, 0},
		{"another plugin", trust.Off, running, other, nil, trust.ErrSubject, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := trust.Policy{Level: test.level, Now: clock}
			verdict, err := p.Upgrade(test.running, test.next, subject.Digest, test.approved)
			if !errors.Is(err, test.want) || len(verdict.Warnings) != test.warnings {
				t.Fatalf("got %+v, %v; want %v", verdict, err, test.want)
			}
			if errors.Is(test.want, trust.ErrGrowth) && !strings.Contains(err.Error(), "http: GET to evil.example over https, port 443") {
				t.Errorf("the growth is not named: %v", err)
			}
		})
	}
}
