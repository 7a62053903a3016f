package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
)

// request is 1,024 bytes that all guests get.
func request() []byte {
	text := strings.Repeat("lorem ipsum ", 60)
	in := func(agent string) string {
		return `{"tool":"weather.lookup","id":"0f8c2b7e-5a1d","arguments":{"text":"` + text + `","city":"Berlin","n":42,"flag":true},` +
			`"headers":{"accept":"application/json","user-agent":"` + agent + `","x-request-id":"7d0e4c31-9f22"}}`
	}
	return []byte(in(strings.Repeat("a", 1024-len(in("")))))
}

// answer is what the tool json must say to it.
func answer(request []byte) ([]byte, error) {
	var r struct {
		Tool, ID  string
		Arguments struct {
			Text, City string
			N          int
			Flag       bool
		}
		Headers map[string]string
	}
	if err := json.Unmarshal(request, &r); err != nil {
		return nil, err
	}
	type object = map[string]any
	return json.Marshal(object{
		"content": []object{{"type": "text", "text": strings.ToUpper(r.Arguments.Text)}},
		"structuredContent": object{
			"tool": r.Tool, "id": r.ID, "city": r.Arguments.City, "n": r.Arguments.N, "flag": r.Arguments.Flag,
			"agent": r.Headers["user-agent"], "request": r.Headers["x-request-id"],
		},
	})
}

var errOther = errors.New("a guest answers something else")

// same compares answers: those of echo and text by bytes, the others as JSON.
func same(tool string, got, want []byte) error {
	if tool == "echo" || tool == "text" {
		if !bytes.Equal(got, want) {
			return fmt.Errorf("%w: %.100q", errOther, got)
		}
		return nil
	}
	var a, b any
	if err := json.Unmarshal(got, &a); err != nil {
		return fmt.Errorf("%w: %w: %.100q", errOther, err, got)
	}
	if err := json.Unmarshal(want, &b); err != nil {
		return err
	}
	if !reflect.DeepEqual(a, b) {
		return fmt.Errorf("%w: %.1500q, not %.1500q", errOther, got, want)
	}
	return nil
}
