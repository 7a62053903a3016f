package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"sort"
	"strings"
	"time"

	"github.com/sallyport/sallyport/sdk/go/plugin"
)

// AWS Signature Version 4 ("Create a signed AWS API request" in the IAM User Guide, and
// "Authenticating Requests: Using the Authorization Header" in the S3 API Reference).

const (
	algorithm       = "AWS4-HMAC-SHA256"
	unsignedPayload = "UNSIGNED-PAYLOAD"
	stampLayout     = "20060102T150405Z"
)

// credentials sign requests.
type credentials struct {
	id, secret string
	session    string // of temporary credentials; "" = none
}

// request is what is signed. The path and the names and values of the query are escaped
// once, as they are sent.
type request struct {
	method string
	host   string // of the Host header
	path   string // begins with /
	query  string // as it is sent; canonicalQuery puts it in order
	header plugin.Header
	body   []byte
}

// signer signs for one service in one region.
type signer struct {
	region, service string
	s3              bool // the path is escaped once and kept as it is, and the payload's hash is a header
	unsigned        bool // the payload is left out of the signature
}

// sign adds the headers that authenticate the request at a moment. All of the headers
// that it has are signed: what is on the way may change others, but not those.
func (s signer) sign(r *request, c credentials, at time.Time) {
	stamp := at.UTC().Format(stampLayout)
	r.header = append(r.header, plugin.Field{Name: "x-amz-date", Value: stamp})
	hash := unsignedPayload
	if !s.unsigned {
		hash = hexHash(r.body)
	}
	if s.s3 || s.unsigned {
		r.header = append(r.header, plugin.Field{Name: "x-amz-content-sha256", Value: hash})
	}
	if c.session != "" {
		r.header = append(r.header, plugin.Field{Name: "x-amz-security-token", Value: c.session})
	}
	canonical, names := s.canonical(r, hash)
	scope := stamp[:8] + "/" + s.region + "/" + s.service + "/aws4_request"
	signature := mac(signingKey(c.secret, stamp[:8], s.region, s.service), algorithm+"\n"+stamp+"\n"+scope+"\n"+hexHash([]byte(canonical)))
	r.header = append(r.header, plugin.Field{
		Name:  "authorization",
		Value: algorithm + " Credential=" + c.id + "/" + scope + ", SignedHeaders=" + names + ", Signature=" + hex.EncodeToString(signature),
	})
}

// canonical is the canonical request, and the names of the headers that are signed.
func (s signer) canonical(r *request, hash string) (text, names string) {
	path := r.path
	if !s.s3 {
		path = escape(normal(path), true) // a second time: it is escaped as it is sent
	}
	values := map[string][]string{"host": {r.host}}
	for _, f := range r.header {
		name := strings.ToLower(f.Name)
		values[name] = append(values[name], squeeze(f.Value))
	}
	order := make([]string, 0, len(values))
	for name := range values {
		order = append(order, name)
	}
	sort.Strings(order)
	var b strings.Builder
	b.WriteString(r.method + "\n" + path + "\n" + canonicalQuery(r.query) + "\n")
	for _, name := range order {
		b.WriteString(name + ":" + strings.Join(values[name], ",") + "\n")
	}
	names = strings.Join(order, ";")
	b.WriteString("\n" + names + "\n" + hash)
	return b.String(), names
}

// canonicalQuery sorts the parameters of a query by name, then by value, all escaped.
func canonicalQuery(query string) string {
	if query == "" {
		return ""
	}
	pairs := strings.Split(query, "&")
	for i, pair := range pairs {
		if !strings.Contains(pair, "=") {
			pairs[i] = pair + "="
		}
	}
	sort.Slice(pairs, func(i, j int) bool {
		a, x, _ := strings.Cut(pairs[i], "=")
		b, y, _ := strings.Cut(pairs[j], "=")
		return a < b || a == b && x < y
	})
	return strings.Join(pairs, "&")
}

// normal takes empty, . and .. segments out of a path (RFC 3986, section 5.2.4).
func normal(path string) string {
	var kept []string
	for segment := range strings.SplitSeq(path, "/") {
		switch segment {
		case "", ".":
		case "..":
			kept = kept[:max(len(kept)-1, 0)]
		default:
			kept = append(kept, segment)
		}
	}
	if kept == nil {
		return "/"
	}
	out := "/" + strings.Join(kept, "/")
	if strings.HasSuffix(path, "/") || strings.HasSuffix(path, "/.") || strings.HasSuffix(path, "/..") {
		out += "/"
	}
	if out == "//" {
		return "/"
	}
	return out
}

// squeeze takes spaces off the ends of a header's value and makes one of several. Other
// white space is in no header that is signed here.
func squeeze(s string) string {
	s = strings.Trim(s, " ")
	for strings.Contains(s, "  ") {
		s = strings.ReplaceAll(s, "  ", " ")
	}
	return s
}

const upperHex = "0123456789ABCDEF"

// escape escapes all but the unreserved characters of RFC 3986, and slashes if they are
// to stay.
func escape(s string, slashes bool) string {
	plain := func(c byte) bool {
		return 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.' || c == '~' || c == '/' && slashes
	}
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; plain(c) {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', upperHex[c>>4], upperHex[c&15]})
		}
	}
	return b.String()
}

// derived is the last signing key: it holds for a day, and belongs to the operator's
// credentials and to no caller.
var derived struct {
	from string
	key  []byte
}

func signingKey(secret, date, region, service string) []byte {
	from := hexHash([]byte(secret)) + date + "/" + region + "/" + service
	if derived.from != from {
		derived.key = mac(mac(mac(mac([]byte("AWS4"+secret), date), region), service), "aws4_request")
		derived.from = from
	}
	return derived.key
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func hexHash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
