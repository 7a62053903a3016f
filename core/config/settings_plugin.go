package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sallyport/sallyport/core"
)

// PluginSettings says which plugins are loaded, and where they come from. What each of
// them may reach stands in the documents.
type PluginSettings struct {
	Trust      string        `json:"trust"` // required, warn, off
	Keys       []string      `json:"keys"`
	Registries []string      `json:"registries"`
	Poll       time.Duration `json:"poll"` // 0 = never
}

// AdminSettings says where the admin API stands.
type AdminSettings struct {
	Listen string      `json:"listen"` // or same, or off
	Token  core.Secret `json:"token"`
}

const (
	off  = "off"
	same = "same"
)

var tokenPattern = regexp.MustCompile(`^([^\s]{16,256})?$`)

const addressPattern = `(\[[0-9A-Fa-f:.%a-z]+\]|[^\s:/\[\]]*):[0-9]{1,5}`

var (
	pluginSettings = describe[PluginSettings]("plugins", "Which plugins are loaded, and where they come from. The plugins themselves stand in gateway documents.",
		map[string]string{"source": inDocument, "name": inDocument, "match": inDocument, "grants": inDocument, "disabled": inDocument},
		may("trust", words("required", "warn", "off"), "What happens to a plugin that nobody trusted signed: it is refused, loaded with a warning, or loaded. A plugin can ask for more, not for less.").otherwise("required"),
		may("keys", many(matching(`^(([a-z0-9][a-z0-9/-]*)?\*?=)?[^=,\r\n]+$`, "the file of a public key, or NAMES=FILE such as acme/*=keys/acme.pub")),
			"Public keys that may sign plugins: FILE for any plugin, `acme/*=FILE` for those of acme, `acme/weather=FILE` for one. In the settings file paths are taken from its directory.").otherwise("[]"),
		may("registries", many(matching(`^(http://)?(\[[0-9a-f:]+\]|[a-z0-9.-]+)(:[0-9]{1,5})?(=[^:=,\s]+:[^:=,\r\n]+)?$`, "a registry such as registry.example.com, with a login registry.example.com=USER:FILE")),
			"Registries that want a login (`registry.example.com=USER:FILE`, the password or token stands in the file) or are spoken to without TLS (`http://localhost:5000`). Others need not stand here. In the settings file paths are taken from its directory.").otherwise("[]"),
		may("poll", lasting(0, 24*time.Hour), "How often to look whether a tag in a registry has moved, ± 20 %; 0s is never.").otherwise("5m"),
	)
	adminSettings = describe[AdminSettings]("admin", "Where the admin API stands.", map[string]string{"password": "write token", "port": "write listen: HOST:PORT", "address": "write listen: HOST:PORT"},
		may("listen", matching(`^(off|same|`+addressPattern+`)$`, "same, off, or an address such as 127.0.0.1:9090"),
			"Where the admin API stands: at /api/v1 of the address that MCP clients use (same), nowhere (off), or at an address of its own, which must be a loopback or private one.").otherwise(same),
		may("token", &shape{is: text, secret: true, pattern: tokenPattern, says: "at least 16 characters without blanks"},
			"A token (`Authorization: Bearer …`) with all rights in every tenant, for programs that set the gateway up. People have users, programs API tokens. Other processes can see flags: set the variable or the file.").otherwise(`""`),
	)
)

// TrustedKey is a public key and what it may sign.
type TrustedKey struct {
	File  string
	Names []string // acme/weather, acme/* or *; empty = every plugin
}

// TrustedKeys reads Keys. A file that stands there several times is one key.
func (s PluginSettings) TrustedKeys() []TrustedKey {
	var all []TrustedKey
	every := map[string]bool{}
	for _, text := range s.Keys {
		names, file := splitKey(text)
		every[file] = every[file] || names == ""
		i := slices.IndexFunc(all, func(k TrustedKey) bool { return k.File == file })
		if i < 0 {
			i, all = len(all), append(all, TrustedKey{File: file})
		}
		all[i].Names = append(all[i].Names, names)
	}
	for i := range all {
		if every[all[i].File] {
			all[i].Names = nil
		}
	}
	return all
}

func splitKey(text string) (names, file string) {
	names, file, found := strings.Cut(text, "=")
	if !found {
		return "", text
	}
	return names, file
}

