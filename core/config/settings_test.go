package config

import (
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
)

func environment(pairs map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, set := pairs[name]
		return value, set
	}
}

func TestDefaults(t *testing.T) {
	got := Defaults()
	want := Settings{
		Listen: "127.0.0.1:8080", Config: []string{}, Data: "data", AllowedHosts: []string{}, AllowedOrigins: []string{}, TrustedProxies: []netip.Prefix{},
		Egress: EgressSettings{Allow: []netip.Prefix{}},
		Log:    LogSettings{Level: "info", Format: "json", Requests: "all"},
		Limits: LimitSettings{
			Body: 4 << 20, Headers: 16 << 10, Read: 10 * time.Second, Idle: time.Minute, Write: 10 * time.Second,
			InFlight: 2048, Streams: 20_000, Connections: 30_000, PerAddress: 256, KeepAlive: 15 * time.Second,
		},
		Sessions:  SessionLimits{Idle: 30 * time.Minute, Max: 24 * time.Hour, Limit: 100_000},
		Drain:     DrainSettings{Lag: 5 * time.Second, Stop: 25 * time.Second},
		Reload:    ReloadSettings{Poll: 5 * time.Second},
		Plugins:   PluginSettings{Trust: "required", Keys: []string{}, Registries: []string{}, Poll: 5 * time.Minute},
		Upstreams: UpstreamSettings{Commands: []string{}, Env: []string{}},
		Admin:     AdminSettings{Listen: "same"},
		Access:    AccessSettings{Callers: "known", Rate: 50, Burst: 100},
		Store:     StoreSettings{Poll: 2 * time.Second, KeyCommand: []string{}},
		Audit:     AuditSettings{Calls: "metadata", KeepCalls: 720 * time.Hour, Keep: 9600 * time.Hour},
		Logins:    LoginSettings{Idle: 8 * time.Hour, Max: 24 * time.Hour},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if problems := got.Check(); len(problems) > 0 {
		t.Error(Format(problems))
	}
	if got.Log.Slog() != slog.LevelInfo || (LogSettings{Level: "warn"}).Slog() != slog.LevelWarn {
		t.Error("level")
	}
}

// Flag > environment > file > default.
func TestSettingsPrecedence(t *testing.T) {
	limits := func(s Settings) string { return s.Listen + " " + s.Limits.Body.String() + " " + s.Log.Level }
	for _, row := range []struct{ file, environment, flag, want string }{
		{"", "", "", "127.0.0.1:8080 4MiB info"},
		{"file", "", "", "127.0.0.1:1 1MiB debug"},
		{"", "environment", "", "127.0.0.1:2 2MiB warn"},
		{"", "", "flag", "127.0.0.1:3 3MiB error"},
		{"file", "environment", "", "127.0.0.1:2 2MiB warn"},
		{"file", "", "flag", "127.0.0.1:3 3MiB error"},
		{"", "environment", "flag", "127.0.0.1:3 3MiB error"},
		{"file", "environment", "flag", "127.0.0.1:3 3MiB error"},
	} {
		file := ""
		if row.file != "" {
			file = filepath.Join(t.TempDir(), "settings.yaml")
			write(t, file, "listen: 127.0.0.1:1\nlimits: {body: 1MiB}\nlog: {level: debug}\n")
		}
		s, problems := LoadSettings(file)
		if row.environment != "" {
			problems = append(problems, s.Environ(environment(map[string]string{
				"SALLYPORT_LISTEN": "127.0.0.1:2", "SALLYPORT_LIMITS_BODY": "2MiB", "SALLYPORT_LOG_LEVEL": "warn", "SALLYPORT_DATA": "",
			}))...)
		}
		if row.flag != "" {
			for key, text := range map[string]string{"listen": "127.0.0.1:3", "limits.body": "3MiB", "log.level": "error"} {
				problems = append(problems, s.Set(key, text)...)
			}
		}
		if got := limits(s); got != row.want || len(problems) > 0 {
			t.Errorf("%+v: got %s %s", row, got, Format(problems))
		}
		if s.Data != "data" {
			t.Errorf("an empty variable counts as set: %q", s.Data)
		}
	}
}

// Every setting can be set by its variable and by its flag, and both come where the
// file would put it.
func TestEveryKnob(t *testing.T) {
	values := map[string]string{
		"listen": "[::1]:9", "config": "a.yaml, gw/", "data": "/var/lib/x", "allowedHosts": "mcp.example.com:8443,b", "allowedOrigins": "https://a.example",
		"trustedProxies": "10.0.0.0/8,::1/128", "egress.allow": "127.0.0.1/32", "log.level": "debug", "log.format": "text", "log.requests": "failed",
		"limits.body": "1024", "limits.headers": "8 KiB", "limits.read": "1s", "limits.idle": "2s", "limits.write": "3s", "limits.inFlight": "4", "limits.streams": "5",
		"limits.connections": "6", "limits.connectionsPerAddress": "7", "limits.keepAlive": "8s", "sessions.idle": "9s", "sessions.max": "10h", "sessions.limit": "11",
		"drain.lag": "0s", "drain.hardStop": "12s", "reload.poll": "250ms",
		"plugins.trust": "warn", "plugins.keys": "keys/any.pub,acme/*=keys/acme.pub", "plugins.registries": "http://localhost:5000, registry.example.com=ci:secrets/registry", "plugins.poll": "0s", "upstreams.commands": "/usr/bin/node /opt/a.js,/usr/bin/uvx", "upstreams.env": "NODE_OPTIONS",
		"admin.listen": "127.0.0.1:9090", "admin.token": "0123456789abcdef",
		"access.callers": "open", "access.publicUrl": "https://mcp.example.com", "access.callsPerSecond": "13", "access.burst": "14",
		"store.url": "postgres://u:p@127.0.0.1:5432/gateway", "store.poll": "1s", "store.key": "k1:" + strings.Repeat("A", 43) + "=", "store.keyFile": "keys.json",
		"store.keyCommand": "/usr/bin/wrap,--key,gateway", "audit.calls": "payload", "audit.strict": "true", "audit.keepCalls": "48h", "audit.keep": "240h",
		"audit.anchors": "anchors.log", "logins.idle": "1h", "logins.max": "2h",
	}
	knobs := Knobs()
	if len(knobs) != len(values) {
		t.Errorf("%d settings, %d values", len(knobs), len(values))
	}
	for _, knob := range knobs {
		value, known := values[knob.Key]
		if !known {
			t.Errorf("%s: no value in this test", knob.Key)
			continue
		}
		byVariable, byFlag := Defaults(), Defaults()
		problems := append(byVariable.Environ(environment(map[string]string{knob.Environment: value})), byFlag.Set(knob.Key, value)...)
		if len(problems) > 0 {
			t.Errorf("%s: %s", knob.Key, Format(problems))
		}
		if reflect.DeepEqual(byVariable, Defaults()) || !reflect.DeepEqual(byVariable, byFlag) {
			t.Errorf("%s: %+v, %+v", knob.Key, byVariable, byFlag)
		}
		if knob.Default == "" || knob.About == "" || knob.Expects == "" || knob.Flag != strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(knob.Environment, "SALLYPORT_"), "_", "-")) {
			t.Errorf("%+v", knob)
		}
	}
}

