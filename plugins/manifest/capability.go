package manifest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Capabilities says what a plugin may reach. In a manifest it is a request, in the
// operator's settings a policy; the part that is in both is the grant.
//
// Hosts are exact, `*.example.com` (one label or more below it) or `*`. Names of
// secrets, tools and namespaces are exact in a request; in a policy (and for tools in
// a request too) they may end in `*`.
type Capabilities struct {
	HTTP     []HTTP   `json:"http,omitempty"`
	KV       *KV      `json:"kv,omitempty"`
	Secrets  []string `json:"secrets,omitempty"` // the guest can read them
	Progress bool     `json:"progress,omitzero"`
	CallTool []string `json:"call_tool,omitempty"` // under the caller's rights
}

// HTTP is one host that a plugin may call. In a policy an empty list of methods or
// ports means any; in a request the reader fills in GET and 443 (80 for http).
type HTTP struct {
	Host    string   `json:"host"`
	Scheme  string   `json:"scheme,omitempty"`  // https or http; a policy without it means https
	Methods []string `json:"methods,omitempty"` // sorted
	Ports   []int    `json:"ports,omitempty"`   // sorted
	Inject  *Inject  `json:"inject,omitempty"`
}

// Inject is a secret that the host adds to each request as a header. The guest never
// sees it, so the name need not stand under `secrets`.
type Inject struct {
	Header string `json:"header"`
	Secret string `json:"secret"`
}

// KV is a namespace of the key-value store.
type KV struct {
	Namespace string `json:"namespace"`
	MaxBytes  Size   `json:"max_bytes,omitzero"` // 0 = 1 MiB
}

// Bounds of keys and values together, of one plugin.
const (
	DefaultKV Size = 1 << 20
	MaxKV     Size = 256 << 20
)

// Zero reports whether nothing is asked for.
func (c Capabilities) Zero() bool {
	return len(c.HTTP) == 0 && c.KV == nil && len(c.Secrets) == 0 && !c.Progress && len(c.CallTool) == 0
}

// IsZero is Zero, for encoding/json.
func (c Capabilities) IsZero() bool { return c.Zero() }

