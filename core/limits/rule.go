package limits

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sallyport/sallyport/core"
)

// What a Limit may be counted by (core.Limit.Per).
const (
	perIdentity = "identity"
	perTenant   = "tenant"
	perServer   = "server"
	perTool     = "tool"
)

var pers = []string{perIdentity, perTenant, perServer, perTool}

const (
	maxGlob  = 512       // bytes
	maxNote  = 500       // bytes
	maxRate  = 1_000_000 // calls a second
	maxBurst = 1_000_000
	minRate  = 1.0 / (24 * 60 * 60) // one call a day
	// maxAhead bounds how far ahead of the clock a bucket may be, against overflow.
	maxAhead = int64(1) << 61
)

// CheckLimit tells what is wrong with a limit before it is stored. Problems stand at the
// JSON names of the fields (/rate).
func CheckLimit(l *core.Limit) []core.Problem {
	var wrong []core.Problem
	add := func(path, message, fix string) {
		wrong = append(wrong, core.Problem{Path: path, Message: message, Fix: fix})
	}
	if !slices.Contains(pers, l.Per) {
		add("/per", fmt.Sprintf("a limit cannot be counted per %.40q", l.Per), "use one of "+strings.Join(pers, ", "))
	}
	if !(l.Rate >= 0) || l.Rate > maxRate || l.Rate > 0 && l.Rate < minRate { // NaN is none of these
		add("/rate", "the rate is out of range", "use calls a second, from one a day (0.0000116) to 1,000,000; 0 = no limit")
	}
	if l.Burst < 0 || l.Burst > maxBurst {
		add("/burst", "the burst is out of range", "use 1 to 1,000,000 calls; 0 = one second of the rate")
	} else if l.Burst > 0 && l.Rate == 0 {
		add("/burst", "a burst without a rate bounds nothing", "set rate")
	}
	for _, one := range []struct {
		path  string
		value int64
	}{{"/atOnce", int64(l.AtOnce)}, {"/perDay", l.PerDay}, {"/bytes", l.Bytes}} {
		if one.value < 0 || one.path == "/atOnce" && one.value > math.MaxInt32 {
			add(one.path, "the number is out of range", "use 1 or more; 0 = no limit")
		}
	}
	if empty(l) {
		add("", "the limit bounds nothing", "set one of rate, atOnce, perDay and bytes")
	}
	for _, one := range []struct{ path, value string }{{"/subjects", l.Subjects}, {"/objects", l.Objects}} {
		if len(one.value) > maxGlob || !printable(one.value) {
			add(one.path, fmt.Sprintf("the glob has more than %d bytes, or characters that cannot be printed", maxGlob), "use * for the parts that do not matter")
		}
	}
	if len(l.Note) > maxNote {
		add("/note", fmt.Sprintf("the note has %d bytes, more than %d", len(l.Note), maxNote), "say it shorter")
	}
	return wrong
}

func printable(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// empty tells whether a limit bounds nothing.
func empty(l *core.Limit) bool {
	return l.Rate == 0 && l.AtOnce == 0 && l.PerDay == 0 && l.Bytes == 0
}

// rule is a limit, compiled for one replica of several. It is only read.
type rule struct {
	limit    core.Limit
	serial   uint64     // of its tenant and id, for the life of the process: the order of locks
	subjects *core.Glob // nil = all
	objects  *core.Glob // nil = all

	interval int64 // between calls at the rate, nanoseconds; 0 = no limit
	ahead    int64 // that a burst may be ahead of the clock, nanoseconds
	atOnce   int32 // 0 = no limit
}

func newRule(l core.Limit, serial uint64, replicas int) *rule {
	r := &rule{limit: l, serial: serial}
	if l.Subjects != "" {
		g := core.NewGlob(l.Subjects)
		r.subjects = &g
	}
	if l.Objects != "" {
		g := core.NewGlob(l.Objects)
		r.objects = &g
	}
	n := max(1, replicas)
	if l.Rate > 0 {
		burst := l.Burst
		if burst == 0 {
			burst = int(math.Ceil(l.Rate))
		}
		burst = max(1, share(burst, n))
		r.interval = int64(math.Ceil(float64(time.Second) / l.Rate * float64(n)))
		r.ahead = maxAhead
		if r.interval < maxAhead/int64(burst) {
			r.ahead = r.interval * int64(burst)
		}
	}
	r.atOnce = int32(share(l.AtOnce, n))
	return r
}

// share divides among replicas, rounded up.
func share(all, replicas int) int { return (all + replicas - 1) / replicas }

// counts tells whether the rule keeps a bucket.
func (r *rule) counts() bool { return r.interval > 0 || r.atOnce > 0 || r.limit.PerDay > 0 }

// covers tells whether the rule is about a caller and an object.
func (r *rule) covers(subject string, path []byte) bool {
	return r.about(subject) && (r.objects == nil || r.objects.Match(path))
}

// about tells whether the rule is about a caller. Those whom nobody knows have no subject:
// * and "" mean them too.
func (r *rule) about(subject string) bool {
	if r.subjects == nil {
		return true
	}
	var buffer [64]byte
	return r.subjects.Match(append(buffer[:0], subject...))
}

// name is how people know the limit.
func (r *rule) name() string {
	if r.limit.Note != "" {
		return r.limit.Note
	}
	return r.limit.ID
}

// Sorts of keys. Each has a bound of its own, so that none can push another out.
type sort uint8

const (
	ofIdentity sort = iota
	ofAddress
	ofObject
	sorts
)

// key says which calls are counted together. Parts are kept apart, so no two mean the
// same.
type key struct {
	serial   uint64
	sort     sort
	shared   bool // by whoever finds no place
	tenant   string
	one, two string
	address  uint64
	family   uint8 // of address: 0 = none, 4, 6
}

// key returns what a call is counted under. It takes no memory.
func (r *rule) key(subject, address, tenant, server, name string) key {
	k := key{serial: r.serial, tenant: tenant, sort: ofObject}
	switch r.limit.Per {
	case perServer:
		k.one = server
	case perTool:
		k.one, k.two = server, name
	case perTenant:
	default:
		k.sort, k.one = ofIdentity, subject
		if subject == "" {
			k.sort = ofAddress
			k.family, k.address, k.one = network(address)
		}
	}
	return k
}

// network returns what one subscriber is known by: an address of IPv4, the first half of
// one of IPv6 (RFC 6177: a site has at least that many), or the text when it is neither.
func network(address string) (family uint8, number uint64, text string) {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return 0, 0, address
	}
	if a = a.Unmap(); a.Is4() {
		b := a.As4()
		return 4, uint64(b[0])<<24 | uint64(b[1])<<16 | uint64(b[2])<<8 | uint64(b[3]), ""
	}
	b := a.As16()
	for _, one := range b[:8] {
		number = number<<8 | uint64(one)
	}
	return 6, number, ""
}
