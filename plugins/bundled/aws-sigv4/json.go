package main

import (
	"bytes"
	"encoding/json"
	"errors"
)

// members calls each for every member of a JSON object, in order and with names in
// exact case; nothing at all is an empty object.
func members(raw json.RawMessage, each func(name string, value json.RawMessage)) error {
	if len(bytes.TrimSpace(raw)) == 0 {
		return nil
	}
	if !json.Valid(raw) {
		return errors.New("the value is no JSON")
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return errors.New("the value must be an object, not " + sortOf(bytes.TrimSpace(raw)))
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return err
		}
		each(name.(string), value)
	}
	return nil
}

// quote writes a string as JSON, without the escapes that HTML wants.
func quote(s string) json.RawMessage {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string can always be encoded
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
