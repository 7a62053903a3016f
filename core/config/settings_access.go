package config

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/sallyport/sallyport/core"
)

// AccessSettings says how callers of MCP servers are known.
type AccessSettings struct {
	Callers string `json:"callers"` // known, open
	Public  string `json:"publicUrl"`
	Rate    int    `json:"callsPerSecond"` // 0 = no limit
	Burst   int    `json:"burst"`
}

// Open tells whether everybody who reaches the gateway may call everything.
func (a AccessSettings) Open() bool { return a.Callers == "open" }

// StoreSettings says where users, policies, documents and records are kept.
type StoreSettings struct {
	URL        core.Secret   `json:"url"` // "" = sallyport.db in the data directory
	Poll       time.Duration `json:"poll"`
	Key        core.Secret   `json:"key"` // id:base64[,…]
	KeyFile    string        `json:"keyFile"`
	KeyCommand []string      `json:"keyCommand"`
}

// AuditSettings says what is recorded, and for how long.
type AuditSettings struct {
	Calls     string        `json:"calls"` // off, metadata, payload
	Strict    bool          `json:"strict"`
	KeepCalls time.Duration `json:"keepCalls"`
	Keep      time.Duration `json:"keep"`
	Anchors   string        `json:"anchors"` // file
}

// LoginSettings bounds logins to the admin API.
type LoginSettings struct {
	Idle time.Duration `json:"idle"`
	Max  time.Duration `json:"max"`
}

var storePattern = regexp.MustCompile(`^(sqlite:.+|postgres(ql)?://[^\s]+)?$`)

var keyPattern = regexp.MustCompile(`^([A-Za-z0-9_-]{1,32}:[A-Za-z0-9+/_=-]{40,}(,[A-Za-z0-9_-]{1,32}:[A-Za-z0-9+/_=-]{40,})*)?$`)

var (
	accessSettings = describe[AccessSettings]("access", "How callers of MCP servers are known.",
		map[string]string{"anonymous": "it stands in a server of a gateway document: access: {anonymous: true}", "public": "write publicUrl", "rate": "write callsPerSecond"},
		may("callers", words("known", "open"), "known: a caller needs an API token, an access token of a provider, or a server whose document lets anonymous callers in, and may do what policies say. open: everybody who reaches the gateway may call everything; only on a loopback address.").otherwise("known"),
		may("publicUrl", matching(`^(https?://[^/?#@\s\\]+)?$`, "an origin such as https://mcp.example.com"),
			"Where clients reach the gateway: what OAuth access tokens must be made for (RFC 8707), and where links lead. Without one the Host header of each request says it.").otherwise(`""`),
		may("callsPerSecond", whole(0, 1_000_000), "How many calls a second one caller may make, beside the limits that the admin API sets; 0 is no limit. More is 429 with Retry-After.").otherwise("50"),
		may("burst", whole(0, 1_000_000), "How many of them at once.").otherwise("100"),
	)
	storeSettings = describe[StoreSettings]("store", "Where users, policies, documents and records are kept.",
		map[string]string{"dsn": "write url", "path": "write url: sqlite:PATH", "driver": "write url: postgres://…"},
		may("url", &shape{is: text, secret: true, pattern: storePattern, says: "sqlite:PATH or postgres://USER:PASSWORD@HOST:PORT/DATABASE"},
			"The database. SQLite serves one gateway; several replicas need Postgres. Other processes can see flags: set the variable or the file. Without one it is sallyport.db in the data directory, or memory where there is none.").otherwise(`""`),
		may("poll", lasting(100*time.Millisecond, time.Minute), "How often to look whether another replica changed something, ± 20 %. Postgres tells sooner.").otherwise("2s"),
		may("key", &shape{is: text, secret: true, pattern: keyPattern, says: "ID:KEY, the key being 32 bytes in base64; several with commas"},
			"What seals secrets in the store: the first key seals, all open. Replicas share it. Set the variable or the file, not the flag. Without one there is a key file in the data directory.").otherwise(`""`),
		may("keyFile", matching(`^[^\r\n]*$`, "the path of a file"), "The file of that key, when it is not given directly. In the settings file the path is taken from its directory. Without one it is vault-keys.json in the data directory.").otherwise(`""`),
		may("keyCommand", many(line()), "A program with its arguments that wraps and unwraps keys with a key management service; see docs/access.md. The first item is its absolute path.").otherwise("[]"),
	)
	auditSettings = describe[AuditSettings]("audit", "What is recorded, and for how long. Changes by the admin API always are.",
		map[string]string{"level": "write calls", "retention": "write keepCalls and keep"},
		may("calls", words("off", "metadata", "payload"), "What is kept of calls: nothing; who called what, when and how it ended; or also arguments and results, with what looks secret taken out.").otherwise("metadata"),
		may("strict", onOff(), "Refuse calls (503) while they cannot be recorded, and give out no answer whose record is not durable.").otherwise("false"),
		may("keepCalls", lasting(time.Hour, 3650*24*time.Hour), "How long records of calls are kept.").otherwise("720h"),
		may("keep", lasting(24*time.Hour, 3650*24*time.Hour), "How long the audit trail is kept.").otherwise("9600h"),
		may("anchors", matching(`^[^\r\n]*$`, "the path of a file"), "A file outside the store that the end of the trail is written to every hour, so that cutting it off is seen. Without one the store alone has it.").otherwise(`""`),
	)
	loginSettings = describe[LoginSettings]("logins", "Logins to the admin API.", nil,
		may("idle", lasting(time.Minute, 30*24*time.Hour), "A login ends after this long without a request.").otherwise("8h"),
		may("max", lasting(time.Minute, 90*24*time.Hour), "A login ends after this long in any case.").otherwise("24h"),
	)
)

