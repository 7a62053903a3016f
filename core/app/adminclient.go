package app

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/config"
	"github.com/sallyport/sallyport/core/egress"
)

// adminTarget says which gateway an admin command is for: a running one by its URL, or
// the store itself, while the gateway that serves it does not run (SQLite) or beside
// it (Postgres).
type adminTarget struct {
	URL          string `name:"url" help:"Origin of the admin API of a running gateway, such as http://127.0.0.1:8080. Without it the store is opened, as the settings say. [$$SALLYPORT_ADMIN_URL]" placeholder:"URL"`
	TokenFile    string `name:"token-file" help:"File with the API token, or with admin.token of the settings, for --url. [$$SALLYPORT_ADMIN_TOKEN holds the token itself]" placeholder:"FILE"`
	SettingsFile string `name:"settings" help:"Settings file (YAML) that names the store. [$$SALLYPORT_SETTINGS]" placeholder:"FILE"`
	Data         string `name:"data" help:"Data directory of the gateway." placeholder:"DIR"`
	Tenant       string `name:"tenant" help:"Tenant that it is about. Default: default." placeholder:"ID"`
	JSON         bool   `name:"json" help:"Print the answer of the admin API as it is."`
}

// adminClient speaks to an admin API.
type adminClient struct {
	origin string
	token  core.Secret
	tenant string
	raw    bool
	setup  core.Secret // of the store that was opened here; "" = it has an administrator, or is elsewhere
	way    http.RoundTripper
	out    io.Writer
	end    []func()
}

// connect reaches the admin API, or begins one on the store for as long as the command
// runs. Close it.
func (t *adminTarget) connect(ctx context.Context, c console) (*adminClient, error) {
	client := &adminClient{tenant: t.Tenant, raw: t.JSON, out: c.out}
	everywhere := []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")} // whoever types the URL may go there
	dial := egress.New(egress.Options{Allow: everywhere, Log: slog.New(slog.DiscardHandler)})
	client.end = append(client.end, func() { _ = dial.Close() })
	way := egress.RoundTripper(dial, "admin API", 256<<20, 2*time.Minute)
	client.way = way
	client.end = append(client.end, func() { _ = way.Close() })
	if t.URL == "" {
		t.URL, _ = c.lookup("SALLYPORT_ADMIN_URL")
	}
	if t.URL == "" {
		return client, t.begin(ctx, c, client)
	}
	u, err := url.Parse(t.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
		return client, &core.Error{Code: core.CodeInvalid, Message: "--url is no origin", Fix: "write it like http://127.0.0.1:8080"}
	}
	if at, err := netip.ParseAddr(u.Hostname()); u.Scheme == "http" && u.Hostname() != "localhost" && (err != nil || !at.Unmap().IsLoopback()) {
		return client, &core.Error{Code: core.CodeInvalid, Message: "--url would send the token to " + u.Host + " without encryption", Fix: "write https, or run the command on the machine of the gateway"}
	}
	client.origin = u.Scheme + "://" + u.Host
	token, _ := c.lookup("SALLYPORT_ADMIN_TOKEN")
	if t.TokenFile != "" {
		text, err := os.ReadFile(t.TokenFile)
		if err != nil {
			return client, &core.Error{Code: core.CodeInvalid, Message: "read the token", Fix: "name a file that you may read", Err: err}
		}
		token = strings.TrimSpace(string(text))
	}
	client.token = core.Secret(token)
	return client, nil
}

// settings says which store it is.
func (t *adminTarget) settings(c console) (config.Settings, error) {
	file := t.SettingsFile
	if file == "" {
		file, _ = c.lookup("SALLYPORT_SETTINGS")
	}
	settings, problems := config.LoadSettings(file)
	problems = append(problems, settings.Environ(c.lookup)...)
	if t.Data != "" {
		problems = append(problems, settings.Set("data", t.Data)...)
	}
	if config.Refused(problems) {
		report(c.err, problems)
		return settings, &core.Error{Code: core.CodeInvalid, Message: "the settings have mistakes", Fix: "mend them"}
	}
	if settings.Data == "" && settings.Store.URL == "" {
		return settings, &core.Error{Code: core.CodeInvalid, Message: "there is no store: the settings name neither a data directory nor a database", Fix: "name one with --data DIR or SALLYPORT_STORE_URL, or a running gateway with --url"}
	}
	settings.Listen, settings.Config, settings.Drain.Lag = "127.0.0.1:0", nil, 0
	settings.Admin.Listen, settings.Admin.Token = "same", core.Secret(rand.Text()+rand.Text())
	settings.Access.Callers, settings.Audit.Calls, settings.Audit.Strict = "known", "off", false
	settings.Log.Level, settings.Log.Format, settings.Log.Requests = "error", "text", "none"
	return settings, nil
}

