package gateway

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sallyport/sallyport/core"
)

// Bounds of a connection.
const (
	longestConnect = time.Minute
	mostBytes      = 256 << 20
	mostRedirects  = 3
	mostRetries    = 5
	mostInFlight   = 10_000
)

// ownHeaders are the headers that a connection may not set: egress and HTTP own
// them (RFC 9110 section 7.6.1, RFC 9112).
var ownHeaders = map[string]bool{
	"connection": true, "content-length": true, "expect": true, "host": true, "keep-alive": true, "proxy-authenticate": true,
	"proxy-authorization": true, "proxy-connection": true, "te": true, "trailer": true, "transfer-encoding": true, "upgrade": true,
}

func (b *build) buildConnections(list []core.ConnectionConfig) {
	b.connections, b.working, b.used = map[string]*core.Connection{}, map[string]*core.Connection{}, map[string]bool{}
	for i := range list {
		c := list[i]
		c.At = place(c.At, fmt.Sprintf("/connections/%d", i))
		before := b.fatal
		built := b.connection(&c)
		switch {
		case c.Name == "":
			b.report(c.At, "/name", "name is required", "give the connection a name that tools can refer to")
			continue
		case !isName(c.Name, 64):
			b.report(c.At, "/name", quoted(c.Name)+" is not a name", "use 1 to 64 letters, digits, _, . and -")
		}
		if _, twice := b.connections[c.Name]; twice {
			b.report(c.At, "/name", "there is another connection "+quoted(c.Name), "give each connection its own name, over all files")
			continue
		}
		b.connections[c.Name] = nil
		if b.fatal == before {
			b.connections[c.Name], b.working[c.Name] = built, built
		}
	}
}

func (b *build) connection(c *core.ConnectionConfig) *core.Connection {
	built := &core.Connection{
		Name: c.Name, HTTP2: c.HTTP2, MaxBytes: c.MaxBytes, Redirects: c.Redirects, Retries: 1,
		InFlight: c.InFlight, Queue: c.Queue, AllowCIDRs: b.options.AllowCIDRs,
	}
	built.BaseURL = b.baseURL(c)
	built.Header = b.headers(c)
	built.Secret, built.Query = b.credential(c, built)
	built.TLS = b.tls(c, built.BaseURL)
	built.Connect = b.duration(c.At, "/timeouts/connect", c.Timeouts.Connect, time.Millisecond, longestConnect)
	built.FirstByte = b.duration(c.At, "/timeouts/firstByte", c.Timeouts.FirstByte, time.Millisecond, longestTimeout)
	built.Timeout = b.duration(c.At, "/timeouts/total", c.Timeouts.Total, time.Millisecond, longestTimeout)
	b.ranged(c.At, "/maxResponseBytes", c.MaxBytes, 0, mostBytes)
	b.ranged(c.At, "/followRedirects", int64(c.Redirects), 0, mostRedirects)
	b.ranged(c.At, "/maxInFlight", int64(c.InFlight), 0, mostInFlight)
	b.ranged(c.At, "/maxQueued", int64(c.Queue), 0, mostInFlight)
	if c.Retries != nil {
		built.Retries = *c.Retries
		b.ranged(c.At, "/retries", int64(*c.Retries), 0, mostRetries)
	}
	if k := c.Breaker; k != nil {
		built.Breaker = core.Breaker{
			Off: k.Disabled, Share: k.Share, Requests: k.Requests,
			Window: b.duration(c.At, "/breaker/window", k.Window, 100*time.Millisecond, time.Hour),
			Open:   b.duration(c.At, "/breaker/openFor", k.Open, 100*time.Millisecond, time.Hour),
		}
		// The comparison is written so that NaN fails it.
		if !(k.Share >= 0 && k.Share <= 1) {
			b.report(c.At, "/breaker/failureShare", fmt.Sprintf("%v is out of range", k.Share), "a share of 1, for example 0.5")
		}
		b.ranged(c.At, "/breaker/minRequests", int64(k.Requests), 0, 1_000_000)
	}
	return built
}

