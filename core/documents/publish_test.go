package documents

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/sallyport/sallyport/core"
)

func TestLifecycle(t *testing.T) {
	r, ctx := newRig(t), t.Context()
	first := shop("hello")
	r.save(t, "shop", first)
	if list, err := r.List(ctx, acme, false); err != nil || len(list) != 1 || list[0].Number != 0 || list[0].Draft == nil || list[0].Draft.Same {
		t.Fatalf("%+v %v", list, err)
	}
	done := r.publish(t, "shop")
	if v := done.Versions; len(v) != 1 || v[0].Number != 1 || v[0].By != "ada" || v[0].ByName != "ADA" || v[0].Reason != "because" || v[0].Text != first || v[0].Sum != sumOf(first) {
		t.Fatalf("%+v", v)
	}
	if got := r.served(t, "shop"); got != first {
		t.Fatalf("%q", got)
	}
	_, err := r.Draft(ctx, acme, "shop")
	wantCode(t, err, core.CodeNotFound, "draft")

	second := strings.ReplaceAll(shop("good day"), "\n", "\r\n")
	r.put(t, "shop", second)
	if got := r.served(t, "shop"); got != second {
		t.Fatalf("bytes were lost: %q", got)
	}
	back, err := r.Rollback(ctx, by("bob"), acme, "shop", 1, 2)
	if err != nil || back.Versions[0].Number != 3 || back.Versions[0].From != 1 || back.Versions[0].Text != first {
		t.Fatalf("%+v %v", back, err)
	}
	_, err = r.Rollback(ctx, by("bob"), acme, "shop", 1, 3)
	wantCode(t, err, core.CodeInvalid, "served already")
	_, err = r.Rollback(ctx, by("bob"), acme, "shop", 2, 2)
	wantCode(t, err, core.CodeChanged, "version 3")
	_, err = r.Rollback(ctx, by("bob"), acme, "shop", 9, Any)
	wantCode(t, err, core.CodeNotFound, "version 9")

	// Delete, and bring back.
	if _, _, err := r.MarkDelete(ctx, by("ada"), acme, "shop", Any); err != nil {
		t.Fatal(err)
	}
	gone := r.publish(t, "shop")
	if !gone.Versions[0].Delete || gone.Versions[0].Number != 4 {
		t.Fatalf("%+v", gone.Versions)
	}
	if list, _ := r.List(ctx, acme, false); len(list) != 0 {
		t.Fatalf("%+v", list)
	}
	if list, _ := r.List(ctx, acme, true); len(list) != 1 || !list[0].Gone {
		t.Fatalf("%+v", list)
	}
	_, _, err = r.MarkDelete(ctx, by("ada"), acme, "shop", Any)
	wantCode(t, err, core.CodeNotFound, "shop")
	if _, err := r.Rollback(ctx, by("ada"), acme, "shop", 2, Any); err != nil {
		t.Fatal(err)
	}
	if got := r.served(t, "shop"); got != second {
		t.Fatalf("%q", got)
	}
	versions, next, err := r.Versions(ctx, acme, "shop", "", 2)
	if err != nil || len(versions) != 2 || versions[0].Number != 5 || next == "" {
		t.Fatalf("%+v %q %v", versions, next, err)
	}
	versions, next, err = r.Versions(ctx, acme, "shop", next, 0)
	if err != nil || len(versions) != 3 || versions[2].Number != 1 || next != "" {
		t.Fatalf("%+v %q %v", versions, next, err)
	}

	var actions []string
	for _, entry := range r.store.trail {
		actions = append(actions, entry.Action)
		if entry.Tenant != acme || entry.Outcome != "ok" || entry.Actor == "" || entry.Name != "shop" || entry.Reason != "because" || entry.Time.IsZero() || entry.Request != "r1" {
			t.Errorf("%+v", entry)
		}
	}
	want := "document.draft document.publish document.draft document.publish document.rollback document.draft document.publish document.rollback"
	if got := strings.Join(actions, " "); got != want {
		t.Errorf("trail: %s", got)
	}
	var told struct {
		Documents []struct {
			Document string
			Number   int64
			From     int64
		}
	}
	last := r.store.trail[len(r.store.trail)-1]
	if err := json.Unmarshal(last.Details, &told); err != nil || told.Documents[0].Number != 5 || told.Documents[0].From != 2 {
		t.Errorf("%s %v", last.Details, err)
	}
}