// Registry is how a registry is spoken to.
type Registry struct {
	Host     string // with the port, where there is one
	Plain    bool   // without TLS
	User     string // empty = nobody
	Password string // the file that it stands in
}

// Logins reads Registries.
func (s PluginSettings) Logins() []Registry {
	all := make([]Registry, len(s.Registries))
	for i, text := range s.Registries {
		r := &all[i]
		host, login, _ := strings.Cut(text, "=")
		r.Host, r.Plain = strings.CutPrefix(host, "http://")
		r.User, r.Password, _ = strings.Cut(login, ":")
	}
	return all
}

// Read returns the password, without the line break at its end. It reads the file each
// time: a token that is renewed there is used.
func (r Registry) Read() (core.Secret, error) {
	if r.Password == "" {
		return "", nil
	}
	b, err := readFile(r.Password, maxReference)
	if err == nil && !utf8.Valid(b) {
		err = errors.New("not UTF-8 text")
	}
	if err != nil {
		return "", &core.Error{
			Code: core.CodeInvalid, Message: fmt.Sprintf("read the password of registry %s from %s: %s", r.Host, r.Password, reason(err)),
			Fix: "put it into a file that the gateway may read, and name the file in plugins.registries: " + r.Host + "=USER:FILE", Err: err,
		}
	}
	return core.Secret(strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")), nil
}

// beside takes the paths of keys and passwords from the directory of the settings file.
func (s *PluginSettings) beside(file string, keys, registries bool) {
	for i, text := range s.Keys {
		if _, path := splitKey(text); keys {
			s.Keys[i] = strings.TrimSuffix(text, path) + beside(file, path)
		}
	}
	for i, text := range s.Registries {
		if _, login, found := strings.Cut(text, "="); registries && found {
			_, path, _ := strings.Cut(login, ":")
			s.Registries[i] = strings.TrimSuffix(text, path) + beside(file, path)
		}
	}
}

func (s *PluginSettings) check() (problems []core.Problem) {
	if s.Poll > 0 && s.Poll < time.Second {
		problems = append(problems, core.Problem{
			Path: "plugins.poll", Message: shortDuration(s.Poll) + " is too often to ask a registry", Fix: "write 1s or more, or 0s for never",
		})
	}
	for _, r := range s.Logins() {
		if r.Plain && r.User != "" && !isLoopback(r.Host) {
			problems = append(problems, core.Problem{
				Path: "plugins.registries", Message: "the password for " + r.Host + " is sent without TLS: everybody on the way can read it", Fix: "leave out http://", Warning: true,
			})
		}
	}
	return problems
}

// Address is where the admin API has a listener of its own; "" when it has none.
func (s AdminSettings) Address() string {
	if s.Listen == off || s.Listen == same {
		return ""
	}
	return s.Listen
}

// Same tells whether the admin API stands beside the MCP servers.
func (s AdminSettings) Same() bool { return s.Listen == same }

// check keeps the admin API where it belongs: it can change what the gateway serves.
func (s *AdminSettings) check(listen string) []core.Problem {
	wrong := func(message, fix string) []core.Problem {
		return []core.Problem{{Path: "admin.listen", Message: message, Fix: fix}}
	}
	address := s.Address()
	switch {
	case address == "":
		return nil
	case address == listen && !strings.HasSuffix(address, ":0"):
		return wrong(address+" is also the address of the servers (listen)", "choose another port")
	case !isLoopback(address) && !isPrivate(address):
		return wrong(address+" is not a loopback or private address", "write an address such as 127.0.0.1:9090, or a private one (10.…, 172.16.…, 192.168.…, fc00::…)")
	}
	return nil
}

// hostOf is the address of HOST or HOST:PORT; false when it is a name.
func hostOf(hostPort string) (netip.Addr, bool) {
	host, _, err := net.SplitHostPort(hostPort)
	if err != nil {
		host = strings.Trim(hostPort, "[]")
	}
	if host == "localhost" {
		host = "127.0.0.1"
	}
	a, err := netip.ParseAddr(host)
	return a.Unmap(), err == nil
}

func isLoopback(hostPort string) bool {
	a, ok := hostOf(hostPort)
	return ok && a.IsLoopback()
}

func isPrivate(hostPort string) bool {
	a, ok := hostOf(hostPort)
	return ok && a.IsPrivate()
}