// SecretNames returns every secret that is read or injected, sorted: the operator has
// to give each a value.
func (c Capabilities) SecretNames() []string {
	names := slices.Clone(c.Secrets)
	for i := range c.HTTP {
		if c.HTTP[i].Inject != nil {
			names = append(names, c.HTTP[i].Inject.Secret)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Within returns the part of the request c that the policy allows, and in words what
// of the request it does not. The result never holds more than either.
func (c Capabilities) Within(policy Capabilities) (granted Capabilities, refused []string) {
	for i := range c.HTTP {
		got, missing := c.HTTP[i].within(policy)
		granted.HTTP = append(granted.HTTP, got...)
		if missing {
			refused = append(refused, c.HTTP[i].words())
		}
	}
	granted.HTTP = slices.CompactFunc(granted.HTTP, HTTP.equal)
	if c.KV != nil {
		granted.KV = c.KV.within(policy.KV)
		if granted.KV == nil || granted.KV.MaxBytes < c.KV.size() {
			refused = append(refused, c.KV.words())
		}
	}
	for _, name := range c.Secrets {
		if covered(policy.Secrets, name) {
			granted.Secrets = append(granted.Secrets, name)
		} else {
			refused = append(refused, secretWords(name))
		}
	}
	if granted.Progress = c.Progress && policy.Progress; c.Progress && !granted.Progress {
		refused = append(refused, progressWords)
	}
	for _, name := range c.CallTool {
		for _, allowed := range policy.CallTool {
			if both, ok := meet(name, allowed); ok && !slices.Contains(granted.CallTool, both) {
				granted.CallTool = append(granted.CallTool, both)
			}
		}
		if !covered(policy.CallTool, name) {
			refused = append(refused, toolWords(name))
		}
	}
	slices.Sort(granted.CallTool)
	return granted, refused
}

// within returns what each rule of the policy leaves of h. missing is true unless the
// policy leaves all of it.
func (h HTTP) within(policy Capabilities) (granted []HTTP, missing bool) {
	for i := range policy.HTTP {
		rule := &policy.HTTP[i]
		host, ok := meetHost(h.Host, rule.Host)
		if !ok || h.scheme() != rule.scheme() {
			continue
		}
		methods, some := common(h.Methods, rule.Methods)
		ports, more := common(h.Ports, rule.Ports)
		if !some || !more {
			continue
		}
		g := HTTP{Host: host, Scheme: h.scheme(), Methods: methods, Ports: ports}
		// The secret goes only where a rule for this host sends it, or where the guest
		// could carry it by itself: a secret of one host must not reach another.
		if h.Inject != nil && (rule.injects(h.Inject) || covered(policy.Secrets, h.Inject.Secret)) {
			g.Inject = h.Inject
		}
		granted = append(granted, g)
	}
	return granted, !reaches(granted, h)
}

func (h HTTP) injects(i *Inject) bool {
	return h.Inject != nil && glob(h.Inject.Secret, i.Secret) &&
		(h.Inject.Header == "" || strings.EqualFold(h.Inject.Header, i.Header))
}

// reaches reports whether granted rules together allow every method and port of h on
// all its hosts, with its secret.
func reaches(rules []HTTP, h HTTP) bool {
	for _, method := range orAny(h.Methods) {
		for _, port := range orAny(h.Ports) {
			if !slices.ContainsFunc(rules, func(r HTTP) bool {
				return coversHost(r.Host, h.Host) && has(r.Methods, method) && has(r.Ports, port) && (r.Inject != nil) == (h.Inject != nil)
			}) {
				return false
			}
		}
	}
	return true
}

// orAny returns the list, or one zero for "any" when it is empty.
func orAny[T any](list []T) []T {
	if len(list) == 0 {
		return make([]T, 1)
	}
	return list
}

// has reports whether a list, where empty means any, holds v, where zero means any.
func has[T comparable](list []T, v T) bool {
	return len(list) == 0 || slices.Contains(list, v)
}

// common returns what is in both lists, where an empty one means any; false when that
// is nothing.
func common[T comparable](a, b []T) ([]T, bool) {
	switch {
	case len(a) == 0:
		return slices.Clone(b), true
	case len(b) == 0:
		return slices.Clone(a), true
	}
	var both []T
	for _, v := range a {
		if slices.Contains(b, v) {
			both = append(both, v)
		}
	}
	return both, len(both) > 0
}

func (h HTTP) scheme() string {
	if h.Scheme == "" {
		return "https"
	}
	return h.Scheme
}

func (h HTTP) equal(o HTTP) bool {
	return h.Host == o.Host && h.scheme() == o.scheme() && slices.Equal(h.Methods, o.Methods) && slices.Equal(h.Ports, o.Ports) &&
		(h.Inject == nil) == (o.Inject == nil) && (h.Inject == nil || *h.Inject == *o.Inject)
}

// Allows reports whether a granted rule allows one request. host is in lower case,
// without port and brackets.
func (h HTTP) Allows(scheme, host string, port int, method string) bool {
	return h.scheme() == scheme && coversHost(h.Host, host) && has(h.Ports, port) && has(h.Methods, method)
}

func (k *KV) size() Size {
	if k.MaxBytes == 0 {
		return DefaultKV
	}
	return k.MaxBytes
}

func (k *KV) within(policy *KV) *KV {
	if policy == nil || policy.Namespace != "" && !glob(policy.Namespace, k.Namespace) {
		return nil
	}
	return &KV{Namespace: k.Namespace, MaxBytes: min(k.size(), policy.size(), MaxKV)}
}

// coversHost reports whether every host of b is one of a.
func coversHost(a, b string) bool {
	if a == "*" || a == b {
		return true
	}
	below, wild := strings.CutPrefix(a, "*")
	return wild && b != "*" && strings.HasSuffix(b, below) && len(b) > len(below)
}

func meetHost(a, b string) (string, bool) {
	switch {
	case coversHost(a, b):
		return b, true
	case coversHost(b, a):
		return a, true
	}
	return "", false
}

// glob reports whether pattern, which may end in *, covers name, which may too.
func glob(pattern, name string) bool {
	prefix, wild := strings.CutSuffix(pattern, "*")
	if wild {
		return strings.HasPrefix(name, prefix)
	}
	return pattern == name
}

func meet(a, b string) (string, bool) {
	switch {
	case glob(a, b):
		return b, true
	case glob(b, a):
		return a, true
	}
	return "", false
}

func covered(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return glob(p, name) })
}

// Words returns the capabilities in words, one line each, for people who decide.
func (c Capabilities) Words() []string {
	var words []string
	for i := range c.HTTP {
		words = append(words, c.HTTP[i].words())
	}
	if c.KV != nil {
		words = append(words, c.KV.words())
	}
	for _, name := range c.Secrets {
		words = append(words, secretWords(name))
	}
	if c.Progress {
		words = append(words, progressWords)
	}
	for _, name := range c.CallTool {
		words = append(words, toolWords(name))
	}
	return words
}

const progressWords = "progress: tell the client how far a call is"

func secretWords(name string) string { return "secret: read the value of " + name }

func toolWords(name string) string { return "call_tool: call " + name + " with the caller's rights" }

func (k *KV) words() string {
	return fmt.Sprintf("kv: keep up to %s in namespace %s", k.size(), k.Namespace)
}

func (h HTTP) words() string {
	methods, ports, host := "any method", "any port", h.Host
	if host == "*" {
		host = "any host that the policy allows"
	}
	if len(h.Methods) > 0 {
		methods = strings.Join(h.Methods, ", ")
	}
	if len(h.Ports) > 0 {
		texts := make([]string, len(h.Ports))
		for i, port := range h.Ports {
			texts[i] = strconv.Itoa(port)
		}
		ports = "port " + strings.Join(texts, ", ")
	}
	text := fmt.Sprintf("http: %s to %s over %s, %s", methods, host, h.scheme(), ports)
	if h.Inject != nil {
		text += fmt.Sprintf(", with secret %s as header %s", h.Inject.Secret, h.Inject.Header)
	}
	return text
}