func TestDraftsAreNeverRefusedForWhatTheySay(t *testing.T) {
	tests := []struct {
		name, text, problem string
		line                int
	}{
		{"not YAML", "servers: [", "not closed", 2},
		{"unknown key", "servers:\n  - name: shop\n    tolls: []\n", "unknown key", 3},
		{"empty", "", "empty", 1},
		{"unknown kind", "servers:\n  - name: shop\n    tools:\n      - name: x\n        description: y\n        invoker: {kind: sya}\n", "sya", 6},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			draft, problems, err := r.SaveDraft(t.Context(), by("ada"), acme, Edit{Name: "shop", Text: []byte(tt.text)})
			if err != nil || draft.Text != tt.text || draft.Version != 1 {
				t.Fatalf("%+v %v", draft, err)
			}
			i := slices.IndexFunc(problems, func(p core.Problem) bool { return !p.Warning })
			if i < 0 || problems[i].File != "shop.yaml" || problems[i].Line != tt.line || problems[i].Column == 0 || problems[i].Fix == "" || !strings.Contains(problems[i].Message, tt.problem) {
				t.Fatalf("%+v", problems)
			}
			_, err = r.Publish(t.Context(), by("ada"), acme, Publication{Drafts: []Pick{{Name: "shop"}}})
			wantCode(t, err, core.CodeInvalid, "nothing was published")
			if len(core.AsError(err).Problems) == 0 {
				t.Error("the refusal says no problems")
			}
			if versions, _, err := r.Versions(t.Context(), acme, "shop", "", 0); err != nil || len(versions) != 0 {
				t.Errorf("%v %v", versions, err)
			}
		})
	}
}

func TestWhatIsRefused(t *testing.T) {
	r, ctx := newRig(t), t.Context()
	base := int64(7)
	tests := []struct {
		name string
		edit Edit
		code core.Code
		says string
	}{
		{"upper case", Edit{Name: "Shop"}, core.CodeInvalid, "name"},
		{"path", Edit{Name: "../shop"}, core.CodeInvalid, "name"},
		{"no name", Edit{}, core.CodeInvalid, "name"},
		{"long name", Edit{Name: strings.Repeat("a", 64)}, core.CodeInvalid, "63"},
		{"route", Edit{Name: "publish"}, core.CodeInvalid, "meaning"},
		{"settings", Edit{Name: "settings"}, core.CodeInvalid, "meaning"},
		{"size", Edit{Name: "shop", Text: bytes.Repeat([]byte{'#'}, MaxText+1)}, core.CodeTooLarge, "4 MiB"},
		{"NUL", Edit{Name: "shop", Text: []byte("a\x00b")}, core.CodeInvalid, "NUL"},
		{"UTF-8", Edit{Name: "shop", Text: []byte("a\xffb")}, core.CodeInvalid, "UTF-8"},
		{"base", Edit{Name: "shop", Base: &base}, core.CodeInvalid, "version 7"},
		{"delete nothing", Edit{Name: "shop", Delete: true}, core.CodeNotFound, "shop"},
		{"match nothing", Edit{Name: "shop", Match: 3}, core.CodeChanged, "no draft"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := r.SaveDraft(ctx, by("ada"), acme, tt.edit)
			wantCode(t, err, tt.code, tt.says)
		})
	}
	t.Run("reason", func(t *testing.T) {
		act := by("ada")
		act.Reason = strings.Repeat("x", MaxReason+1)
		_, _, err := r.SaveDraft(ctx, act, acme, Edit{Name: "shop"})
		wantCode(t, err, core.CodeInvalid, "reason")
	})
	t.Run("nothing named", func(t *testing.T) {
		_, err := r.Publish(ctx, by("ada"), acme, Publication{})
		wantCode(t, err, core.CodeInvalid, "no draft")
	})
	t.Run("named twice", func(t *testing.T) {
		_, err := r.Publish(ctx, by("ada"), acme, Publication{Drafts: []Pick{{Name: "a"}, {Name: "a"}}})
		wantCode(t, err, core.CodeInvalid, "twice")
	})
	if len(r.store.rows) != 0 || len(r.store.trail) != 0 {
		t.Errorf("something was kept: %v", r.store.rows)
	}
	r.put(t, "shop", shop("hello"))
	r.save(t, "shop", shop("hello"))
	_, err := r.Publish(ctx, by("ada"), acme, Publication{Drafts: []Pick{{Name: "shop"}}})
	wantCode(t, err, core.CodeInvalid, "served already")
	_, err = r.Publish(ctx, by("ada"), acme, Publication{Drafts: []Pick{{Name: "other"}}})
	wantCode(t, err, core.CodeNotFound, "other")
}

