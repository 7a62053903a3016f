package audit

import (
	"encoding/json"
	"strings"

	"github.com/sallyport/sallyport/core"
)

// Level says what is kept of a call.
type Level string

// The levels.
const (
	LevelOff      Level = "off"      // nothing
	LevelMetadata Level = "metadata" // who called what, when, for how long and how it ended
	LevelPayload  Level = "payload"  // that, and redacted arguments and results
)

// SettingLevel is the name of the Setting that overrides the level in one tenant; with
// "/" and the name of a server after it, for that server. Its value is a level as JSON
// text.
const SettingLevel = "audit.level"

// ParseLevel returns the level of that name.
func ParseLevel(name string) (Level, error) {
	switch l := Level(name); l {
	case LevelOff, LevelMetadata, LevelPayload:
		return l, nil
	}
	return "", &core.Error{Code: core.CodeInvalid, Message: "no such level of call records", Fix: "use off, metadata or payload"}
}

// CheckSetting tells whether a setting that is about this room may be kept; it says nil
// of those that are not.
func CheckSetting(s *core.Setting) error {
	if s.Name != SettingLevel && !strings.HasPrefix(s.Name, SettingLevel+"/") {
		return nil
	}
	var name string
	if json.Unmarshal([]byte(s.Value), &name) != nil {
		name = "?"
	}
	_, err := ParseLevel(name)
	return err
}

// levels is what the settings of a State say. It is never changed.
type levels struct {
	tenant  map[string]Level
	server  map[place]Level
	payload bool // some of them ask for it
}

type place struct{ tenant, server string }

// newLevels reads the settings. One that cannot be read is left out: whoever writes it
// checks it.
func newLevels(state *core.State) *levels {
	l := &levels{tenant: map[string]Level{}, server: map[place]Level{}}
	for i := range state.Settings {
		s := &state.Settings[i]
		rest, mine := strings.CutPrefix(s.Name, SettingLevel)
		var name string
		if !mine || json.Unmarshal([]byte(s.Value), &name) != nil {
			continue
		}
		level, err := ParseLevel(name)
		if err != nil {
			continue
		}
		if server, named := strings.CutPrefix(rest, "/"); named {
			l.server[place{s.Tenant, server}] = level
		} else if rest == "" {
			l.tenant[s.Tenant] = level
		} else {
			continue
		}
		l.payload = l.payload || level == LevelPayload
	}
	return l
}

// of returns the level for calls of a server; otherwise is that of the start-up settings.
func (l *levels) of(tenant, server string, otherwise Level) Level {
	if l == nil {
		return otherwise
	}
	if level, found := l.server[place{tenant, server}]; found {
		return level
	}
	if level, found := l.tenant[tenant]; found {
		return level
	}
	return otherwise
}
