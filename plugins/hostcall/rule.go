package hostcall

import (
	"errors"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/plugins/manifest"
)

// rule is one granted host, with the secret that goes there.
type rule struct {
	manifest.HTTP
	value core.Secret // of Inject; "" = none
}

// rulesOf returns the granted rules, the most specific host first: where two of them
// send the same header, that one counts.
func rulesOf(o *Options) ([]rule, error) {
	rules := make([]rule, 0, len(o.Granted.HTTP))
	for _, granted := range o.Granted.HTTP {
		r := rule{HTTP: granted}
		if inject := granted.Inject; inject != nil {
			if r.value = o.Secrets[inject.Secret]; r.value == "" {
				return nil, errors.New("plugin " + o.Plugin + ": the secret " + inject.Secret + ", which goes to " + granted.Host + " as the header " + inject.Header + ", has no value; give it one under secrets")
			}
			if !token(inject.Header) || steers(inject.Header) {
				return nil, errors.New("plugin " + o.Plugin + ": no secret can go to " + granted.Host + " as this header; name a header of the API")
			}
			if !fieldText(r.value.Reveal()) || strings.Trim(r.value.Reveal(), " \t") != r.value.Reveal() {
				return nil, errors.New("plugin " + o.Plugin + ": the secret " + inject.Secret + " holds a line end or another control character, or a blank at its start or end, and cannot be a header")
			}
		}
		rules = append(rules, r)
	}
	slices.SortStableFunc(rules, func(a, b rule) int { return specific(b.Host) - specific(a.Host) })
	return rules, nil
}

// specific ranks exact hosts above wildcards, and longer ones above shorter.
func specific(host string) int {
	if strings.HasPrefix(host, "*") {
		return len(host)
	}
	return 1000 // longer than any host name, which has at most 253 characters
}

// grant is what the rules say to one request.
type grant struct {
	name  string // host of the first rule: bounded in number, unlike what a guest asks for
	rules []int  // that send a secret, in order
}

// grantOf returns which rules allow a request; false = none.
func (h *Host) grantOf(method string, to *target) (grant, bool) {
	var g grant
	allowed := false
	for n := range h.rules {
		r := &h.rules[n]
		if !r.Allows(to.scheme, to.host, to.port, method) && !(h.off.scope && r.Inject != nil) {
			continue
		}
		if !allowed {
			allowed, g.name = true, r.Host
		}
		if r.Inject != nil && !slices.ContainsFunc(g.rules, func(other int) bool {
			return strings.EqualFold(h.rules[other].Inject.Header, r.Inject.Header)
		}) {
			g.rules = append(g.rules, n)
		}
	}
	return g, allowed
}

// token tells whether s is a token of RFC 9110 section 5.6.2: a method, or the name
// of a header.
func token(s string) bool {
	for _, c := range []byte(s) {
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && !('0' <= c && c <= '9') && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}

// fieldText tells whether s can stand in a header: no control character but the tab
// (RFC 9110 section 5.5).
func fieldText(s string) bool {
	for _, c := range []byte(s) {
		if c < ' ' && c != '\t' || c == 0x7F {
			return false
		}
	}
	return true
}

// steers tells whether a header is the connection's, and so the host's to set
// (RFC 9110 sections 7.2, 7.6 and 10.1.1).
func steers(name string) bool {
	switch strings.ToLower(name) {
	case "host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer", "keep-alive",
		"proxy-connection", "proxy-authorization", "proxy-authenticate", "expect", "http2-settings":
		return true
	}
	return false
}