// Database is where rows are kept: what url says, or a file in the data directory.
func (s *Settings) Database() string {
	switch url := s.Store.URL.Reveal(); {
	case url != "":
		return url
	case s.Data == "":
		return "memory:"
	}
	return "sqlite:" + strings.TrimSuffix(s.Data, "/") + "/sallyport.db"
}

func (s *Settings) checkAccess() (problems []core.Problem) {
	wrong := func(path, message, fix string) {
		problems = append(problems, core.Problem{Path: path, Message: message, Fix: fix})
	}
	if s.Access.Open() && !isLoopback(s.Listen) {
		wrong("access.callers", "open lets everybody call everything, and "+s.Listen+" can be reached from other machines", "write known, or listen on a loopback address such as 127.0.0.1:8080")
	}
	given := 0
	for _, one := range []bool{s.Store.Key != "", s.Store.KeyFile != "", len(s.Store.KeyCommand) > 0} {
		if one {
			given++
		}
	}
	if given > 1 {
		wrong("store.key", "more than one of store.key, store.keyFile and store.keyCommand is given", "give one")
	}
	if strings.HasPrefix(s.Store.URL.Reveal(), "postgres") && given == 0 {
		problems = append(problems, core.Problem{
			Path: "store.key", Message: "the key that seals secrets stands in the data directory of this replica alone", Warning: true,
			Fix: "give every replica the same store.key (SALLYPORT_STORE_KEY), store.keyFile or store.keyCommand",
		})
	}
	if len(s.Store.KeyCommand) > 0 && !strings.HasPrefix(s.Store.KeyCommand[0], "/") {
		wrong("store.keyCommand", s.Store.KeyCommand[0]+" is no absolute path", "write the program with its whole path")
	}
	if s.Logins.Idle > s.Logins.Max {
		wrong("logins.idle", fmt.Sprintf("idle (%s) is longer than logins.max (%s)", shortDuration(s.Logins.Idle), shortDuration(s.Logins.Max)), "make it shorter")
	}
	return problems
}
