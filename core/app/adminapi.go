package app

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/core"
)

type adminAPI struct {
	adminTarget

	Method string `arg:"" help:"GET, POST, PUT, PATCH or DELETE."`
	Path   string `arg:"" help:"Path below /api/v1, such as /users."`
	Body   string `help:"File with the JSON body; - is standard input." placeholder:"FILE"`
	Match  string `name:"if-match" help:"ETag that the thing must have." placeholder:"ETAG"`
}

func (k *adminAPI) run(ctx context.Context, c console) int {
	return k.with(ctx, c, "api", func(a *adminClient) error {
		method := strings.ToUpper(k.Method)
		if !slices.Contains([]string{"GET", "POST", "PUT", "PATCH", "DELETE"}, method) || !strings.HasPrefix(k.Path, "/") {
			return &core.Error{Code: core.CodeInvalid, Message: "there is no request " + k.Method + " " + k.Path, Fix: "write it like: sallyport admin api GET /users"}
		}
		var body any
		if k.Body != "" {
			text, err := readBody(k.Body)
			if err != nil {
				return err
			}
			body = json.RawMessage(text)
		}
		var header []string
		if k.Match != "" {
			header = []string{"If-Match", k.Match}
		}
		answer, err := a.call(ctx, method, k.Path, body, header...)
		if err != nil {
			return err
		}
		a.raw = true
		return a.print(answer)
	})
}

// standardInput is where commands read what must not stand in the list of processes.
const standardInput = "/dev/stdin"

func readBody(file string) ([]byte, error) {
	if file == "-" {
		file = standardInput
	}
	return os.ReadFile(filepath.Clean(file))
}
