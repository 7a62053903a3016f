package author

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/plugins/manifest"
	"github.com/sallyport/sallyport/plugins/registry"
	"github.com/sallyport/sallyport/plugins/rewrite"
	"github.com/sallyport/sallyport/plugins/selftest"
	"github.com/sallyport/sallyport/plugins/trust"
)

// InspectOptions say what to look at, and by whose rules.
type InspectOptions struct {
	TransportOptions
	Policy *manifest.Capabilities // what an operator grants; nil = not asked
}

// Inspection is what can be known of a plugin without running it.
type Inspection struct {
	Source      string   `json:"source"`
	Digest      string   `json:"digest"`
	Name        string   `json:"name"`
	Version     string   `json:"version"`
	Description string   `json:"description,omitempty"`
	ABI         string   `json:"abi"`
	Kinds       []string `json:"kinds"`
	Tools       []Tool   `json:"tools,omitempty"`
	Context     []string `json:"context,omitempty"`
	Isolation   string   `json:"isolation"`
	OnError     string   `json:"on_error"`
	// ConfigSchema is what its configuration must be; nil = nothing is said.
	ConfigSchema json.RawMessage `json:"config_schema,omitempty"`

	Imports   []string `json:"imports"`             // module.name
	Linked    []string `json:"capabilities"`        // that the imports need
	Requested []string `json:"requested"`           // in words, by the manifest
	Unasked   []string `json:"unasked,omitempty"`   // imported and not asked for: it cannot be loaded
	Unused    []string `json:"unused,omitempty"`    // asked for and not imported
	Granted   []string `json:"granted,omitempty"`   // in words, within the policy
	Refused   []string `json:"refused,omitempty"`   // in words, by the policy
	Judged    bool     `json:"judged"`              // there was a policy
	NotLinked []string `json:"notLinked,omitempty"` // imported, and not granted by the policy at all

	Limits  []Limit `json:"limits"`
	Size    int     `json:"size"`
	Gzip    int     `json:"gzip"`
	Memory  string  `json:"memory"`
	Code    Code    `json:"code"`
	Tests   int     `json:"selftests"`
	Signed  []Claim `json:"signatures,omitempty"`
	Refusal string  `json:"refusal,omitempty"` // why the gateway would not run it
}

// Tool is one tool of the manifest.
type Tool struct {
	Name        string          `json:"name"`
	Description string          `json:"description,omitempty"`
	Annotations json.RawMessage `json:"annotations,omitempty"`
}

// Limit is one limit of one kind.
type Limit struct {
	Kind    string `json:"kind"`
	Name    string `json:"name"`
	Asked   string `json:"requested,omitempty"`
	Default string `json:"default"`
	Gets    string `json:"gets"` // when the operator says nothing
	Most    string `json:"cap"`
}

// Code tells how big the module is inside, and how near to what is taken at most.
type Code struct {
	Functions int `json:"functions"`
	Largest   int `json:"largestFunction"` // bytes
	Most      int `json:"largestAllowed"`
	Frame     int `json:"largestFrame"` // bytes of native stack
}

// Claim is one signature, as it says of itself: nothing is proved.
type Claim struct {
	Form    string     `json:"form"`
	Key     string     `json:"key,omitempty"`
	Signed  *time.Time `json:"signed,omitempty"`
	Expires *time.Time `json:"expires,omitempty"`
	Digest  string     `json:"digest,omitempty"`
	Fits    bool       `json:"fits"` // it speaks of this digest, name and version
}

// Inspect looks at a module in a file, a folder or a registry (oci://…).
func Inspect(ctx context.Context, source string, o InspectOptions) (*Inspection, error) {
	if strings.HasPrefix(source, "oci://") {
		a, ref, _, err := fetch(ctx, source, o.TransportOptions, nil)
		if err != nil {
			return nil, err
		}
		m, err := a.Manifest()
		if err != nil {
			return nil, err
		}
		return inspect(ref.String(), a, m, o)
	}
	p, err := Open(source)
	if err != nil {
		return nil, err
	}
	a, err := artifactOf(p.File)
	if err != nil {
		return nil, err
	}
	return inspect(p.File, a.Artifact, p.Manifest, o)
}

