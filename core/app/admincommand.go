package app

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/documents"
	"github.com/sallyport/sallyport/store"
)

// adminCommands are clients of the admin API.
type adminCommands struct {
	Setup     adminSetup     `cmd:"" help:"Make the first administrator, with the setup token that the gateway prints."`
	Users     adminUsers     `cmd:"" help:"List, make, change and delete users."`
	Tokens    adminTokens    `cmd:"" help:"List, mint and revoke API tokens."`
	Documents adminDocuments `cmd:"" help:"List, read, write and publish gateway documents of the store."`
	Export    adminExport    `cmd:"" help:"Write the documents of a tenant to an archive, byte for byte."`
	Import    adminImport    `cmd:"" help:"Read documents from an archive, or from YAML files."`
	Backup    adminBackup    `cmd:"" help:"Write a copy of the whole store to a file."`
	Restore   adminRestore   `cmd:"" help:"Fill an empty store from a backup."`
	API       adminAPI       `cmd:"" name:"api" help:"Send any request to the admin API and print its answer."`
}

// with connects, runs f and prints what went wrong.
func (t *adminTarget) with(ctx context.Context, c console, doing string, f func(a *adminClient) error) int {
	client, err := t.connect(ctx, c)
	if client != nil {
		defer client.close()
	}
	if err == nil {
		err = f(client)
	}
	if err != nil {
		return c.complain("admin "+doing, err)
	}
	return exitOK
}

