// Command weather-transform is a response transformer: it turns the metric numbers
// of any tool's structured content into the units that the operator chose, and the
// text of the result with them. Results without such numbers pass untouched.
package main

import (
	"encoding/json"
	"maps"
	"math"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/sdk/go/plugin"
)

// Config is the plugin's configuration.
type Config struct {
	Units string `json:"units" description:"metric leaves everything as it is" enum:"metric,imperial"`
}

// rule turns members that end in from into members that end in to.
type rule struct {
	from, to string
	convert  func(float64) float64
}

var imperial = []rule{
	{"_c", "_f", func(v float64) float64 { return v*9/5 + 32 }},
	{"_kmh", "_mph", func(v float64) float64 { return v / 1.609344 }},
	{"_mm", "_in", func(v float64) float64 { return v / 25.4 }},
}

// rules is what the configuration asks for. It is the operator's, not a caller's,
// so a package variable may hold it.
var rules []rule

func init() {
	plugin.Configure(configure)
	plugin.ResponseTransform(transform)
}

func main() {} // never called: a plugin is a library

func configure(_ *plugin.Context, c Config) error {
	switch c.Units {
	case "", "metric":
		rules = nil
	case "imperial":
		rules = imperial
	default:
		return plugin.InvalidArgs("units must be metric or imperial, not %q", c.Units)
	}
	return nil
}

func transform(ctx *plugin.Context, result *plugin.Result) (bool, error) {
	if len(rules) == 0 || result.IsError || result.Structured == nil {
		return false, nil
	}
	var content map[string]any
	if err := json.Unmarshal(result.Structured, &content); err != nil {
		return false, err
	}
	changed := convert(content)
	if changed == 0 {
		return false, nil
	}
	ctx.Count("values_converted", float64(changed))
	converted, err := plugin.JSON(content)
	if err != nil {
		return false, err
	}
	result.Structured = converted.Structured
	// The text says the same as the structured content, or it would still be metric.
	blocks := converted.Content
	for _, c := range result.Content {
		if c.Type != "text" {
			blocks = append(blocks, c)
		}
	}
	result.Content = blocks
	return true, nil
}

// convert changes an object and the objects and arrays in it, and returns how many
// values it changed.
func convert(v any) (changed int) {
	switch v := v.(type) {
	case []any:
		for _, element := range v {
			changed += convert(element)
		}
	case map[string]any:
		renamed := map[string]any{}
		for name, value := range v {
			changed += convert(value)
			number, ok := value.(float64)
			if !ok {
				continue
			}
			for _, r := range rules {
				if stem, ok := strings.CutSuffix(name, r.from); ok {
					delete(v, name)
					renamed[stem+r.to] = round(r.convert(number))
				}
			}
		}
		maps.Copy(v, renamed)
		changed += len(renamed)
	}
	return changed
}

// round keeps one decimal and no -0.
func round(v float64) json.Number {
	return json.Number(strconv.FormatFloat(math.Round(v*10)/10+0, 'f', -1, 64))
}
