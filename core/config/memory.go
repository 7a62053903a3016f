package config

import "github.com/sallyport/sallyport/core"

// ReadText reads one gateway document that is in memory. name stands in problems,
// and its ending says whether the text is JSON or YAML; relative files are looked
// for beside it.
func ReadText(name string, text []byte, o Options) (core.Config, []core.Problem) {
	o.parsed = nil
	cfg, problems, used := readDocument(name, text, &o)
	cfg.Sources = []core.Source{used}
	return cfg, problems
}
