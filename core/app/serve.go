package app

import (
	"context"
	"fmt"
	"net"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/sallyport/sallyport/core/config"
)

type serveCommand struct {
	SettingsFile string            `name:"settings" help:"Settings file (YAML). Flags and variables win over it. [$$SALLYPORT_SETTINGS]" placeholder:"FILE"`
	Hints        bool              `help:"Print what to do next: a ready curl, and the configuration of the usual clients."`
	Try          map[string]string `help:"For --hints: the call to show for a server." placeholder:"SERVER=TOOL ARGUMENTS" mapsep:"none"`
	kong.Plugins

	flags settingFlags
}

func newServeCommand() serveCommand {
	flags := newSettingFlags()
	return serveCommand{Plugins: kong.Plugins{flags.values.Interface()}, flags: flags}
}

func (s *serveCommand) run(ctx context.Context, c console) int {
	settings, problems := s.flags.settle(s.SettingsFile, c)
	if config.Refused(problems) {
		report(c.err, problems)
		return exitWrong
	}
	problems = append(problems, config.Strange(c.environ(), "SALLYPORT_SETTINGS", "SALLYPORT_ADMIN_URL", "SALLYPORT_SETUP_TOKEN")...)
	report(c.err, problems)
	stored := settings.Admin.Listen != "off" && settings.Data+settings.Store.URL.Reveal() != ""
	if len(settings.Config) == 0 && !stored {
		fmt.Fprintln(c.err, "sallyport: serve: no gateway document is named\n  how to mend it: sallyport serve --config FILE_OR_DIR (see examples/quickstart/bookshop.yaml)")
		return exitUsage
	}
	house, err := newGatehouse(ctx, settings, c, kinds())
	if err != nil {
		return c.complain("serve", err)
	}
	var files *documentSet
	if len(settings.Config) > 0 {
		files = watchedFiles(settings, house)
	}
	return house.run(ctx, files, func(ln net.Listener) {
		origin := originOf(ln)
		fmt.Fprintf(c.out, "listening on %s\n", origin)
		if s.Hints {
			printHints(c.out, origin, house.estate.first().state.servers, s.Try)
			fmt.Fprintf(c.out, "\nchange %s and the change is live; stop with Ctrl-C\n", strings.Join(settings.Config, ", "))
		}
	})
}

func originOf(ln net.Listener) string { return "http://" + ln.Addr().String() }