func inspect(source string, a *registry.Artifact, m *manifest.Manifest, o InspectOptions) (*Inspection, error) {
	i := &Inspection{
		Source: source, Digest: a.Digest, Name: m.Name, Version: m.Version, Description: m.Description, ABI: m.ABI,
		Context: m.Context, Isolation: m.Isolation, OnError: m.OnError, ConfigSchema: m.ConfigSchema,
		Size: len(a.Module), Gzip: compressed(a.Module), Requested: m.Capabilities.Words(),
	}
	for _, k := range m.Kinds {
		i.Kinds = append(i.Kinds, string(k))
		i.Limits = append(i.Limits, limitsOf(m, k)...)
	}
	for n := range m.Tools {
		i.Tools = append(i.Tools, Tool{m.Tools[n].Name, m.Tools[n].Description, m.Tools[n].Annotations})
	}
	for _, s := range a.Signatures {
		i.Signed = append(i.Signed, claimOf(s, a.Digest, m))
	}
	suites, err := selftest.FromModule(a.Module)
	if err != nil {
		return nil, err
	}
	for _, s := range suites {
		i.Tests += len(s.Cases)
	}
	module, err := rewrite.Inspect(a.Module, rewrite.Default)
	if err != nil {
		i.Refusal = err.Error()
		return i, nil //nolint:nilerr // that is what was found
	}
	i.look(module, m)
	if o.Policy != nil {
		i.judge(module, m, *o.Policy)
	}
	return i, nil
}

// look takes what the module's own bytes say.
func (i *Inspection) look(module *rewrite.Module, m *manifest.Manifest) {
	for _, one := range module.Imports {
		i.Imports = append(i.Imports, one.Module+"."+one.Name)
	}
	slices.Sort(i.Imports)
	i.Linked = capabilitiesOf(module)
	asked := requested(m.Capabilities)
	for _, c := range i.Linked {
		if !slices.Contains(asked, c) {
			i.Unasked = append(i.Unasked, c)
		}
	}
	for _, c := range asked {
		if !slices.Contains(i.Linked, c) && !injects(m.Capabilities, c) {
			i.Unused = append(i.Unused, c)
		}
	}
	i.Memory = manifest.Size(int64(module.MinPages)<<16).String() + " at the start"
	if module.HasMax {
		i.Memory += ", at most " + manifest.Size(int64(module.MaxPages)<<16).String()
	}
	i.Code = Code{Functions: module.Functions, Largest: module.Largest.Body, Most: rewrite.Default.Body, Frame: module.Largest.Stack}
	if err := agrees(module, m); err != nil {
		i.Refusal = err.Error()
	}
}

// judge asks a policy.
func (i *Inspection) judge(module *rewrite.Module, m *manifest.Manifest, policy manifest.Capabilities) {
	granted, refused := m.Capabilities.Within(policy)
	i.Judged, i.Granted, i.Refused = true, granted.Words(), refused
	given := requested(granted)
	for _, c := range capabilitiesOf(module) {
		if !slices.Contains(given, c) {
			i.NotLinked = append(i.NotLinked, c)
		}
	}
}

// OK reports that the gateway would load the plugin, as far as can be told.
func (i *Inspection) OK() bool { return i.Refusal == "" && len(i.NotLinked) == 0 }

func limitsOf(m *manifest.Manifest, k manifest.Kind) []Limit {
	asked, or, gets, most := m.Limits, manifest.Defaults(k), m.Limits.Within(manifest.Limits{}, k), manifest.Caps(k)
	var list []Limit
	add := func(name string, asked, or, gets, most fmt.Stringer, given bool) {
		l := Limit{Kind: string(k), Name: name, Default: or.String(), Gets: gets.String(), Most: most.String()}
		if given {
			l.Asked = asked.String()
		}
		list = append(list, l)
	}
	add("memory", asked.Memory, or.Memory, gets.Memory, most.Memory, asked.Memory > 0)
	add("timeout", asked.Timeout, or.Timeout, gets.Timeout, most.Timeout, asked.Timeout > 0)
	add("cpu", asked.CPU, or.CPU, gets.CPU, most.CPU, asked.CPU > 0)
	add("max_input", asked.MaxInput, or.MaxInput, gets.MaxInput, most.MaxInput, asked.MaxInput > 0)
	add("max_output", asked.MaxOutput, or.MaxOutput, gets.MaxOutput, most.MaxOutput, asked.MaxOutput > 0)
	return list
}

