package vault

import (
	"context"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

// cell is one sealed text in a row.
type cell interface {
	row() core.Row
	again() cell // an empty row of the same key
	token() string
	set(token string)
	purpose() string
	bind() []string
	name() string
}

// column lists the cells of one kind of row, page by page.
type column struct {
	kind string
	list func(ctx context.Context, store core.Reader, after string) (cells []cell, next string, err error)
}

// columns is everything in the store that is sealed.
var columns = []column{
	{"credentials", listOf(func(c *core.Credential) cell { return &credentialCell{c} })},
	{"providers", listOf(func(p *core.Provider) cell { return &providerCell{p} })},
	{"connectors", listOf(func(c *core.Connector) cell { return &connectorCell{c} })},
	{"settings", listSettings},
}

const pageSize = 500

func listOf[T any](of func(*T) cell) func(context.Context, core.Reader, string) ([]cell, string, error) {
	return func(ctx context.Context, store core.Reader, after string) ([]cell, string, error) {
		var rows []T
		next, err := store.List(ctx, &rows, core.Query{Tenant: core.EveryTenant, After: after, Limit: pageSize})
		var cells []cell
		for i := range rows {
			if c := of(&rows[i]); c.token() != "" {
				cells = append(cells, c)
			}
		}
		return cells, next, err
	}
}

// listSettings lists the two settings that the vault itself sealed.
func listSettings(ctx context.Context, store core.Reader, _ string) ([]cell, string, error) {
	var cells []cell
	for name, purpose := range map[string]string{checkSetting: checkPurpose, rootSetting: rootPurpose} {
		row, token, err := readSetting(ctx, store, name)
		if err != nil {
			return nil, "", err
		}
		if row != nil && token != "" {
			cells = append(cells, &settingCell{row, purpose})
		}
	}
	return cells, "", nil
}

func nameOf(r core.Row) string {
	k := r.Key()
	return k.Kind + "/" + k.Tenant + "/" + k.ID
}

type credentialCell struct{ c *core.Credential }

func (x *credentialCell) row() core.Row { return x.c }
func (x *credentialCell) again() cell {
	return &credentialCell{&core.Credential{Tenant: x.c.Tenant, ID: x.c.ID}}
}
func (x *credentialCell) token() string    { return x.c.Sealed }
func (x *credentialCell) set(token string) { x.c.Sealed = token }
func (x *credentialCell) purpose() string  { return core.SealedRow }
func (x *credentialCell) bind() []string   { return core.CredentialBind(x.c) }
func (x *credentialCell) name() string     { return nameOf(x.c) }

type providerCell struct{ p *core.Provider }

func (x *providerCell) row() core.Row { return x.p }
func (x *providerCell) again() cell {
	return &providerCell{&core.Provider{Tenant: x.p.Tenant, ID: x.p.ID}}
}
func (x *providerCell) token() string    { return x.p.ClientSecret }
func (x *providerCell) set(token string) { x.p.ClientSecret = token }
func (x *providerCell) purpose() string  { return core.SealedRow }
func (x *providerCell) bind() []string   { return core.ProviderBind(x.p) }
func (x *providerCell) name() string     { return nameOf(x.p) }

type connectorCell struct{ c *core.Connector }

func (x *connectorCell) row() core.Row { return x.c }
func (x *connectorCell) again() cell {
	return &connectorCell{&core.Connector{Tenant: x.c.Tenant, Name: x.c.Name}}
}
func (x *connectorCell) token() string    { return x.c.ClientSecret }
func (x *connectorCell) set(token string) { x.c.ClientSecret = token }
func (x *connectorCell) purpose() string  { return core.SealedRow }
func (x *connectorCell) bind() []string   { return core.ConnectorBind(x.c) }
func (x *connectorCell) name() string     { return nameOf(x.c) }

// settingCell is a setting whose JSON is a sealed text.
type settingCell struct {
	s    *core.Setting
	what string
}

func (x *settingCell) row() core.Row { return x.s }
func (x *settingCell) again() cell {
	return &settingCell{&core.Setting{Tenant: x.s.Tenant, Name: x.s.Name}, x.what}
}

func (x *settingCell) token() string {
	var token string
	if err := wire.Unmarshal([]byte(x.s.Value), &token); err != nil {
		return ""
	}
	return token
}
func (x *settingCell) set(token string) { x.s.Value = quoted(token) }
func (x *settingCell) purpose() string  { return x.what }
func (x *settingCell) bind() []string   { return core.SettingBind(x.s) }
func (x *settingCell) name() string     { return nameOf(x.s) }
