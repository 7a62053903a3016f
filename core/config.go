package core

import "encoding/json"

// Config is what people write: the gateway documents, merged. It is data, free of
// behaviour, and copied. Every part knows its Path (file, line and column are found
// from it by the reader).
type Config struct {
	Connections []ConnectionConfig `json:"connections,omitempty"`
	Plugins     []PluginConfig     `json:"plugins,omitempty"`
	Upstreams   []UpstreamConfig   `json:"upstreams,omitempty"`
	Servers     []ServerConfig     `json:"servers,omitempty"`
	Sources     []Source           `json:"-"` // where positions come from, one per file
}

// Source finds positions in one document, and says what was read with it.
type Source interface {
	Name() string                                        // file name as the user named it
	Root() string                                        // directory that relative files are read under
	Position(path string) (line, column int, found bool) // path: JSON Pointer in this document
}

// At says which source a part came from, and its JSON Pointer there.
type At struct {
	Source Source `json:"-"`
	Path   string `json:"-"`
}

// ConnectionConfig is a reusable upstream profile.
type ConnectionConfig struct {
	At         `json:"-"`
	Name       string            `json:"name"`
	BaseURL    string            `json:"baseUrl"`
	Headers    map[string]string `json:"headers,omitempty"`
	Credential *CredentialConfig `json:"credential,omitempty"`
	TLS        *TLSConfig        `json:"tls,omitempty"`
	HTTP2      bool              `json:"http2,omitempty"`
	Timeouts   TimeoutsConfig    `json:"timeouts,omitempty"`
	MaxBytes   int64             `json:"maxResponseBytes,omitempty"`
	Redirects  int               `json:"followRedirects,omitempty"`
	Retries    *int              `json:"retries,omitempty"`
	InFlight   int               `json:"maxInFlight,omitempty"`
	Queue      int               `json:"maxQueued,omitempty"`
	Breaker    *BreakerConfig    `json:"breaker,omitempty"`
}

// CredentialConfig is one of: bearer (token), basic (username, password), header
// (name, value), query (name, value), user (connector: each caller's own, see Vault).
type CredentialConfig struct {
	Type     string `json:"type"`
	Token    Secret `json:"token,omitempty"`
	Username string `json:"username,omitempty"`
	Password Secret `json:"password,omitempty"`
	Name     string `json:"name,omitempty"`
	Value    Secret `json:"value,omitempty"`
	// Connector names what a caller connected (type user): its access token is sent.
	Connector string `json:"connector,omitempty"`
}

// TLSConfig holds PEM text, usually by ${file:…}.
type TLSConfig struct {
	CA          string `json:"ca,omitempty"`
	Certificate string `json:"certificate,omitempty"`
	Key         Secret `json:"key,omitempty"`
	ServerName  string `json:"serverName,omitempty"`
	Insecure    bool   `json:"insecureSkipVerify,omitempty"`
}

// TimeoutsConfig holds Go durations as text ("3s").
type TimeoutsConfig struct {
	Connect   string `json:"connect,omitempty"`
	FirstByte string `json:"firstByte,omitempty"`
	Total     string `json:"total,omitempty"`
}

// BreakerConfig tunes the circuit breaker of a connection.
type BreakerConfig struct {
	Disabled bool    `json:"disabled,omitempty"`
	Share    float64 `json:"failureShare,omitempty"`
	Requests int     `json:"minRequests,omitempty"`
	Window   string  `json:"window,omitempty"`
	Open     string  `json:"openFor,omitempty"`
}

// ServerConfig is one MCP server as clients see it.
type ServerConfig struct {
	At           `json:"-"`
	Name         string            `json:"name"`
	Title        string            `json:"title,omitempty"`
	Version      string            `json:"version,omitempty"`
	Description  string            `json:"description,omitempty"`
	Instructions string            `json:"instructions,omitempty"`
	WebsiteURL   string            `json:"websiteUrl,omitempty"`
	Icons        json.RawMessage   `json:"icons,omitempty"`
	Prefix       *string           `json:"prefix,omitempty"` // absent = name
	CORS         *CORSConfig       `json:"cors,omitempty"`
	Access       *AccessConfig     `json:"access,omitempty"`
	Cache        *CacheConfig      `json:"cache,omitempty"`
	PageSize     int               `json:"pageSize,omitempty"`   // 0 = 1000
	Disclosure   string            `json:"disclosure,omitempty"` // full or progressive; absent = full
	Upstreams    []MountConfig     `json:"upstreams,omitempty"`
	Tools        []ToolConfig      `json:"tools,omitempty"`
	Catalogues   []CatalogueConfig `json:"catalogues,omitempty"`
	Prompts      []PromptConfig    `json:"prompts,omitempty"`
	Resources    []ResourceConfig  `json:"resources,omitempty"`
	Templates    []ResourceConfig  `json:"resourceTemplates,omitempty"`
}

// CORSConfig lists web origins; none = no CORS headers at all.
type CORSConfig struct {
	Origins []string `json:"origins"`
	MaxAge  string   `json:"maxAge,omitempty"`
}