// begin serves the admin API of the store on a port of this machine that nobody else
// knows the token of.
func (t *adminTarget) begin(ctx context.Context, c console, client *adminClient) error {
	settings, err := t.settings(c)
	if err != nil {
		return err
	}
	house, err := newGatehouse(ctx, settings, c, kinds())
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	ready, ended := make(chan net.Listener, 1), make(chan int, 1)
	house.quiet = true
	go func() { ended <- house.run(ctx, nil, func(ln net.Listener) { ready <- ln }) }()
	select {
	case ln := <-ready:
		client.origin, client.token, client.setup = originOf(ln), settings.Admin.Token, house.setup
		client.end = append(client.end, func() { stop(); <-ended })
		return nil
	case <-ended:
		stop()
		return &core.Error{Code: core.CodeUnavailable, Message: "the store cannot be opened", Fix: "if a gateway has it open, reach that with --url"}
	}
}

func (a *adminClient) close() {
	for _, end := range slices.Backward(a.end) {
		end()
	}
}

// answer is what the admin API said.
type adminAnswer struct {
	status int
	etag   string
	kind   string
	body   []byte
}

// call sends a request. A refusal is an *core.Error with what the API said.
func (a *adminClient) call(ctx context.Context, method, path string, body any, header ...string) (*adminAnswer, error) {
	var payload io.Reader
	kind := "application/json"
	switch body := body.(type) {
	case nil:
	case []byte:
		payload, kind = bytes.NewReader(body), "application/yaml"
		if len(body) > 1 && body[0] == 0x1f && body[1] == 0x8b {
			kind = "application/gzip"
		}
	case *adminForm:
		payload, kind = bytes.NewReader(body.body), body.kind
	default:
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		payload = bytes.NewReader(text)
	}
	if a.tenant != "" {
		join := "?"
		if strings.Contains(path, "?") {
			join = "&"
		}
		path += join + "tenant=" + url.QueryEscape(a.tenant)
	}
	request, err := http.NewRequestWithContext(ctx, method, a.origin+"/api/v1"+path, payload)
	if err != nil {
		return nil, err
	}
	if payload != nil {
		request.Header.Set("Content-Type", kind)
	}
	if a.token != "" {
		request.Header.Set("Authorization", "Bearer "+a.token.Reveal())
	}
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := a.way.RoundTrip(request)
	if err != nil {
		return nil, &core.Error{Code: core.CodeUnavailable, Message: "reach the admin API at " + a.origin, Fix: "start the gateway, or mend --url", Err: err}
	}
	defer func() { _ = response.Body.Close() }() // it is whole in memory
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode >= 400 {
		return nil, refusedBy(response.StatusCode, text)
	}
	return &adminAnswer{status: response.StatusCode, etag: response.Header.Get("ETag"), kind: response.Header.Get("Content-Type"), body: text}, nil
}

// refusedBy makes an error of a problem document (RFC 9457).
func refusedBy(status int, text []byte) error {
	var p struct {
		Detail, Fix string
		Problems    []struct {
			File, Path, Problem, Fix string
			Line, Column             int
		}
	}
	if json.Unmarshal(text, &p) != nil || p.Detail == "" {
		return &core.Error{Code: core.CodeInvalid, Message: fmt.Sprintf("the admin API answered %d", status), Fix: "see the log of the gateway"}
	}
	message := p.Detail
	for _, one := range p.Problems {
		message += fmt.Sprintf("\n  %s:%d:%d: %s: %s; %s", one.File, one.Line, one.Column, one.Path, one.Problem, one.Fix)
	}
	fix := p.Fix
	if fix == "" {
		fix = "see docs/access.md"
	}
	return &core.Error{Code: core.CodeInvalid, Message: message, Fix: fix}
}
