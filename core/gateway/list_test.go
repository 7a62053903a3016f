package gateway

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/core"
)

func manyNames(n int) core.Config {
	s := core.ServerConfig{Name: "shop", PageSize: 10}
	for i := range n {
		s.Tools = append(s.Tools, core.ToolConfig{Name: fmt.Sprintf("t%03d", i), Invoker: echoes(`{}`)})
	}
	return core.Config{Servers: []core.ServerConfig{s}}
}

// walk pages through the tools and returns their names.
func walk(t testing.TB, h core.Handler, who core.Identity, cursor *string) (names []string, pages int) {
	t.Helper()
	for {
		page, err := h.ListTools(context.Background(), who, cursor)
		if err != nil {
			t.Fatal(err)
		}
		pages++
		for _, item := range page.Items {
			names = append(names, item.Name)
		}
		if page.Next == nil {
			return names, pages
		}
		if pages > 1000 {
			t.Fatal("the list does not end")
		}
		cursor = page.Next
	}
}

func TestPages(t *testing.T) {
	for _, n := range []int{0, 1, 9, 10, 11, 25, 30} {
		h := find(t, publish(t, testOptions(), manyNames(n)), "shop")
		names, pages := walk(t, h, core.Identity{}, nil)
		if len(names) != n || pages != max(1, (n+9)/10) {
			t.Errorf("%d tools: %d on %d pages", n, len(names), pages)
		}
		for i, name := range names {
			if name != fmt.Sprintf("t%03d", i) {
				t.Errorf("out of order at %d: %s", i, name)
			}
		}
	}
}