func TestTwoEditors(t *testing.T) {
	r, ctx := newRig(t), t.Context()
	save := func(who string, match int64) error {
		_, _, err := r.SaveDraft(ctx, by(who), acme, Edit{Name: "shop", Text: []byte(shop(who)), Match: match})
		return err
	}
	if err := save("ada", 0); err != nil {
		t.Fatal(err)
	}
	wantCode(t, save("bob", 0), core.CodeChanged, "somebody else")
	if err := save("bob", 1); err != nil {
		t.Fatal(err)
	}
	err := save("ada", 1)
	wantCode(t, err, core.CodeChanged, "read it again")
	if !strings.Contains(string(core.AsError(err).Details), `"by":"bob"`) {
		t.Errorf("%s", core.AsError(err).Details)
	}
	_, err = r.Publish(ctx, by("ada"), acme, Publication{Drafts: []Pick{{Name: "shop", Match: 1}}})
	wantCode(t, err, core.CodeChanged, "somebody else")
	wantCode(t, r.DeleteDraft(ctx, by("ada"), acme, "shop", 1), core.CodeChanged, "somebody else")
	if err := r.DeleteDraft(ctx, by("ada"), acme, "shop", 2); err != nil {
		t.Fatal(err)
	}
	wantCode(t, r.DeleteDraft(ctx, by("ada"), acme, "shop", Any), core.CodeNotFound, "draft")

	t.Run("at the same time", func(t *testing.T) {
		r := newRig(t)
		r.store.twice = false
		var wg sync.WaitGroup
		errs := make([]error, 8)
		for i := range errs {
			wg.Go(func() {
				_, _, errs[i] = r.SaveDraft(ctx, by("ada"), acme, Edit{Name: "shop", Text: []byte(shop("x")), Unchecked: true})
			})
		}
		wg.Wait()
		won := 0
		for _, err := range errs {
			if err == nil {
				won++
			} else if !isCode(err, core.CodeChanged) {
				t.Error(err)
			}
		}
		if won != 1 {
			t.Errorf("%d editors won", won)
		}
	})
}

func TestBaseMoved(t *testing.T) {
	r, ctx := newRig(t), t.Context()
	r.put(t, "shop", shop("one"))
	r.save(t, "shop", shop("mine"))
	if _, err := r.Rollback(ctx, by("bob"), acme, "shop", 1, Any); err == nil {
		t.Fatal("rolled back to what is served")
	}
	// Somebody else publishes by an import.
	archive, err := NewArchive(acme, r.at, map[string][]byte{"shop": []byte(shop("two"))})
	if err != nil {
		t.Fatal(err)
	}
	mine, err := r.Draft(ctx, acme, "shop")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Import(ctx, by("bob"), acme, archive, Import{Publish: true, Replace: true}); err != nil {
		t.Fatal(err)
	}
	base := int64(1)
	if _, _, err := r.SaveDraft(ctx, by("ada"), acme, Edit{Name: "shop", Text: []byte(mine.Text), Base: &base}); err != nil {
		t.Fatal(err)
	}
	_, err = r.Publish(ctx, by("ada"), acme, Publication{Drafts: []Pick{{Name: "shop"}}})
	wantCode(t, err, core.CodeChanged, "published by BOB at 2026-12-01T08:")
	if d := string(core.AsError(err).Details); !strings.Contains(d, `"number":2`) || !strings.Contains(d, `"base":1`) || !strings.Contains(d, `"reason":"because"`) {
		t.Errorf("%s", d)
	}
	if problems, err := r.Validate(ctx, acme, "shop"); err != nil || len(problems) != 1 || !problems[0].Warning || !strings.Contains(problems[0].Message, "version 2 was published") {
		t.Errorf("%+v %v", problems, err)
	}
	list, err := r.List(ctx, acme, false)
	if err != nil || !list[0].Draft.Stale {
		t.Errorf("%+v %v", list, err)
	}
	base = 2
	if _, _, err := r.SaveDraft(ctx, by("ada"), acme, Edit{Name: "shop", Text: []byte(mine.Text), Base: &base, Match: Any}); err != nil {
		t.Fatal(err)
	}
	if done := r.publish(t, "shop"); done.Versions[0].Number != 3 {
		t.Errorf("%+v", done.Versions)
	}
}