func TestSettingsFile(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	do(t, os.Mkdir("etc", 0o700))
	write(t, "etc/sallyport.yaml", "$schema: x\nconfig: [gw, /abs/b.yaml]\ndata: ../var\negress: {allow: [127.0.0.1/32, 'fd00::/8']}\nlimits: {body: 1048576}\n")
	s, problems := LoadSettings("etc/sallyport.yaml")
	if len(problems) > 0 {
		t.Fatal(Format(problems))
	}
	want := Defaults()
	want.Config = []string{"etc/gw", "/abs/b.yaml"}
	want.Data = "var"
	want.Egress.Allow = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32"), netip.MustParsePrefix("fd00::/8")}
	want.Limits.Body = 1 << 20
	if !reflect.DeepEqual(s, want) {
		t.Errorf("got  %+v\nwant %+v", s, want)
	}
	if s, _ := LoadSettings(""); !reflect.DeepEqual(s, Defaults()) {
		t.Errorf("no file: %+v", s)
	}
}

func TestBadSettings(t *testing.T) {
	schema := compiled(t, SettingsSchema())
	t.Chdir(t.TempDir())
	only := map[string]bool{"limits: {read: 1h}": true, "egress: {allow: [10.0.0.1/8]}": true, "egress: {allow: [10.0.0.0]}": true, "egress: {allow: [999.0.0.0/8]}": true, "limits: {body: 2GiB}": true, "plugins: {poll: 48h}": true}
	for _, row := range []struct{ document, want string }{
		{"listen: 8080", `1:9: /listen: expected an address such as 127.0.0.1:8080 or [::1]:8080, got the number 8080; put it in quotes: "8080"`},
		{"listen: localhost", `1:9: /listen: expected an address such as 127.0.0.1:8080 or [::1]:8080, got "localhost"; write an address such as 127.0.0.1:8080 or [::1]:8080`},
		{"listen: http://a:80", `1:9: /listen: expected an address such as 127.0.0.1:8080 or [::1]:8080, got "http://a:80"; write an address such as 127.0.0.1:8080 or [::1]:8080`},
		{"port: 80", `1:1: /port: unknown key "port"; write listen: HOST:PORT`},
		{"servers: []", `1:1: /servers: unknown key "servers"; it stands in a gateway document, not in the settings`},
		{"log: {level: trace}", `1:14: /log/level: expected one of debug, info, warn, error, got "trace"; write one of debug, info, warn, error`},
		{"log: {level: warning}", `1:14: /log/level: expected one of debug, info, warn, error, got "warning"; write one of debug, info, warn, error`},
		{"log: debug", `1:6: /log: expected an object, got "debug"; write "key: value" lines below it`},
		{"config: gw", `1:9: /config: expected a list, got "gw"; write a list: each item on a line that begins with "- ", or [a, b]`},
		{"limits: {body: 4M}", `1:16: /limits/body: expected a size such as 4MiB, or a number of bytes, got "4M"; write digits and a unit: B, KiB, MiB, GiB`},
		{"limits: {body: -1}", `1:16: /limits/body: -1 is out of bounds; write a size from 1KiB to 1GiB`},
		{"limits: {body: 2GiB}", `1:16: /limits/body: "2GiB" is out of bounds; write a size from 1KiB to 1GiB`},
		{"limits: {body: [1]}", `1:16: /limits/body: expected a size such as 4MiB, or a number of bytes, got a list; write digits`},
		{"limits: {read: 10}", `1:16: /limits/read: expected a duration such as 3s, 500ms or 1m30s, got the number 10; say the unit: 10s`},
		{"limits: {read: 1h}", `1:16: /limits/read: "1h" is out of bounds; write a duration from 100ms to 10m`},
		{"limits: {inflight: 3}", `1:10: /limits/inflight: unknown key "inflight"; did you mean "inFlight"?`},
		{"egress: {allow: 10.0.0.0/8}", `1:17: /egress/allow: expected a list, got "10.0.0.0/8"; write a list: each item on a line that begins with "- ", or [a, b]`},
		{"egress: {allow: [10.0.0.1/8]}", `1:18: /egress/allow/0: expected a range of addresses such as 10.0.0.0/8 or 127.0.0.1/32, got "10.0.0.1/8"; write 10.0.0.0/8`},
		{"egress: {allow: [10.0.0.0]}", `1:18: /egress/allow/0: expected a range of addresses such as 10.0.0.0/8 or 127.0.0.1/32, got "10.0.0.0"; write 10.0.0.0/32`},
		{"egress: {allow: [999.0.0.0/8]}", `1:18: /egress/allow/0: expected a range of addresses such as 10.0.0.0/8 or 127.0.0.1/32, got "999.0.0.0/8"; write address/bits`},
		{"egress: {allow: [localhost]}", `1:18: /egress/allow/0: expected a range of addresses such as 10.0.0.0/8 or 127.0.0.1/32, got "localhost"; write a range of addresses such as 10.0.0.0/8 or 127.0.0.1/32`},
		{"allowedOrigins: [https://a/b]", `1:18: /allowedOrigins/0: expected an origin such as https://app.example.com (no path), got "https://a/b"; write an origin such as https://app.example.com (no path)`},
		{"plugins: [{name: a}]", `1:10: /plugins: expected an object, got a list; write "key: value" without "- "`},
		{"plugins: {source: a}", `1:11: /plugins/source: unknown key "source"; it stands in a gateway document, not in the settings`},
		{"plugins: {trust: none}", `1:18: /plugins/trust: expected one of required, warn, off, got "none"; write one of required, warn, off`},
		{"plugins: {keys: a.pub}", `1:17: /plugins/keys: expected a list, got "a.pub"; write a list: each item on a line that begins with "- ", or [a, b]`},
		{"plugins: {keys: [Acme/*=a.pub]}", `1:18: /plugins/keys/0: expected the file of a public key, or NAMES=FILE such as acme/*=keys/acme.pub, got "Acme/*=a.pub"; write the file of a public key, or NAMES=FILE such as acme/*=keys/acme.pub`},
		{"plugins: {keys: ['acme/*=']}", `1:18: /plugins/keys/0: expected the file of a public key, or NAMES=FILE such as acme/*=keys/acme.pub, got "acme/*="; write the file of a public key, or NAMES=FILE such as acme/*=keys/acme.pub`},
		{"plugins: {registries: ['https://a.example']}", `1:24: /plugins/registries/0: expected a registry such as registry.example.com, with a login registry.example.com=USER:FILE, got "https://a.example"; write a registry such as registry.example.com, with a login registry.example.com=USER:FILE`},
		{"plugins: {registries: [a.example=ci]}", `1:24: /plugins/registries/0: expected a registry such as registry.example.com, with a login registry.example.com=USER:FILE, got "a.example=ci"; write a registry such as registry.example.com, with a login registry.example.com=USER:FILE`},
		{"plugins: {poll: 5}", `1:17: /plugins/poll: expected a duration such as 3s, 500ms or 1m30s, got the number 5; say the unit: 5s`},
		{"plugins: {poll: 48h}", `1:17: /plugins/poll: "48h" is out of bounds; write a duration from 0s to 24h`},
		{"admin: {listen: 9090}", `1:17: /admin/listen: expected same, off, or an address such as 127.0.0.1:9090, got the number 9090; put it in quotes: "9090"`},
		{"admin: {token: canary}", `1:16: /admin/token: expected at least 16 characters without blanks, got the value; write at least 16 characters without blanks`},
		{"admin: {token: 1234567890123456}", `1:16: /admin/token: expected at least 16 characters without blanks, got a number; put it in quotes`},
		{"admin: {password: x}", `1:9: /admin/password: unknown key "password"; write token`},
		{"data: ${env:HOME}", `1:7: /data: a reference cannot stand here; settings hold no references; a variable SALLYPORT_… of the environment wins over the file`},
		{"listen: ':1'\nlisten: ':2'", `2:1: /listen: "listen" stands twice in this object; keep one of them; the first is on line 1`},
	} {
		write(t, "s.yaml", row.document)
		s, problems := LoadSettings("s.yaml")
		if got := messages(problems); got != "s.yaml:"+row.want {
			t.Errorf("%s:\ngot  %s\nwant s.yaml:%s", row.document, got, row.want)
		}
		if !reflect.DeepEqual(s.Limits, Defaults().Limits) {
			t.Errorf("%s: a wrong value was taken: %+v", row.document, s.Limits)
		}
		if err, readable := judge(t, schema, "s.yaml", []byte(row.document)); readable && (err == nil) != only[row.document] {
			t.Errorf("%s: the JSON Schema says %v", row.document, err)
		}
	}
	if _, problems := LoadSettings("absent.yaml"); messages(problems) != "absent.yaml: cannot read the settings: no such file; name a file that the gateway may read" {
		t.Error(messages(problems))
	}
	if err, _ := judge(t, schema, "s.yaml", []byte(settings.example)); err != nil {
		t.Errorf("the JSON Schema refuses the example: %v", err)
	}
}

