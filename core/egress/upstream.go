package egress

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/core"
)

// upstream implements core.Upstream: one connection of a document, opened once by
// each tool that uses it.
type upstream struct {
	egress  *Egress
	name    string
	profile profile
	pool    *shared
	lane    *lane

	authority string
	base      string       // escaped path of the base URL, without a slash at its end
	query     string       // of the base URL
	secrets   string       // credentials in the query, escaped
	own       []core.Field // headers sent with every request, credentials first
	plain     []core.Field // own, for streams: asks for a body that is not encoded
	hidden    int          // how many of own are credentials

	whole     time.Duration
	limit     int64
	redirects int
	retries   int
	closed    atomic.Bool
}

// The defaults of security.md section 4.
const (
	defaultConnect = 3 * time.Second
	defaultFirst   = 10 * time.Second
	defaultLimit   = 8 << 20
	maxRedirects   = 3
	maxAsked       = 2 * time.Second // a longer Retry-After is handed on, not waited for
	maxRetries     = 5
)

// prepare checks a connection and works out all that does not change by request.
func (e *Egress) prepare(c *core.Connection) (*upstream, error) {
	u := &upstream{
		egress: e, name: c.Name, whole: c.Timeout, limit: c.MaxBytes,
		redirects: min(max(c.Redirects, 0), maxRedirects), retries: min(max(c.Retries, 0), maxRetries),
	}
	if u.limit <= 0 {
		u.limit = defaultLimit
	}
	if c.BaseURL == nil {
		return nil, errors.New("it has no base URL")
	}
	ranges, err := opened(e.o.Allow, c.AllowCIDRs)
	if err != nil {
		return nil, err
	}
	if u.profile, err = profileOf(c.BaseURL, ranges); err != nil {
		return nil, err
	}
	u.profile.tls, u.profile.http2 = c.TLS, c.HTTP2
	u.profile.connect, u.profile.first = defaultConnect, defaultFirst
	if c.Connect > 0 {
		u.profile.connect = c.Connect
	}
	if c.FirstByte > 0 {
		u.profile.first = c.FirstByte
	}
	u.authority = c.BaseURL.Host
	u.base = strings.TrimRight(c.BaseURL.EscapedPath(), "/")
	u.query = c.BaseURL.RawQuery
	if problem := checkPath(u.base + "/"); problem != "" {
		return nil, errors.New("base URL: " + problem)
	}
	if problem := checkQuery(u.query); problem != "" {
		return nil, errors.New("base URL: " + problem)
	}
	return u, u.dress(c)
}

// profileOf checks an absolute URL and returns the origin it names.
func profileOf(to *url.URL, ranges []netip.Prefix) (profile, error) {
	p := profile{scheme: to.Scheme, host: to.Hostname(), port: to.Port(), ranges: ranges}
	switch {
	case to.Scheme == "http" && p.port == "":
		p.port = "80"
	case to.Scheme == "https" && p.port == "":
		p.port = "443"
	case to.Scheme != "http" && to.Scheme != "https":
		return p, errors.New("the URL must begin with http:// or https://")
	}
	if to.User != nil {
		return p, errors.New("the URL holds a user name; give it as the credential of the connection")
	}
	if to.Opaque != "" || p.host == "" {
		return p, errors.New("the URL has no host")
	}
	if _, err := netip.ParseAddr(p.host); err == nil {
		return p, nil
	}
	if !hostName(p.host) {
		return p, errors.New("the host is not a name of letters, digits, dots and hyphens; write other names in their xn-- form")
	}
	if numeric(p.host) {
		return p, errors.New("the host looks like a number but is not an address; write four decimal parts")
	}
	return p, nil
}

