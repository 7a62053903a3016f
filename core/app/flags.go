package app

import (
	"reflect"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/config"
)

// settingFlags is a struct, made from the list of settings, with one flag for each:
// a setting is described once, and is a key, a variable and a flag.
type settingFlags struct {
	knobs  []config.Knob
	values reflect.Value // pointer to the struct that kong fills
}

func newSettingFlags() settingFlags {
	knobs := config.Knobs()
	fields := make([]reflect.StructField, len(knobs))
	for i, knob := range knobs {
		tag := "name:" + strconv.Quote(knob.Flag) + " help:" + strconv.Quote(helpOf(knob)) + " placeholder:" + strconv.Quote(placeholder(knob))
		kind := reflect.TypeFor[string]()
		if knob.List {
			kind = reflect.TypeFor[[]string]()
		}
		fields[i] = reflect.StructField{Name: "Setting" + strconv.Itoa(i), Type: kind, Tag: reflect.StructTag(tag)}
	}
	return settingFlags{knobs: knobs, values: reflect.New(reflect.StructOf(fields))}
}

func helpOf(knob config.Knob) string {
	text := strings.ReplaceAll(knob.About, "$", "$$") // kong expands variables
	if knob.Default != "" && knob.Default != "[]" {
		text += " Default: " + knob.Default + "."
	}
	return text + " [" + "$$" + knob.Environment + "]"
}

// placeholders say in one word what stands behind a flag, by how the setting says
// what is right.
var placeholders = []struct{ expects, word string }{
	{"an address", "HOST:PORT"},
	{"a duration", "DURATION"},
	{"a size", "SIZE"},
	{"an integer", "N"},
	{"a host name", "HOST"},
	{"an origin", "ORIGIN"},
	{"a range of addresses", "CIDR"},
	{"one of ", "WORD"},
}

func placeholder(knob config.Knob) string {
	switch knob.Key {
	case "config":
		return "FILE_OR_DIR"
	case "data":
		return "DIR"
	case "upstreams.commands":
		return "PROGRAM"
	case "upstreams.env":
		return "NAME"
	case "plugins.keys":
		return "[NAMES=]FILE"
	case "plugins.registries":
		return "HOST[=USER:FILE]"
	case "access.publicUrl", "store.url":
		return "URL"
	case "store.key":
		return "ID:KEY"
	case "store.keyFile", "audit.anchors":
		return "FILE"
	case "store.keyCommand":
		return "PROGRAM"
	case "audit.strict":
		return "true|false"
	case "admin.listen":
		return "HOST:PORT"
	case "admin.token":
		return "TOKEN"
	}
	expects := strings.TrimPrefix(knob.Expects, "a list, each item ")
	for _, one := range placeholders {
		if rest, found := strings.CutPrefix(expects, one.expects); found {
			if one.word == "WORD" {
				return strings.ReplaceAll(rest, ", ", "|")
			}
			return one.word
		}
	}
	return "TEXT"
}

// lay lays the flags that were typed over the settings.
func (f settingFlags) lay(s *config.Settings) []core.Problem {
	var problems []core.Problem
	for i, knob := range f.knobs {
		var text string
		switch value := f.values.Elem().Field(i); value.Kind() {
		case reflect.Slice:
			parts, _ := value.Interface().([]string)
			text = strings.Join(parts, ",")
		default:
			text = value.String()
		}
		if text != "" {
			problems = append(problems, s.Set(knob.Key, text)...)
		}
	}
	return problems
}

// settle returns the settings: flag > environment > file > default.
func (f settingFlags) settle(file string, c console) (config.Settings, []core.Problem) {
	if file == "" {
		file, _ = c.lookup("SALLYPORT_SETTINGS")
	}
	s, problems := config.LoadSettings(file)
	problems = append(problems, s.Environ(c.lookup)...)
	problems = append(problems, f.lay(&s)...)
	problems = append(problems, s.Check()...)
	return s, problems
}