func TestBadKnobs(t *testing.T) {
	s := Defaults()
	problems := s.Environ(environment(map[string]string{"SALLYPORT_LISTEN": "nowhere", "SALLYPORT_EGRESS_ALLOW": "10.0.0.0/8,10.0.0.1", "SALLYPORT_LIMITS_IN_FLIGHT": "many"}))
	problems = append(problems, s.Set("limits.read", "3")...)
	problems = append(problems, s.Set("limits.reed", "3")...)
	problems = append(problems, s.Set("log.format", "xml")...)
	got := Format(problems)
	want := `--limits-read: expected a duration such as 3s, 500ms or 1m30s, got "3"; write 3s
--log-format: expected one of json, text, got "xml"; write one of json, text
SALLYPORT_EGRESS_ALLOW: expected a range of addresses such as 10.0.0.0/8 or 127.0.0.1/32, got "10.0.0.1"; write 10.0.0.1/32
SALLYPORT_LIMITS_IN_FLIGHT: expected an integer, got "many"; write digits
SALLYPORT_LISTEN: expected an address such as 127.0.0.1:8080 or [::1]:8080, got "nowhere"; write an address such as 127.0.0.1:8080 or [::1]:8080
limits.reed: there is no such setting; did you mean "limits.read"?
`
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if !reflect.DeepEqual(s, Defaults()) {
		t.Errorf("a wrong value was taken: %+v", s)
	}
}

