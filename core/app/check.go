package app

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/config"
	"github.com/sallyport/sallyport/core/egress"
	"github.com/sallyport/sallyport/core/gateway"
	"github.com/sallyport/sallyport/core/roster"
)

type checkCommand struct {
	Files        []string `arg:"" name:"file" help:"Gateway documents, or directories of them."`
	SettingsFile string   `name:"settings" help:"Settings file (YAML) that the gateway will have: keys that may sign plugins, registries. [$$SALLYPORT_SETTINGS]" placeholder:"FILE"`
}

// run reads and builds the documents exactly as serve does, and serves nothing.
func (k checkCommand) run(ctx context.Context, c console) int {
	all := kinds()
	settings, problems := newSettingFlags().settle(k.SettingsFile, c)
	if config.Refused(problems) {
		report(c.err, problems)
		return exitWrong
	}
	quiet := slog.New(slog.DiscardHandler)
	dial := egress.New(egress.Options{Log: quiet, Allow: settings.Egress.Allow})
	defer func() { _ = dial.Close() }() // what was open is of no use any more
	// What the gateway remembers of plugins is not touched: only its start approves.
	loaded, err := openPlugins(settings.Plugins, "", dial, core.NoObserver{}, quiet, nil, nil, nil)
	if err != nil {
		return c.complain("check", err)
	}
	defer func() { _ = loaded.close(context.WithoutCancel(ctx)) }()
	upstreams := roster.New(roster.Options{Offline: true, Allow: allowed(settings), Now: time.Now})
	defer func() { _ = upstreams.Close() }() // nothing was connected
	cfg, problems := config.Read(k.Files, reading(all, c.lookup))
	catalog, more := gateway.Build(ctx, cfg, gateway.Options{Kinds: all, Plugins: loaded, Remotes: upstreams, Dry: true, Dial: dial, Disclose: disclose, Log: quiet, Now: time.Now})
	if catalog != nil {
		defer catalog.Close()
	}
	problems, refused := judge(config.Merge(problems, more), catalog)
	report(c.err, problems)
	if refused {
		return exitWrong
	}
	servers, tools := len(cfg.Servers), 0
	for i := range cfg.Servers {
		tools += len(cfg.Servers[i].Tools)
	}
	fmt.Fprintf(c.out, "good: %s, %s, %s", count(servers, "server"), count(tools, "tool"), count(len(cfg.Connections), "connection"))
	if n := len(cfg.Plugins); n > 0 {
		fmt.Fprintf(c.out, ", %s", count(n, "plugin"))
	}
	if n := len(cfg.Upstreams); n > 0 {
		fmt.Fprintf(c.out, ", %s", count(n, "upstream"))
	}
	fmt.Fprintln(c.out)
	return exitOK
}

// report prints the problems and how many there are.
func report(w io.Writer, problems []core.Problem) {
	if len(problems) == 0 {
		return
	}
	fmt.Fprint(w, config.Format(problems))
	mistakes, warnings := tally(problems)
	fmt.Fprintf(w, "%s, %s\n", count(mistakes, "mistake"), count(warnings, "warning"))
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
