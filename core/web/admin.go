package web

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/sallyport/sallyport/core"
)

// Admin is the plane of the operator, on a listener of its own: what runs, and to
// apply changes without waiting for a watcher.
//
//	GET  /api/v1/plugins          every loaded plugin
//	GET  /api/v1/plugins/{name}   one of them
//	POST /api/v1/reload           read documents, plugins and the tags of registries again
//
// Every request carries `Authorization: Bearer TOKEN`. A browser never does that by
// itself, and requests that one makes (they have an Origin) are refused all the same.
// Errors are application/problem+json (RFC 9457) with a member fix.
type Admin struct {
	o     AdminOptions
	app   *fiber.App
	gate  gate
	token [sha256.Size]byte
	log   *slog.Logger
}

// AdminOptions configures NewAdmin. Token, Plugins and Reload are needed.
type AdminOptions struct {
	Token   core.Secret
	Hosts   []string // names that the Host header may have beside the address
	Plugins func() []core.PluginStatus
	Reload  func(ctx context.Context) Reloaded
	Log     *slog.Logger
}

// Reloaded tells how a reload went.
type Reloaded struct {
	Applied  bool // false: what was served before still is
	Revision string
	Problems []core.Problem
}

// leastToken is how long a token must be, in bytes: it cannot be guessed, because
// nothing else stands before this plane.
const leastToken = 16

// adminPerIP bounds the connections of one address: a quarter of all, so that one that
// opens them and sends nothing locks out no other.
const adminPerIP = 64

