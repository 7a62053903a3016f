package hostcall

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/plugins/abi"
)

// Limits of what a guest sends, in bytes; past them the answer is TOO_LARGE.
const (
	maxBody   = 5 << 20
	maxURL    = 16 << 10
	maxFields = 64 << 10 // all header names and values
)

// request is what a guest wants to send, checked as far as it can be without the grant.
type request struct {
	method        string
	to            *target
	fields        []core.Field
	authorization string // apart: package egress takes credentials from the connection only
	body          []byte // aliases the guest's memory
}

// parseRequest reads the frame of `http`.
func parseRequest(frame []byte, lenient bool) (*request, int64) {
	if len(frame) > maxBody+maxURL+maxFields {
		return nil, abi.ErrTooLarge
	}
	pairs, body, err := abi.ParseIn(frame)
	if err != nil {
		return nil, abi.ErrInvalid
	}
	if len(body) > maxBody {
		return nil, abi.ErrTooLarge
	}
	r := &request{body: body, fields: make([]core.Field, 0, len(pairs))}
	var where string
	var methods, places, size int
	for _, p := range pairs {
		switch p.Key {
		case abi.HTTPMethod:
			methods++
			r.method = strings.ToUpper(p.Value)
			continue
		case abi.HTTPURL:
			places++
			where = p.Value
			continue
		}
		if size += len(p.Key) + len(p.Value); size > maxFields {
			return nil, abi.ErrTooLarge
		}
		if code := r.field(p.Key, p.Value, lenient); code < 0 {
			return nil, code
		}
	}
	switch {
	case methods != 1, places != 1, !token(r.method):
		return nil, abi.ErrInvalid
	case len(where) > maxURL:
		return nil, abi.ErrTooLarge
	case r.method == "CONNECT", r.method == "TRACE":
		return nil, abi.ErrDenied
	}
	to, err := url.Parse(where)
	if err != nil {
		return nil, abi.ErrInvalid
	}
	var code int64
	r.to, code = targetOf(to)
	return r, code
}

// field takes one header of the guest. Those of the connection are left out: the host
// sets them.
func (r *request) field(name, value string, lenient bool) int64 {
	if lenient {
		r.fields = append(r.fields, core.Field{Name: name, Value: value})
		return 0
	}
	value = strings.Trim(value, " \t")
	switch {
	case !token(name), !fieldText(value):
		return abi.ErrInvalid
	case steers(name):
		return 0
	case strings.EqualFold(name, "authorization"):
		if r.authorization != "" {
			return abi.ErrInvalid
		}
		r.authorization = value
		return 0
	}
	r.fields = append(r.fields, core.Field{Name: name, Value: value})
	return 0
}

// target is where a request goes, spelled in one way: rules, keys of upstreams and the
// Host header are made of it, and of nothing else.
type target struct {
	scheme string
	host   string // lower case, without brackets
	port   int
	url    *url.URL // Scheme and Host like that; path and query as the guest escaped them
}

// targetOf checks an absolute URL.
func targetOf(u *url.URL) (*target, int64) {
	if u.Scheme == "" || u.User != nil || u.Opaque != "" {
		return nil, abi.ErrInvalid
	}
	t := &target{scheme: u.Scheme, host: strings.ToLower(u.Hostname())}
	switch t.scheme {
	case "https":
		t.port = 443
	case "http":
		t.port = 80
	default:
		return nil, abi.ErrDenied
	}
	name := t.host
	if a, err := netip.ParseAddr(t.host); err == nil {
		if a.Zone() != "" {
			return nil, abi.ErrInvalid
		}
		t.host = a.String()
		if name = t.host; a.Is6() {
			name = "[" + t.host + "]"
		}
	} else if !hostName(t.host) {
		return nil, abi.ErrInvalid
	}
	if text := u.Port(); text != "" {
		n, err := strconv.ParseUint(text, 10, 16)
		if err != nil || n == 0 {
			return nil, abi.ErrInvalid
		}
		if int(n) != t.port {
			name += ":" + strconv.Itoa(int(n))
		}
		t.port = int(n)
	}
	path := *u
	path.Scheme, path.Host, path.Fragment, path.RawFragment = t.scheme, name, "", ""
	if path.Path == "" {
		path.Path = "/"
	}
	t.url = &path
	return t, 0
}

// hostName tells whether a name is of letters, digits, dots, hyphens and underscores.
func hostName(host string) bool {
	return host != "" && len(host) <= 253 && strings.Trim(host, "abcdefghijklmnopqrstuvwxyz0123456789.-_") == "" && host[0] != '.' && host[0] != '-'
}

// origin returns what tells connections apart.
func (t *target) origin() string { return t.scheme + "://" + t.url.Host }

// follow turns the request into the next one of a redirect, or says why it is not
// followed. What the guest sent for one origin stays there.
func (r *request) follow(location string, status int) int64 {
	u, err := r.to.url.Parse(location)
	if err != nil {
		return abi.ErrUnavailable
	}
	next, code := targetOf(u)
	if code < 0 || r.to.scheme == "https" && next.scheme != "https" {
		return abi.ErrDenied
	}
	// 301 and 302 turn POST into GET, 303 all but HEAD (Fetch standard 4.4.12).
	if r.method == "POST" && status <= 302 || status == 303 && r.method != "HEAD" {
		r.method, r.body = "GET", nil
		r.keep(func(name string) bool { return !strings.HasPrefix(name, "content-") })
	}
	if next.origin() != r.to.origin() {
		if len(r.body) > 0 {
			return abi.ErrDenied
		}
		r.authorization = ""
		r.keep(public)
	}
	r.to = next
	return 0
}

// keep leaves the fields whose name, in lower case, is wanted.
func (r *request) keep(wanted func(name string) bool) {
	kept := r.fields[:0]
	for _, f := range r.fields {
		if wanted(strings.ToLower(f.Name)) {
			kept = append(kept, f)
		}
	}
	r.fields = kept
}

// public tells whether a header may go to another origin: those that say what the
// guest can read.
func public(name string) bool {
	switch name {
	case "accept", "accept-encoding", "accept-language", "user-agent":
		return true
	}
	return false
}