// A server moves from one document to another: either alone is wrong, both are right.
func TestPublishSeveral(t *testing.T) {
	r, ctx := newRig(t), t.Context()
	other := strings.ReplaceAll(shop("other"), "name: shop", "name: cellar")
	r.put(t, "one", shop("hello")+strings.TrimPrefix(other, "# the shop\nservers:\n"))
	r.save(t, "one", other)
	if _, problems, err := r.SaveDraft(ctx, by("ada"), acme, Edit{Name: "two", Text: []byte(shop("hello"))}); err != nil || !refused(problems) {
		t.Fatalf("%v %v", problems, err)
	}
	_, err := r.Publish(ctx, by("ada"), acme, Publication{Drafts: []Pick{{Name: "two"}}})
	wantCode(t, err, core.CodeInvalid, "mistakes")
	dry, err := r.Publish(ctx, by("ada"), acme, Publication{Drafts: []Pick{{Name: "two"}, {Name: "one"}}, DryRun: true})
	if err != nil || refused(dry.Problems) || len(dry.Versions) != 0 {
		t.Fatalf("%+v %v", dry, err)
	}
	if len(dry.Affected.Servers) != 0 {
		t.Errorf("nobody is affected by a move: %+v", dry.Affected)
	}
	revision := r.store.revision
	done := r.publish(t, "two", "one")
	if len(done.Versions) != 2 || r.store.revision != revision+1 {
		t.Errorf("%+v, %d changes", done.Versions, r.store.revision-revision)
	}
	if last := r.store.trail[len(r.store.trail)-1]; last.Name != "one two" {
		t.Errorf("%+v", last)
	}
	// One of several is wrong: nothing is published.
	r.save(t, "two", shop("better"))
	if _, _, err := r.SaveDraft(ctx, by("ada"), acme, Edit{Name: "one", Text: []byte("servers: 3"), Match: Any}); err != nil {
		t.Fatal(err)
	}
	_, err = r.Publish(ctx, by("ada"), acme, Publication{Drafts: []Pick{{Name: "two"}, {Name: "one"}}})
	wantCode(t, err, core.CodeInvalid, "mistakes")
	if got := r.served(t, "two"); got != shop("hello") {
		t.Errorf("half of it was published: %q", got)
	}
}

// Two publications of different documents, each right alone and wrong together: the one
// that comes second is checked again, on what the first left.
func TestWriteSkew(t *testing.T) {
	run := func(t *testing.T, guarded bool) error {
		r := newRig(t)
		r.store.twice = false
		ctx := t.Context()
		r.save(t, "one", shop("hello"))
		r.save(t, "two", strings.ReplaceAll(shop("hello"), "name: shop", "name: cellar"))
		if _, _, err := r.SaveDraft(ctx, by("bob"), acme, Edit{Name: "two", Text: []byte(shop("hello")), Match: Any}); err != nil {
			t.Fatal(err)
		}
		first := true
		r.store.before = func() {
			if first { // between the check of "one" and its transaction "two" is published
				first = false
				r.publish(t, "two")
				if !guarded {
					delete(r.store.rows, core.Key{Kind: "setting", Tenant: acme, ID: guard})
				}
			}
		}
		_, err := r.Publish(ctx, by("ada"), acme, Publication{Drafts: []Pick{{Name: "one"}}})
		return err
	}
	t.Run("refused", func(t *testing.T) { wantCode(t, run(t, true), core.CodeInvalid, "mistakes") })
	t.Run("without the guard it would pass", func(t *testing.T) {
		if err := run(t, false); err != nil {
			t.Errorf("the test does not show what the guard is for: %v", err)
		}
	})
}

