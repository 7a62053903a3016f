package web

import (
	"context"
	"slices"

	"github.com/sallyport/sallyport/core"
)

// limitForm is what people write of a limit. Numbers that are left out limit nothing.
type limitForm struct {
	reasoned

	Per      string  `json:"per"`                // identity, tenant, server, tool: whose use is counted together
	Subjects string  `json:"subjects,omitempty"` // a glob over ids of users; "" = all
	Objects  string  `json:"objects,omitempty"`  // a glob such as github/*; "" = all
	Rate     float64 `json:"rate,omitempty"`     // calls a second
	Burst    int     `json:"burst,omitempty"`
	AtOnce   int     `json:"atOnce,omitempty"`
	PerDay   int64   `json:"perDay,omitempty"` // calls in a day of UTC
	Bytes    int64   `json:"bytes,omitempty"`  // of the arguments of one call
	Note     string  `json:"note,omitempty"`
}

var perWhat = []string{"identity", "tenant", "server", "tool"}

func limitRoutes() []apiRoute {
	return noun[core.Limit, *core.Limit, limitForm, core.Limit]{
		kind: "limit", path: "/limits", param: "id", one: "a limit", many: "limits",
		filter: []apiParam{{Name: "per", About: "Only those that count so.", Enum: perWhat}},
		key:    func(tenant, id string) *core.Limit { return &core.Limit{Tenant: tenant, ID: id} },
		write: func(_ context.Context, _ *apiCall, _ core.Tx, l *core.Limit, form *limitForm, _ bool) ([]string, error) {
			var problems []core.Problem
			if !slices.Contains(perWhat, form.Per) {
				problems = append(problems, wrong("/per", "this is not known", "write identity, tenant, server or tool"))
			}
			problems = needShort(problems, "/subjects", form.Subjects, 500)
			problems = needShort(problems, "/objects", form.Objects, 500)
			problems = needShort(problems, "/note", form.Note, 500)
			for _, n := range []struct {
				path  string
				value float64
			}{{"/rate", form.Rate}, {"/burst", float64(form.Burst)}, {"/atOnce", float64(form.AtOnce)}, {"/perDay", float64(form.PerDay)}, {"/bytes", float64(form.Bytes)}} {
				if n.value < 0 || n.value > 1e12 {
					problems = append(problems, wrong(n.path, "this is less than 0, or more than anybody counts", "write 0, or leave it out, for no limit"))
				}
			}
			if form.Rate == 0 && form.AtOnce == 0 && form.PerDay == 0 && form.Bytes == 0 {
				problems = append(problems, wrong("", "this limits nothing", "write one of rate, atOnce, perDay, bytes"))
			}
			if form.Burst > 0 && form.Rate == 0 {
				problems = append(problems, wrong("/burst", "a burst needs a rate", "write rate too"))
			}
			if problems != nil {
				return nil, invalid(problems...)
			}
			l.Per, l.Subjects, l.Objects, l.Rate, l.Burst = form.Per, form.Subjects, form.Objects, form.Rate, form.Burst
			l.AtOnce, l.PerDay, l.Bytes, l.Note = form.AtOnce, form.PerDay, form.Bytes, form.Note
			return nil, nil
		},
		show: shown[core.Limit],
		name: func(l *core.Limit) string { return l.ID },
	}.routes()
}
