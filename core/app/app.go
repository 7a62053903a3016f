// Package app puts the parts together: it is the only room that knows all others.
// One file a command, one list of kinds.
//
//	arguments ─ Main ─► serve ─► gatehouse: settings → telemetry → egress → gateway → mcp → web
//	                    check ─► config.Read → gateway.Build → problems
//	                    schema, version, conformance-server
//
//	code := app.Main(ctx, []string{"serve", "--config", "gateway.yaml"}, os.Stdout, os.Stderr)
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/alecthomas/kong"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/plugins/sandbox"
)

// Exit codes.
const (
	exitOK    = 0
	exitWrong = 1 // a document or the environment is wrong
	exitUsage = 2 // the command was typed wrong
)

// console is where a command talks.
type console struct {
	out, err io.Writer
	lookup   func(string) (string, bool) // one variable of the environment
	environ  func() []string             // all of them, NAME=value
}

// command is what every sub-command is.
type command interface {
	run(ctx context.Context, c console) int
}

type commands struct {
	Serve             serveCommand       `cmd:"" help:"Serve the gateway documents."`
	Check             checkCommand       `cmd:"" help:"Check gateway documents and report every mistake."`
	Schema            schemaCommand      `cmd:"" help:"Print the JSON Schema of a gateway document."`
	Import            importCommand      `cmd:"" help:"Write a gateway document of the MCP servers that Claude, Cursor, VS Code or the MCP registry name."`
	ConformanceServer conformanceCommand `cmd:"" name:"conformance-server" help:"Serve the fixtures of the MCP conformance suites at /mcp."`
	Admin             adminCommands      `cmd:"" help:"Set up and change users, tokens and documents; back up the store."`
	Audit             auditCommands      `cmd:"" help:"Verify and export the audit trail."`
	Plugin            pluginCommands     `cmd:"" help:"Write, build, test, sign and carry plugins."`
	Version           versionCommand     `cmd:"" help:"Print version and commit."`
}

// finished is what leaves kong when it printed help and would exit.
type finished int

// Main runs the command line and returns the exit code: 0, 1 when something is
// wrong with documents or environment, 2 when the command was typed wrong. It
// returns when ctx ends.
func Main(ctx context.Context, args []string, stdout, stderr io.Writer) (code int) {
	defer func() {
		switch gone := recover().(type) {
		case nil:
		case finished:
			code = int(gone)
		default:
			panic(gone)
		}
	}()
	all := commands{Serve: newServeCommand()}
	parser, err := kong.New(&all,
		kong.Name("sallyport"),
		kong.Description("An MCP gateway: REST services and more as MCP tools, in every revision of the protocol."),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { panic(finished(code)) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
	)
	if err != nil {
		fmt.Fprintln(stderr, "sallyport:", err)
		return exitUsage
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintf(stderr, "sallyport: %v\ntry: sallyport %s--help\n", err, commandOf(parser, args))
		return exitUsage
	}
	selected, ok := parsed.Selected().Target.Addr().Interface().(command)
	if !ok {
		fmt.Fprintln(stderr, "sallyport: this command does nothing")
		return exitUsage
	}
	return selected.run(ctx, console{out: stdout, err: stderr, lookup: os.LookupEnv, environ: os.Environ})
}

// Child does what a process of ours was started for, instead of the command line:
// compiling a plugin, under limits. A program that calls Main calls Child before
// anything else, and ends with its code when it ran.
func Child(env func(string) string, in io.Reader, out io.Writer) (code int, ran bool) {
	return sandbox.CompileChild(env, in, out)
}

// commandOf returns the command that was typed, with a blank behind each word; "" when
// there is none of that name.
func commandOf(parser *kong.Kong, args []string) string {
	words := ""
	node := parser.Model.Node
next:
	for _, word := range args {
		for _, one := range node.Children {
			if one.Name == word {
				words, node = words+word+" ", one
				continue next
			}
		}
		break
	}
	return words
}

// complain prints an error with its fix and returns the exit code for it.
func (c console) complain(doing string, err error) int {
	var known *core.Error
	if errors.As(err, &known) && known.Fix != "" {
		cause := ""
		if known.Err != nil {
			cause = ": " + known.Err.Error()
		}
		fmt.Fprintf(c.err, "sallyport: %s: %s%s\n  how to mend it: %s\n", doing, known.Message, cause, known.Fix)
		return exitWrong
	}
	fmt.Fprintf(c.err, "sallyport: %s: %v\n", doing, err)
	return exitWrong
}