func TestSettingsThatDoNotFit(t *testing.T) {
	s := Defaults()
	s.Drain.Lag = s.Drain.Stop
	s.Sessions.Idle = 25 * time.Hour
	got, want := Format(s.Check()), `drain.lag: the lag (25s) is not shorter than drain.hardStop (25s); make the lag shorter
sessions.idle: idle (25h) is longer than sessions.max (24h); make it shorter
`
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestStrange(t *testing.T) {
	got := Format(Strange([]string{"SALLYPORT_LISTEN=:1", "SALLYPORT_LISTNE=:1", "SALLYPORT_XYZZY=1", "SALLYPORT_SETTINGS=f", "HOME=/"}, "SALLYPORT_SETTINGS"))
	want := `warning: SALLYPORT_LISTNE: no setting has this variable; did you mean SALLYPORT_LISTEN?
warning: SALLYPORT_XYZZY: no setting has this variable; see docs/settings.md
`
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestSize(t *testing.T) {
	for text, want := range map[string]Size{"0": 0, "0B": 0, "7": 7, "7B": 7, "16KiB": 16 << 10, "16 KiB": 16 << 10, "4MiB": 4 << 20, "1GiB": 1 << 30, "1048577": 1<<20 + 1} {
		if got, err := ParseSize(text); err != nil || got != want {
			t.Errorf("%s: %d %v", text, got, err)
		}
		if again, err := ParseSize(want.String()); err != nil || again != want {
			t.Errorf("%s came back as %d %v", want, again, err)
		}
	}
	for _, text := range []string{"", "B", "-1", "+1", "1.5MiB", "4MB", "4M", "0x10", "1_000", "99999999999999999999", "2000000GiB", "KiB", " 1"} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("%q: %d", text, got)
		}
	}
}

