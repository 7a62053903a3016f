package gateway

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/core"
)

// reservedSegments cannot begin a prefix: the gateway answers there itself.
var reservedSegments = []string{".well-known", "admin", "api", "healthz", "metrics", "readyz"}

// endpointSegments end the path of an endpoint, so they cannot end a prefix.
var endpointSegments = []string{"mcp", "message", "sse"}

const (
	longestPrefix    = 200
	mostSegments     = 8
	longestTTL       = 24 * time.Hour
	mostPageSize     = 10_000
	defaultVersion   = "0.0.0" // serverInfo.version is required on the wire
	defaultPreflight = 10 * time.Minute
)

func (b *build) server(s *core.ServerConfig, prefixes, names map[string]core.At) {
	before := b.fatal
	w := &core.Server{
		Name: s.Name, Title: s.Title, Version: s.Version, Description: s.Description, WebsiteURL: s.WebsiteURL,
		Instructions: s.Instructions, CacheScope: "private",
	}
	if w.Version == "" {
		w.Version = defaultVersion
	}
	switch {
	case s.Name == "":
		b.report(s.At, "/name", "name is required", "give the server a name of small letters, digits and -")
	case !isSlug(s.Name):
		b.report(s.At, "/name", quoted(s.Name)+" is not a server name", "use 1 to 63 small letters, digits and -, beginning and ending with a letter or digit"+slugOf(s.Name))
	default:
		if _, twice := names[s.Name]; twice {
			b.report(s.At, "/name", "there is another server "+quoted(s.Name), "give each server its own name, over all files")
		}
		names[s.Name] = s.At
	}
	w.Prefix = b.prefix(s, prefixes)
	w.Icons = b.icons(s.At, s.Icons)
	if s.WebsiteURL != "" {
		if u, err := url.Parse(s.WebsiteURL); err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil {
			b.report(s.At, "/websiteUrl", "websiteUrl is not an http or https URL", "for example https://example.com")
		}
	}
	w.CORS = b.cors(s)
	w.Tenant = b.options.Tenant
	if s.Access != nil {
		w.Access = core.Access{Anonymous: s.Access.Anonymous, Scopes: b.scopes(place(s.At, s.Path+"/access"), s.Access.Scopes)}
	}
	if s.Cache != nil {
		w.TTLMillis = b.duration(s.At, "/cache/ttl", s.Cache.TTL, 0, longestTTL).Milliseconds()
		switch s.Cache.Scope {
		case "", "private":
		case "public":
			// Who sees which tools depends on policies, so nobody may share an answer
			// (security.md T13).
			if _, all := b.options.Authorizer.(core.AllowAll); all {
				w.CacheScope = "public"
			} else {
				b.warn(s.At, "/cache/scope", "lists depend on who asks, so clients are told private", "write private")
			}
		default:
			b.report(s.At, "/cache/scope", "there is no cache scope "+quoted(s.Cache.Scope), suggest(s.Cache.Scope, []string{"private", "public"}))
		}
	}
	b.ranged(s.At, "/pageSize", int64(s.PageSize), 0, mostPageSize)
	for _, one := range []struct {
		rel string
		n   int
	}{{"/tools", len(s.Tools)}, {"/catalogues", len(s.Catalogues)}, {"/upstreams", len(s.Upstreams)}, {"/prompts", len(s.Prompts)}, {"/resources", len(s.Resources)}, {"/resourceTemplates", len(s.Templates)}} {
		if one.n > b.options.Limits.Items {
			b.report(s.At, one.rel, fmt.Sprintf("there are %d", one.n), fmt.Sprintf("at most %d in one server", b.options.Limits.Items))
			return
		}
	}

	built := &server{
		wire: w, toolOf: map[string]*tool{}, promptOf: map[string]*prompt{},
		resourceOf: map[string]*resource{}, templateOf: map[string]*resource{}, upstreams: len(s.Upstreams) > 0,
	}
	lists := &offered{tools: b.catalogues(s, built, b.tools(s, built))}
	built.catalogues = len(s.Catalogues) > 0
	lists.resources, lists.templates = b.resources(s, built)
	lists.prompts = b.prompts(s, built)
	b.mounts(s, built, lists)
	b.nothingIn(s)
	built.tools = newList("tool", w, lists.tools, func(t *core.Tool) string { return t.Name }, s.PageSize)
	built.prompts = newList("prompt", w, lists.prompts, func(p *core.Prompt) string { return p.Name }, s.PageSize)
	built.resources = newList("resource", w, lists.resources, func(r *core.Resource) string { return r.URI }, s.PageSize)
	built.templates = newList("resource", w, lists.templates, func(r *core.Resource) string { return r.URI }, s.PageSize)
	b.disclose(s, built, lists.tools)
	w.Offers = offersOf(built)
	built.digest = digestOf(built)
	built.held = heldIn(built)
	if b.fatal == before {
		b.catalog.byName[s.Name] = built
		b.catalog.byPrefix[w.Prefix] = built
	}
}

