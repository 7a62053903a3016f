package vault

import (
	"strconv"
	"sync/atomic"

	"github.com/sallyport/sallyport/core"
)

// secrets are the credentials of tenants that documents name.
type secrets struct{ byName map[secretName]*secret }

type secretName struct{ tenant, name string }

// secret is opened when it is first asked for.
type secret struct {
	row   core.Credential
	value atomic.Pointer[core.Secret]
}

// Use takes the credentials of a State. What was opened before and did not change stays
// open.
func (v *Vault) Use(state *core.State) {
	before := v.held.Load()
	next := &secrets{byName: map[secretName]*secret{}}
	for i := range state.Credentials {
		row := &state.Credentials[i]
		if row.Owner != "" || row.Connector != "" {
			continue
		}
		name := secretName{row.Tenant, row.Name}
		one := &secret{row: *row}
		if old := before.byName[name]; old != nil && old.row.Sealed == row.Sealed && old.row.ID == row.ID {
			one.value.Store(old.value.Load())
		}
		next.byName[name] = one
	}
	v.held.Store(next)
}

// Secret returns the value of a credential of a tenant; "" is core.DefaultTenant. One
// that is not there is CodeNotFound. That one is past its Expires is for people to see:
// the upstream knows best what it takes.
func (v *Vault) Secret(tenant, name string) (core.Secret, error) {
	if tenant == "" {
		tenant = core.DefaultTenant
	}
	one := v.held.Load().byName[secretName{tenant, name}]
	if one == nil {
		return "", &core.Error{Code: core.CodeNotFound, Message: "there is no secret " + strconv.Quote(name), Fix: "set it in the admin plane, under credentials"}
	}
	if value := one.value.Load(); value != nil {
		return *value, nil
	}
	plain, err := v.openText(core.SealedRow, one.row.Sealed, core.CredentialBind(&one.row))
	if err != nil {
		return "", refusal("the secret "+strconv.Quote(name), err)
	}
	value := core.Secret(plain)
	one.value.Store(&value)
	return value, nil
}