// Keys and registries are lists of texts, read here; paths of the file are taken from
// its directory.
func TestPluginSettings(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	do(t, os.Mkdir("etc", 0o700))
	write(t, "etc/password", "canary\r\n")
	write(t, "etc/binary", "\xff")
	write(t, "etc/settings.yaml", `plugins:
  trust: off
  keys: [any.pub, acme/*=keys/acme.pub, "/abs/one.pub", acme/weather=any.pub, globex/a=keys/two.pub, globex/b=keys/two.pub]
  registries: [registry.example.com=ci:password, "http://localhost:5000", "[::1]:5000=a:/abs/b", "http://10.0.0.1=u:binary", r.example=u:absent]
`)
	s, problems := LoadSettings("etc/settings.yaml")
	if len(problems) > 0 {
		t.Fatal(Format(problems))
	}
	wantKeys := []TrustedKey{{File: "etc/any.pub"}, {File: "etc/keys/acme.pub", Names: []string{"acme/*"}}, {File: "/abs/one.pub"}, {File: "etc/keys/two.pub", Names: []string{"globex/a", "globex/b"}}}
	if got := s.Plugins.TrustedKeys(); !reflect.DeepEqual(got, wantKeys) {
		t.Errorf("keys %+v", got)
	}
	wantLogins := []Registry{
		{Host: "registry.example.com", User: "ci", Password: "etc/password"},
		{Host: "localhost:5000", Plain: true},
		{Host: "[::1]:5000", User: "a", Password: "/abs/b"},
		{Host: "10.0.0.1", Plain: true, User: "u", Password: "etc/binary"},
		{Host: "r.example", User: "u", Password: "etc/absent"},
	}
	logins := s.Plugins.Logins()
	if !reflect.DeepEqual(logins, wantLogins) {
		t.Errorf("registries %+v", logins)
	}
	for i, want := range map[int]string{0: "canary", 1: ""} {
		if secret, err := logins[i].Read(); err != nil || secret.Reveal() != want {
			t.Errorf("%s: %q %v", logins[i].Host, secret.Reveal(), err)
		}
	}
	for i, want := range map[int]string{3: "not UTF-8 text", 4: "no such file; put it into a file that the gateway may read, and name the file in plugins.registries: r.example=USER:FILE"} {
		if _, err := logins[i].Read(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", logins[i].Host, err)
		}
	}
	if got, want := Format(s.Check()), "warning: plugins.registries: the password for 10.0.0.1 is sent without TLS: everybody on the way can read it; leave out http://\n"; got != want {
		t.Errorf("got %s", got)
	}
	// A flag is taken as it is typed.
	if problems := s.Set("plugins.keys", "x.pub,acme/*=y.pub"); len(problems) > 0 || !reflect.DeepEqual(s.Plugins.Keys, []string{"x.pub", "acme/*=y.pub"}) {
		t.Errorf("%v %s", s.Plugins.Keys, Format(problems))
	}
	s.Plugins.Poll = time.Millisecond
	if got := Format(s.Check()); !strings.Contains(got, "plugins.poll: 1ms is too often to ask a registry; write 1s or more, or 0s for never\n") {
		t.Error(got)
	}
}

