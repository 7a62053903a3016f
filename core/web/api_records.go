package web

import (
	"strconv"
	"time"

	"github.com/sallyport/sallyport/core"
)

// callState is a record of a call as it is shown.
type callState struct {
	ID         string    `json:"id"`
	Time       time.Time `json:"time"`
	Replica    string    `json:"replica"`
	Subject    string    `json:"subject,omitempty"`
	Who        string    `json:"who,omitempty"` // the name for people
	Via        core.Via  `json:"via,omitempty"`
	Credential string    `json:"credential,omitempty"`
	Server     string    `json:"server"`
	Kind       string    `json:"kind"` // tool, prompt, resource
	Name       string    `json:"name"`
	Revision   string    `json:"revision,omitempty"`
	Client     string    `json:"client,omitempty"`
	Outcome    string    `json:"outcome"` // ok, tool_error, or the code of an error
	Millis     float64   `json:"millis"`  // that it took
	In         int       `json:"bytesIn"`
	Out        int       `json:"bytesOut"`
	Request    string    `json:"request,omitempty"` // id
	Trace      string    `json:"trace,omitempty"`
	Arguments  string    `json:"arguments,omitempty"` // redacted and cut; only where payloads are kept
	Result     string    `json:"result,omitempty"`    // likewise
}

func callOf(r *core.CallRecord) callState {
	return callState{
		ID: r.ID, Time: r.Time.UTC(), Replica: r.Replica, Subject: r.Subject, Who: r.Who, Via: r.Via, Credential: r.Credential,
		Server: r.Server, Kind: r.Kind, Name: r.Name, Revision: r.Revision, Client: r.Client, Outcome: r.Outcome,
		Millis: float64(r.Duration.Microseconds()) / 1000, In: r.In, Out: r.Out, Request: r.Request, Trace: r.Trace,
		Arguments: r.Arguments, Result: r.Result,
	}
}

// callFilters are what calls can be asked for by.
func callFilters() []apiParam {
	return []apiParam{
		{Name: "server", About: "Only on this server."},
		{Name: "kind", About: "Only of these.", Enum: []string{"tool", "prompt", "resource"}},
		{Name: "name", About: "Only of this tool, prompt or resource."},
		{Name: "subject", About: "Only by this user, by its id."},
		{Name: "credential", About: "Only by this token, by its id."},
		{Name: "outcome", About: "Only those that ended so: ok, tool_error, or the code of an error."},
		{Name: "via", About: "Only by those who came in so.", Enum: []string{"login", "token", "oauth", "operator"}},
	}
}

var (
	sinceParam = apiParam{Name: "since", About: "Only from then on: 2030-01-31T12:00:00Z.", Apart: true}
	untilParam = apiParam{Name: "until", About: "Only before then.", Apart: true}
	orderParam = apiParam{Name: "order", About: "oldest: the oldest first; otherwise the newest.", Enum: []string{"oldest", "newest"}, Apart: true}
)

func recordRoutes() []apiRoute {
	return []apiRoute{
		{
			Method: "GET", Pattern: "/calls", Summary: "List what was called", On: "call", Do: core.ActionRead, Stored: true, Paged: true,
			Query: append(callFilters(), sinceParam, untilParam, orderParam), Answer: pageOf[callState]{}, Handle: func(c *apiCall) error {
				q, err := c.timed()
				if err != nil {
					return err
				}
				var rows []core.CallRecord
				page := pageOf[callState]{Items: []callState{}}
				if page.Next, err = c.api.o.Store.List(c.ctx, &rows, q); err != nil {
					return err
				}
				for i := range rows {
					page.Items = append(page.Items, callOf(&rows[i]))
				}
				return c.reply(page)
			},
		},
		{
			Method: "GET", Pattern: "/calls/feed", Summary: "Follow what is called", On: "call", Do: core.ActionRead, Stored: true, Query: callFilters(),
			Feed: true, Answer: callState{}, Handle: func(c *apiCall) error {
				return follow(c, feed[core.CallRecord]{
					name: "call", when: func(r *core.CallRecord) (time.Time, string) { return r.Time, r.ID },
					show: func(r *core.CallRecord) any { return callOf(r) },
				})
			},
		},
		{
			Method: "GET", Pattern: "/calls/{id}", Summary: "Read the record of a call", On: "call", Do: core.ActionRead, Name: "id", Stored: true,
			Answer: callState{}, Handle: func(c *apiCall) error {
				row := &core.CallRecord{Tenant: c.tenant, ID: c.path("id")}
				if err := c.fetch(c.ctx, c.api.o.Store, row); err != nil {
					return err
				}
				return c.reply(callOf(row))
			},
		},
	}
}

// timed returns what the query says of paging, time and order: the newest first, unless
// asked otherwise.
func (c *apiCall) timed() (core.Query, error) {
	q, err := c.page()
	if err != nil {
		return q, err
	}
	q.Equal, q.Newest = c.filters(), c.asked("order") != "oldest"
	if q.Since, err = c.when("since"); err != nil {
		return q, err
	}
	q.Until, err = c.when("until")
	return q, err
}

// auditFilters are what the trail can be asked for by.
func auditFilters() []apiParam {
	return []apiParam{
		{Name: "actor", About: "Only what this user did, by its id."},
		{Name: "action", About: "Only this: user.write, document.publish, …"},
		{Name: "kind", About: "Only what was done to this kind."},
		{Name: "name", About: "Only what was done to what is called so."},
		{Name: "outcome", About: "Only what ended so: ok, or the code of an error."},
		{Name: "request", About: "Only what this request did, by its id."},
		{Name: "replica", About: "Only what this replica wrote."},
		{Name: "via", About: "Only by those who came in so.", Enum: []string{"login", "token", "oauth", "operator"}},
	}
}

func entryID(e *core.AuditEntry) (time.Time, string) {
	return e.Time, e.Replica + ":" + strconv.FormatInt(e.Seq, 10)
}
