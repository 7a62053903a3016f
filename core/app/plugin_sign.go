package app

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/plugins/author"
)

type pluginKeygenCommand struct {
	File    string `arg:"" help:"The file to write the private key to; the public one goes to FILE.pub."`
	Owner   string `help:"Whose key it is, one line for people." placeholder:"TEXT"`
	Expires string `help:"When the key ends: 365d, 12h, 2027-11-23 or never. Default: never." default:"never" placeholder:"WHEN"`
}

func (k *pluginKeygenCommand) run(_ context.Context, c console) int {
	expires, err := moment(k.Expires, time.Now())
	if err != nil {
		c.complain("plugin keygen", err)
		return exitUsage
	}
	key, err := author.Keygen(k.File, k.Owner, expires, rand.Reader)
	if err != nil {
		return c.mistaken("plugin keygen", err)
	}
	fmt.Fprintf(c.out, "made key %s\n  %s      signs: keep it to yourself, it has no password\n  %s.pub  verifies: name it under plugins.keys of the gateway's settings\n", key.ID, k.File, k.File)
	return exitOK
}

type pluginSignCommand struct {
	Plugin  string `arg:"" optional:"" default:"." help:"The .wasm file of a plugin, or its folder."`
	Key     string `help:"The file of the private key." required:"" placeholder:"FILE"`
	Expires string `help:"When the signature ends: 365d, 12h, 2027-11-23 or never. Default: never." default:"never" placeholder:"WHEN"`
}

func (k *pluginSignCommand) run(_ context.Context, c console) int {
	now := time.Now()
	expires, err := moment(k.Expires, now)
	if err != nil {
		c.complain("plugin sign", err)
		return exitUsage
	}
	said, file, err := author.Sign(author.SignOptions{File: k.Plugin, Key: k.Key, Expires: expires, Now: now})
	if err != nil {
		return c.mistaken("plugin sign", err)
	}
	fmt.Fprintf(c.out, "signed %s %s\n  digest     %s\n  key        %s\n  until      %s\n  signature  %s\n", said.Name, said.Version, said.Digest, said.Key, until(said.Expires), file)
	return exitOK
}

func until(t time.Time) string {
	if t.IsZero() {
		return "for ever"
	}
	return t.UTC().Format(time.RFC3339)
}

type pluginVerifyCommand struct {
	Plugin string   `arg:"" optional:"" default:"." help:"The .wasm file of a plugin, or its folder."`
	Key    []string `help:"The file of a public key that is trusted; may be given again." required:"" placeholder:"FILE"`
	Name   string   `help:"What the key is trusted with: acme/weather, acme/* or *. Default: *." default:"*" placeholder:"NAME"`
}

func (k *pluginVerifyCommand) run(_ context.Context, c console) int {
	verdict, subject, err := author.Verify(author.VerifyOptions{File: k.Plugin, Keys: k.Key, Name: k.Name, Now: time.Now})
	if err != nil {
		return c.mistaken("plugin verify", err)
	}
	fmt.Fprintf(c.out, "good: %s %s is signed by key %s%s\n  digest  %s\n  until   %s\n", subject.Name, subject.Version, verdict.Signer, ownerOf(verdict.Owner), subject.Digest, until(verdict.Expires))
	return exitOK
}

func ownerOf(owner string) string {
	if owner == "" {
		return ""
	}
	return " (" + owner + ")"
}
