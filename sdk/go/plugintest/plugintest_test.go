package plugintest_test

import (
	"testing"

	"github.com/sallyport/sallyport/sdk/go/plugin"
	"github.com/sallyport/sallyport/sdk/go/plugintest"
)

func init() {
	plugin.Tool("visit", func(ctx *plugin.Context, args struct {
		Page string `json:"page"`
	},
	) (string, error) {
		key, err := ctx.Secret("key")
		if err != nil {
			return "", err
		}
		r, err := ctx.HTTP(plugin.Request{Method: "PUT", URL: "https://a.example/" + args.Page, Header: plugin.Header{{Name: "X-Key", Value: key}}, Body: []byte(`{"n": 1}`)})
		if err != nil {
			return "", err
		}
		if _, err := ctx.KVSet("last", r.Body, 0); err != nil {
			return "", err
		}
		ctx.Log(plugin.LevelInfo, "visited "+args.Page)
		return string(r.Body), nil
	})
}

func TestRun(t *testing.T) { plugintest.Run(t, "testdata/visit.json") }

func TestAnswer(t *testing.T) {
	h := plugintest.New(t)
	a := h.Tool("visit", `{}`)
	if r := a.Result(); a.Status != plugin.StatusToolError || !r.IsError || a.Text() != "secret key: denied" {
		t.Errorf("%s, %+v", a, r)
	}
	h.Secrets = map[string]string{}
	if a := h.Tool("visit", `{}`); a.Text() != "secret key: not found" {
		t.Error(a)
	}
}