func (b *build) baseURL(c *core.ConnectionConfig) *url.URL {
	const rel = "/baseUrl"
	const example = "for example https://api.example.com/v1"
	if c.BaseURL == "" {
		b.report(c.At, rel, "baseUrl is required", example)
		return nil
	}
	// The text may hold a password, so no message repeats it.
	u, err := url.Parse(c.BaseURL)
	switch {
	case err != nil:
		b.report(c.At, rel, "baseUrl is not a URL", example)
	case u.Scheme != "http" && u.Scheme != "https":
		b.report(c.At, rel, "baseUrl has the scheme "+quoted(u.Scheme), "use http or https, "+example)
	case u.User != nil:
		b.report(c.At, rel, "baseUrl has a user name or a password", "put it into credential, which is never shown")
	case u.Hostname() == "" || u.Opaque != "" || strings.ContainsAny(u.Host, " \t\\{}$") || hasControl(u.Host):
		b.report(c.At, rel, "baseUrl has no usable host", example)
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		b.report(c.At, rel, "baseUrl has a query or a fragment", "put parameters into the tools, and a key into credential of type query")
	case !portOK(u.Port()) || strings.HasSuffix(u.Host, ":"):
		b.report(c.At, rel, "baseUrl has no usable port", "a number from 1 to 65535")
	default:
		return u
	}
	return nil
}

func portOK(port string) bool {
	if port == "" {
		return true
	}
	n, err := strconv.Atoi(port)
	return err == nil && n >= 1 && n <= 65535
}

func (b *build) headers(c *core.ConnectionConfig) []core.Field {
	var fields []core.Field
	seen := map[string]string{}
	for _, name := range sortedKeys(c.Headers) {
		rel := "/headers/" + escape(name)
		lower := strings.ToLower(name)
		switch {
		case !isToken(name):
			b.report(c.At, rel, quoted(name)+" is not the name of a header", "see RFC 9110 section 5.1; letters, digits and - are always right")
			continue
		case ownHeaders[lower]:
			b.report(c.At, rel, "header "+name+" is set by the gateway itself", "remove it")
			continue
		case seen[lower] != "":
			b.report(c.At, rel, "header "+name+" is there twice, also as "+seen[lower], "write it once; case does not tell headers apart")
			continue
		case !isFieldValue(c.Headers[name]):
			b.report(c.At, rel, "the value of header "+name+" has a character that is not allowed", "no line breaks, control characters or outer blanks (RFC 9110 section 5.5)")
			continue
		}
		seen[lower] = name
		if lower == "authorization" || lower == "cookie" {
			b.warn(c.At, rel, "header "+name+" is shown where connections are shown", "put it into credential of type header")
		}
		fields = append(fields, core.Field{Name: name, Value: c.Headers[name]})
	}
	return fields
}

// isFieldValue tells whether s can stand as a header value (RFC 9110 section 5.5).
func isFieldValue(s string) bool {
	if s != strings.Trim(s, " \t") || !utf8.ValidString(s) {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c != '\t' && c < 0x20 || c == 0x7f {
			return false
		}
	}
	return true
}

// credentialFields are the fields of each type of credential, all of them required.
var credentialFields = map[string][]string{
	"bearer": {"token"}, "basic": {"username", "password"}, "header": {"name", "value"}, "query": {"name", "value"}, "user": {"connector"},
}

