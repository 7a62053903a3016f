package config

import (
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/sallyport/sallyport/core"
)

// Settings is what a gateway is started with. Documents say what it serves; settings
// say where, how much and how patiently. They are read once: a change takes a
// restart.
//
// A flag wins over a variable of the environment, that over the settings file, that
// over the default.
type Settings struct {
	Listen         string           `json:"listen"`
	Config         []string         `json:"config"`
	Data           string           `json:"data"`
	AllowedHosts   []string         `json:"allowedHosts"`
	AllowedOrigins []string         `json:"allowedOrigins"`
	TrustedProxies []netip.Prefix   `json:"trustedProxies"`
	Egress         EgressSettings   `json:"egress"`
	Log            LogSettings      `json:"log"`
	Limits         LimitSettings    `json:"limits"`
	Sessions       SessionLimits    `json:"sessions"`
	Drain          DrainSettings    `json:"drain"`
	Reload         ReloadSettings   `json:"reload"`
	Plugins        PluginSettings   `json:"plugins"`
	Upstreams      UpstreamSettings `json:"upstreams"`
	Admin          AdminSettings    `json:"admin"`
	Access         AccessSettings   `json:"access"`
	Store          StoreSettings    `json:"store"`
	Audit          AuditSettings    `json:"audit"`
	Logins         LoginSettings    `json:"logins"`
}

// EgressSettings says which addresses calls may go to.
type EgressSettings struct {
	Allow []netip.Prefix `json:"allow"` // opened beside public addresses
}

// LogSettings says what is logged, and how.
type LogSettings struct {
	Level  string `json:"level"`  // debug, info, warn, error
	Format string `json:"format"` // json, text
	// Requests says which HTTP requests get a line: all, failed (status 400 and
	// above), none.
	Requests string `json:"requests"`
}

// Slog returns the level for log/slog.
func (l LogSettings) Slog() slog.Level {
	var level slog.Level
	_ = level.UnmarshalText([]byte(l.Level)) // the shape allows only words that it knows
	return level
}

// LimitSettings bounds what clients can hold.
type LimitSettings struct {
	Body        Size          `json:"body"`
	Headers     Size          `json:"headers"`
	Read        time.Duration `json:"read"`
	Idle        time.Duration `json:"idle"`
	Write       time.Duration `json:"write"`
	InFlight    int           `json:"inFlight"`
	Streams     int           `json:"streams"`
	Connections int           `json:"connections"`
	PerAddress  int           `json:"connectionsPerAddress"`
	KeepAlive   time.Duration `json:"keepAlive"`
}

// SessionLimits bounds the sessions of the revisions that have them.
type SessionLimits struct {
	Idle  time.Duration `json:"idle"`
	Max   time.Duration `json:"max"`
	Limit int           `json:"limit"`
}

// DrainSettings says how a gateway ends.
type DrainSettings struct {
	Lag  time.Duration `json:"lag"`
	Stop time.Duration `json:"hardStop"`
}

// ReloadSettings says how changed documents are noticed.
type ReloadSettings struct {
	Poll time.Duration `json:"poll"`
}

func network() *shape {
	return &shape{is: text, says: "a range of addresses such as 10.0.0.0/8 or 127.0.0.1/32", pattern: networkPattern}
}

func size(least, most float64) *shape {
	return &shape{is: number, integer: true, size: true, min: &least, max: &most}
}