// The admin API can change what is served: it stands where strangers do not come.
func TestAdminSettings(t *testing.T) {
	for _, row := range []struct {
		listen, token, wrong string
	}{
		{"off", "", ""},
		{"", "", ""},
		{"127.0.0.1:9090", "0123456789abcdef", ""},
		{"127.9.9.9:9090", "0123456789abcdef", ""},
		{"[::1]:9090", "0123456789abcdef", ""},
		{"localhost:9090", "0123456789abcdef", ""},
		{"127.0.0.1:0", "0123456789abcdef", ""},
		{"10.0.0.1:9090", "0123456789abcdef", ""},
		{"[fd00::1]:9090", "0123456789abcdef", ""},
		{"10.0.0.1:9090", "", ""}, // people log in
		{"same", "", ""},
		{":9090", "0123456789abcdef", ":9090 is not a loopback or private address"},
		{"0.0.0.0:9090", "0123456789abcdef", "0.0.0.0:9090 is not a loopback or private address"},
		{"[::]:9090", "0123456789abcdef", "[::]:9090 is not a loopback or private address"},
		{"[::ffff:8.8.8.8]:9090", "0123456789abcdef", "is not a loopback or private address"},
		{"203.0.113.1:9090", "0123456789abcdef", "203.0.113.1:9090 is not a loopback or private address"},
		{"169.254.169.254:9090", "0123456789abcdef", "169.254.169.254:9090 is not a loopback or private address"},
		{"admin.example.com:9090", "0123456789abcdef", "admin.example.com:9090 is not a loopback or private address"},
		{"127.0.0.1:8080", "", "127.0.0.1:8080 is also the address of the servers"},
	} {
		s := Defaults()
		s.Admin.Listen, s.Admin.Token = row.listen, core.Secret(row.token)
		got := Format(s.Check())
		if (row.wrong == "") != (got == "") || !strings.Contains(got, row.wrong) {
			t.Errorf("%s with token %q: %s", row.listen, row.token, got)
		}
		if strings.Contains(got, "0123456789abcdef") {
			t.Errorf("a token is shown: %s", got)
		}
	}
	s := Defaults()
	if s.Admin.Address() != "" {
		t.Error("it is on by itself")
	}
	if problems := s.Set("admin.listen", "127.0.0.1:1"); len(problems) > 0 || s.Admin.Address() != "127.0.0.1:1" {
		t.Error(s.Admin.Address(), Format(problems))
	}
	// The variable can switch off what the file switched on.
	if problems := s.Environ(environment(map[string]string{"SALLYPORT_ADMIN_LISTEN": "off", "SALLYPORT_ADMIN_TOKEN": "short"})); s.Admin.Address() != "" ||
		Format(problems) != "SALLYPORT_ADMIN_TOKEN: expected at least 16 characters without blanks, got the value; write at least 16 characters without blanks\n" {
		t.Error(s.Admin.Address(), Format(problems))
	}
}