func (b *build) credential(c *core.ConnectionConfig, built *core.Connection) (header, query map[string]core.Secret) {
	k := c.Credential
	if k == nil {
		return nil, nil
	}
	const rel = "/credential"
	wanted, known := credentialFields[k.Type]
	if !known {
		if k.Type == "" {
			b.report(c.At, rel+"/type", "type is required", "bearer, basic, header, query or user")
		} else {
			b.report(c.At, rel+"/type", "there is no credential type "+quoted(k.Type), suggest(k.Type, sortedKeys(credentialFields)))
		}
		return nil, nil
	}
	before := b.fatal
	given := map[string]string{
		"token": k.Token.Reveal(), "username": k.Username, "password": k.Password.Reveal(), "name": k.Name, "value": k.Value.Reveal(), "connector": k.Connector,
	}
	for _, field := range sortedKeys(given) {
		value, wants := given[field], false
		for _, one := range wanted {
			wants = wants || one == field
		}
		switch {
		case wants && value == "":
			b.report(c.At, rel+"/"+field, "a credential of type "+k.Type+" needs "+field, "give it, for example as ${env:NAME}; an empty variable counts as missing")
		case !wants && value != "":
			b.report(c.At, rel+"/"+field, "a credential of type "+k.Type+" has no "+field, "it has "+strings.Join(wanted, " and "))
		case !isFieldValue(value):
			b.report(c.At, rel+"/"+field, field+" has a character that cannot be sent", "no line breaks or outer blanks; a file that ends with a line break is a common cause")
		}
	}
	if k.Type == "basic" && strings.Contains(k.Username, ":") {
		b.report(c.At, rel+"/username", "username has a colon", "basic authentication cannot send one (RFC 7617 section 2)")
	}
	if k.Type == "header" && k.Name != "" && (!isToken(k.Name) || ownHeaders[strings.ToLower(k.Name)]) {
		b.report(c.At, rel+"/name", quoted(k.Name)+" cannot be the name of a header with a credential", "for example X-API-Key")
	}
	if b.fatal > before {
		return nil, nil
	}
	name := "Authorization"
	switch k.Type {
	case "bearer":
		header = map[string]core.Secret{name: core.Secret("Bearer " + k.Token.Reveal())}
	case "basic":
		header = map[string]core.Secret{name: core.Secret("Basic " + base64.StdEncoding.EncodeToString([]byte(k.Username+":"+k.Password.Reveal())))}
	case "header":
		name = k.Name
		header = map[string]core.Secret{name: k.Value}
	case "query":
		query = map[string]core.Secret{k.Name: k.Value}
	case "user":
		built.Connector = k.Connector
	}
	for _, field := range built.Header {
		if (header != nil || built.Connector != "") && strings.EqualFold(field.Name, name) {
			b.report(c.At, "/headers/"+escape(field.Name), "header "+field.Name+" is also set by credential", "remove one of them")
		}
	}
	if u := built.BaseURL; u != nil && u.Scheme == "http" && !isLoopback(u.Hostname()) {
		b.warn(c.At, "/baseUrl", "the credential is sent without encryption", "use https")
	}
	return header, query
}

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

func (b *build) tls(c *core.ConnectionConfig, u *url.URL) core.TLS {
	t := c.TLS
	if t == nil {
		return core.TLS{}
	}
	if u != nil && u.Scheme != "https" {
		b.report(c.At, "/tls", "tls has no meaning for a base URL with http", "remove it, or use https")
	}
	if t.CA != "" {
		if err := certificatesIn(t.CA); err != nil {
			b.report(c.At, "/tls/ca", "ca "+err.Error(), "give the PEM text of one or more certificates, for example ${file:ca.pem}")
		}
	}
	switch {
	case t.Certificate == "" && t.Key != "":
		b.report(c.At, "/tls/certificate", "key is given without certificate", "give both, or none")
	case t.Certificate != "" && t.Key == "":
		b.report(c.At, "/tls/key", "certificate is given without key", "give both, or none")
	case t.Certificate != "":
		if err := certificatesIn(t.Certificate); err != nil {
			b.report(c.At, "/tls/certificate", "certificate "+err.Error(), "give its PEM text, for example ${file:client.pem}")
		} else if _, err := tls.X509KeyPair([]byte(t.Certificate), []byte(t.Key.Reveal())); err != nil {
			// The error of the library may describe the key: it is not repeated.
			b.report(c.At, "/tls/key", "key is not the PEM text of the private key of certificate", "for example ${file:client.key}")
		}
	}
	if name := t.ServerName; name != "" && (strings.ContainsAny(name, " :/\\@") || hasControl(name) || len(name) > 253) {
		b.report(c.At, "/tls/serverName", quoted(name)+" is not a host name", "for example api.example.com")
	}
	if t.Insecure {
		b.warn(c.At, "/tls/insecureSkipVerify", "the certificate of the upstream is not verified: anybody on the way can read and change what is sent", "give its authority as ca")
	}
	return core.TLS{CA: t.CA, Certificate: t.Certificate, Key: t.Key, ServerName: t.ServerName, Insecure: t.Insecure}
}

// certificatesIn says why text is not PEM with certificates only.
func certificatesIn(text string) error {
	rest, n := []byte(text), 0
	for {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return fmt.Errorf("holds a %s", strings.ToLower(clip(block.Type)))
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return fmt.Errorf("holds a certificate that cannot be read (number %d)", n+1)
		}
		n++
	}
	if n == 0 {
		return errors.New("holds no certificate")
	}
	if strings.TrimSpace(string(rest)) != "" {
		return fmt.Errorf("holds something after certificate %d that is not PEM", n)
	}
	return nil
}