// settings is the shape of Settings. Standards are read by the reader itself.
var settings = describe[Settings]("settings", "What a gateway is started with.",
	map[string]string{"servers": inDocument, "connections": inDocument, "host": "write listen: HOST:PORT", "port": "write listen: HOST:PORT", "address": "write listen: HOST:PORT", "logLevel": "write log: {level: …}"},
	may("$schema", line(), "Names the JSON Schema for editors; the gateway ignores it.").ignore(),
	may("listen", matching(`^`+addressPattern+`$`, "an address such as 127.0.0.1:8080 or [::1]:8080"),
		"Address and port to listen on. Port 0 takes a free one. Without authentication only a loopback address is accepted.").otherwise("127.0.0.1:8080"),
	may("config", many(line()), "Gateway documents: files, or directories whose *.yaml, *.yml and *.json are read. In the settings file paths are taken from its directory.").otherwise("[]"),
	may("data", line(), "The directory for what the gateway keeps, such as the keys that seal session ids. In the settings file the path is taken from its directory.").otherwise("data"),
	may("allowedHosts", many(matching(`^[^\s/@]+$`, "a host name, with or without a port")), "Names that the Host header may have, beside the address listened on and, on loopback, localhost. Others are refused (DNS rebinding).").otherwise("[]"),
	may("allowedOrigins", many(matching(`^[A-Za-z][A-Za-z0-9+.-]*://[^/?#@\s]+$`, "an origin such as https://app.example.com (no path)")), "Web origins that may call every server, beside those that the server's `cors` names.").otherwise("[]"),
	may("trustedProxies", many(network()), "Peers whose X-Forwarded-* headers are believed, and whose connections are not counted by address.").otherwise("[]"),
	may("egress", egressSettings, "Which addresses calls may go to."),
	may("log", logSettings, "What is logged, and how."),
	may("limits", limitSettings, "What clients can hold."),
	may("sessions", sessionSettings, "Sessions, for the revisions of MCP that have them."),
	may("drain", drainSettings, "How the gateway ends after SIGTERM."),
	may("reload", reloadSettings, "How changed documents are noticed."),
	may("plugins", pluginSettings, "Which plugins are loaded, and where they come from."),
	may("upstreams", upstreamSettings, "Which programs may be upstreams."),
	may("access", accessSettings, "How callers of MCP servers are known."),
	may("store", storeSettings, "Where users, policies, documents and records are kept."),
	may("audit", auditSettings, "What is recorded, and for how long."),
	may("admin", adminSettings, "Where the admin API stands."),
	may("logins", loginSettings, "Logins to the admin API."),
).like(`
listen: 127.0.0.1:8080
config: [gateway/]
data: data
egress:
  allow: [10.1.0.0/16]
log: {level: info, format: json}
limits: {body: 8MiB}
drain: {lag: 5s, hardStop: 25s}
plugins:
  keys: ["acme/*=keys/acme.pub"]
  registries: ["registry.example.com=ci:/run/secrets/registry"]
`)

const inDocument = "it stands in a gateway document, not in the settings"

var (
	egressSettings = describe[EgressSettings]("egress", "Which addresses calls may go to.", nil,
		may("allow", many(network()), "Ranges that tools may reach beside public addresses. Loopback, private and other special ranges are closed otherwise (SSRF).").otherwise("[]"),
	)
	logSettings = describe[LogSettings]("log", "What is logged, and how.", nil,
		may("level", words("debug", "info", "warn", "error"), "The least important level that is logged. Argument values and secrets are logged at none.").otherwise("info"),
		may("format", words("json", "text"), "One JSON object a line, or key=value.").otherwise("json"),
		may("requests", words("all", "failed", "none"), "Which HTTP requests get a line (at level info, from status 500 warn): all, only those answered with status 400 or above, or none. A line holds method, route, server, status, time and size, never a value.").otherwise("all"),
	)
	limitSettings = describe[LimitSettings]("limits", "What clients can hold.", nil,
		may("body", size(1<<10, 1<<30), "The largest request body; more is 413. The admin API takes larger ones where a route is made for them (modules of plugins, drafts, imports), of callers who may use it.").otherwise("4MiB"),
		may("headers", size(1<<10, 60<<10), "The largest request line with headers; more is 431.").otherwise("16KiB"),
		may("read", lasting(100*time.Millisecond, 10*time.Minute), "For a whole request to arrive.").otherwise("10s"),
		may("idle", lasting(time.Second, time.Hour), "Between two requests of a connection.").otherwise("60s"),
		may("write", lasting(100*time.Millisecond, 10*time.Minute), "For each write to a client. A stream whose client reads too slowly is closed.").otherwise("10s"),
		may("inFlight", whole(1, 1_000_000), "Requests being answered at once; more is 503 with Retry-After.").otherwise("2048"),
		may("streams", whole(1, 1_000_000), "Open streams; more is 503.").otherwise("20000"),
		may("connections", whole(1, 1_000_000), "Open connections; fewer when the process may open fewer files.").otherwise("30000"),
		may("connectionsPerAddress", whole(1, 1_000_000), "Connections of one address (IPv6: of one /64), trusted proxies aside.").otherwise("256"),
		may("keepAlive", lasting(time.Second, 10*time.Minute), "Between two keep-alive comments of a stream, ± 20 %.").otherwise("15s"),
	)
	sessionSettings = describe[SessionLimits]("sessions", "Sessions, for the revisions of MCP that have them.", nil,
		may("idle", lasting(time.Second, 7*24*time.Hour), "A session ends after this long without a request.").otherwise("30m"),
		may("max", lasting(time.Second, 30*24*time.Hour), "A session ends after this long in any case.").otherwise("24h"),
		may("limit", whole(1, 10_000_000), "Sessions held in memory; more are refused.").otherwise("100000"),
	)
	drainSettings = describe[DrainSettings]("drain", "How the gateway ends after SIGTERM.", nil,
		may("lag", lasting(0, 5*time.Minute), "How long /readyz already says no while requests are still taken, so that load balancers notice.").otherwise("5s"),
		may("hardStop", lasting(time.Second, time.Hour), "The end in any case, counted from the signal. Keep it below the grace period of whatever sends SIGKILL.").otherwise("25s"),
	)
	reloadSettings = describe[ReloadSettings]("reload", "How changed documents are noticed.", nil,
		may("poll", lasting(100*time.Millisecond, time.Hour), "How often to look for changes that the system did not tell of, ± 20 %.").otherwise("5s"),
	)
)

