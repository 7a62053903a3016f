package web

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"strings"

	"github.com/sallyport/sallyport/core"
)

// apiPart is one part of a body that is a form (RFC 7578).
type apiPart struct {
	Name, About string
	Limit       int // bytes
	Needed      bool
	Type        string // of its content, for the description; "" = text
}

const formType = "multipart/form-data"

// decodeForm reads a body of parts: only what the route knows, each once.
func (c *apiCall) decodeForm() error {
	r := c.request
	media, parameters, err := mime.ParseMediaType(r.header.Get("Content-Type"))
	if err != nil || media != formType || parameters["boundary"] == "" || r.encoded {
		return &core.Error{Code: codeMediaType, Message: "the body is no form", Fix: "send Content-Type: multipart/form-data, as curl -F does, without Content-Encoding"}
	}
	if len(r.body) > c.route.Limit {
		return &core.Error{Code: core.CodeTooLarge, Message: "the body is too large", Fix: "send at most " + decimal(int64(c.route.Limit)) + " bytes"}
	}
	c.form = map[string][]byte{}
	var problems []core.Problem
	reader := multipart.NewReader(bytes.NewReader(r.body), parameters["boundary"])
	for range len(c.route.Parts) + 1 { // one more than there can be is refused below
		part, err := reader.NextRawPart()
		if errors.Is(err, io.EOF) {
			return c.checkForm(problems)
		}
		if err != nil {
			return &core.Error{Code: core.CodeInvalid, Message: "the form cannot be read", Fix: "send whole parts and the last boundary, as RFC 7578 says"}
		}
		if problem := c.decodePart(part); problem != nil {
			problems = append(problems, *problem)
		}
	}
	return invalid(append(problems, wrong("", "the form has too many parts", "send each part once"))...)
}

// decodePart reads one part, and returns what is wrong with it.
func (c *apiCall) decodePart(part *multipart.Part) *core.Problem {
	name := part.FormName()
	problem := func(message, fix string) *core.Problem {
		p := wrong("/"+pointerPart(name), message, fix)
		return &p
	}
	var known []string
	for i := range c.route.Parts {
		one := &c.route.Parts[i]
		if known = append(known, one.Name); one.Name != name {
			continue
		}
		if _, twice := c.form[name]; twice {
			return problem("there are two parts "+name, "send it once")
		}
		if coding := part.Header.Get("Content-Transfer-Encoding"); coding != "" && !strings.EqualFold(coding, "binary") {
			return problem("the part has a transfer encoding", "send its bytes as they are")
		}
		b, err := io.ReadAll(io.LimitReader(part, int64(one.Limit)+1))
		if err != nil {
			return problem("the part does not end", "send it whole")
		}
		if c.form[name] = b; len(b) > one.Limit {
			return problem("the part is too large", "send at most "+decimal(int64(one.Limit))+" bytes")
		}
		return nil
	}
	return problem("unknown part", "send one of "+strings.Join(known, ", "))
}

// checkForm refuses a form that lacks something.
func (c *apiCall) checkForm(problems []core.Problem) error {
	for i := range c.route.Parts {
		if one := &c.route.Parts[i]; one.Needed && len(c.form[one.Name]) == 0 {
			problems = append(problems, wrong("/"+one.Name, one.Name+" is missing", "send it as a part of that name"))
		}
	}
	if len(problems) > 0 {
		return invalid(problems...)
	}
	if reason := c.form["reason"]; len(reason) > 0 {
		c.why = string(reason)
	}
	return nil
}
