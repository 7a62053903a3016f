package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/config"
	"github.com/sallyport/sallyport/core/egress"
	"github.com/sallyport/sallyport/plugins"
	"github.com/sallyport/sallyport/plugins/hostcall"
	"github.com/sallyport/sallyport/plugins/registry"
	"github.com/sallyport/sallyport/plugins/trust"
)

// Bounds of an exchange with a registry: a module of 32 MiB with its frame, on a slow line.
const (
	artifactLimit   = 40 << 20
	registryTimeout = 2 * time.Minute
)

// pluginHouse is the host of plugins and the way to registries.
type pluginHouse struct {
	*plugins.Host
	registries *egress.Transport
}

// storedModules finds a module of a tenant by its name; nil = there is no store.
type storedModules func(ctx context.Context, name string) (*registry.Artifact, error)

// openPlugins makes the host of plugins as the settings want it. dir is where it keeps
// things; "" is a temporary directory.
func openPlugins(s config.PluginSettings, dir string, dial core.Egress, observer core.Observer, log *slog.Logger, kv hostcall.Store, stored storedModules, changed func()) (*pluginHouse, error) {
	policy, err := trustPolicy(s)
	if err != nil {
		return nil, err
	}
	transport := egress.RoundTripper(dial, "plugin registry", artifactLimit, registryTimeout)
	poll := s.Poll
	if poll == 0 {
		poll = -1
	}
	host, err := plugins.New(plugins.Options{
		Dir: dir, Trust: policy, Registry: registryOptions(s, transport), Dial: dial,
		Stored: stored, KV: kv, Observer: observer, Log: log, Now: time.Now, Changed: changed, Poll: poll, Later: true,
	})
	if err != nil {
		return nil, err
	}
	return &pluginHouse{host, transport}, nil
}

// close waits until running calls of plugins have ended, or ctx has.
func (p *pluginHouse) close(ctx context.Context) error {
	return errors.Join(p.Close(ctx), p.registries.Close())
}

// trustPolicy reads the keys that the settings name.
func trustPolicy(s config.PluginSettings) (trust.Policy, error) {
	policy := trust.Policy{Now: time.Now}
	if s.Trust != "" {
		level, err := trust.ParseLevel(s.Trust)
		if err != nil {
			return policy, err
		}
		policy.Level = level
	}
	for _, one := range s.TrustedKeys() {
		text, err := readKey(one.File)
		if err != nil {
			return policy, err
		}
		key, err := trust.ParseKey(text)
		if err != nil {
			return policy, fmt.Errorf("plugins.keys: %s: %w", one.File, err)
		}
		policy.Keys = append(policy.Keys, trust.Trusted{Key: key, Names: one.Names})
	}
	return policy, nil
}

// maxKey bounds the file of a public key.
const maxKey = 16 << 10

func readKey(file string) ([]byte, error) {
	about, err := os.Stat(file)
	if err == nil && about.Size() > maxKey {
		return nil, &core.Error{Code: core.CodeInvalid, Message: "plugins.keys: " + file + " is no public key: it is too large", Fix: "name the .pub file that `sallyport plugin keygen` or cosign wrote"}
	}
	var text []byte
	if err == nil {
		text, err = os.ReadFile(file)
	}
	if err != nil {
		fix := "name a file that the gateway may read"
		if errors.Is(err, fs.ErrNotExist) {
			fix = "make a key with `sallyport plugin keygen`, or mend the path (relative ones are taken from the directory of the settings file)"
		}
		return nil, &core.Error{Code: core.CodeInvalid, Message: "plugins.keys: cannot read the key", Fix: fix, Err: err}
	}
	return text, nil
}

// registryOptions says how registries are spoken to.
func registryOptions(s config.PluginSettings, transport *egress.Transport) registry.Options {
	logins := map[string]config.Registry{}
	for _, one := range s.Logins() {
		logins[one.Host] = one
	}
	return registry.Options{
		Transport: transport,
		PlainHTTP: func(host string) bool { return logins[host].Plain },
		Credential: func(_ context.Context, host string) (registry.Credential, error) {
			login := logins[host]
			if login.User == "" {
				return registry.Credential{}, nil
			}
			password, err := login.Read()
			return registry.Credential{User: login.User, Password: password}, err
		},
	}
}

// pluginDir is where the gateway keeps plugins; "" = nowhere that lasts.
func pluginDir(data string) string {
	if data == "" {
		return ""
	}
	return filepath.Join(data, "plugins")
}
