package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// guardToken is the operator's, of a gateway that lives for one measurement.
const guardToken = "bench-operator-0123456789abcdef"

// guardPolicies is how many policies the guarded gateway holds callers to.
const guardPolicies = 1000

// The candidates of the guarded rounds: the same calls, where nobody is asked who they
// are, and where everybody is.
const (
	openDoor    = "open"
	guardedDoor = "guarded"
)

// guardResult is what knowing callers costs.
type guardResult struct {
	modern, legacy *rounds
}

// measureGuard serves the same document by a gateway that knows its callers by API
// tokens, holds them to policies, counts and records their calls, beside the open one.
func (p *plan) measureGuard(ctx context.Context, s *stage) (*guardResult, error) {
	g := *s.gateway
	g.guarded, g.profile, g.dir = true, "", filepath.Join(s.gateway.dir, "guarded")
	if err := os.MkdirAll(g.dir, 0o700); err != nil {
		return nil, err
	}
	if err := g.write(); err != nil {
		return nil, err
	}
	one, err := g.start(ctx)
	if err != nil {
		return nil, err
	}
	defer one.end()
	token, err := provision(ctx, one.address)
	if err != nil {
		return nil, err
	}
	r := &guardResult{}
	for _, session := range []bool{false, true} {
		both := []candidate{
			{name: openDoor, process: s.sallyport, target: s.sallyport.address, kind: "call", session: session},
			{name: guardedDoor, process: one, target: one.address, kind: "call", session: session, bearer: token},
		}
		measured, err := measureRounds(ctx, both, []int{1, 16}, p.pluginRounds, p.pluginEach, 0)
		if err != nil {
			return nil, err
		}
		if session {
			r.legacy = measured
		} else {
			r.modern = measured
		}
	}
	return r, nil
}

// provision makes a program that may call tools, its token, and many policies.
func provision(ctx context.Context, address string) (token string, err error) {
	var user struct{ ID string }
	if err := admin(ctx, address, "/users", map[string]any{"name": "bench", "service": true, "roles": []string{"member"}}, &user); err != nil {
		return "", err
	}
	for i := range guardPolicies {
		policy := map[string]any{"role": "member", "kind": "tool", "action": "call", "match": fmt.Sprintf("bench/other_%d_*", i), "deny": i%2 == 0}
		if err := admin(ctx, address, "/policies", policy, nil); err != nil {
			return "", err
		}
	}
	var made struct{ Token string }
	err = admin(ctx, address, "/tokens", map[string]any{"user": user.ID, "name": "bench"}, &made)
	return made.Token, err
}

// admin makes something by the admin API.
func admin(ctx context.Context, address, path string, what, into any) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	body, err := json.Marshal(what)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address+"/api/v1"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+guardToken)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	said, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode >= 300 {
		return fmt.Errorf("POST %s: %d %.300s", path, response.StatusCode, said)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(said, into)
}

// judge holds the cost to its bar: at most 15 % of the calls.
func (r *guardResult) judge(add func(what, unit string, measured, want float64, atMost bool)) {
	for _, n := range r.modern.clients {
		at := fmt.Sprintf(", %d client", n)
		if n > 1 {
			at += "s"
		}
		add("calls/s with tokens, 1,000 policies, limits and records to those of the open gateway"+at, "×", r.modern.ratio(n, guardedDoor, openDoor, ofRate), 0.85, false)
		add("the same with sessions of 2025-11-25"+at, "×", r.legacy.ratio(n, guardedDoor, openDoor, ofRate), 0.85, false)
	}
}

func (r *guardResult) tables() []table {
	return []table{
		r.modern.table("Callers known by API tokens, with 1,000 policies, limits and records, beside the open gateway"),
		r.legacy.table("The same with sessions of 2025-11-25"),
	}
}