func claimOf(s trust.Signature, digest string, m *manifest.Manifest) Claim {
	one := Claim{Form: string(s.Form)}
	if s.Form != trust.FormSallyport {
		one.Fits = strings.Contains(string(s.Body), digest)
		return one
	}
	said, err := trust.ParseStatement(s.Body)
	if err != nil {
		one.Form = "unreadable"
		return one
	}
	one.Key, one.Digest, one.Signed = said.Key, said.Digest, &said.Signed
	if !said.Expires.IsZero() {
		one.Expires = &said.Expires
	}
	one.Fits = said.Subject == trust.Subject{Digest: digest, Name: m.Name, Version: m.Version}
	return one
}

// Print writes the inspection for people.
func (i *Inspection) Print(w io.Writer) {
	line := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%-13s %s\n", name, fmt.Sprintf(format, args...))
	}
	line("plugin", "%s %s", i.Name, i.Version)
	if i.Description != "" {
		line("", "%s", i.Description)
	}
	line("source", "%s", i.Source)
	line("digest", "%s", i.Digest)
	line("abi", "%s", i.ABI)
	line("kinds", "%s", strings.Join(i.Kinds, ", "))
	for _, t := range i.Tools {
		line("tool", "%s: %s", t.Name, oneLine(t.Description))
	}
	line("sees", "%s", orNone(i.Context))
	line("isolation", "%s", i.Isolation)
	line("size", "%s, %s with gzip", size(int64(i.Size)), size(int64(i.Gzip)))
	if i.Memory != "" {
		line("code", "%d functions, the largest %s of at most %s", i.Code.Functions, size(int64(i.Code.Largest)), size(int64(i.Code.Most)))
		line("memory", "%s", i.Memory)
		line("capabilities", "%s (by its imports)", orNone(i.Linked))
	}
	for n, words := range i.Requested {
		line(map[bool]string{true: "asks for"}[n == 0], "%s", words)
	}
	if i.Judged {
		for n, words := range i.Granted {
			line(map[bool]string{true: "granted"}[n == 0], "%s", words)
		}
		for n, words := range i.Refused {
			line(map[bool]string{true: "refused"}[n == 0], "%s", words)
		}
	}
	line("self-tests", "%d", i.Tests)
	i.printSignatures(line)
	fmt.Fprintf(w, "\n%-22s %-11s %-10s %-10s %-10s %s\n", "limits", "", "asks for", "default", "gets", "at most")
	for _, l := range i.Limits {
		asked := l.Asked
		if asked == "" {
			asked = "-"
		}
		fmt.Fprintf(w, "  %-20s %-11s %-10s %-10s %-10s %s\n", l.Kind, l.Name, asked, l.Default, l.Gets, l.Most)
	}
	if len(i.ConfigSchema) > 0 {
		var text bytes.Buffer
		if json.Indent(&text, i.ConfigSchema, "  ", "  ") == nil {
			fmt.Fprintf(w, "\nconfig_schema\n  %s\n", text.Bytes())
		}
	}
	for _, c := range i.Unused {
		fmt.Fprintf(w, "warning: it asks for %s and never uses it\n", c)
	}
	for _, c := range i.NotLinked {
		fmt.Fprintf(w, "refused: it needs %s, and the policy gives nothing of that: it cannot be loaded\n", c)
	}
	if i.Refusal != "" {
		fmt.Fprintf(w, "refused: %s\n", strings.ReplaceAll(i.Refusal, "\n", "\nrefused: "))
	}
}

func (i *Inspection) printSignatures(line func(name, format string, args ...any)) {
	if len(i.Signed) == 0 {
		line("signed", "by nobody")
	}
	for _, s := range i.Signed {
		what := s.Form
		if s.Key != "" {
			what += ", key " + s.Key + ", " + s.Signed.Format(time.RFC3339)
		}
		if s.Expires != nil {
			what += ", until " + s.Expires.Format(time.RFC3339)
		}
		if !s.Fits {
			what += ", of something else"
		}
		line("signed", "%s (as it says: `sallyport plugin verify` proves it)", what)
	}
}

func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > 100 {
		return string(r[:99]) + "…"
	}
	return s
}
