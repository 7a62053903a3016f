package plugins

import (
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/plugins/abi"
	"github.com/sallyport/sallyport/plugins/manifest"
	"github.com/sallyport/sallyport/plugins/rewrite"
)

// policyOf reads the grants of a document as what package manifest calls a policy; false
// when they have mistakes.
func policyOf(g *core.GrantsConfig, m *mistakes) (c manifest.Capabilities, ok bool) {
	if g == nil {
		return c, true
	}
	c = manifest.Capabilities{Secrets: g.Secrets, Progress: g.Progress, CallTool: g.CallTool}
	if g.KV != nil {
		if g.KV.MaxBytes < 0 || g.KV.MaxBytes > int64(manifest.MaxKV) {
			m.add("/grants/kv/max_bytes", "is out of range", "write a number of bytes from 1 to "+strconv.FormatInt(int64(manifest.MaxKV), 10)+", or leave it out for 1 MiB")
			return manifest.Capabilities{}, false
		}
		c.KV = &manifest.KV{Namespace: g.KV.Namespace, MaxBytes: manifest.Size(g.KV.MaxBytes)}
	}
	for i := range g.HTTP {
		rule := &g.HTTP[i]
		one := manifest.HTTP{Host: rule.Host, Scheme: rule.Scheme, Methods: rule.Methods, Ports: rule.Ports}
		if rule.Inject != nil {
			one.Inject = &manifest.Inject{Header: rule.Inject.Header, Secret: rule.Inject.Secret}
		}
		c.HTTP = append(c.HTTP, one)
	}
	return c, lawful(c, m)
}

// lawful holds grants against the rules of a policy in package manifest, so that hosts,
// methods and names are read in one way.
func lawful(c manifest.Capabilities, m *mistakes) bool {
	spelled := c
	if c.KV != nil && c.KV.Namespace == "" {
		kv := *c.KV
		kv.Namespace = "*" // absent = any
		spelled.KV = &kv
	}
	spelled.HTTP = slices.Clone(c.HTTP)
	for i := range spelled.HTTP {
		if in := spelled.HTTP[i].Inject; in != nil && in.Header == "" {
			spelled.HTTP[i].Inject = &manifest.Inject{Header: "X-As-The-Manifest-Says", Secret: in.Secret}
		}
	}
	text, err := json.Marshal(spelled)
	if err == nil {
		_, err = manifest.ParsePolicy("grants", text)
	}
	if err == nil {
		return true
	}
	var invalid *manifest.InvalidError
	if !errors.As(err, &invalid) {
		m.add("/grants", err.Error(), "")
		return false
	}
	for i := range invalid.Problems {
		p := &invalid.Problems[i]
		m.add("/grants"+p.Path, p.Message, p.Fix)
	}
	return false
}

// grant works out what the plugin gets: what it asks for, as far as the document grants
// it. What its module imports must be among it; the rest of what is refused is a warning.
func grant(about *manifest.Manifest, module *rewrite.Module, policy manifest.Capabilities, m *mistakes) (granted manifest.Capabilities, refused []string) {
	granted, refused = about.Capabilities.Within(policy)
	link := grantOf(granted)
	missing := map[string]bool{}
	if module != nil {
		for _, i := range module.Imports {
			if f, known := abi.FindImport(i.Name); known && i.Module == abi.Module && !link.Allows(f.Capability) {
				missing[f.Capability] = true
			}
		}
	}
	for _, capability := range []string{abi.CapHTTP, abi.CapKV, abi.CapSecrets, abi.CapProgress, abi.CapCallTool} {
		if !missing[capability] {
			continue
		}
		asked := wordsOf(about.Capabilities, capability)
		if len(asked) == 0 {
			m.add("/source", "the module imports functions of the capability "+capability+", which its manifest does not ask for", "use a build whose manifest names what it imports")
			continue
		}
		m.add("/grants", "the module imports functions of the capability "+capability+", which is not granted: "+strings.Join(asked, "; "),
			"if it should have it, write under grants: "+suggestion(about.Capabilities, capability))
	}
	if len(refused) > 0 && len(missing) == 0 {
		m.warn("/grants", "the plugin asks for more than it is granted: "+strings.Join(refused, "; "), "grant it, or know that what needs it will not work")
	}
	return granted, refused
}

// wordsOf returns what is asked for of one capability, in words.
func wordsOf(c manifest.Capabilities, capability string) []string {
	return only(c, capability).Words()
}

// only returns the part of one capability.
func only(c manifest.Capabilities, capability string) (part manifest.Capabilities) {
	switch capability {
	case abi.CapHTTP:
		part.HTTP = c.HTTP
	case abi.CapKV:
		part.KV = c.KV
	case abi.CapSecrets:
		part.Secrets = c.Secrets
	case abi.CapProgress:
		part.Progress = c.Progress
	case abi.CapCallTool:
		part.CallTool = c.CallTool
	}
	return part
}

// suggestion writes the grant that answers a request, as YAML of one line.
func suggestion(c manifest.Capabilities, capability string) string {
	list := func(items []string) string { return "[" + strings.Join(items, ", ") + "]" }
	switch capability {
	case abi.CapHTTP:
		rules := make([]string, 0, len(c.HTTP))
		for i := range c.HTTP {
			h := &c.HTTP[i]
			rule := "host: " + strconv.Quote(h.Host)
			if h.Scheme == "http" {
				rule += ", scheme: http"
			}
			if len(h.Methods) > 0 {
				rule += ", methods: " + list(h.Methods)
			}
			if h.Inject != nil {
				rule += ", inject: {secret: " + h.Inject.Secret + "}"
			}
			rules = append(rules, "{"+rule+"}")
		}
		return "http: " + list(rules)
	case abi.CapKV:
		return "kv: {namespace: " + c.KV.Namespace + "}"
	case abi.CapSecrets:
		return "secrets: " + list(c.Secrets)
	case abi.CapProgress:
		return "progress: true"
	}
	quoted := make([]string, len(c.CallTool))
	for i, name := range c.CallTool {
		quoted[i] = strconv.Quote(name)
	}
	return "call_tool: " + list(quoted)
}

// secretsOf returns the values of the secrets that are granted. Each must have one.
func secretsOf(given map[string]core.Secret, about *manifest.Manifest, granted manifest.Capabilities, m *mistakes) map[string]core.Secret {
	values := map[string]core.Secret{}
	for _, name := range granted.SecretNames() {
		value, ok := given[name]
		if !ok || value == "" {
			m.add("/secrets/"+escape(name), "the secret "+name+" is granted and has no value", "write secrets: {"+name+": ${env:…}} or ${file:…}")
			continue
		}
		values[name] = value
	}
	asked := about.Capabilities.SecretNames()
	for name := range given {
		if !slices.Contains(asked, name) {
			fix := "its manifest asks for no secret: remove it"
			if len(asked) > 0 {
				fix = "its manifest asks for " + strings.Join(asked, ", ")
			}
			m.warn("/secrets/"+escape(name), "the plugin does not use a secret of this name", fix)
		}
	}
	return values
}