// AccessConfig says who may use a server, beside what policies say.
type AccessConfig struct {
	Anonymous bool     `json:"anonymous,omitempty"` // callers without a credential are let in
	Scopes    []string `json:"scopes,omitempty"`    // that an OAuth access token must have been granted
}

// CacheConfig is the cache hint of 2026-07-28 (ttlMs, cacheScope).
type CacheConfig struct {
	TTL   string `json:"ttl,omitempty"`   // Go duration; absent = 0s
	Scope string `json:"scope,omitempty"` // public or private; absent = private
}

// KindConfig names a kind and gives its config.
type KindConfig struct {
	Kind   string          `json:"kind"`
	Config json.RawMessage `json:"config,omitempty"`
}

// ToolConfig is one tool.
type ToolConfig struct {
	At           `json:"-"`
	Name         string          `json:"name"`
	Title        string          `json:"title,omitempty"`
	Description  string          `json:"description,omitempty"`
	InputSchema  json.RawMessage `json:"inputSchema,omitempty"` // absent = {"type":"object"}
	OutputSchema json.RawMessage `json:"outputSchema,omitempty"`
	Annotations  json.RawMessage `json:"annotations,omitempty"`
	Icons        json.RawMessage `json:"icons,omitempty"`
	Execution    json.RawMessage `json:"execution,omitempty"`
	Meta         json.RawMessage `json:"_meta,omitempty"`
	Timeout      string          `json:"timeout,omitempty"`             // Go duration; absent = 30s; at most 5m
	Scopes       []string        `json:"scopes,omitempty"`              // that an OAuth access token must have been granted, beside those of the server
	Authorizers  []KindConfig    `json:"authorizers,omitempty"`         // asked after every policy
	Requests     []KindConfig    `json:"requestTransformers,omitempty"` // rewrite the arguments
	Invoker      KindConfig      `json:"invoker"`
	Transformers []KindConfig    `json:"transformers,omitempty"`
}

// PromptConfig is one prompt: Messages with {{name}} places for arguments, or an
// Invoker.
type PromptConfig struct {
	At          `json:"-"`
	Name        string                 `json:"name"`
	Title       string                 `json:"title,omitempty"`
	Description string                 `json:"description,omitempty"`
	Icons       json.RawMessage        `json:"icons,omitempty"`
	Meta        json.RawMessage        `json:"_meta,omitempty"`
	Arguments   []PromptArgumentConfig `json:"arguments,omitempty"`
	Messages    []MessageConfig        `json:"messages,omitempty"`
	Invoker     *KindConfig            `json:"invoker,omitempty"`
	Timeout     string                 `json:"timeout,omitempty"`
}

// PromptArgumentConfig is one argument of a prompt; Values are what completion
// offers.
type PromptArgumentConfig struct {
	Name        string   `json:"name"`
	Title       string   `json:"title,omitempty"`
	Description string   `json:"description,omitempty"`
	Required    bool     `json:"required,omitempty"`
	Values      []string `json:"values,omitempty"`
}

// MessageConfig is one message of a prompt. Exactly one of Text, Image, Audio,
// Resource is set.
type MessageConfig struct {
	Role     string          `json:"role"` // user or assistant
	Text     string          `json:"text,omitempty"`
	Image    *BinaryConfig   `json:"image,omitempty"`
	Audio    *BinaryConfig   `json:"audio,omitempty"`
	Resource *EmbeddedConfig `json:"resource,omitempty"`
}

// BinaryConfig is bytes from a file under the document's root, or base64.
type BinaryConfig struct {
	File     string `json:"file,omitempty"`
	Base64   string `json:"base64,omitempty"`
	MIMEType string `json:"mimeType,omitempty"` // absent: by the file's extension
}

// EmbeddedConfig embeds a resource of the same server by its URI ({{name}} places
// allowed), or gives the text itself.
type EmbeddedConfig struct {
	URI      string `json:"uri"`
	Text     string `json:"text,omitempty"`
	MIMEType string `json:"mimeType,omitempty"`
}

// ResourceConfig is a resource (URI) or a resource template (URITemplate). Exactly
// one of Text, Base64, File, Invoker says what it holds. In a template File may
// hold {variable} places; the file must stay under the root.
type ResourceConfig struct {
	At          `json:"-"`
	URI         string              `json:"uri,omitempty"`
	URITemplate string              `json:"uriTemplate,omitempty"`
	Name        string              `json:"name"`
	Title       string              `json:"title,omitempty"`
	Description string              `json:"description,omitempty"`
	MIMEType    string              `json:"mimeType,omitempty"`
	Size        *int64              `json:"size,omitempty"`
	Annotations json.RawMessage     `json:"annotations,omitempty"`
	Icons       json.RawMessage     `json:"icons,omitempty"`
	Meta        json.RawMessage     `json:"_meta,omitempty"`
	Text        *string             `json:"text,omitempty"`
	Base64      string              `json:"base64,omitempty"`
	File        string              `json:"file,omitempty"`
	Invoker     *KindConfig         `json:"invoker,omitempty"`
	Timeout     string              `json:"timeout,omitempty"`
	Completions map[string][]string `json:"completions,omitempty"` // variable → values
}
