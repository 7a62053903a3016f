package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"mime/multipart"
	"net/url"
	"os"
	"strings"

	"github.com/sallyport/sallyport/plugins"
)

type adminModules struct {
	List     adminModulesList     `cmd:"" help:"List the plugin modules of a tenant, and the uploads that wait."`
	Upload   adminModulesUpload   `cmd:"" help:"Upload a plugin module. It waits until somebody approves what it asks for."`
	Approve  adminModulesApprove  `cmd:"" help:"Approve an upload: documents that name the module run it from now on."`
	Download adminModulesDownload `cmd:"" help:"Write a plugin module to a file."`
	Delete   adminModulesDelete   `cmd:"" help:"Delete a plugin module that no document names, or an upload that waits."`
}

type adminModulesList struct{ adminTarget }

func (k *adminModulesList) run(ctx context.Context, c console) int {
	return k.with(ctx, c, "modules list", func(a *adminClient) error {
		return a.list(ctx, "/modules", "name", "state", "release", "digest", "size", "asks", "approvedBy")
	})
}

type adminModulesUpload struct {
	adminTarget

	File     string `arg:"" help:"The .wasm file. Its signatures are those beside it (.sig, .cosign.json)." type:"existingfile"`
	Manifest string `help:"Its plugin.yaml, for a module that has none in it. Default: plugin.yaml beside it." placeholder:"FILE"`
	Reason   string `help:"Why, for the audit trail." placeholder:"TEXT"`
}

func (k *adminModulesUpload) run(ctx context.Context, c console) int {
	return k.with(ctx, c, "modules upload", func(a *adminClient) error {
		form, err := moduleForm(k.File, k.Manifest, k.Reason)
		if err != nil {
			return err
		}
		answer, err := a.call(ctx, "POST", "/modules", form)
		if err != nil || a.raw {
			if err == nil {
				err = a.print(answer)
			}
			return err
		}
		var m moduleAnswer
		if err := json.Unmarshal(answer.body, &m); err != nil {
			return err
		}
		if m.State == "approved" {
			fmt.Fprintf(c.out, "%s is approved already and runs\n", moduleTitle(&m))
			return nil
		}
		fmt.Fprintf(c.out, "uploaded %s, which waits for approval\n  asks for     %s\n  of that new  %s\n  approve it:  sallyport admin modules approve %s --digest %s\n",
			moduleTitle(&m), wordsOr(m.Asks, "nothing"), wordsOr(m.AsksAnew, "nothing"), m.Name, m.Digest)
		return nil
	})
}

// adminForm is a body of parts.
type adminForm struct {
	kind string
	body []byte
}

// moduleForm reads a module and what stands beside it, as the gateway reads files.
func moduleForm(file, manifest, reason string) (*adminForm, error) {
	artifact, err := plugins.ReadFiles(file, manifest)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	parts := []struct {
		name string
		text []byte
	}{{"module", artifact.Module}, {"manifest", artifact.PluginYAML}, {"reason", []byte(reason)}}
	for name, suffix := range map[string]string{"signature": plugins.SignatureSuffix, "cosign": plugins.CosignSuffix} {
		text, err := os.ReadFile(file + suffix)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		parts = append(parts, struct {
			name string
			text []byte
		}{name, text})
	}
	for _, p := range parts {
		if len(p.text) == 0 {
			continue
		}
		part, err := w.CreateFormFile(p.name, p.name)
		if err != nil {
			return nil, err
		}
		if _, err := part.Write(p.text); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return &adminForm{w.FormDataContentType(), b.Bytes()}, nil
}

type adminModulesApprove struct {
	adminTarget

	Name   string `arg:"" help:"Name of the module."`
	Digest string `help:"The content that you looked at. Default: what waits." placeholder:"sha256:…"`
	Reason string `help:"Why, for the audit trail." placeholder:"TEXT"`
}

func (k *adminModulesApprove) run(ctx context.Context, c console) int {
	return k.with(ctx, c, "modules approve", func(a *adminClient) error {
		path := "/modules/" + url.PathEscape(k.Name)
		if k.Digest == "" {
			waits, err := a.call(ctx, "GET", path+"?of=waiting", nil)
			if err != nil {
				return err
			}
			var m moduleAnswer
			if err := json.Unmarshal(waits.body, &m); err != nil {
				return err
			}
			k.Digest = m.Digest
		}
		answer, err := a.call(ctx, "POST", path+"/approve", map[string]any{"digest": k.Digest, "reason": k.Reason})
		if err != nil || a.raw {
			if err == nil {
				err = a.print(answer)
			}
			return err
		}
		var m moduleAnswer
		if err := json.Unmarshal(answer.body, &m); err != nil {
			return err
		}
		fmt.Fprintf(c.out, "approved %s\n  may ask for  %s\n  name it in a document:  source: store:%s\n", moduleTitle(&m), wordsOr(m.Asks, "nothing"), m.Name)
		for _, p := range m.Problems {
			fmt.Fprintf(c.err, "warning: %s: %s: %s; %s\n", p.File, p.Path, p.Problem, p.Fix)
		}
		if len(m.Problems) > 0 {
			fmt.Fprintln(c.err, "these documents are not good with it: what was served before still is; mend them, or upload and approve the version before")
		}
		return nil
	})
}

type adminModulesDownload struct {
	adminTarget

	Name    string `arg:"" help:"Name of the module."`
	Waiting bool   `help:"The upload that waits, instead of what is approved."`
	Out     string `help:"File to write. Default: NAME.wasm." placeholder:"FILE"`
}

func (k *adminModulesDownload) run(ctx context.Context, c console) int {
	return k.with(ctx, c, "modules download", func(a *adminClient) error {
		answer, err := a.call(ctx, "GET", "/modules/"+url.PathEscape(k.Name)+"/content"+ofWaiting(k.Waiting), nil)
		if err != nil {
			return err
		}
		file := k.Out
		if file == "" {
			file = k.Name + ".wasm"
		}
		if err := os.WriteFile(file, answer.body, 0o600); err != nil {
			return err
		}
		fmt.Fprintf(c.out, "wrote %s, %d bytes\n", file, len(answer.body))
		return nil
	})
}

func ofWaiting(waiting bool) string {
	if waiting {
		return "?of=waiting"
	}
	return ""
}

type adminModulesDelete struct {
	adminTarget

	Name    string `arg:"" help:"Name of the module."`
	Waiting bool   `help:"Only the upload that waits."`
}

func (k *adminModulesDelete) run(ctx context.Context, c console) int {
	return k.with(ctx, c, "modules delete", func(a *adminClient) error {
		return a.remove(ctx, "/modules/"+url.PathEscape(k.Name)+ofWaiting(k.Waiting))
	})
}

// moduleTitle is how commands print a module.
func moduleTitle(m *moduleAnswer) string {
	return m.Name + " " + m.Release + " (" + m.Digest + ")"
}

// moduleAnswer is what commands read of a module.
type moduleAnswer struct {
	Name, State, Release, Digest string
	Asks, AsksAnew               []string
	Problems                     []struct{ File, Path, Problem, Fix string }
}

// wordsOr joins what is asked for.
func wordsOr(list []string, none string) string {
	if len(list) == 0 {
		return none
	}
	return strings.Join(list, "; ")
}
