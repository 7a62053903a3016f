package trust_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/sallyport/sallyport/plugins/trust"
)

// What can be read of a key or a statement has one spelling, so nothing that was not
// looked at travels along.
func FuzzFiles(f *testing.F) {
	k, err := trust.Generate(bytes.NewReader(bytes.Repeat([]byte{1}, 32)), "acme", now)
	if err != nil {
		f.Fatal(err)
	}
	s, err := trust.Sign(k, subject, now.Add(-time.Hour), time.Time{})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(k.Key.Text())
	f.Add(k.Text())
	f.Add(s.Body)
	p := trust.Policy{Keys: []trust.Trusted{{Key: k.Key}}, Now: func() time.Time { return now.Add(-time.Hour) }}
	f.Fuzz(func(t *testing.T, b []byte) {
		if key, err := trust.ParseKey(b); err == nil && key.Ed25519 != nil {
			again, err := trust.ParseKey(key.Text())
			if err != nil || again.ID != key.ID || !again.Expires.Equal(key.Expires) {
				t.Fatalf("%+v reads as %+v, %v", key, again, err)
			}
		}
		_, _ = trust.ParsePrivateKey(b)
		_, _ = trust.ParseStatement(b)
		if _, err := p.Verify(subject, []trust.Signature{{Form: trust.FormSallyport, Body: b}}); err == nil && !bytes.Equal(b, s.Body) {
			t.Fatalf("another text is believed: %q", b)
		}
	})
}