// Defaults returns the settings of a gateway that is told nothing.
func Defaults() Settings {
	var s Settings
	r := &reader{found: &mistakes{}}
	for knob, value := range s.leaves() {
		if knob.field.standard != "" {
			r.fill(knob.field, value)
		}
	}
	return s
}

// LoadSettings returns the defaults with a settings file laid over them. An empty
// file name means that there is none.
func LoadSettings(file string) (Settings, []core.Problem) {
	s := Defaults()
	if file == "" {
		return s, nil
	}
	b, err := readFile(file, maxReference)
	if err != nil {
		return s, []core.Problem{{File: file, Message: "cannot read the settings: " + reason(err), Fix: "name a file that the gateway may read"}}
	}
	found := &mistakes{file: file}
	top := parse(file, b, found)
	if top == nil {
		return s, found.list
	}
	r := &reader{found: found, allowed: "settings hold no references; a variable " + prefix + "… of the environment wins over the file"}
	r.read(top, settings, reflect.ValueOf(&s).Elem())
	if top.get("config") != nil {
		for i, path := range s.Config {
			s.Config[i] = beside(file, path)
		}
	}
	if top.get("data") != nil {
		s.Data = beside(file, s.Data)
	}
	if section := top.get("store"); section != nil && section.get("keyFile") != nil {
		s.Store.KeyFile = beside(file, s.Store.KeyFile)
	}
	if section := top.get("audit"); section != nil && section.get("anchors") != nil {
		s.Audit.Anchors = beside(file, s.Audit.Anchors)
	}
	if section := top.get("plugins"); section != nil {
		s.Plugins.beside(file, section.get("keys") != nil, section.get("registries") != nil)
	}
	return s, found.list
}

func beside(file, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(file), path)
}

const prefix = "SALLYPORT_"

// Environ lays the variables SALLYPORT_* over the settings. A list is written with
// commas. A variable that is set but empty counts as not set.
func (s *Settings) Environ(lookup func(name string) (value string, set bool)) []core.Problem {
	var problems []core.Problem
	for knob, value := range s.leaves() {
		if text, _ := lookup(knob.Environment); text != "" {
			problems = append(problems, set(knob, value, knob.Environment, text)...)
		}
	}
	return problems
}

// Set lays one setting over the others, as a flag does: key as in Knob.Key, a list
// with commas.
func (s *Settings) Set(key, text string) []core.Problem {
	var known []string
	for knob, value := range s.leaves() {
		if knob.Key == key {
			return set(knob, value, "--"+knob.Flag, text)
		}
		known = append(known, knob.Key)
	}
	p := core.Problem{Path: key, Message: "there is no such setting", Fix: "see docs/settings.md"}
	if near := nearest(key, known); near != "" {
		p.Fix = "did you mean " + quote(near) + "?"
	}
	return []core.Problem{p}
}

// Strange warns of variables SALLYPORT_* that no setting has, such as misspelt ones.
// environ is in the form of os.Environ; besides lists further names that mean
// something.
func Strange(environ []string, besides ...string) []core.Problem {
	known := slices.Clone(besides)
	for _, knob := range Knobs() {
		known = append(known, knob.Environment)
	}
	bare := make([]string, len(known))
	for i, name := range known {
		bare[i] = strings.TrimPrefix(name, prefix)
	}
	var problems []core.Problem
	for _, variable := range environ {
		name, _, _ := strings.Cut(variable, "=")
		if !strings.HasPrefix(name, prefix) || slices.Contains(known, name) {
			continue
		}
		p := core.Problem{Path: name, Message: "no setting has this variable", Fix: "see docs/settings.md", Warning: true}
		if near := nearest(strings.TrimPrefix(name, prefix), bare); near != "" {
			p.Fix = "did you mean " + prefix + near + "?"
		}
		problems = append(problems, p)
	}
	return Sorted(problems)
}

