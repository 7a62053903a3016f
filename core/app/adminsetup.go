package app

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/sallyport/sallyport/core"
)

type adminSetup struct {
	adminTarget

	Token        string `help:"The setup token that the gateway printed; not needed without --url. [$$SALLYPORT_SETUP_TOKEN]" placeholder:"TOKEN"`
	Name         string `help:"Name to log in with." default:"admin" placeholder:"NAME"`
	PasswordFile string `name:"password-file" help:"File with the password; without it the password is asked for, or the first line of standard input is read." placeholder:"FILE"`
}

func (k *adminSetup) run(ctx context.Context, c console) int {
	return k.with(ctx, c, "setup", func(a *adminClient) error {
		token := k.Token
		if token == "" {
			token, _ = c.lookup("SALLYPORT_SETUP_TOKEN")
		}
		if token == "" {
			token = a.setup.Reveal() // whoever may open the store may do this
		}
		password, err := c.secretFrom(k.PasswordFile)
		if err != nil {
			return err
		}
		a.token = ""
		body := map[string]string{"token": token, "name": k.Name, "password": password}
		if _, err := a.call(ctx, "POST", "/setup", body); err != nil {
			return err
		}
		fmt.Fprintf(c.out, "%s may do everything now; log in at %s\n", k.Name, a.origin)
		return nil
	})
}

// secretFrom reads a file, or one line of standard input: at a terminal it asks for the line,
// and does not show it.
func (c console) secretFrom(file string) (string, error) {
	if file != "" {
		text, err := os.ReadFile(file)
		return strings.TrimRight(string(text), "\r\n"), err
	}
	input, err := os.Open(standardInput)
	if err != nil {
		return "", err
	}
	defer func() { _ = input.Close() }() // it was only read
	if at := int(input.Fd()); term.IsTerminal(at) {
		fmt.Fprint(c.err, "Password (it is not shown): ")
		line, err := term.ReadPassword(at)
		fmt.Fprintln(c.err)
		return string(line), err
	}
	line, err := bufio.NewReader(input).ReadString('\n')
	if err != nil && line == "" {
		return "", &core.Error{Code: core.CodeInvalid, Message: "there is no password", Fix: "write it to standard input, or name a file with --password-file", Err: err}
	}
	return strings.TrimRight(line, "\r\n"), nil
}