// What the settings accept of keys and registries can be taken apart.
func FuzzPluginSettings(f *testing.F) {
	for _, seed := range []string{"a.pub", "acme/*=keys/acme.pub", "*=a", "=", "a=b=c", "acme/weather=/x", "registry.example.com=ci:secrets/registry", "http://localhost:5000", "[::1]:5000=a:b", "a=:", "a=b:", "http://=a:b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.ContainsAny(text, ",") || strings.TrimSpace(text) == "" {
			return
		}
		var s Settings
		if problems := s.Set("plugins.keys", text); len(problems) == 0 {
			s.Plugins.beside("dir/settings.yaml", true, false)
			keys := s.Plugins.TrustedKeys()
			if len(keys) != 1 || keys[0].File == "" || len(keys[0].Names) > 1 || !filepath.IsAbs(keys[0].File) && !strings.HasPrefix(filepath.Join(keys[0].File, "x"), "dir/") && !strings.Contains(text, "..") {
				t.Errorf("%q: %+v", text, keys)
			}
		}
		if problems := s.Set("plugins.registries", text); len(problems) == 0 {
			s.Plugins.beside("dir/settings.yaml", false, true)
			logins := s.Plugins.Logins()
			if len(logins) != 1 || logins[0].Host == "" || strings.ContainsAny(logins[0].Host, "/= ") || (logins[0].User == "") != (logins[0].Password == "") {
				t.Errorf("%q: %+v", text, logins)
			}
		}
	})
}

// Settings of access and of the store that cannot be meant.
func TestAccessSettings(t *testing.T) {
	key := core.Secret("k1:" + strings.Repeat("A", 43) + "=")
	for _, row := range []struct {
		name  string
		set   func(*Settings)
		wrong string
	}{
		{"as they come", func(*Settings) {}, ""},
		{"open on loopback", func(s *Settings) { s.Access.Callers = "open" }, ""},
		{"open to others", func(s *Settings) { s.Access.Callers, s.Listen = "open", "0.0.0.0:8080" }, "can be reached from other machines"},
		{"known to others", func(s *Settings) { s.Listen = "0.0.0.0:8080" }, ""},
		{"two keys", func(s *Settings) { s.Store.Key, s.Store.KeyFile = key, "k" }, "more than one of store.key"},
		{"replicas without a shared key", func(s *Settings) { s.Store.URL = "postgres://h/d" }, "stands in the data directory of this replica alone"},
		{"replicas with one", func(s *Settings) { s.Store.URL, s.Store.Key = "postgres://h/d", key }, ""},
		{"a relative command", func(s *Settings) { s.Store.KeyCommand = []string{"wrap"} }, "no absolute path"},
		{"idle longer than max", func(s *Settings) { s.Logins.Idle = 48 * time.Hour }, "is longer than logins.max"},
	} {
		s := Defaults()
		row.set(&s)
		if got := Format(s.Check()); (row.wrong == "") != (got == "") || !strings.Contains(got, row.wrong) || strings.Contains(got, key.Reveal()) {
			t.Errorf("%s: %s", row.name, got)
		}
	}
	for _, row := range []struct{ url, data, want string }{
		{"", "data", "sqlite:data/sallyport.db"}, {"", "", "memory:"}, {"postgres://h/d", "data", "postgres://h/d"},
	} {
		s := Defaults()
		s.Store.URL, s.Data = core.Secret(row.url), row.data
		if got := s.Database(); got != row.want {
			t.Errorf("database of %q in %q is %s, want %s", row.url, row.data, got, row.want)
		}
	}
}