func TestCursors(t *testing.T) {
	h := find(t, publish(t, testOptions(), manyNames(25)), "shop")
	ctx, empty := context.Background(), ""
	first, err := h.ListTools(ctx, core.Identity{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := h.ListTools(ctx, core.Identity{}, &empty); err != nil || again != first {
		t.Errorf("the empty cursor is not the first page: %v", err)
	}
	second, err := h.ListTools(ctx, core.Identity{}, first.Next)
	if err != nil || second.Items[0].Name != "t010" {
		t.Fatal(err)
	}
	if again, _ := h.ListTools(ctx, core.Identity{}, first.Next); again != second {
		t.Error("the second page is made anew")
	}
	bad := []string{"x", "AAAA", strings.Repeat("A", 18), *first.Next + "A", (*first.Next)[1:], strings.ToUpper(*first.Next), "\n" + *first.Next, encodeCursor(mark{}), " "}
	for _, cursor := range bad {
		if _, err := h.ListTools(ctx, core.Identity{}, &cursor); core.AsError(err).Code != core.CodeInvalid {
			t.Errorf("cursor %q: %v", cursor, err)
		}
		if _, err := h.ListPrompts(ctx, core.Identity{}, &cursor); core.AsError(err).Code != core.CodeInvalid {
			t.Errorf("cursor %q of prompts: %v", cursor, err)
		}
	}
	// A cursor of one list is not one of another.
	for _, list := range []func() error{
		func() error { _, err := h.ListPrompts(ctx, core.Identity{}, first.Next); return err },
		func() error { _, err := h.ListResources(ctx, core.Identity{}, first.Next); return err },
		func() error { _, err := h.ListTemplates(ctx, core.Identity{}, first.Next); return err },
	} {
		if err := list(); core.AsError(err).Code != core.CodeInvalid {
			t.Errorf("error %v", err)
		}
	}
}

// A client that pages while the list changes goes on where it was.
func TestCursorSurvivesReload(t *testing.T) {
	g := publish(t, testOptions(), manyNames(25))
	h := find(t, g, "shop")
	first, err := h.ListTools(context.Background(), core.Identity{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	config := manyNames(25)
	config.Servers[0].Tools = config.Servers[0].Tools[3:] // the pages begin elsewhere now
	republish(t, g, config)
	h = find(t, g, "shop")
	names, _ := walk(t, h, core.Identity{}, first.Next)
	if len(names) != 15 || names[0] != "t010" {
		t.Errorf("names %v", names)
	}
	config.Servers[0].Tools = append([]core.ToolConfig(nil), config.Servers[0].Tools[7:]...) // and now t009 is gone
	republish(t, g, config)
	h = find(t, g, "shop")
	if _, err := h.ListTools(context.Background(), core.Identity{}, first.Next); core.AsError(err).Code != core.CodeInvalid {
		t.Errorf("error %v", err)
	}
}

// allowed lets a subject see what its roles name.
var allowed = authorizer(func(who core.Identity, _ core.Action, on core.Object) bool {
	for _, role := range who.Roles {
		if role == on.Name {
			return true
		}
	}
	return false
})

func TestViews(t *testing.T) {
	o := testOptions()
	o.Authorizer = allowed
	h := find(t, publish(t, o, manyNames(25)), "shop")
	ctx := context.Background()
	a := core.Identity{Subject: "a", Roles: []string{"t003", "t020"}}
	b := core.Identity{Subject: "b", Roles: []string{"t020", "t003"}}
	page, err := h.ListTools(ctx, a, nil)
	if err != nil || len(page.Items) != 2 || page.Next != nil {
		t.Fatalf("%v %v", page, err)
	}
	if other, _ := h.ListTools(ctx, b, nil); other != page {
		t.Error("two callers who see the same have two pages")
	}
	if none, _ := h.ListTools(ctx, core.Identity{}, nil); len(none.Items) != 0 || none.Items == nil {
		t.Errorf("nobody sees %v", none.Items)
	}
	// A cursor names an item: one that the caller cannot see is no cursor.
	cursor := encodeCursor(h.(*handler).server.tools.marks[5])
	if _, err := h.ListTools(ctx, a, &cursor); core.AsError(err).Code != core.CodeInvalid {
		t.Errorf("error %v", err)
	}
	for i := range 2 * viewLimit {
		who := core.Identity{Roles: []string{fmt.Sprintf("t%03d", i%25), fmt.Sprintf("t%03d", i/25%25)}}
		if _, err := h.ListTools(ctx, who, nil); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(h.(*handler).server.tools.views); n > viewLimit {
		t.Errorf("%d views are kept", n)
	}
}

// What a caller can list, it can call, and nothing else: forbidden and missing
// look alike (security.md T12).
func TestListThenCall(t *testing.T) {
	config := good(t)
	config.Servers[0].Tools = append(config.Servers[0].Tools, core.ToolConfig{Name: "other", Invoker: echoes(`{"text":"x"}`)})
	o := testOptions()
	o.Authorizer = allowed
	h := find(t, publish(t, o, config), "bookshop")
	names := []string{"get_book", "other", "sum_up", "docs://readme", "docs://text", "docs://bytes", "docs://files/{name}", "docs://dynamic/{+path}", "missing"}
	rapid.Check(t, func(t *rapid.T) {
		who := core.Identity{Roles: rapid.SliceOfDistinct(rapid.SampledFrom(names), rapid.ID).Draw(t, "roles")}
		ctx, see := context.Background(), map[string]bool{}
		tools, _ := h.ListTools(ctx, who, nil)
		for _, one := range tools.Items {
			see[one.Name] = true
		}
		prompts, _ := h.ListPrompts(ctx, who, nil)
		for _, one := range prompts.Items {
			see[one.Name] = true
		}
		resources, _ := h.ListResources(ctx, who, nil)
		templates, _ := h.ListTemplates(ctx, who, nil)
		for _, one := range append(append([]*core.Resource{}, resources.Items...), templates.Items...) {
			see[one.URI] = true
		}
		check := func(name string, err error, missing core.Code) {
			if refused := err != nil && core.AsError(err).Code == missing; refused == see[name] {
				t.Fatalf("%s: listed %v, error %v", name, see[name], err)
			}
		}
		for _, name := range []string{"get_book", "other", "missing"} {
			_, err := h.CallTool(ctx, &core.Call{Tool: name, Who: who, Arguments: raw(`{"id":1}`)})
			check(name, err, core.CodeNotFound)
			if (h.Tool(ctx, who, name) != nil) != see[name] {
				t.Fatalf("Tool %s", name)
			}
			var e *core.Error
			if err != nil {
				e = core.AsError(err)
				if want := "there is no tool " + fmt.Sprintf("%q", name); e.Message != want {
					t.Fatalf("a forbidden tool looks different: %q", e.Message)
				}
			}
		}
		_, err := h.Complete(ctx, who, &core.CompleteRequest{RefType: "ref/prompt", Ref: "sum_up", Argument: "topic"})
		check("sum_up", err, core.CodeInvalid)
		for name, uri := range map[string]string{"docs://readme": "docs://readme", "docs://text": "docs://text", "docs://files/{name}": "docs://files/a", "docs://dynamic/{+path}": "docs://dynamic/x/y"} {
			_, err := h.ReadResource(ctx, &core.Call{Tool: uri, Who: who})
			check(name, err, core.CodeResource)
		}
		_, err = h.GetPrompt(ctx, &core.Call{Tool: "sum_up", Who: who, Arguments: raw(`{"topic":"x"}`)})
		if !see["sum_up"] {
			check("sum_up", err, core.CodeNotFound)
		} else if (err == nil) != see["docs://readme"] {
			// The prompt embeds a resource, which takes the right to read it.
			t.Fatalf("prompt with a forbidden resource: %v", err)
		}
	})
}

func FuzzCursor(f *testing.F) {
	c, problems := Build(context.Background(), manyNames(25), testOptions())
	if c == nil {
		f.Fatal(problems)
	}
	f.Cleanup(c.Close)
	view := c.byName["shop"].tools.full
	for _, m := range view.marks {
		f.Add(encodeCursor(m))
	}
	f.Add("")
	f.Add("AQAAAAAAAAAAAAAAAA")
	f.Fuzz(func(t *testing.T, cursor string) {
		page, err := view.page(&cursor)
		if err != nil {
			if core.AsError(err).Code != core.CodeInvalid || strings.Contains(core.AsError(err).Public(), cursor) && len(cursor) > 6 {
				t.Errorf("%q: %v", cursor, err)
			}
			return
		}
		if len(page.Items) == 0 && cursor == "" {
			t.Error("no items on the first page")
		}
		if m, ok := decodeCursor(cursor); ok && encodeCursor(m) != cursor {
			t.Errorf("%q is a second form of %q", cursor, encodeCursor(m))
		}
	})
}
