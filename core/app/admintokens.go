package app

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"time"
)

type adminTokens struct {
	List   adminTokensList   `cmd:"" help:"List API tokens."`
	Mint   adminTokensMint   `cmd:"" help:"Mint an API token; it is printed once."`
	Revoke adminTokensRevoke `cmd:"" help:"Revoke an API token."`
}

type adminTokensList struct{ adminTarget }

func (k *adminTokensList) run(ctx context.Context, c console) int {
	return k.with(ctx, c, "tokens list", func(a *adminClient) error {
		return a.list(ctx, "/tokens", "id", "name", "user", "hint", "scopes", "expires", "lastUsed", "revoked")
	})
}

type adminTokensMint struct {
	adminTarget

	User    string        `arg:"" help:"Name or id of its user."`
	Name    string        `help:"What it is for." default:"made by sallyport admin" placeholder:"TEXT"`
	Scope   []string      `help:"Permission that it is narrowed to, such as tool:call:github/*; may be given again. None = whatever its user may." placeholder:"PERMISSION"`
	Expires time.Duration `help:"How long it is good; 0 = until it is revoked." placeholder:"DURATION"`
}

func (k *adminTokensMint) run(ctx context.Context, c console) int {
	return k.with(ctx, c, "tokens mint", func(a *adminClient) error {
		id, err := a.userID(ctx, k.User)
		if err != nil {
			return err
		}
		body := map[string]any{"user": id, "name": k.Name, "scopes": append([]string{}, k.Scope...)}
		if k.Expires > 0 {
			body["expires"] = time.Now().Add(k.Expires).UTC().Truncate(time.Second)
		}
		answer, err := a.call(ctx, "POST", "/tokens", body)
		if err != nil || a.raw {
			if err == nil {
				err = a.print(answer)
			}
			return err
		}
		var made struct{ ID, Token string }
		if err := json.Unmarshal(answer.body, &made); err != nil {
			return err
		}
		fmt.Fprintln(c.out, made.Token)
		return nil
	})
}

type adminTokensRevoke struct {
	adminTarget

	ID string `arg:"" help:"Id of the token."`
}

func (k *adminTokensRevoke) run(ctx context.Context, c console) int {
	return k.with(ctx, c, "tokens revoke", func(a *adminClient) error {
		return a.remove(ctx, "/tokens/"+url.PathEscape(k.ID))
	})
}
