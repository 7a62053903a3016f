package egress

import (
	"fmt"
	"net/netip"
	"strings"
	"syscall"
)

// guard decides which addresses may be dialled. The zero value allows public
// addresses only.
type guard struct {
	open []netip.Prefix // opened by the settings
	off  bool           // switched off by the test of the test, never elsewhere
}

// refusal is the error of a dial that the guard stopped.
type refusal struct{ address string }

func (r *refusal) Error() string { return "address " + r.address + " is not public and not opened" }

// control is the Control hook of net.Dialer. It runs after name resolution, with
// the very address that connect(2) is about to get.
func (g *guard) control(_, address string, _ syscall.RawConn) error {
	if g.off {
		return nil
	}
	to, err := netip.ParseAddrPort(address)
	if err != nil || !g.allows(to.Addr()) {
		return &refusal{address: address}
	}
	return nil
}

// allows tells whether a may be dialled.
func (g *guard) allows(a netip.Addr) bool {
	if !a.IsValid() || a.Zone() != "" {
		return false
	}
	a = a.Unmap()
	for _, p := range g.open {
		if p.Contains(a) {
			return true
		}
	}
	return public(a)
}

// special4 lists the IPv4 ranges of the IANA special-purpose registry, and
// multicast: what is not in it is public.
var special4 = prefixes("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
	"172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15",
	"198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4")

// IPv6 is an allow-list: global unicast, without the ranges that carry IPv4
// addresses inside (Teredo, 6to4) or documentation. NAT64 (64:ff9b::/96), ULA,
// link-local and site-local lie outside 2000::/3.
var (
	global6  = netip.MustParsePrefix("2000::/3")
	special6 = prefixes("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
)

// public tells whether a (without a zone, unmapped) is a public unicast address.
func public(a netip.Addr) bool {
	if a.Is4() {
		return !in(a, special4)
	}
	return global6.Contains(a) && !in(a, special6)
}

func in(a netip.Addr, list []netip.Prefix) bool {
	for _, p := range list {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

func prefixes(texts ...string) []netip.Prefix {
	list := make([]netip.Prefix, len(texts))
	for i, t := range texts {
		list[i] = netip.MustParsePrefix(t)
	}
	return list
}

// opened returns the ranges of the settings and of one connection as guard.open
// wants them: IPv4 as IPv4, host bits zero.
func opened(settings []netip.Prefix, connection []string) ([]netip.Prefix, error) {
	list := make([]netip.Prefix, 0, len(settings)+len(connection))
	list = append(list, settings...)
	for _, text := range connection {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("opened range %q: %w", text, err)
		}
		list = append(list, p)
	}
	for i, p := range list {
		if !p.IsValid() {
			return nil, fmt.Errorf("opened range %d is not a valid prefix", i)
		}
		if p.Addr().Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		list[i] = p.Masked()
	}
	return list, nil
}

// numeric tells whether host reads as an IPv4 address to some resolvers but not to
// us ("0x7f.1", "2130706433", "0177.0.0.1", "127.1"): the WHATWG rule "ends in a
// number". Those are refused before any resolver sees them.
func numeric(host string) bool {
	host = strings.TrimSuffix(host, ".")
	last := host[strings.LastIndexByte(host, '.')+1:]
	if last == "" {
		return false
	}
	if len(last) >= 2 && (last[:2] == "0x" || last[:2] == "0X") {
		return strings.Trim(last[2:], "0123456789abcdefABCDEF") == ""
	}
	return strings.Trim(last, "0123456789") == ""
}
