package app

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"
)

// adminCommands are clients of the admin API.
type adminCommands struct {
	Setup     adminSetup     `cmd:"" help:"Make the first administrator, with the setup token that the gateway prints."`
	Users     adminUsers     `cmd:"" help:"List, make, change and delete users."`
	Tokens    adminTokens    `cmd:"" help:"List, mint and revoke API tokens."`
	Documents adminDocuments `cmd:"" help:"List, read, write and publish gateway documents of the store."`
	Modules   adminModules   `cmd:"" help:"List, upload, approve, download and delete plugin modules of the store."`
	Pins      adminPins      `cmd:"" help:"List and approve what upstream MCP servers offer."`
	Upstreams adminUpstreams `cmd:"" help:"Say how the upstream MCP servers are."`
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
