package app

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/pins"
)

type adminPins struct {
	List    adminPinsList    `cmd:"" help:"List the definitions of upstreams that were approved, and those that wait."`
	Show    adminPinsShow    `cmd:"" help:"Print what waits for approval, beside what was approved."`
	Approve adminPinsApprove `cmd:"" help:"Approve definitions: clients get them from now on."`
}

// adminPin is a pin as the admin API shows it.
type adminPin struct {
	ID string `json:"id"`
	core.Pin
}

// waits tells whether it waits for approval.
func (p *adminPin) waits() bool { return p.State != "approved" }

// title names what it is of.
func (p *adminPin) title() string {
	return fmt.Sprintf("%s %s of %s", strings.TrimSuffix(p.Of, core.PinWaits), p.Name, p.Server)
}

// pinsOf fetches the pins of an upstream, or of all of them.
func (a *adminClient) pinsOf(ctx context.Context, upstream string) (list []adminPin, err error) {
	for after := ""; ; {
		path := "/pins?limit=500"
		if upstream != "" {
			path += "&server=" + url.QueryEscape(upstream)
		}
		if after != "" {
			path += "&after=" + url.QueryEscape(after)
		}
		answer, err := a.call(ctx, "GET", path, nil)
		if err != nil {
			return nil, err
		}
		var page struct {
			Items []adminPin
			Next  string
		}
		if err := json.Unmarshal(answer.body, &page); err != nil {
			return nil, err
		}
		list = append(list, page.Items...)
		if page.Next == "" {
			return list, nil
		}
		after = page.Next
	}
}

type adminPinsList struct {
	adminTarget

	Upstream string `help:"Only of this upstream." placeholder:"NAME"`
	Waiting  bool   `help:"Only those that wait."`
}

func (k *adminPinsList) run(ctx context.Context, c console) int {
	return k.with(ctx, c, "pins list", func(a *adminClient) error {
		query := url.Values{}
		if k.Upstream != "" {
			query.Set("server", k.Upstream)
		}
		if k.Waiting {
			query.Set("state", "quarantined")
		}
		path := "/pins"
		if len(query) > 0 {
			path += "?" + query.Encode()
		}
		return a.list(ctx, path, "server", "kind", "name", "state", "approvedBy", "id")
	})
}

type adminPinsShow struct {
	adminTarget

	Upstream string `help:"Only of this upstream." placeholder:"NAME"`
}

func (k *adminPinsShow) run(ctx context.Context, c console) int {
	return k.with(ctx, c, "pins show", func(a *adminClient) error {
		list, err := a.pinsOf(ctx, k.Upstream)
		if err != nil {
			return err
		}
		approved := map[string]*adminPin{}
		for i := range list {
			if !list[i].waits() {
				approved[list[i].title()] = &list[i]
			}
		}
		shown := 0
		for i := range list {
			p := &list[i]
			if !p.waits() {
				continue
			}
			shown++
			fmt.Fprintf(c.out, "%s\n", p.title())
			if base := approved[p.title()]; base != nil {
				diff, err := pins.Compare(json.RawMessage(base.Text), json.RawMessage(p.Text))
				if err != nil {
					return err
				}
				fmt.Fprintf(c.out, "  changed:\n%s", indented(diff.String()))
			} else {
				fmt.Fprintf(c.out, "  new:\n%s", indented(p.Text))
			}
			fmt.Fprintf(c.out, "  approve it:  sallyport admin pins approve %s --digest %s\n\n", p.ID, p.Sum)
		}
		if shown == 0 {
			fmt.Fprintln(c.out, "nothing waits for approval")
		}
		return nil
	})
}

func indented(text string) string {
	return "    " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n    ") + "\n"
}

type adminPinsApprove struct {
	adminTarget

	ID       []string `arg:"" optional:"" help:"What to approve, as list and show print it."`
	Digest   string   `help:"Digest of what you looked at; another one is refused." placeholder:"HEX"`
	Upstream string   `help:"Approve everything of this upstream that waits." placeholder:"NAME"`
	Reason   string   `help:"Why, for the audit trail." placeholder:"TEXT"`
}

func (k *adminPinsApprove) run(ctx context.Context, c console) int {
	return k.with(ctx, c, "pins approve", func(a *adminClient) error {
		if (len(k.ID) > 0) == (k.Upstream != "") || k.Digest != "" && len(k.ID) != 1 {
			return &core.Error{Code: core.CodeInvalid, Message: "it is not said what to approve", Fix: "name ids as `sallyport admin pins show` prints them (--digest with one of them), or --upstream NAME for everything of it that waits"}
		}
		ids := k.ID
		sums := map[string]string{}
		if k.Upstream != "" {
			list, err := a.pinsOf(ctx, k.Upstream)
			if err != nil {
				return err
			}
			for i := range list {
				if list[i].waits() {
					ids = append(ids, list[i].ID)
					sums[list[i].ID] = list[i].Sum
				}
			}
			if len(ids) == 0 {
				fmt.Fprintln(c.out, "nothing waits for approval")
				return nil
			}
		} else if k.Digest != "" {
			sums[k.ID[0]] = k.Digest
		}
		for _, id := range ids {
			if err := k.approve(ctx, c, a, id, sums[id]); err != nil {
				return err
			}
		}
		return nil
	})
}

// approve approves a pin if it still is what was looked at.
func (k *adminPinsApprove) approve(ctx context.Context, c console, a *adminClient, id, sum string) error {
	path := "/pins/" + url.PathEscape(id)
	answer, err := a.call(ctx, "GET", path, nil)
	if err != nil {
		return err
	}
	var p adminPin
	if err := json.Unmarshal(answer.body, &p); err != nil {
		return err
	}
	if sum != "" && p.Sum != sum {
		return &core.Error{Code: core.CodeChanged, Message: p.title() + " is not what you looked at any more", Fix: "look again: sallyport admin pins show --upstream " + p.Server}
	}
	if _, err := a.call(ctx, "POST", path+"/approve", map[string]any{"reason": k.Reason}, "If-Match", answer.etag); err != nil {
		return err
	}
	fmt.Fprintf(c.out, "approved %s\n", p.title())
	return nil
}

type adminUpstreams struct {
	List adminUpstreamsList `cmd:"" help:"List the upstream MCP servers, and how they are."`
}

type adminUpstreamsList struct{ adminTarget }

func (k *adminUpstreamsList) run(ctx context.Context, c console) int {
	return k.with(ctx, c, "upstreams list", func(a *adminClient) error {
		answer, err := a.call(ctx, "GET", "/upstreams", nil)
		if err != nil {
			return err
		}
		return a.print(answer, "name", "transport", "revision", "state", "tools", "prompts", "resources", "held", "error")
	})
}
