package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/config"
	"github.com/sallyport/sallyport/core/egress"
	"github.com/sallyport/sallyport/plugins/author"
	"github.com/sallyport/sallyport/plugins/manifest"
)

// registryFlags say how registries are reached. Logins stand in the settings.
type registryFlags struct {
	SettingsFile string   `name:"settings" help:"Settings file (YAML): logins of registries stand under plugins.registries. [$$SALLYPORT_SETTINGS]" placeholder:"FILE"`
	Allow        []string `help:"Private addresses that may be called, for a registry in the own network." placeholder:"CIDR"`
	Plain        bool     `name:"plain-http" help:"Speak HTTP without TLS to the registry."`
}

// open returns the way to registries, and what lets go of it.
func (f registryFlags) open(c console) (author.TransportOptions, func(), error) {
	settings, problems := newSettingFlags().settle(f.SettingsFile, c)
	if len(f.Allow) > 0 {
		problems = append(problems, settings.Set("egress.allow", strings.Join(f.Allow, ","))...)
	}
	if config.Refused(problems) {
		return author.TransportOptions{}, nil, &manifest.InvalidError{Problems: problems}
	}
	dial := egress.New(egress.Options{Allow: settings.Egress.Allow, Log: slog.New(slog.DiscardHandler)})
	transport := egress.RoundTripper(dial, "plugin registry", artifactLimit, registryTimeout)
	o := registryOptions(settings.Plugins, transport)
	plain := o.PlainHTTP
	return author.TransportOptions{
		Transport: transport, Credential: o.Credential,
		Plain: func(host string) bool { return f.Plain || plain(host) },
	}, func() { _ = errors.Join(transport.Close(), dial.Close()) }, nil
}

type pluginPushCommand struct {
	Plugin    string `arg:"" help:"The .wasm file of a plugin, or its folder."`
	Reference string `arg:"" help:"Where to: oci://HOST/REPOSITORY:TAG."`
	registryFlags
}

func (k *pluginPushCommand) run(ctx context.Context, c console) int {
	o, done, err := k.open(c)
	if err != nil {
		return c.mistaken("plugin push", err)
	}
	defer done()
	pushed, err := author.Push(ctx, k.Plugin, k.Reference, o)
	if err != nil {
		return c.mistaken("plugin push", err)
	}
	fmt.Fprintf(c.out, "pushed %s %s with %s\n  source: %s\n", pushed.Subject.Name, pushed.Subject.Version, count(pushed.Signatures, "signature"), pushed.Reference)
	if pushed.Signatures == 0 {
		fmt.Fprint(c.err, "warning: nobody signed it, and gateways ask for a signature: `sallyport plugin sign`, then push again\n")
	}
	return exitOK
}

type pluginPullCommand struct {
	Reference string   `arg:"" help:"What to fetch: oci://HOST/REPOSITORY:TAG, or with a digest, @sha256:…."`
	Out       string   `short:"o" help:"The file to write; absent = NAME.wasm, which must not be there." placeholder:"FILE"`
	Key       []string `help:"The file of a public key that must have signed it; may be given again. Absent = signatures are not looked at." placeholder:"FILE"`
	Name      string   `help:"What the key is trusted with: acme/weather, acme/* or *. Default: *." default:"*" placeholder:"NAME"`
	registryFlags
}

func (k *pluginPullCommand) run(ctx context.Context, c console) int {
	policy, err := author.PolicyOf(author.VerifyOptions{Keys: k.Key, Name: k.Name, Now: time.Now})
	if err != nil {
		return c.mistaken("plugin pull", err)
	}
	o, done, err := k.open(c)
	if err != nil {
		return c.mistaken("plugin pull", err)
	}
	defer done()
	pulled, err := author.Pull(ctx, k.Reference, author.PullOptions{TransportOptions: o, Out: k.Out, Policy: policy})
	if err != nil {
		return c.mistaken("plugin pull", err)
	}
	fmt.Fprintf(c.out, "pulled %s %s into %s\n  from    %s\n", pulled.Manifest.Name, pulled.Manifest.Version, pulled.File, pulled.Reference)
	switch {
	case pulled.Verdict.Signer != "":
		fmt.Fprintf(c.out, "  signed  by key %s%s\n", pulled.Verdict.Signer, ownerOf(pulled.Verdict.Owner))
	default:
		fmt.Fprintf(c.err, "warning: its signatures (%d) were not verified: name the key that you trust with --key FILE.pub\n", pulled.Signatures)
	}
	return exitOK
}

type pluginInspectCommand struct {
	Plugin string `arg:"" optional:"" default:"." help:"The folder of a plugin that is built, its .wasm file, or oci://HOST/REPOSITORY:TAG."`
	Policy string `help:"File (YAML) of what an operator grants, spelled like capabilities in plugin.yaml: shows what of the plugin's requests is refused." placeholder:"FILE"`
	JSON   bool   `name:"json" help:"Print JSON."`
	registryFlags
}

func (k *pluginInspectCommand) run(ctx context.Context, c console) int {
	o := author.InspectOptions{}
	if k.Policy != "" {
		text, err := os.ReadFile(k.Policy)
		if errors.Is(err, fs.ErrNotExist) {
			err = &core.Error{Code: core.CodeNotFound, Message: "there is no file " + k.Policy, Fix: "write what you grant, as in http: [{host: api.example.com}]"}
		}
		if err != nil {
			return c.mistaken("plugin inspect", err)
		}
		policy, err := manifest.ParsePolicy(k.Policy, text)
		if err != nil {
			return c.mistaken("plugin inspect", err)
		}
		o.Policy = &policy
	}
	if strings.HasPrefix(k.Plugin, "oci://") {
		transport, done, err := k.open(c)
		if err != nil {
			return c.mistaken("plugin inspect", err)
		}
		defer done()
		o.TransportOptions = transport
	}
	found, err := author.Inspect(ctx, k.Plugin, o)
	if err != nil {
		return c.mistaken("plugin inspect", err)
	}
	if k.JSON {
		text, err := json.MarshalIndent(found, "", "  ")
		if err != nil {
			return c.complain("plugin inspect", err)
		}
		fmt.Fprintf(c.out, "%s\n", text)
	} else {
		found.Print(c.out)
	}
	if !found.OK() {
		return exitWrong
	}
	return exitOK
}
