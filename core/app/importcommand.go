package app

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/config"
)

type importCommand struct {
	File   string `arg:"" help:"claude_desktop_config.json, .mcp.json, mcp.json of Cursor or VS Code, or a server.json of the MCP registry; - is standard input."`
	Out    string `help:"File to write. Default: standard output." placeholder:"FILE"`
	Server string `help:"Write a server of this name too, that has all of them under their names." placeholder:"NAME"`
}

// maxImport bounds what is read.
const maxImport = 4 << 20

var serverName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// run writes a gateway document of the MCP servers that another program has.
func (k importCommand) run(_ context.Context, c console) int {
	text, err := k.read()
	if err != nil {
		return c.complain("import", err)
	}
	if k.Server != "" && !serverName.MatchString(k.Server) {
		return c.complain("import", &core.Error{Code: core.CodeInvalid, Message: "--server is no name of a server", Fix: "use small letters, digits and -"})
	}
	home, _ := c.lookup("HOME")
	if !filepath.IsAbs(home) {
		home = ""
	}
	f, err := config.ReadForeign(text, config.ForeignOptions{Home: home, Look: func(name string) string { return look(c, name) }})
	if err != nil {
		return c.complain("import "+k.File, err)
	}
	if len(f.Upstreams) == 0 {
		return c.complain("import "+k.File, &core.Error{Code: core.CodeInvalid, Message: "there are no MCP servers in it", Fix: "name another file"})
	}
	out := f.Write(k.Server)
	if k.Out == "" {
		if _, err := c.out.Write(out); err != nil {
			return c.complain("import", err)
		}
	} else if err := writeNew(k.Out, out); err != nil {
		return c.complain("import", err)
	}
	k.tell(c.err, f)
	return exitOK
}

// look finds a program as a shell does; "" = it is not there.
func look(c console, name string) string {
	if strings.ContainsRune(name, filepath.Separator) {
		return ""
	}
	list, _ := c.lookup("PATH")
	for _, dir := range filepath.SplitList(list) {
		path := filepath.Join(dir, name)
		if about, err := os.Stat(path); err == nil && filepath.IsAbs(path) && about.Mode().IsRegular() && about.Mode().Perm()&0o111 != 0 {
			return path
		}
	}
	return ""
}

func (k importCommand) read() ([]byte, error) {
	name := k.File
	if name == "-" {
		name = standardInput
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, &core.Error{Code: core.CodeInvalid, Message: "cannot read " + k.File, Fix: "name a file that you may read", Err: err}
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxImport+1))
	if err == nil && len(text) > maxImport {
		err = &core.Error{Code: core.CodeTooLarge, Message: k.File + " is too large", Fix: fmt.Sprintf("at most %d MiB", maxImport>>20)}
	}
	return text, err
}

// writeNew writes a file that is not there yet.
func writeNew(name string, text []byte) error {
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return &core.Error{Code: core.CodeInvalid, Message: "cannot write " + name, Fix: "name a file that is not there yet, in a directory that you may write", Err: err}
	}
	if _, err := file.Write(text); err != nil {
		_ = file.Close() // the other error counts
		return err
	}
	return file.Close()
}

// tell says what is left to do.
func (k importCommand) tell(w io.Writer, f *config.Foreign) {
	fmt.Fprintf(w, "imported %s\n", count(len(f.Upstreams), "upstream"))
	for _, note := range f.Notes {
		fmt.Fprintln(w, "note:", note)
	}
	if len(f.Variables) > 0 {
		fmt.Fprintf(w, "set these variables where the gateway starts. What looks like a secret was not copied; look through the file before you share it:\n  %s\n", strings.Join(f.Variables, "\n  "))
	}
	if len(f.Commands) > 0 {
		fmt.Fprint(w, "programs run only where the settings allow them; put this into the settings file:\n  upstreams:\n    commands:\n")
		for _, command := range f.Commands {
			fmt.Fprintf(w, "      - %q\n", strings.Join(command, " "))
		}
	}
}