// scopes checks scopes by the grammar of RFC 6749, section 3.3.
func (b *build) scopes(at core.At, scopes []string) []string {
	for i, scope := range scopes {
		for j := range len(scope) {
			if c := scope[j]; c <= ' ' || c > '~' || c == '"' || c == '\\' {
				b.report(at, fmt.Sprintf("/scopes/%d", i), quoted(scope)+" is not a scope", "use visible ASCII characters without blanks, quotes and backslashes")
				break
			}
		}
		if scope == "" {
			b.report(at, fmt.Sprintf("/scopes/%d", i), "a scope is empty", "remove it")
		}
	}
	return slices.Clone(scopes)
}

func (b *build) nothingIn(s *core.ServerConfig) {
	if len(s.Tools)+len(s.Catalogues)+len(s.Upstreams)+len(s.Prompts)+len(s.Resources)+len(s.Templates) == 0 {
		b.warn(s.At, "", "server "+quoted(s.Name)+" offers nothing", "give it tools, prompts, resources or upstreams")
	}
}

// prefix checks where a server stands: segments of small letters, digits, . _ and -
// with slashes between. Small letters only, because some proxies and frameworks
// fold case.
func (b *build) prefix(s *core.ServerConfig, taken map[string]core.At) string {
	prefix, rel := s.Name, "/name"
	if s.Prefix != nil {
		prefix, rel = *s.Prefix, "/prefix"
	} else if !isSlug(s.Name) {
		return "" // said already
	}
	trimmed := strings.Trim(prefix, "/")
	if trimmed != prefix {
		b.report(s.At, rel, quoted(prefix)+" has an outer slash", "write "+quoted(trimmed))
		return prefix
	}
	if prefix != "" {
		segments := strings.Split(prefix, "/")
		if len(segments) > mostSegments || len(prefix) > longestPrefix {
			b.report(s.At, rel, "prefix is too long", fmt.Sprintf("at most %d segments and %d characters", mostSegments, longestPrefix))
			return prefix
		}
		for _, segment := range segments {
			if !isSegment(segment) {
				b.report(s.At, rel, quoted(segment)+" cannot be a part of a prefix", "use small letters, digits, ., _ and -, beginning and ending with a letter or digit, for example shop/books"+slugOf(segment))
				return prefix
			}
		}
		for _, reserved := range reservedSegments {
			if segments[0] == reserved {
				b.report(s.At, rel, "a prefix cannot begin with "+quoted(reserved)+": the gateway answers there itself", "choose another, for example mcp/"+reserved)
			}
		}
		for _, reserved := range endpointSegments {
			if segments[len(segments)-1] == reserved {
				b.report(s.At, rel, "a prefix cannot end with "+quoted(reserved)+": that ends the path of every endpoint", "the endpoint of prefix a/b is /a/b/mcp; leave the end out")
			}
		}
	}
	if _, twice := taken[prefix]; twice {
		b.report(s.At, rel, "prefix "+quoted(prefix)+" is already that of another server", "give each server its own prefix")
	}
	taken[prefix] = s.At
	return prefix
}

// isSlug tells whether s can name a server. It has no _ so that server and tool
// can be joined with one and taken apart again (security.md T24).
func isSlug(s string) bool {
	if s == "" || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}

func isSegment(s string) bool {
	return isName(s, 63) && s == strings.ToLower(s) && isAlphanumeric(s[0]) && isAlphanumeric(s[len(s)-1])
}

// slugOf suggests the name that is nearest to s, when there is one.
func slugOf(s string) string {
	var out strings.Builder
	for _, r := range strings.ToLower(s) {
		switch {
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9':
			out.WriteRune(r)
		case r == ' ' || r == '_' || r == '-' || r == '.':
			out.WriteByte('-')
		}
	}
	if slug := strings.Trim(out.String(), "-"); isSlug(slug) && slug != s {
		return "; for example " + slug
	}
	return ""
}

func (b *build) cors(s *core.ServerConfig) *core.CORS {
	if s.CORS == nil {
		return nil
	}
	c := &core.CORS{Origins: append([]string(nil), s.CORS.Origins...), MaxAge: int(defaultPreflight / time.Second)}
	if len(c.Origins) == 0 {
		b.report(s.At, "/cors/origins", "cors lists no origin", "list origins, for example https://app.example.com, or remove cors")
	}
	seen := map[string]bool{}
	for i, origin := range c.Origins {
		rel := fmt.Sprintf("/cors/origins/%d", i)
		switch {
		case origin == "*":
			if len(c.Origins) > 1 {
				b.report(s.At, rel, `"*" stands beside other origins`, "list only *, or leave it out")
			}
		case seen[origin]:
			b.report(s.At, rel, quoted(origin)+" is there twice", "remove one")
		case !isOrigin(origin):
			b.report(s.At, rel, quoted(origin)+" is not an origin", "write scheme://host or scheme://host:port as a browser sends it: small letters, no path, no default port")
		}
		seen[origin] = true
	}
	if s.CORS.MaxAge != "" {
		c.MaxAge = int(b.duration(s.At, "/cors/maxAge", s.CORS.MaxAge, 0, 24*time.Hour) / time.Second)
	}
	return c
}

