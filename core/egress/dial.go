package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/sallyport/sallyport/core"
)

// Resolver turns a host name into addresses; *net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// dialer makes guarded connections to one host.
type dialer struct {
	host     string // as in the URL, without brackets
	port     string
	connect  time.Duration // resolve, TCP and TLS together
	guard    guard
	resolver Resolver
	tls      *tls.Config // nil = plain TCP
	now      func() time.Time
}

// maxAddresses bounds how many addresses of one name are tried.
const maxAddresses = 6

// dial resolves, connects and shakes hands within d.connect, or until ctx ends.
func (d *dialer) dial(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, d.connect)
	defer cancel()
	raw, err := d.dialTCP(ctx)
	if err != nil || d.tls == nil {
		return raw, err
	}
	secured := tls.Client(raw, d.tls)
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return nil, fmt.Errorf("TLS handshake with %s: %w", d.host, err)
	}
	return secured, nil
}

// dialTCP tries the addresses of the host in the order of the resolver. Each gets
// an equal share of the time that is left, so one dead address does not eat it.
func (d *dialer) dialTCP(ctx context.Context) (net.Conn, error) {
	addresses, err := d.resolve(ctx)
	if err != nil {
		return nil, err
	}
	var causes []error
	for i, a := range addresses {
		conn, err := d.dialOne(ctx, a, len(addresses)-i)
		if err == nil {
			return conn, nil
		}
		causes = append(causes, err)
		if ctx.Err() != nil {
			break
		}
	}
	return nil, errors.Join(causes...)
}

func (d *dialer) dialOne(ctx context.Context, a netip.Addr, left int) (net.Conn, error) {
	if deadline, ok := ctx.Deadline(); ok && left > 1 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, deadline.Sub(d.now())/time.Duration(left))
		defer cancel()
	}
	n := net.Dialer{Control: d.guard.control, KeepAlive: 30 * time.Second}
	return n.DialContext(ctx, "tcp", net.JoinHostPort(a.String(), d.port))
}

func (d *dialer) resolve(ctx context.Context) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(d.host); err == nil {
		return []netip.Addr{a}, nil
	}
	addresses, err := d.resolver.LookupNetIP(ctx, "ip", d.host)
	if err != nil {
		return nil, fmt.Errorf("resolve %s: %w", d.host, err)
	}
	if len(addresses) == 0 {
		return nil, fmt.Errorf("resolve %s: no addresses", d.host)
	}
	if len(addresses) > maxAddresses {
		addresses = addresses[:maxAddresses]
	}
	return addresses, nil
}

// trust builds the TLS settings of a connection; host is what the certificate must
// name unless the connection says otherwise.
func trust(t core.TLS, host string, protocols []string) (*tls.Config, error) {
	c := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		ServerName:         host,
		NextProtos:         protocols,
		InsecureSkipVerify: t.Insecure, //nolint:gosec // asked for by the document, and logged
		ClientSessionCache: tls.NewLRUClientSessionCache(16),
	}
	if t.ServerName != "" {
		c.ServerName = t.ServerName
	}
	if t.CA != "" {
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM([]byte(t.CA)) {
			return nil, errors.New("tls.ca holds no PEM certificate")
		}
	}
	if t.Certificate == "" && t.Key == "" {
		return c, nil
	}
	pair, err := tls.X509KeyPair([]byte(t.Certificate), []byte(t.Key.Reveal()))
	if err != nil {
		// The cause of X509KeyPair speaks of PEM blocks only, never of their bytes.
		return nil, fmt.Errorf("tls.certificate and tls.key: %w", err)
	}
	c.Certificates = []tls.Certificate{pair}
	return c, nil
}
