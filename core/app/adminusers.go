package app

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
)

type adminUsers struct {
	List    adminUsersList    `cmd:"" help:"List the users of a tenant."`
	Add     adminUsersAdd     `cmd:"" help:"Make a user; its temporary password is printed once."`
	Disable adminUsersDisable `cmd:"" help:"Let a user in no more; its logins and tokens stop working."`
	Enable  adminUsersEnable  `cmd:"" help:"Let a disabled user in again."`
	Reset   adminUsersReset   `cmd:"" help:"Give a user a temporary password, which is printed once."`
	Delete  adminUsersDelete  `cmd:"" help:"Delete a user with its tokens."`
}

type adminUsersList struct{ adminTarget }

func (k *adminUsersList) run(ctx context.Context, c console) int {
	return k.with(ctx, c, "users list", func(a *adminClient) error {
		return a.list(ctx, "/users", "id", "name", "title", "roles", "everywhere", "service", "disabled")
	})
}

type adminUsersAdd struct {
	adminTarget

	Name    string   `arg:"" help:"Name to log in with."`
	Title   string   `help:"Name for people." placeholder:"TEXT"`
	Role    []string `help:"Role in the tenant; may be given again." placeholder:"ROLE"`
	Service bool     `help:"A program: it cannot log in, and has tokens only."`
}

func (k *adminUsersAdd) run(ctx context.Context, c console) int {
	return k.with(ctx, c, "users add", func(a *adminClient) error {
		answer, err := a.call(ctx, "POST", "/users", map[string]any{"name": k.Name, "title": k.Title, "roles": append([]string{}, k.Role...), "service": k.Service})
		if err != nil {
			return err
		}
		var user struct{ ID string }
		if err := json.Unmarshal(answer.body, &user); err != nil {
			return err
		}
		if a.raw {
			return a.print(answer)
		}
		fmt.Fprintf(c.out, "user %s is %s\n", k.Name, user.ID)
		if k.Service {
			return nil
		}
		return a.reset(ctx, user.ID)
	})
}

// reset gives a user a temporary password and prints it.
func (a *adminClient) reset(ctx context.Context, id string) error {
	path := "/users/" + url.PathEscape(id)
	now, err := a.call(ctx, "GET", path, nil)
	if err != nil {
		return err
	}
	answer, err := a.call(ctx, "POST", path+"/password", map[string]any{}, "If-Match", now.etag)
	if err != nil {
		return err
	}
	var made struct{ Password string }
	if err := json.Unmarshal(answer.body, &made); err != nil {
		return err
	}
	fmt.Fprintf(a.out, "temporary password, to be changed at the first login: %s\n", made.Password)
	return nil
}

// userID finds a user by id or name.
func (a *adminClient) userID(ctx context.Context, word string) (string, error) {
	answer, err := a.call(ctx, "GET", "/users?name="+url.QueryEscape(word), nil)
	if err != nil {
		return "", err
	}
	var list struct{ Items []struct{ ID string } }
	if err := json.Unmarshal(answer.body, &list); err != nil {
		return "", err
	}
	if len(list.Items) == 1 {
		return list.Items[0].ID, nil
	}
	return word, nil
}

type adminUsersDisable struct {
	adminTarget

	User string `arg:"" help:"Name or id."`
}

func (k *adminUsersDisable) run(ctx context.Context, c console) int {
	return k.flip(ctx, c, k.User, true)
}

type adminUsersEnable struct {
	adminTarget

	User string `arg:"" help:"Name or id."`
}

func (k *adminUsersEnable) run(ctx context.Context, c console) int {
	return k.flip(ctx, c, k.User, false)
}

// flip disables or enables a user.
func (t *adminTarget) flip(ctx context.Context, c console, user string, off bool) int {
	return t.with(ctx, c, "users", func(a *adminClient) error {
		id, err := a.userID(ctx, user)
		if err != nil {
			return err
		}
		path := "/users/" + url.PathEscape(id)
		answer, err := a.call(ctx, "GET", path, nil)
		if err != nil {
			return err
		}
		now, form := map[string]any{}, map[string]any{"disabled": off}
		if err := json.Unmarshal(answer.body, &now); err != nil {
			return err
		}
		for _, member := range []string{"name", "title", "email", "service", "provider", "external", "roles", "everywhere"} {
			if value, found := now[member]; found && value != nil {
				form[member] = value
			}
		}
		if _, err := a.call(ctx, "PUT", path, form, "If-Match", answer.etag); err != nil {
			return err
		}
		fmt.Fprintf(c.out, "%s: disabled is %t\n", user, off)
		return nil
	})
}

type adminUsersReset struct {
	adminTarget

	User string `arg:"" help:"Name or id."`
}

func (k *adminUsersReset) run(ctx context.Context, c console) int {
	return k.with(ctx, c, "users reset", func(a *adminClient) error {
		id, err := a.userID(ctx, k.User)
		if err != nil {
			return err
		}
		return a.reset(ctx, id)
	})
}

type adminUsersDelete struct {
	adminTarget

	User string `arg:"" help:"Name or id."`
}

func (k *adminUsersDelete) run(ctx context.Context, c console) int {
	return k.with(ctx, c, "users delete", func(a *adminClient) error {
		id, err := a.userID(ctx, k.User)
		if err != nil {
			return err
		}
		return a.remove(ctx, "/users/"+url.PathEscape(id))
	})
}

// remove deletes something as it is now.
func (a *adminClient) remove(ctx context.Context, path string) error {
	answer, err := a.call(ctx, "GET", path, nil)
	if err != nil {
		return err
	}
	if _, err = a.call(ctx, "DELETE", path, nil, "If-Match", answer.etag); err != nil {
		return err
	}
	fmt.Fprintln(a.out, "deleted")
	return nil
}
