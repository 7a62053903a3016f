package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/config"
	"github.com/sallyport/sallyport/plugins/author"
)

type pluginRunCommand struct {
	Plugin string            `arg:"" optional:"" default:"." help:"The folder of a plugin that is built, or its .wasm file. It is loaded again when it is built again."`
	Listen string            `help:"Address to listen on, of this machine only; port 0 takes a free one. Default: 127.0.0.1:8091." default:"127.0.0.1:8091" placeholder:"HOST:PORT"`
	Config string            `help:"File (JSON) with the configuration of the plugin." placeholder:"FILE"`
	Secret map[string]string `help:"A secret that the plugin asks for, and the file that holds it; may be given again." placeholder:"NAME=FILE" mapsep:"none"`
	Allow  []string          `help:"Private addresses that the plugin may call, beside the hosts that it asks for." placeholder:"CIDR"`
	Log    string            `help:"What is logged: debug, info, warn or error. Default: info." default:"info" enum:"debug,info,warn,error" placeholder:"LEVEL"`
}

// run serves the plugin through the same parts as serve does. It is granted all that it
// asks for, and needs no signature: it is the author's own.
func (k *pluginRunCommand) run(ctx context.Context, c console) int {
	const doing = "plugin run"
	settings := config.Defaults()
	settings.Listen, settings.Data, settings.Drain.Lag = k.Listen, "", 0
	settings.Log.Format, settings.Log.Level = "text", k.Log
	settings.Plugins.Trust = "off"
	settings.Access.Callers, settings.Admin.Listen = "open", "off"
	if problems := settings.Set("egress.allow", strings.Join(k.Allow, ",")); len(k.Allow) > 0 && config.Refused(problems) {
		report(c.err, problems)
		return exitUsage
	}
	p, err := author.Open(k.Plugin)
	if err != nil {
		return c.mistaken(doing, err)
	}
	opened := stampOf(p.File)
	c.stale(p)
	secrets, err := k.secrets()
	if err != nil {
		return c.mistaken(doing, err)
	}
	served, err := k.document(p, secrets)
	if err != nil {
		return c.mistaken(doing, err)
	}
	house, err := newGatehouse(ctx, settings, c, kinds())
	if err != nil {
		return c.complain(doing, err)
	}
	docs := &documentSet{
		read: func() (core.Config, []core.Problem) {
			p, err := author.Open(k.Plugin)
			if err != nil {
				return core.Config{}, []core.Problem{{File: k.Plugin, Message: err.Error()}}
			}
			one, err := k.document(p, secrets)
			if err != nil {
				return core.Config{}, []core.Problem{{File: k.Plugin, Message: err.Error()}}
			}
			return one.read(house, secrets, c)
		},
		watch: func(ctx context.Context, _ *slog.Logger, changed func()) { watchFile(ctx, p.File, opened, changed) },
		also:  func(...string) {},
	}
	return house.run(ctx, docs, func(ln net.Listener) {
		fmt.Fprintf(c.out, "listening on %s\n", originOf(ln))
		for _, words := range served.Granted {
			fmt.Fprintf(c.out, "granted: %s\n", words)
		}
		if served.Echo {
			fmt.Fprintf(c.out, "%s has no tools of its own: it stands before and behind the tool echo\n", p.Manifest.Name)
		}
		hint{name: served.Name, url: originOf(ln) + endpointPath(served.Name)}.print(c.out)
		fmt.Fprintf(c.out, "\nbuild the plugin again and the change is live; stop with Ctrl-C\n")
	})
}

// alone is a document that serves one plugin.
type alone struct{ *author.Served }

func (k *pluginRunCommand) document(p *author.Plugin, secrets map[string]core.Secret) (alone, error) {
	var o author.RunOptions
	if k.Config != "" {
		var err error
		if o.Config, err = author.ReadConfig(k.Config); err != nil {
			return alone{}, err
		}
	}
	served, err := author.Document(p, o)
	if err != nil {
		return alone{}, err
	}
	var missing []string
	for _, name := range served.Secrets {
		if _, given := secrets[name]; !given {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return alone{}, &core.Error{
			Code: core.CodeInvalid, Message: "the plugin asks for secrets that have no value: " + strings.Join(missing, ", "),
			Fix: "put each into a file and name it: --secret " + missing[0] + "=FILE",
		}
	}
	return alone{served}, nil
}

// read reads the document. Secrets never stand in it.
func (a alone) read(house *gatehouse, secrets map[string]core.Secret, c console) (core.Config, []core.Problem) {
	cfg, problems := config.ReadText(a.File, a.Document, reading(house.kinds, c.lookup))
	for i := range cfg.Plugins {
		cfg.Plugins[i].Secrets = secrets
	}
	return cfg, problems
}

// secrets reads the files of --secret.
func (k *pluginRunCommand) secrets() (map[string]core.Secret, error) {
	values := make(map[string]core.Secret, len(k.Secret))
	for name, file := range k.Secret {
		text, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, &core.Error{Code: core.CodeNotFound, Message: "there is no file " + file + " with the secret " + name, Fix: "write the secret into it; a line end is cut off"}
		}
		if err != nil {
			return nil, fmt.Errorf("read the secret %s: %w", name, err)
		}
		values[name] = core.Secret(strings.TrimRight(string(text), "\r\n"))
	}
	return values, nil
}

// watchFile calls changed when a file was written since it had this stamp, and again each
// time, until ctx ends.
func watchFile(ctx context.Context, file, stamp string, changed func()) {
	every := time.NewTicker(300 * time.Millisecond)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
		if now := stampOf(file); now != "" && now != stamp {
			stamp = now
			changed()
		}
	}
}

// stampOf is another one when the file was written.
func stampOf(file string) string {
	about, err := os.Stat(file)
	if err != nil {
		return "" // between removing and renaming: the next look finds it
	}
	return fmt.Sprint(about.Size(), about.ModTime().UnixNano())
}
