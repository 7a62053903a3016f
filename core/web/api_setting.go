package web

import (
	"context"
	"encoding/json"

	"github.com/sallyport/sallyport/core"
)

// settingForm is what people write of a setting.
type settingForm struct {
	reasoned

	Name  string          `json:"name,omitempty"` // a slug; only of a new one
	Value json.RawMessage `json:"value"`          // any JSON
}

// settingState is a setting as it is shown.
type settingState struct {
	Name  string          `json:"name"`
	Value json.RawMessage `json:"value"`
	core.Stamp
}

// ownSetting tells whether the gateway keeps a setting for itself, which is neither shown
// nor written here: the setup token, and what has a dot in its name, which no slug has.
func ownSetting(name string) bool { return !slug(name) || name == "setup" }

func settingRoutes() []apiRoute {
	return noun[core.Setting, *core.Setting, settingForm, settingState]{
		kind: "setting", path: "/settings", param: "name", one: "a setting", many: "settings that the admin plane keeps",
		key: func(tenant, name string) *core.Setting { return &core.Setting{Tenant: tenant, Name: name} },
		find: func(ctx context.Context, c *apiCall, from core.Reader, name string) (*core.Setting, error) {
			s := &core.Setting{Tenant: c.tenant, Name: name}
			if ownSetting(name) {
				return nil, missing("setting")
			}
			if err := from.Get(ctx, s); err != nil {
				if core.AsError(err).Code == core.CodeNotFound {
					return nil, missing("setting")
				}
				return nil, err
			}
			return s, nil
		},
		hides: func(s *core.Setting) bool { return ownSetting(s.Name) },
		made: func(s *core.Setting, form *settingForm) error {
			s.Name = form.Name
			problems := needSlug(nil, "/name", form.Name)
			if problems == nil && ownSetting(form.Name) {
				problems = append(problems, wrong("/name", "the gateway keeps this setting for itself", "choose another name"))
			}
			if problems != nil {
				return invalid(problems...)
			}
			return nil
		},
		write: func(_ context.Context, _ *apiCall, _ core.Tx, s *core.Setting, form *settingForm, fresh bool) ([]string, error) {
			problems := needSame(nil, "/name", form.Name, s.Name, fresh)
			if len(form.Value) > 16<<10 {
				problems = append(problems, wrong("/value", "this is too long", "write at most 16 KiB"))
			}
			if problems != nil {
				return nil, invalid(problems...)
			}
			s.Value = string(form.Value)
			return nil, nil
		},
		show: func(s *core.Setting) settingState {
			return settingState{Name: s.Name, Value: json.RawMessage(s.Value), Stamp: s.Stamp}
		},
		name: func(s *core.Setting) string { return s.Name },
	}.routes()
}