// Check reports settings that do not fit each other; call it when all are laid over
// each other.
func (s *Settings) Check() []core.Problem {
	var problems []core.Problem
	if s.Drain.Lag >= s.Drain.Stop {
		problems = append(problems, core.Problem{
			Path: "drain.lag", Message: fmt.Sprintf("the lag (%s) is not shorter than drain.hardStop (%s)", shortDuration(s.Drain.Lag), shortDuration(s.Drain.Stop)), Fix: "make the lag shorter",
		})
	}
	if s.Sessions.Idle > s.Sessions.Max {
		problems = append(problems, core.Problem{
			Path: "sessions.idle", Message: fmt.Sprintf("idle (%s) is longer than sessions.max (%s)", shortDuration(s.Sessions.Idle), shortDuration(s.Sessions.Max)), Fix: "make it shorter",
		})
	}
	problems = append(problems, s.Plugins.check()...)
	problems = append(problems, s.checkAccess()...)
	return append(problems, s.Admin.check(s.Listen)...)
}

// Knob is one setting.
type Knob struct {
	Key         string // limits.inFlight
	Flag        string // limits-in-flight, without --
	Environment string // SALLYPORT_LIMITS_IN_FLIGHT
	Default     string
	Expects     string // what is right: "one of debug, info, warn, error"
	About       string
	List        bool

	field *field
}

// Knobs lists the settings in the order of the docs.
func Knobs() []Knob {
	var s Settings
	var all []Knob
	for knob := range s.leaves() {
		all = append(all, knob)
	}
	return all
}

// leaves goes through the settings that are no group, with the place of each in s.
func (s *Settings) leaves() func(yield func(Knob, reflect.Value) bool) {
	return func(yield func(Knob, reflect.Value) bool) {
		leaves(settings, "", reflect.ValueOf(s).Elem(), yield)
	}
}

func leaves(s *shape, path string, v reflect.Value, yield func(Knob, reflect.Value) bool) bool {
	for _, f := range s.fields {
		switch key := path + f.key; {
		case f.ignored:
		case f.shape.fields != nil:
			if !leaves(f.shape, key+".", v.FieldByIndex(f.index), yield) {
				return false
			}
		default:
			flag := kebab(key)
			knob := Knob{
				Key: key, Flag: flag, Environment: prefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_")),
				Default: f.standard, Expects: f.shape.want(), About: f.about, List: f.shape.is == list, field: f,
			}
			if f.shape.is == list {
				knob.Expects = "a list, each item " + f.shape.of.want()
			}
			if f.shape.min != nil {
				knob.Expects = f.shape.bounds()
			}
			if !yield(knob, v.FieldByIndex(f.index)) {
				return false
			}
		}
	}
	return true
}

// kebab writes limits.inFlight as limits-in-flight.
func kebab(key string) string {
	var b strings.Builder
	for _, r := range key {
		switch {
		case r == '.':
			b.WriteByte('-')
		case unicode.IsUpper(r):
			b.WriteByte('-')
			b.WriteRune(unicode.ToLower(r))
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// set reads text as the value of one setting. Problems name where it came from.
func set(knob Knob, into reflect.Value, from, value string) []core.Problem {
	shape := knob.field.shape
	n := &node{sort: list}
	if shape.is == list {
		for part := range strings.SplitSeq(value, ",") {
			if part = strings.TrimSpace(part); part != "" {
				n.items = append(n.items, &node{sort: text, text: part})
			}
		}
	} else {
		n = &node{sort: text, text: value}
		if what, read, wrong := resolve(value); shape.is != text && wrong == "" && what == shape.is {
			n = &node{sort: what, text: read, written: value}
		}
	}
	fresh := reflect.New(into.Type()).Elem()
	r := &reader{found: &mistakes{}, allowed: "settings hold no references"}
	r.read(n, shape, fresh)
	if len(r.found.list) == 0 {
		into.Set(fresh)
	}
	for i := range r.found.list {
		r.found.list[i].Path = from
	}
	return r.found.list
}