// NewAdmin returns an Admin that listens nowhere yet.
func NewAdmin(o AdminOptions) (*Admin, error) {
	if len(o.Token) < leastToken {
		return nil, &core.Error{
			Code: core.CodeInvalid, Message: "admin.token has fewer than " + strconv.Itoa(leastToken) + " characters",
			Fix: "make one with `openssl rand -hex 32`, and set SALLYPORT_ADMIN_TOKEN, or admin.token in the settings file",
		}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	a := &Admin{o: o, gate: newGate(o.Hosts, nil), token: sha256.Sum256([]byte(o.Token.Reveal())), log: o.Log}
	a.app = fiber.New(fiber.Config{
		DisableStartupMessage: true, CaseSensitive: true, StrictRouting: true, Immutable: true,
		BodyLimit: 64 << 10, ReadTimeout: 5 * time.Second, WriteTimeout: time.Minute, IdleTimeout: 15 * time.Second, Concurrency: 256,
		DisablePreParseMultipartForm: true, ErrorHandler: a.fail,
	})
	a.app.Server().Logger = quiet{a.log}
	a.app.Server().MaxConnsPerIP = adminPerIP
	a.app.Use(a.admit)
	a.app.Get("/api/v1/plugins", a.plugins)
	a.app.Get("/api/v1/plugins/:name", a.plugin)
	a.app.Post("/api/v1/reload", a.reload)
	return a, nil
}

// Serve answers until ctx ends.
func (a *Admin) Serve(ctx context.Context, ln net.Listener) error {
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		select {
		case <-ctx.Done():
		case <-ended:
		}
		_ = a.app.ShutdownWithTimeout(5 * time.Second) // what is cut off is one answer to the operator
	}()
	err := a.app.Listener(ln)
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// problem is an error as RFC 9457 writes it.
type problem struct {
	status      int
	detail, fix string
	problems    []core.Problem
}

func (p *problem) Error() string { return p.detail }

// fail writes an error.
func (a *Admin) fail(c *fiber.Ctx, err error) error {
	var p *problem
	if !errors.As(err, &p) {
		p = &problem{status: fiber.StatusInternalServerError, detail: "internal error", fix: "the gateway's log says more"}
		var known *fiber.Error
		switch {
		case errors.As(err, &known) && known.Code == fiber.StatusNotFound:
			p = &problem{status: known.Code, detail: "there is nothing here", fix: "docs/plugins.md lists the routes of the admin plane"}
		case errors.As(err, &known) && known.Code < 500:
			p = &problem{status: known.Code, detail: strings.ToLower(known.Message)}
		default:
			a.log.Error("admin request", "path", c.Path(), "error", err)
		}
	}
	body := fiber.Map{"type": "about:blank", "title": statusText(p.status), "status": p.status, "detail": p.detail}
	if p.fix != "" {
		body["fix"] = p.fix
	}
	if p.problems != nil {
		body["problems"] = Told(p.problems)
	}
	if err := c.Status(p.status).JSON(body); err != nil {
		return err
	}
	c.Set(fiber.HeaderContentType, "application/problem+json")
	return nil
}

func statusText(status int) string { return fiber.NewError(status).Message }

// admit lets in who has the token.
func (a *Admin) admit(c *fiber.Ctx) error {
	c.Set(fiber.HeaderCacheControl, "no-store")
	c.Set(fiber.HeaderXContentTypeOptions, "nosniff")
	head := &c.Request().Header
	if !bytes.HasPrefix(head.RequestURI(), []byte("/")) { // http://other.example/…, which names a host of its own
		return &problem{status: fiber.StatusBadRequest, detail: "the request line names more than a path", fix: "call the admin plane directly, not as a proxy"}
	}
	if !a.gate.host(string(head.Host()), address(c.Context().LocalAddr())) {
		return &problem{status: fiber.StatusForbidden, detail: refuseHost.message, fix: refuseHost.fix}
	}
	if len(head.PeekAll(fiber.HeaderOrigin)) > 0 {
		return &problem{status: fiber.StatusForbidden, detail: "web pages may not call the admin plane", fix: "call it from a program"}
	}
	token, found := strings.CutPrefix(c.Get(fiber.HeaderAuthorization), "Bearer ")
	found = found && len(head.PeekAll(fiber.HeaderAuthorization)) == 1
	sum := sha256.Sum256([]byte(token))
	if !found || subtle.ConstantTimeCompare(sum[:], a.token[:]) != 1 {
		c.Set(fiber.HeaderWWWAuthenticate, `Bearer realm="sallyport admin"`)
		return &problem{status: fiber.StatusUnauthorized, detail: "the token is missing or wrong", fix: "send Authorization: Bearer TOKEN, with the value of admin.token in the settings"}
	}
	return a.next(c)
}

// next runs the route. A panic in it ends the request, not the process; its value may hold
// anything, so only its type is logged.
func (a *Admin) next(c *fiber.Ctx) (err error) {
	defer func() {
		if r := recover(); r != nil {
			a.log.Error("panic in the admin plane", "path", c.Path(), "panic", fmt.Sprintf("a value of type %T", r), "stack", string(debug.Stack()))
			err = errPanicked
		}
	}()
	return c.Next()
}

var errPanicked = errors.New("panic")

// pluginState is a plugin as the admin plane tells it.
type pluginState struct {
	Name      string            `json:"name"`
	Plugin    string            `json:"plugin"`
	Version   string            `json:"version"`
	Digest    string            `json:"digest"`
	Signer    string            `json:"signer,omitempty"`
	Kinds     []core.PluginKind `json:"kinds"`
	Granted   []string          `json:"granted"`
	Refused   []string          `json:"refused"`
	Isolation string            `json:"isolation"`
	Loaded    time.Time         `json:"loaded"`
	Degraded  *time.Time        `json:"degradedUntil,omitempty"`
	Calls     uint64            `json:"calls"`
	Errors    uint64            `json:"errors"`
	Discards  uint64            `json:"discards"`
	Recycled  uint64            `json:"recycled"`
	Fuel      int64             `json:"fuel"`
	CPU       float64           `json:"cpuSeconds"`
	Wait      float64           `json:"waitSeconds"`
	Instances int               `json:"instances"`
	Free      int               `json:"instancesFree"`
	Waiting   int               `json:"queued"`
	Memory    int64             `json:"memoryBytes"`
}

func stateOf(s *core.PluginStatus) pluginState {
	p := pluginState{
		Name: s.Name, Plugin: s.Plugin, Version: s.Version, Digest: s.Digest, Signer: s.Signer, Kinds: s.Kinds,
		Granted: append([]string{}, s.Granted...), Refused: append([]string{}, s.Refused...), Isolation: s.Isolation, Loaded: s.Loaded.UTC(),
		Calls: s.Calls, Errors: s.Errors, Discards: s.Discards, Recycled: s.Recycled, Fuel: s.Fuel, CPU: s.CPU.Seconds(), Wait: s.Wait.Seconds(),
		Instances: s.Instances, Free: s.Free, Waiting: s.Waiting, Memory: s.Memory,
	}
	if !s.Degraded.IsZero() {
		until := s.Degraded.UTC()
		p.Degraded = &until
	}
	return p
}

func (a *Admin) plugins(c *fiber.Ctx) error {
	list := []pluginState{}
	for _, s := range a.o.Plugins() {
		list = append(list, stateOf(&s))
	}
	return c.JSON(fiber.Map{"plugins": list})
}

func (a *Admin) plugin(c *fiber.Ctx) error {
	for _, s := range a.o.Plugins() {
		if s.Name == c.Params("name") {
			return c.JSON(stateOf(&s))
		}
	}
	return &problem{status: fiber.StatusNotFound, detail: "there is no plugin of that name", fix: "GET /api/v1/plugins lists them"}
}

func (a *Admin) reload(c *fiber.Ctx) error {
	done := a.o.Reload(c.UserContext())
	if !done.Applied {
		return &problem{
			status: fiber.StatusUnprocessableEntity, detail: "the documents have mistakes; what was served before still is",
			fix: "mend them and reload again", problems: append([]core.Problem{}, done.Problems...),
		}
	}
	return c.JSON(fiber.Map{"revision": done.Revision, "problems": Told(done.Problems)})
}

// ToldProblem is a mistake in a document as outsiders read it, in JSON.
type ToldProblem struct {
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
	Path    string `json:"path,omitempty"`
	Message string `json:"problem"`
	Fix     string `json:"fix,omitempty"`
	Warning bool   `json:"warning,omitempty"`
}

// Told returns problems as outsiders read them; never nil.
func Told(problems []core.Problem) []ToldProblem {
	list := make([]ToldProblem, len(problems))
	for i, p := range problems {
		list[i] = ToldProblem{p.File, p.Line, p.Column, p.Path, p.Message, p.Fix, p.Warning}
	}
	return list
}
