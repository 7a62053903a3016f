package web

import (
	"context"
	"time"

	"github.com/sallyport/sallyport/core"
)

// credentialForm is what people write of a secret.
type credentialForm struct {
	reasoned

	Name string `json:"name,omitempty"` // as documents write it: ${secret:NAME}; only of a new one
	// Value is written and never shown. Left out it stays.
	Value   *string    `json:"value,omitempty"`
	Note    string     `json:"note,omitempty"`
	Expires *time.Time `json:"expires,omitempty"` // for people: nothing happens then
}

func credentialRoutes() []apiRoute {
	return noun[core.Credential, *core.Credential, credentialForm, core.Credential]{
		kind: "credential", path: "/credentials", param: "name", one: "a secret that documents name", many: "the secrets that documents name",
		only: map[string]string{"owner": ""},
		key:  func(tenant, _ string) *core.Credential { return &core.Credential{Tenant: tenant} },
		find: func(ctx context.Context, c *apiCall, from core.Reader, name string) (*core.Credential, error) {
			var rows []core.Credential
			_, err := from.List(ctx, &rows, core.Query{Tenant: c.tenant, Equal: map[string]string{"owner": "", "name": name}, Limit: 1})
			if err != nil {
				return nil, err
			}
			if len(rows) == 0 {
				return nil, missing("credential")
			}
			return &rows[0], nil
		},
		made: func(k *core.Credential, form *credentialForm) error {
			if !credentialName(form.Name) {
				return invalid(wrong("/name", "this is no name", "write 1 to 64 letters, digits, _, - and ., beginning with a letter"))
			}
			if form.Value == nil {
				return invalid(wrong("/value", "value is missing", "write it"))
			}
			k.Name = form.Name
			return nil
		},
		write: writeCredential,
		show:  shown[core.Credential],
		name:  func(k *core.Credential) string { return k.Name },
	}.routes()
}

func writeCredential(ctx context.Context, c *apiCall, tx core.Tx, k *core.Credential, form *credentialForm, fresh bool) ([]string, error) {
	problems := needSame(nil, "/name", form.Name, k.Name, fresh)
	problems = needShort(problems, "/note", form.Note, 500)
	if form.Value != nil && *form.Value == "" {
		problems = append(problems, wrong("/value", "the value is empty", "write it, or delete the secret"))
	}
	if problems != nil {
		return nil, invalid(problems...)
	}
	k.Note, k.Expires = form.Note, form.Expires
	if form.Value == nil {
		return nil, nil
	}
	if fresh { // the sealed value is bound to the id, so there must be one
		if err := tx.Put(ctx, k); err != nil {
			return nil, err
		}
	}
	sealed, err := c.seal(*form.Value, core.CredentialBind(k))
	if err != nil {
		return nil, err
	}
	k.Sealed, k.Set = sealed, c.api.o.Now().UTC()
	return []string{"value"}, nil
}

// credentialName tells whether documents can name a secret so.
func credentialName(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || (c < '0' || c > '9') && c != '_' && c != '-' && c != '.') {
			return false
		}
	}
	return true
}