func TestPublishingGoesOnAfterOthers(t *testing.T) {
	r := newRig(t)
	r.store.twice = false
	r.save(t, "one", shop("hello"))
	r.save(t, "two", strings.ReplaceAll(shop("hello"), "name: shop", "name: cellar"))
	first := true
	r.store.before = func() {
		if first {
			first = false
			r.publish(t, "two")
		}
	}
	if done := r.publish(t, "one"); done.Versions[0].Number != 1 {
		t.Errorf("%+v", done)
	}
	t.Run("but not on a draft that nobody looked at", func(t *testing.T) {
		r.save(t, "one", shop("looked at"))
		first := true
		r.store.before = func() {
			if first {
				first = false
				r.save(t, "one", shop("changed"))
			}
		}
		_, err := r.Publish(t.Context(), by("ada"), acme, Publication{Drafts: []Pick{{Name: "one"}}})
		wantCode(t, err, core.CodeChanged, "somebody else")
	})
}

func TestStoreAway(t *testing.T) {
	r := newRig(t)
	r.save(t, "shop", shop("hello"))
	r.store.broken = &core.Error{Code: core.CodeUnavailable, Message: "away", Err: errors.New("x")}
	_, err := r.Publish(t.Context(), by("ada"), acme, Publication{Drafts: []Pick{{Name: "shop"}}})
	wantCode(t, err, core.CodeUnavailable, "away")
	r.store.broken = nil
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = r.Publish(ctx, by("ada"), acme, Publication{Drafts: []Pick{{Name: "shop"}}})
	wantCode(t, err, core.CodeCancelled, "not checked")
}

func TestFilesBesideTheStore(t *testing.T) {
	r, ctx := newRig(t), t.Context()
	r.files = []File{{Name: "shop", Path: "gateway/shop.yaml", Text: []byte(shop("file"))}}
	list, err := r.List(ctx, core.DefaultTenant, false)
	if err != nil || len(list) != 1 || list[0].Origin != FromFile || list[0].Path != "gateway/shop.yaml" {
		t.Fatalf("%+v %v", list, err)
	}
	if list, _ := r.List(ctx, acme, false); len(list) != 0 {
		t.Fatalf("files of the default tenant in another: %+v", list)
	}
	_, _, err = r.SaveDraft(ctx, by("ada"), core.DefaultTenant, Edit{Name: "shop", Text: []byte(shop("x"))})
	wantCode(t, err, core.CodeReadOnly, "comes from a file")
	// A server of the same name in another document clashes with the file's.
	_, problems, err := r.SaveDraft(ctx, by("ada"), core.DefaultTenant, Edit{Name: "other", Text: []byte(shop("x"))})
	if err != nil || !refused(problems) {
		t.Fatalf("%v %v", problems, err)
	}
	// It is taken over by an import, and published when the file is gone.
	archive, err := NewArchive(core.DefaultTenant, r.at, map[string][]byte{"shop": r.files[0].Text})
	if err != nil {
		t.Fatal(err)
	}
	result, err := r.Import(ctx, by("ada"), core.DefaultTenant, archive, Import{})
	if err != nil || len(result.Drafts) != 1 || !refused(result.Problems) {
		t.Fatalf("%+v %v", result, err)
	}
	if e, text, err := r.Get(ctx, core.DefaultTenant, "shop", FromFile); err != nil || e.Origin != FromFile || text != shop("file") {
		t.Fatalf("%+v %v", e, err)
	}
	r.files = nil
	if _, err := r.Publish(ctx, by("ada"), core.DefaultTenant, Publication{Drafts: []Pick{{Name: "shop"}}}); err != nil {
		t.Fatal(err)
	}
}

func TestTooMany(t *testing.T) {
	r, ctx := newRig(t), t.Context()
	r.store.twice = false
	for i := range MaxDocuments {
		draft := &core.Draft{Tenant: acme, Name: "d" + string(rune('a'+i%26)) + strings.Repeat("x", i/26)}
		if err := (memoryTx{r.store}).Put(ctx, draft); err != nil {
			t.Fatal(err)
		}
	}
	_, _, err := r.SaveDraft(ctx, by("ada"), acme, Edit{Name: "shop", Unchecked: true})
	wantCode(t, err, core.CodeTooLarge, "1000 documents")
	if _, _, err := r.SaveDraft(ctx, by("ada"), "other", Edit{Name: "shop", Unchecked: true}); err != nil {
		t.Fatal(err)
	}
}