// isOrigin tells whether s is an origin as browsers serialize one (RFC 6454).
func isOrigin(s string) bool {
	u, err := url.Parse(s)
	if err != nil || u.Scheme == "" || u.Host == "" || s != u.Scheme+"://"+u.Host || s != strings.ToLower(s) {
		return false
	}
	if u.Scheme == "https" && u.Port() == "443" || u.Scheme == "http" && u.Port() == "80" {
		return false
	}
	return u.Hostname() != "" && portOK(u.Port()) && !strings.HasSuffix(u.Host, ":") && !strings.ContainsAny(u.Host, "*{}$ ")
}

// offersOf says what a server has, for the capabilities: what the document has, and what
// upstreams say that they have.
func offersOf(s *server) core.Offers {
	o := core.Offers{Tools: s.catalogues}
	for _, t := range s.toolOf {
		o.Tools = o.Tools || t.mount == nil
	}
	o.Logging = o.Tools
	for _, p := range s.promptOf {
		if p.mount == nil {
			o.Prompts = true
			o.Completions = o.Completions || len(p.wire.Arguments) > 0
			o.Logging = o.Logging || p.chain.invoker != nil
		}
	}
	for _, r := range s.templateOf {
		if r.mount == nil {
			o.Resources, o.Completions = true, true
			o.Logging = o.Logging || r.chain.invoker != nil
		}
	}
	for _, r := range s.resourceOf {
		if r.mount == nil {
			o.Resources = true
			o.Logging = o.Logging || r.chain.invoker != nil
		}
	}
	o.Subscribe = o.Resources
	for _, m := range s.mounts {
		has := &m.offer.Offers
		o.Tools, o.Prompts, o.Resources = o.Tools || has.Tools, o.Prompts || has.Prompts, o.Resources || has.Resources
		o.Completions, o.Logging, o.Subscribe = o.Completions || has.Completions, o.Logging || has.Logging, o.Subscribe || has.Subscribe
	}
	return o
}

// noDigests are those of a server that offers nothing, or is not there.
var noDigests = digestOf(&server{tools: &list[*core.Tool]{}, prompts: &list[*core.Prompt]{}, resources: &list[*core.Resource]{}, templates: &list[*core.Resource]{}})

// heldIn hashes what each resource holds that stands in the document itself.
func heldIn(s *server) map[string][32]byte {
	sums := map[string][32]byte{}
	for uri, r := range s.resourceOf {
		if r.body == nil || r.body.root != nil {
			continue // an invoker or a file stands behind it
		}
		h := sha256.New()
		fmt.Fprintf(h, "%q %t\n%s", r.wire.MIMEType, r.body.binary, r.body.text)
		h.Write(r.body.fixed)
		sums[uri] = [32]byte(h.Sum(nil))
	}
	return sums
}

// digestOf hashes what clients see of each list.
func digestOf(s *server) digests {
	var d digests
	h := sha256.New()
	for _, t := range s.tools.items {
		hashText(h, t.Name, t.Title, t.Description)
		hashJSON(h, t.InputSchema, t.OutputSchema, t.Annotations, t.Icons, t.Execution, t.Meta, t.Extra)
	}
	h.Sum(d.tools[:0])
	h.Reset()
	for _, p := range s.prompts.items {
		hashText(h, p.Name, p.Title, p.Description)
		for _, a := range p.Arguments {
			hashText(h, "argument", a.Name, a.Title, a.Description, strconv.FormatBool(a.Required))
			hashJSON(h, a.Extra)
		}
		hashJSON(h, p.Icons, p.Meta, p.Extra)
	}
	h.Sum(d.prompts[:0])
	h.Reset()
	for _, items := range [][]*core.Resource{s.resources.items, s.templates.items} {
		for _, r := range items {
			size := "none"
			if r.Size != nil {
				size = strconv.FormatInt(*r.Size, 10)
			}
			hashText(h, r.URI, strconv.FormatBool(r.Template), r.Name, r.Title, r.Description, r.MIMEType, size)
			hashJSON(h, r.Annotations, r.Icons, r.Meta, r.Extra)
		}
	}
	h.Sum(d.resources[:0])
	return d
}

// hashText writes each part behind its length, so that parts cannot run together.
func hashText(h hash.Hash, parts ...string) {
	for _, p := range parts {
		_, _ = h.Write(binary.AppendUvarint(nil, uint64(len(p)))) // a hash does not fail
		_, _ = h.Write([]byte(p))
	}
}

func hashJSON(h hash.Hash, parts ...json.RawMessage) {
	for _, p := range parts {
		hashText(h, string(p))
	}
}