func hostName(host string) bool {
	return len(host) <= 253 && strings.Trim(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") == "" &&
		host[0] != '.' && host[0] != '-' && !strings.Contains(host, "..")
}

// dress works out the headers and the query that go with every request.
func (u *upstream) dress(c *core.Connection) error {
	for name, value := range c.Secret {
		if !token(name) || hopByHop(name) || fold(name, "host") || fold(name, "content-length") {
			return errors.New("the credential header " + quoteName(name) + " may not be set")
		}
		if !fieldValue(value.Reveal()) {
			return errors.New("the credential in header " + name + " holds a control character, or a blank at its start or end")
		}
		u.own = append(u.own, core.Field{Name: name, Value: value.Reveal()})
	}
	slices.SortFunc(u.own, func(a, b core.Field) int { return strings.Compare(a.Name, b.Name) })
	u.hidden = len(u.own)
	for _, f := range c.Header {
		if problem := checkField(f); problem != "" {
			return errors.New(problem)
		}
		if u.credential(f.Name) {
			return errors.New("the header " + f.Name + " is its credential too")
		}
		u.own = append(u.own, f)
	}
	for _, f := range []core.Field{{Name: "User-Agent", Value: u.egress.o.Agent}, {Name: "Accept-Encoding", Value: accepted}} {
		if !slices.ContainsFunc(u.own, func(o core.Field) bool { return strings.EqualFold(o.Name, f.Name) }) {
			u.own = append(u.own, f)
		}
	}
	u.plain = slices.Clone(u.own)
	for i := range u.plain {
		if f := &u.plain[i]; i >= u.hidden+len(c.Header) && f.Name == "Accept-Encoding" {
			f.Value = "identity"
		}
	}
	values := url.Values{}
	for name, value := range c.Query {
		values.Set(name, value.Reveal())
	}
	u.secrets = values.Encode()
	return nil
}

// quoteName shows a header name that may be anything.
func quoteName(name string) string {
	if token(name) {
		return name
	}
	return "(not a token)"
}

// credential tells whether a header carries a credential of the connection.
func (u *upstream) credential(name string) bool {
	for i := range u.hidden {
		if strings.EqualFold(u.own[i].Name, name) {
			return true
		}
	}
	return false
}

// Do makes one exchange: with retries and redirects as the connection has them,
// and within the deadline of ctx. Every error is a *core.Error.
func (u *upstream) Do(ctx context.Context, r *core.Request) (*core.Response, error) {
	if problem := u.check(r); problem != "" {
		return nil, &core.Error{Code: core.CodeInvalid, Message: "connection " + u.name + ": " + problem}
	}
	m := u.message(ctx, r, u.own)
	m.progress = r.Progress
	if m.limit <= 0 {
		m.limit = u.limit
	}
	answer, f := u.ask(ctx, m)
	u.free(m)
	if f != nil {
		return nil, f.fail()
	}
	return answer, nil
}

var messages = sync.Pool{New: func() any { return new(message) }}

// message makes the message of a request that was checked; own are the headers of the
// connection. It goes back through free.
func (u *upstream) message(ctx context.Context, r *core.Request, own []core.Field) *message {
	now := u.egress.o.Now()
	m := messages.Get().(*message)
	*m = message{
		name: u.name, method: r.Method, authority: u.authority, secure: u.profile.scheme == "https",
		base: u.base, path: r.Path, query: [3]string{u.query, r.Query, u.secrets},
		own: own, home: own, fields: r.Header, body: r.Body, idempotent: r.Idempotent,
		limit: r.MaxBytes, first: u.profile.first, connect: u.profile.connect,
		start: now, deadline: until(ctx, now, u.whole),
	}
	if r.Credential != "" {
		m.home = append(slices.Clip(own), core.Field{Name: "Authorization", Value: r.Credential.Reveal()})
		m.own = m.home
	}
	return m
}

func (u *upstream) free(m *message) {
	if !u.profile.http2 { // net/http may hold on to what it was given
		*m = message{}
		messages.Put(m)
	}
}

// ask sends a message, with retries and redirects.
func (u *upstream) ask(ctx context.Context, m *message) (*core.Response, *fault) {
	u.lane.budget.earn(m.start)
	answer, f := u.persist(ctx, m, u.pool)
	if f == nil && u.redirects > 0 && redirection(answer.Status) {
		answer, f = u.follow(ctx, m, answer)
	}
	return answer, f
}

// Close gives up this use of the connection.
func (u *upstream) Close() error {
	if u.closed.Swap(true) {
		return nil
	}
	u.egress.quit(u.pool)
	u.egress.exit(u.lane)
	return nil
}

// check says what is wrong with a request, or "".
func (u *upstream) check(r *core.Request) string {
	if u.closed.Load() {
		return "it is closed"
	}
	if !token(r.Method) || r.Method == http.MethodConnect || r.Method == http.MethodTrace {
		return "the method may not be sent"
	}
	if problem := checkPath(r.Path); problem != "" {
		return problem
	}
	if problem := checkQuery(r.Query); problem != "" {
		return problem
	}
	for i := range r.Header {
		if problem := checkField(r.Header[i]); problem != "" {
			return problem
		}
		if u.credential(r.Header[i].Name) {
			return "the header " + r.Header[i].Name + " is the credential of the connection"
		}
	}
	switch {
	case r.Credential == "":
	case u.credential("Authorization"):
		return "the header Authorization is the credential of the connection"
	case !fieldValue(r.Credential.Reveal()):
		return "the credential of the request holds a control character, or a blank at its start or end"
	}
	return ""
}

// persist tries, and for idempotent requests tries again while retries, budget and
// deadline allow.
func (u *upstream) persist(ctx context.Context, m *message, t transport) (*core.Response, *fault) {
	for n := 1; ; n++ {
		if n > 1 {
			m.start = u.egress.o.Now()
		}
		answer, f := u.try(ctx, m, t, n)
		if f != nil && !f.again || f == nil && !again(answer.Status) || !m.idempotent || n > u.retries {
			return answer, f
		}
		now := u.egress.o.Now()
		wait := backoff(n, u.egress.o.Rand())
		if f == nil {
			asked, told := retryAfter(answer.Get("Retry-After"), now)
			if !told && answer.Status == 429 || asked > maxAsked {
				return answer, nil // the model reads the hint and decides
			}
			wait = max(wait, asked)
		}
		if !now.Add(wait).Before(m.deadline) || !u.lane.budget.spend() {
			return answer, f
		}
		m.drop()
		if err := pause(ctx, wait); err != nil {
			return nil, explain(ctx.Err(), m, u.egress.o.Now(), err)
		}
	}
}

// try makes one exchange behind breaker and bulkhead, and tells the observer.
func (u *upstream) try(ctx context.Context, m *message, t transport, n int) (answer *core.Response, f *fault) {
	m.reused, m.ended, m.encoding = false, time.Time{}, ""
	pass := u.lane.breaker.enter(m.start)
	if !pass.ok {
		f = broken(m, pass.wait)
		u.sent(m, m.start, n, nil, f)
		return nil, f
	}
	if err := u.lane.bulkhead.enter(ctx, m.start, m.deadline); err != nil {
		now := u.egress.o.Now()
		u.lane.breaker.leave(now, pass, unknown)
		if f = shed(m, err); ctx.Err() != nil {
			f = explain(ctx.Err(), m, now, err)
		}
		u.sent(m, now, n, nil, f)
		return nil, f
	}
	now, v := m.start, unknown
	defer func() { // also on a panic of a callback
		u.lane.bulkhead.leave()
		u.lane.breaker.leave(now, pass, v)
	}()
	answer, err := t.roundTrip(ctx, m)
	if now = m.ended; now.IsZero() {
		now = u.egress.o.Now()
		m.ended = now
	}
	switch {
	case err != nil:
		f = explain(ctx.Err(), m, now, err)
		answer, v = nil, f.verdict
	case answer.Status >= 502 && answer.Status <= 504:
		v = bad
	default:
		v = good
	}
	u.sent(m, now, n, answer, f)
	return answer, f
}

func (u *upstream) sent(m *message, end time.Time, n int, answer *core.Response, f *fault) {
	event := core.UpstreamEvent{
		Connection: u.name, Method: m.method, Outcome: "ok", Duration: end.Sub(m.start), Reused: m.reused, Attempt: n,
	}
	if answer != nil {
		event.Status = answer.Status
	}
	if f != nil {
		event.Outcome = f.outcome
	}
	u.egress.o.Observer.Sent(event)
}

var (
	_ core.Upstream = (*upstream)(nil)
	_ core.Streamer = (*upstream)(nil)
)
