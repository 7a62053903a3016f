package plugins

import (
	"strconv"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/plugins/abi"
	"github.com/sallyport/sallyport/plugins/manifest"
	"github.com/sallyport/sallyport/plugins/sandbox"
)

// Most that an operator can give, beside manifest.Caps.
const (
	maxInstances = 64
	maxQueue     = 4096
)

// limitsOf returns what the operator gives, narrowed by the manifest: of an instance, and
// for each kind of one call.
func limitsOf(c *core.PluginLimitsConfig, about *manifest.Manifest, m *mistakes) (sandbox.Limits, [len(abi.Kinds)]sandbox.Budget) {
	var operator manifest.Limits
	var limits sandbox.Limits
	if c != nil {
		var most manifest.Limits
		for _, k := range about.Kinds {
			one := manifest.Caps(k)
			most.Memory, most.MaxInput, most.MaxOutput = one.Memory, one.MaxInput, one.MaxOutput // the same for all
			most.Timeout, most.CPU = max(most.Timeout, one.Timeout), max(most.CPU, one.CPU)
		}
		operator = manifest.Limits{
			Memory:    manifest.Size(m.number("memory", c.Memory, int64(manifest.MinMemory), int64(most.Memory))),
			Timeout:   m.duration("timeout", c.Timeout, most.Timeout),
			CPU:       m.duration("cpu", c.CPU, most.CPU),
			MaxInput:  manifest.Size(m.number("max_input", c.MaxInput, 1, int64(most.MaxInput))),
			MaxOutput: manifest.Size(m.number("max_output", c.MaxOutput, 1, int64(most.MaxOutput))),
		}
		limits.Instances = int(m.number("instances", int64(c.Instances), 1, maxInstances))
		limits.Queue = int(m.number("queue", int64(c.Queue), 1, maxQueue))
	}
	var budgets [len(abi.Kinds)]sandbox.Budget
	for i := range kinds {
		one := about.Limits.Within(operator, manifest.Kind(kinds[i]))
		budgets[i] = sandbox.Budget{Wall: time.Duration(one.Timeout), CPU: time.Duration(one.CPU)}
		limits.Memory, limits.Input, limits.Output = int64(one.Memory), int64(one.MaxInput), int64(one.MaxOutput) // the same for all
	}
	return limits, budgets
}

// number checks a limit; 0 = not given.
func (m *mistakes) number(name string, v, least, most int64) int64 {
	if v == 0 || least <= v && v <= most {
		return v
	}
	m.add("/limits/"+name, "is out of range", "write a number from "+strconv.FormatInt(least, 10)+" to "+strconv.FormatInt(most, 10)+", or leave it out")
	return 0
}

// duration checks a limit of time; "" = not given.
func (m *mistakes) duration(name, text string, most manifest.Duration) manifest.Duration {
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	if err == nil && d >= time.Millisecond && d <= time.Duration(most) {
		return manifest.Duration(d)
	}
	m.add("/limits/"+name, "is no duration, or out of range", "write a duration from 1ms to "+most.String()+", like 500ms")
	return 0
}