// print writes an answer: as it is, or as a table of some members of its items.
func (a *adminClient) print(answer *adminAnswer, columns ...string) error {
	if a.raw || len(columns) == 0 {
		_, err := fmt.Fprintln(a.out, strings.TrimRight(string(answer.body), "\n"))
		return err
	}
	var list struct{ Items []map[string]any }
	if err := json.Unmarshal(answer.body, &list); err != nil {
		return err
	}
	table := tabwriter.NewWriter(a.out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(table, strings.ToUpper(strings.Join(columns, "\t")))
	for _, item := range list.Items {
		cells := make([]string, len(columns))
		for i, column := range columns {
			cells[i] = cell(item[column])
		}
		fmt.Fprintln(table, strings.Join(cells, "\t"))
	}
	return table.Flush()
}

func cell(value any) string {
	switch value := value.(type) {
	case nil:
		return "-"
	case string:
		if value == "" {
			return "-"
		}
		return value
	case float64:
		return strconv.FormatFloat(value, 'f', -1, 64)
	case []any:
		parts := make([]string, len(value))
		for i := range value {
			parts[i] = cell(value[i])
		}
		if len(parts) == 0 {
			return "-"
		}
		return strings.Join(parts, ",")
	}
	return fmt.Sprint(value)
}

// pages reads every page of a list and prints it.
func (a *adminClient) list(ctx context.Context, path string, columns ...string) error {
	all := []json.RawMessage{}
	for next := ""; ; {
		join := "?"
		if strings.Contains(path, "?") {
			join = "&"
		}
		answer, err := a.call(ctx, "GET", path+join+"limit=1000"+next, nil)
		if err != nil {
			return err
		}
		var page struct {
			Items []json.RawMessage
			Next  string
		}
		if err := json.Unmarshal(answer.body, &page); err != nil {
			return err
		}
		all = append(all, page.Items...)
		if page.Next == "" {
			break
		}
		next = "&after=" + url.QueryEscape(page.Next)
	}
	text, err := json.Marshal(map[string]any{"items": all})
	if err != nil {
		return err
	}
	return a.print(&adminAnswer{body: text}, columns...)
}

type adminSetup struct {
	adminTarget

	Token        string `help:"The setup token. [$$SALLYPORT_SETUP_TOKEN]" placeholder:"TOKEN"`
	Name         string `help:"Name to log in with." default:"admin" placeholder:"NAME"`
	PasswordFile string `name:"password-file" help:"File with the password; without it the first line of standard input is read." placeholder:"FILE"`
}

func (k *adminSetup) run(ctx context.Context, c console) int {
	return k.with(ctx, c, "setup", func(a *adminClient) error {
		token := k.Token
		if token == "" {
			token, _ = c.lookup("SALLYPORT_SETUP_TOKEN")
		}
		password, err := secretFrom(k.PasswordFile)
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

// secretFrom reads a file, or one line of standard input.
func secretFrom(file string) (string, error) {
	if file != "" {
		text, err := os.ReadFile(file)
		return strings.TrimRight(string(text), "\r\n"), err
	}
	input, err := os.Open(standardInput)
	if err != nil {
		return "", err
	}
	defer func() { _ = input.Close() }() // it was only read
	line, err := bufio.NewReader(input).ReadString('\n')
	if err != nil && line == "" {
		return "", &core.Error{Code: core.CodeInvalid, Message: "there is no password", Fix: "write it to standard input, or name a file with --password-file", Err: err}
	}
	return strings.TrimRight(line, "\r\n"), nil
}

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

type adminDocuments struct {
	List     adminDocumentsList     `cmd:"" help:"List the documents of a tenant."`
	Get      adminDocumentsGet      `cmd:"" help:"Print a document as it is served."`
	Draft    adminDocumentsDraft    `cmd:"" help:"Write a file as the draft of a document, and say what is wrong with it."`
	Diff     adminDocumentsDiff     `cmd:"" help:"Print what a draft would change."`
	Publish  adminDocumentsPublish  `cmd:"" help:"Serve drafts from now on."`
	Versions adminDocumentsVersions `cmd:"" help:"List the versions of a document."`
	Rollback adminDocumentsRollback `cmd:"" help:"Serve an older version again, as a new one."`
}

type adminDocumentsList struct{ adminTarget }

func (k *adminDocumentsList) run(ctx context.Context, c console) int {
	return k.with(ctx, c, "documents list", func(a *adminClient) error {
		return a.list(ctx, "/documents", "name", "origin", "number", "size", "updated", "by")
	})
}

type adminDocumentsGet struct {
	adminTarget

	Name string `arg:"" help:"Name of the document."`
}

func (k *adminDocumentsGet) run(ctx context.Context, c console) int {
	return k.with(ctx, c, "documents get", func(a *adminClient) error {
		answer, err := a.call(ctx, "GET", "/documents/"+url.PathEscape(k.Name), nil, "Accept", "application/yaml")
		if err != nil {
			return err
		}
		_, err = c.out.Write(answer.body)
		return err
	})
}

type adminDocumentsDraft struct {
	adminTarget

	Name string `arg:"" help:"Name of the document."`
	File string `arg:"" help:"YAML file." type:"existingfile"`
}

func (k *adminDocumentsDraft) run(ctx context.Context, c console) int {
	return k.with(ctx, c, "documents draft", func(a *adminClient) error {
		text, err := os.ReadFile(k.File)
		if err != nil {
			return err
		}
		path := "/documents/" + url.PathEscape(k.Name) + "/draft"
		header := []string{"If-None-Match", "*"}
		if before, err := a.call(ctx, "GET", path, nil); err == nil {
			header = []string{"If-Match", before.etag}
		}
		answer, err := a.call(ctx, "PUT", path, map[string]string{"text": string(text)}, header...)
		if err != nil {
			return err
		}
		return a.print(answer)
	})
}

type adminDocumentsDiff struct {
	adminTarget

	Name string `arg:"" help:"Name of the document."`
}

func (k *adminDocumentsDiff) run(ctx context.Context, c console) int {
	return k.with(ctx, c, "documents diff", func(a *adminClient) error {
		answer, err := a.call(ctx, "GET", "/documents/"+url.PathEscape(k.Name)+"/diff", nil)
		if err != nil || a.raw {
			if err == nil {
				err = a.print(answer)
			}
			return err
		}
		var diff struct{ Text string }
		if err := json.Unmarshal(answer.body, &diff); err != nil {
			return err
		}
		fmt.Fprint(c.out, diff.Text)
		return nil
	})
}

type adminDocumentsPublish struct {
	adminTarget

	Names  []string `arg:"" help:"Names of the documents whose drafts are served from now on, together."`
	Reason string   `help:"Why, for the audit trail." placeholder:"TEXT"`
}

func (k *adminDocumentsPublish) run(ctx context.Context, c console) int {
	return k.with(ctx, c, "documents publish", func(a *adminClient) error {
		answer, err := a.call(ctx, "POST", "/documents/publish", map[string]any{"names": k.Names, "reason": k.Reason})
		if err != nil {
			return err
		}
		return a.print(answer)
	})
}

type adminDocumentsVersions struct {
	adminTarget

	Name string `arg:"" help:"Name of the document."`
}

func (k *adminDocumentsVersions) run(ctx context.Context, c console) int {
	return k.with(ctx, c, "documents versions", func(a *adminClient) error {
		return a.list(ctx, "/documents/"+url.PathEscape(k.Name)+"/versions", "number", "published", "byName", "reason", "from", "sum")
	})
}

type adminDocumentsRollback struct {
	adminTarget

	Name   string `arg:"" help:"Name of the document."`
	Number int64  `arg:"" help:"Number of the version."`
	Reason string `help:"Why, for the audit trail." placeholder:"TEXT"`
}

func (k *adminDocumentsRollback) run(ctx context.Context, c console) int {
	return k.with(ctx, c, "documents rollback", func(a *adminClient) error {
		path := "/documents/" + url.PathEscape(k.Name)
		now, err := a.call(ctx, "GET", path, nil)
		if err != nil {
			return err
		}
		answer, err := a.call(ctx, "POST", path+"/rollback", map[string]any{"number": k.Number, "reason": k.Reason}, "If-Match", now.etag)
		if err != nil {
			return err
		}
		return a.print(answer)
	})
}

type adminExport struct {
	adminTarget

	Out string `help:"File to write (tar.gz)." default:"documents.tar.gz" placeholder:"FILE"`
}

func (k *adminExport) run(ctx context.Context, c console) int {
	return k.with(ctx, c, "export", func(a *adminClient) error {
		answer, err := a.call(ctx, "GET", "/documents/export", nil)
		if err != nil {
			return err
		}
		if err := os.WriteFile(k.Out, answer.body, 0o600); err != nil {
			return err
		}
		fmt.Fprintf(c.out, "wrote %s, %d bytes\n", k.Out, len(answer.body))
		return nil
	})
}

type adminImport struct {
	adminTarget

	Files   []string `arg:"" help:"An archive of sallyport admin export, or YAML files that become documents of their names." type:"existingfile"`
	DryRun  bool     `name:"dry-run" help:"Only say what would happen."`
	Publish bool     `help:"Serve them at once; otherwise they become drafts."`
	Replace bool     `help:"Take the place of documents that are there already."`
	Reason  string   `help:"Why, for the audit trail." placeholder:"TEXT"`
}

func (k *adminImport) run(ctx context.Context, c console) int {
	return k.with(ctx, c, "import", func(a *adminClient) error {
		body, err := archiveOf(k.Files)
		if err != nil {
			return err
		}
		answer, err := a.call(ctx, "POST", "/documents/import", map[string]any{
			"archive": base64.StdEncoding.EncodeToString(body), "dryRun": k.DryRun, "publish": k.Publish, "replace": k.Replace, "reason": k.Reason,
		})
		if err != nil {
			return err
		}
		return a.print(answer)
	})
}

type adminBackup struct {
	adminTarget

	Out string `help:"File to write." default:"sallyport.backup" placeholder:"FILE"`
}

// The file holds everything of the store; secrets in it are sealed with the keys of the
// gateway, which it does not hold.
func (k *adminBackup) run(ctx context.Context, c console) int {
	return k.onStore(ctx, c, "admin backup", func(h *gatehouse) error {
		file, err := os.OpenFile(k.Out, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return &core.Error{Code: core.CodeInvalid, Message: "make the file " + k.Out, Fix: "name a file that is not there yet with --out FILE", Err: err}
		}
		if err := errors.Join(h.door.late.Backup(ctx, file), file.Sync(), file.Close()); err != nil {
			return errors.Join(err, os.Remove(k.Out))
		}
		fmt.Fprintf(c.out, "wrote %s; keep the key of the store with it: without %s its secrets cannot be read\n", k.Out, h.door.vault.Kid())
		return nil
	})
}

type adminRestore struct {
	adminTarget

	File string `arg:"" help:"File of sallyport admin backup." type:"existingfile"`
}

func (k *adminRestore) run(ctx context.Context, c console) int {
	return k.onVault(ctx, c, "admin restore", func(h *gatehouse) error {
		file, err := os.Open(k.File)
		if err != nil {
			return err
		}
		defer func() { _ = file.Close() }() // it was only read
		s, err := store.Open(ctx, h.settings.Database(), store.Options{Replica: h.replica, Log: h.log})
		if err != nil {
			return err
		}
		if err := errors.Join(s.Restore(ctx, file), s.Close()); err != nil {
			return err
		}
		// Opening it tells whether its secrets can be read with the keys that are here.
		if err := h.door.late.begin(ctx, false); err != nil {
			return err
		}
		fmt.Fprintln(c.out, "restored")
		return nil
	})
}

// onStore opens the store itself, and runs f on it.
func (t *adminTarget) onStore(ctx context.Context, c console, doing string, f func(h *gatehouse) error) int {
	return t.onVault(ctx, c, doing, func(h *gatehouse) error {
		if err := h.door.late.begin(ctx, false); err != nil {
			return err
		}
		return f(h)
	})
}

// onVault reads the keys, and runs f before the store is opened.
func (t *adminTarget) onVault(ctx context.Context, c console, doing string, f func(h *gatehouse) error) int {
	if t.URL != "" {
		return c.complain(doing, &core.Error{Code: core.CodeInvalid, Message: doing + " works on the store itself", Fix: "leave out --url, and name the store with --data, --settings or SALLYPORT_STORE_URL; with SQLite stop the gateway first"})
	}
	settings, err := t.settings(c)
	if err != nil {
		return c.complain(doing, err)
	}
	house, err := newGatehouse(ctx, settings, c, kinds())
	if err != nil {
		return c.complain(doing, err)
	}
	defer house.close(context.WithoutCancel(ctx))
	if err := f(house); err != nil {
		return c.complain(doing, err)
	}
	return exitOK
}

// archiveOf reads an archive, or makes one of YAML files.
func archiveOf(files []string) ([]byte, error) {
	if len(files) == 1 && strings.HasSuffix(files[0], ".gz") {
		return os.ReadFile(files[0])
	}
	texts := map[string][]byte{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		base := filepath.Base(file)
		texts[strings.TrimSuffix(base, filepath.Ext(base))] = text
	}
	archive, err := documents.NewArchive(core.DefaultTenant, time.Now(), texts)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := archive.Write(&out); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

type adminAPI struct {
	adminTarget

	Method string `arg:"" help:"GET, POST, PUT, PATCH or DELETE."`
	Path   string `arg:"" help:"Path below /api/v1, such as /users."`
	Body   string `help:"File with the JSON body; - is standard input." placeholder:"FILE"`
	Match  string `name:"if-match" help:"ETag that the thing must have." placeholder:"ETAG"`
}

func (k *adminAPI) run(ctx context.Context, c console) int {
	return k.with(ctx, c, "api", func(a *adminClient) error {
		method := strings.ToUpper(k.Method)
		if !slices.Contains([]string{"GET", "POST", "PUT", "PATCH", "DELETE"}, method) || !strings.HasPrefix(k.Path, "/") {
			return &core.Error{Code: core.CodeInvalid, Message: "there is no request " + k.Method + " " + k.Path, Fix: "write it like: sallyport admin api GET /users"}
		}
		var body any
		if k.Body != "" {
			text, err := readBody(k.Body)
			if err != nil {
				return err
			}
			body = json.RawMessage(text)
		}
		var header []string
		if k.Match != "" {
			header = []string{"If-Match", k.Match}
		}
		answer, err := a.call(ctx, method, k.Path, body, header...)
		if err != nil {
			return err
		}
		a.raw = true
		return a.print(answer)
	})
}

// standardInput is where commands read what must not stand in the list of processes.
const standardInput = "/dev/stdin"

func readBody(file string) ([]byte, error) {
	if file == "-" {
		file = standardInput
	}
	return os.ReadFile(filepath.Clean(file))
}
